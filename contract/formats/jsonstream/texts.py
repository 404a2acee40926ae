"""The texts of a JSON document in UTF-8, without their escapes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled
from contract.formats.jsonstream.tokens import NO_TEXT, TEXT, Bytes, hex_digit

_BACKSLASH: Final = 92
_U: Final = 117


@compiled
def unescaped(buffer: Bytes, at: int, end: int, into: Bytes, to: int) -> int:
    """Write the text between `at` and `end` in UTF-8 to `into` from `to` on, and return its end there.

    Negative where it holds half of a surrogate pair, which no UTF-8 can.
    """
    while at < end:
        if buffer[at] != _BACKSLASH:
            into[to] = buffer[at]
            at += 1
            to += 1
            continue
        letter = buffer[at + 1]
        if letter != _U:
            into[to] = _plain(letter)
            at += 2
            to += 1
            continue
        code = _hex4(buffer, at + 2)
        at += 6
        if 0xDC00 <= code < 0xE000:
            return NO_TEXT
        if 0xD800 <= code < 0xDC00:
            if at + 6 > end or buffer[at] != _BACKSLASH or buffer[at + 1] != _U:
                return NO_TEXT
            low = _hex4(buffer, at + 2)
            if low < 0xDC00 or low >= 0xE000:
                return NO_TEXT
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            at += 6
        to = _put(into, to, code)
    return to


@compiled
def _plain(letter: int) -> int:
    """Return the byte that a backslash and `letter` stand for."""
    if letter == 98:  # b
        return 8
    if letter == 102:  # f
        return 12
    if letter == 110:  # n
        return 10
    if letter == 114:  # r
        return 13
    return 9 if letter == 116 else letter  # t, or itself


@compiled
def _hex4(buffer: Bytes, at: int) -> int:
    code = 0
    for offset in range(4):
        code = code * 16 + hex_digit(buffer[at + offset])
    return code


@compiled
def _put(into: Bytes, to: int, code: int) -> int:
    """Write a code point in UTF-8 and return the position behind it."""
    if code < 0x80:
        into[to] = code
        return to + 1
    if code < 0x800:
        into[to] = 0xC0 | (code >> 6)
    else:
        if code < 0x10000:
            into[to] = 0xE0 | (code >> 12)
        else:
            into[to] = 0xF0 | (code >> 18)
            to += 1
            into[to] = 0x80 | ((code >> 12) & 0x3F)
        to += 1
        into[to] = 0x80 | ((code >> 6) & 0x3F)
    into[to + 1] = 0x80 | (code & 0x3F)
    return to + 2


@compiled
def gathered(buffer: Bytes, places: NDArray[np.int64], marks: Bytes, offsets: NDArray[np.int32], data: Bytes) -> int:
    """Write the texts of a column one behind the other to `data`, and where they begin and end to `offsets`.

    Returns:
        -1, or the entry whose text holds half of a surrogate pair.
    """
    to = 0
    for row in range(marks.size):
        offsets[row] = to
        if marks[row] == TEXT:
            place = abs(places[row])
            begin, end = place >> 32, place & 0xFFFFFFFF
            if places[row] < 0:
                to = unescaped(buffer, begin, end, data, to)
                if to < 0:
                    return row
            else:
                for at in range(begin, end):
                    data[to + at - begin] = buffer[at]
                to += end - begin
    offsets[marks.size] = to
    return -1
