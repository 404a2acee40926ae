"""Which boxes lie in a region of the picture."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.guideline import Anchor, Region
from models.detections import Boxes

ON_EDGE: Final = 1e-9  # shares of the picture; boxes are clipped to it, so that anchors often lie on a region's edge

_DOWN: Final = {"center": 0.5, "bottom_center": 1.0}


def anchors_of(boxes: Boxes, anchor: Anchor) -> NDArray[np.float64]:
    """Return n x 2: the point of each box that says where it is."""
    points: NDArray[np.float64] = boxes[:, :2] + boxes[:, 2:4] * np.array([0.5, _DOWN[anchor]])
    return points


def in_region(points: NDArray[np.float64], region: Region | Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Tell which of n x 2 `points` lie in the simple polygon `region` or on its edge.

    A ray to the right crosses the outline an odd number of times from within (Shimrat, 1962).
    """
    inside = np.zeros(len(points), np.bool_)
    edge = np.zeros(len(points), np.bool_)
    x, y = points[:, 0], points[:, 1]
    for at, (x2, y2) in enumerate(region):
        x1, y1 = region[at - 1]
        along_x, along_y = x2 - x1, y2 - y1
        spans = (y1 > y) != (y2 > y)
        if along_y:
            inside ^= spans & (x < x1 + (y - y1) * along_x / along_y)
        share = np.clip(((x - x1) * along_x + (y - y1) * along_y) / (along_x**2 + along_y**2), 0.0, 1.0)
        edge |= np.hypot(x - (x1 + share * along_x), y - (y1 + share * along_y)) <= ON_EDGE
    return inside | edge


def boxes_in(boxes: Boxes, region: Region | None, anchor: Anchor | None) -> Boxes:
    """Return the boxes that lie in `region`; all where there is none."""
    if region is None or anchor is None or not len(boxes):
        return boxes
    return boxes[in_region(anchors_of(boxes, anchor), region)]
