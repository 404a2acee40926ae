"""Refusals that cost next to nothing: what a full model could not take is refused before its body is read.

A service that works for a refusal as hard as for an answer spends itself on refusals when it is asked for more than it can
do. So the queues are looked at before the framework sees a request; who comes between is refused there, by the same rule.
"""

from collections.abc import Callable, Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.tables import Kind
from serving.http.problems import ProblemError

LABELLING: Final[Mapping[str, Kind]] = {"/v1/detect": Kind.IMAGE, "/v1/sentiment": Kind.TEXT, "/v1/video": Kind.VIDEO}
"""Calls that are refused when their model is full; those of review tools wait instead (`serving.doors.patience`)."""

_STREAM: Final = b"ndjson"  # in what is sent or asked for: a stream waits for room as well
_SMALL_BODY: Final = 65_536


class Shed:
    """What stands in a scope for the route of a request that never reached one."""

    def __init__(self, path: str) -> None:
        self.path = path


class Shedding:
    """ASGI middleware that refuses calls for full models.

    Args:
        app: what it stands before.
        refusal: of a kind, why its model can take nothing now; None where it can.
    """

    def __init__(self, app: ASGIApp, refusal: Callable[[Kind], ProblemError | None]) -> None:
        self._app = app
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = Shed(scope["path"])
        response = problem.response()
        length = _header(scope, b"content-length")
        if not (length.isdigit() and int(length) <= _SMALL_BODY):
            MutableHeaders(raw=response.raw_headers)["connection"] = "close"  # its body is not waited for
        await response(scope, receive, send)

    def _problem(self, scope: Scope) -> ProblemError | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        # Behind a route prefix the path is the whole one (ASGI).
        kind = LABELLING.get(scope["path"].removeprefix(scope.get("root_path", "")))
        problem = None if kind is None else self._refusal(kind)
        if problem is not None and any(_STREAM in _header(scope, name).lower() for name in (b"content-type", b"accept")):
            return None
        return problem


def _header(scope: Scope, name: bytes) -> bytes:
    return b",".join(value for each, value in scope["headers"] if each == name)
