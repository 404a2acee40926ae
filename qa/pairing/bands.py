"""Loops along time, compiled: candidates among neighbours alone, and the best matching of points on a line.

Elements come sorted by group (a video, or a video and an event), then time; those of different groups never meet.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled
from qa.pairing.assignment import STEPS

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

_NONE = -1


class Points(NamedTuple):
    """Points in time, sorted by group, then time."""

    group: Indices
    time: Floats


class Spans(NamedTuple):
    """Intervals, sorted by group, then start; `spans` has shape (n, 2): start, end."""

    group: Indices
    spans: Floats


class _Chains(NamedTuple):
    """Chains of pairs, each named by its last pair."""

    length: Indices
    cost: Indices
    before: Indices  # the pair before the last
    best: Indices  # by label, as a Fenwick tree of prefixes


@compiled
def match_in_order(gold: Points, labels: Points, reach: float) -> tuple[Indices, Indices]:
    """Match points one-to-one within `reach`: most pairs first, then the least sum of offsets.

    On a line two pairs that cross can be uncrossed: no offset gets larger than the larger one, and their sum does not
    grow. So the best matching is the best chain of pairs that ascend on both sides, found as the longest increasing
    subsequence is: pairs * log(labels) steps, however many points hang together. Offsets count in steps of
    reach / 2**40; of chains that tie the one found first stays.
    """
    first, last = _within_reach(gold, labels, reach)
    pairs = (last - first).sum()
    ones, others = np.empty(pairs, dtype=np.int64), np.empty(pairs, dtype=np.int64)
    chains = _Chains(
        np.zeros(pairs, dtype=np.int64),
        np.zeros(pairs, dtype=np.int64),
        np.empty(pairs, dtype=np.int64),
        np.full(labels.time.size + 1, _NONE, dtype=np.int64),
    )
    found = 0
    for one in range(gold.time.size):
        start = found
        for other in range(first[one], last[one]):
            offset = abs(gold.time[one] - labels.time[other]) / reach
            if not offset <= 1:
                continue  # a time that is no number
            ones[found], others[found] = one, other
            _extend(chains, found, other, round(offset * STEPS))
            found += 1
        for pair in range(start, found):  # only now: a gold point stands in a chain once
            _offer(chains, pair, others[pair])
    return _chain(chains, ones[:found], others[:found])


@compiled
def _within_reach(gold: Points, labels: Points, reach: float) -> tuple[Indices, Indices]:
    """Return for each gold point the first label in reach and the first after those."""
    first, last = np.empty(gold.time.size, dtype=np.int64), np.empty(gold.time.size, dtype=np.int64)
    start, stop = 0, 0
    for one in range(gold.time.size):
        while start < labels.time.size and _comes_before(labels, start, gold, one, reach):
            start += 1
        stop = max(start, stop)
        while stop < labels.time.size and labels.group[stop] == gold.group[one]:
            if abs(labels.time[stop] - gold.time[one]) > reach:
                break
            stop += 1
        first[one], last[one] = start, stop
    return first, last


@compiled
def _comes_before(labels: Points, other: int, gold: Points, one: int, reach: float) -> bool:
    """Tell whether a label is out of reach for this gold point and all after it."""
    if labels.group[other] != gold.group[one]:
        return bool(labels.group[other] < gold.group[one])
    return bool(gold.time[one] - labels.time[other] > reach)


@compiled
def _extend(chains: _Chains, pair: int, label: int, cost: int) -> None:
    """Make `pair` the end of the best chain of earlier gold and earlier labels."""
    before, place = _NONE, label  # the tree's places start at 1: those up to `label` are of the labels before it
    while place > 0:
        if _better(chains, chains.best[place], before):
            before = chains.best[place]
        place -= place & -place
    chains.before[pair] = before
    chains.length[pair] = 1 + (chains.length[before] if before >= 0 else 0)
    chains.cost[pair] = cost + (chains.cost[before] if before >= 0 else 0)


@compiled
def _offer(chains: _Chains, pair: int, label: int) -> None:
    """Let later pairs find the chain that ends in `pair`."""
    place = label + 1
    while place < chains.best.size:
        if _better(chains, pair, chains.best[place]):
            chains.best[place] = pair
        place += place & -place


@compiled
def _better(chains: _Chains, one: int, other: int) -> bool:
    if one < 0 or other < 0:
        return one >= 0
    if chains.length[one] != chains.length[other]:
        return bool(chains.length[one] > chains.length[other])
    if chains.cost[one] != chains.cost[other]:
        return bool(chains.cost[one] < chains.cost[other])
    return one < other


@compiled
def _chain(chains: _Chains, ones: Indices, others: Indices) -> tuple[Indices, Indices]:
    """Return the pairs of the best chain of all, in ascending order."""
    end = _NONE
    for pair in range(ones.size):
        if _better(chains, pair, end):
            end = pair
    size = chains.length[end] if end >= 0 else 0
    left, right = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    while end >= 0:
        size -= 1
        left[size], right[size] = ones[end], others[end]
        end = chains.before[end]
    return left, right


@compiled
def overlapping_spans(gold: Spans, labels: Spans, floor: float) -> tuple[Indices, Indices, Floats]:
    """Return all pairs of the same group with tIoU >= floor, which is positive, by gold, then label, and their tIoU.

    An interval that reaches it overlaps, and is at most 1 / floor as long: so it starts after start - length / floor.
    """
    room = 16 + gold.group.size
    ones, others, overlaps = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64), np.empty(room)
    found, begin, end = 0, 0, 0
    for one in range(gold.group.size):
        while begin < labels.group.size and labels.group[begin] < gold.group[one]:
            begin += 1
        end = max(begin, end)
        while end < labels.group.size and labels.group[end] == gold.group[one]:
            end += 1
        start, stop = gold.spans[one, 0], gold.spans[one, 1]
        other = begin + np.searchsorted(labels.spans[begin:end, 0], start - (stop - start) / floor)
        while other < end and labels.spans[other, 0] <= stop:
            overlap = _tiou(gold.spans[one], labels.spans[other])
            if overlap >= floor:
                if found == ones.size:
                    ones, others = np.concatenate((ones, ones)), np.concatenate((others, others))
                    overlaps = np.concatenate((overlaps, overlaps))
                ones[found], others[found], overlaps[found] = one, other, overlap
                found += 1
            other += 1
    return ones[:found].copy(), others[:found].copy(), overlaps[:found].copy()


@compiled
def _tiou(one: Floats, other: Floats) -> float:
    overlap = np.maximum(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0.0)
    union = (one[1] - one[0]) + (other[1] - other[0]) - overlap
    return float(overlap / union) if union > 0 else 0.0
