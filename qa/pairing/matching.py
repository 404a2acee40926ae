"""One-to-one matching over sparse candidate pairs: most pairs first, then the best total quality.

Only pairs that may match are given (an edge list), so that the work falls apart into connected
components; nearly all of them are single pairs and need no solver.
"""

import numpy as np
from numpy.typing import NDArray

from qa.pairing.assignment import Candidates, choose_best
from qa.pairing.components import choose_in_order, components

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

    Quality counts in steps of 2**-40, about 1e-12. Among choices that tie in both, the one taken depends on the
    numbering of the elements alone: number them by content, and the order of the input cannot matter.

    Args:
        left: left element of each edge, from 0; no edge occurs twice.
        right: right element of each edge, from 0.
        quality: of each edge, from 0 to 1.

    Returns:
        Which edges are chosen.
    """
    order = _in_order(left, right)
    edges = Candidates(left[order], right[order], quality[order])
    component = components(edges.left, edges.right)
    best = component < 0  # pairs that nothing contests
    contested = np.flatnonzero(~best)
    members = contested[np.argsort(component[contested], kind="stable")]
    choose_best(edges, members, np.append(0, np.cumsum(np.bincount(component[members]))), best)
    chosen = np.empty(left.size, dtype=np.bool_)
    chosen[order] = best
    return chosen


def assign_greedily(left: Indices, right: Indices, quality: NDArray[np.float64]) -> Mask:
    """Choose edges one-to-one by descending `quality`; ties go to the lower left, then the lower right element."""
    order = _in_order(left, right)
    order = order[np.argsort(-quality[order], kind="stable")]
    return choose_in_order(np.ascontiguousarray(left), np.ascontiguousarray(right), order)


def _in_order(left: Indices, right: Indices) -> Indices:
    """Return the order by left, then right, in which edges nearly always come."""
    step, other_step = np.diff(left), np.diff(right)
    if np.all((step > 0) | ((step == 0) & (other_step > 0))):
        return np.arange(left.size)
    return np.lexsort((right, left))
