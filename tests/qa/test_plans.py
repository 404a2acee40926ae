import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qa.bounds import clopper_pearson
from qa.sampling.plans import (
    FixedRule,
    TwoPoint,
    chance_to_accept,
    chance_within,
    errors_allowed,
    two_point_plan,
    wrong_share_accepted,
)

RULES: dict[FixedRule, dict[int, int]] = {  # correct items needed for "accuracy >= 90 %"
    "point": {200: 180, 500: 450},
    "lower_bound": {200: 188, 500: 462},
    "upper_bound": {200: 173, 500: 439},
}
ACCEPTED: dict[float, dict[int, tuple[float, float, float]]] = {
    0.88: {200: (0.2266, 0.0035, 0.7804), 500: (0.0932, 0.0009, 0.5883)},
    0.90: {200: (0.5592, 0.0320, 0.9566), 500: (0.5376, 0.0393, 0.9535)},
    0.92: {200: (0.8775, 0.1821, 0.9972), 500: (0.9545, 0.4108, 0.9996)},
    0.95: {200: (0.9988, 0.7965, 1.000), 500: (1.000, 0.9954, 1.000)},
}
TWO_POINTS = [
    (0.05, 0.10, 0.05, 0.05, None, 298, 21),
    (0.05, 0.10, 0.05, 0.05, 1000, 230, 16),
    (0.05, 0.10, 0.05, 0.10, None, 233, 17),
    (0.05, 0.10, 0.05, 0.10, 1000, 193, 14),
    (0.03, 0.10, 0.05, 0.05, None, 129, 7),
    (0.06, 0.10, 0.05, 0.05, None, 493, 38),
    (0.07, 0.10, 0.05, 0.05, None, 934, 78),
    (0.02, 0.05, 0.05, 0.05, None, 386, 12),
    (0.01, 0.05, 0.05, 0.10, None, 132, 3),
    # published
    (0.01, 0.08, 0.05, 0.10, None, 65, 2),
    (0.0065, 0.02, 0.05, 0.10, None, 587, 7),
    (0.05, 0.15, 0.05, 0.075, None, 80, 7),
    (0.05, 0.10, 0.15, 0.075, 1000, 154, 10),
    (0.08, 0.10, 0.05, 0.10, 500, 391, 35),
    (0.0065, 0.02, 0.02, 0.10, 6000, 634, 8),
]


@pytest.mark.parametrize("rule", RULES)
def test_the_three_rules_need_so_many_correct_items(rule: FixedRule) -> None:
    for n, correct in RULES[rule].items():
        errors = errors_allowed(rule, n, threshold=0.9)
        assert errors is not None
        assert n - errors == correct


@pytest.mark.parametrize("share", ACCEPTED)
def test_chances_of_the_three_rules(share: float) -> None:
    for n, chances in ACCEPTED[share].items():
        for rule, expected in zip(RULES, chances, strict=True):
            errors = errors_allowed(rule, n, threshold=0.9)
            assert chance_to_accept(n, errors, share=share) == pytest.approx(expected, abs=5.1e-5)


@given(st.integers(1, 300), st.floats(0.05, 0.99), st.floats(0.55, 0.99))
@settings(deadline=None)
def test_rules_agree_with_the_limits_they_stand_for(n: int, threshold: float, confidence: float) -> None:
    lower, upper = (
        errors_allowed(rule, n, threshold=threshold, confidence=confidence) for rule in ("lower_bound", "upper_bound")
    )
    for errors in range(0, n + 1, max(1, n // 20)):
        low, high = clopper_pearson(n - errors, n, confidence=confidence)
        if abs(low - threshold) > 1e-9:
            assert (lower is not None and errors <= lower) == (low >= threshold)
        if abs(high - threshold) > 1e-9:
            assert upper is not None
            assert (errors <= upper) == (high >= threshold)
    point = errors_allowed("point", n, threshold=threshold)
    assert point is not None
    assert (n - point) / n >= threshold - 1e-9
    assert (n - point - 1) / n < threshold


def test_a_fixed_ratio_of_ten_per_cent_is_poor() -> None:
    assert errors_allowed("lower_bound", 30, threshold=0.9) == 0
    assert errors_allowed("lower_bound", 29, threshold=0.9) == 0
    assert errors_allowed("lower_bound", 28, threshold=0.9) is None
    assert chance_to_accept(28, None, share=0.99) == 0


def test_a_point_estimate_at_the_threshold_is_a_coin_toss() -> None:
    for n in (50, 100, 200, 500, 1000):
        assert 0.51 <= chance_to_accept(n, errors_allowed("point", n, threshold=0.9), share=0.9) <= 0.62


@pytest.mark.parametrize(("rule", "chances"), [("point", (0.559, 0.806, 0.914)), ("lower_bound", (0.032, 0.063, 0.093))])
def test_resubmissions_leak_risk(rule: FixedRule, chances: tuple[float, ...]) -> None:
    once = chance_to_accept(200, errors_allowed(rule, 200, threshold=0.9), share=0.9)
    for rounds, expected in enumerate(chances, start=1):
        assert chance_within(rounds, once) == pytest.approx(expected, abs=5.1e-4)


@pytest.mark.parametrize(("good", "bad", "alpha", "beta", "lot", "n", "accept"), TWO_POINTS)
def test_two_point_plans(good: float, bad: float, alpha: float, beta: float, lot: int | None, n: int, accept: int) -> None:
    assert two_point_plan(good, bad, alpha=alpha, beta=beta, lot=lot) == TwoPoint(n, accept)


@given(st.integers(10, 60), st.floats(0.02, 0.3), st.floats(0.05, 0.5), st.sampled_from([0.05, 0.1, 0.2]))
@settings(max_examples=40, deadline=None)
def test_a_two_point_plan_of_a_lot_is_the_first_of_a_plain_search(lot: int, good: float, gap: float, beta: float) -> None:
    bad = good + gap
    few, many = int(good * lot + 1e-9), -int(-(bad * lot - 1e-9) // 1)
    expected = next(
        TwoPoint(n, accept)
        for accept in range(lot)
        for n in range(accept + 1, lot + 1)
        if stats.hypergeom.cdf(accept, lot, few, n) >= 0.9 and stats.hypergeom.cdf(accept, lot, many, n) <= beta
    )
    assert two_point_plan(good, bad, alpha=0.1, beta=beta, lot=lot) == expected


def test_points_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="0 < good < bad < 1"):
        two_point_plan(0.1, 0.1, alpha=0.05, beta=0.05)
    with pytest.raises(ValueError, match="further apart"):
        two_point_plan(0.1, 0.1001, alpha=0.05, beta=0.05)


def test_a_whole_lot_tells_any_two_qualities_apart() -> None:
    assert two_point_plan(0.10, 0.11, alpha=0.05, beta=0.05, lot=10) == TwoPoint(10, 1)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))), st.floats(0.01, 0.99))
def test_quality_at_a_chance_inverts_the_chance(plan: tuple[int, int], chance: float) -> None:
    wrong = wrong_share_accepted(*plan, chance=chance)
    assert chance_to_accept(*plan, share=1 - wrong) == pytest.approx(chance, abs=1e-9)


def test_a_lots_chance_is_hypergeometric() -> None:
    assert chance_to_accept(20, 1, share=0.9, lot=50) == pytest.approx(stats.hypergeom.cdf(1, 50, 5, 20))
    assert chance_to_accept(50, 5, share=0.9, lot=50) == 1
    assert chance_to_accept(50, 4, share=0.9, lot=50) == 0
    assert wrong_share_accepted(5, 5, chance=0.3) == 1
