"""Farthest first, against a slow one that looks at everything each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qa.review.novelty import farthest_first, text_vectors

POINTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=9)


def slow(points: NDArray[np.float32], covered: set[int]) -> list[int]:
    taken = sorted(covered)
    order: list[int] = []
    while len(taken) < len(points):
        left = [row for row in range(len(points)) if row not in taken]
        if taken:
            near = {row: min(float(np.linalg.norm(points[row] - points[other])) for other in taken) for row in left}
        else:
            mean = points.mean(axis=0)
            near = {row: float(np.linalg.norm(points[row] - mean)) for row in left}
        best = max(near.values())
        row = next(row for row in left if near[row] >= best - 1e-6)
        order.append(row)
        taken.append(row)
    return order + sorted(covered)


@settings(max_examples=100)
@given(POINTS, st.data())
def test_each_next_item_is_the_farthest_from_all_before(points: list[tuple[int, int]], data: st.DataObject) -> None:
    vectors = np.array(points, np.float32)
    covered = data.draw(st.sets(st.integers(0, len(points) - 1)))
    mask = np.zeros(len(points), np.bool_)
    mask[list(covered)] = True
    order, novelty = farthest_first(vectors, covered=mask)
    assert sorted(order.tolist()) == list(range(len(points)))

    # ties of the first step, by distances from the mean, hang on rounding: compare distances, not rows
    def gains(rows: list[int]) -> list[float]:
        return [
            min((float(np.linalg.norm(vectors[row] - vectors[other])) for other in [*covered, *rows[:at]]), default=0.0)
            for at, row in enumerate(rows)
            if row not in covered
        ]

    wanted = slow(vectors, covered)
    if covered:
        assert order.tolist() == wanted
    assert gains(order.tolist())[0] == pytest.approx(gains(wanted)[0]) if len(covered) < len(points) else True
    chosen = order[: len(points) - len(covered)]
    assert all(novelty[row] == 0 for row in covered)
    assert novelty[chosen][1:].tolist() == pytest.approx(gains(order.tolist())[1:], abs=1e-5)


def test_after_the_centres_the_rest_follows_by_distance() -> None:
    vectors = np.array([[0.0], [10.0], [1.0], [9.5], [4.0]], np.float32)
    order, novelty = farthest_first(vectors, most=2)
    assert order.tolist() == [1, 0, 4, 2, 3]
    assert novelty.tolist() == pytest.approx([10.0, 5.1, 1.0, 0.5, 4.0])


def test_nothing_has_no_order() -> None:
    order, novelty = farthest_first(np.zeros((0, 3), np.float32))
    assert order.size == novelty.size == 0


def test_first_items_cover_the_rest_within_twice_the_best_radius() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 2)).astype(np.float32)
    order, _ = farthest_first(vectors)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)

    def radius(rows: tuple[int, ...]) -> float:
        return float(apart[:, list(rows)].min(axis=1).max())

    from itertools import combinations

    for size in (1, 2, 3):
        best = min(radius(rows) for rows in combinations(range(12), size))
        assert radius(tuple(order[:size].tolist())) <= 2 * best + 1e-6


def test_texts_alike_are_near_and_an_empty_one_is_at_the_origin() -> None:
    texts = ["The room was clean and quiet.", "the ROOM was clean, and quiet", "房间很干净", "房間很乾淨!", "", "   "]
    vectors = text_vectors(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths.tolist() == pytest.approx([1, 1, 1, 1, 0, 0])
    assert vectors[0] @ vectors[1] > 0.8 > vectors[0] @ vectors[2]
    assert vectors[2] @ vectors[3] > vectors[0] @ vectors[3]
