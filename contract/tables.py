"""Label tables: the one columnar form from model to disk to scorer.

Pixels are those after EXIF orientation; boxes are COCO's own x, y, w, h (top-left corner).
Seconds are float64 beside frame numbers counted from 0; ``end_frame`` and ``end_s`` are exclusive.
Classes are joined by name, never by id.
"""

from enum import Enum
from types import MappingProxyType
from typing import Final

import pyarrow as pa


class Kind(str, Enum):
    """What an item is."""

    IMAGE = "image"
    TEXT = "text"
    VIDEO = "video"


class Task(str, Enum):
    """A kind of label; its value is also the name of the table that holds it."""

    BOXES = "boxes"
    SENTIMENTS = "sentiments"
    SHOTS = "shots"
    KEYFRAMES = "keyframes"
    EVENTS = "events"


class State(str, Enum):
    """What is known of an item's labels; "no boxes" and "not annotated" are different states."""

    LABELLED = "labelled"
    EMPTY = "empty"
    EXCUSED = "excused"
    MISSING = "missing"
    REJECTED = "rejected"


TASKS_OF_KIND: Final = MappingProxyType(
    {
        Kind.IMAGE: (Task.BOXES,),
        Kind.TEXT: (Task.SENTIMENTS,),
        Kind.VIDEO: (Task.SHOTS, Task.KEYFRAMES, Task.EVENTS),
    }
)

KIND_OF_TASK: Final = MappingProxyType({task: kind for kind, tasks in TASKS_OF_KIND.items() for task in tasks})


def _required(name: str, of: pa.DataType) -> pa.Field:
    return pa.field(name, of, nullable=False)


ITEMS: Final = pa.schema(
    [
        _required("item", pa.string()),
        _required("kind", pa.string()),
        _required("uri", pa.string()),
        _required("sha256", pa.string()),
        _required("bytes", pa.int64()),
        pa.field("media", pa.string()),  # sniffed media type, for example image/jpeg
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("duration_s", pa.float64()),
        pa.field("fps", pa.float64()),
        pa.field("frames", pa.int64()),
        pa.field("encoding", pa.string()),
        pa.field("language", pa.string()),
        _required("state", pa.string()),
    ]
)

REJECTS: Final = pa.schema(
    [
        _required("item", pa.string()),
        _required("uri", pa.string()),
        _required("reason", pa.string()),  # a short code, for example truncated
        _required("detail", pa.string()),  # one sentence
    ]
)

STATES: Final = pa.schema([_required("item", pa.string()), _required("kind", pa.string()), _required("state", pa.string())])

_BOX_FIELDS: Final = [
    _required("label", pa.string()),
    _required("x", pa.float64()),
    _required("y", pa.float64()),
    _required("w", pa.float64()),
    _required("h", pa.float64()),
    pa.field("score", pa.float64()),
]
_SENTIMENT_FIELDS: Final = [
    _required("label", pa.string()),
    pa.field("score", pa.float64()),
    pa.field("probabilities", pa.map_(pa.string(), pa.float64())),
]
_SHOT_FIELDS: Final = [
    _required("start_frame", pa.int64()),
    _required("end_frame", pa.int64()),
    _required("start_s", pa.float64()),
    _required("end_s", pa.float64()),
    _required("transition", pa.string()),  # how the shot begins: start, cut, dissolve, fade, wipe
]
_KEYFRAME_FIELDS: Final = [
    _required("frame", pa.int64()),
    _required("time_s", pa.float64()),
    pa.field("score", pa.float64()),
]
_EVENT_FIELDS: Final = [
    _required("label", pa.string()),
    _required("start_frame", pa.int64()),
    _required("end_frame", pa.int64()),
    _required("start_s", pa.float64()),
    _required("end_s", pa.float64()),
    pa.field("score", pa.float64()),
]

VALUE_FIELDS: Final = MappingProxyType(
    {
        Task.BOXES: _BOX_FIELDS,
        Task.SENTIMENTS: _SENTIMENT_FIELDS,
        Task.SHOTS: _SHOT_FIELDS,
        Task.KEYFRAMES: _KEYFRAME_FIELDS,
        Task.EVENTS: _EVENT_FIELDS,
    }
)

# COCO's own columns ride along so that its AP is reproduced to the bit: crowd regions, and the
# annotated area (of a mask, often), where null means w * h.
_COCO_FIELDS: Final = [pa.field("crowd", pa.bool_()), pa.field("area", pa.float64())]

SCHEMAS: Final = MappingProxyType(
    {
        task: pa.schema(
            [
                _required("item", pa.string()),
                *fields,
                *(_COCO_FIELDS if task is Task.BOXES else []),
                pa.field("source", pa.string()),  # model@version, or who made the label
            ]
        )
        for task, fields in VALUE_FIELDS.items()
    }
)


CODED: Final = pa.dictionary(pa.int32(), pa.string())  # texts that repeat, as indices into their dictionary


def empty(task: Task) -> pa.Table:
    """Return the table of `task` with no rows."""
    return SCHEMAS[task].empty_table()


def conform(table: pa.Table, schema: pa.Schema, *, coded: bool = False) -> pa.Table:
    """Return `table` with exactly the columns of `schema`, in order, absent nullable ones as null.

    With `coded`, a text column that is dictionary-encoded stays so (as `CODED`): ten million boxes take a fifth of the
    memory then. Such a table is for reading only; what is written or sealed has plain texts.

    Raises:
        pa.ArrowInvalid: a value cannot be cast, or a required column holds null.
        KeyError: a required column is absent.
    """
    columns, fields = [], []
    for field in schema:
        if coded and field.type == pa.string() and _is_coded(table, field.name):
            field = field.with_type(CODED)
        fields.append(field)
        if field.name in table.column_names:
            columns.append(table[field.name].cast(field.type))
        elif field.nullable:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        else:
            raise KeyError(field.name)
    result = pa.table(columns, schema=pa.schema(fields))
    result.validate(full=False)
    return result


def _is_coded(table: pa.Table, name: str) -> bool:
    return name in table.column_names and pa.types.is_dictionary(table.schema.field(name).type)


def text_columns(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that hold texts."""
    return [field.name for field in schema if field.type == pa.string()]


def follows(table: pa.Table, schema: pa.Schema) -> bool:
    """Return whether `table` has exactly the columns of `schema`, where a text may be dictionary-encoded."""
    fields = [each.with_type(pa.string()) if each.type == CODED else each for each in table.schema]
    return bool(pa.schema(fields).equals(schema))
