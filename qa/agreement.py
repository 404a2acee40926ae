"""Agreement of nominal and ordinal labels, from a table of counts or from raters with gaps.

Undefined figures are None. Sources: Cohen 1960 and 1968 (kappa, weighted kappa); Krippendorff 2011
(alpha, nominal, ordinal and interval, missing data); Gorodkin 2004 (MCC for more than two labels).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]
Weights = Literal["plain", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval"]


def cohen_kappa(table: Table, *, weights: Weights = "plain") -> float | None:
    """Return kappa of a square table of counts; None without counts or where chance alone explains all.

    `linear` and `quadratic` weigh a disagreement by the distance of the labels in the table's order.
    """
    total = int(table.sum())
    place = np.arange(len(table))
    distance = np.abs(place[:, None] - place[None, :]).astype(np.float64)
    cost = {"plain": (distance > 0).astype(np.float64), "linear": distance, "quadratic": distance**2}[weights]
    expected = float((cost * np.outer(table.sum(axis=1), table.sum(axis=0))).sum())
    if not total or not expected:
        return None
    return 1 - float((cost * table).sum()) * total / expected


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

    `values` are the numbers that the labels stand for (interval only); without them, their places.
    """
    total, margins = matrix.sum(), matrix.sum(axis=1)
    if level == "nominal":
        cost = 1 - np.eye(len(matrix))
    elif level == "ordinal":
        middle = np.cumsum(margins) - margins / 2
        cost = (middle[:, None] - middle[None, :]) ** 2
    else:
        numbers = np.arange(len(matrix), dtype=np.float64) if values is None else np.asarray(values, dtype=np.float64)
        cost = (numbers[:, None] - numbers[None, :]) ** 2
    expected = float((cost * np.outer(margins, margins)).sum())
    if not expected:
        return None
    return float(1 - (total - 1) * (cost * matrix).sum() / expected)
