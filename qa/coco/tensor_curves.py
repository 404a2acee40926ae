"""Precision over recall as tensors, for all classes, sizes, limits and thresholds at once.

Of a curve only the true positives matter: precision falls at every false positive, so that the best precision from some
recall on stands at a true positive, and recall rises nowhere else. The k-th of them has precision k / (f + k + eps), f
being the false positives before it; which k first reaches a recall point depends on the number of gold alone. So
the curve's height at a point is the largest precision of the true positives between this point and the next, or later.
"""

from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qa.coco.evaluation import RECALL_POINTS
from qa.coco.match import AREAS, IOU_THRESHOLDS, MAX_DETECTIONS
from qa.coco.scans import places_of, running

_SIZES: Final = len(AREAS)
_LIMITS: Final = len(MAX_DETECTIONS)
_THRESHOLDS: Final = len(IOU_THRESHOLDS)
_POINTS: Final = len(RECALL_POINTS)
_EPSILON: Final = float(np.spacing(1))
_MARKS_AT_ONCE: Final = 1 << 28


class Ranked(NamedTuple):
    """Detections by class, then descending score; those with a candidate are "near" ones.

    Flags hold a bit a size that the detection is in, and above them a bit a limit that its rank is within.
    Words hold bit size * 10 + threshold.
    """

    flags: Tensor  # uint8, of each detection
    starts: Tensor  # of each class among the detections, and the end
    places: Tensor  # of the near ones among the detections, ascending
    label: Tensor  # of each near one
    near_starts: Tensor  # of each class among the near ones, and the end
    true: Tensor  # the word where the near one took gold that counts
    matched: Tensor  # the word where it took any


def first_reaching(positives: Tensor, points: Tensor) -> Tensor:
    """Return for each number of gold the least k, from 1, with k / positives >= point, as float64 divides.

    Shape of `positives`, and one more for `points`; where there is no gold, 1 throughout.
    """
    gold = positives.clamp(min=1)[..., None]
    guess = torch.ceil(points * gold.double()).long()
    for _ in range(2):  # the product may be one ulp off, on either side of a whole number
        guess = torch.where((guess - 1).double() / gold.double() >= points, guess - 1, guess)
    guess = torch.where(guess.double() / gold.double() >= points, guess, guess + 1)
    return guess.clamp(min=1)


def best_precision(ranked: Ranked, needed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the curves' heights and how many true positives each has.

    Args:
        ranked: the detections.
        needed: the k that first reaches each recall point, shape (classes, sizes, points).

    Returns:
        Precision, float64, shape (sizes, limits, thresholds, classes, points), and true positives, int64, the same
        without the points.
    """
    device, classes = ranked.flags.device, len(needed)
    sizes = torch.arange(_SIZES, device=device)
    at_once = _SIZES if _SIZES * _LIMITS * _THRESHOLDS * len(ranked.places) <= _MARKS_AT_ONCE else 1
    competing = _competing(ranked)
    parts = []
    for first in range(0, _SIZES, at_once):
        part = slice(first, first + at_once)
        parts.append(_of_sizes(ranked, needed, competing[part], sizes=sizes[part]))
    shape = (_SIZES, _LIMITS, _THRESHOLDS, classes)
    best, true = (torch.cat(column) for column in zip(*parts, strict=True))
    return best.view(*shape, _POINTS), true.view(shape)


def _bits(flags: Tensor, first: int, count: int) -> Tensor:
    """Return `count` bits of `flags` from `first` on as masks, shape (count, flags)."""
    shifts = torch.arange(first, first + count, dtype=torch.uint8, device=flags.device)
    return ((flags >> shifts[:, None]) & 1).bool()


def _competing(ranked: Ranked) -> Tensor:
    """Return how many detections of the class up to each near one are in the size and within the limit.

    Shape (sizes, limits, near ones).
    """
    size, limit = _bits(ranked.flags, 0, _SIZES), _bits(ranked.flags, _SIZES, _LIMITS)
    before = running(size[:, None] & limit)
    rows = torch.arange(_SIZES * _LIMITS, device=size.device)[:, None] * len(ranked.flags)
    counts = before[rows + ranked.places + 1] - before[rows + ranked.starts[ranked.label]]
    return counts.view(_SIZES, _LIMITS, -1)


def _of_sizes(ranked: Ranked, needed: Tensor, competing: Tensor, *, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Return heights, shape (curves * classes, points), and true positives of each, for some sizes."""
    device, near, classes = sizes.device, len(ranked.places), len(needed)
    curves = len(sizes) * _LIMITS * _THRESHOLDS
    shifts = (sizes[:, None] * _THRESHOLDS + torch.arange(_THRESHOLDS, device=device))[:, None, :, None]
    flags = ranked.flags[ranked.places]
    within = _bits(flags, _SIZES, _LIMITS)[:, None]
    inside = _bits(flags, 0, _SIZES)[sizes][:, None, None]
    true = ((ranked.true >> shifts) & 1).bool() & within
    spared = running(((ranked.matched >> shifts) & 1).bool() & within & inside)  # matched is never false
    place = places_of(true.view(-1))  # curve by curve, class by class, by descending score
    curve = place // max(near, 1)
    near_one = place - curve * near
    label = ranked.label[near_one]
    starts = torch.arange(curves, device=device)[:, None] * near + ranked.near_starts
    begun = torch.searchsorted(place, starts)
    group = curve * classes + label
    hits = torch.arange(1, len(place) + 1, device=device) - begun[:, :-1].reshape(-1)[group]
    spared_here = spared[place + 1] - spared[starts[:, :-1].reshape(-1)[group]]
    misses = competing.reshape(-1)[(curve // _THRESHOLDS) * near + near_one] - spared_here
    precision = hits.double() / ((misses + hits).double() + _EPSILON)
    best = _best_between_points(precision, begun, needed=needed[:, sizes])
    return best.flip(1).cummax(dim=1).values.flip(1), begun.diff(dim=1).reshape(-1)


def _best_between_points(precision: Tensor, begun: Tensor, *, needed: Tensor) -> Tensor:
    """Return the largest precision of each curve from each recall point to the next, shape (curves * classes, points).

    Args:
        precision: of the true positives, curve by curve, class by class.
        begun: where each class of each curve begins among them, and the end, shape (curves, classes + 1).
        needed: the k that first reaches each point, from 1, shape (classes, sizes, points).
    """
    held = begun.diff(dim=1)[..., None]
    first = needed.transpose(0, 1).repeat_interleave(_LIMITS * _THRESHOLDS, dim=0) - 1
    edges = begun[:, :-1, None] + first.minimum(held)
    # the edges follow each other without a gap, as the first point needs one true positive only; a zero ends the last
    padded = torch.cat([precision, precision.new_zeros(1)])
    edges = torch.cat([edges.reshape(-1), edges.new_full((1,), len(padded))])
    # as a column: one thread a segment on CUDA, where a row would take one block a segment
    return torch.segment_reduce(padded[:, None], "max", offsets=edges, initial=0.0, unsafe=True).view(-1, _POINTS)
