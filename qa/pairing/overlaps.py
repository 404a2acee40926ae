"""Loops over the boxes of an image, compiled: their order by content, the pairs that overlap, what lies inside crowds.

Boxes come image by image, as x, y, w, h in continuous pixels with no "+1"; the overlap of empty boxes is 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

_FEW = 24  # so few boxes are sorted by insertion
_SIDES = 4


class Content(NamedTuple):
    """What orders the boxes of an image; the row settles what all else leaves open."""

    label: Indices
    boxes: Floats
    area: Floats
    crowd: Mask
    row: Indices


class Grouped(NamedTuple):
    """Boxes sorted by group (image, or image and class); `by_x` says that within a group they are sorted by x."""

    group: Indices
    boxes: Floats
    by_x: bool


@compiled
def order_by_content(content: Content, order: Indices, starts: Indices) -> None:
    """Sort `order` in place by content, within each of the images that `starts` delimits."""
    for image in range(starts.size - 1):
        own = order[starts[image] : starts[image + 1]]
        if own.size > _FEW:
            _sort_many(content, own)
        else:
            _sort_few(content, own)


@compiled
def _sort_few(content: Content, own: Indices) -> None:
    for index in range(1, own.size):
        box, place = own[index], index
        while place > 0 and _before(content, box, own[place - 1]):
            own[place] = own[place - 1]
            place -= 1
        own[place] = box


@compiled
def _sort_many(content: Content, own: Indices) -> None:
    """Heapsort: no two boxes are equal, as their rows differ."""
    for top in range(own.size // 2 - 1, -1, -1):
        _sink(content, own, top)
    for last in range(own.size - 1, 0, -1):
        own[0], own[last] = own[last], own[0]
        _sink(content, own[:last], 0)


@compiled
def _sink(content: Content, own: Indices, place: int) -> None:
    box = own[place]
    while 2 * place + 1 < own.size:
        below = 2 * place + 1
        if below + 1 < own.size and _before(content, own[below], own[below + 1]):
            below += 1
        if not _before(content, box, own[below]):
            break
        own[place] = own[below]
        place = below
    own[place] = box


@compiled
def _before(content: Content, one: int, other: int) -> bool:
    """Tell whether box `one` comes first: by class, x, y, w, h, area, crowd and row; NaN comes last."""
    if content.label[one] != content.label[other]:
        return bool(content.label[one] < content.label[other])
    for side in range(_SIDES):
        sign = _compared(content.boxes[one, side], content.boxes[other, side])
        if sign != 0:
            return sign < 0
    sign = _compared(content.area[one], content.area[other])
    if sign != 0:
        return sign < 0
    if content.crowd[one] != content.crowd[other]:
        return bool(content.crowd[other])
    return bool(content.row[one] < content.row[other])


@compiled
def _compared(one: float, other: float) -> int:
    """Return -1, 0 or 1; NaN is above all numbers and equal to itself."""
    if one < other:
        return -1
    if one > other:
        return 1
    return int(np.isnan(one)) - int(np.isnan(other))


@compiled
def overlapping_pairs(gold: Grouped, labels: Grouped, floor: float) -> tuple[Indices, Indices, Floats]:
    """Return all pairs of the same group with IoU >= floor, ordered by gold, then label, and their IoU."""
    room = 16 + max(gold.group.size, labels.group.size)
    ones, others, overlaps = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64), np.empty(room)
    found, first = 0, 0
    may_stop = labels.by_x and floor > 0
    for one in range(gold.group.size):
        while first < labels.group.size and labels.group[first] < gold.group[one]:
            first += 1
        end = gold.boxes[one, 0] + gold.boxes[one, 2]
        other = first
        while other < labels.group.size and labels.group[other] == gold.group[one]:
            if may_stop and labels.boxes[other, 0] > end:
                break
            overlap = _iou(gold.boxes[one], labels.boxes[other])
            if overlap >= floor:
                if found == ones.size:
                    ones, others, overlaps = _longer(ones), _longer(others), _longer(overlaps)
                ones[found], others[found], overlaps[found] = one, other, overlap
                found += 1
            other += 1
    return ones[:found].copy(), others[:found].copy(), overlaps[:found].copy()


@compiled
def best_covered(labels: Grouped, own: Indices, gold: Grouped, fits: Mask, floor: float) -> tuple[Indices, Floats]:
    """Return for each of the labels `own` the gold of its group that fits and has the highest IoU, and that IoU.

    The first of equals is taken; -1 where none has an IoU >= floor.
    """
    best, highest = np.full(own.size, -1, dtype=np.int64), np.zeros(own.size)
    first = 0
    for index in range(own.size):
        label = own[index]
        while first < gold.group.size and gold.group[first] < labels.group[label]:
            first += 1
        other = first
        while other < gold.group.size and gold.group[other] == labels.group[label]:
            overlap = _iou(gold.boxes[other], labels.boxes[label]) if fits[other] else -1.0
            if overlap >= floor and (best[index] < 0 or overlap > highest[index]):
                best[index], highest[index] = other, overlap
            other += 1
    return best, highest


@compiled
def inside_crowds(crowds: Grouped, labels: Grouped, floor: float) -> Mask:
    """Return which labels lie inside a crowd region of their group to at least the share `floor`."""
    inside = np.zeros(labels.group.size, dtype=np.bool_)
    first = 0
    for crowd in range(crowds.group.size):
        while first < labels.group.size and labels.group[first] < crowds.group[crowd]:
            first += 1
        other = first
        while other < labels.group.size and labels.group[other] == crowds.group[crowd]:
            area = labels.boxes[other, 2] * labels.boxes[other, 3]
            share = _intersection(labels.boxes[other], crowds.boxes[crowd]) / area if area > 0 else 0.0
            inside[other] |= share >= floor
            other += 1
    return inside


@compiled
def _longer(values: NDArray) -> NDArray:  # type: ignore[type-arg]  # compiled for whole numbers and for fractions
    longer = np.empty(2 * values.size, dtype=values.dtype)
    longer[: values.size] = values
    return longer


@compiled
def _iou(one: Floats, other: Floats) -> float:
    intersection = _intersection(one, other)
    union = one[2] * one[3] + other[2] * other[3] - intersection
    return float(intersection / union) if union > 0 else 0.0


@compiled
def _intersection(one: Floats, other: Floats) -> float:
    width = np.minimum(one[0] + one[2], other[0] + other[2]) - np.maximum(one[0], other[0])
    height = np.minimum(one[1] + one[3], other[1] + other[3]) - np.maximum(one[1], other[1])
    return float(np.maximum(width, 0.0) * np.maximum(height, 0.0))  # numpy's: NaN stays NaN
