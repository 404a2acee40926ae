"""Groups of pictures that look alike, against a search over all pairs."""

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.fingerprints import fingerprint, small_pixels
from models.picture_groups import ALIKE_BITS, group_pictures
from models.scenes import render_scene

FEW_BITS = st.lists(st.integers(0, 63), max_size=5).map(lambda bits: sum({1 << bit for bit in bits}))


def by_search(hashes: list[int], bits: int) -> list[int]:
    """Walk from every picture to all that a chain reaches."""
    found = []
    for start in range(len(hashes)):
        seen, waiting = {start}, [start]
        while waiting:
            place = waiting.pop()
            near = {at for at, other in enumerate(hashes) if (other ^ hashes[place]).bit_count() <= bits}
            waiting += near - seen
            seen |= near
        found.append(min(seen))
    return found


@settings(max_examples=100, deadline=None)
@given(st.lists(FEW_BITS | st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 7))
def test_groups_are_those_of_a_search(hashes: list[int], bits: int) -> None:
    assert group_pictures(hashes, bits=bits) == by_search(hashes, bits)


def test_many_pictures_are_compared_in_blocks() -> None:
    rng = np.random.default_rng(1)
    hashes = [int(value) for value in rng.integers(0, 2**63, 1400)]
    hashes[1300] = hashes[5] ^ 0b11
    hashes[700] = hashes[1300] ^ (0b111111 << 40)
    groups = group_pictures(hashes)
    assert {groups[5], groups[700], groups[1300]} == {5}
    assert sum(place != group for place, group in enumerate(groups)) == 2


def test_the_same_picture_in_another_dress_looks_alike_and_another_does_not() -> None:
    apart = []
    hashes = [fingerprint(render_scene(seed)[0]).bits for seed in range(12)]
    for seed in range(12):
        image = Image.fromarray(render_scene(seed)[0])
        sink = io.BytesIO()
        image.resize((image.width // 2, image.height // 2)).save(sink, "JPEG", quality=70)
        other = fingerprint(small_pixels(sink.getvalue())).bits
        assert (other ^ hashes[seed]).bit_count() <= ALIKE_BITS
        apart += [(other ^ each).bit_count() for at, each in enumerate(hashes) if at != seed]
    assert min(apart) > ALIKE_BITS
