import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.sampling.sequential import Lines, course, group_lines, group_looks, sprt, sprt_lines, sprt_mean_items

DUNCAN = [
    (0.01, 0.03, 2.5829, 2.0118, 0.01824, (111, 3, 216, 290, 181)),
    (0.02, 0.10, 1.7056, 1.3285, 0.05025, (27, 2, 39, 47, 28)),
]
LOOKS = (100, 200, 300, 400, 500)


@pytest.mark.parametrize(("good", "bad", "above", "below", "slope", "items"), DUNCAN)
def test_published_lines(good: float, bad: float, above: float, below: float, slope: float, items: tuple[int, ...]) -> None:
    test = sprt(good, bad, alpha=0.05, beta=0.10)
    assert test.above == pytest.approx(above, abs=5.1e-5)
    assert test.below == pytest.approx(below, abs=5.1e-5)
    assert test.slope == pytest.approx(slope, abs=5.1e-6)
    mean = sprt_mean_items(test, good=good, bad=bad, alpha=0.05, beta=0.10)
    # where every item is right, or wrong, the number is no mean: the first whole one over the line
    at_ends = (math.ceil(mean["none"]), math.ceil(mean["all"]))
    assert (*at_ends, *(round(mean[name]) for name in ("good", "slope", "bad"))) == items


def test_lines_of_five_and_ten_per_cent() -> None:
    test = sprt(0.05, 0.10, alpha=0.05, beta=0.05)
    assert test.above == test.below == pytest.approx(3.940554, abs=1e-6)
    assert test.slope == pytest.approx(0.072358, abs=1e-6)
    lines = sprt_lines(test, 6000)
    assert int(np.flatnonzero(lines.accept >= 0)[0]) == 55
    assert lines.accept[55] == 0
    found = course(lines, np.array([0.05, 0.10, 0.02, 0.07]))
    assert found.undecided == pytest.approx([0, 0, 0, 0], abs=1e-12)
    assert found.accepted[[0, 1, 3]] == pytest.approx([0.9605, 0.0491, 0.589], abs=5.1e-4)
    assert found.accepted[:2] == pytest.approx([0.9605, 0.0491], abs=5.1e-5)
    assert found.mean_items == pytest.approx([163, 140, 76, 253], abs=0.51)
    assert found.accepted + found.rejected == pytest.approx([1, 1, 1, 1])


def test_shares_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="0 < good < bad < 1"):
        sprt(0.1, 0.05, alpha=0.05, beta=0.05)


@pytest.mark.parametrize(
    ("bonferroni", "correct", "false_acceptance"),
    [(False, (96, 188, 279, 371, 462), 0.0956), (True, (97, 190, 282, 374, 466), 0.0271)],
)
def test_looks_at_a_growing_sample(bonferroni: bool, correct: tuple[int, ...], false_acceptance: float) -> None:
    allowed = group_looks(LOOKS, threshold=0.9, confidence=0.95, bonferroni=bonferroni)
    assert tuple(n - (errors or 0) for n, errors in allowed.items()) == correct
    found = course(group_lines(allowed), np.array([0.10, 0.05]))
    assert found.accepted[0] == pytest.approx(false_acceptance, abs=5.1e-5)
    if bonferroni:
        assert found.accepted[1] == pytest.approx(0.977, abs=5.1e-4)
        assert found.mean_items[1] == pytest.approx(235, abs=0.51)


def test_one_look_takes_the_risk_of_one() -> None:
    allowed = group_looks((500,), threshold=0.9, confidence=0.95)
    assert course(group_lines(allowed), np.array([0.10])).accepted == pytest.approx([0.0393], abs=5.1e-5)


def test_a_look_that_no_sample_can_pass_accepts_nothing() -> None:
    allowed = group_looks((10, 29), threshold=0.9, confidence=0.95, bonferroni=False)
    assert allowed == {10: None, 29: 0}
    assert course(group_lines(allowed), np.array([0.0])).mean_items == pytest.approx([29])


def exactly(lines: Lines, wrong: Fraction) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Walk every number of errors with fractions."""
    running = {0: Fraction(1)}
    accepted = rejected = items = Fraction(0)
    for n in range(1, lines.accept.size):
        items += sum(running.values(), Fraction(0))
        after: dict[int, Fraction] = {}
        for errors, chance in running.items():
            after[errors] = after.get(errors, Fraction(0)) + chance * (1 - wrong)
            after[errors + 1] = after.get(errors + 1, Fraction(0)) + chance * wrong
        running = {}
        for errors, chance in after.items():
            if errors <= lines.accept[n]:
                accepted += chance
            elif errors >= lines.reject[n]:
                rejected += chance
            else:
                running[errors] = chance
    return accepted, rejected, sum(running.values(), Fraction(0)), items


@st.composite
def any_lines(draw: st.DrawFn) -> Lines:
    """Rising lines that never meet, as those of every test here, with looks left out."""
    most = draw(st.integers(1, 25))
    accept, reject = [-1], [most + 1]
    floor, ceiling = -1, draw(st.integers(1, 4))
    for n in range(1, most + 1):
        floor = min(floor + draw(st.integers(0, 1)), ceiling - 1, n)
        ceiling = ceiling + draw(st.integers(0, 1))
        look = draw(st.booleans())
        accept.append(floor if look else -1)
        reject.append(ceiling if look and ceiling <= n else most + 1)
    return Lines(np.array(accept), np.array(reject))


@given(any_lines(), st.fractions(0, 1, max_denominator=20))
@settings(max_examples=100, deadline=None)
def test_the_walk_equals_one_in_fractions(lines: Lines, wrong: Fraction) -> None:
    found = course(lines, np.array([float(wrong), 0.5]))
    for value, expected in zip(found, exactly(lines, wrong), strict=True):
        assert value[0] == pytest.approx(float(expected), abs=1e-12)
