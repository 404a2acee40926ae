"""Pictures that look alike, as groups: what is trained on must not be measured on in another dress.

A picture is told by its difference hash (Krawetz 2013): shrunk to 9 x 8 grey values, of each two neighbours in a row which
is brighter, 64 bits. Two pictures whose hashes differ in six bits at most look alike, and so do those that a chain of such
pairs joins: frames of a slow clip are one group.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

ALIKE_BITS: Final = 6
_ROWS_AT_ONCE: Final = 512


def difference_hash(picture: NDArray[np.uint8]) -> int:
    """Return the 64 bits of an RGB picture of shape (height, width, 3)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def group_pictures(hashes: Sequence[int], *, bits: int = ALIKE_BITS) -> list[int]:
    """Return of each picture the smallest place among those that it looks alike with, by chains of pairs.

    Time grows with the square of the pictures: a hundred million pairs take about a second.
    """
    codes = np.array(hashes, np.uint64)
    root = list(range(len(codes)))

    def top(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for start in range(0, len(codes), _ROWS_AT_ONCE):
        some = codes[start : start + _ROWS_AT_ONCE]
        apart = np.bitwise_count(some[:, None] ^ codes[None, start:])
        for row, column in np.argwhere(apart <= bits).tolist():
            first, second = sorted((top(start + row), top(start + column)))
            root[second] = first
    return [top(place) for place in range(len(codes))]
