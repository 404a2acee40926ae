"""N-grams are counted as a plain count does, the regression is that of scikit-learn, and no text is judged by its own."""

import random
from collections import Counter

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from models.review_texts import Review
from models.teacher import TeacherSettings, count_ngrams, fit_logistic, fold_of, soft_targets, weighed

ROWS = st.lists(st.lists(st.integers(1, 4), max_size=8), min_size=1, max_size=10)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(ROWS, st.integers(1, 3), st.integers(1, 2))
def test_ngrams_are_counted_as_a_plain_count_does(rows: list[list[int]], longest: int, least: int) -> None:
    plain = [
        Counter(tuple(row[at : at + size]) for size in range(1, longest + 1) for at in range(len(row) - size + 1))
        for row in rows
    ]
    of_rows = Counter(gram for row in plain for gram in row)
    kept = [gram for gram, seen in of_rows.items() if seen >= least]
    found = count_ngrams(rows, longest, least=least).toarray()
    expected = np.array([[row[gram] for gram in kept] for row in plain], np.float32).reshape(len(rows), len(kept))
    assert sorted(map(tuple, found.T)) == sorted(map(tuple, expected.T))


def test_weighed_rows_have_length_one_or_are_empty() -> None:
    matrix = weighed(count_ngrams([[1, 2, 3], [], [1, 1, 1, 2]], 2, least=1))
    assert np.linalg.norm(matrix.toarray(), axis=1) == pytest.approx([1, 0, 1])


def test_regression_is_that_of_scikit_learn() -> None:
    draws = np.random.default_rng(3)
    dense = draws.random((80, 12)).astype(np.float32)
    marks = dense[:, 0] + 0.3 * draws.random(80) > 0.7
    weights = fit_logistic(csr_matrix(dense), marks, inverse_penalty=2.0, steps=200)
    oracle = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-8).fit(dense, marks)
    assert weights == pytest.approx(oracle.coef_[0], abs=2e-3)


def made(count: int, labels: list[str]) -> list[Review]:
    draws = random.Random(9)  # noqa: S311
    words = {label: [f"{label}{index}" for index in range(6)] for label in labels}
    return [
        Review(
            f"{draws.choice(words[label])} {draws.choice(words[label])} word{index}",
            label,
            f"file{index % 2}",
            f"group{index}",
        )
        for index, label in enumerate(draws.choice(labels) for _ in range(count))
    ]


@pytest.mark.parametrize("labels", [["negative", "positive"], ["negative", "neutral", "positive"]])
def test_answers_are_probabilities_and_mostly_right(labels: list[str]) -> None:
    reviews = made(300, labels)
    shares = soft_targets(reviews, labels=labels, settings=TeacherSettings(folds=3))
    assert shares.shape == (300, len(labels))
    assert shares.sum(axis=1) == pytest.approx(np.ones(300))
    right = [labels[place] == review.label for place, review in zip(shares.argmax(axis=1), reviews, strict=True)]
    assert np.mean(right) > 0.9


def test_a_wrong_label_does_not_reach_its_own_answer() -> None:
    reviews = made(300, ["negative", "positive"])
    settings = TeacherSettings(folds=3)
    place = next(index for index, review in enumerate(reviews) if review.label == "positive")
    turned = list(reviews)
    turned[place] = Review(reviews[place].text, "negative", reviews[place].file, reviews[place].group)
    before, after = (
        soft_targets(texts, labels=["negative", "positive"], settings=settings)[place] for texts in (reviews, turned)
    )
    assert after == pytest.approx(before, abs=0.05)  # the scaling by file alone moves
    assert after[1] > 0.8


def test_a_group_shares_its_fold_and_folds_are_all_used() -> None:
    reviews = made(100, ["a", "b"])
    assert {fold_of(review, 5) for review in reviews} == set(range(5))
    assert fold_of(reviews[0], 5) == fold_of(Review("other", "a", "f", reviews[0].group), 5)
