"""The client, once for threads and once for event loops; what they say and understand is the same (`serving.client.calls`).

with Client("http://gpu1:8000", key="gg_...") as client:
client.detect([Path("a.jpg")]).results[0].boxes
job = client.submit(Order("DEMO-2025", "week-1", sources=["/data/week-1"]))
client.wait(job.id)
client.results(job.id, Task.BOXES)
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
import pyarrow as pa

from contract.predictor import Description, Source
from contract.tables import Kind, Task
from serving.client import calls, streams
from serving.client.answers import (
    Following,
    LineReader,
    Retries,
    broken,
    headers_with,
    refused,
    service_address,
    timeouts,
    trusted,
)
from serving.client.calls import Call, Media, Order
from serving.client.streams import LinesCall, Row
from serving.http.documents import DetectAnswer, ImageResult, SentimentAnswer, TextResult, VideoAnswer
from serving.jobs import JobStatus, RejectedPage

Answer = TypeVar("Answer")

_TIMEOUT_S = 600.0
_PAGE = 1000


def _lines(response: httpx.Response) -> Iterator[str]:
    reader = LineReader()
    for piece in response.iter_bytes():
        yield from reader.take(piece)
    yield from reader.end()


async def _lines_async(response: httpx.Response) -> AsyncIterator[str]:
    reader = LineReader()
    async for piece in response.aiter_bytes():
        for line in reader.take(piece):
            yield line
    for line in reader.end():
        yield line


class Client:
    """Calls a goldgate service; safe to share among threads.

    Args:
        base_url: of the service, for example http://gpu1:8000.
        key: made by `goldgate keys add`; else that of GOLDGATE_KEY, if it is set.
        ca_file: certificates to trust instead of the system's.
        timeout_s: bound of one call.
        retries: how often a busy service is asked again.

    Raises:
        InputError: the address is none, the key cannot be one, or the file holds no certificates.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = _TIMEOUT_S,
        retries: Retries | None = None,
    ) -> None:
        self.url = service_address(base_url)
        self._retries = retries or Retries()
        self._http = httpx.Client(headers=headers_with(key), timeout=timeouts(timeout_s), verify=trusted(ca_file))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def send(self, call: Call[Answer]) -> Answer:
        """Send any of `serving.client.calls` and return its answer.

        Raises:
            RefusedError: the service answered with a problem.
            UnreachableError: nobody answered.
            ForeignAnswerError: the answer is not this version's.
        """
        for attempt in count():
            try:
                response = self._http.request(call.method, f"{self.url}{call.path}", **call.arguments)
            except httpx.RequestError as error:
                raise broken(self.url, error) from error
            pause_s = self._retries.pause_before(attempt, response) if call.again else None
            if pause_s is None:
                break
            time.sleep(pause_s)
        if not response.is_success and call.path != "/readyz":
            raise refused(self.url, response)
        return call.read(response)

    def healthy(self) -> bool:
        """Tell whether every model is loaded."""
        return self.send(calls.healthy())

    def models(self) -> list[Description]:
        """Return the models of the service."""
        return self.send(calls.models())

    def detect(self, images: Sequence[Media]) -> DetectAnswer:
        """Return boxes on images, a result each, in order."""
        return self.send(calls.detect(images))

    def sentiment(self, texts: Sequence[str]) -> SentimentAnswer:
        """Return the sentiment of texts, a result each, in order."""
        return self.send(calls.sentiment(texts))

    def video(self, media: Media) -> VideoAnswer:
        """Return shots, keyframes and events of a video."""
        return self.send(calls.video(media))

    def detect_stream(self, images: Iterable[Media]) -> Iterator[ImageResult]:
        """Yield boxes on any number of images, a result each, in order, while further ones are read and sent."""
        return self._stream(streams.detect(images))

    def sentiment_stream(self, texts: Iterable[str]) -> Iterator[TextResult]:
        """Yield the sentiment of any number of texts, a result each, in order."""
        return self._stream(streams.sentiment(texts))

    def _stream(self, parts: Iterable[LinesCall[Row]]) -> Iterator[Row]:
        for part in parts:
            for attempt in count():
                try:
                    with self._http.stream(
                        "POST", f"{self.url}{part.path}", content=part.content, headers=streams.HEADERS
                    ) as response:
                        pause_s = self._retries.pause_before(attempt, response)
                        if pause_s is None:
                            if not response.is_success:
                                response.read()
                                raise refused(self.url, response)
                            for line in _lines(response):
                                row = part.take(line, self.url)
                                if row is not None:
                                    yield row
                except httpx.RequestError as error:
                    raise broken(self.url, error) from error
                if pause_s is None:
                    break
                time.sleep(pause_s)
            part.check_whole(self.url)

    def label_chunk(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Return answer rows (`contract.answers`) for a job's chunk, whose sources hold their content."""
        return self.send(calls.label_chunk(kind, sources))

    def submit(self, order: Order) -> JobStatus:
        """Order a job; the same order again gives the same job."""
        return self.send(calls.submit(order))

    def jobs(self) -> list[JobStatus]:
        """Return all jobs, the newest first."""
        return self.send(calls.jobs())

    def job(self, job_id: str) -> JobStatus:
        """Return how far a job is."""
        return self.send(calls.job(job_id))

    def cancel(self, job_id: str) -> JobStatus:
        """Stop a job after the chunks under way; what is finished stays."""
        return self.send(calls.cancel(job_id))

    def events(self, job_id: str) -> Iterator[JobStatus]:
        """Yield a job's status as it changes, the last one final; a broken connection is taken up where it broke."""
        following = Following(self.url, self._retries)
        url = f"{self.url}{calls.events_path(job_id)}"
        while True:
            ended: httpx.RequestError | None = None
            pause_s: float | None = None
            try:
                with self._http.stream("GET", url, headers=following.headers()) as response:
                    if not response.is_success:
                        response.read()
                        pause_s = following.pause_refused(response)
                    else:
                        for line in _lines(response):
                            status = following.take(line)
                            if status is not None:
                                yield status
                                if status.state.final:
                                    return
            except httpx.RequestError as error:
                ended = error
            time.sleep(following.pause_ended(ended) if pause_s is None else pause_s)

    def wait(self, job_id: str) -> JobStatus:
        """Return a job's status when it is over."""
        return deque(self.events(job_id), maxlen=1).pop()

    def results(self, job_id: str, task: Task) -> pa.Table:
        """Return the labels of a finished job as the flat table of `contract.tables`."""
        return self.send(calls.results(job_id, task))

    def coco(self, job_id: str) -> dict[str, Any]:
        """Return the boxes of a finished job as a COCO document."""
        return self.send(calls.coco(job_id))

    def rejects(self, job_id: str, *, offset: int = 0, limit: int = _PAGE) -> RejectedPage:
        """Return some of a finished job's entries without labels, with their reasons."""
        return self.send(calls.rejects(job_id, offset=offset, limit=limit))


class AsyncClient:
    """`Client` for event loops; arguments and methods are the same."""

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        ca_file: Path | None = None,
        timeout_s: float = _TIMEOUT_S,
        retries: Retries | None = None,
    ) -> None:
        self.url = service_address(base_url)
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(headers=headers_with(key), timeout=timeouts(timeout_s), verify=trusted(ca_file))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, call: Call[Answer]) -> Answer:
        """Send any of `serving.client.calls` and return its answer; errors as of `Client.send`."""
        for attempt in count():
            try:
                response = await self._http.request(call.method, f"{self.url}{call.path}", **call.arguments)
            except httpx.RequestError as error:
                raise broken(self.url, error) from error
            pause_s = self._retries.pause_before(attempt, response) if call.again else None
            if pause_s is None:
                break
            await asyncio.sleep(pause_s)
        if not response.is_success and call.path != "/readyz":
            raise refused(self.url, response)
        return call.read(response)

    async def healthy(self) -> bool:
        """Tell whether every model is loaded."""
        return await self.send(calls.healthy())

    async def models(self) -> list[Description]:
        """Return the models of the service."""
        return await self.send(calls.models())

    async def detect(self, images: Sequence[Media]) -> DetectAnswer:
        """Return boxes on images, a result each, in order."""
        return await self.send(await asyncio.to_thread(calls.detect, images))

    async def sentiment(self, texts: Sequence[str]) -> SentimentAnswer:
        """Return the sentiment of texts, a result each, in order."""
        return await self.send(calls.sentiment(texts))

    async def video(self, media: Media) -> VideoAnswer:
        """Return shots, keyframes and events of a video."""
        return await self.send(await asyncio.to_thread(calls.video, media))

    def detect_stream(self, images: Iterable[Media]) -> AsyncIterator[ImageResult]:
        """Yield boxes on any number of images, a result each, in order, while further ones are read and sent."""
        return self._stream(streams.detect(images))

    def sentiment_stream(self, texts: Iterable[str]) -> AsyncIterator[TextResult]:
        """Yield the sentiment of any number of texts, a result each, in order."""
        return self._stream(streams.sentiment(texts))

    async def _stream(self, parts: Iterable[LinesCall[Row]]) -> AsyncIterator[Row]:
        for part in parts:
            for attempt in count():
                try:
                    async with self._http.stream(
                        "POST", f"{self.url}{part.path}", content=part.content, headers=streams.HEADERS
                    ) as response:
                        pause_s = self._retries.pause_before(attempt, response)
                        if pause_s is None:
                            if not response.is_success:
                                await response.aread()
                                raise refused(self.url, response)
                            async for line in _lines_async(response):
                                row = part.take(line, self.url)
                                if row is not None:
                                    yield row
                except httpx.RequestError as error:
                    raise broken(self.url, error) from error
                if pause_s is None:
                    break
                await asyncio.sleep(pause_s)
            part.check_whole(self.url)

    async def label_chunk(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Return answer rows (`contract.answers`) for a job's chunk, whose sources hold their content."""
        return await self.send(calls.label_chunk(kind, sources))

    async def submit(self, order: Order) -> JobStatus:
        """Order a job; the same order again gives the same job."""
        return await self.send(await asyncio.to_thread(calls.submit, order))

    async def jobs(self) -> list[JobStatus]:
        """Return all jobs, the newest first."""
        return await self.send(calls.jobs())

    async def job(self, job_id: str) -> JobStatus:
        """Return how far a job is."""
        return await self.send(calls.job(job_id))

    async def cancel(self, job_id: str) -> JobStatus:
        """Stop a job after the chunks under way; what is finished stays."""
        return await self.send(calls.cancel(job_id))

    async def events(self, job_id: str) -> AsyncIterator[JobStatus]:
        """Yield a job's status as it changes, the last one final; a broken connection is taken up where it broke."""
        following = Following(self.url, self._retries)
        url = f"{self.url}{calls.events_path(job_id)}"
        while True:
            ended: httpx.RequestError | None = None
            pause_s: float | None = None
            try:
                async with self._http.stream("GET", url, headers=following.headers()) as response:
                    if not response.is_success:
                        await response.aread()
                        pause_s = following.pause_refused(response)
                    else:
                        async for line in _lines_async(response):
                            status = following.take(line)
                            if status is not None:
                                yield status
                                if status.state.final:
                                    return
            except httpx.RequestError as error:
                ended = error
            await asyncio.sleep(following.pause_ended(ended) if pause_s is None else pause_s)

    async def wait(self, job_id: str) -> JobStatus:
        """Return a job's status when it is over."""
        last: deque[JobStatus] = deque(maxlen=1)
        async for status in self.events(job_id):
            last.append(status)
        return last.pop()

    async def results(self, job_id: str, task: Task) -> pa.Table:
        """Return the labels of a finished job as the flat table of `contract.tables`."""
        return await self.send(calls.results(job_id, task))

    async def coco(self, job_id: str) -> dict[str, Any]:
        """Return the boxes of a finished job as a COCO document."""
        return await self.send(calls.coco(job_id))

    async def rejects(self, job_id: str, *, offset: int = 0, limit: int = _PAGE) -> RejectedPage:
        """Return some of a finished job's entries without labels, with their reasons."""
        return await self.send(calls.rejects(job_id, offset=offset, limit=limit))
