"""Columns of text as whole numbers, and back: what the scores compute with, and what their tables show."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]


class Encoded(NamedTuple):
    """A column of text as codes."""

    values: pa.Array  # the texts that occur
    codes: Codes  # of each row, into `values`

    def among(self, known: pa.Array) -> Codes:
        """Return the place of each row's text in `known`, -1 where it is not there."""
        place = pc.index_in(self.values, value_set=known)
        return numbers(pc.fill_null(place, -1))[self.codes] if len(self.values) else self.codes


def encoded(column: pa.ChunkedArray) -> Encoded:
    """Return a column without nulls as codes; one that comes dictionary-encoded is not looked at text by text."""
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
        return Encoded(array.dictionary, numbers(array.indices))
    codes = numbers(array.indices)
    used = np.bincount(codes, minlength=len(array.dictionary)) > 0  # a filter leaves texts that nothing refers to
    place = np.cumsum(used) - 1
    return Encoded(array.dictionary.filter(pa.array(used)).cast(pa.string()), place[codes])


def numbers(array: pa.Array) -> Codes:
    """Return whole numbers as an array of our own."""
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(np.int64)


def in_order(values: pa.Array) -> pa.Array:
    """Return distinct texts sorted by code point, as Python sorts them."""
    return values.take(pc.sort_indices(values))


def taken(values: pa.Array | Sequence[str], index: Codes) -> pa.Array:
    """Return the texts `values` at `index` as an Arrow array."""
    of = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    return of.take(pa.array(index, pa.int64()))


def class_names(*tables: pa.Table) -> list[str]:
    """Return every class name of `tables`, sorted."""
    return sorted({name for table in tables for name in pc.unique(table["label"]).to_pylist()})
