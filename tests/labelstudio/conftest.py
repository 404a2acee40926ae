"""The one Label Studio that all tests of this folder share; each makes projects of its own there."""

from collections.abc import Iterator

import pytest

from tests.conftest import free_port
from tests.labelstudio.server import LabelStudio, running
from tests.oracles.environments import CannotInstallError


@pytest.fixture(scope="session")
def labelstudio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """A running Label Studio, installed from the registry on the first use on a machine; skips where that cannot be."""
    try:
        with running(tmp_path_factory.mktemp("labelstudio"), free_port()) as server:
            yield server
    except CannotInstallError as error:
        pytest.skip(str(error))
