"""Loops over edges, compiled: which hang together, and which are taken where the first come first."""

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@compiled
def components(left: Indices, right: Indices) -> Indices:
    """Return the number of each edge's connected component, from 0 in order of their first edges; -1 for a lone pair."""
    component = np.full(left.size, -1, dtype=np.int64)
    if left.size == 0:
        return component
    lefts, rights = left.max() + 1, right.max() + 1
    degree = np.zeros(lefts + rights, dtype=np.int64)
    for edge in range(left.size):
        degree[left[edge]] += 1
        degree[lefts + right[edge]] += 1
    parent = np.arange(lefts + rights)
    for edge in range(left.size):
        if degree[left[edge]] > 1 or degree[lefts + right[edge]] > 1:
            one, other = _root(parent, left[edge]), _root(parent, lefts + right[edge])
            parent[max(one, other)] = min(one, other)
    number = np.full(lefts + rights, -1, dtype=np.int64)
    found = 0
    for edge in range(left.size):
        if degree[left[edge]] > 1 or degree[lefts + right[edge]] > 1:
            root = _root(parent, left[edge])
            if number[root] < 0:
                number[root] = found
                found += 1
            component[edge] = number[root]
    return component


@compiled
def _root(parent: Indices, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def choose_in_order(left: Indices, right: Indices, order: Indices) -> Mask:
    """Return which edges are chosen when each of `order` is taken whose elements are both still free."""
    chosen = np.zeros(left.size, dtype=np.bool_)
    if left.size == 0:
        return chosen
    left_taken = np.zeros(left.max() + 1, dtype=np.bool_)
    right_taken = np.zeros(right.max() + 1, dtype=np.bool_)
    for edge in order:
        if not left_taken[left[edge]] and not right_taken[right[edge]]:
            left_taken[left[edge]] = True
            right_taken[right[edge]] = True
            chosen[edge] = True
    return chosen
