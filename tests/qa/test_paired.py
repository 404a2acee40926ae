"""McNemar's test against scipy and enumeration, the paired bootstrap against a loop of its own."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qa.paired import mcnemar, paired_gain


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_mcnemar_is_scipys_binomial_test_of_the_discordant(marks: list[tuple[bool, bool]]) -> None:
    base, candidate = (np.array([each[side] for each in marks], np.bool_) for side in (0, 1))
    found = mcnemar(base, candidate)
    gained, lost = marks.count((False, True)), marks.count((True, False))
    assert (found.texts, found.only_candidate, found.only_base) == (len(marks), gained, lost)
    expected = stats.binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    assert found.p == pytest.approx(expected, rel=1e-9)
    assert found.better == (gained > lost and expected <= 0.05)


def test_mcnemar_by_counting_all_outcomes() -> None:
    for gained, lost in itertools.product(range(7), range(7)):
        base = np.array([False] * gained + [True] * lost, np.bool_)
        apart = gained + lost
        as_far = [
            sum(flips)
            for flips in itertools.product((0, 1), repeat=apart)
            if abs(2 * sum(flips) - apart) >= abs(gained - lost)
        ]
        assert mcnemar(base, ~base).p == pytest.approx(len(as_far) / 2**apart)


def test_mcnemar_refuses_marks_of_different_texts() -> None:
    with pytest.raises(ValueError, match="different texts"):
        mcnemar(np.ones(2, np.bool_), np.ones(3, np.bool_))


def mean_of(values: Mapping[str, float]) -> object:
    def figure(times: Mapping[str, int]) -> float | None:
        return sum(values[name] * count for name, count in times.items()) / sum(times.values())

    return figure


def test_gain_of_a_mean_has_the_limits_of_a_loop() -> None:
    rng = np.random.default_rng(7)
    base = {f"{place:03d}": float(value) for place, value in enumerate(rng.random(60))}
    candidate = {name: value + 0.03 + 0.05 * float(rng.standard_normal()) for name, value in base.items()}
    found = paired_gain(list(base)[::-1], (mean_of(base), mean_of(candidate)), resamples=4000)  # type: ignore[arg-type]
    differences = np.array([candidate[name] - base[name] for name in base])
    slow = np.random.default_rng(8)
    means = [float(np.mean([differences[slow.integers(60)] for _ in range(60)])) for _ in range(2000)]
    assert found.gain == pytest.approx(differences.mean())
    assert found.lower == pytest.approx(np.quantile(means, 0.025), abs=0.002)
    assert found.upper == pytest.approx(np.quantile(means, 0.975), abs=0.002)
    assert found.better == (found.lower is not None and found.lower > 0)
    again = paired_gain(list(base), (mean_of(base), mean_of(candidate)), resamples=4000)  # type: ignore[arg-type]
    assert again == found


def test_same_figures_gain_nothing_and_undefined_says_why() -> None:
    same = mean_of({"a": 0.1, "b": 0.9})
    found = paired_gain(["a", "b"], (same, same), resamples=50)  # type: ignore[arg-type]
    assert (found.gain, found.lower, found.upper, found.better) == (0, 0, 0, False)
    for items, words in (([], "no item"), (["a"], "one item")):
        lone = paired_gain(items, (same, same), resamples=50)  # type: ignore[arg-type]
        assert lone.better is False
        assert words in (lone.reason or "")
    none = paired_gain(["a", "b"], (lambda times: None, same), resamples=50)  # type: ignore[arg-type]
    assert (none.better, none.reason) == (False, "the figure is undefined on these items")
