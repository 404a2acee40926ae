"""Curves of COCO's evaluation, compiled: precision over recall and the final recall of one class.

Precision can only rise at a true positive, so that the best precision of each stretch between two recall points gives the
envelope, and nothing is kept for a detection. Most detections are false at every threshold and are counted once a size.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled
from qa.coco.match import ALL, LIMITS, RANK_SHIFT, SIZES, THRESHOLDS, Fates
from qa.pairing.stable_sort import ascending_order

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_EPSILON = float(np.spacing(1))  # as pycocotools keeps precision from dividing by zero


@compiled
def _first_counts(positives: int, points: Floats, counts: Ints) -> None:
    """Write how many true positives first reach each recall point: one at least, and never for what is out of reach."""
    reached = 1
    for point in range(points.size):
        while reached <= positives and reached / positives < points[point]:
            reached += 1
        counts[point] = reached
    counts[points.size] = positives + 2


class _Tally(NamedTuple):
    """Running counts by size, limit and threshold, shape (4, 3, 10) where not said otherwise.

    Attributes:
        hits: true positives.
        misses: false positives, less `plain`.
        plain: false positives of detections that are false at every threshold, shape (4, 3).
        passed: recall points that are reached.
        first_counts: how many true positives first reach each recall point, shape (4, points + 1).
    """

    hits: Ints
    misses: Ints
    plain: Ints
    passed: Ints
    first_counts: Ints


@compiled
def _new_tally(positives: Ints, points: Floats) -> _Tally:
    shape = (SIZES, LIMITS, THRESHOLDS)
    first_counts = np.empty((SIZES, points.size + 1), dtype=np.int64)
    for size in range(SIZES):
        _first_counts(positives[size], points, first_counts[size])
    return _Tally(
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
        np.zeros((SIZES, LIMITS), dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
        first_counts,
    )


@compiled
def _note_hit(tally: _Tally, size: int, limit: int, threshold: int, best: Floats) -> None:
    """Count one more true positive and raise the best precision of the stretch that it lies in."""
    tally.hits[size, limit, threshold] += 1
    hits = tally.hits[size, limit, threshold]
    while hits >= tally.first_counts[size, tally.passed[size, limit, threshold]]:
        tally.passed[size, limit, threshold] += 1
    false = tally.plain[size, limit] + tally.misses[size, limit, threshold]
    stretch = tally.passed[size, limit, threshold] - 1
    best[size, limit, threshold, stretch] = max(best[size, limit, threshold, stretch], hits / (false + hits + _EPSILON))


@compiled
def _note(tally: _Tally, true: np.uint64, false: np.uint64, size: int, rank_class: int, best: Floats) -> None:
    """Count one detection at all thresholds of a size, for every limit that lets it in."""
    for threshold in range(THRESHOLDS):
        bit = np.uint64(1) << np.uint64(threshold)
        if false & bit:
            for limit in range(rank_class, LIMITS):
                tally.misses[size, limit, threshold] += 1
        elif true & bit:
            for limit in range(rank_class, LIMITS):
                _note_hit(tally, size, limit, threshold, best)


@compiled
def _finish(tally: _Tally, size: int, positives: int, precision: Floats, recall: Floats) -> None:
    """Turn the best precision of each stretch into the envelope, and write the final recall."""
    for limit in range(LIMITS):
        for threshold in range(THRESHOLDS):
            recall[size, limit, threshold] = tally.hits[size, limit, threshold] / positives
            envelope = 0.0
            for point in range(precision.shape[3] - 1, -1, -1):
                envelope = max(envelope, precision[size, limit, threshold, point])
                precision[size, limit, threshold, point] = envelope


@compiled
def draw_curves(fates: Fates, positives: Ints, points: Floats, precision: Floats, recall: Floats) -> None:
    """Draw the curves of one class.

    Args:
        fates: of its detections, in the order in which ties of score stand.
        positives: counted gold, one element a size.
        points: the recall points.
        precision: shape (sizes, limits, thresholds, points) of zeros; written where a size has counted gold.
        recall: shape (sizes, limits, thresholds); written likewise.
    """
    tally = _new_tally(positives, points)
    true_words, false_words, plain = fates.true, fates.false, tally.plain
    order = ascending_order(fates.keys)
    for place in range(order.size):
        true_word, false_word = true_words[order[place]], false_words[order[place]]
        rank_class = int(true_word >> RANK_SHIFT)
        for size in range(SIZES):
            true = (true_word >> np.uint64(size * THRESHOLDS)) & ALL
            false = (false_word >> np.uint64(size * THRESHOLDS)) & ALL
            if false == ALL:
                for limit in range(rank_class, LIMITS):
                    plain[size, limit] += 1
            elif true | false:
                _note(tally, true, false, size, rank_class, precision)
    for size in range(SIZES):
        if positives[size]:
            _finish(tally, size, positives[size], precision, recall)
