import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from qa.sampling.eprocess import e_lines, e_smallest_sample, e_value, evidence_wanted, log_e, log_e_against
from qa.sampling.sequential import course


def test_samples_that_suffice() -> None:
    errors = (0, 1, 2, 3, 5, 10, 20)
    found = [e_smallest_sample(count, threshold=0.9, confidence=0.95) for count in errors]
    assert found == [43, 66, 85, 103, 137, 212, 351]


@pytest.mark.parametrize(("correct", "wrong", "evidence"), [(40, 1, 3.662309), (95, 5, 2.765165), (190, 10, 10.868527)])
def test_evidence_of_the_reference(correct: int, wrong: int, evidence: float) -> None:
    assert e_value(correct, wrong, threshold=0.9) == pytest.approx(evidence, abs=1e-6)


def test_false_acceptance_stays_below_alpha_and_good_work_passes() -> None:
    lines = e_lines(0.9, confidence=0.95, most=1000, rejecting=False)
    assert course(lines, np.array([0.1])).accepted == pytest.approx([0.0376], abs=5.1e-5)
    lines = e_lines(0.9, confidence=0.95, most=500, rejecting=False)
    found = course(lines, np.array([0.05, 0.03]))
    assert found.accepted[0] == pytest.approx(0.9499, abs=5.1e-5)
    assert found.mean_items == pytest.approx([204, 97], abs=0.51)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9, 0.98])
def test_both_risks_are_kept_at_the_threshold(threshold: float) -> None:
    found = course(e_lines(threshold, confidence=0.95, most=600), np.array([1 - threshold]))
    assert 0 < found.accepted[0] <= 0.05
    assert 0 < found.rejected[0] <= 0.05


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.05, 0.95))
@settings(deadline=None)
def test_evidence_is_the_integral_that_it_stands_for(correct: int, wrong: int, threshold: float) -> None:
    def ratio(share: float) -> float:
        likelihood = math.log(share / threshold) * correct if correct else 0.0
        return math.exp(likelihood + (math.log((1 - share) / (1 - threshold)) * wrong if wrong else 0.0))

    top = correct / (correct + wrong) if correct + wrong else 1.0
    points = [top] if threshold < top < 1 else None
    value, _ = integrate.quad(ratio, threshold, 1 - 1e-12, points=points, limit=200)
    if value > 1e-12:
        assert log_e(correct, wrong, threshold=threshold) == pytest.approx(math.log(value / (1 - threshold)), abs=1e-5)


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.05, 0.95))
def test_evidence_against_is_the_mirror_image(correct: int, wrong: int, threshold: float) -> None:
    mirrored = log_e(wrong, correct, threshold=1 - threshold)
    assert log_e_against(correct, wrong, threshold=threshold) == pytest.approx(mirrored)


def test_lines_are_where_the_evidence_suffices() -> None:
    lines, wanted = e_lines(0.8, confidence=0.9, most=80), evidence_wanted(0.9)
    for n in range(1, 81):
        for errors in range(n + 1):
            assert (errors <= lines.accept[n]) == (log_e(n - errors, errors, threshold=0.8) >= wanted)
            assert (errors >= lines.reject[n]) == (log_e_against(n - errors, errors, threshold=0.8) >= wanted)


LOTS = st.integers(1, 12).flatmap(
    lambda lot: st.integers(0, lot).flatmap(
        lambda n: st.tuples(st.just(lot), st.integers(0, n)).map(lambda known: (known[0], known[1], n - known[1]))
    )
)
THRESHOLDS = st.sampled_from([0.1, 0.5, 0.75, 0.9])


def sequence_chance(correct: int, wrong: int, *, good: int, lot: int) -> Fraction:
    """The probability of one order of so many right and wrong items out of a lot, item by item."""
    chance = Fraction(1)
    for seen in range(correct):
        chance *= Fraction(max(good - seen, 0), lot - seen)
    for seen in range(wrong):
        chance *= Fraction(max(lot - good - seen, 0), lot - correct - seen)
    return chance


def slowly(correct: int, wrong: int, *, threshold: float, lot: int) -> Fraction | None:
    """The evidence of a finite lot in fractions; None where it is infinite."""
    needed = next(good for good in range(lot + 1) if good >= threshold * lot - 1e-9)
    null = sequence_chance(correct, wrong, good=needed - 1, lot=lot)
    numbers = range(needed, lot + 1)
    mixture = sum((sequence_chance(correct, wrong, good=good, lot=lot) for good in numbers), Fraction(0)) / len(numbers)
    if not null:
        return None if mixture else Fraction(0)
    return mixture / null


@given(LOTS, THRESHOLDS)
@settings(deadline=None)
def test_evidence_of_a_lot_equals_one_in_fractions(case: tuple[int, int, int], threshold: float) -> None:
    lot, correct, wrong = case
    found = log_e(correct, wrong, threshold=threshold, lot=lot)
    expected = slowly(correct, wrong, threshold=threshold, lot=lot)
    if expected is None:
        assert found == math.inf
    elif not expected:
        assert found == -math.inf
    else:
        assert found == pytest.approx(math.log(expected), abs=1e-9)


@given(st.integers(1, 60), THRESHOLDS, st.data())
@settings(deadline=None)
def test_a_lot_that_is_checked_whole_is_decided_for_certain(lot: int, threshold: float, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, lot))
    reaches = correct >= threshold * lot - 1e-9
    of_lot = {"threshold": threshold, "lot": lot}
    assert (log_e(correct, lot - correct, **of_lot) == math.inf) == reaches  # type: ignore[arg-type]
    assert (log_e_against(correct, lot - correct, **of_lot) == math.inf) == (not reaches)  # type: ignore[arg-type]


@pytest.mark.parametrize("lot", [40, 120])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_lots_risks_are_kept_whenever_one_stops(lot: int, confidence: float) -> None:
    """Every path through a lot that is just below, or just at, the threshold, with a look after each item."""
    threshold, wanted = 0.9, evidence_wanted(confidence)
    needed = math.ceil(threshold * lot - 1e-9)
    for good, function in ((needed - 1, log_e), (needed, log_e_against)):
        running, crossed = {0: 1.0}, 0.0
        for n in range(1, lot + 1):
            after: dict[int, float] = {}
            for correct, chance in running.items():
                hit = (good - correct) / (lot - n + 1)
                after[correct + 1] = after.get(correct + 1, 0.0) + chance * hit
                after[correct] = after.get(correct, 0.0) + chance * (1 - hit)
            running = {}
            for correct, chance in after.items():
                if chance and function(correct, n - correct, threshold=threshold, lot=lot) >= wanted:
                    crossed += chance
                elif chance:
                    running[correct] = chance
        assert 0 < crossed <= 1 - confidence + 1e-12


def test_a_large_lot_is_as_good_as_endless() -> None:
    endless, large = (log_e(190, 10, threshold=0.9, lot=lot) for lot in (None, 500_000))
    assert large == pytest.approx(endless, abs=2e-3)


def test_evidence_beyond_floats_and_beyond_the_lot() -> None:
    assert e_value(100_000, 0, threshold=0.5) == math.inf
    assert e_value(0, 100_000, threshold=0.5) == 0
    with pytest.raises(ValueError, match="lot of 5"):
        log_e(4, 2, threshold=0.5, lot=5)
