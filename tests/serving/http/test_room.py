"""Bodies of all requests together: what has no room waits, is read when there is some, and is refused after a while."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serving.http.problems import ProblemError
from serving.http.room import Room, Roomy

MOST = 100_000


class Door:
    """Reads a body, and answers with its length when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.reading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await Request(scope, receive).body()
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        self.reading += 1
        await asyncio.to_thread(self.go.wait, 60)
        await PlainTextResponse(str(len(body)))(scope, receive, send)


class Service:
    def __init__(self, listen: Callable[[Any], str], patience_s: float) -> None:
        self.door = Door()
        self.url = ""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._roomy(patience_s)(scope, receive, send)

        self._app: Roomy | None = None
        self.url = listen(app)

    def _roomy(self, patience_s: float) -> Roomy:
        if self._app is None:
            self.room = Room(MOST)
            self._app = Roomy(self.door, self.room, patience_s=patience_s)
        return self._app

    def send(self, count: int, *, lines: bool = False) -> httpx.Response:
        kind = "application/x-ndjson" if lines else "application/octet-stream"
        return httpx.post(self.url, content=b"x" * count, headers={"content-type": kind}, timeout=60, trust_env=False)

    def send_unannounced(self, count: int) -> httpx.Response:
        def pieces() -> Iterator[bytes]:
            for start in range(0, count, 1000):
                yield b"x" * min(1000, count - start)

        return httpx.post(self.url, content=pieces(), timeout=60, trust_env=False)

    def wait_until_reading(self, count: int) -> None:
        until = time.monotonic() + 60
        while self.door.reading < count:
            assert time.monotonic() < until
            time.sleep(0.01)

    def wait_until_empty(self) -> None:
        """A room is left after its answer is sent."""
        until = time.monotonic() + 60
        while self.room.taken:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture
def patient(listen: Callable[[Any], str]) -> Iterator[Service]:
    service = Service(listen, 60.0)
    yield service
    service.door.go.set()


@pytest.fixture
def hasty(listen: Callable[[Any], str]) -> Iterator[Service]:
    service = Service(listen, 0.2)
    yield service
    service.door.go.set()


def test_a_body_waits_until_there_is_room(patient: Service) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(patient.send, 40_000) for _ in range(4)]
        patient.wait_until_reading(2)
        time.sleep(0.3)
        assert (patient.door.reading, patient.room.taken) == (2, 80_000)
        small = pool.submit(patient.send, 0)  # what holds nothing passes by
        patient.door.go.set()
        assert [call.result().text for call in calls] == ["40000"] * 4
        assert small.result().text == "0"
    patient.wait_until_empty()


def test_what_finds_no_room_is_refused_and_says_when(hasty: Service) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hasty.send, 70_000)
        hasty.wait_until_reading(1)
        for refused in (hasty.send(40_000), hasty.send_unannounced(40_000)):
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert refused.headers["content-type"] == "application/problem+json"
            assert "as many bytes" in refused.json()["detail"]
        hasty.door.go.set()
        assert first.result().text == "70000"
    hasty.wait_until_empty()
    assert hasty.send_unannounced(40_000).text == "40000"
    hasty.wait_until_empty()


def test_lines_need_no_room_and_one_body_may_be_larger_than_all_of_it(hasty: Service) -> None:
    with ThreadPoolExecutor(2) as pool:
        larger = pool.submit(hasty.send, 3 * MOST)
        hasty.wait_until_reading(1)
        assert hasty.send(1).status_code == 503
        lines = pool.submit(hasty.send, 2 * MOST, lines=True)
        hasty.wait_until_reading(2)
        hasty.door.go.set()
        assert (larger.result().text, lines.result().text) == (str(3 * MOST), str(2 * MOST))
    assert hasty.send_unannounced(3 * MOST).text == str(3 * MOST)
    hasty.wait_until_empty()


def test_a_caller_that_goes_away_leaves_nothing_behind(patient: Service) -> None:
    host, port = patient.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 90000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 10)
        until = time.monotonic() + 60
        while not (hasattr(patient, "room") and patient.room.taken):
            assert time.monotonic() < until
            time.sleep(0.01)
    patient.door.go.set()
    assert patient.send(50_000).text == "50000"  # waits until the other's room is free
    patient.wait_until_empty()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.integers(1, 10))
def test_never_more_than_the_room_unless_one_is_alone(sizes: list[int], most: int) -> None:
    async def run() -> int:
        room = Room(most)

        async def one(size: int) -> None:
            assert await room.wait(size, 30)
            assert size <= room.taken <= max(most, size)
            await asyncio.sleep(0)
            assert size <= room.taken <= max(most, size)
            room.free(size)

        await asyncio.gather(*(one(size) for size in sizes))
        return room.taken

    assert asyncio.run(run()) == 0


def test_room_goes_to_who_asked_first_and_past_who_has_gone() -> None:
    async def run() -> list[str]:
        room, order = Room(10), []
        assert await room.wait(10, 1)

        async def ask(name: str, size: int, patience_s: float = 30) -> None:
            order.append(name if await room.wait(size, patience_s) else f"{name} refused")

        large = asyncio.create_task(ask("large", 9))
        await asyncio.sleep(0)
        hasty = asyncio.create_task(ask("hasty", 1, 0.05))
        gone = asyncio.create_task(ask("gone", 3))
        small = asyncio.create_task(ask("small", 1))
        await hasty
        gone.cancel()
        await asyncio.sleep(0.01)
        room.free(10)
        late = asyncio.create_task(ask("late", 1))  # fits only when the small one has gone
        await asyncio.gather(large, small)
        assert (room.taken, late.done()) == (10, False)
        room.free(1)
        await late
        room.free(10)
        assert room.taken == 0
        return order

    assert asyncio.run(run()) == ["hasty refused", "large", "small", "late"]


def test_room_that_is_given_to_a_call_being_cancelled_comes_back() -> None:
    async def run() -> int:
        room = Room(10)
        assert await room.wait(10, 1)
        waits = asyncio.create_task(room.wait(5, 30))
        await asyncio.sleep(0)
        room.free(10)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        return room.taken

    assert asyncio.run(run()) == 0
