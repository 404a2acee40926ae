"""Texts of a column as whole numbers: the index into a list of names, whether or not the column is dictionary-encoded."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def codes_of(column: pa.ChunkedArray, names: pa.Array) -> Codes:
    """Return the index into `names`, which are distinct, of every text of `column`, and -1 where there is none.

    Of a dictionary-encoded column only the dictionaries are looked up, those that chunks share once.
    """
    codes = np.empty(len(column), np.int64)
    known: dict[tuple[int, int, int], Codes] = {}
    start = 0
    for chunk in column.chunks:
        piece = codes[start : start + len(chunk)]
        start += len(chunk)
        if pa.types.is_dictionary(chunk.type):
            dictionary = chunk.dictionary
            place = _place(dictionary)
            if place not in known:
                known[place] = np.append(_looked_up(dictionary, names), -1)
            piece[:] = known[place][_indices(chunk, absent=len(dictionary))]
        else:
            piece[:] = _looked_up(chunk, names)
    return codes


def _place(texts: pa.Array) -> tuple[int, int, int]:
    """Return where in memory `texts` stand: equal for the dictionaries that chunks share."""
    offsets = texts.buffers()[1]
    return (0 if offsets is None else offsets.address), texts.offset, len(texts)


def _indices(chunk: pa.DictionaryArray, *, absent: int) -> NDArray[np.integer]:
    indices = chunk.indices if chunk.null_count == 0 else pc.fill_null(chunk.indices, absent)
    return np.asarray(indices.to_numpy(zero_copy_only=False))


def _looked_up(texts: pa.Array, names: pa.Array) -> Codes:
    index = pc.index_in(texts, value_set=names)
    return np.asarray(pc.fill_null(index, -1).to_numpy(zero_copy_only=False), np.int64)
