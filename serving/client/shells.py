"""The client, once for threads and once for event loops; what they say and understand is the same (`serving.client.calls`).

with Client("http://gpu1:8000", key="gg_...") as client:
client.detect([Path("a.jpg")]).results[0].boxes
job = client.submit(Order("DEMO-2025", "week-1", sources=["/data/week-1"]))
client.wait(job.id)
client.results(job.id, Task.BOXES)
"""

import asyncio
import time
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
from serving.client.answers import EventReader, Retries, headers_with, refused, service_address, timeouts
from serving.client.calls import Call, Media, Order
from serving.client.errors import UnreachableError
from serving.client.streams import LinesCall, Row
from serving.http.documents import DetectAnswer, ImageResult, SentimentAnswer, TextResult, VideoAnswer
from serving.jobs import JobStatus, RejectedPage

Answer = TypeVar("Answer")

_TIMEOUT_S = 600.0
_PAGE = 1000


def _unreachable(url: str, error: httpx.TransportError) -> UnreachableError:
    return UnreachableError(f"{url} cannot be reached ({error or type(error).__name__})")


class Client:
    """Calls a goldgate service; safe to share among threads.

    Args:
        base_url: of the service, for example http://gpu1:8000.
        key: made by `goldgate keys add`; else that of GOLDGATE_KEY, if it is set.
        ca_file: certificates to trust instead of the system's.
        timeout_s: bound of one call.
        retries: how often a busy service is asked again.

    Raises:
        InputError: the address is none, or the key cannot be one.
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
        verify: Any = True if ca_file is None else str(ca_file)
        self._http = httpx.Client(headers=headers_with(key), timeout=timeouts(timeout_s), verify=verify)

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
            except httpx.TransportError as error:
                raise _unreachable(self.url, error) from error
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
                            for line in response.iter_lines():
                                row = part.take(line, self.url)
                                if row is not None:
                                    yield row
                except httpx.TransportError as error:
                    raise _unreachable(self.url, error) from error
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
        reader = EventReader()
        attempt = 0
        while True:
            headers = {} if reader.last_id is None else {"last-event-id": reader.last_id}
            try:
                with self._http.stream("GET", f"{self.url}{calls.events_path(job_id)}", headers=headers) as response:
                    if not response.is_success:
                        response.read()
                        raise refused(self.url, response)
                    for line in response.iter_lines():
                        status = reader.take(line)
                        if status is not None:
                            attempt = 0
                            yield status
                            if status.state.final:
                                return
            except httpx.TransportError as error:
                if attempt >= self._retries.times:
                    raise _unreachable(self.url, error) from error
            time.sleep(self._retries.pause_s * 2**attempt)
            attempt += 1

    def wait(self, job_id: str) -> JobStatus:
        """Return a job's status when it is over."""
        return [*self.events(job_id)][-1]

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
        verify: Any = True if ca_file is None else str(ca_file)
        self._http = httpx.AsyncClient(headers=headers_with(key), timeout=timeouts(timeout_s), verify=verify)

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
            except httpx.TransportError as error:
                raise _unreachable(self.url, error) from error
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
        return await self.send(calls.detect(images))

    async def sentiment(self, texts: Sequence[str]) -> SentimentAnswer:
        """Return the sentiment of texts, a result each, in order."""
        return await self.send(calls.sentiment(texts))

    async def video(self, media: Media) -> VideoAnswer:
        """Return shots, keyframes and events of a video."""
        return await self.send(calls.video(media))

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
                            async for line in response.aiter_lines():
                                row = part.take(line, self.url)
                                if row is not None:
                                    yield row
                except httpx.TransportError as error:
                    raise _unreachable(self.url, error) from error
                if pause_s is None:
                    break
                await asyncio.sleep(pause_s)
            part.check_whole(self.url)

    async def label_chunk(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Return answer rows (`contract.answers`) for a job's chunk, whose sources hold their content."""
        return await self.send(calls.label_chunk(kind, sources))

    async def submit(self, order: Order) -> JobStatus:
        """Order a job; the same order again gives the same job."""
        return await self.send(calls.submit(order))

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
        reader = EventReader()
        attempt = 0
        while True:
            headers = {} if reader.last_id is None else {"last-event-id": reader.last_id}
            try:
                async with self._http.stream("GET", f"{self.url}{calls.events_path(job_id)}", headers=headers) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refused(self.url, response)
                    async for line in response.aiter_lines():
                        status = reader.take(line)
                        if status is not None:
                            attempt = 0
                            yield status
                            if status.state.final:
                                return
            except httpx.TransportError as error:
                if attempt >= self._retries.times:
                    raise _unreachable(self.url, error) from error
            await asyncio.sleep(self._retries.pause_s * 2**attempt)
            attempt += 1

    async def wait(self, job_id: str) -> JobStatus:
        """Return a job's status when it is over."""
        return [status async for status in self.events(job_id)][-1]

    async def results(self, job_id: str, task: Task) -> pa.Table:
        """Return the labels of a finished job as the flat table of `contract.tables`."""
        return await self.send(calls.results(job_id, task))

    async def coco(self, job_id: str) -> dict[str, Any]:
        """Return the boxes of a finished job as a COCO document."""
        return await self.send(calls.coco(job_id))

    async def rejects(self, job_id: str, *, offset: int = 0, limit: int = _PAGE) -> RejectedPage:
        """Return some of a finished job's entries without labels, with their reasons."""
        return await self.send(calls.rejects(job_id, offset=offset, limit=limit))
