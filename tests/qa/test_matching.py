from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.pairing.matching import assign, assign_greedily, pairs_within
from tests.oracles import plainboxes
from tests.oracles.matching import best_matching

QUALITY = st.sampled_from([0.0, 0.5, 0.75, 1.0]) | st.floats(0, 1)
EDGES = st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 5)), QUALITY, max_size=12)


def arrays(edges: dict[tuple[int, int], float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ends = np.array(list(edges), dtype=np.int64).reshape(-1, 2)
    return ends[:, 0], ends[:, 1], np.array(list(edges.values()), dtype=np.float64)


@given(EDGES)
def test_assign_is_largest_then_best(edges: dict[tuple[int, int], float]) -> None:
    left, right, quality = arrays(edges)
    chosen = assign(left, right, quality)
    size, total = best_matching(edges)
    assert chosen.sum() == size
    assert np.isclose(quality[chosen].sum(), total)
    assert np.unique(left[chosen]).size == np.unique(right[chosen]).size == size


@given(EDGES, st.randoms(use_true_random=False))
def test_the_order_of_edges_does_not_matter(edges: dict[tuple[int, int], float], random: Random) -> None:
    left, right, quality = arrays(edges)
    order = list(range(left.size))
    random.shuffle(order)
    for choose in (assign, assign_greedily):
        here = choose(left, right, quality)
        there = choose(left[order], right[order], quality[order])
        assert {*zip(left[here], right[here], strict=True)} == {*zip(left[order][there], right[order][there], strict=True)}


def test_greedy_takes_the_best_pair_and_loses_one() -> None:
    # the trap of the acceptance notes, 3.6: A, B against X, Y
    left, right = np.array([0, 0, 1]), np.array([0, 1, 0])
    quality = np.array([0.818182, 0.538462, 0.666667])
    assert assign_greedily(left, right, quality).sum() == 1
    assert assign(left, right, quality).sum() == 2


@given(st.lists(st.integers(0, 4), max_size=15), st.lists(st.integers(0, 4), max_size=15))
def test_pairs_within_lists_every_pair_of_a_group_once(one: list[int], other: list[int]) -> None:
    left, right = pairs_within(np.array(one, dtype=np.int64), np.array(other, dtype=np.int64))
    expected = [(i, j) for i, a in enumerate(one) for j, b in enumerate(other) if a == b]
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == expected


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 40), st.sampled_from([2, 3, 10, 0]))
@settings(deadline=None)
def test_assign_is_as_good_as_scipys_solver(seed: int, lefts: int, rights: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    left, right = np.nonzero(generator.random((lefts, rights)) < generator.choice([0.05, 0.2, 1]))
    quality = generator.integers(0, steps + 1, left.size) / steps if steps else generator.random(left.size)
    chosen, plain = assign(left, right, quality), plainboxes.assign(left, right, quality)
    assert chosen.sum() == plain.sum() == np.unique(left[chosen]).size == np.unique(right[chosen]).size
    assert np.isclose(quality[chosen].sum(), quality[plain].sum(), rtol=0, atol=lefts * 2.0**-40)


@pytest.mark.parametrize("share", [0.015, 0.04, 0.1, 0.3, 1])  # by edge lists, then as a table
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("rights", [110, 150])
def test_either_solver_is_as_good_as_scipys_on_large_components(share: float, steps: int, rights: int) -> None:
    generator = np.random.default_rng(7)
    left, right = np.nonzero(generator.random((130, rights)) < share)
    quality = generator.integers(0, steps + 1, left.size) / steps if steps else generator.random(left.size)
    chosen, plain = assign(left, right, quality), plainboxes.assign(left, right, quality)
    assert chosen.sum() == plain.sum() == np.unique(left[chosen]).size == np.unique(right[chosen]).size
    assert quality[chosen].sum() == pytest.approx(quality[plain].sum(), rel=0, abs=130 * 2.0**-40)


def test_a_pair_more_outweighs_every_quality() -> None:
    # a chain of worthless edges against one that is perfect but stands in the way of both
    left, right, quality = np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 0.0])
    assert assign(left, right, quality).sum() == 2
    left, right, quality = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([1.0, 0.0, 0.0])
    assert assign(left, right, quality).tolist() == [False, True, True]


def test_qualities_nearer_than_a_step_tie_and_the_numbering_decides() -> None:
    left, right = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    chosen = assign(left, right, np.array([0.5, 0.5 + 1e-14, 0.5, 0.5 - 1e-14]))
    assert chosen.tolist() == [True, False, False, True]
