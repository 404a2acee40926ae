"""Bodies and heads of requests that have to come in time, so that nobody holds a place by sending a byte now and then."""

import asyncio
import time
from typing import Any, Final

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.access.settings import AccessSettings
from serving.http.problems import ProblemError

HEAD_S: Final = 20.0
"""How long a connection may take to send the head of a request, from its first byte or from the connection's start."""


class Pace:
    """The body of one request, given up when it comes more slowly than the settings say.

    Only the time that is spent waiting for the caller counts: a busy service does not blame him for its own delays.

    Args:
        receive: of the request.
        settings: the grace that every body has, and the rate that counts then.
        by_piece: each piece alone has to be in time, for the body is answered while it comes, and waits for the answers too.
    """

    def __init__(self, receive: Receive, settings: AccessSettings, *, by_piece: bool) -> None:
        self._receive = receive
        self._settings = settings
        self._by_piece = by_piece
        self._taken = 0
        self._waited_s = 0.0
        self._complete = False
        self._given_up = False

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            ProblemError: 408 it did not come in time.
        """
        if self._complete:
            return await self._receive()  # now it tells only when the caller goes away
        allowed_s = self._settings.body_grace_s
        if not self._by_piece:
            allowed_s += self._taken / self._settings.body_bytes_per_s - self._waited_s
        begun = time.monotonic()
        try:
            # The first body is often here already, which the first moment shows.
            message = await asyncio.wait_for(self._receive(), max(0.001, allowed_s))
        except asyncio.TimeoutError as error:
            self._given_up = True
            raise ProblemError(408, f"the body stopped coming after {self._taken} bytes; send it faster") from error
        self._waited_s += time.monotonic() - begun
        self._taken += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return message

    def closing(self, send: Send) -> Send:
        """Return `send` that ends the connection where the body was given up: what is left of it is not waited for."""

        async def sent(message: Message) -> None:
            if self._given_up and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        return sent


class TimelyHeads(HttpToolsProtocol):
    """uvicorn's protocol, which waits for the end of a request's head no longer than HEAD_S."""

    head_s = HEAD_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Begin to wait for the next head with whatever comes after an answer."""
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Wait no longer."""
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.head_s, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> Any:
        self._timer = None
        self.transport.close()
