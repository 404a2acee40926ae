import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from qa.pairing.stable_sort import ascending_order, ascends, descending_keys, order_of_groups, sort_run

KEYS = arrays(np.uint64, st.integers(0, 300), elements=st.sampled_from([0, 1, 2, 2**12, 2**40, 2**40 + 1, 2**63, 2**64 - 1]))


@given(KEYS)
@settings(deadline=None, max_examples=100)
def test_the_order_is_that_of_a_stable_sort(keys: NDArray[np.uint64]) -> None:
    assert ascending_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1000, 5000])
@pytest.mark.parametrize("spread", [1, 3, 2**20, 2**63])
def test_many_keys(count: int, spread: int) -> None:
    keys = np.random.default_rng(count).integers(0, spread, count, dtype=np.uint64)
    assert ascending_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


def test_one_key_far_from_many_that_differ_in_their_last_bits() -> None:
    keys = np.concatenate([[0], 2**63 + np.random.default_rng(0).integers(0, 2000, 2000, dtype=np.uint64)]).astype(np.uint64)
    assert ascending_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 200), (7, 8), (13, 180)])
def test_a_run_is_sorted_and_the_rest_stays(start: int, stop: int) -> None:
    keys = np.random.default_rng(1).integers(0, 9, 200, dtype=np.uint64)
    members = np.random.default_rng(2).permutation(200)
    expected = members.copy()
    expected[start:stop] = members[start:stop][np.argsort(keys[members[start:stop]], kind="stable")]
    sort_run(members, keys, start, stop, np.empty(200, dtype=np.int64))
    assert members.tolist() == expected.tolist()


@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=False)))
@settings(deadline=None, max_examples=100)
def test_keys_ascend_where_scores_descend(scores: NDArray[np.float64]) -> None:
    keys = (scores + 0.0).view(np.uint64)
    descending_keys(keys)
    assert np.argsort(keys, kind="stable").tolist() == np.argsort(-scores, kind="stable").tolist()


def test_groups_keep_their_order() -> None:
    groups = np.array([2, 0, 2, 1, 0], dtype=np.int64)
    assert order_of_groups(groups, np.array([0, 2, 3, 5], dtype=np.int64)).tolist() == [1, 4, 3, 0, 2]


@pytest.mark.parametrize(("values", "expected"), [([], True), ([3], True), ([1, 1, 2], True), ([1, 3, 2], False)])
def test_ascends(values: list[int], expected: bool) -> None:
    assert ascends(np.array(values, dtype=np.int64)) is expected
