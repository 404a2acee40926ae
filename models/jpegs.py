"""JPEG by libjpeg-turbo straight into RGB, at a fraction of its size where no more is needed.

Whatever is not a sound, ordinary JPEG is left to Pillow, which names its faults: an answer of None is no verdict.
"""

import functools
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_START: Final = b"\xff\xd8\xff"
_SPACES: Final = frozenset({"YCbCr", "Gray", "RGB"})  # CMYK comes in two readings, which Pillow tells apart
_FRACTIONS: Final = (8, 4, 2)  # those that libjpeg-turbo's fast inverse transforms know
_TURNED: Final = (b"Exif\x00\x00", b"tiff:Orientation")  # where an orientation may stand: EXIF, or XMP's copy of it


class Decoded(NamedTuple):
    """RGB pixels, uint8 of (height, width, 3), and the size of the whole picture, of which they may be a fraction."""

    pixels: NDArray[np.uint8]
    height: int
    width: int


@functools.cache
def _library() -> Any:
    import simplejpeg

    return simplejpeg


def may_be_turned(content: bytes) -> bool:
    """Tell whether this is a JPEG in which an orientation may stand at all; nothing is parsed."""
    return content.startswith(_START) and any(mark in content for mark in _TURNED)


def fraction_for(height: int, width: int, *, within: tuple[int, int]) -> int:
    """Return the largest of 1, 2, 4, 8 by which a picture may be divided and still fill `within`, (height, width).

    It fills it when it needs no enlarging to be letterboxed into it.
    """
    gain = min(within[0] / height, within[1] / width)
    wanted = (round(height * gain), round(width * gain))
    for fraction in _FRACTIONS:
        if -(-height // fraction) >= wanted[0] and -(-width // fraction) >= wanted[1]:
            return fraction
    return 1


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width of an ordinary JPEG as it is stored, or None where Pillow has to look at it."""
    if not content.startswith(_START):
        return None
    try:
        height, width, space, _ = _library().decode_jpeg_header(content)
    except ValueError:
        return None
    return (height, width) if space in _SPACES else None


def decode_jpeg(content: bytes, *, max_pixels: int, within: tuple[int, int] | None = None) -> Decoded | None:
    """Return a sound JPEG as it is stored, not turned; None where Pillow has to look at it.

    Args:
        content: the file.
        max_pixels: a larger picture is left to Pillow, which refuses it.
        within: height and width that will be enough: the picture may come by the fraction of its size, as scaled while its
            cosine transform is inverted (ITU-T T.81; libjpeg-turbo's scale_num/scale_denom), that still fills them.
    """
    size = jpeg_size(content)
    if size is None or size[0] * size[1] > max_pixels:
        return None
    height, width = size
    try:
        fraction = 1 if within is None else fraction_for(height, width, within=within)
        least = {"min_height": -(-height // fraction), "min_width": -(-width // fraction)} if fraction > 1 else {}
        return Decoded(_library().decode_jpeg(content, "RGB", **least), height, width)
    except ValueError:
        return None
