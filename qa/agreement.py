"""Agreement of nominal, ordinal and numeric labels, from a table of counts or from raters with gaps.

Undefined figures are None. Sources: Cohen 1960 and 1968 (kappa, weighted kappa); Fleiss, Cohen and Everitt 1969 (its
standard error); Fleiss 1971 (many raters); Krippendorff 2011 (alpha, nominal, ordinal, interval and ratio, missing
data); Gorodkin 2004 (MCC for more than two labels).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Table = NDArray[np.int64]
Weights = Literal["plain", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval", "ratio"]


def cohen_kappa(table: Table, *, weights: Weights = "plain") -> float | None:
    """Return kappa of a square table of counts; None without counts or where chance alone explains all.

    `linear` and `quadratic` weigh a disagreement by the distance of the labels in the table's order.
    """
    total = int(table.sum())
    cost = _cost(len(table), weights)
    expected = float((cost * np.outer(table.sum(axis=1), table.sum(axis=0))).sum())
    if not total or not expected:
        return None
    return 1 - float((cost * table).sum()) * total / expected


def _cost(labels: int, weights: Weights) -> NDArray[np.float64]:
    place = np.arange(labels)
    distance = np.abs(place[:, None] - place[None, :]).astype(np.float64)
    cost = distance ** {"plain": 0, "linear": 1, "quadratic": 2}[weights]
    return np.asarray(cost * (distance > 0), dtype=np.float64)


class Kappa(NamedTuple):
    """Cohen's kappa with its large-sample standard error and two-sided limits."""

    estimate: float
    standard_error: float
    lower: float
    upper: float


def cohen_kappa_interval(table: Table, *, weights: Weights = "plain", confidence: float = 0.95) -> Kappa | None:
    """Return kappa with its standard error by the delta method and normal limits; None where kappa is None."""
    kappa = cohen_kappa(table, weights=weights)
    if kappa is None:
        return None
    total = int(table.sum())
    joint = table / total
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    cost = _cost(len(table), weights)
    credit = 1 - cost / cost.max()
    expected = float((credit * np.outer(rows, columns)).sum())
    slope = (credit @ columns)[:, None] + (rows @ credit)[None, :]
    spread = float((joint * (credit - slope * (1 - kappa)) ** 2).sum()) - (kappa - expected * (1 - kappa)) ** 2
    error = max(spread, 0.0) ** 0.5 / (1 - expected) / total**0.5
    half = float(special.ndtri(1 - (1 - confidence) / 2)) * error
    return Kappa(kappa, error, kappa - half, kappa + half)


def fleiss_kappa(counts: Table) -> float | None:
    """Return kappa of subjects (rows) that equally many raters put into labels (columns).

    Returns:
        None without subjects, with one rater, or where only one label occurs.

    Raises:
        ValueError: the subjects have unequal numbers of ratings; alpha takes those.
    """
    ratings = counts.sum(axis=1)
    if not ratings.size:
        return None
    raters = int(ratings[0])
    if (ratings != raters).any():
        raise ValueError("Fleiss' kappa needs equally many ratings of every subject; use Krippendorff's alpha for gaps")
    shares = counts.sum(axis=0) / max(int(ratings.sum()), 1)
    chance = float((shares**2).sum())
    if raters < 2 or np.count_nonzero(shares) < 2:
        return None
    agreed = float(((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean())
    return (agreed - chance) / (1 - chance)


def matthews(table: Table) -> float | None:
    """Return the multi-class correlation coefficient; None where either side uses one label only."""
    total, correct = int(table.sum()), int(np.trace(table))
    rows, columns = table.sum(axis=1).astype(object), table.sum(axis=0).astype(object)  # object: no overflow
    spread = (total**2 - int((rows**2).sum())) * (total**2 - int((columns**2).sum()))
    if not spread:
        return None
    return float((correct * total - int((rows * columns).sum())) / spread**0.5)


def coincidences(table: Table) -> NDArray[np.float64]:
    """Return Krippendorff's coincidence matrix of two raters from their table of counts."""
    return np.asarray(table + table.T, dtype=np.float64)


def coincidences_of_raters(ratings: Sequence[Sequence[int | None]], *, labels: int) -> NDArray[np.float64]:
    """Return the coincidence matrix of raters (rows) over units (columns); None where a rater has no label.

    Units with fewer than two labels cannot agree or disagree, and drop out.
    """
    result = np.zeros((labels, labels))
    for unit in zip(*ratings, strict=True):
        given = np.bincount([value for value in unit if value is not None], minlength=labels).astype(np.float64)
        if given.sum() >= 2:
            result += (np.outer(given, given) - np.diag(given)) / (given.sum() - 1)
    return result


def krippendorff_alpha(matrix: NDArray[np.float64], *, level: Level, values: Sequence[float] | None = None) -> float | None:
    """Return alpha of a coincidence matrix; None where fewer than two labels occur.

    `values` are the numbers that the labels stand for (interval and ratio only); without them, their places, and for
    ratios, which need a true zero, their places counted from 1.

    Raises:
        ValueError: a negative number at the level of ratios.
    """
    total, margins = matrix.sum(), matrix.sum(axis=1)
    if level == "nominal":
        cost = 1 - np.eye(len(matrix))
    elif level == "ordinal":
        middle = np.cumsum(margins) - margins / 2
        cost = (middle[:, None] - middle[None, :]) ** 2
    else:
        places = np.arange(len(matrix), dtype=np.float64) + (level == "ratio")
        cost = _distance(places if values is None else np.asarray(values, dtype=np.float64), level)
    expected = float((cost * np.outer(margins, margins)).sum())
    if not expected:
        return None
    return float(1 - (total - 1) * (cost * matrix).sum() / expected)


def _distance(numbers: NDArray[np.float64], level: Level) -> NDArray[np.float64]:
    difference = numbers[:, None] - numbers[None, :]
    if level == "interval":
        return difference**2
    if (numbers < 0).any():
        raise ValueError("ratios need numbers of at least 0")
    sums = numbers[:, None] + numbers[None, :]
    return np.divide(difference, sums, out=np.zeros_like(difference), where=sums > 0) ** 2
