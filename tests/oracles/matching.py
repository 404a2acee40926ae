"""The slow truth about one-to-one matching: try every choice."""

from collections.abc import Mapping

Edges = Mapping[tuple[int, int], float]


def best_matching(edges: Edges) -> tuple[int, float]:
    """Return the size of the largest matching, and the greatest quality among the largest."""
    return _best(sorted(edges.items()), frozenset(), frozenset())


def _best(edges: list[tuple[tuple[int, int], float]], lefts: frozenset[int], rights: frozenset[int]) -> tuple[int, float]:
    best = (0, 0.0)
    for index, ((left, right), quality) in enumerate(edges):
        if left not in lefts and right not in rights:
            size, total = _best(edges[index + 1 :], lefts | {left}, rights | {right})
            best = max(best, (size + 1, total + quality))
    return best


def plain_iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return intersection over union of x1, y1, x2, y2 boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - width * height
    return width * height / union
