"""Which of many 64-bit hashes are within a few bits of one: exactly, by bands.

Two hashes that differ in at most r bits agree on at least one of r + 1 bands (Manku, Jain and Das Sarma 2007, "Detecting
near-duplicates for web crawling"; Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index hashing").
Only what agrees on a band is compared.
"""

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 64
MOST_RADIUS: Final = 15  # bands of four bits; beyond that nearly everything is compared


class HammingIndex:
    """Hashes by number, in the order in which they were added.

    Args:
        radius: most bits in which a hash may differ, 0 to `MOST_RADIUS`.

    Raises:
        ValueError: the radius is out of range.
    """

    def __init__(self, radius: int) -> None:
        if not 0 <= radius <= MOST_RADIUS:
            raise ValueError(f"a radius of {radius} bits is not from 0 to {MOST_RADIUS}")
        self._radius = radius
        edges = np.linspace(0, BITS, radius + 2).astype(int).tolist()
        self._bands = [(start, (1 << (end - start)) - 1) for start, end in itertools.pairwise(edges)]
        self._buckets: list[dict[int, list[int]]] = [{} for _ in self._bands]
        self._hashes = np.zeros(1024, np.uint64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, bits: int) -> None:
        """Take in a hash."""
        if self._size == self._hashes.size:
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[self._size] = bits
        for buckets, value in zip(self._buckets, self._values(bits), strict=True):
            buckets.setdefault(value, []).append(self._size)
        self._size += 1

    def near(self, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of the hashes within the radius, ascending, and in how many bits each differs."""
        found: set[int] = set()
        for buckets, value in zip(self._buckets, self._values(bits), strict=True):
            found.update(buckets.get(value, ()))
        numbers = np.array(sorted(found), np.int64)
        apart = np.bitwise_count(self._hashes[numbers] ^ np.uint64(bits)).astype(np.int64)
        near = apart <= self._radius
        return numbers[near], apart[near]

    def _values(self, bits: int) -> list[int]:
        return [(bits >> start) & mask for start, mask in self._bands]
