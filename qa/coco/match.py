"""Matching of COCO's evaluation, compiled: what becomes of each detection, at all sizes and thresholds at once.

What is computed is defined in `qa.coco.evaluation`. Only a detection that overlaps gold of its class by the lowest threshold
takes part; its thresholds are bits of a word, so that taking gold is one operation for all of them. What became of a
detection is two words of 40 bits, one a size and threshold: counted as true, counted as false; what is neither is ignored.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled
from qa.pairing.stable_sort import sort_run

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

IOU_THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
AREAS: Final = np.array([(0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10)])  # all, small, medium, large
MAX_DETECTIONS: Final = np.array([1, 10, 100])  # of an image and class
THRESHOLDS: Final = len(IOU_THRESHOLDS)
SIZES: Final = len(AREAS)
LIMITS: Final = len(MAX_DETECTIONS)  # also the rank class of what is beyond the largest
# Tuples are constants to the compiler, which arrays are not.
_AREAS: Final = tuple((float(low), float(high)) for low, high in AREAS)
_LIMITS: Final = tuple(int(limit) for limit in MAX_DETECTIONS)
_THRESHOLDS: Final = tuple(float(threshold) for threshold in IOU_THRESHOLDS)
ALL: Final = np.uint64((1 << THRESHOLDS) - 1)
RANK_SHIFT: Final = np.uint64(SIZES * THRESHOLDS)


class Detections(NamedTuple):
    """Detections as columns, grouped by image through `order`.

    Attributes:
        boxes: shape (n, 4): x, y, w, h.
        labels: class numbers.
        keys: whole numbers that ascend where scores descend.
        order: the detections image by image, or empty where they come so.
        starts: where each image starts in `order`, shape (images + 1,).
    """

    boxes: Floats
    labels: Ints
    keys: Words
    order: Ints
    starts: Ints


class Gold(NamedTuple):
    """Gold as columns, grouped by image, then class, in the order given within.

    Attributes:
        boxes: shape (n, 4): x, y, w, h.
        labels: class numbers.
        crowd: regions that may be taken many times.
        ignored: a bit a size: crowd, or of another size.
        starts: where each image starts, shape (images + 1,).
    """

    boxes: Floats
    labels: Ints
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.uint8]
    starts: Ints


class Fates(NamedTuple):
    """What became of each detection, class by class; in a class by image, then rank.

    Attributes:
        keys: whole numbers that ascend where scores descend.
        true: a bit a size and threshold, size by size; the rank class stands above them.
        false: the same without the rank class.
    """

    keys: Words
    true: Words
    false: Words


class _Desk(NamedTuple):
    """Scratch of one call: members of an image and of its classes, gold of each class, candidates of a detection."""

    members: Ints
    grouped: Ints
    present: Ints
    firsts: Ints
    counts: Ints
    gold_first: Ints
    gold_stop: Ints
    found: Ints
    overlap: Floats
    reach: Words
    taken: Words


@compiled
def count_labels(detections: Detections, start: int, stop: int, counts: Ints) -> None:
    """Add the labels of the detections `start` to `stop` of the order to `counts`, one element a class."""
    for index in range(start, stop):
        counts[detections.labels[detections.order[index] if detections.order.size else index]] += 1


@compiled
def _desk(detections: Detections, gold: Gold, first: int, last: int, classes: int) -> _Desk:
    most, most_gold = 1, 1
    for image in range(first, last):
        most = max(most, detections.starts[image + 1] - detections.starts[image])
        most_gold = max(most_gold, gold.starts[image + 1] - gold.starts[image])
    return _Desk(
        np.empty(most, dtype=np.int64),
        np.empty(most, dtype=np.int64),
        np.empty(most, dtype=np.int64),
        np.zeros(classes, dtype=np.int64),
        np.zeros(classes, dtype=np.int64),
        np.zeros(classes, dtype=np.int64),
        np.zeros(classes, dtype=np.int64),
        np.empty(most_gold, dtype=np.int64),
        np.empty(most_gold),
        np.empty(most_gold, dtype=np.uint64),
        np.zeros((SIZES, most_gold), dtype=np.uint64),
    )


@compiled
def _group_by_class(labels: Ints, count: int, desk: _Desk) -> int:
    """Group the members by class, stably; return how many classes are present. Counts come as zeros and stay set."""
    classes = 0
    for index in range(count):
        label = labels[desk.members[index]]
        if desk.counts[label] == 0:
            desk.present[classes] = label
            classes += 1
        desk.counts[label] += 1
    first = 0
    for index in range(classes):
        label = desk.present[index]
        desk.firsts[label] = first
        first += desk.counts[label]
        desk.counts[label] = 0
    for index in range(count):
        label = labels[desk.members[index]]
        desk.grouped[desk.firsts[label] + desk.counts[label]] = desk.members[index]
        desk.counts[label] += 1
    return classes


@compiled
def _find_candidates(boxes: Floats, box: int, gold: Gold, start: int, stop: int, desk: _Desk) -> int:
    """Find the gold from `start` to `stop` that a box overlaps by half or more, best first, of equals the later one."""
    x, y, w, h = boxes[box, 0], boxes[box, 1], boxes[box, 2], boxes[box, 3]
    count = 0
    for other in range(start, stop):
        gx, gy, gw, gh = gold.boxes[other, 0], gold.boxes[other, 1], gold.boxes[other, 2], gold.boxes[other, 3]
        width = min(x + w, gx + gw) - max(x, gx)
        height = min(y + h, gy + gh) - max(y, gy)
        if width <= 0 or height <= 0:
            continue
        shared = width * height
        whole = w * h if gold.crowd[other] else w * h + gw * gh - shared
        if shared + shared < whole:  # exactly when the rounded quotient is under a half, and cheaper
            continue
        iou = shared / whole
        place = count
        while place > 0 and desk.overlap[place - 1] <= iou:
            desk.overlap[place], desk.found[place] = desk.overlap[place - 1], desk.found[place - 1]
            place -= 1
        desk.overlap[place], desk.found[place] = iou, other
        count += 1
    return count


@compiled
def _measure_reach(count: int, desk: _Desk) -> None:
    """Write which thresholds each candidate reaches."""
    for candidate in range(count):
        reached = 0
        while reached < THRESHOLDS and desk.overlap[candidate] >= _THRESHOLDS[reached]:
            reached += 1
        desk.reach[candidate] = np.uint64((1 << reached) - 1)


@compiled
def _take(gold: Gold, count: int, size: int, first: int, desk: _Desk) -> tuple[np.uint64, np.uint64]:
    """Return the thresholds at which a detection takes counted gold, and those at which it takes ignored gold.

    Candidates come best first, so that at each threshold the first free one is the best.
    """
    open_ = ALL
    true, void = np.uint64(0), np.uint64(0)
    for candidate in range(count):
        other = desk.found[candidate]
        if not (gold.ignored[other] >> size) & 1:
            won = desk.reach[candidate] & open_ & ~desk.taken[size, other - first]
            desk.taken[size, other - first] |= won
            true |= won
            open_ &= ~won
    for candidate in range(count):
        other = desk.found[candidate]
        if (gold.ignored[other] >> size) & 1:
            won = desk.reach[candidate] & open_
            if not gold.crowd[other]:
                won &= ~desk.taken[size, other - first]
                desk.taken[size, other - first] |= won
            void |= won
            open_ &= ~won
    return true, void


@compiled
def _false_everywhere(area: float) -> np.uint64:
    """Return the word of a detection that matches nothing: false at every threshold of the sizes that hold it."""
    word = np.uint64(0)
    for size in range(SIZES):
        if not (area < _AREAS[size][0] or area > _AREAS[size][1]):
            word |= ALL << np.uint64(size * THRESHOLDS)
    return word


@compiled
def _rank_class(rank: int) -> int:
    """Return which limit of detections is the first that lets `rank` in; LIMITS is none."""
    rank_class = 0
    while rank_class < LIMITS and rank >= _LIMITS[rank_class]:
        rank_class += 1
    return rank_class


@compiled
def _match_class(detections: Detections, gold: Gold, label: int, place: int, fates: Fates, desk: _Desk) -> None:
    """Match the detections of one class in one image, best first, and write their fates from `place` on."""
    first, stop = desk.gold_first[label], desk.gold_stop[label]
    for size in range(SIZES):
        for index in range(stop - first):
            desk.taken[size, index] = 0
    for rank in range(desk.counts[label]):
        member = desk.grouped[desk.firsts[label] + rank]
        true = np.uint64(0)
        false = _false_everywhere(detections.boxes[member, 2] * detections.boxes[member, 3])
        rank_class = _rank_class(rank)
        near = 0
        if stop > first and rank_class < LIMITS:
            near = _find_candidates(detections.boxes, member, gold, first, stop, desk)
        if near:
            _measure_reach(near, desk)
            for size in range(SIZES):
                hit, void = _take(gold, near, size, first, desk)
                true |= hit << np.uint64(size * THRESHOLDS)
                false &= ~((hit | void) << np.uint64(size * THRESHOLDS))
        fates.keys[place + rank] = detections.keys[member]
        fates.true[place + rank] = true | (np.uint64(rank_class) << RANK_SHIFT)
        fates.false[place + rank] = false


@compiled
def match_images(detections: Detections, gold: Gold, span: tuple[int, int], places: Ints, fates: Fates) -> None:
    """Match the detections of a span of images and write their fates, each class from its place on.

    Args:
        detections: of all images.
        gold: of all images.
        span: the first image, and the one after the last.
        places: next place of each class in `fates`; advanced.
        fates: written.
    """
    desk = _desk(detections, gold, span[0], span[1], places.size)
    for image in range(span[0], span[1]):
        start, count = detections.starts[image], detections.starts[image + 1] - detections.starts[image]
        if count == 0:
            continue
        for index in range(count):
            desk.members[index] = detections.order[start + index] if detections.order.size else start + index
        sort_run(desk.members, detections.keys, 0, count, desk.grouped)
        classes = _group_by_class(detections.labels, count, desk)
        for other in range(gold.starts[image], gold.starts[image + 1]):
            label = gold.labels[other]
            if desk.gold_stop[label] == 0:
                desk.gold_first[label] = other
            desk.gold_stop[label] = other + 1
        for index in range(classes):
            label = desk.present[index]
            _match_class(detections, gold, label, places[label], fates, desk)
            places[label] += desk.counts[label]
            desk.counts[label] = 0
        for other in range(gold.starts[image], gold.starts[image + 1]):
            desk.gold_first[gold.labels[other]] = 0
            desk.gold_stop[gold.labels[other]] = 0
