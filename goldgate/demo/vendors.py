"""Two simulated vendors who correct drafts, one well and one badly. Nobody real is meant, and the report says so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa

from contract.files import sha256_bytes
from contract.guideline import Guideline
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, State, Task

Row = dict[str, Any]


@dataclass(frozen=True)
class Vendor:
    """How a simulated vendor works: `diligence`: share of items put right; `carelessness`: share of labels spoilt."""

    name: str
    diligence: float
    carelessness: float


GOOD: Final = Vendor("careful", diligence=0.95, carelessness=0.01)
BAD: Final = Vendor("careless", diligence=0.30, carelessness=0.18)

_HAND_JITTER: Final = 0.015  # a person's box is off by about this share of its side
_LOOSE_SHIFT: Final = 0.45  # a spoilt box is off by this share of its side


def simulate(vendor: Vendor, drafts: LabelSet, truth: LabelSet, lot: pa.Table, guideline: Guideline) -> LabelSet:
    """Return the submission that `vendor` makes of `drafts`; the same arguments give the same submission.

    Args:
        vendor: who works.
        drafts: what the models labelled.
        truth: what is there.
        lot: the manifest (columns of `tables.ITEMS`), for sizes.
        guideline: names to confuse.
    """
    facts = {row["item"]: row for row in lot.select(["item", "kind", "width", "height"]).to_pylist()}
    drafted, true = _by_item(drafts), _by_item(truth)
    states: list[Row] = []
    rows: dict[Task, list[Row]] = {task: [] for task in {*drafts.tables, *truth.tables}}
    for state in drafts.states.to_pylist():
        item = state["item"]
        rng = np.random.default_rng(int(sha256_bytes(f"{vendor.name}/{item}".encode())[:16], 16))
        source = true if rng.random() < vendor.diligence else drafted
        worked = {task: [dict(row) for row in source.get((item, task), [])] for task in rows}
        labelled = 0
        for task, labels in worked.items():
            kept = [_touch(task, row, rng, facts[item]) for row in labels]
            kept = [done for row in kept if (done := _maybe_spoil(task, row, rng, vendor, guideline)) is not None]
            rows[task] += [{**row, "item": item, "score": None, "source": vendor.name} for row in kept]
            labelled += len(kept)
        states.append({**state, "state": (State.LABELLED if labelled else State.EMPTY).value})
    tables = {task: pa.Table.from_pylist(labels, schema=SCHEMAS[task]) for task, labels in rows.items()}
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), tables)


def _by_item(labels: LabelSet) -> dict[tuple[str, Task], list[Row]]:
    grouped: dict[tuple[str, Task], list[Row]] = {}
    for task, table in labels.tables.items():
        for row in table.to_pylist():
            grouped.setdefault((row["item"], task), []).append(row)
    return grouped


def _touch(task: Task, row: Row, rng: np.random.Generator, facts: Mapping[str, Any]) -> Row:
    """What a person's hand leaves: boxes not quite tight, within the image."""
    if task is not Task.BOXES:
        return row
    return _box(row, rng.normal(0, _HAND_JITTER, 4), facts)


def _box(row: Row, by: Any, facts: Mapping[str, Any]) -> Row:
    x1, y1 = row["x"] + by[0] * row["w"], row["y"] + by[1] * row["h"]
    x2, y2 = row["x"] + (1 + by[2]) * row["w"], row["y"] + (1 + by[3]) * row["h"]
    x1, x2 = np.clip((x1, x2), 0, facts["width"])
    y1, y2 = np.clip((y1, y2), 0, facts["height"])
    return {**row, "x": float(x1), "y": float(y1), "w": max(float(x2 - x1), 1.0), "h": max(float(y2 - y1), 1.0)}


def _maybe_spoil(task: Task, row: Row, rng: np.random.Generator, vendor: Vendor, guideline: Guideline) -> Row | None:
    if rng.random() >= vendor.carelessness:
        return row
    return _SPOILERS[task](row, rng, guideline)


def _spoil_box(row: Row, rng: np.random.Generator, guideline: Guideline) -> Row | None:
    way = rng.integers(3)
    if way == 0:
        return None
    if way == 1:
        return {**row, "label": _other(row["label"], guideline.class_names, rng)}
    return {**row, "w": row["w"] * (1 - _LOOSE_SHIFT), "h": row["h"] * (1 - _LOOSE_SHIFT)}


def _spoil_sentiment(row: Row, rng: np.random.Generator, guideline: Guideline) -> Row | None:
    return {**row, "label": _other(row["label"], guideline.sentiment_names, rng), "probabilities": None}


def _spoil_event(row: Row, rng: np.random.Generator, guideline: Guideline) -> Row | None:
    return None if rng.integers(2) else {**row, "label": _other(row["label"], guideline.event_names, rng)}


def _drop(row: Row, rng: np.random.Generator, guideline: Guideline) -> Row | None:
    return None


def _other(name: str, names: tuple[str, ...], rng: np.random.Generator) -> str:
    others = [other for other in names if other != name]
    return others[int(rng.integers(len(others)))] if others else name


_SPOILERS: Final[Mapping[Task, Callable[[Row, np.random.Generator, Guideline], Row | None]]] = MappingProxyType(
    {
        Task.BOXES: _spoil_box,
        Task.SENTIMENTS: _spoil_sentiment,
        Task.SHOTS: _drop,
        Task.KEYFRAMES: _drop,
        Task.EVENTS: _spoil_event,
    }
)
