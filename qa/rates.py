"""From counts to rates and limits: division happens here, once, and what is undefined says why."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.acceptance import BoxBound, VideoBound
from contract.scores import Interval
from qa.bounds import Limits, Ratio, cluster_bootstrap, f1_cap, korn_graubard, ratio

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """True positives, false positives and misses of each unit of sampling."""

    tp: Counts
    fp: Counts
    fn: Counts

    def totals(self) -> tuple[int, int, int]:
        """Return the sums over all units."""
        return int(self.tp.sum()), int(self.fp.sum()), int(self.fn.sum())


def rates(tp: int, fp: int, fn: int) -> dict[str, Any]:
    """Return the fields of `contract.scores.Rates`."""
    reasons = {}
    if not tp + fp:
        reasons["precision"] = "the submission has nothing to count"
    if not tp + fn:
        reasons["recall"] = "the gold has nothing to find"
    if not tp + fp + fn:
        reasons["f1"] = "neither side has anything"
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
        "f1": share(2 * tp, 2 * tp + fp + fn),
        "reasons": reasons,
    }


def share(part: int, whole: int) -> float | None:
    """Return part / whole, None where the whole is 0."""
    return part / whole if whole else None


def interval(
    good: Counts,
    total: Counts,
    *,
    bound: BoxBound | VideoBound,
    lot_items: int | None,
    is_f1: bool = False,
    sampled: int | None = None,
) -> Interval:
    """Return the one-sided limits of sum(good) / sum(total) over units of sampling.

    Where the sample is the whole lot the figure is exact, and both limits are the estimate.

    Args:
        good: of each unit.
        total: of each unit.
        bound: the method and its confidence.
        lot_items: size of the lot, where it is known.
        is_f1: whether the ratio is F1, whose units are not independent.
        sampled: number of units drawn, where those with nothing to count are left out of the arrays.
    """
    units = good.size if sampled is None else sampled
    of = ratio(good, total, sampled=units, lot=lot_items)
    limits, reason = _limits(of, bound, census=lot_items is not None and units >= lot_items, is_f1=is_f1)
    return Interval(
        estimate=None if of is None else of.share,
        lower=limits[0] if limits else None,
        upper=limits[1] if limits else None,
        method=bound.method,
        confidence=bound.confidence,
        units=0 if of is None else of.total.size,
        lot_items=lot_items,
        reason=reason,
    )


def _limits(
    of: Ratio | None, bound: BoxBound | VideoBound, *, census: bool, is_f1: bool
) -> tuple[Limits | None, str | None]:
    if of is None:
        return None, "there is nothing to count"
    if census:
        return (of.share, of.share), None
    if bound.method == "cluster_bootstrap":
        limits = cluster_bootstrap(of, confidence=bound.confidence)
    else:
        limits = korn_graubard(of, confidence=bound.confidence, cap=f1_cap(of) if is_f1 else None)
    if limits is None:
        return None, f"one {bound.cluster} alone does not show how {bound.cluster}s differ"
    return limits, None


def three_intervals(sums: Sums, *, bound: BoxBound | VideoBound, lot_items: int | None) -> dict[str, Interval]:
    """Return the limits of precision, recall and F1."""
    tp, fp, fn = sums.tp, sums.fp, sums.fn
    return {
        "precision": interval(tp, tp + fp, bound=bound, lot_items=lot_items),
        "recall": interval(tp, tp + fn, bound=bound, lot_items=lot_items),
        "f1": interval(2 * tp, 2 * tp + fp + fn, bound=bound, lot_items=lot_items, is_f1=True),
    }
