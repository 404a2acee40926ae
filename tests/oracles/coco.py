"""COCO's average precision and recall, plainly in numpy: the oracle of `qa.coco.evaluation`.

Written from the definition (cocodataset.org, detection evaluation; semantics as in pycocotools' COCOeval,
whose precision and recall arrays it equals to the bit): an image's detections are taken by descending
score, ties in the order given; each takes the free gold of its class with the highest IoU, the later one
on a tie; crowd and out-of-size gold only where no other will do, and such matches count for nothing;
crowd gold takes any number and is measured by the share of the detection inside it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qa.pairing.boxes import BoxColumns
from qa.pairing.matching import Indices, Mask, pairs_within
from tests.oracles.overlaps import iou_of_pairs, share_inside

IOU_THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
RECALL_POINTS: Final = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS: Final = (1, 10, 100)
AREAS: Final = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))  # all, small, medium, large
_NEARLY_ONE: Final = 1 - 1e-10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CocoArrays:
    """NaN marks a class without gold of that size.

    precision: shape (10 IoU thresholds, 101 recall points, classes, 4 sizes, 3 limits of detections);
    recall: the same without the recall points.
    """

    precision: Floats
    recall: Floats


@dataclass(frozen=True)
class _Verdicts:
    """What became of each detection, shape (sizes, thresholds, detections); what is neither is ignored."""

    true: Mask
    false: Mask


def evaluate(gold: BoxColumns, detections: BoxColumns, *, scores: Floats, classes: int) -> CocoArrays:
    """Evaluate detections against gold.

    Args:
        gold: its `image` numbers give the order of images, in which ties of score across images stand.
        detections: in the order in which ties of score within an image stand; their crowd and area are not used.
        scores: of each detection.
        classes: number of classes; labels are below it.
    """
    order = np.lexsort((np.arange(scores.size), detections.image, -scores, detections.label))
    ranked, scores = detections.take(order), scores[order]
    rank = _rank_in_image(ranked, scores)
    kept = rank < MAX_DETECTIONS[-1]
    ranked, rank = ranked.take(kept), rank[kept]
    ignored_gold = np.stack([gold.crowd | (gold.area < low) | (gold.area > high) for low, high in AREAS])
    verdicts = _match(gold, ranked, rank=rank, ignored_gold=ignored_gold, classes=classes)
    precision = np.full((len(IOU_THRESHOLDS), len(RECALL_POINTS), classes, len(AREAS), len(MAX_DETECTIONS)), np.nan)
    recall = np.full((len(IOU_THRESHOLDS), classes, len(AREAS), len(MAX_DETECTIONS)), np.nan)
    starts = np.searchsorted(ranked.label, np.arange(classes + 1))
    for area in range(len(AREAS)):
        positives = np.bincount(gold.label[~ignored_gold[area]], minlength=classes)
        for label in np.flatnonzero(positives).tolist():
            own = slice(starts[label], starts[label + 1])
            for index, limit in enumerate(MAX_DETECTIONS):
                within = rank[own] < limit
                true, false = verdicts.true[area, :, own][:, within], verdicts.false[area, :, own][:, within]
                at_points, final = _curves(true, false, int(positives[label]))
                precision[:, :, label, area, index], recall[:, label, area, index] = at_points, final
    return CocoArrays(precision, recall)


def _rank_in_image(ranked: BoxColumns, scores: Floats) -> Indices:
    """Return the place of each detection among those of its class and image, from 0."""
    within = np.lexsort((np.arange(scores.size), -scores, ranked.image, ranked.label))
    label, image = ranked.label[within], ranked.image[within]
    new = np.ones(scores.size, dtype=np.bool_)
    new[1:] = (label[1:] != label[:-1]) | (image[1:] != image[:-1])
    first = np.maximum.accumulate(np.where(new, np.arange(scores.size), 0))
    rank = np.empty(scores.size, dtype=np.int64)
    rank[within] = np.arange(scores.size) - first
    return rank


def _match(gold: BoxColumns, ranked: BoxColumns, *, rank: Indices, ignored_gold: Mask, classes: int) -> _Verdicts:
    shape = (len(AREAS), len(IOU_THRESHOLDS), len(ranked))
    matched, ignored = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    free = np.ones((len(AREAS), len(IOU_THRESHOLDS), len(gold)), dtype=np.bool_)
    thresholds = np.minimum(IOU_THRESHOLDS, _NEARLY_ONE)
    detection, target = pairs_within(ranked.image * classes + ranked.label, gold.image * classes + gold.label)
    iou = _coco_iou(ranked, gold, detection, target)
    near = iou >= thresholds[0]
    # a detection comes after those of higher rank in its image; images do not meet
    order = np.lexsort((target[near], detection[near], rank[detection[near]]))
    detection, target, iou = detection[near][order], target[near][order], iou[near][order]
    cuts = np.flatnonzero(np.diff(detection)) + 1
    for edges in np.split(np.arange(detection.size), cuts) if detection.size else []:
        one, golds = int(detection[edges[0]]), target[edges]
        reaches = iou[edges] >= thresholds[:, None]
        open_ = reaches & (free[:, :, golds] | gold.crowd[golds])
        chosen, found = _best(open_, iou[edges], ignored_gold[:, None, golds])
        area, threshold = np.nonzero(found)
        taken = golds[chosen[area, threshold]]
        matched[area, threshold, one] = True
        ignored[area, threshold, one] = ignored_gold[area, taken]
        free[area, threshold, taken] = False
    size = ranked.boxes[:, 2] * ranked.boxes[:, 3]
    outside = np.stack([(size < low) | (size > high) for low, high in AREAS])
    return _Verdicts(true=matched & ~ignored, false=~matched & ~outside[:, None, :])


def _best(open_: Mask, iou: Floats, ignored: Mask) -> tuple[Indices, Mask]:
    """Return the chosen candidate and whether there is one: counted gold first, highest IoU, the last of a tie."""
    counted = open_ & ~ignored
    eligible = np.where(counted.any(axis=-1, keepdims=True), counted, open_)
    value = np.where(eligible, iou, -1.0)
    last = iou.size - 1 - np.argmax(value[..., ::-1], axis=-1)
    return last, np.asarray(eligible.any(axis=-1), dtype=np.bool_)


def _coco_iou(ranked: BoxColumns, gold: BoxColumns, detection: Indices, target: Indices) -> Floats:
    one, other = ranked.boxes[detection], gold.boxes[target]
    return np.where(gold.crowd[target], share_inside(one, other), iou_of_pairs(one, other))


def _curves(true: Mask, false: Mask, positives: int) -> tuple[Floats, Floats]:
    """Return precision at the recall points, shape (thresholds, points), and the final recall, shape (thresholds,)."""
    hits, misses = np.cumsum(true, axis=1).astype(np.float64), np.cumsum(false, axis=1).astype(np.float64)
    recall = hits / positives
    precision = hits / (misses + hits + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    at_points = np.zeros((len(true), len(RECALL_POINTS)))
    for row in range(len(true)):
        place = np.searchsorted(recall[row], RECALL_POINTS, side="left")
        reached = place < recall.shape[1]
        at_points[row, reached] = envelope[row, place[reached]]
    return at_points, recall[:, -1] if recall.shape[1] else np.zeros(len(true))
