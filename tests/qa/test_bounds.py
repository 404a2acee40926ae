import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from qa.bounds import (
    Ratio,
    bootstrap_shares,
    clopper_pearson,
    cluster_bootstrap,
    f1_cap,
    finite_lot,
    jeffreys,
    korn_graubard,
    mid_p,
    ratio,
    wilson,
)
from qa.verifier.limits import lot_limits

TWO_SIDED = {
    (0, 10): ((0, 0.308497), (0, 0.277533), (0.000048, 0.217196)),
    (9, 10): ((0.554984, 0.997471), (0.595850, 0.982124), (0.618685, 0.988988)),
    (45, 50): ((0.781865, 0.966725), (0.786398, 0.956524), (0.794645, 0.960806)),
    (90, 100): ((0.823777, 0.950995), (0.825634, 0.944771), (0.829876, 0.947415)),
    (95, 100): ((0.887165, 0.983568), (0.888250, 0.978456), (0.893900, 0.980668)),
    (184, 200): ((0.873335, 0.953582), (0.874011, 0.950159), (0.876320, 0.951648)),
    (481, 500): ((0.941293, 0.976969), (0.941415, 0.975540), (0.942495, 0.976185)),
    (950, 1000): ((0.934610, 0.962665), (0.934686, 0.961870), (0.935172, 0.962230)),
}
ONE_SIDED = {
    (29, 29): 0.901855, (59, 59): 0.950492, (45, 46): 0.900976, (90, 100): 0.836282, (95, 100): 0.897747,
    (184, 200): 0.881028, (188, 200): 0.904599, (461, 500): 0.899350, (462, 500): 0.901572, (464, 500): 0.906026,
    (481, 500): 0.944738, (27, 30): 0.761402, (30, 30): 0.904966, (3840, 4000): 0.954523,
}  # fmt: skip
FINITE = [
    (100, 50, 47, 88), (200, 100, 95, 183), (500, 125, 118, 452), (1000, 200, 188, 909), (1000, 200, 190, 921),
    (5000, 500, 463, 4525), (5000, 500, 481, 4729), (50000, 500, 465, 45419),
]  # fmt: skip
GOOD = np.array([9, 10, 3, 0, 8, 20, 5, 1, 7, 12, 4, 6, 10, 2, 15, 9, 8, 5, 11, 3])
TOTAL = np.array([10, 10, 5, 2, 8, 22, 5, 4, 7, 12, 8, 6, 10, 2, 20, 9, 9, 5, 11, 3])


def clustered() -> Ratio:
    of = ratio(GOOD, TOTAL, sampled=GOOD.size)
    assert of is not None
    return of


@pytest.mark.parametrize(("correct", "n"), TWO_SIDED)
def test_two_sided_limits(correct: int, n: int) -> None:
    functions = (clopper_pearson, wilson, jeffreys)
    for function, expected in zip(functions, TWO_SIDED[correct, n], strict=True):
        assert function(correct, n, confidence=0.95, sides="two") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("correct", "n"), ONE_SIDED)
def test_one_sided_lower_limit(correct: int, n: int) -> None:
    assert clopper_pearson(correct, n, confidence=0.95)[0] == pytest.approx(ONE_SIDED[correct, n], abs=1e-6)


@pytest.mark.parametrize(("correct", "n", "lower"), [(29, 29, 0.914667), (184, 200, 0.882554), (462, 500, 0.902144)])
def test_one_sided_wilson(correct: int, n: int, lower: float) -> None:
    assert wilson(correct, n, confidence=0.95)[0] == pytest.approx(lower, abs=1e-6)


@pytest.mark.parametrize(
    ("correct", "limits"),
    [(0, (0, 0.25886)), (1, (0.00500, 0.40347)), (5, (0.21201, 0.78799)), (9, (0.59653, 0.99500)), (10, (0.74114, 1))],
)
def test_two_sided_mid_p(correct: int, limits: tuple[float, float]) -> None:
    assert mid_p(correct, 10, confidence=0.95, sides="two") == pytest.approx(limits, abs=1e-5)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_mid_p_halves_what_was_seen_and_lies_within_the_exact_limits(case: tuple[int, int]) -> None:
    correct, n = case
    lower, upper = mid_p(correct, n, confidence=0.9)
    exact = clopper_pearson(correct, n, confidence=0.9)
    assert exact[0] <= lower <= correct / n <= upper <= exact[1]
    if correct:
        more = stats.binom.sf(correct, n, lower) + stats.binom.pmf(correct, n, lower) / 2
        assert more == pytest.approx(0.1, abs=1e-9)
    if correct < n:
        fewer = stats.binom.cdf(correct - 1, n, upper) + stats.binom.pmf(correct, n, upper) / 2
        assert fewer == pytest.approx(0.1, abs=1e-9)


def test_four_thousand_items_at_ninety_six_per_cent_do_not_prove_it() -> None:
    assert clopper_pearson(3840, 4000, confidence=0.95)[0] == pytest.approx(0.9545, abs=5e-5)
    assert clopper_pearson(3861, 4000, confidence=0.95)[0] >= 0.96
    assert clopper_pearson(3860, 4000, confidence=0.95)[0] < 0.96


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_binomial_limits_equal_those_of_statsmodels(case: tuple[int, int]) -> None:
    correct, n = case
    functions = (clopper_pearson, wilson, jeffreys)
    for function, method in zip(functions, ("beta", "wilson", "jeffreys"), strict=True):
        expected = proportion_confint(correct, n, alpha=0.05, method=method)
        assert function(correct, n, confidence=0.95, sides="two") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (-1, 5), (6, 5)])
def test_counts_that_are_no_share_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(*counts, confidence=0.95)


@pytest.mark.parametrize(("lot", "n", "correct", "lower"), FINITE)
def test_lower_limit_of_a_finite_lot(lot: int, n: int, correct: int, lower: int) -> None:
    assert finite_lot(correct, n, lot=lot, confidence=0.95)[0] == lower


@given(st.integers(1, 60).flatmap(lambda lot: st.tuples(st.just(lot), st.integers(1, lot))), st.data())
def test_finite_lot_limits_equal_a_plain_search(sizes: tuple[int, int], data: st.DataObject) -> None:
    lot, n = sizes
    correct = data.draw(st.integers(0, n))
    possible = range(correct, lot - (n - correct) + 1)

    def ways(good: int, counts: range) -> Fraction:
        drawn = sum(math.comb(good, k) * math.comb(lot - good, n - k) for k in counts)
        return Fraction(drawn, math.comb(lot, n))

    lower = min(m for m in possible if ways(m, range(correct, n + 1)) > Fraction(1, 20))
    upper = max(m for m in possible if ways(m, range(correct + 1)) > Fraction(1, 20))
    assert finite_lot(correct, n, lot=lot, confidence=0.95) == (lower, upper)
    assert lot_limits(correct, n, lot, 0.95) == (lower, upper)


def test_a_probability_of_just_alpha_is_not_above_it() -> None:
    # one of 40, and wrong: with 38 right ones its probability is 2 / 40
    assert finite_lot(0, 1, lot=40, confidence=0.95) == lot_limits(0, 1, 40, 0.95) == (0, 37)
    assert finite_lot(0, 1, lot=40, confidence=0.9) == lot_limits(0, 1, 40, 0.9) == (0, 35)


def test_a_sample_beyond_the_lot_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot come from a lot of 9"):
        finite_lot(9, 10, lot=9, confidence=0.95)


def test_ratio_and_korn_graubard_of_the_published_case() -> None:
    of = clustered()
    assert of.share == pytest.approx(0.880952, abs=1e-6)
    assert of.variance is not None
    assert of.variance**0.5 == pytest.approx(0.038022, abs=1e-6)
    assert of.share * (1 - of.share) / of.variance == pytest.approx(72.55, abs=0.005)
    limits = korn_graubard(of, confidence=0.95)
    assert limits is not None
    assert limits[0] == pytest.approx(0.794781, abs=1e-6)
    assert clopper_pearson(148, 168, confidence=0.95)[0] == pytest.approx(0.831727, abs=1e-6)


def test_naive_and_jackknife_errors_of_the_published_case() -> None:
    of = clustered()
    assert of.variance is not None
    naive = of.share * (1 - of.share) / TOTAL.sum()
    assert naive**0.5 == pytest.approx(0.024985, abs=1e-6)
    assert of.variance / naive == pytest.approx(2.3158, abs=5e-5)
    without = (GOOD.sum() - GOOD) / (TOTAL.sum() - TOTAL)
    jackknife = (GOOD.size - 1) / GOOD.size * ((without - without.mean()) ** 2).sum()
    assert jackknife**0.5 == pytest.approx(0.038334, abs=1e-6)
    shrunk = (stats.t.ppf(0.95, TOTAL.sum() - 1) / stats.t.ppf(0.95, GOOD.size - 1)) ** 2
    effective = of.share * (1 - of.share) / of.variance * shrunk
    assert effective == pytest.approx(66.3804, abs=1e-4)
    right = of.share * effective
    assert stats.beta.ppf(0.05, right, effective - right + 1) == pytest.approx(0.794781, abs=1e-6)


def test_clustered_errors_are_accepted_as_seldom_as_is_said() -> None:
    # at the threshold itself, 100 images of 8 boxes with an intraclass correlation of .2: the notes' finding 4
    generator = np.random.default_rng(4)
    accepted = {"korn_graubard": 0, "naive": 0}
    for _ in range(1500):
        good = generator.binomial(8, generator.beta(3.6, 0.4, size=100))
        of = ratio(good, np.full(100, 8), sampled=100)
        assert of is not None
        limits = korn_graubard(of, confidence=0.95)
        assert limits is not None
        accepted["korn_graubard"] += limits[0] >= 0.9
        accepted["naive"] += clopper_pearson(int(good.sum()), 800, confidence=0.95)[0] >= 0.9
    assert accepted["korn_graubard"] / 1500 == pytest.approx(0.051, abs=0.018)
    assert accepted["naive"] / 1500 == pytest.approx(0.150, abs=0.03)


def test_cluster_bootstrap_of_the_published_case() -> None:
    of = clustered()
    shares = bootstrap_shares(of, resamples=200_000, seed=20250101)
    assert shares.std() == pytest.approx(0.03788, abs=0.0005)
    assert np.quantile(shares, [0.025, 0.05, 0.975]) == pytest.approx([0.8012, 0.8153, 0.9490], abs=0.002)
    limits = cluster_bootstrap(of, confidence=0.95)
    assert limits is not None
    assert limits[0] == pytest.approx(0.8153, abs=0.003)


@pytest.mark.parametrize("function", [korn_graubard, cluster_bootstrap])
def test_without_spread_the_clusters_are_the_sample(function: object) -> None:
    of = ratio(np.array([4, 7, 1]), np.array([4, 7, 1]), sampled=3)
    assert of is not None
    assert callable(function)
    assert function(of, confidence=0.95) == pytest.approx(clopper_pearson(3, 3, confidence=0.95))


@pytest.mark.parametrize("function", [korn_graubard, cluster_bootstrap])
def test_one_cluster_shows_no_spread(function: object) -> None:
    of = ratio(np.array([4]), np.array([5]), sampled=1)
    assert of is not None
    assert callable(function)
    assert function(of, confidence=0.95) is None


def test_equal_shares_in_every_cluster_use_all_units() -> None:
    of = ratio(np.array([4, 4]), np.array([5, 5]), sampled=2)
    assert of is not None
    assert korn_graubard(of, confidence=0.95) == pytest.approx(clopper_pearson(8, 10, confidence=0.95))


def test_nothing_to_count_is_none() -> None:
    assert ratio(np.array([0, 0]), np.array([0, 0]), sampled=2) is None


def test_a_finite_lot_narrows_and_a_whole_one_closes() -> None:
    wide, narrow = clustered(), ratio(GOOD, TOTAL, sampled=20, lot=40)
    assert narrow is not None
    assert wide.variance is not None
    assert narrow.variance == pytest.approx(wide.variance / 2)
    whole = ratio(GOOD, TOTAL, sampled=20, lot=20)
    assert whole is not None
    assert whole.variance == 0


def test_f1_cap_is_the_effective_sample_of_independent_pairs() -> None:
    # one pair or leftover per cluster: F1's linearised variance with independent units
    pairs, leftovers = 180, 20
    good = np.array([2] * pairs + [0] * leftovers)
    total = np.array([2] * pairs + [1] * leftovers)
    of = ratio(good, total, sampled=good.size)
    assert of is not None
    assert of.variance is not None
    independent = of.share * (1 - of.share) / of.variance * (good.size / (good.size - 1))
    assert f1_cap(of) == pytest.approx(independent)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12), st.randoms())
def test_limits_enclose_the_estimate_and_no_order_matters(rows: list[tuple[int, int]], random: object) -> None:
    good, wrong = np.array(rows).T
    of = ratio(good, good + wrong, sampled=good.size)
    order = np.random.default_rng(len(rows)).permutation(good.size)
    again = ratio(good[order], (good + wrong)[order], sampled=good.size)
    if of is None or again is None:
        assert of is again
        return
    for function in (korn_graubard, cluster_bootstrap):
        limits = function(of, confidence=0.95)
        assert limits == function(again, confidence=0.95)
        if limits is not None and function is korn_graubard:
            assert limits[0] <= of.share <= limits[1]


@pytest.mark.slow
def test_false_acceptance_of_f1_stays_near_its_nominal_level() -> None:
    """Clustered pairs whose true F1 is .9: the lower limit passes .9 in about 5 % of samples, not 15 %."""
    generator = np.random.default_rng(7)
    true_f1, images, rounds = 0.9, 100, 600
    share = true_f1 / (2 - true_f1)  # of pairs among pairs and leftovers
    concentration = 1 / 0.2 - 1
    accepted = 0
    for _ in range(rounds):
        sizes = generator.poisson(8, images) + 1
        pairs = generator.binomial(sizes, generator.beta(share * concentration, (1 - share) * concentration, images))
        of = ratio(2 * pairs, sizes + pairs, sampled=images)
        assert of is not None
        limits = korn_graubard(of, confidence=0.95, cap=f1_cap(of))
        assert limits is not None
        accepted += limits[0] >= true_f1
    assert accepted / rounds < 0.085
