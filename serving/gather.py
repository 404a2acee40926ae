"""Many small calls into few large ones, without waiting for company.

While the model works, what arrives is kept; when a call may go out, all that is kept goes along, up to a batch. A lone
caller thus never waits, and the batches grow with the load. What cannot be kept is refused at once: the queue has an end.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import pyarrow as pa

from contract.answers import rejected
from contract.predictor import Description, Source
from contract.tables import Kind
from serving.config import Batching, Limits
from serving.http.problems import MODEL_RAISED, REPLICA_DIED, ProblemError
from serving.watch.requests import REQUEST_ID, carrying

logger = logging.getLogger(__name__)

Row = dict[str, Any]

_BUSY_RETRY_AFTER_S: Final = 1
_REPLICAS_LOOK_S: Final = 5.0


class Lane(Protocol):
    """The way to one model; every failure is a ProblemError."""

    async def describe(self) -> Description:
        """Tell which model this is."""
        ...

    async def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in one call of the model."""
        ...

    async def ready(self) -> bool:
        """Tell whether the model is loaded."""
        ...

    async def replicas(self) -> int:
        """Return how many copies of the model run; what is sent to them follows."""
        ...


@dataclass(frozen=True, eq=False)
class _Waiting:
    """One item of a call, and where its row goes."""

    source: Source
    request: str | None
    row: "asyncio.Future[Row]" = field(repr=False)


class Gather:
    """Gathers the items of small calls for one model.

    Args:
        kind: what the model labels.
        lane: leads to it; failures are ProblemErrors.
        batching: most items of a gathered call, and calls in flight for each replica.
        limits: most items that may wait, and how long a call may take.
    """

    def __init__(self, kind: Kind, lane: Lane, *, batching: Batching, limits: Limits) -> None:
        self._kind = kind
        self._lane = lane
        self._batching = batching
        self._limits = limits
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._flying: set[asyncio.Task[None]] = set()
        self._chunks = 0
        self._chunk_items = 0
        self._replicas = 1
        self._looked_s = float("-inf")
        self._look_under_way: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Items that wait for a call."""
        return len(self._queue)

    def refusal(self) -> ProblemError | None:
        """Return why not even one item could wait now; None where one can."""
        limits = self._limits
        full = len(self._queue) >= limits.max_items_waiting or self._queued_bytes >= limits.max_bytes_waiting
        return self._busy(len(self._queue)) if full else None

    async def drained(self) -> None:
        """Return when nothing waits and no call is under way."""
        await self._idle.wait()

    async def label(self, sources: Sequence[Source]) -> tuple[Description, list[Row]]:
        """Label `sources`, each in whichever call it fits into.

        Returns:
            The model, and a row of `contract.answers` for every source, in their order.

        Raises:
            ProblemError: 503 too many items wait already, 504 no answer in time, and what the lane raises.
        """
        self._admit(sources)
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(source, REQUEST_ID.get(), loop.create_future()) for source in sources]
        self._queue.extend(waiting)
        self._queued_bytes += sum(map(_size, sources))
        self._idle.clear()
        self._send()
        rows = [each.row for each in waiting]
        try:
            outcomes = await asyncio.wait_for(asyncio.gather(*rows, return_exceptions=True), self._limits.call_timeout_s)
        except asyncio.TimeoutError as error:
            raise self._late() from error
        finally:
            # Where the caller has gone, nobody waits for these any more, so no model need see them.
            for row in rows:
                row.cancel()
        return await self._lane.describe(), _rows(self._kind, sources, outcomes)

    async def label_chunk(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in a call of their own.

        Raises:
            ProblemError: 503 too many items wait already, 504 no answer in time, and what the lane raises.
        """
        if self._chunks and self._chunk_items + len(sources) > self._limits.max_chunk_items_waiting:
            raise self._busy(self._chunk_items)
        self._chunks, self._chunk_items = self._chunks + 1, self._chunk_items + len(sources)
        self._idle.clear()
        try:
            return await asyncio.wait_for(self._lane.predict(sources), self._limits.call_timeout_s)
        except asyncio.TimeoutError as error:
            raise self._late() from error
        finally:
            self._chunks, self._chunk_items = self._chunks - 1, self._chunk_items - len(sources)
            self._settle()

    def _admit(self, sources: Sequence[Source]) -> None:
        limits, size = self._limits, sum(map(_size, sources))
        too_many = len(self._queue) + len(sources) > limits.max_items_waiting
        if self._queue and (too_many or self._queued_bytes + size > limits.max_bytes_waiting):
            raise self._busy(len(self._queue))

    def _busy(self, count: int) -> ProblemError:
        sentence = f"the {self._kind.value} model is busy: {count} items wait for it already; send this again later"
        return ProblemError(503, sentence, retry_after_s=_BUSY_RETRY_AFTER_S)

    def _late(self) -> ProblemError:
        seconds = self._limits.call_timeout_s
        return ProblemError(504, f"the {self._kind.value} model did not answer in {seconds:.0f} s; send fewer items")

    def _send(self) -> None:
        """Let calls go out as long as there are items and room."""
        while self._queue and len(self._flying) < self._most_calls() * self._replicas:
            batch = self._take()
            if not batch:
                break
            task = asyncio.create_task(self._call(batch))
            self._flying.add(task)
            task.add_done_callback(functools.partial(self._landed, batch))
        self._settle()

    def _most_calls(self) -> int:
        batching = self._batching
        full = len(self._queue) >= batching.max_batch_size
        return max(batching.calls_in_flight, batching.full_calls_in_flight or 1) if full else batching.calls_in_flight

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._batching.max_batch_size:
            length = _size(self._queue[0].source)
            if batch and size + length > self._limits.max_body_bytes:
                break
            each = self._queue.popleft()
            self._queued_bytes -= length
            if not each.row.done():
                batch.append(each)
                size += length
        return batch

    def _landed(self, batch: Sequence[_Waiting], task: "asyncio.Task[None]") -> None:
        self._flying.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:  # a fault of ours, of which the callers must learn all the same
            for each in batch:
                if not each.row.done():
                    each.row.set_exception(fault)
        self._send()

    def _settle(self) -> None:
        if not (self._queue or self._flying or self._chunks):
            self._idle.set()

    async def _call(self, batch: Sequence[_Waiting]) -> None:
        self._look()
        try:
            with carrying([each.request for each in batch]):
                answer = await self._predict(batch)
        except ProblemError as problem:
            await self._failed(batch, problem)
            return
        _deliver(batch, cast("list[Row]", answer.to_pylist()))

    async def _predict(self, batch: Sequence[_Waiting]) -> pa.Table:
        sources = [each.source for each in batch]
        try:
            return await self._lane.predict(sources)
        except ProblemError as problem:
            if problem.kind != REPLICA_DIED:
                raise
        # A replica that dies may be anybody's fault: once more, before its contemporaries are told.
        return await self._lane.predict(sources)

    async def _failed(self, batch: Sequence[_Waiting], problem: ProblemError) -> None:
        """Tell everyone, or, where one of several may be guilty, call each alone."""
        if len(batch) == 1 or problem.kind not in (REPLICA_DIED, MODEL_RAISED):
            for each in batch:
                if not each.row.done():
                    each.row.set_exception(problem)
            return
        logger.warning("a call of %d items failed (%s); each goes alone", len(batch), problem.detail)
        for each in batch:
            await self._call([each])

    def _look(self) -> None:
        """Follow the number of replicas, now and then, and let no call wait for it."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s >= _REPLICAS_LOOK_S:
            self._looked_s = now_s
            self._look_under_way = asyncio.create_task(self._count())

    async def _count(self) -> None:
        self._replicas = max(1, await self._lane.replicas())


def _size(source: Source) -> int:
    return len(source.data or b"")


def _deliver(batch: Sequence[_Waiting], rows: Sequence[Row]) -> None:
    for each, row in zip(batch, rows, strict=True):
        if not each.row.done():
            each.row.set_result(row)


def _rows(kind: Kind, sources: Sequence[Source], outcomes: Sequence[Row | BaseException]) -> list[Row]:
    """Return the rows, where an item that failed among others that did not is a rejected one.

    Raises:
        ProblemError: every item failed.
    """
    problems = [each for each in outcomes if isinstance(each, BaseException)]
    if problems and (len(problems) == len(outcomes) or not all(isinstance(each, ProblemError) for each in problems)):
        raise problems[0]
    pairs = zip(sources, outcomes, strict=True)
    return [rejected(source.item, kind, str(each)) if isinstance(each, BaseException) else each for source, each in pairs]
