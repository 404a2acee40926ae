"""Stable sorts of whole numbers, compiled: what numpy's own do, in threads side by side and without objects."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Places = NDArray[np.uint32]
Members = NDArray[np.signedinteger[Any]] | NDArray[np.unsignedinteger[Any]]

_SIGN = np.uint64(1 << 63)
_SPAN = np.uint64((1 << 64) - 1)
_DIGIT_BITS = 12
_DIGITS = 1 << _DIGIT_BITS
_SHORT = 32  # blocks of this length are sorted by insertion


@compiled
def ascends(values: Ints) -> bool:
    """Return whether `values` never descend."""
    descents = 0
    for index in range(1, values.size):
        descents += values[index] < values[index - 1]
    return descents == 0


@compiled
def order_of_groups(groups: Ints, starts: Ints) -> Ints:
    """Return the stable order of `groups`, whose members of group g go to starts[g], starts[g] + 1, ..."""
    place = starts.copy()
    order = np.empty(groups.size, dtype=np.int64)
    for index in range(groups.size):
        group = groups[index]
        order[place[group]] = index
        place[group] += 1
    return order


@compiled
def descending_keys(bits: Words) -> None:
    """Turn the bits of scores, in place, into whole numbers that ascend where the scores descend."""
    for index in range(bits.size):
        word = bits[index]
        bits[index] = word if word & _SIGN else ~(word | _SIGN)


@compiled
def _insert(members: Members, keys: Words, start: int, stop: int) -> None:
    """Sort members[start:stop] stably by their keys, one by one."""
    for index in range(start + 1, stop):
        member, place = members[index], index
        key = keys[member]
        while place > start and keys[members[place - 1]] > key:
            members[place] = members[place - 1]
            place -= 1
        members[place] = member


@compiled
def _merge(members: Members, keys: Words, first: int, middle: int, last: int, spare: Members) -> None:
    """Merge two sorted neighbours, of which the left one is kept in `spare` meanwhile."""
    left_over = middle - first
    for index in range(left_over):
        spare[index] = members[first + index]
    left, right, place = 0, middle, first
    while left < left_over:
        if right < last and keys[members[right]] < keys[spare[left]]:
            members[place] = members[right]
            right += 1
        else:
            members[place] = spare[left]
            left += 1
        place += 1


@compiled
def sort_run(members: Members, keys: Words, start: int, stop: int, spare: Members) -> None:
    """Sort members[start:stop] stably by their keys: short blocks by insertion, then merged two and two.

    Args:
        members: indices into `keys`.
        keys: of all members.
        start: first place to sort.
        stop: the place after the last.
        spare: scratch, at least stop - start long.
    """
    for first in range(start, stop, _SHORT):
        _insert(members, keys, first, min(first + _SHORT, stop))
    width = _SHORT
    while width < stop - start:
        for first in range(start, stop - width, 2 * width):
            _merge(members, keys, first, first + width, min(first + 2 * width, stop), spare)
        width *= 2


@compiled
def _leading_bits(keys: Words, prefixes: Places) -> None:
    """Write the leading bits in which `keys` differ, as many as two digits hold."""
    least, most = _SPAN, np.uint64(0)
    for index in range(keys.size):
        least, most = min(least, keys[index]), max(most, keys[index])
    width = 0
    while keys.size and width < 64 and (most - least) >> np.uint64(width):
        width += 1
    shift = np.uint64(max(0, width - 2 * _DIGIT_BITS))
    for index in range(keys.size):
        prefixes[index] = (keys[index] - least) >> shift


@compiled
def _sort_digit(order: Places, prefixes: Places, low: int, sorted_order: Places, sorted_prefixes: Places) -> None:
    """Write `order` and its prefixes, stably sorted by the digit of the prefixes that starts at bit `low`."""
    places = np.zeros(_DIGITS + 1, dtype=np.int64)
    for index in range(order.size):
        places[((int(prefixes[index]) >> low) & (_DIGITS - 1)) + 1] += 1
    for value in range(_DIGITS):
        places[value + 1] += places[value]
    for index in range(order.size):
        value = (int(prefixes[index]) >> low) & (_DIGITS - 1)
        sorted_order[places[value]], sorted_prefixes[places[value]] = order[index], prefixes[index]
        places[value] += 1


@compiled
def ascending_order(keys: Words) -> Places:
    """Return the stable order of `keys`, fewer than 2**32 of them.

    A radix sort of the leading bits, then of what these leave equal.
    """
    count = keys.size
    order, other_order = np.empty(count, dtype=np.uint32), np.empty(count, dtype=np.uint32)
    prefixes, other_prefixes = np.empty(count, dtype=np.uint32), np.empty(count, dtype=np.uint32)
    _leading_bits(keys, prefixes)
    for index in range(count):
        order[index] = index
    _sort_digit(order, prefixes, 0, other_order, other_prefixes)
    _sort_digit(other_order, other_prefixes, _DIGIT_BITS, order, prefixes)
    start = 0
    while start < count:
        stop = start + 1
        while stop < count and prefixes[stop] == prefixes[start]:
            stop += 1
        sort_run(order, keys, start, stop, other_order)
        start = stop
    return order
