"""Where a picture lies in a network's input: scaled with its proportions kept, grey around, and boxes back again.

The geometry is that of Ultralytics' LetterBox (centred; `auto` for rectangles) and scale_boxes, to the pixel.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

GREY: Final = 114
_LONGEST: Final = 2  # a rectangle is at most so many times as long as it is wide: few shapes, each compiled once

Picture = NDArray[np.uint8]


class Fit(NamedTuple):
    """A picture of `height` x `width` as `rows` x `columns`, at `top` and `left` of an input of `shape` (height, width)."""

    height: int
    width: int
    shape: tuple[int, int]
    rows: int
    columns: int
    top: int
    left: int


def fit(height: int, width: int, *, within: tuple[int, int], stride: int | None) -> Fit:
    """Return how a picture of `height` x `width` lies in an input of `within`, (height, width).

    With a `stride` the input is only as large as it must be, in steps of it: half of `within` at least on either side.
    """
    gain = min(within[0] / height, within[1] / width)
    rows, columns = max(round(height * gain), 1), max(round(width * gain), 1)
    shape = within
    if stride is not None:
        shape = (_side(rows, within[0], stride), _side(columns, within[1], stride))
    top, left = round((shape[0] - rows) / 2 - 0.1), round((shape[1] - columns) / 2 - 0.1)
    return Fit(height, width, shape, rows, columns, top, left)


def _side(needed: int, whole: int, stride: int) -> int:
    least = -(-whole // (_LONGEST * stride)) * stride
    return min(max(-(-needed // stride) * stride, least), whole)


def letterboxed(picture: Picture, place: Fit) -> Picture:
    """Return `picture` (of any scale) as `place` has it, grey where it does not reach."""
    if picture.shape[:2] != (place.rows, place.columns):
        picture = np.asarray(cv2.resize(picture, (place.columns, place.rows), interpolation=cv2.INTER_LINEAR), np.uint8)
    if place.shape == picture.shape[:2]:
        return np.ascontiguousarray(picture)
    whole = np.full((*place.shape, picture.shape[2]), GREY, np.uint8)
    whole[place.top : place.top + place.rows, place.left : place.left + place.columns] = picture
    return whole


def unfitted(corners: NDArray[np.float32], place: Fit) -> NDArray[np.float32]:
    """Return x1, y1, x2, y2 (n, 4) of the input as those of the picture itself, not clipped."""
    gains = np.array([place.columns / place.width, place.rows / place.height] * 2, np.float32)
    return (corners - np.array([place.left, place.top] * 2, np.float32)) / gains
