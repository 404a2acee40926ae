"""Answers to texts, built column by column: tens of thousands of texts a second leave no time for an object each."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.answers import SCHEMAS_OF_ANSWERS
from contract.predictor import Source
from contract.tables import VALUE_FIELDS, Kind, State, Task
from models.textlabels import Array

_DECIMALS: Final = 6
_EMPTY: Final = "the text is empty to the model: it holds nothing that its tokenizer keeps"
_NOT_FINITE: Final = "the model gave no finite probability"


def answer_texts(
    sources: Sequence[Source], shares: Array, *, labels: Sequence[str], refused: Mapping[int, str], empty: NDArray[np.bool_]
) -> pa.Table:
    """Return the answer table of texts.

    The label is that of the largest share, of equals the first.

    Args:
        sources: what was asked.
        shares: probabilities, (sources, labels); whatever in the rows of sources that are refused or empty.
        labels: names of the columns of `shares`.
        refused: place of a source -> why it could not be read.
        empty: whether the model saw no token of the text.
    """
    reasons: list[str | None] = [refused.get(place) for place in range(len(sources))]
    for place in np.flatnonzero(empty).tolist():
        reasons[place] = reasons[place] or _EMPTY
    for place in np.flatnonzero(~np.isfinite(shares).all(axis=1)).tolist():
        reasons[place] = reasons[place] or _NOT_FINITE
    seen = np.array([reason is None for reason in reasons], bool)
    # Threads and batches change the last bits of float32 arithmetic; rounded, equal texts get equal labels everywhere.
    rounded = np.round(shares[seen], _DECIMALS)
    best = rounded.argmax(axis=1) if len(rounded) else np.zeros(0, np.int64)
    count, width = rounded.shape
    names = pa.array(list(labels), pa.string())
    probabilities = pa.MapArray.from_arrays(
        pa.array(np.arange(count + 1) * width, pa.int32()),
        names.take(pa.array(np.tile(np.arange(width), count))),
        pa.array(rounded.ravel(), pa.float64()),
    )
    values = [names.take(pa.array(best)), pa.array(rounded[np.arange(count), best], pa.float64()), probabilities]
    rows = pa.StructArray.from_arrays(values, fields=list(VALUE_FIELDS[Task.SENTIMENTS]))
    schema = SCHEMAS_OF_ANSWERS[Kind.TEXT]
    offsets = pa.array(np.concatenate([[0], np.cumsum(seen)]), pa.int32())
    columns = [
        pa.array([source.item for source in sources], pa.string()),
        pa.array([State.LABELLED.value if reason is None else State.REJECTED.value for reason in reasons], pa.string()),
        pa.array(reasons, pa.string()),
        pa.ListArray.from_arrays(offsets, rows, type=schema.field(Task.SENTIMENTS.value).type),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
