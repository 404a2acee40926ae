"""The front doors together: which there are, where each stands, and what all of them stand on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from serving.access.guard import Access, guarded
from serving.backend import Backend, LaneBackend
from serving.config import Door, ServeSettings
from serving.doors.cvat import cvat_door
from serving.doors.labelstudio.door import labelstudio_door
from serving.doors.rest import rest_door
from serving.doors.xanylabeling import xanylabeling_door
from serving.http.room import Room, Roomy
from serving.http.shedding import Shedding
from serving.inbox import Inbox
from serving.jobs import JobBoard
from serving.watch.middleware import watched
from serving.watch.page import Shown, add_page
from serving.watch.scrape import add_metrics
from serving.watch.watching import Watch

PREFIXES: Final[Mapping[Door, str]] = MappingProxyType(
    {Door.REST: "", Door.CVAT: "/cvat", Door.XANYLABELING: "/xanylabeling", Door.LABELSTUDIO: "/labelstudio"}
)
"""Where a door stands on the shared port; on a port of its own it stands at the root."""

_APART: Final = tuple(f"{prefix}/" for prefix in PREFIXES.values() if prefix)


@dataclass(frozen=True)
class Front:
    """What the doors stand on.

    Args:
        backend: the models.
        settings: of the service.
        inbox: keeps what people finish in review tools; without one nobody does.
        watch: what watches them all.
        access: who may call; None lets everyone in, which is for doors that nobody outside of this process reaches.
        jobs: what keeps the jobs; without it there are none.
    """

    backend: Backend
    settings: ServeSettings
    inbox: Inbox | None = None
    watch: Watch = field(default_factory=Watch)
    access: Access | None = None
    jobs: JobBoard | None = None

    def __post_init__(self) -> None:
        self.watch.attach(self.backend)

    @cached_property
    def room(self) -> Room:
        """Room for the bodies that come in by any door."""
        return Room(self.settings.limits.max_bytes_held)


_MAKERS: Final[Mapping[Door, Callable[[Front], FastAPI]]] = MappingProxyType(
    {
        Door.REST: lambda front: rest_door(front.backend, front.settings, front.jobs, apart=_APART),
        Door.CVAT: lambda front: cvat_door(front.backend, front.settings),
        Door.XANYLABELING: lambda front: xanylabeling_door(front.backend, front.settings),
        Door.LABELSTUDIO: lambda front: labelstudio_door(front.backend, front.settings, front.inbox),
    }
)


def build_door(door: Door, front: Front) -> FastAPI:
    """Return `door` at its own root, for a port of its own."""
    return _MAKERS[door](front)


def build_front(front: Front) -> FastAPI:
    """Return all open doors on one port: REST at the root, each other under its prefix."""
    root = build_door(Door.REST, front)
    for door, prefix in PREFIXES.items():
        if prefix and front.settings.doors[door].open:
            root.mount(prefix, build_door(door, front))
    add_metrics(root, front.backend, front.watch, front.jobs)
    if front.settings.watch.page:
        add_page(root, Shown(front.backend, front.settings, front.watch, PREFIXES, front.jobs))
    return root


def open_door(door: Door, front: Front) -> ASGIApp:
    """Return `build_door`, guarded and watched."""
    return watched(_guarded(build_door(door, front), front, {"": door}), front.watch, {"": door.value})


def open_front(front: Front, *, says_id: bool = True) -> ASGIApp:
    """Return `build_front`, guarded and watched; `says_id` as of `watched`."""
    doors = {prefix: door for door, prefix in PREFIXES.items()}
    names = {prefix: door.value for prefix, door in doors.items()}
    return watched(_guarded(build_front(front), front, doors), front.watch, names, says_id=says_id)


def _guarded(app: ASGIApp, front: Front, prefixes: Mapping[str, Door]) -> ASGIApp:
    app = Roomy(app, front.room)
    if Door.REST in prefixes.values() and isinstance(front.backend, LaneBackend):
        app = Shedding(app, front.backend.refusal)
    return app if front.access is None else guarded(app, front.access, prefixes)
