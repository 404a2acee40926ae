import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_of_statsmodels

from qa.agreement import (
    Level,
    Weights,
    cohen_kappa,
    cohen_kappa_interval,
    coincidences,
    coincidences_of_raters,
    fleiss_kappa,
    krippendorff_alpha,
    matthews,
)

ORACLE = np.array([[85, 5, 2], [6, 52, 7], [1, 4, 38]])
CANONICAL = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
WEIGHTS: dict[Weights, float] = {"plain": 0.804305, "linear": 0.834466, "quadratic": 0.865053}
LEVELS: dict[Level, float] = {"nominal": 0.804733, "ordinal": 0.869497, "interval": 0.865369}
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
CANONICAL_LEVELS: dict[Level, float] = {"nominal": 0.743421, "ordinal": 0.815388, "interval": 0.849107, "ratio": 0.797403}


def pairs(table: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.indices(table.shape)
    return np.repeat(rows.ravel(), table.ravel()), np.repeat(columns.ravel(), table.ravel())


@pytest.mark.parametrize("weights", WEIGHTS)
def test_kappa_of_the_reference(weights: Weights) -> None:
    assert cohen_kappa(ORACLE, weights=weights) == pytest.approx(WEIGHTS[weights], abs=1e-6)


def test_kappa_of_the_classic_case() -> None:
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_matthews_of_the_reference() -> None:
    assert matthews(ORACLE) == pytest.approx(0.804812, abs=1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_of_the_reference(level: Level) -> None:
    assert krippendorff_alpha(coincidences(ORACLE), level=level) == pytest.approx(LEVELS[level], abs=1e-6)


@pytest.mark.parametrize("level", CANONICAL_LEVELS)
def test_alpha_of_the_canonical_data_with_gaps(level: Level) -> None:
    places = [[None if value is None else value - 1 for value in row] for row in CANONICAL]
    matrix = coincidences_of_raters(places, labels=5)
    assert krippendorff_alpha(matrix, level=level) == pytest.approx(CANONICAL_LEVELS[level], abs=1e-6)


def test_kappa_of_the_reference_with_its_standard_error() -> None:
    found = cohen_kappa_interval(ORACLE)
    assert found is not None
    assert found == pytest.approx((0.804305, 0.036303, 0.733153, 0.875458), abs=1e-6)


def test_fleiss_kappa_of_the_reference() -> None:
    assert fleiss_kappa(FLEISS) == pytest.approx(0.209931, abs=1e-6)


def test_fleiss_kappa_that_does_not_exist() -> None:
    for counts in ([[3, 0], [3, 0]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]):
        assert fleiss_kappa(np.array(counts)) is None
    assert fleiss_kappa(np.zeros((0, 3), dtype=np.int64)) is None
    with pytest.raises(ValueError, match="equally many"):
        fleiss_kappa(np.array([[2, 1], [1, 1]]))


def test_ratios_need_numbers_from_zero_on() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        krippendorff_alpha(coincidences(ORACLE), level="ratio", values=[-1, 0, 1])


def test_the_majority_trap_has_no_agreement_beyond_chance() -> None:
    table = np.array([[905, 0, 0], [60, 0, 0], [35, 0, 0]])
    assert cohen_kappa(table) == pytest.approx(0)
    assert krippendorff_alpha(coincidences(table), level="nominal") == pytest.approx(-0.037307, abs=1e-6)
    assert matthews(table) is None


def test_agreement_without_counts_or_variety_is_undefined() -> None:
    for table in (np.zeros((3, 3), dtype=np.int64), np.diag([7, 0, 0])):
        assert cohen_kappa(table) is None
        assert matthews(table) is None
        assert cohen_kappa_interval(table) is None
        for level in CANONICAL_LEVELS:
            assert krippendorff_alpha(coincidences(table), level=level) is None


TABLES = st.lists(st.lists(st.integers(0, 6), min_size=4, max_size=4), min_size=4, max_size=4).map(np.array)


@given(TABLES)
def test_figures_equal_those_of_the_libraries(table: NDArray[np.int64]) -> None:
    one, other = pairs(table)
    labels = range(4)
    for weights, name in (("plain", None), ("linear", "linear"), ("quadratic", "quadratic")):
        ours = cohen_kappa(table, weights=weights)  # type: ignore[arg-type]
        if ours is not None:
            assert ours == pytest.approx(cohen_kappa_score(one, other, labels=labels, weights=name), abs=1e-9)
    for weights, name in (("plain", None), ("linear", "linear"), ("quadratic", "quadratic")):
        interval = cohen_kappa_interval(table, weights=weights)  # type: ignore[arg-type]
        if interval is not None:
            with np.errstate(all="ignore"):  # its z value where all agree
                theirs = cohens_kappa(table, wt=name)
            assert interval.standard_error**2 == pytest.approx(max(theirs.var_kappa, 0.0), abs=1e-9)
            assert interval.lower <= interval.estimate <= interval.upper
    if (mcc := matthews(table)) is not None:
        assert mcc == pytest.approx(matthews_corrcoef(one, other), abs=1e-9)
    for level in CANONICAL_LEVELS:
        alpha = krippendorff_alpha(coincidences(table), level=level, values=[0.0, 1.0, 2.0, 3.0])
        if alpha is not None:
            data = np.stack([one, other]).astype(float)
            expected = krippendorff.alpha(data, level_of_measurement=level, value_domain=[0.0, 1.0, 2.0, 3.0])
            assert alpha == pytest.approx(expected, abs=1e-9)


@given(
    st.integers(2, 6).flatmap(
        lambda raters: st.lists(st.integers(0, raters), min_size=1, max_size=8).map(
            lambda first: np.array([[count, raters - count] for count in first])
        )
    )
)
def test_fleiss_kappa_equals_that_of_statsmodels(counts: NDArray[np.int64]) -> None:
    kappa = fleiss_kappa(counts)
    if kappa is not None:
        assert kappa == pytest.approx(fleiss_of_statsmodels(counts), abs=1e-9)


RATINGS = st.lists(st.lists(st.none() | st.integers(0, 3), min_size=6, max_size=6), min_size=2, max_size=4)


@given(RATINGS, st.sampled_from(sorted(LEVELS)))
def test_alpha_of_raters_with_gaps_equals_the_librarys(ratings: list[list[int | None]], level: Level) -> None:
    alpha = krippendorff_alpha(coincidences_of_raters(ratings, labels=4), level=level)
    if alpha is not None:
        data = np.array([[np.nan if value is None else value for value in row] for row in ratings], dtype=float)
        expected = krippendorff.alpha(data, level_of_measurement=level, value_domain=[0.0, 1.0, 2.0, 3.0])
        assert alpha == pytest.approx(expected, abs=1e-9)
