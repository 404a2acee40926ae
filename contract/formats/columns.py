"""The columns of a list of JSON objects."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.formats.jsonstream import tokens
from contract.formats.jsonstream.parts import Fields, Part, Wholes
from contract.formats.jsonstream.tokens import Bytes
from contract.tables import CODED

Mask = NDArray[np.bool_]
_NUMBERS: Final = (tokens.WHOLE, tokens.FLOAT, tokens.QUAD)


@dataclass(frozen=True)
class Columns:
    """Entries in the file's order, in parts as they were read.

    Args:
        fields: the keys that were read.
        parts: the entries.
    """

    fields: Fields
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(part.rows for part in self.parts)

    def starts(self) -> Iterator[tuple[int, "Columns"]]:
        """Yield each part by itself, and the number of its first entry."""
        start = 0
        for part in self.parts:
            yield start, Columns(self.fields, (part,))
            start += part.rows

    def marks(self, name: str) -> Bytes:
        """Return what each cell of `name` is, in the marks of jsontokens."""
        pieces = [np.broadcast_to(np.asarray(part.marks[name], np.uint8), part.rows) for part in self.parts]
        return np.asarray(_joined(pieces, np.uint8), np.uint8)

    def are(self, name: str, *marks: int) -> Mask:
        """Return which cells of `name` are one of `marks`."""
        pieces = [np.broadcast_to(np.isin(part.marks[name], marks), part.rows) for part in self.parts]
        return np.asarray(_joined(pieces, np.bool_), np.bool_)

    def numbers(self, name: str, place: int = 0) -> NDArray[np.float64]:
        """Return the numbers of `name` (of a list of four, those at `place`), zero where the cell holds none."""
        pieces = []
        for part in self.parts:
            if name not in part.numbers:
                pieces.append(np.broadcast_to(np.float64(0), part.rows))
                continue
            known = np.isin(part.marks[name], (*_NUMBERS, tokens.TRUE))
            values = part.numbers[name][place]
            pieces.append(values if known.all() else np.where(known, values, 0.0))
        return np.asarray(_joined(pieces, np.float64), np.float64)

    def wholes(self, name: str) -> Wholes:
        """Return the whole numbers of `name`, of no meaning where the cell is none."""
        pieces = [part.wholes.get(name, np.broadcast_to(np.int64(0), part.rows)) for part in self.parts]
        return np.asarray(_joined(pieces, np.int64), np.int64)

    def texts(self, name: str) -> pa.ChunkedArray:
        """Return the texts of `name` as dictionary arrays, null where the cell is none."""
        pieces = [part.texts[name] if name in part.texts else _no_texts(part.rows) for part in self.parts]
        return pa.chunked_array(pieces, CODED)

    def has_texts(self, name: str) -> bool:
        """Return whether any cell of `name` is a text."""
        return any(name in part.texts for part in self.parts)

    def entry(self, row: int) -> dict[str, Any]:
        """Return an entry as the object that stands in the file, for a message."""
        for part in self.parts:
            if row < part.rows:
                cells = ((each.name, _cell(part, each.name, row)) for each in self.fields.fields)
                return {name: cell for name, cell in cells if cell is not ...}
            row -= part.rows
        raise IndexError(row)


def _joined(pieces: list[Any], of: Any) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.empty(0, of)


def _no_texts(rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int32()), pa.array([], pa.string()))


def _cell(part: Part, name: str, row: int) -> Any:
    """Return the value of a cell, or ... where its key is absent."""
    marks = part.marks[name]
    mark = marks if isinstance(marks, int) else int(marks[row])
    if mark == tokens.TEXT:
        return part.texts[name][row].as_py()
    if mark == tokens.QUAD:
        return [float(each[row]) for each in part.numbers[name]]
    if mark == tokens.WHOLE and name in part.wholes:
        return int(part.wholes[name][row])
    if mark in (tokens.WHOLE, tokens.FLOAT):
        value = float(part.numbers[name][0][row])
        return int(value) if mark == tokens.WHOLE else value
    known = {tokens.ABSENT: ..., tokens.NULL: None, tokens.TRUE: True, tokens.FALSE: False}
    return known[mark] if mark in known else part.odd.get(name, {}).get(row, "a value of another kind")
