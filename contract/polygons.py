"""Simple polygons: what may stand as a region of the picture, decided without rounding."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

MOST_POINTS: Final = 100

Point = tuple[float, float]
_Exact = tuple[Fraction, Fraction]


def polygon_problem(points: Sequence[Point]) -> str | None:
    """Return why `points` are no simple polygon (three points or more, no edge touching another), or None."""
    if len(points) < 3:
        return f"has {len(points)} points, and a region needs 3 at least"
    for at, point in enumerate(points):
        if point in points[:at]:
            return f"names the point ({point[0]:g}, {point[1]:g}) twice; the last point joins the first by itself"
    exact = [(Fraction(x), Fraction(y)) for x, y in points]
    edges = [(exact[at], exact[(at + 1) % len(exact)]) for at in range(len(exact))]
    for one in range(len(edges)):
        for other in range(one + 1, len(edges)):
            neighbours = other == one + 1 or (one == 0 and other == len(edges) - 1)
            if _folded(edges[one], edges[other]) if neighbours else _touch(edges[one], edges[other]):
                return f"crosses or touches itself: its edges {one + 1} and {other + 1} meet; name the corners in order"
    return None


def _turn(a: _Exact, b: _Exact, c: _Exact) -> int:
    """Return 1 where a, b, c turn one way, -1 the other way, and 0 where they lie on a line."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (area > 0) - (area < 0)


def _between(a: _Exact, b: _Exact, c: _Exact) -> bool:
    """Tell whether c, on the line through a and b, lies on the segment between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _touch(one: tuple[_Exact, _Exact], other: tuple[_Exact, _Exact]) -> bool:
    (a, b), (c, d) = one, other
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _between(*three) for turn, three in zip(turns, ends, strict=True))


def _folded(one: tuple[_Exact, _Exact], other: tuple[_Exact, _Exact]) -> bool:
    """Tell whether two edges that share a corner lie on each other."""
    (a, b), (c, d) = one, other
    corner, first, second = (b, a, d) if b == c else (a, b, c)
    if _turn(first, corner, second):
        return False
    return _between(corner, first, second) or _between(corner, second, first)
