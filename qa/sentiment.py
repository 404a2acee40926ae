"""Figures over a confusion matrix of texts: definitions in the acceptance notes, section 3.7."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.acceptance import SentimentBound
from contract.scores import Interval
from qa.bounds import BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED, Limits, clopper_pearson, finite_lot, jeffreys, wilson
from qa.rates import share

Table = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """Counts of texts by gold label (rows) and submitted label (columns); `missing` by gold label."""

    table: Table
    missing: Table

    @property
    def n(self) -> int:
        """Texts with a gold label."""
        return int(self.table.sum() + self.missing.sum())

    @property
    def correct(self) -> int:
        """Texts with the gold's label."""
        return int(np.trace(self.table))

    def class_counts(self) -> tuple[Table, Table, Table]:
        """Return tp, fp, fn of each label; a text without a submitted label is a miss."""
        tp = np.diag(self.table)
        return tp, self.table.sum(axis=0) - tp, self.table.sum(axis=1) - tp + self.missing


def macro_f1(answers: Answers) -> float | None:
    """Return the mean F1 of the labels that occur on either side; None where none does."""
    tp, fp, fn = answers.class_counts()
    occurs = 2 * tp + fp + fn > 0
    return float((2 * tp[occurs] / (2 * tp + fp + fn)[occurs]).mean()) if occurs.any() else None


def weighted_f1(answers: Answers) -> float | None:
    """Return the mean F1 of labels weighted by how often the gold has them."""
    tp, fp, fn = answers.class_counts()
    support = tp + fn
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    return float((support * f1).sum() / support.sum()) if support.any() else None


def balanced_accuracy(answers: Answers) -> float | None:
    """Return the mean recall of the labels that the gold has."""
    tp, _, fn = answers.class_counts()
    occurs = tp + fn > 0
    return float((tp[occurs] / (tp + fn)[occurs]).mean()) if occurs.any() else None


def share_interval(correct: int, n: int, *, bound: SentimentBound, lot_items: int | None = None) -> Interval:
    """Return the one-sided limits of a share of texts; those of the finite lot where terms and caller give it.

    The finite lot replaces the method by the exact hypergeometric limit, divided by the lot's size.
    """
    lot = lot_items if bound.finite_lot else None
    limits: Limits | None = None
    method: str = bound.method
    if n and lot is not None:
        low, high = finite_lot(correct, n, lot=max(lot, n), confidence=bound.confidence)
        limits, method = (low / max(lot, n), high / max(lot, n)), "hypergeometric"
    elif n:
        function = {"clopper_pearson": clopper_pearson, "wilson": wilson, "jeffreys": jeffreys}[bound.method]
        limits = function(correct, n, confidence=bound.confidence)
    return Interval(
        estimate=share(correct, n),
        lower=limits[0] if limits else None,
        upper=limits[1] if limits else None,
        method=method,
        confidence=bound.confidence,
        units=n,
        lot_items=lot,
        reason=None if n else "there is no text to count",
    )


def macro_f1_interval(answers: Answers, *, bound: SentimentBound) -> Interval:
    """Return one-sided limits of macro-F1: quantiles under a Dirichlet posterior of each gold label's row.

    Macro-F1 is no share, so that the binomial limits do not apply. Each gold label's row of the matrix gets
    a prior of one text spread evenly over the outcomes (Perks), so that a label seen a few times and always
    right is not taken as certain; the number of texts of each label is held as it was drawn.
    """
    estimate = macro_f1(answers)
    full = np.column_stack([answers.table, answers.missing])
    rows = np.flatnonzero(full.sum(axis=1))
    limits: Limits | None = None
    if rows.size:
        generator = np.random.default_rng(BOOTSTRAP_SEED)
        # no label at all is always possible: else a single label would be certain after one text
        used = np.flatnonzero((full.sum(axis=0) > 0) | np.append(full.sum(axis=1) > 0, True))
        drawn = np.zeros((BOOTSTRAP_RESAMPLES, *full.shape))
        for row in rows.tolist():
            counts = full[row, used] + 1 / used.size
            drawn[:, row, used] = generator.dirichlet(counts, size=BOOTSTRAP_RESAMPLES) * full[row].sum()
        limits = _quantiles(drawn, bound.confidence)
    return Interval(
        estimate=estimate,
        lower=limits[0] if limits else None,
        upper=limits[1] if limits else None,
        method="dirichlet",
        confidence=bound.confidence,
        units=answers.n,
        reason=None if limits else "there is no text to count",
    )


def _quantiles(drawn: NDArray[np.float64], confidence: float) -> Limits:
    tp = np.diagonal(drawn, axis1=1, axis2=2)
    both = drawn.sum(axis=2)[:, : tp.shape[1]] + drawn.sum(axis=1)[:, : tp.shape[1]]  # gold plus submitted
    occurs = both.any(axis=0)
    f1 = (2 * tp[:, occurs] / both[:, occurs]).mean(axis=1)
    lower, upper = np.quantile(f1, [1 - confidence, confidence])
    return float(lower), float(upper)
