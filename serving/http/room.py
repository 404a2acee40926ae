"""Room for the bodies of all requests under way together, so that many large ones cannot fill the memory.

A body of announced length is read when all of it has room: until then its caller is not read from, which TCP tells the
caller's own sending side, and after some seconds it is refused. A body that grows without having said so is refused when
the room is full. Bodies of lines are read as they come and held by nobody, so they need none.
"""

import asyncio
from collections import deque
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.problems import ProblemError, is_lines

PATIENCE_S: Final = 5.0
_RETRY_AFTER_S: Final = 2


class Room:
    """So many bytes, given in the order in which they are asked for; used in one event loop.

    A single body that is larger than all of it has room when nothing else is there.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are taken now."""
        return self._taken

    def fits(self, count: int) -> bool:
        """Tell whether `count` more bytes have room now."""
        return not self._taken or self._taken + count <= self._most

    def take(self, count: int) -> None:
        """Take `count` bytes, whether or not they fit."""
        self._taken += count

    async def wait(self, count: int, patience_s: float) -> bool:
        """Take `count` bytes as soon as they fit; False: they did not within `patience_s`."""
        if not self._waiting and self.fits(count):
            self.take(count)
            return True
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, granted))
        try:
            # Not wait_for, under which a grant can get lost when the time is up in the same moment.
            await asyncio.wait([granted], timeout=patience_s)
        except asyncio.CancelledError:
            if granted.done():
                self.free(count)
            raise
        finally:
            granted.cancel()
            self._grant()
        return not granted.cancelled()

    def free(self, count: int) -> None:
        """Give `count` bytes back."""
        self._taken -= count
        self._grant()

    def _grant(self) -> None:
        """Give room to those who have waited longest; who has gone is passed over."""
        while self._waiting:
            count, granted = self._waiting[0]
            if not granted.done():
                if not self.fits(count):
                    return
                self.take(count)
                granted.set_result(None)
            self._waiting.popleft()


class Roomy:
    """ASGI middleware that reads bodies where there is room for them.

    Args:
        app: what it stands before.
        room: shared by all that hold bodies.
        patience_s: how long a body may wait for room.
    """

    def __init__(self, app: ASGIApp, room: Room, *, patience_s: float = PATIENCE_S) -> None:
        self._app = app
        self._room = room
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when its body has room, or refuse it."""
        if scope["type"] != "http" or is_lines(scope):
            await self._app(scope, receive, send)
            return
        announced = _announced(scope)
        if announced and not await self._room.wait(announced, self._patience_s):
            response = _refusal().response()
            MutableHeaders(raw=response.raw_headers)["connection"] = "close"  # its body is not waited for
            await response(scope, receive, send)
            return
        held = _Held(self._room, announced)
        try:
            await self._app(scope, held.counted(receive), send)
        finally:
            self._room.free(held.bytes)


class _Held:
    """What one request holds."""

    def __init__(self, room: Room, announced: int) -> None:
        self._room = room
        self._come = 0
        self.bytes = announced

    def counted(self, receive: Receive) -> Receive:
        """Return `receive`, which takes room for what comes beyond what was announced."""

        async def received() -> Message:
            message = await receive()
            self._come += len(message.get("body", b""))
            if self._come > self.bytes:
                more = self._come - self.bytes
                alone = self._room.taken == self.bytes
                if not alone and not self._room.fits(more):
                    raise _refusal()
                self._room.take(more)
                self.bytes += more
            return message

        return received


def _announced(scope: Scope) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() and len(length) < 19 else 0


def _refusal() -> ProblemError:
    sentence = "the service holds as many bytes of requests as it may; send this again later"
    return ProblemError(503, sentence, retry_after_s=_RETRY_AFTER_S)
