import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qa.operating import (
    Curve,
    around,
    bound_curve,
    e_curve,
    fixed_curve,
    joint_chance,
    looks_curve,
    point_curve,
)

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
    once, twice = (looks_curve(at, looks, threshold=0.9, confidence=0.95) for looks in ((500,), (200, 500)))
    assert once.accept == pytest.approx(bound_curve(at, 500, threshold=0.9, confidence=0.95).accept)
    assert once.accept[0] < twice.accept[0] < 0.0320 + 0.0393 + 1e-4
    assert twice.mean_items[0] < once.mean_items[0] == 500


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
    assert shares[0] == pytest.approx(0.65)
    curve = point_curve(shares, 100, threshold=0.9)
    assert curve.at(0.9)[0] == curve.accept[list(shares).index(0.9)]


def test_several_criteria_at_once() -> None:
    assert joint_chance([0.95, 0.9, 0.8]) == pytest.approx((0.65, 0.8))
    assert joint_chance([0.2, 0.3]) == (0.0, 0.2)
    assert joint_chance([]) == (1.0, 1.0)
