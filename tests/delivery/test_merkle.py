"""Merkle trees against the recursive definition of RFC 6962 and known roots."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    proves_consistency,
    proves_inclusion,
    root_of,
)

ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def by_definition(entries: Sequence[bytes]) -> bytes:
    """The Merkle tree hash as RFC 6962, 2.1 writes it down."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    half = 1
    while half * 2 < len(entries):
        half *= 2
    return hashlib.sha256(b"\x01" + by_definition(entries[:half]) + by_definition(entries[half:])).digest()


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_known_roots(size: int, root: str) -> None:
    assert root_of([leaf_hash(entry) for entry in ENTRIES[:size]]).hex() == root


def test_the_root_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_paths_of_the_example_in_rfc_6962() -> None:
    """Section 2.1.3: the tree of seven leaves with nodes a to l."""
    a, b, c, d, e, f, j = (leaf_hash(bytes([number])) for number in range(7))
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l_ = node_hash(g, h), node_hash(i, j)
    leaves = [a, b, c, d, e, f, j]
    assert root_of(leaves) == node_hash(k, l_)
    assert inclusion_proof(leaves, 0) == [b, h, l_]
    assert inclusion_proof(leaves, 3) == [c, g, l_]
    assert inclusion_proof(leaves, 4) == [f, j, k]
    assert inclusion_proof(leaves, 6) == [i, k]
    assert consistency_proof(leaves, 3) == [c, d, g, l_]
    assert consistency_proof(leaves, 4) == [l_]
    assert consistency_proof(leaves, 6) == [i, j, k]


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=3), max_size=40))
def test_roots_follow_the_definition(entries: list[bytes]) -> None:
    assert root_of([leaf_hash(entry) for entry in entries]) == by_definition(entries)


def test_every_inclusion_is_proved_and_no_other() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(18)]
    for size in range(1, 19):
        root = root_of(leaves[:size])
        for index in range(size):
            proof = inclusion_proof(leaves[:size], index)
            assert proves_inclusion(leaves[index], index, size, proof=proof, root=root)
            assert not proves_inclusion(leaf_hash(b"another"), index, size, proof=proof, root=root)
            assert not proves_inclusion(leaves[index], (index + 1) % size, size, proof=proof, root=root) or size == 1
            assert not proves_inclusion(leaves[index], index, size, proof=[*proof, root], root=root)
    assert not proves_inclusion(leaves[0], 1, 1, proof=[], root=leaves[0])


def test_every_beginning_is_proved_and_no_other() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(18)]
    for size in range(1, 19):
        new = (size, root_of(leaves[:size]))
        for old_size in range(1, size + 1):
            old = (old_size, root_of(leaves[:old_size]))
            proof = consistency_proof(leaves[:size], old_size)
            assert proves_consistency(old, new, proof)
            assert not proves_consistency((old_size, leaf_hash(b"another")), new, proof)
            assert not proves_consistency(old, (size, leaf_hash(b"another")), proof)
            assert not proves_consistency(old, new, [*proof, new[1]])
            if proof:
                assert not proves_consistency(old, new, proof[:-1])
    assert not proves_consistency((0, EMPTY_ROOT), (1, leaves[0]), [])


def test_what_is_not_there_has_no_proof() -> None:
    with pytest.raises(IndexError):
        inclusion_proof([], 0)
    with pytest.raises(IndexError):
        consistency_proof([EMPTY_ROOT], 2)
    with pytest.raises(IndexError):
        consistency_proof([EMPTY_ROOT], 0)
