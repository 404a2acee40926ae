"""A block of a JSON list as typed arrays: what one thread makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.formats.jsonstream import records, tokens
from contract.formats.jsonstream.texts import gathered
from contract.formats.jsonstream.tokens import Bytes

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]

_LEAST_ENTRY: Final = 48  # bytes; a block of shorter entries takes several rounds
_LEFT_AT_ONCE: Final = 4096


@dataclass(frozen=True)
class Field:
    """A key that is read, and the kind of its column (jsonrecords)."""

    name: str
    kind: int


@dataclass(frozen=True)
class Fields:
    """The keys that are read of every entry; without any, an entry may be any value and is passed over."""

    fields: tuple[Field, ...]

    @cached_property
    def number_rows(self) -> dict[str, tuple[int, ...]]:
        """Field -> its rows among the numbers: one, or four of a list of four."""
        rows: dict[str, tuple[int, ...]] = {}
        count = 0
        for each in self.fields:
            width = {records.NUMBERS: 1, records.QUADS: 4}.get(each.kind, 0)
            rows[each.name] = tuple(range(count, count + width))
            count += width
        return {name: of for name, of in rows.items() if of}

    @cached_property
    def whole_rows(self) -> dict[str, int]:
        """Field -> its row among the whole numbers and texts."""
        return {each.name: row for row, each in enumerate(each for each in self.fields if each.kind >= records.KEYS)}

    @cached_property
    def layout(self) -> Bytes:
        """The fields as `jsonrecords.read_entries` wants them."""
        names = [each.name.encode() for each in self.fields]
        layout = np.zeros((len(names), records.NAME + max(map(len, names), default=0)), np.uint8)
        for row, (each, name) in enumerate(zip(self.fields, names, strict=True)):
            number_row = self.number_rows.get(each.name, (0,))[0]
            layout[row, : records.NAME] = each.kind, len(name), number_row, self.whole_rows.get(each.name, 0)
            layout[row, records.NAME : records.NAME + len(name)] = np.frombuffer(name, np.uint8)
        return layout


@dataclass(frozen=True)
class Part:
    """Some entries as columns.

    Args:
        rows: how many.
        marks: field -> what each cell is, or one mark where all are the same.
        numbers: field -> its numbers (four arrays of a list of four), of no meaning where the mark tells no number; absent
            where every cell is absent or null.
        wholes: field -> its whole numbers, of no meaning where the mark is not WHOLE; absent where there is none.
        texts: field -> its texts as a dictionary array, null where the mark is not TEXT; absent where there is none.
        odd: field -> entry -> value of another kind, of the first few.
    """

    rows: int
    marks: Mapping[str, Bytes | int]
    numbers: Mapping[str, tuple[Floats, ...]]
    wholes: Mapping[str, Wholes]
    texts: Mapping[str, pa.DictionaryArray]
    odd: Mapping[str, Mapping[int, Any]]


class Block(NamedTuple):
    """What a block came to: its entries, why it stopped (or an error), where, the state there, and in which entry."""

    parts: list[Part]
    reason: int
    at: int
    state: int
    entry: int


@dataclass
class _Arrays:
    """The arrays that compiled code writes to."""

    fields: Fields
    most: int
    left: int = _LEFT_AT_ONCE
    marks: Bytes = field(init=False)
    numbers: Floats = field(init=False)
    wholes: Wholes = field(init=False)
    memo: Wholes = field(init=False)

    def __post_init__(self) -> None:
        of = self.fields
        self.marks = np.empty((self.most, len(of.fields)), np.uint8)
        self.numbers = np.empty((sum(map(len, of.number_rows.values())), self.most), np.float64)
        self.wholes = np.empty((len(of.whole_rows), self.most), np.int64)
        self.memo = np.empty(records.SPANS + records.SPAN * self.left, np.int64)

    def renew(self, *, more: bool) -> None:
        """Empty the memo, with room for more cells that are left to Python where that is wanted."""
        if more:
            self.left *= 8
            self.memo = np.empty(records.SPANS + records.SPAN * self.left, np.int64)
        self.memo[: records.SPANS] = 0
        self.memo[records.SPANS - records.LONGEST_ORDER : records.SPANS] = -1


def read_block(buffer: Bytes, state: int, fields: Fields) -> Block:
    """Read the entries in `buffer`, which ends in tokens.PADDING zero bytes, from its beginning on."""
    arrays = _Arrays(fields, buffer.size // _LEAST_ENTRY + 16)
    parts: list[Part] = []
    at, count, rows, reason = 0, 0, 1, records.FULL
    while reason == records.FULL:
        arrays.renew(more=rows == 0)
        reason, at, state, rows = records.read_entries(
            buffer, at, state, fields.layout, arrays.marks, arrays.numbers, arrays.wholes, arrays.memo
        )
        if rows:
            part, broken = _part(buffer, rows, arrays)
            if broken is not None:
                return Block(parts, tokens.NO_TEXT, at, state, count + broken)
            parts.append(part)
            count += rows
    if (wrong := not_utf8(buffer[:at])) is not None:
        return Block(parts, tokens.NO_UTF8, wrong, state, count)
    return Block(parts, reason, at, state, count)


def not_utf8(text: Bytes) -> int | None:
    """Return the first byte that is not UTF-8, if there is one."""
    if not text.size or text.max() < 0x80:
        return None
    try:
        str(text.data, "utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _part(buffer: Bytes, rows: int, arrays: _Arrays) -> tuple[Part, int | None]:
    """Copy `rows` entries out of the arrays; and the entry with a text that no UTF-8 can hold, if there is one."""
    fields = arrays.fields
    marks = arrays.marks[:rows].T.copy()
    numbers: dict[str, tuple[Floats, ...]] = {}
    for index, each in enumerate(fields.fields):
        if each.kind < records.KEYS and (marks[index] > tokens.NULL).any():
            numbers[each.name] = tuple(arrays.numbers[row, :rows].copy() for row in fields.number_rows[each.name])
    odd = _left(buffer, arrays.memo, marks, (fields, numbers))
    wholes: dict[str, Wholes] = {}
    texts: dict[str, pa.DictionaryArray] = {}
    for index, each in enumerate(fields.fields):
        if each.kind < records.KEYS:
            continue
        places = arrays.wholes[fields.whole_rows[each.name], :rows]
        if each.kind == records.KEYS and (marks[index] == tokens.WHOLE).any():
            wholes[each.name] = places.copy()
        is_text = marks[index] == tokens.TEXT
        if is_text.any():
            found = _texts(buffer, places, marks[index], is_text)
            if isinstance(found, int):
                return Part(rows, {}, {}, {}, {}, {}), found
            texts[each.name] = found
    told = {each.name: _one_mark(marks[index]) for index, each in enumerate(fields.fields)}
    return Part(rows, told, numbers, wholes, texts, odd), None


def _one_mark(marks: Bytes) -> Bytes | int:
    return int(marks[0]) if (marks == marks[0]).all() else marks.copy()


def _texts(buffer: Bytes, places: Wholes, marks: Bytes, is_text: NDArray[np.bool_]) -> pa.DictionaryArray | int:
    """Return the texts of a column, or the entry whose text no UTF-8 can hold."""
    spans = np.abs(places[is_text])
    data = np.empty(int(((spans & 0xFFFFFFFF) - (spans >> 32)).sum()), np.uint8)
    offsets = np.empty(marks.size + 1, np.int32)
    broken = gathered(buffer, places, marks, offsets, data)
    if broken >= 0:
        return int(broken)
    missing = None if is_text.all() else pa.array(is_text).buffers()[1]
    plain = pa.StringArray.from_buffers(marks.size, pa.py_buffer(offsets), pa.py_buffer(data), missing)
    return plain.dictionary_encode()


def _left(
    buffer: Bytes, memo: Wholes, marks: Bytes, of: tuple[Fields, Mapping[str, Sequence[Floats]]]
) -> dict[str, dict[int, Any]]:
    """Tell the numbers that were left to Python, and return the values of another kind."""
    fields, numbers = of
    odd: dict[str, dict[int, Any]] = {}
    spans = memo[records.SPANS :][: records.SPAN * int(memo[records.LEFT])].reshape(-1, records.SPAN)
    for row, index, part, begin, end in spans.tolist():
        if index < 0 or row >= marks.shape[1]:
            continue
        text = buffer[begin:end].tobytes()
        name, mark = fields.fields[index].name, marks[index, row]
        if mark == tokens.ODD:
            odd.setdefault(name, {})[row] = odd_value(text)
        else:
            numbers[name][part][row] = float(text)
            marks[index, row] = tokens.FLOAT if mark == tokens.FAR else mark
    return odd


def odd_value(text: bytes) -> Any:
    """Return the value in `text` for a message, or its beginning where Python cannot tell it."""
    try:
        return json.loads(text)
    except ValueError:  # a whole number of thousands of digits, or bytes that are not UTF-8
        return text[:32].decode(errors="replace")
