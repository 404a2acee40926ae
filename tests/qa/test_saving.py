"""What review could be spared: against a loop over thresholds, and the promise of its proof by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qa.saving import first_texts, saving

SCORES = st.sampled_from([0.5, 0.7, 0.7 + 1e-9, 0.9, 0.99, 1.0])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(SCORES, st.booleans()), max_size=80),
    st.sampled_from([0.3, 0.6, 0.9]),
    st.sampled_from([0.5, 0.8, 0.95]),
    st.integers(1, 60),
)
def test_walk_is_that_of_a_loop(answers: list[tuple[float, bool]], demanded: float, confidence: float, steps: int) -> None:
    scores = np.array([each[0] for each in answers], np.float64)
    right = np.array([each[1] for each in answers], np.bool_)
    found = saving(scores, right, demanded=demanded, confidence=confidence, steps=steps)
    assert found.texts == len(answers)
    proven = None
    for step in found.curve:
        kept = [good for score, good in answers if score >= step.threshold]
        assert (step.texts, step.right) == (len(kept), sum(kept))
        lower = 0.0 if not step.right else stats.beta.ppf(1 - confidence, step.right, step.texts - step.right + 1)
        assert step.lower == pytest.approx(lower, abs=1e-9)
    for step in found.curve:
        if step.texts < first_texts(len(answers), demanded=demanded, confidence=confidence):
            continue
        if step.lower < demanded:
            break
        proven = step
    assert found.threshold == (None if proven is None else proven.threshold)
    assert (found.reason is None) == (proven is not None)
    assert [step.threshold for step in found.curve] == sorted({step.threshold for step in found.curve}, reverse=True)
    if answers:
        assert found.curve[-1].texts == len(answers)


@pytest.mark.parametrize(("demanded", "confidence"), [(0.9, 0.95), (0.95, 0.95), (0.98, 0.9), (0.5, 0.99)])
def test_walk_starts_where_some_errors_are_borne_or_at_a_quarter(demanded: float, confidence: float) -> None:
    for texts in (0, 1, 30, 100, 400, 3000, 30_000):
        start = first_texts(texts, demanded=demanded, confidence=confidence)
        assert demanded**start <= 1 - confidence + 1e-9  # no error at all would prove the demand
        errors = math.ceil(start * (1 - demanded) / 2)
        borne = stats.binom.cdf(errors, start, 1 - demanded) <= 1 - confidence + 1e-9
        assert borne or start == max(texts // 4, math.ceil(math.log(1 - confidence) / math.log(demanded)))
        assert start <= max(texts // 4 * 1.1 + 1, math.log(1 - confidence) / math.log(demanded) + 1)


def test_one_error_among_the_surest_does_not_end_the_walk() -> None:
    scores, right = np.linspace(1, 0.5, 2000), np.ones(2000, np.bool_)
    right[[3, 30]] = False
    found = saving(scores, right, demanded=0.95, confidence=0.95)
    assert found.share == 1.0
    assert found.curve[0].lower < 0.95


def test_what_is_proven_holds_as_often_as_is_said() -> None:
    """Of texts right with the chance that their score says, at most a tenth of the proofs at 0.9 may be wrong."""
    rng, wrong, rounds = np.random.default_rng(2), 0, 400
    for _ in range(rounds):
        scores = rng.uniform(0.6, 1, 300)
        found = saving(scores, rng.random(300) < scores, demanded=0.9, confidence=0.9)
        true = (1 + (found.threshold or 1)) / 2  # mean chance of texts from the threshold to 1
        wrong += true < 0.9
    assert wrong / rounds <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / rounds)


def test_too_few_and_too_bad_say_why() -> None:
    few = saving(np.ones(20), np.ones(20, np.bool_), demanded=0.9, confidence=0.95)
    assert (few.threshold, few.share) == (None, None)
    assert "fewer than 29" in (few.reason or "")
    bad = saving(np.ones(100), np.zeros(100, np.bool_), demanded=0.9, confidence=0.95)
    assert "surest" in (bad.reason or "")
    enough = saving(np.ones(29), np.ones(29, np.bool_), demanded=0.9, confidence=0.95)
    assert (enough.threshold, enough.share) == (1.0, 1.0)
    assert saving(np.zeros(0), np.zeros(0, np.bool_), demanded=0.9, confidence=0.95).curve == ()
    with pytest.raises(ValueError, match="between 0 and 1"):
        saving(np.ones(2), np.ones(2, np.bool_), demanded=1.0, confidence=0.95)
