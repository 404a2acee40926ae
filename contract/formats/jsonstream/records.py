"""A list of JSON objects read into arrays, one element an entry: the compiled part of jsoncolumns."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.compiled import compiled, inlined
from contract.formats.jsonstream.texts import unescaped
from contract.formats.jsonstream.tokens import (
    ABSENT,
    ESCAPED,
    FALSE,
    FAR,
    NO_OBJECT,
    NULL,
    ODD,
    PADDING,
    QUAD,
    TEXT,
    TRUE,
    WHOLE,
    WRONG,
    Bytes,
    past_number,
    past_space,
    past_text,
    past_value,
)

# Kinds of columns.
NUMBERS: Final = 0  # float64, also of true and false
QUADS: Final = 1  # lists of four numbers
KEYS: Final = 2  # whole numbers or texts
TEXTS: Final = 3

# Where in the list a position is.
FIRST: Final = 0  # behind its bracket
ENTRY: Final = 1  # behind a comma
BEHIND: Final = 2  # behind an entry

# Why the reading stopped.
MORE: Final = 21  # at the end of the buffer
ENDED: Final = 22  # behind the bracket that ends the list
FULL: Final = 23  # the arrays are full

KEPT_ODD: Final = 4  # how many values of another kind are kept for each column
_QUOTE, _COMMA, _MINUS, _ZERO, _NINE, _COLON, _OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE = (
    34, 44, 45, 48, 57, 58, 91, 93, 123, 125,
)  # fmt: skip
_NOT_OURS: Final = -1

# Columns of the layout, one row a field: its kind, the length of its name, its (first) row in the numbers and the wholes.
KIND: Final = 0
LENGTH: Final = 1
NUMBER_ROW: Final = 2
WHOLE_ROW: Final = 3
NAME: Final = 4  # and what follows

# The memo: how many cells are left to Python; how many odd ones of each field; the field of each key of the entry before;
# and the cells that are left to Python, each as entry, field, part, begin and end.
LEFT: Final = 0
_ODD: Final = 1
MOST_FIELDS: Final = 15
_ORDER: Final = 16
LONGEST_ORDER: Final = 64
SPANS: Final = 80
SPAN: Final = 5


@compiled
def _nothing() -> int:
    """Return 0, which numba does not see as a literal: for that it would compile all that is called with it once more."""
    return int(np.int64(0))


@compiled
def read_entries(  # noqa: PLR0913 (arrays one by one: a tuple of them would cost counted references at every cell)
    buffer: Bytes,
    start: int,
    state: int,
    layout: Bytes,
    marks: Bytes,
    numbers: NDArray[np.float64],
    wholes: NDArray[np.int64],
    memo: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Read entries from `start` on, until the list ends, the buffer ends, or the arrays are full.

    Args:
        buffer: shape (n + PADDING,), zero at its end.
        start: where to start.
        state: FIRST, ENTRY or BEHIND.
        layout: shape (fields, NAME + bytes of the longest name); without fields, an entry may be any value.
        marks: shape (entries, fields): what each cell is.
        numbers: shape (rows, entries), of NUMBERS (one row) and QUADS (four).
        wholes: shape (rows, entries), of KEYS and TEXTS; a text is begin * 2 ** 32 + end, negative where it has escapes.
        memo: see above.

    Returns:
        Why it stopped (or an error of jsontokens), the position behind what was read, the state there, and the number of
        entries. An entry that the buffer does not hold whole is not read.
    """
    at, rows = start, _nothing()
    while True:
        at = past_space(buffer, at)
        if state == BEHIND and buffer[at] == _COMMA:
            state = ENTRY
            at = past_space(buffer, at + 1)
        reason = _stop(buffer, at, state, rows == marks.shape[0])
        if reason:
            return reason, at + (reason == ENDED), state, rows
        left = memo[LEFT]
        behind, mark = _read_entry(buffer, at, rows, layout, marks, numbers, wholes, memo)
        if mark < 0 or mark == FULL:
            memo[LEFT] = left
            if mark == WRONG and behind >= buffer.size - PADDING:
                return MORE, at, state, rows
            return mark, (at if mark == FULL else behind), state, rows
        at, state, rows = behind, BEHIND, rows + 1


@compiled
def _stop(buffer: Bytes, at: int, state: int, full: bool) -> int:
    """Return why no entry is read at `at`, or 0."""
    if state != ENTRY and buffer[at] == _CLOSE_LIST:
        return ENDED
    if at >= buffer.size - PADDING:
        return MORE
    if state == BEHIND:
        return WRONG
    return FULL if full else 0


@inlined
def _read_entry(  # noqa: PLR0913
    buffer: Bytes,
    at: int,
    row: int,
    layout: Bytes,
    marks: Bytes,
    numbers: NDArray[np.float64],
    wholes: NDArray[np.int64],
    memo: NDArray[np.int64],
) -> tuple[int, int]:
    if layout.shape[0] == 0 or buffer[at] != _OPEN:
        behind, mark = past_value(buffer, at)
        if mark >= 0 and layout.shape[0] > 0:
            return at, NO_OBJECT
        return behind, min(mark, ABSENT)
    for field in range(layout.shape[0]):
        marks[row, field] = ABSENT
    at = past_space(buffer, at + 1)
    if buffer[at] == _CLOSE:
        return at + 1, ABSENT
    place = _nothing()
    while True:
        at, field, mark = _read_key(buffer, at, place, layout, memo)
        if mark >= 0:
            if field == _NOT_OURS:
                at, mark = past_value(buffer, at)
            else:
                at, mark = _read_cell(buffer, at, row, field, layout, numbers, wholes, memo)
                marks[row, field] = max(mark, ABSENT)
        if mark < 0 or mark == FULL:
            return at, mark
        at, mark = _past_comma(buffer, at)
        if mark != ABSENT:
            return at, min(mark, ABSENT)
        place += 1


@compiled
def _past_comma(buffer: Bytes, at: int) -> tuple[int, int]:
    """Go behind the comma to the next key, or behind the bracket that ends the object."""
    at = past_space(buffer, at)
    if buffer[at] == _CLOSE:
        return at + 1, ENDED
    if buffer[at] != _COMMA:
        return at, WRONG
    return past_space(buffer, at + 1), ABSENT


@inlined
def _read_key(buffer: Bytes, at: int, place: int, layout: Bytes, memo: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return the position of the value behind the key at `at`, and the field that the key names.

    The key that stood at the same place in the entry before is tried first.
    """
    if buffer[at] != _QUOTE:
        return at, _NOT_OURS, WRONG
    at += 1
    field = memo[_ORDER + place] if place < LONGEST_ORDER else _NOT_OURS
    if field != _NOT_OURS and _is_name(buffer, at, layout, field):
        end = at + layout[field, LENGTH]
    else:
        end, flags = past_text(buffer, at)
        if flags < 0:
            return end, _NOT_OURS, WRONG
        field = _field_of(buffer, at, end, flags, layout)
        if place < LONGEST_ORDER:
            memo[_ORDER + place] = field
    at = past_space(buffer, end + 1)
    if buffer[at] != _COLON:
        return at, _NOT_OURS, WRONG
    return past_space(buffer, at + 1), field, ABSENT


@compiled
def _is_name(buffer: Bytes, at: int, layout: Bytes, field: int) -> bool:
    """Return whether the text at `at` is the name of `field` and ends there."""
    length = layout[field, LENGTH]
    for offset in range(length):
        if buffer[at + offset] != layout[field, NAME + offset]:
            return False
    return bool(buffer[at + length] == _QUOTE)


@compiled
def _field_of(buffer: Bytes, begin: int, end: int, flags: int, layout: Bytes) -> int:
    """Return the field that the key between `begin` and `end` names, whether or not it is written with escapes."""
    if flags & ESCAPED:
        plain = np.empty(end - begin + 1, np.uint8)
        last = unescaped(buffer, begin, end, plain, _nothing())
        if last < 0:
            return _NOT_OURS
        plain[last] = _QUOTE
        return _field_named(plain, 0, layout)
    return _field_named(buffer, begin, layout)


@compiled
def _field_named(buffer: Bytes, at: int, layout: Bytes) -> int:
    for field in range(layout.shape[0]):
        if _is_name(buffer, at, layout, field):
            return field
    return _NOT_OURS


@inlined
def _read_cell(  # noqa: PLR0913
    buffer: Bytes,
    at: int,
    row: int,
    field: int,
    layout: Bytes,
    numbers: NDArray[np.float64],
    wholes: NDArray[np.int64],
    memo: NDArray[np.int64],
) -> tuple[int, int]:
    """Read the value at `at` into its cell and return the position behind it, and its mark, an error or FULL."""
    kind = layout[field, KIND]
    byte = buffer[at]
    behind, mark = at, ODD
    if memo[LEFT] > 0:
        _forget(memo, row, field)
    if kind == QUADS and byte == _OPEN_LIST:
        behind, mark = _read_four(buffer, at + 1, row, field, layout, numbers, memo)
    elif kind >= KEYS and byte == _QUOTE:
        behind, mark, wholes[layout[field, WHOLE_ROW], row] = _read_text(buffer, at + 1)
    elif kind <= KEYS and kind != QUADS and (byte == _MINUS or _ZERO <= byte <= _NINE):
        behind, mark, value, whole = past_number(buffer, at)
        if kind == NUMBERS:
            numbers[layout[field, NUMBER_ROW], row] = value
        elif mark == WHOLE:
            wholes[layout[field, WHOLE_ROW], row] = whole
        elif mark > 0:
            mark = ODD
        if mark == FAR and _leave(memo, row, field, 0, at, behind) == FULL:
            return at, FULL
    if mark != ODD:
        return behind, mark
    return _read_other(buffer, at, row, field, layout, numbers, memo)


@compiled
def _read_text(buffer: Bytes, begin: int) -> tuple[int, int, int]:
    end, flags = past_text(buffer, begin)
    if flags < 0:
        return end, WRONG, 0
    place = (begin << 32) | end
    return end + 1, TEXT, -place if flags & ESCAPED else place


@compiled
def _read_other(  # noqa: PLR0913
    buffer: Bytes, at: int, row: int, field: int, layout: Bytes, numbers: NDArray[np.float64], memo: NDArray[np.int64]
) -> tuple[int, int]:
    """Read null, true and false, and what is of another kind than its column; of that the first few cells are kept."""
    behind, mark = past_value(buffer, at)
    if mark < 0 or mark == NULL:
        return behind, mark
    if layout[field, KIND] == NUMBERS and mark in (TRUE, FALSE):
        numbers[layout[field, NUMBER_ROW], row] = 1.0 if mark == TRUE else 0.0
        return behind, mark
    if memo[_ODD + field] < KEPT_ODD:
        memo[_ODD + field] += 1
        if _leave(memo, row, field, 0, at, behind) == FULL:
            return at, FULL
    return behind, ODD


@compiled
def _forget(memo: NDArray[np.int64], row: int, field: int) -> None:
    """Forget what was left of a cell whose key comes a second time: the last value counts, as in Python's json."""
    at = SPANS + SPAN * (memo[LEFT] - 1)
    while at >= SPANS and memo[at] == row:
        if memo[at + 1] == field:
            memo[at + 1] = _NOT_OURS
        at -= SPAN


@compiled
def _leave(memo: NDArray[np.int64], row: int, field: int, part: int, begin: int, end: int) -> int:
    """Leave the value between `begin` and `end` to Python; FULL where no more can be left."""
    at = SPANS + SPAN * memo[LEFT]
    if at + SPAN > memo.size:
        return FULL
    memo[at], memo[at + 1], memo[at + 2], memo[at + 3], memo[at + 4] = row, field, part, begin, end
    memo[LEFT] += 1
    return ABSENT


@inlined
def _read_four(  # noqa: PLR0913
    buffer: Bytes, at: int, row: int, field: int, layout: Bytes, numbers: NDArray[np.float64], memo: NDArray[np.int64]
) -> tuple[int, int]:
    """Read four numbers and the bracket behind them; ODD where something else stands there."""
    first = layout[field, NUMBER_ROW]
    left = memo[LEFT]
    for part in range(4):
        at = past_space(buffer, at)
        mark = ODD
        if buffer[at] == _MINUS or _ZERO <= buffer[at] <= _NINE:
            begin = at
            at, mark, value, _ = past_number(buffer, at)
            numbers[first + part, row] = value
            if mark == FAR and _leave(memo, row, field, part, begin, at) == FULL:
                return at, FULL
        if mark < 0:
            return at, mark
        at = past_space(buffer, at)
        if mark == ODD or buffer[at] != (_COMMA if part < 3 else _CLOSE_LIST):
            memo[LEFT] = left
            return at, ODD
        at += 1
    return at, QUAD


@compiled
def last_cut(buffer: Bytes) -> int:
    """Return where the last object behind another object and a comma begins, or 0: most likely between two entries."""
    at = buffer.size - PADDING - 1
    while at > 0:
        if buffer[at] == _OPEN:
            back = _before_space(buffer, at - 1)
            if back > 0 and buffer[back] == _COMMA:
                back = _before_space(buffer, back - 1)
                if back >= 0 and buffer[back] == _CLOSE:
                    return at
        at -= 1
    return 0


@compiled
def _before_space(buffer: Bytes, at: int) -> int:
    while at >= 0 and buffer[at] <= 32:
        at -= 1
    return at
