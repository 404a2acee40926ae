"""Overlaps of boxes with whole-array numpy. Boxes are x, y, w, h; the overlap of empty boxes is 0."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def intersection(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Return the common area of each pair: two arrays of shape (pairs, 4) give shape (pairs,)."""
    width = np.minimum(one[:, 0] + one[:, 2], other[:, 0] + other[:, 2]) - np.maximum(one[:, 0], other[:, 0])
    height = np.minimum(one[:, 1] + one[:, 3], other[:, 1] + other[:, 3]) - np.maximum(one[:, 1], other[:, 1])
    return np.asarray(np.maximum(width, 0.0) * np.maximum(height, 0.0), dtype=np.float64)


def iou_of_pairs(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Return intersection over union of each pair."""
    common = intersection(one, other)
    union = one[:, 2] * one[:, 3] + other[:, 2] * other[:, 3] - common
    return np.divide(common, union, out=np.zeros_like(union), where=union > 0)


def share_inside(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Return the share of each box of `one` that lies inside the box of `other` beside it."""
    area = one[:, 2] * one[:, 3]
    return np.divide(intersection(one, other), area, out=np.zeros_like(area), where=area > 0)
