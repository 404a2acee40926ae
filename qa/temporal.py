"""Matching along time: keyframes, starts of shots, and events. Definitions: the acceptance notes, section 3.8."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qa.iou import TIE
from qa.matching import Indices, assign, pairs_within

ACTIVITYNET_THRESHOLDS: Final = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TimePairs:
    """Gold element, label element and the quality of the pair: an offset, or a tIoU."""

    gold: Indices
    label: Indices
    quality: Floats


def match_points(gold: Floats, labels: Floats, *, gold_group: Indices, label_group: Indices, tolerance: float) -> TimePairs:
    """Match points one-to-one within `tolerance`: most pairs first, then the least sum of |offset|.

    Points of different groups (videos) never match. Offsets at most 1e-9 beyond the tolerance are within it.
    Ties are settled by the points' times, so that their order cannot matter.
    """
    gold_order, label_order = np.lexsort((gold, gold_group)), np.lexsort((labels, label_group))
    left, right = pairs_within(gold_group[gold_order], label_group[label_order])
    offset = np.abs(gold[gold_order][left] - labels[label_order][right])
    near = offset <= tolerance + TIE
    left, right, offset = left[near], right[near], offset[near]
    closeness = 1 - offset / (tolerance + TIE)
    chosen = assign(left, right, closeness)
    return TimePairs(gold_order[left[chosen]], label_order[right[chosen]], offset[chosen])


def tiou(start: Floats, end: Floats, other_start: Floats, other_end: Floats) -> Floats:
    """Return intersection over union of time intervals, element by element; 0 where both are empty."""
    overlap = np.maximum(np.minimum(end, other_end) - np.maximum(start, other_start), 0.0)
    union = (end - start) + (other_end - other_start) - overlap
    result: Floats = np.divide(overlap, union, out=np.zeros_like(union), where=union > 0)
    return result


def match_intervals(
    gold: Floats, labels: Floats, *, gold_group: Indices, label_group: Indices, threshold: float
) -> TimePairs:
    """Match intervals (rows of start, end) one-to-one: most pairs first, then the greatest sum of tIoU.

    Intervals of different groups (video and event) never match. A tIoU at most 1e-9 below `threshold` reaches it.
    """
    gold_order = np.lexsort((gold[:, 1], gold[:, 0], gold_group))
    label_order = np.lexsort((labels[:, 1], labels[:, 0], label_group))
    left, right = pairs_within(gold_group[gold_order], label_group[label_order])
    overlap = tiou(*gold[gold_order][left].T, *labels[label_order][right].T)
    near = overlap >= threshold - TIE
    left, right, overlap = left[near], right[near], overlap[near]
    chosen = assign(left, right, overlap)
    return TimePairs(gold_order[left[chosen]], label_order[right[chosen]], overlap[chosen])


def average_precision(
    gold: Floats, labels: Floats, *, gold_group: Indices, label_group: Indices, scores: Floats, threshold: float
) -> float | None:
    """Return the all-point interpolated average precision of one class; None without gold.

    By descending score (ties: by group, then time) each interval takes the free gold of its group with the
    highest tIoU, if that reaches `threshold` (within 1e-9); source: the ActivityNet evaluation.
    """
    if not len(gold):
        return None
    order = np.lexsort((labels[:, 1], labels[:, 0], label_group, -scores))
    free = np.ones(len(gold), dtype=np.bool_)
    hits = np.zeros(len(labels), dtype=np.bool_)
    one, other = pairs_within(label_group[order], gold_group)
    overlap = tiou(*labels[order][one].T, *gold[other].T)
    near = overlap >= threshold - TIE
    one, other, overlap = one[near], other[near], overlap[near]
    for edge in np.lexsort((gold[other, 1], gold[other, 0], -overlap, one)).tolist():
        if not hits[one[edge]] and free[other[edge]]:
            hits[one[edge]] = True
            free[other[edge]] = False
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return math.fsum(envelope[hits].tolist()) / len(gold)
