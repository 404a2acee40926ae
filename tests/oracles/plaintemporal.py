"""Matching along time over all pairs of a group, with scipy's solver and loops: the plain version beside the banded one."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa.pairing.matching import Indices, pairs_within
from tests.oracles.plainboxes import assign

Floats = NDArray[np.float64]

TIE = 1e-9


def points(gold: Floats, labels: Floats, gold_group: Indices, label_group: Indices, tolerance: float) -> tuple[int, float]:
    """Return the number of pairs and the sum of offsets of the best matching."""
    left, right = pairs_within(gold_group, label_group)
    offset = np.abs(gold[left] - labels[right])
    near = offset <= tolerance + TIE
    left, right, offset = left[near], right[near], offset[near]
    chosen = assign(left, right, 1 - offset / (tolerance + TIE))
    return int(chosen.sum()), float(offset[chosen].sum())


def tiou(one: Any, other: Any) -> float:
    """Return the temporal IoU of two intervals."""
    overlap = max(min(one[1], other[1]) - max(one[0], other[0]), 0.0)
    union = (one[1] - one[0]) + (other[1] - other[0]) - overlap
    return float(overlap / union) if union > 0 else 0.0


def spans(
    gold: Floats, labels: Floats, gold_group: Indices, label_group: Indices, threshold: float
) -> list[tuple[int, int, float]]:
    """Return every pair of the same group that reaches `threshold`, with its tIoU."""
    result = []
    for left, right in zip(*pairs_within(gold_group, label_group), strict=True):
        overlap = tiou(gold[left].tolist(), labels[right].tolist())
        if overlap >= threshold - TIE:
            result.append((int(left), int(right), overlap))
    return result


def average_precision(
    gold: Floats, labels: Floats, gold_group: Indices, label_group: Indices, scores: Floats, threshold: float
) -> float | None:
    """Return ActivityNet's average precision: by descending score, each the free gold that it covers best."""
    if not len(gold):
        return None
    order = sorted(range(len(labels)), key=lambda at: (-scores[at], label_group[at], labels[at].tolist()))
    free, hits = set(range(len(gold))), []
    for label in order:
        reached = [
            (-tiou(gold[at].tolist(), labels[label].tolist()), gold[at].tolist(), at)
            for at in free
            if gold_group[at] == label_group[label]
        ]
        best = min((entry for entry in reached if -entry[0] >= threshold - TIE), default=None)
        hits.append(best is not None)
        if best is not None:
            free.remove(best[2])
    precision = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(len(hits))]
    return math.fsum(max(precision[rank:]) for rank, hit in enumerate(hits) if hit) / len(gold)
