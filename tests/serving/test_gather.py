"""Gathering: every caller gets its own rows, whatever the timing, and calls carry what waited."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.predictor import Description, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.config import Batching, Limits
from serving.gather import Gather
from serving.http.problems import MODEL_RAISED, REPLICA_DIED, ProblemError
from serving.watch.requests import REQUEST_ID, carried


class Lane:
    """The fake behind a gate that the test opens; texts that hold a word fail in their way."""

    def __init__(self, replicas: int = 1) -> None:
        self.fake = FakePredictor(Kind.TEXT)
        self.calls: list[list[str]] = []
        self.requests: list[tuple[str, ...]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.deaths = 0
        self._replicas = replicas

    async def describe(self) -> Description:
        return self.fake.describe()

    async def predict(self, sources: Sequence[Source]) -> pa.Table:
        self.calls.append([source.item for source in sources])
        self.requests.append(carried())
        await self.open.wait()
        contents = [source.data or b"" for source in sources]
        if b"die" in contents:
            self.deaths += 1
            raise ProblemError(503, "the replica died", kind=REPLICA_DIED)
        if b"raise" in contents:
            raise ProblemError(500, "the model raised", kind=MODEL_RAISED)
        if b"closed" in contents:
            raise ProblemError(503, "takes no calls")
        return self.fake.predict(sources)

    async def ready(self) -> bool:
        return True

    async def replicas(self) -> int:
        return self._replicas


def source(item: str, data: bytes | None = None) -> Source:
    return Source(item=item, kind=Kind.TEXT, uri="", data=item.encode() if data is None else data)


def gather(lane: Lane, **settings: Any) -> Gather:
    batching = {key: settings.pop(key) for key in Batching.model_fields if key in settings}
    return Gather(Kind.TEXT, lane, batching=Batching(**batching), limits=Limits(**settings))


def alone(sources: Sequence[Source]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = FakePredictor(Kind.TEXT).predict(sources).to_pylist()
    return rows


@given(
    calls=st.lists(st.lists(st.text(max_size=3), min_size=1, max_size=4), min_size=1, max_size=12),
    size=st.integers(1, 5),
    flights=st.integers(1, 3),
)
def test_each_caller_gets_its_own_rows_in_order(calls: list[list[str]], size: int, flights: int) -> None:
    async def run() -> None:
        lane = Lane()
        gathered = gather(lane, max_batch_size=size, calls_in_flight=flights)
        asked = [[source(text) for text in texts] for texts in calls]
        answers = await asyncio.gather(*(gathered.label(sources) for sources in asked))
        assert [rows for _, rows in answers] == [alone(sources) for sources in asked]
        assert max(map(len, lane.calls)) <= size
        assert sum(map(len, lane.calls)) == sum(map(len, calls))
        await gathered.drained()

    asyncio.run(run())


def test_what_waits_goes_along_in_one_call() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=8, calls_in_flight=1)
        calls = [asyncio.create_task(gathered.label([source(f"{index}")])) for index in range(10)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        lane.open.set()
        await asyncio.gather(*calls)
        assert list(map(len, lane.calls)) == [1, 8, 1] or list(map(len, lane.calls)) == [8, 2]

    asyncio.run(run())


def test_a_full_queue_refuses_and_loses_nothing() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=2, calls_in_flight=1, max_items_waiting=3)
        calls = []
        for index in range(5):
            calls.append(asyncio.create_task(gathered.label([source(f"{index}")])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="the text model is busy") as refused:
            await gathered.label([source("more")])
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
        lane.open.set()
        rows = [rows for _, rows in await asyncio.gather(*calls[:4])]
        assert rows == [alone([source(f"{index}")]) for index in range(4)]

    asyncio.run(run())


def test_contents_that_wait_are_bounded_by_their_bytes() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=1, calls_in_flight=1, max_bytes_waiting=10)
        calls = []
        for index in range(3):
            calls.append(asyncio.create_task(gathered.label([source(f"{index}", b"12345")])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="busy"):
            await gathered.label([source("more", b"1")])
        assert gathered.refusal() is not None
        lane.open.set()
        await asyncio.gather(*calls)
        assert gathered.refusal() is None
        assert (await gathered.label([source("large", b"x" * 99)]))[1]

    asyncio.run(run())


def test_a_fault_of_ours_reaches_the_callers() -> None:
    class Faulty(Lane):
        async def predict(self, sources: Sequence[Source]) -> pa.Table:
            raise ZeroDivisionError("told to")

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await gather(Faulty(), call_timeout_s=30).label([source("a")])

    asyncio.run(run())


def test_full_calls_do_not_wait_for_the_one_before() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=2, calls_in_flight=1, full_calls_in_flight=3)
        calls = []
        for index in range(8):
            calls.append(asyncio.create_task(gathered.label([source(f"{index}")])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert lane.calls == [["0"], ["1", "2"], ["3", "4"]]
        lane.open.set()
        rows = [rows for _, rows in await asyncio.gather(*calls)]
        assert rows == [alone([source(f"{index}")]) for index in range(8)]
        assert sorted(map(len, lane.calls[3:])) in ([1, 2], [1, 1, 1])

    asyncio.run(run())


def test_the_item_that_kills_a_model_fails_alone() -> None:
    async def run(order: bytes, status: int) -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=8, calls_in_flight=1)
        first = asyncio.create_task(gathered.label([source("first")]))
        await asyncio.sleep(0.01)
        calls = [[source("a")], [source("guilty", order)], [source("b"), source("c")]]
        tasks = [asyncio.create_task(gathered.label(each)) for each in calls]
        await asyncio.sleep(0.01)
        lane.open.set()
        await first
        good, bad, two = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(bad, ProblemError)
        assert bad.status == status
        assert not isinstance(good, BaseException)
        assert not isinstance(two, BaseException)
        assert (good[1], two[1]) == (alone(calls[0]), alone(calls[2]))

    asyncio.run(run(b"die", 503))
    asyncio.run(run(b"raise", 500))


def test_of_one_call_the_failed_item_becomes_a_rejected_row() -> None:
    async def run() -> None:
        _, rows = await gather(Lane()).label([source("a"), source("b", b"raise"), source("c")])
        assert [(row["item"], row["state"], row["reason"]) for row in rows] == [
            ("a", "labelled", None),
            ("b", "rejected", "the model raised"),
            ("c", "labelled", None),
        ]
        with pytest.raises(ProblemError, match="takes no calls"):
            await gather(Lane()).label([source("a"), source("b", b"closed")])

    asyncio.run(run())


def test_late_answers_are_504_and_gone_callers_cost_no_call() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=1, calls_in_flight=1, call_timeout_s=0.05)
        first = asyncio.create_task(gathered.label([source("first")]))
        await asyncio.sleep(0)
        gone = asyncio.create_task(gathered.label([source("gone")]))
        await asyncio.sleep(0.01)
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        with pytest.raises(ProblemError, match="did not answer in 0 s") as late:
            await first
        assert late.value.status == 504
        lane.open.set()
        await gathered.drained()
        assert lane.calls == [["first"]]

    asyncio.run(run())


def test_calls_follow_the_number_of_replicas() -> None:
    async def run() -> None:
        lane = Lane(replicas=3)
        gathered = gather(lane, max_batch_size=1, calls_in_flight=2)
        await gathered.label([source("a")])  # looks
        await asyncio.sleep(0.01)
        lane.open.clear()
        lane.calls.clear()
        tasks = [asyncio.create_task(gathered.label([source(f"{index}")])) for index in range(9)]
        await asyncio.sleep(0.01)
        assert len(lane.calls) == 6
        lane.open.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_a_call_names_the_requests_that_it_carries() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_batch_size=8, calls_in_flight=1)

        async def ask(request: str, *items: str) -> None:
            REQUEST_ID.set(request)
            await gathered.label([source(item) for item in items])

        tasks = [asyncio.create_task(ask("r1", "a"))]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(ask("r2", "b", "c")), asyncio.create_task(ask("r3", "d"))]
        await asyncio.sleep(0.01)
        lane.open.set()
        await asyncio.gather(*tasks)
        assert lane.requests == [("r1",), ("r2", "r3")]

    asyncio.run(run())


def test_chunks_have_a_limit_of_their_own() -> None:
    async def run() -> None:
        lane = Lane()
        lane.open.clear()
        gathered = gather(lane, max_chunk_items_waiting=3)
        first = asyncio.create_task(gathered.label_chunk([source("a"), source("b")]))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="busy"):
            await gathered.label_chunk([source("c"), source("d")])
        lane.open.set()
        assert (await first).num_rows == 2
        await gathered.drained()

    asyncio.run(run())
