"""A steady stream of requests, whether answers come or not, each known by its id and checked against what it must say.

Started by benchmarks/soak.py as a process of its own:

    python -m benchmarks.serving.steady '{"port": 8000, "rate": 1600, "seconds": 60, "connections": 512, "texts": 1000}'

Requests go out at their times, not when an answer has come (so that a slow server is not spared), on whichever connection is
idle; where none is, the request counts as unsent. Every text is one of so many whose answers the predictor without weights
gives away beforehand, so that an answer that belongs to another request is seen. A line of JSON at the end says what came.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final

from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor

_STEP_S: Final = 0.002
_GRACE_S: Final = 60.0
_SIZES: Final = (1, 1, 1, 4)


class Expected:
    """Texts, and what is answered to each."""

    def __init__(self, count: int) -> None:
        self.texts: Final = [f"review {index}: 不错, not bad" for index in range(count)]
        sources = [Source(item="0", kind=Kind.TEXT, uri="", data=text.encode()) for text in self.texts]
        rows = FakePredictor(Kind.TEXT).predict(sources).to_pylist()
        self.answers: Final = [
            (row["sentiments"][0]["label"], row["sentiments"][0]["score"]) for row in rows
        ]  # fmt: skip

    def holds(self, numbers: Sequence[int], body: bytes) -> bool:
        """Tell whether `body` answers the texts of these numbers, in order."""
        results = json.loads(body)["results"]
        found = [(each["sentiments"][0]["label"], each["sentiments"][0]["score"]) for each in results]
        return found == [self.answers[number] for number in numbers]


class Stream:
    """The stream and its counts."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.expected = Expected(order["texts"])
        self.idle: deque[Connection] = deque()
        self.connections = 0
        self.statuses: Counter[str] = Counter()
        self.sent = self.unsent = self.items_answered = self.wrong = self.foreign = self.lost = self.without_retry = 0
        self.under_way: dict[str, tuple[float, list[int]]] = {}
        self.took: list[float] = []
        self.dice = random.Random(order.get("seed", 0))  # noqa: S311 - a benchmark

    async def run(self) -> dict[str, Any]:
        """Send for the time ordered, wait for what is under way, and return the counts."""
        loop = asyncio.get_running_loop()
        for _ in range(self.order["connections"]):
            await self.connect()
        started, number = loop.time(), 0
        while (now := loop.time()) < started + self.order["seconds"]:
            while number < (now - started) * self.order["rate"]:
                number += 1
                self.send(number)
            await asyncio.sleep(_STEP_S)
        until = loop.time() + _GRACE_S
        while self.under_way and loop.time() < until:
            await asyncio.sleep(0.05)
        return self.result(number)

    async def connect(self) -> None:
        """Open a connection more."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.order["port"])

    def send(self, number: int) -> None:
        """Send a request on an idle connection, if there is one."""
        if not self.idle:
            self.unsent += 1
            return
        name = f"soak-{number}"
        numbers = [self.dice.randrange(len(self.expected.texts)) for _ in range(self.dice.choice(_SIZES))]
        body = json.dumps({"texts": [self.expected.texts[each] for each in numbers]}, ensure_ascii=False).encode()
        self.sent += 1
        self.under_way[name] = time.perf_counter(), numbers
        self.idle.popleft().request(name, body)

    def answered(self, name: str, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        """Take an answer: exactly one comes to a request, and it is its own."""
        found = self.under_way.pop(name, None)
        self.statuses[str(status)] += 1
        if found is None or headers.get(b"x-request-id") != name.encode():
            self.foreign += 1
            return
        started, numbers = found
        if status == 200:
            self.took.append(time.perf_counter() - started)
            self.items_answered += len(numbers)
            self.wrong += not self.expected.holds(numbers, body)
        elif status == 503:
            self.without_retry += b"retry-after" not in headers

    def dropped(self, name: str | None) -> None:
        """Note that a connection ended; what was under way on it is lost."""
        self.connections -= 1
        if name is not None:
            self.lost += 1
            self.under_way.pop(name, None)
        asyncio.get_running_loop().create_task(self.connect())

    def result(self, due: int) -> dict[str, Any]:
        """Return the counts."""
        took = sorted(self.took)
        at = {f"p{share}_ms": round(1000 * took[min(len(took) - 1, len(took) * share // 100)], 1) for share in (50, 95, 99)}
        return {
            "due": due,
            "sent": self.sent,
            "unsent": self.unsent,
            "statuses": dict(self.statuses),
            "items_answered": self.items_answered,
            "wrong_answers": self.wrong,
            "answers_of_others": self.foreign,
            "connections_lost": self.lost,
            "unanswered": len(self.under_way),
            "refusals_without_retry_after": self.without_retry,
            "accepted": at if took else {},
            "cpu_seconds": round(time.process_time(), 1),
        }


class Connection(asyncio.Protocol):
    """A connection with one request under way at a time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._transport: Any = None
        self._name: str | None = None
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Take part."""
        self._transport = transport
        self._stream.connections += 1
        self._stream.idle.append(self)

    def request(self, name: str, body: bytes) -> None:
        """Send a request."""
        self._name = name
        head = (
            f"POST /v1/sentiment HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Request-ID: {name}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)

    def data_received(self, data: bytes) -> None:
        """Collect an answer; the server says how long it is."""
        self._buffer += data
        head, gap, rest = self._buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        if len(rest) < int(headers[b"content-length"]):
            return
        name, self._name, self._buffer = self._name, None, b""
        self._stream.answered(name or "", int(lines[0].split(b" ")[1]), headers, rest)
        self._stream.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take part no more."""
        if self in self._stream.idle:
            self._stream.idle.remove(self)
        self._stream.dropped(self._name)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Stream(json.loads(sys.argv[1])).run())))
