import threading
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.answers import build_answer, check_answer, labelled
from contract.errors import EndpointError
from contract.predictor import Source
from contract.tables import Kind, State, Task
from serving.isolation import Gate, Isolation, Patience, ReplicaDiedError, UnavailableError


def sources(count: int) -> list[Source]:
    return [Source(item=f"i{index}", kind=Kind.TEXT, uri="", data=b"x") for index in range(count)]


def answer(chunk: Sequence[Source]) -> pa.Table:
    rows = [labelled(each.item, Kind.TEXT, {Task.SENTIMENTS: [{"label": each.item, "score": 1.0}]}) for each in chunk]
    return build_answer(Kind.TEXT, rows)


class Calls:
    """A service where some items kill, and where some of the calls meet other mishaps first."""

    def __init__(self, guilty: set[str], mishaps: Sequence[Exception] = ()) -> None:
        self.guilty = guilty
        self.mishaps = list(mishaps)
        self.sizes: list[int] = []

    def __call__(self, chunk: Sequence[Source]) -> pa.Table:
        self.sizes.append(len(chunk))
        if self.mishaps:
            raise self.mishaps.pop(0)
        if any(each.item in self.guilty for each in chunk):
            raise ReplicaDiedError("killed")
        return answer(chunk)


def run(calls: Calls, count: int, patience: Patience, pauses: list[float]) -> pa.Table:
    return Isolation(Kind.TEXT, calls, patience=patience, sleep=pauses.append).run(sources(count))


@given(count=st.integers(1, 40), guilty=st.sets(st.integers(0, 39), max_size=4), attempts=st.integers(1, 3))
def test_exactly_the_guilty_are_rejected(count: int, guilty: set[int], attempts: int) -> None:
    calls = Calls({f"i{index}" for index in guilty})
    result = run(calls, count, Patience(attempts=attempts), [])
    check_answer(Kind.TEXT, sources(count), result)
    rejected = {row["item"] for row in result.to_pylist() if row["state"] == State.REJECTED.value}
    assert rejected == {f"i{index}" for index in guilty if index < count}
    innocent = [row for row in result.to_pylist() if row["item"] not in rejected]
    assert innocent == answer([each for each in sources(count) if each.item not in rejected]).to_pylist()


def test_a_death_from_outside_costs_nothing() -> None:
    calls = Calls(set(), [ReplicaDiedError("node lost"), ReplicaDiedError("node lost")])
    result = run(calls, 8, Patience(attempts=3), [])
    assert result.equals(answer(sources(8)))
    assert calls.sizes == [8, 8, 8]


def test_the_search_is_bounded() -> None:
    calls = Calls({"i77"})
    run(calls, 256, Patience(attempts=3), [])
    # 3 deaths of the whole, one a level of halving (8 - 1 of them above single items), 3 alone, and the good halves.
    deaths = 3 + 7 + 3
    assert len(calls.sizes) == deaths + 8


def test_pauses_grow_to_their_bound_and_absence_is_no_death() -> None:
    pauses: list[float] = []
    calls = Calls(set(), [UnavailableError("the service is away")] * 6)
    result = run(calls, 2, Patience(attempts=1, first_pause_s=1, longest_pause_s=5, unavailable_s=100), pauses)
    assert result.num_rows == 2
    assert pauses == [1, 2, 4, 5, 5, 5]


def test_absence_ends_in_one_sentence() -> None:
    calls = Calls(set(), [UnavailableError("http://gpu1 cannot be reached")] * 100)
    with pytest.raises(EndpointError, match="http://gpu1 cannot be reached; it took no call for 7 s"):
        run(calls, 2, Patience(first_pause_s=1, longest_pause_s=10, unavailable_s=5), [])


def test_nobody_is_inside_beside_the_one() -> None:
    gate, inside, seen = Gate(), [0], []

    def many() -> None:
        for _ in range(200):
            with gate.together():
                inside[0] += 1
                inside[0] -= 1

    def one() -> None:
        for _ in range(50):
            with gate.alone():
                seen.append(inside[0])

    threads = [threading.Thread(target=target) for target in (many, many, one, one)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert seen == [0] * 100
