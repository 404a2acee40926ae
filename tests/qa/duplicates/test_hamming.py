"""Hashes within a radius, against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.duplicates.hamming import BITS, MOST_RADIUS, HammingIndex


def slow(hashes: list[int], bits: int, radius: int) -> list[tuple[int, int]]:
    apart = [(number, (each ^ bits).bit_count()) for number, each in enumerate(hashes)]
    return [pair for pair in apart if pair[1] <= radius]


@st.composite
def near_hashes(draw: st.DrawFn) -> list[int]:
    """Hashes that are a few flipped bits of each other, ties and the extremes among them."""
    base = draw(st.sampled_from([0, (1 << BITS) - 1, 0x0F0F_3355_00FF_1234]))
    flips = st.lists(st.integers(0, BITS - 1), max_size=10)
    found = []
    for bits in draw(st.lists(flips, max_size=12)):
        value = base
        for bit in bits:
            value ^= 1 << bit
        found.append(value)
    return found


@settings(max_examples=100)
@given(near_hashes(), st.integers(0, MOST_RADIUS))
def test_near_hashes_are_those_of_all_pairs(hashes: list[int], radius: int) -> None:
    index = HammingIndex(radius)
    for number, bits in enumerate(hashes):
        numbers, apart = index.near(bits)
        assert list(zip(numbers.tolist(), apart.tolist(), strict=True)) == slow(hashes[:number], bits, radius)
        index.add(bits)
    assert len(index) == len(hashes)


def test_thousands_of_hashes_with_planted_neighbours() -> None:
    rng = np.random.default_rng(7)
    hashes = rng.integers(0, 2**63, 3_000, dtype=np.uint64)
    flips = np.array(
        [sum(1 << int(bit) for bit in rng.choice(BITS, count, replace=False)) for count in range(10)], np.uint64
    )
    hashes[1_000:2_000] = hashes[:1_000] ^ np.resize(flips, 1_000)
    index = HammingIndex(6)
    for bits in hashes.tolist():
        index.add(bits)
    for row in range(0, 3_000, 7):
        numbers, apart = index.near(int(hashes[row]))
        every = np.bitwise_count(hashes ^ hashes[row])
        assert numbers.tolist() == np.flatnonzero(every <= 6).tolist()
        assert apart.tolist() == every[every <= 6].tolist()


@pytest.mark.parametrize("radius", [-1, MOST_RADIUS + 1])
def test_a_radius_out_of_range_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match="radius"):
        HammingIndex(radius)
