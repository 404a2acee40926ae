"""Boxes in tools that keep corners: the exact x, y, w, h beside them, trusted while the corners stand where they stood.

Corners in float64 do not always give width and height back, and tools round what they save to hundredths of a pixel.
"""

import math
from typing import Final

from contract.errors import FormatError

Box = tuple[float, float, float, float]
_NEAR: Final = 0.005 + 1e-9  # px: half of a hundredth


def corners_of(box: Box) -> Box:
    """Return left, top, right, bottom of x, y, w, h."""
    x, y, w, h = box
    return x, y, x + w, y + h


def exact_text(box: Box) -> str | None:
    """Return x, y, w, h as a text, or None where the corners give them back."""
    x, y, w, h = box
    if (x + w) - x == w and (y + h) - y == h:
        return None
    return " ".join(map(repr, box))


def box_of(corners: Box, exact: object, *, where: str) -> Box:
    """Return x, y, w, h in pixels: as `exact` says, where the corners stand as it says, or by the corners.

    Args:
        corners: left, top, right, bottom.
        exact: what stands beside them; anything but four numbers says nothing.
        where: file and item, for the message.

    Raises:
        FormatError: width or height is negative, or too large for a float.
    """
    left, top, right, bottom = corners
    if right < left or bottom < top:
        raise FormatError(f"{where}: the box has a negative size, {right - left:g} x {bottom - top:g}")
    box = left, top, right - left, bottom - top
    if not all(map(math.isfinite, box)):
        raise FormatError(f"{where}: the box is too large to be told in pixels")
    told = _numbers(exact)
    if told and all(abs(one - other) <= _NEAR for one, other in zip(corners_of(told), corners, strict=True)):
        return told
    return box


def _numbers(text: object) -> Box | None:
    if not isinstance(text, str) or len(text) > 200:
        return None
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        return None
    return (
        (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 and all(map(math.isfinite, numbers)) else None
    )
