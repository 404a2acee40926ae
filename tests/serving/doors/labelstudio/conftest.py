"""A Label Studio door over real sockets, with the fake models behind it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from serving.config import Door as DoorName
from serving.config import DoorSettings
from serving.doors.labelstudio.door import labelstudio_door
from serving.doors.labelstudio.settings import LabelStudioSettings
from serving.lanes import local_backend
from tests.conftest import listening
from tests.serving.doors.labelstudio.asking import FAKES, SETTINGS, Door


@pytest.fixture(scope="module")
def plain() -> Iterator[httpx.Client]:
    """A door as it is without settings of its own."""
    app = labelstudio_door(local_backend(FAKES, SETTINGS), SETTINGS)
    with listening(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def door(listen: Callable[[Any], str], plain: httpx.Client) -> Iterator[Door]:
    """Open a door and return a client of it; one without any wishes is shared."""
    clients: list[httpx.Client] = []

    def opened(backend: Any = None, **wishes: Any) -> httpx.Client:
        if backend is None and not wishes:
            return plain
        own = DoorSettings(deadline_s=wishes.pop("deadline_s", None))
        said: dict[str, Any] = {name: wishes.pop(name) for name in ("limits", "uris") if name in wishes}
        said |= {"labelstudio": LabelStudioSettings(**wishes), "doors": {**SETTINGS.doors, DoorName.LABELSTUDIO: own}}
        settings = SETTINGS.model_copy(update=said)
        app = labelstudio_door(backend or local_backend(FAKES, settings), settings)
        clients.append(httpx.Client(base_url=listen(app), timeout=60, trust_env=False))
        return clients[-1]

    yield opened
    for client in clients:
        client.close()
