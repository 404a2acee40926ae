import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.tables import Kind
from serving.watch.rates import KEPT_S, WINDOW_S, Rates, quantile


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


REQUESTS = st.tuples(st.just("request"), st.sampled_from([200, 422, 429, 500, 503, 504]), st.floats(0, 5))
CALLS = st.tuples(st.just("call"), st.sampled_from(list(Kind)), st.integers(1, 64))
STEPS = st.lists(st.tuples(st.floats(0, 40), REQUESTS | CALLS), max_size=60)


@given(STEPS)
def test_figures_are_those_of_the_whole_history_cut_to_the_last_minute(
    steps: list[tuple[float, tuple[str, int | Kind, float]]],
) -> None:
    clock = Clock()
    rates = Rates(clock)
    requests: list[tuple[float, int, float]] = []
    calls: list[tuple[float, Kind, int]] = []
    for wait_s, (what, first, second) in steps:
        clock.now_s += wait_s
        if what == "request":
            assert isinstance(first, int)
            rates.request(first, second)
            requests.append((clock.now_s, first, second))
        else:
            assert isinstance(first, Kind)
            rates.call(first, int(second), int(second) // 2)
            calls.append((clock.now_s, first, int(second)))
    figures = rates.figures()
    after_s = clock.now_s - WINDOW_S
    span_s = max(1.0, min(60.0, clock.now_s - 1000.0))
    lately = [each for each in requests if math.floor(each[0]) > after_s]
    assert figures.requests_per_s == pytest.approx(len(lately) / span_s)
    assert figures.shed == sum(status in (429, 503) for _, status, _ in lately)
    assert figures.failed == sum(status in (500, 504) for _, status, _ in lately)
    took = sorted(seconds for at_s, _, seconds in requests if at_s > after_s)
    for share, found in ((0.5, figures.p50_s), (0.95, figures.p95_s)):
        assert found == next((each for each in took if sum(other <= each for other in took) >= share * len(took)), None)
    items: Counter[Kind] = Counter()
    for at_s, kind, size in calls:
        items[kind] += size if math.floor(at_s) > after_s else 0
    assert figures.items_per_s == pytest.approx({kind: count / span_s for kind, count in items.items() if count})
    sizes = {kind: [size for at_s, each, size in calls if each is kind and at_s > after_s] for kind in Kind}
    assert figures.largest_batch == {kind: max(some) for kind, some in sizes.items() if some}
    assert figures.mean_batch == pytest.approx({kind: sum(some) / len(some) for kind, some in sizes.items() if some})


def test_the_course_holds_every_request_of_its_time_once() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(2 * KEPT_S):
        clock.now_s += 1
        rates.request(200, 0.01)
        rates.call(Kind.TEXT, 3, 0)
    requests, items = rates.course()
    assert len(requests) == len(items) == KEPT_S // 5
    assert requests[:-1] == [1.0] * (KEPT_S // 5 - 1)
    assert items[:-1] == [3.0] * (KEPT_S // 5 - 1)
    clock.now_s += KEPT_S
    assert rates.course()[0][1:] == [0.0] * (KEPT_S // 5 - 1)


def test_no_value_has_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile([1.0], 0.5) == 1.0
    assert quantile([1.0, 2.0], 0.5) == 1.0
    assert quantile([1.0, 2.0], 0.95) == 2.0
