"""One-to-one matching over sparse candidate pairs: most pairs first, then the best total quality.

Only pairs that may match are given (an edge list), so that the work falls apart into connected
components; nearly all of them are single pairs and need no solver.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


def pairs_within(left_group: Indices, right_group: Indices) -> tuple[Indices, Indices]:
    """Return every (left, right) index pair whose group codes are equal, ordered by left, then right.

    Both arrays hold the group code of each element, in any order.
    """
    order = np.argsort(right_group, kind="stable")
    ordered = right_group[order]
    first = np.searchsorted(ordered, left_group, side="left")
    counts = np.searchsorted(ordered, left_group, side="right") - first
    left = np.repeat(np.arange(left_group.size), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return left, order[np.repeat(first, counts) + offsets]


def left_over(size: int, taken: Indices) -> Indices:
    """Return the indices below `size` that are not in `taken`, ascending."""
    free = np.ones(size, dtype=np.bool_)
    free[taken] = False
    return np.flatnonzero(free)


def assign(left: Indices, right: Indices, quality: NDArray[np.float64]) -> Mask:
    """Choose edges one-to-one: maximum cardinality, then maximum sum of `quality` (within 0 to 1).

    Among choices that tie in both, the one taken depends on the numbering of the elements alone:
    number them by content, and the order of the input cannot matter.

    Args:
        left: left element of each edge; no edge occurs twice.
        right: right element of each edge.
        quality: of each edge, from 0 to 1.

    Returns:
        Which edges are chosen.
    """
    chosen = np.zeros(left.size, dtype=np.bool_)
    if not left.size:
        return chosen
    alone = (np.bincount(left)[left] == 1) & (np.bincount(right)[right] == 1)
    chosen[alone] = True
    contested = np.flatnonzero(~alone)
    for edges in _components(left[contested], right[contested]):
        member = contested[edges]
        chosen[member[_solve(left[member], right[member], quality[member])]] = True
    return chosen


def _components(left: Indices, right: Indices) -> list[Indices]:
    """Split edges into connected components; within one, edges keep (left, right) order."""
    if not left.size:
        return []
    lefts, left_code = np.unique(left, return_inverse=True)
    rights, right_code = np.unique(right, return_inverse=True)
    nodes = lefts.size + rights.size
    graph = coo_array((np.ones(left.size), (left_code, right_code + lefts.size)), shape=(nodes, nodes))
    _, labels = connected_components(graph, directed=False)
    component = labels[left_code]
    order = np.lexsort((right, left, component))
    cuts = np.flatnonzero(np.diff(component[order])) + 1
    return [np.asarray(edges, dtype=np.int64) for edges in np.split(order, cuts)]


def _solve(left: Indices, right: Indices, quality: NDArray[np.float64]) -> Indices:
    """Return which edges of one component are chosen."""
    lefts, rows = np.unique(left, return_inverse=True)
    rights, columns = np.unique(right, return_inverse=True)
    # a pair more must outweigh any gain in quality: at most one per pair
    bonus = min(lefts.size, rights.size) + 1
    weight = np.zeros((lefts.size, rights.size))
    weight[rows, columns] = bonus + quality
    edge = np.full(weight.shape, -1, dtype=np.int64)
    edge[rows, columns] = np.arange(left.size)
    picked = edge[linear_sum_assignment(weight, maximize=True)]
    return np.asarray(picked[picked >= 0], dtype=np.int64)


def assign_greedily(left: Indices, right: Indices, quality: NDArray[np.float64]) -> Mask:
    """Choose edges one-to-one by descending `quality`; ties go to the lower left, then the lower right element."""
    chosen = np.zeros(left.size, dtype=np.bool_)
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    for edge in np.lexsort((right, left, -quality)).tolist():
        one, other = int(left[edge]), int(right[edge])
        if one not in taken_left and other not in taken_right:
            taken_left.add(one)
            taken_right.add(other)
            chosen[edge] = True
    return chosen
