"""Label sets for tests, written down by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from contract.labelset import LabelSet
from contract.tables import KIND_OF_TASK, SCHEMAS, STATES, Task, conform


def label_set(task: Task, rows: Sequence[Mapping[str, Any]], states: Mapping[str, str]) -> LabelSet:
    """Return `rows` of `task` with the states of items in the order given."""
    kind = KIND_OF_TASK[task].value
    entries = [{"item": item, "kind": kind, "state": state} for item, state in states.items()]
    columns = SCHEMAS[task]
    table = pa.table({field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in columns})
    return LabelSet(pa.Table.from_pylist(entries, schema=STATES), {task: conform(table, columns)})


def box(item: str, label: str, corners: tuple[float, float, float, float], **more: Any) -> dict[str, Any]:
    """Return a box from its corners x1, y1, x2, y2."""
    x1, y1, x2, y2 = corners
    return {"item": item, "label": label, "x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, **more}


def shot(item: str, start: int, end: int, transition: str = "cut", fps: float = 25.0) -> dict[str, Any]:
    """Return a shot from its frames."""
    frames = {"start_frame": start, "end_frame": end, "start_s": start / fps, "end_s": end / fps}
    return {"item": item, "transition": transition, **frames}


def keyframe(item: str, time_s: float, fps: float = 25.0) -> dict[str, Any]:
    """Return a keyframe."""
    return {"item": item, "frame": round(time_s * fps), "time_s": time_s}


def event(item: str, label: str, start_s: float, end_s: float, **more: Any) -> dict[str, Any]:
    """Return an event from its seconds."""
    frames = {"start_frame": round(start_s * 25), "end_frame": round(end_s * 25)}
    return {"item": item, "label": label, "start_s": start_s, "end_s": end_s, **frames, **more}
