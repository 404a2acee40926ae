"""Regions: simple polygons are taken and all others refused, against a slow oracle on a grid of halves."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.polygons import polygon_problem

Point = tuple[float, float]


def on_segment(point: tuple[Fraction, Fraction], a: Point, b: Point) -> bool:
    """Tell by the parameter along the edge; independent of signs of areas."""
    (ax, ay), (bx, by) = ((Fraction(x), Fraction(y)) for x, y in (a, b))
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    along = ((point[0] - ax) * dx + (point[1] - ay) * dy) / length
    return 0 <= along <= 1 and point == (ax + along * dx, ay + along * dy)


def meeting_points(a: Point, b: Point, c: Point, d: Point) -> set[tuple[Fraction, Fraction]]:
    """Return where two segments meet: their corners on each other, and the crossing of lines by Cramer's rule."""
    corners = [(Fraction(x), Fraction(y)) for x, y in (a, b, c, d)]
    met = {point for point in corners if on_segment(point, a, b) and on_segment(point, c, d)}
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    det = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
    if det:
        t = ((cx - ax) * (dy - cy) - (cy - ay) * (dx - cx)) / det
        point = (ax + t * (bx - ax), ay + t * (by - ay))
        if on_segment(point, a, b) and on_segment(point, c, d):
            met.add(point)
    return met


def simple(points: list[Point]) -> bool:
    if len(points) < 3 or len(set(points)) < len(points):
        return False
    edges = list(zip(points, [*points[1:], points[0]], strict=True))
    for (i, one), (j, other) in itertools.combinations(enumerate(edges), 2):
        shared = {one[1]} if j == i + 1 else {one[0]} if (i, j) == (0, len(edges) - 1) else set()
        if len(points) == 3:
            shared = set(one) & set(other)
        if meeting_points(*one, *other) != {(Fraction(x), Fraction(y)) for x, y in shared}:
            return False
    return True


GRID = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda at: (at[0] / 4, at[1] / 4))


@settings(max_examples=100, deadline=None)
@given(st.lists(GRID, max_size=6))
def test_polygons_agree_with_the_oracle(points: list[Point]) -> None:
    assert (polygon_problem(points) is None) == simple(points)


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)],
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.1), (0.0, 1.0)],
        [(0.1, 0.6), (0.9, 0.6), (1.0, 0.9), (0.0, 0.9)],
    ],
)
def test_simple_polygons_have_no_problem(points: list[Point]) -> None:
    assert polygon_problem(points) is None
    assert polygon_problem(points[::-1]) is None


def test_nearly_flat_polygons_are_decided_without_rounding() -> None:
    third = 1 / 3  # 0.1 + 0.2 is not 0.3 in float64, so these three are no line
    assert polygon_problem([(0.0, 0.0), (0.1 + 0.2, 0.3), (1.0, 1.0)]) is None
    assert polygon_problem([(0.0, 0.0), (third, third), (1.0, 1.0)]) is not None
