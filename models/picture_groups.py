"""Pictures that look alike, as groups: what is trained on must not be measured on in another dress.

Two pictures whose hashes (`models/fingerprints.py`) differ in six bits at most look alike, and so do those that a chain of
such pairs joins: frames of a slow clip are one group. That is laxer than what makes two pictures copies of one another
(`qa/duplicates`), because here it is better to hold too much together than to measure on what was learnt.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

ALIKE_BITS: Final = 6
_ROWS_AT_ONCE: Final = 512


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
