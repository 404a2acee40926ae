"""Tokens of JSON in a buffer of bytes: white space, texts, numbers, and values that are passed over.

Source: RFC 8259. What Python's json takes is taken: a text may hold any escape, also half of a surrogate pair.

The buffer ends in zero bytes, which no token holds: a loop stops at the first of them, so that nothing is ever read past
the end. Every function returns the position that it came to, and in case of an error the position of the byte that is
wrong; where that is the end of the buffer, the document goes on behind it or is cut off.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled
from contract.formats.jsonstream.numbers import MOST_DIGITS, decimal_to_float

Bytes = NDArray[np.uint8]

PADDING: Final = 8  # zero bytes behind the end of a buffer
DEEPEST: Final = 500  # how deep values may nest

# What came of a token: an error, or what it is. These are also the marks of cells (jsonrecords).
WRONG: Final = -1  # no JSON
NOT_FINITE: Final = -2  # NaN or infinity
TOO_DEEP: Final = -3
NO_OBJECT: Final = -4  # an entry that is no object
NO_TEXT: Final = -5  # half of a surrogate pair where a text is wanted
NO_UTF8: Final = -6
ABSENT: Final = 0
NULL: Final = 1
FALSE: Final = 2
TRUE: Final = 3
WHOLE: Final = 4
FLOAT: Final = 5
TEXT: Final = 6
QUAD: Final = 7
ODD: Final = 8  # a value of another kind than the column's
FAR: Final = 9  # a number of more digits or a farther power than is told here

ESCAPED: Final = 1  # flags of a text
_TAB, _LINE_FEED, _RETURN, _SPACE = 9, 10, 13, 32
_QUOTE, _COMMA, _MINUS, _POINT, _ZERO, _NINE, _COLON = 34, 44, 45, 46, 48, 57, 58
_OPEN_LIST, _BACKSLASH, _CLOSE_LIST, _OPEN, _CLOSE = 91, 92, 93, 123, 125
_NULL: Final = np.frombuffer(b"null", np.uint8)
_TRUE: Final = np.frombuffer(b"true", np.uint8)
_FALSE: Final = np.frombuffer(b"false", np.uint8)
_NAN: Final = np.frombuffer(b"NaN", np.uint8)
_INFINITY: Final = np.frombuffer(b"Infinity", np.uint8)
_TEN: Final = np.uint64(10)
_MOST_WHOLE: Final = np.uint64((1 << 63) - 1)
_NO_WHOLE: Final = np.int64(0)
_FARTHEST: Final = 1 << 40  # where an exponent stops to grow


@compiled
def past_space(buffer: Bytes, at: int) -> int:
    """Return the position of the next byte that is no white space."""
    while True:
        byte = buffer[at]
        if byte > _SPACE or byte not in (_SPACE, _LINE_FEED, _RETURN, _TAB):
            return at
        at += 1


@compiled
def past_text(buffer: Bytes, at: int) -> tuple[int, int]:
    """Return the position of the quote that ends the text which begins at `at`, and its flags or an error."""
    flags = 0
    while True:
        byte = buffer[at]
        if byte == _QUOTE:
            return at, flags
        if byte == _BACKSLASH:
            flags = ESCAPED
            at, wrong = _past_escape(buffer, at + 1)
            if wrong:
                return at, WRONG
        elif byte < _SPACE:
            return at, WRONG
        else:
            at += 1


@compiled
def _past_escape(buffer: Bytes, at: int) -> tuple[int, bool]:
    byte = buffer[at]
    if byte == 117:  # u
        for digit in range(4):
            if hex_digit(buffer[at + 1 + digit]) < 0:
                return at + 1 + digit, True
        return at + 5, False
    known = byte in (_QUOTE, _BACKSLASH, 47, 98, 102, 110, 114, 116)  # " \ / b f n r t
    return (at + 1, False) if known else (at, True)


@compiled
def hex_digit(byte: int) -> int:
    """Return the value of a hexadecimal digit, or -1."""
    if _ZERO <= byte <= _NINE:
        return byte - _ZERO
    lower = byte | 32
    return lower - 87 if 97 <= lower <= 102 else -1


@compiled
def past_literal(buffer: Bytes, at: int, literal: Bytes, mark: int) -> tuple[int, int]:
    """Return the position behind `literal` and `mark`, or that of the byte that differs."""
    for offset in range(literal.size):
        if buffer[at + offset] != literal[offset]:
            return at + offset, WRONG
    return at + literal.size, mark


@compiled
def past_word(buffer: Bytes, at: int) -> tuple[int, int]:
    """Pass over null, true or false and return which it is; a number that is not finite is an error of its own."""
    byte = buffer[at]
    if byte == _NULL[0]:
        return past_literal(buffer, at, _NULL, NULL)
    if byte == _TRUE[0]:
        return past_literal(buffer, at, _TRUE, TRUE)
    if byte == _FALSE[0]:
        return past_literal(buffer, at, _FALSE, FALSE)
    if byte == _NAN[0]:
        return past_literal(buffer, at, _NAN, NOT_FINITE)
    if byte == _INFINITY[0]:
        return past_literal(buffer, at, _INFINITY, NOT_FINITE)
    return at, WRONG


@compiled
def past_digits(buffer: Bytes, at: int, value: np.uint64) -> tuple[int, np.uint64]:
    """Return the position behind the digits at `at`, and `value` with these digits appended (modulo 2 ** 64)."""
    while True:
        digit = buffer[at] - _ZERO
        if digit < 0 or digit > 9:
            return at, value
        value = value * _TEN + np.uint64(digit)
        at += 1


@compiled
def past_number(buffer: Bytes, at: int) -> tuple[int, int, float, np.int64]:
    """Return the position behind the number at `at`, its mark or an error, and its value as a float and as an integer.

    A whole number that fits 64 bits is WHOLE, another number FLOAT, and one that Python must tell FAR.
    """
    negative = buffer[at] == _MINUS
    if negative:
        at += 1
        if buffer[at] == _INFINITY[0]:
            at, mark = past_literal(buffer, at, _INFINITY, NOT_FINITE)
            return at, mark, 0.0, _NO_WHOLE
    first = at
    at, digits, power, mark = _past_decimal(buffer, at)
    last = at
    if mark > 0 and buffer[at] | 32 == 101:  # e or E
        at, more, mark = _past_exponent(buffer, at + 1)
        power += more
    if mark < 0:
        return at, mark, 0.0, _NO_WHOLE
    many = last - first > MOST_DIGITS and _significant(buffer, first, last) > MOST_DIGITS
    if many or (mark == WHOLE and digits > _MOST_WHOLE):
        return at, FAR, 0.0, _NO_WHOLE
    value, told = decimal_to_float(digits, power)
    whole = np.int64(digits)
    if negative:  # but -0 is the whole number 0, as in Python's json
        value, whole = 0.0 if mark == WHOLE and whole == 0 else -value, -whole
    return at, mark if told else FAR, value, whole


@compiled
def _past_decimal(buffer: Bytes, at: int) -> tuple[int, np.uint64, int, int]:
    """Return the position behind a number without sign and exponent, its digits, their power of ten, and its mark."""
    first = at
    digits = np.uint64(0)
    if buffer[at] == _ZERO:
        at += 1
    else:
        at, digits = past_digits(buffer, at, digits)
        if at == first:
            return at, digits, 0, WRONG
    if buffer[at] != _POINT:
        return at, digits, 0, WHOLE
    point = at
    at, digits = past_digits(buffer, at + 1, digits)
    power = point + 1 - at
    return at, digits, power, FLOAT if power else WRONG


@compiled
def _past_exponent(buffer: Bytes, at: int) -> tuple[int, int, int]:
    """Return the position behind the exponent whose sign or first digit stands at `at`, its value, and FLOAT or WRONG."""
    sign = -1 if buffer[at] == _MINUS else 1
    if buffer[at] == _MINUS or buffer[at] == 43:  # +
        at += 1
    first = at
    exponent = 0
    while _ZERO <= buffer[at] <= _NINE:
        if exponent < _FARTHEST:
            exponent = exponent * 10 + int(buffer[at]) - _ZERO
        at += 1
    return at, sign * exponent, WRONG if at == first else FLOAT


@compiled
def _significant(buffer: Bytes, first: int, last: int) -> int:
    """Return how many digits stand from the first that is not zero to `last`."""
    count = 0
    for at in range(first, last):
        if buffer[at] != _POINT and (count > 0 or buffer[at] != _ZERO):
            count += 1
    return count


@compiled
def past_scalar(buffer: Bytes, at: int) -> tuple[int, int]:
    """Pass over a text, a number or a word and return its mark or an error."""
    byte = buffer[at]
    if byte == _QUOTE:
        at, flags = past_text(buffer, at + 1)
        return (at, WRONG) if flags < 0 else (at + 1, TEXT)
    if byte == _MINUS or _ZERO <= byte <= _NINE:
        at, mark, _, _ = past_number(buffer, at)
        return at, mark
    return past_word(buffer, at)


@compiled
def past_key(buffer: Bytes, at: int) -> tuple[int, int]:
    """Pass over a key, its colon and the white space behind it."""
    if buffer[at] != _QUOTE:
        return at, WRONG
    at, flags = past_text(buffer, at + 1)
    if flags < 0:
        return at, WRONG
    at = past_space(buffer, at + 1)
    if buffer[at] != _COLON:
        return at, WRONG
    return past_space(buffer, at + 1), ABSENT


@compiled
def past_value(buffer: Bytes, at: int) -> tuple[int, int]:
    """Pass over any value, whatever it nests, and return its mark (ODD for a list or an object) or an error."""
    mark = ABSENT
    if buffer[at] != _OPEN and buffer[at] != _OPEN_LIST:
        return past_scalar(buffer, at)
    closing = np.empty(DEEPEST, np.uint8)  # what ends each of the lists and objects around
    depth = 0
    while True:
        at, mark, depth = _into(buffer, at, closing, depth)
        if mark < 0:
            return at, mark
        at, mark, depth = _out_of(buffer, at, closing, depth)
        if mark < 0 or depth == 0:
            return at, mark


@compiled
def _into(buffer: Bytes, at: int, closing: Bytes, depth: int) -> tuple[int, int, int]:
    """Go into lists and objects down to a scalar, pass over that, and stop behind it or at the end of an empty one."""
    while True:
        byte = buffer[at]
        if byte != _OPEN and byte != _OPEN_LIST:
            at, mark = past_scalar(buffer, at)
            return at, mark, depth
        if depth == DEEPEST:
            return at, TOO_DEEP, depth
        end = byte + 2  # ] and } stand two behind [ and {
        closing[depth] = end
        depth += 1
        at = past_space(buffer, at + 1)
        if buffer[at] == end:
            return at, ODD, depth
        if byte == _OPEN:
            at, mark = past_key(buffer, at)
            if mark < 0:
                return at, mark, depth


@compiled
def _out_of(buffer: Bytes, at: int, closing: Bytes, depth: int) -> tuple[int, int, int]:
    """Behind a value: leave what ends there, and stop at the next value or behind the outermost end."""
    while True:
        at = past_space(buffer, at)
        end = closing[depth - 1]
        if buffer[at] == end:
            at += 1
            depth -= 1
            if depth == 0:
                return at, ODD, 0
            continue
        if buffer[at] != _COMMA:
            return at, WRONG, depth
        at = past_space(buffer, at + 1)
        if end == _CLOSE:
            at, mark = past_key(buffer, at)
            return at, mark, depth
        return at, ODD, depth
