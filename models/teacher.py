"""A linear teacher: what it thinks of texts that it has not seen, for a small network to learn from (distillation).

Three logistic regressions on n-grams of characters and of words are averaged: one a file, one a file on features scaled by
naive Bayes' log ratios (Wang & Manning 2012), and one of those over all files. By cross-fitting every text is judged by
teachers that were trained without its group, so that their answers are no memory of its label. Targets made so teach what
n-grams weigh, which hard labels alone do not say (Hinton et al. 2015, arXiv:1503.02531).
"""

import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit

from models.review_texts import Review

Tell = Callable[[str], None]
Matrix: TypeAlias = "csr_matrix[Any]"
Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

_UNIT = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+|[!?,.;~]")
_BUCKETS = 1 << 24
_ODD = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """Everything that decides the teacher's answers, besides the texts."""

    folds: int = 5
    characters: int = 5  # longest n-gram of characters
    words: int = 3  # longest n-gram of words; a Chinese character is one
    least_texts: int = 2  # an n-gram of fewer training texts is left out
    inverse_penalty: float = 10.0
    smoothing: float = 0.1  # of naive Bayes' counts
    steps: int = 40


def character_units(text: str) -> list[int]:
    """Return the code points of `text` in normal form, with one space between words and at both ends."""
    return list(map(ord, f" {' '.join(unicodedata.normalize('NFKC', text).casefold().split())} "))


def word_units(text: str) -> list[int]:
    """Return a number for every word, Chinese character and mark of `text` in normal form."""
    return [zlib.crc32(unit.encode()) for unit in _UNIT.findall(unicodedata.normalize("NFKC", text).casefold())]


def count_ngrams(rows: Sequence[Sequence[int]], longest: int, *, least: int) -> Matrix:
    """Return how often every n-gram of one to `longest` units stands in every row: (rows, n-grams).

    N-grams are told apart by a hash of 24 bits. Those of fewer than `least` rows are left out.
    """
    lengths = np.array([len(row) for row in rows], np.int64)
    units = np.concatenate([np.asarray(row, np.uint64) for row in rows])
    owners = np.repeat(np.arange(len(rows)), lengths)
    hashed = np.zeros(len(units), np.uint64)
    parts = []
    for size in range(1, longest + 1):
        count = max(0, len(units) - size + 1)
        hashed = (hashed[:count] + units[size - 1 : size - 1 + count] + np.uint64(size)) * np.uint64(_ODD)
        hashed ^= hashed >> np.uint64(31)
        inside = owners[:count] == owners[size - 1 : size - 1 + count]
        buckets = (hashed[inside] % np.uint64(_BUCKETS)).astype(np.int32)
        ends = np.concatenate([[0], np.cumsum(np.maximum(lengths - size + 1, 0))])
        counts: Matrix = csr_matrix((np.ones(len(buckets), np.float32), buckets, ends), shape=(len(rows), _BUCKETS))
        counts.sum_duplicates()
        parts.append(_frequent(counts, least))
    return csr_matrix(hstack(parts, format="csr", dtype=np.float32))


def _frequent(counts: Matrix, least: int) -> Matrix:
    seen = np.bincount(counts.indices, minlength=_BUCKETS)
    kept = np.flatnonzero(seen >= least)
    column = np.full(_BUCKETS, -1, np.int32)
    column[kept] = np.arange(len(kept))
    places = column[counts.indices]
    inside = places >= 0
    ends = np.concatenate([[0], np.cumsum(inside)])[counts.indptr]
    return csr_matrix((counts.data[inside], places[inside], ends), shape=(counts.shape[0], len(kept)))


def weighed(counts: Matrix) -> Matrix:
    """Return `counts`, changed in place, as sublinear tf-idf with rows of length 1."""
    seen = np.bincount(counts.indices, minlength=counts.shape[1])
    rarity = (np.log((1 + counts.shape[0]) / (1 + seen)) + 1).astype(np.float32)
    counts.data = (1 + np.log(counts.data)) * rarity[counts.indices]
    return _unit_rows(counts)


def _unit_rows(matrix: Matrix) -> Matrix:
    squares = np.concatenate([[0.0], np.cumsum(matrix.data.astype(np.float64) ** 2)])[matrix.indptr]
    lengths = np.sqrt(np.maximum(np.diff(squares), 1e-12))
    matrix.data = (matrix.data / np.repeat(lengths, np.diff(matrix.indptr))).astype(np.float32)
    return matrix


def fit_logistic(features: Matrix, marks: Marks, *, inverse_penalty: float, steps: int) -> Floats:
    """Return the weights of an L2-penalised logistic regression without intercept, by at most `steps` of L-BFGS."""
    signs = np.where(marks, 1.0, -1.0).astype(np.float32)
    across = features.T.tocsr()

    def loss(weights: Floats) -> tuple[float, Floats]:
        margins = signs * (features @ weights.astype(np.float32))
        pull = (-signs * expit(-margins)).astype(np.float32)
        value = inverse_penalty * float(np.logaddexp(0, -margins.astype(np.float64)).sum()) + 0.5 * float(weights @ weights)
        return value, inverse_penalty * (across @ pull).astype(np.float64) + weights

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 6})
    return np.asarray(found.x, np.float64)


def _ratios(features: Matrix, marks: Marks, smoothing: float) -> NDArray[np.float32]:
    """Return naive Bayes' log ratio of every feature."""
    yes, no = (np.asarray(features[side].sum(axis=0)).ravel() + smoothing for side in (marks, ~marks))
    return np.asarray(np.log(yes / yes.sum()) - np.log(no / no.sum()), np.float32)


def _scaled(features: Matrix, ratios: NDArray[np.float32]) -> Matrix:
    """Return a copy with every column scaled and the rows of length 1."""
    data = features.data * ratios[features.indices]
    return _unit_rows(csr_matrix((data, features.indices, features.indptr), shape=features.shape))


def soft_targets(
    reviews: Sequence[Review],
    *,
    labels: Sequence[str],
    settings: TeacherSettings | None = None,
    tell: Tell | None = None,
) -> Floats:
    """Return the probabilities of `labels` for `reviews`: (reviews, labels).

    No text is judged by a teacher that saw a text of its group. Scores become probabilities by Platt's scaling of each file.
    """
    chosen, report = settings or TeacherSettings(), tell or (lambda line: None)
    features = _features([review.text for review in reviews], chosen)
    report(f"teacher: {features.shape[1]} n-grams in {features.shape[0]} texts")
    files = np.array([review.file for review in reviews])
    folds = np.array([fold_of(review, chosen.folds) for review in reviews])
    answers = []
    for label in labels[1:] if len(labels) == 2 else labels:  # of two labels one answer tells both
        marks = np.array([review.label == label for review in reviews])
        scores = np.zeros((3, len(reviews)))
        for fold in range(chosen.folds):
            for kind, aside, found in _judge(features, marks, folds == fold, files, chosen):
                scores[kind, aside] = found
            report(f"teacher: {label}, fold {fold + 1} of {chosen.folds}")
        answers.append(_probabilities(scores, marks, files))
    return _shares(answers, len(labels))


def _features(texts: Sequence[str], settings: TeacherSettings) -> Matrix:
    """Return the weighed n-grams of characters and of words, side by side: (texts, n-grams)."""
    counted = [
        count_ngrams(list(map(units, texts)), longest, least=settings.least_texts)
        for units, longest in ((character_units, settings.characters), (word_units, settings.words))
    ]
    return csr_matrix(hstack(list(map(weighed, counted)), format="csr", dtype=np.float32))


def fold_of(review: Review, folds: int) -> int:
    """Return the fold of a text, which it shares with its group."""
    return zlib.crc32(review.group.encode()) % folds


def _judge(
    features: Matrix, marks: Marks, judged: Marks, files: NDArray[np.str_], settings: TeacherSettings
) -> Iterator[tuple[int, NDArray[np.intp], Floats]]:
    """Yield (kind of teacher, rows, their scores) for the rows `judged`, of teachers trained on the others."""
    sides = (~judged, judged)
    for file in sorted(set(files)):
        seen, aside = (np.flatnonzero(side & (files == file)) for side in sides)
        if len(seen) and len(aside):
            yield 0, aside, features[aside] @ _fitted(features[seen], marks[seen], settings)
            yield 1, aside, _bayes(features, marks, seen, aside, settings)
    seen, aside = map(np.flatnonzero, sides)
    if len(seen) and len(aside):
        yield 2, aside, _bayes(features, marks, seen, aside, settings)


def _fitted(features: Matrix, marks: Marks, settings: TeacherSettings) -> Floats:
    return fit_logistic(features, marks, inverse_penalty=settings.inverse_penalty, steps=settings.steps)


def _bayes(
    features: Matrix, marks: Marks, seen: NDArray[np.intp], aside: NDArray[np.intp], settings: TeacherSettings
) -> Floats:
    """Return the scores of rows put aside, by a regression on features scaled by naive Bayes' ratios of the rows seen."""
    ratios = _ratios(features[seen], marks[seen], settings.smoothing)
    weights = _fitted(_scaled(features[seen], ratios), marks[seen], settings)
    return np.asarray(_scaled(features[aside], ratios) @ weights, np.float64)


def _probabilities(scores: Floats, marks: Marks, files: NDArray[np.str_]) -> Floats:
    """Return one probability a row: the mean of the teachers' scores at like spread, scaled by Platt's method per file."""
    mean = (scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)).mean(axis=0)
    found = np.zeros(len(mean))
    for file in sorted(set(files)):
        rows = files == file
        signs = np.where(marks[rows], 1.0, -1.0)

        def loss(line: Floats, at: Floats = mean[rows], signs: Floats = signs) -> float:
            return float(np.logaddexp(0, -signs * (line[0] * at + line[1])).mean())

        slope, shift = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
        found[rows] = expit(slope * mean[rows] + shift)
    return found


def _shares(answers: Sequence[Floats], labels: int) -> Floats:
    if labels == 2:
        return np.stack([1 - answers[0], answers[0]], axis=1)
    whole = np.stack(list(answers), axis=1) + 1e-9
    return np.asarray(whole / whole.sum(axis=1, keepdims=True), np.float64)
