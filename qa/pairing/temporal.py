"""Matching along time: keyframes, starts of shots, and events. Definitions: the acceptance notes, section 3.8."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from qa.pairing.bands import Points, Spans, match_in_order, overlapping_spans
from qa.pairing.components import choose_in_order
from qa.pairing.iou import TIE
from qa.pairing.matching import Indices, assign

_LEAST: Final = 1e-12  # a threshold of nothing would pair events that do not meet
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
    theirs = Points(gold_group[gold_order], gold[gold_order])
    ours = Points(label_group[label_order], labels[label_order])
    left, right = match_in_order(theirs, ours, tolerance + TIE)
    return TimePairs(gold_order[left], label_order[right], np.abs(theirs.time[left] - ours.time[right]))


def match_transitions(
    spans: Indices, starts: Indices, *, gold_group: Indices, label_group: Indices, tolerance: int
) -> TimePairs:
    """Match starts of shots one-to-one with transitions: most pairs first, then the least sum of offsets.

    A start is within `tolerance` frames of a transition that it lies in, or whose nearer end is at most so far away; the
    offset is that distance, 0 inside. This is the reading of evaluations of shot detection since TRECVID (Smeaton, Over and
    Doherty, 2010: a gradual change is found when it is met at all, each change once), with a tolerance beyond the ends.

    Args:
        spans: of the gold, shape (n, 2): first changed frame, first frame of the new shot; equal for a cut.
        starts: first frames of the submission's shots.
        gold_group: the video of each transition; those of different videos never match.
        label_group: the video of each start.
        tolerance: in frames, at least 0.
    """
    gold_order = np.lexsort((spans[:, 1], spans[:, 0], gold_group))
    label_order = np.lexsort((starts, label_group))
    ours, group = starts[label_order], label_group[label_order]
    theirs, gold = spans[gold_order], gold_group[gold_order]
    first = _places(group, ours, gold, theirs[:, 0] - tolerance, side="left")
    counts = np.maximum(_places(group, ours, gold, theirs[:, 1] + tolerance, side="right") - first, 0)
    left = np.repeat(np.arange(gold.size), counts)
    right = np.arange(left.size) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    offset = np.maximum(np.maximum(theirs[left, 0] - ours[right], ours[right] - theirs[left, 1]), 0).astype(np.float64)
    chosen = assign(left, right, 1 - offset / (tolerance + 1))
    return TimePairs(gold_order[left[chosen]], label_order[right[chosen]], offset[chosen])


def _places(group: Indices, frames: Indices, of: Indices, at: Indices, *, side: Literal["left", "right"]) -> Indices:
    """Return where (of, at) would stand among (group, frames), which ascend; frames of any size, negative ones too."""
    both = np.concatenate([frames, at])
    low = int(both.min(initial=0))
    width = int(both.max(initial=0)) - low + 1
    return np.searchsorted(group * width + (frames - low), of * width + (at - low), side=side)


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
    gold_order, label_order = _span_order(gold, gold_group), _span_order(labels, label_group)
    pairs = _overlapping(gold, labels, (gold_group, label_group), (gold_order, label_order), threshold)
    chosen = assign(pairs.gold, pairs.label, pairs.quality)
    return TimePairs(gold_order[pairs.gold[chosen]], label_order[pairs.label[chosen]], pairs.quality[chosen])


def _span_order(spans: Floats, group: Indices) -> Indices:
    return np.lexsort((spans[:, 1], spans[:, 0], group))


def _overlapping(
    gold: Floats, labels: Floats, groups: tuple[Indices, Indices], orders: tuple[Indices, Indices], threshold: float
) -> TimePairs:
    """Return the pairs that reach `threshold`, numbered by their places in `orders`."""
    gold_order, label_order = orders
    theirs = Spans(groups[0][gold_order], gold[gold_order])
    ours = Spans(groups[1][label_order], labels[label_order])
    return TimePairs(*overlapping_spans(theirs, ours, max(threshold - TIE, _LEAST)))


def average_precision(
    gold: Floats, labels: Floats, *, gold_group: Indices, label_group: Indices, scores: Floats, threshold: float
) -> float | None:
    """Return the all-point interpolated average precision of one class; None without gold.

    By descending score (ties: by group, then time) each interval takes the free gold of its group with the
    highest tIoU, if that reaches `threshold` (within 1e-9); source: the ActivityNet evaluation.
    """
    if not len(gold):
        return None
    gold_order, label_order = _span_order(gold, gold_group), _span_order(labels, label_group)
    pairs = _overlapping(gold, labels, (gold_group, label_group), (gold_order, label_order), threshold)
    by_score = np.argsort(-scores[label_order], kind="stable")
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_score] = np.arange(len(labels))
    place = rank[pairs.label]
    hits = np.zeros(len(labels), dtype=np.bool_)
    hits[place[choose_in_order(place, pairs.gold, np.lexsort((pairs.gold, -pairs.quality, place)))]] = True
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return math.fsum(envelope[hits].tolist()) / len(gold)
