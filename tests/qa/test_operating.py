import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qa.bounds import jeffreys, wilson
from qa.sampling.draw import max_errors, min_errors_to_reject
from qa.sampling.operating import (
    Curve,
    Method,
    Numbers,
    around,
    bound_curve,
    e_curve,
    extended_curve,
    fixed_curve,
    joint_chance,
    limits_allow,
    point_curve,
)
from qa.sampling.sequential import Lines, course

SHARES = np.array([0.88, 0.90, 0.92, 0.95])


def test_the_lower_bound_of_the_reference() -> None:
    assert bound_curve(SHARES, 200, threshold=0.9, confidence=0.95).accept == pytest.approx(
        [0.0035, 0.0320, 0.1821, 0.7965], abs=5.1e-5
    )
    curve = bound_curve(SHARES, 500, threshold=0.9, confidence=0.95)
    assert curve.accept == pytest.approx([0.0009, 0.0393, 0.4108, 0.9954], abs=5.1e-5)
    # what the upper limit does not reject: 439 of 500 right and more
    assert 1 - curve.reject == pytest.approx([0.5883, 0.9535, 0.9996, 1.0], abs=5.1e-5)


def test_the_point_rule_of_the_reference() -> None:
    curve = point_curve(SHARES, 200, threshold=0.9)
    assert curve.accept == pytest.approx([0.2266, 0.5592, 0.8775, 0.9988], abs=5.1e-5)
    assert curve.extend == pytest.approx([0, 0, 0, 0], abs=1e-12)


def test_an_aql_plan_of_the_reference() -> None:
    curve = fixed_curve(np.array([0.85, 0.90, 0.99]), 125, accept=21, reject=22)
    assert curve.accept[0] == pytest.approx(0.76, abs=0.005)
    assert curve.accept + curve.reject == pytest.approx([1, 1, 1])


def test_the_e_process_keeps_both_risks_and_stops_early() -> None:
    curve = e_curve(np.array([0.80, 0.90, 0.97]), 500, threshold=0.9, confidence=0.95)
    assert max(curve.accept[1], curve.reject[1]) <= 0.05
    assert curve.accept[2] == pytest.approx(1.0, abs=2e-3)
    assert curve.reject[0] == pytest.approx(1.0, abs=1e-2)
    assert curve.mean_items[2] == pytest.approx(97, abs=1)


def test_a_second_look_adds_to_the_risk_of_the_first() -> None:
    at = np.array([0.9])
    first, last = (limits_allow(n, threshold=0.9, confidence=0.95) for n in (200, 500))
    assert (first, last) == (Numbers(12, 28), Numbers(38, 62))
    once = bound_curve(at, 500, threshold=0.9, confidence=0.95)
    twice = extended_curve(at, (200, 500), first=first, last=last)
    assert once.accept[0] < twice.accept[0] < 0.0320 + 0.0393 + 1e-4
    assert 200 < twice.mean_items[0] < 500


@st.composite
def two_looks(draw: st.DrawFn) -> tuple[tuple[int, int], Numbers, Numbers]:
    n = draw(st.integers(1, 12))
    looks = (n, n + draw(st.integers(0, 12)))
    numbers = []
    for size in looks:
        accept = draw(st.none() | st.integers(0, size))
        reject = draw(st.none() | st.integers(0 if accept is None else accept + 1, size + 1))
        numbers.append(Numbers(accept, reject if reject is None or reject <= size else None))
    return looks, numbers[0], numbers[1]


@given(two_looks(), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_two_looks_equal_the_walk_over_single_items(case: tuple[tuple[int, int], Numbers, Numbers], share: float) -> None:
    looks, first, last = case
    most = looks[1]
    accept, reject = np.full(most + 1, -1), np.full(most + 1, most + 1)
    for n, numbers in zip(looks, (first, last), strict=True):
        if n == looks[0] == looks[1]:
            return  # no second look
        accept[n] = -1 if numbers.accept is None else numbers.accept
        reject[n] = most + 1 if numbers.reject is None else numbers.reject
    found = extended_curve(np.array([share]), looks, first=first, last=last)
    walked = course(Lines(accept, reject), np.array([1 - share]))
    assert found.accept[0] == pytest.approx(walked.accepted[0], abs=1e-9)
    assert found.reject[0] == pytest.approx(walked.rejected[0], abs=1e-9)
    assert found.mean_items[0] == pytest.approx(walked.mean_items[0], abs=1e-6)


@given(st.integers(1, 250), st.floats(0.05, 0.99), st.floats(0.55, 0.99), st.sampled_from(["wilson", "jeffreys"]))
@settings(deadline=None)
def test_numbers_are_those_of_the_limits(n: int, threshold: float, confidence: float, method: Method) -> None:
    limits = {"wilson": wilson, "jeffreys": jeffreys}[method]
    found = limits_allow(n, threshold=threshold, confidence=confidence, method=method)
    passing = [errors for errors in range(n + 1) if limits(n - errors, n, confidence=confidence)[0] >= threshold]
    failing = [errors for errors in range(n + 1) if limits(n - errors, n, confidence=confidence)[1] < threshold]
    assert found == Numbers(max(passing, default=None), min(failing, default=None))


@given(st.integers(1, 400), st.floats(0.05, 0.99), st.floats(0.55, 0.99))
@settings(deadline=None)
def test_exact_numbers_are_those_of_the_sampling_rules(n: int, threshold: float, confidence: float) -> None:
    expected = (
        max_errors(n, threshold=threshold, confidence=confidence),
        min_errors_to_reject(n, threshold=threshold, confidence=confidence),
    )
    assert limits_allow(n, threshold=threshold, confidence=confidence) == expected


@given(st.integers(1, 60), st.data(), st.floats(0, 1))
@settings(deadline=None)
def test_a_fixed_curve_adds_up_its_binomial(n: int, data: st.DataObject, share: float) -> None:
    accept = data.draw(st.none() | st.integers(0, n - 1))
    reject = data.draw(st.none() | st.integers((accept or 0) + 1, n + 1))
    curve = fixed_curve(np.array([share]), n, accept=accept, reject=reject)
    chance = [float(stats.binom.pmf(errors, n, 1 - share)) for errors in range(n + 1)]
    assert curve.accept[0] == pytest.approx(sum(chance[: 0 if accept is None else accept + 1]), abs=1e-9)
    assert curve.reject[0] == pytest.approx(sum(chance[n + 1 if reject is None else reject :]), abs=1e-9)
    assert curve.extend[0] == pytest.approx(1 - curve.accept[0] - curve.reject[0], abs=1e-9)


@given(st.floats(0.3, 0.99), st.integers(5, 120))
@settings(max_examples=30, deadline=None)
def test_better_work_is_never_accepted_less_often(threshold: float, n: int) -> None:
    shares = around(threshold, points=40)
    curves: list[Curve] = [
        point_curve(shares, n, threshold=threshold),
        bound_curve(shares, n, threshold=threshold, confidence=0.9),
        e_curve(shares, n, threshold=threshold, confidence=0.9),
    ]
    for curve in curves:
        assert (np.diff(curve.accept) >= -1e-9).all()
        assert (np.diff(curve.reject) <= 1e-9).all()
        assert curve.accept + curve.reject + curve.extend == pytest.approx(np.ones_like(shares), abs=1e-9)


def test_points_of_a_curve_hold_the_threshold_and_end_at_one() -> None:
    shares = around(0.9, points=11, also=[0.987])
    assert {0.9, 0.987, 1.0} <= set(shares.tolist())
    assert shares[0] == pytest.approx(0.75)
    assert around(0.9, low=0.4)[0] == pytest.approx(0.4)
    curve = point_curve(shares, 100, threshold=0.9)
    assert curve.at(0.9)[0] == curve.accept[list(shares).index(0.9)]


def test_several_criteria_at_once() -> None:
    assert joint_chance([0.95, 0.9, 0.8]) == pytest.approx((0.65, 0.8))
    assert joint_chance([0.2, 0.3]) == (0.0, 0.2)
    assert joint_chance([]) == (1.0, 1.0)
