"""Answers line by line: many items in one call, labelled as they come and answered in their order.

A bounded number of items is under way at a time. While they are, no more of the body is read, so that the caller is held
back by TCP itself, and memory stays as small for a million lines as for a hundred.
"""

import asyncio
import functools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from contract.answers import rejected
from contract.predictor import Source
from contract.tables import Kind
from serving.backend import Backend
from serving.config import ServeSettings
from serving.http.documents import result_document
from serving.http.lineitems import Fetching, read_item
from serving.http.lines import MEDIA_TYPE, Line, split_lines
from serving.http.problems import MODEL_RAISED, REPLICA_DIED, ProblemError

_VIDEOS_TOGETHER: Final = 4
_BUSY: Final = 503
_FIRST_PAUSE_S: Final = 0.05

Row = dict[str, Any]


def wants_lines(request: Request) -> bool:
    """Tell whether the caller asks for newline-delimited JSON."""
    accepted = request.headers.get("accept", "").split(",")
    return any(each.partition(";")[0].strip().lower() == MEDIA_TYPE for each in accepted)


class Streams:
    """Makes streamed answers.

    Args:
        backend: the models.
        settings: of the service; each limit of a call holds for a line.
    """

    def __init__(self, backend: Backend, settings: ServeSettings) -> None:
        self._backend = backend
        self._settings = settings

    async def of_lines(self, kind: Kind) -> Response:
        """Return the answer to a body of lines, an item each; it is read as the answer is sent.

        Raises:
            ProblemError: there is no such model.
        """
        await self._backend.describe(kind)
        return _LinesAnswer(_Asking(kind, self._backend, self._settings), None)

    async def of_sources(self, kind: Kind, sources: Sequence[Source]) -> Response:
        """Return the answer to items that are here already.

        Raises:
            ProblemError: there is no such model.
        """
        await self._backend.describe(kind)
        return _LinesAnswer(_Asking(kind, self._backend, self._settings), sources)


class _Asking:
    """Labels one item of a stream at a time, and makes a row of whatever comes of it."""

    def __init__(self, kind: Kind, backend: Backend, settings: ServeSettings) -> None:
        self.kind = kind
        self.settings = settings
        self.longest = settings.limits.max_body_bytes
        self.together = _VIDEOS_TOGETHER if kind is Kind.VIDEO else settings.limits.max_items
        self._backend = backend
        self._fetching = Fetching(settings)

    async def line(self, line: Line) -> Row:
        """Return the row of a line."""
        if line.data is None:
            return self._turned_down(line.number, None, f"the line is longer than {self.longest} bytes")
        try:
            async with read_item(self.kind, line.number, line.data, self._fetching) as source:
                return await self.source(line.number, source)
        except ProblemError as problem:
            return self._turned_down(line.number, None, problem.detail)

    async def source(self, number: int, source: Source) -> Row:
        """Return the row of an item; a model that is busy is waited for."""
        clock = asyncio.get_running_loop().time
        end_s, pause_s = clock() + self.settings.limits.call_timeout_s, _FIRST_PAUSE_S
        while True:
            try:
                model, (row,) = await self._backend.label(self.kind, [source])
            except ProblemError as problem:
                busy = problem.status == _BUSY and problem.kind != REPLICA_DIED
                if busy and problem.retry_after_s is not None and clock() < end_s:
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, problem.retry_after_s)
                    continue
                if problem.kind == MODEL_RAISED:
                    return self._turned_down(number, source.item, problem.detail)
                return failed(number, problem) | {"item": source.item}
            return {"line": number, **result_document(self.kind, row), "model": model.source}

    def _turned_down(self, number: int, item: str | None, reason: str) -> Row:
        row = rejected(item or str(number), self.kind, reason)
        return {"line": number, **result_document(self.kind, row)}


def failed(number: int, problem: ProblemError) -> Row:
    """Return the row of a line that the service, and not its item, is to blame for; it may be sent again."""
    return {"line": number, "item": None, "state": "failed", "status": problem.status, "reason": problem.detail}


class _Room:
    """Bytes that the items under way may hold together; one alone may always come in."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._changed = asyncio.Event()

    async def take(self, size: int) -> None:
        while self._held and self._held + size > self._most:
            self._changed.clear()
            await self._changed.wait()
        self._held += size

    def give(self, size: int) -> None:
        self._held -= size
        self._changed.set()


class _Rows:
    """The rows of a stream, in the order of its items."""

    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        # One more is taken out of the queue and waited for, so that `together` are under way.
        self._flying: asyncio.Queue[tuple[int, asyncio.Task[Row]] | None] = asyncio.Queue(max(1, asking.together - 1))
        self._room = _Room(asking.longest)
        self._tasks: set[asyncio.Task[Row]] = set()
        self._closed = False

    async def of(self, items: AsyncIterator[Line | tuple[int, Source]]) -> AsyncGenerator[Row, None]:
        """Yield a row an item, and now and then one that says that the item is worked on."""
        feeder = asyncio.create_task(self._feed(items))
        try:
            while (flying := await self._flying.get()) is not None:
                number, task = flying
                async for news in self._waiting(number, task):
                    yield news
                yield task.result()
            last = await feeder
            if last is not None:
                yield last
        finally:
            self._closed = True  # nobody reads the queue any more
            feeder.cancel()
            for task in self._tasks:
                task.cancel()

    async def _waiting(self, number: int, task: "asyncio.Task[Row]") -> AsyncIterator[Row]:
        """Wait for a task, and say now and then that it is waited for."""
        clock = asyncio.get_running_loop().time
        started_s = clock()
        every_s = self._asking.settings.limits.stream_heartbeat_s
        while not (await asyncio.wait([task], timeout=every_s))[0]:
            yield {"line": number, "state": "working", "seconds": round(clock() - started_s, 1)}

    def _leave(self, size: int, task: "asyncio.Task[Row]") -> None:
        self._tasks.discard(task)
        self._room.give(size)

    async def _feed(self, items: AsyncIterator[Line | tuple[int, Source]]) -> Row | None:
        """Start a task an item; return a last row where the body did not come to its end."""
        number = 0
        try:
            async for item in items:
                number = item[0]
                size = len(item.data or b"") if isinstance(item, Line) else 0
                await self._room.take(size)
                work = self._asking.line(item) if isinstance(item, Line) else self._asking.source(*item)
                task = asyncio.create_task(work)
                self._tasks.add(task)
                task.add_done_callback(functools.partial(self._leave, size))
                await self._flying.put((number, task))
        except ProblemError as problem:
            return failed(number + 1, problem)
        finally:
            if not self._closed:
                await self._flying.put(None)
        return None


class _LinesAnswer(Response):
    """Rows as they come; the body is read meanwhile, and nothing goes on once the caller has gone."""

    media_type = MEDIA_TYPE

    def __init__(self, asking: _Asking, sources: Sequence[Source] | None) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._asking = asking
        self._sources = sources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the rows."""
        read = asyncio.Event()
        items = _numbered(self._sources) if self._sources is not None else self._lines(receive, read)
        if self._sources is not None:
            read.set()
        answering = asyncio.create_task(self._answer(items, send))
        leaving = asyncio.create_task(_gone(receive, read))
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    def _lines(self, receive: Receive, read: asyncio.Event) -> AsyncIterator[Line]:
        return split_lines(_body(receive, read), longest=self._asking.longest)

    async def _answer(self, items: AsyncIterator[Any], send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        rows = _Rows(self._asking).of(items)
        patience_s = self._asking.settings.limits.call_timeout_s
        try:
            async for row in rows:
                data = json.dumps(row, ensure_ascii=False).encode() + b"\n"
                message: Message = {"type": "http.response.body", "body": data, "more_body": True}
                await asyncio.wait_for(send(message), patience_s)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            return
        finally:
            await rows.aclose()


async def _numbered(sources: Sequence[Source]) -> AsyncIterator[tuple[int, Source]]:
    for number, source in enumerate(sources, 1):
        yield number, source


async def _body(receive: Receive, read: asyncio.Event) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")
    read.set()


async def _gone(receive: Receive, read: asyncio.Event) -> None:
    """Return when the caller goes away after all of the body was read."""
    await read.wait()
    while (await receive())["type"] != "http.disconnect":
        pass
