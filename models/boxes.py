"""A picture's boxes as arrays, and as the columns of an answer: no object for a box, none for a picture's row."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.answers import SCHEMAS_OF_ANSWERS
from contract.tables import VALUE_FIELDS, Kind, State, Task


class Boxes(NamedTuple):
    """Boxes of one picture by falling score: x, y, w, h in its pixels (n, 4), scores and the model's class numbers."""

    sides: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]


def clipped(rows: NDArray[np.float64], size: tuple[int, int]) -> Boxes:
    """Return rows of x1, y1, x2, y2, score, class within a picture of `size` (width, height); without area is left out."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    limits = np.array(size, np.float64)
    least = np.clip(rows[:, :2], 0.0, limits)
    extent = np.clip(rows[:, 2:4], 0.0, limits) - least
    kept = (extent > 0).all(axis=1)
    sides = np.concatenate([least[kept], extent[kept]], axis=1)
    return Boxes(sides, rows[kept, 4], rows[kept, 5].astype(np.int64))


def as_rows(boxes: Boxes, labels: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return boxes one by one, as dicts of label, x, y, w, h and score."""
    columns = (boxes.classes.tolist(), boxes.sides.tolist(), boxes.scores.tolist())
    return [
        {"label": labels[number], "x": x, "y": y, "w": w, "h": h, "score": score}
        for number, (x, y, w, h), score in zip(*columns, strict=True)
    ]


def boxes_answer(items: Sequence[str], found: Sequence[Boxes | str], labels: Mapping[int, str]) -> pa.Table:
    """Return the answer for images: of each its boxes, or the reason why it is rejected.

    Args:
        items: their ids.
        found: what was found in each, or the reason, in the same order.
        labels: the model's class number -> label.
    """
    seen = [one for one in found if isinstance(one, Boxes)]
    counts = [0 if isinstance(one, str) else len(one.scores) for one in found]
    schema = SCHEMAS_OF_ANSWERS[Kind.IMAGE]
    columns = {
        "item": pa.array(items, pa.string()),
        "state": pa.array([_state(one).value for one in found], pa.string()),
        "reason": pa.array([one if isinstance(one, str) else None for one in found], pa.string()),
        Task.BOXES.value: _nested(seen, counts, labels),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _state(one: Boxes | str) -> State:
    if isinstance(one, str):
        return State.REJECTED
    return State.LABELLED if len(one.scores) else State.EMPTY


def _nested(seen: Sequence[Boxes], counts: Sequence[int], labels: Mapping[int, str]) -> pa.Array:
    numbers = np.concatenate([np.zeros(0, np.int64), *(one.classes for one in seen)])
    sides = np.concatenate([np.zeros((0, 4)), *(one.sides for one in seen)])
    words = pa.array([labels.get(number) for number in range(max(labels, default=-1) + 1)], pa.string())
    columns = {
        "label": words.take(pa.array(numbers)),
        **{name: pa.array(np.ascontiguousarray(sides[:, at])) for at, name in enumerate("xywh")},
        "score": pa.array(np.concatenate([np.zeros(0), *(one.scores for one in seen)])),
    }
    fields = VALUE_FIELDS[Task.BOXES]
    values = pa.StructArray.from_arrays([columns[field.name].cast(field.type) for field in fields], fields=fields)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values, type=SCHEMAS_OF_ANSWERS[Kind.IMAGE].field(Task.BOXES.value).type)
