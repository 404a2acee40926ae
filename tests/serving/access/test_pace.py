"""Heads and bodies that come slowly, on raw sockets, and a service that is slow itself."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from serving.access.pace import Pace, TimelyHeads
from serving.access.settings import AccessSettings
from serving.http.problems import ProblemError


class Hasty(TimelyHeads):
    head_s = 0.3


@contextlib.contextmanager
def served(app: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        config = uvicorn.Config(app, http=Hasty, lifespan="off", ws="none", log_config=None, timeout_keep_alive=30)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: server.run(sockets=[bound]), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield int(bound.getsockname()[1])
        server.should_exit = True
        thread.join(timeout=30)


async def patient(scope: Any, receive: Any, send: Any) -> None:
    """Answer after longer than a head may take."""
    await asyncio.sleep(3 * Hasty.head_s)
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def is_closed(wire: socket.socket, *, drip: bytes) -> bool:
    """Send `drip` again and again until the other side closes."""
    wire.settimeout(0.05)
    return any(_hears_the_end(wire, drip) for _ in range(400))


def _hears_the_end(wire: socket.socket, drip: bytes) -> bool:
    try:
        wire.sendall(drip)
        return wire.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(("begun", "drip"), [(b"", b""), (b"GET / HTTP/1.1\r\n", b"a: b\r\n"), (b"", b"\r\n"), (b"GE", b"")])
def test_a_head_that_never_ends_is_left(begun: bytes, drip: bytes) -> None:
    with served(patient) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
        wire.sendall(begun)
        assert is_closed(wire, drip=drip)


def test_a_whole_head_is_served_however_long_the_answer_takes_and_so_is_the_next() -> None:
    with served(patient) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
        for _ in range(2):
            wire.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = b""
            while not answer.endswith(b"ok"):
                piece = wire.recv(1000)
                assert piece, "closed before the answer"
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
        wire.sendall(b"GET / HTTP/1.1\r\n")
        assert is_closed(wire, drip=b"x: y\r\n")


def paced(pieces: list[tuple[float, bytes]], settings: AccessSettings, *, by_piece: bool = False) -> tuple[Pace, list[str]]:
    """A body whose pieces come so many seconds after they are asked for, and the headers of its answer."""
    left = list(pieces)

    async def receive() -> Any:
        wait_s, body = left.pop(0)
        await asyncio.sleep(wait_s)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return Pace(receive, settings, by_piece=by_piece), []


SETTINGS = AccessSettings(auth="none", body_grace_s=0.5, body_bytes_per_s=1000)


def test_only_waiting_for_the_caller_counts() -> None:
    async def read() -> bytes:
        pace, _ = paced([(0.0, b"a"), (0.0, b"b"), (0.0, b"c")], SETTINGS)
        body = b""
        for _ in range(3):
            await asyncio.sleep(0.4)  # the service is busy: more than the grace in all
            body += (await pace.receive())["body"]
        return body

    assert asyncio.run(read()) == b"abc"


@pytest.mark.parametrize(
    ("pieces", "by_piece", "late"),
    [
        ([(0.3, b"a"), (60.0, b"b")], False, True),
        ([(60.0, b"a")], False, True),
        ([(60.0, b"a")], True, True),
        ([(0.3, b"a" * 1000), (0.3, b"b"), (0.3, b"c")], False, False),  # a thousand bytes buy a second
        ([(0.3, b"a"), (0.3, b"b"), (0.3, b"c")], True, False),
    ],
)
def test_what_is_late(pieces: list[tuple[float, bytes]], by_piece: bool, late: bool) -> None:
    async def read() -> list[str]:
        pace, headers = paced(pieces, SETTINGS, by_piece=by_piece)

        async def send(message: Any) -> None:
            headers.extend(name.decode() for name, _ in message.get("headers", []))

        with contextlib.suppress(ProblemError):
            for _ in pieces:
                await pace.receive()
        await pace.closing(send)({"type": "http.response.start", "status": 408, "headers": []})
        return headers

    assert asyncio.run(read()) == (["connection"] if late else [])
