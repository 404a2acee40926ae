"""The bucket against a slow reading of its definition, and the count of what is under way."""

from hypothesis import given
from hypothesis import strategies as st

from serving.access.rates import Meter


@given(
    pauses=st.lists(st.integers(0, 400), min_size=1, max_size=60),
    rate=st.sampled_from([0.25, 0.5, 1, 2, 8]),
    burst=st.integers(1, 5),
)
def test_a_caller_never_gets_more_than_burst_and_rate(pauses: list[int], rate: float, burst: int) -> None:
    """Times are in hundredths, so that tokens are exact in binary for these rates times 100."""
    now = 0.0
    meter = Meter(lambda: now)
    passed: list[float] = []
    for pause in pauses:
        now += pause / 128
        wait = meter.wait_s("a", rate_per_s=rate, burst=burst)
        # In any window that ends now, no more than burst + rate * length may have passed.
        would = [*passed, now]
        fits = all(len(would) - index <= burst + rate * (now - start) for index, start in enumerate(would))
        assert (wait == 0) == fits
        if not wait:
            passed.append(now)


def test_who_waits_as_long_as_told_gets_in() -> None:
    now = 0.0
    meter = Meter(lambda: now)
    assert [meter.wait_s("a", rate_per_s=0.5, burst=2) for _ in range(3)] == [0, 0, 2]
    assert meter.wait_s("b", rate_per_s=0.5, burst=2) == 0
    now = 2.0
    assert meter.wait_s("a", rate_per_s=0.5, burst=2) == 0
    assert meter.wait_s("a", rate_per_s=None, burst=2) == 0


def test_what_is_under_way_is_counted_by_caller() -> None:
    meter = Meter(lambda: 0.0)
    assert [meter.enter("a", most=2) for _ in range(3)] == [True, True, False]
    assert meter.enter("b", most=2)
    meter.leave("a")
    assert meter.enter("a", most=2)
    assert all(meter.enter("c", most=None) for _ in range(500))
