"""Made deliveries of every kind beside their gold: noisy, with misses, extras and wrong classes, from one seed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task, conform

Row = dict[str, Any]
CLASSES = ("circle", "square", "star")
SENTIMENTS = ("negative", "neutral", "positive")


def items_of(images: int, texts: int, videos: int) -> dict[str, Kind]:
    """Return item -> kind."""
    named = {f"i{n:03}.png": Kind.IMAGE for n in range(images)} | {f"t{n:03}": Kind.TEXT for n in range(texts)}
    return named | {f"v{n:02}.mp4": Kind.VIDEO for n in range(videos)}


def labels_of(rows: dict[Task, list[Row]], items: dict[str, Kind], states: dict[str, State] | None = None) -> LabelSet:
    """Return a label set; items are labelled unless `states` says otherwise."""
    known = states or {}
    entries = [
        {"item": item, "kind": kind.value, "state": known.get(item, State.LABELLED).value} for item, kind in items.items()
    ]
    tables = {}
    for task, some in rows.items():
        columns = {field.name: pa.array([row.get(field.name) for row in some], field.type) for field in SCHEMAS[task]}
        tables[task] = conform(pa.table(columns), SCHEMAS[task])
    return LabelSet(pa.Table.from_pylist(entries, schema=STATES), tables)


def delivery(seed: int, *, images: int = 30, texts: int = 40, videos: int = 5) -> tuple[LabelSet, LabelSet]:
    """Return (labels, gold) of a made lot."""
    rng = np.random.default_rng(seed)
    items = items_of(images, texts, videos)
    gold: dict[Task, list[Row]] = {task: [] for task in Task}
    labels: dict[Task, list[Row]] = {task: [] for task in Task}
    for item, kind in items.items():
        maker: Callable[..., None] = {Kind.IMAGE: _boxes, Kind.TEXT: _sentiment, Kind.VIDEO: _video}[kind]
        maker(item, rng, gold, labels)
    return labels_of(labels, items), labels_of(gold, items)


def _boxes(item: str, rng: np.random.Generator, gold: dict[Task, list[Row]], labels: dict[Task, list[Row]]) -> None:
    for place in range(int(rng.integers(0, 9))):
        side = float(rng.choice([12.0, 40.0, 120.0]))
        row: Row = {
            "item": item,
            "label": str(rng.choice(CLASSES)),
            "x": 150.0 * place,
            "y": 10.0,
            "w": side,
            "h": side * 1.5,
        }
        fate = rng.random()
        if fate > 0.06:
            gold[Task.BOXES].append(row)
        if fate < 0.92:
            shift = float(rng.normal()) * side / 12
            label = row["label"] if rng.random() < 0.93 else str(rng.choice(CLASSES))
            labels[Task.BOXES].append({**row, "label": label, "x": row["x"] + shift})
        if rng.random() < 0.04:
            labels[Task.BOXES].append({**row, "x": row["x"] + side / 20})


def _sentiment(item: str, rng: np.random.Generator, gold: dict[Task, list[Row]], labels: dict[Task, list[Row]]) -> None:
    truth = str(rng.choice(SENTIMENTS, p=[0.2, 0.2, 0.6]))
    gold[Task.SENTIMENTS].append({"item": item, "label": truth})
    if rng.random() < 0.97:
        label = truth if rng.random() < 0.88 else str(rng.choice(SENTIMENTS))
        labels[Task.SENTIMENTS].append({"item": item, "label": label})


def _video(item: str, rng: np.random.Generator, gold: dict[Task, list[Row]], labels: dict[Task, list[Row]]) -> None:
    for place in range(10):
        start, fate = place * 60, rng.random()
        moved = start + int(rng.integers(-2, 4)) if place else 0
        for side, frame, there in ((gold, start, fate > 0.08), (labels, moved, fate < 0.92)):
            if there:
                _scene(item, side, frame, name=f"event {place % 2}")


def _scene(item: str, side: dict[Task, list[Row]], frame: int, *, name: str) -> None:
    span = {"item": item, "start_frame": frame, "end_frame": frame + 50, "start_s": frame / 25, "end_s": frame / 25 + 2}
    side[Task.SHOTS].append({**span, "transition": "cut" if frame % 4 else "fade"})
    side[Task.EVENTS].append({**span, "label": name})
    side[Task.KEYFRAMES].append({"item": item, "frame": frame, "time_s": frame / 25})


def reversed_rows(labels: LabelSet, tasks: Sequence[Task] = tuple(Task)) -> LabelSet:
    """Return the same labels with their rows the other way round."""
    turned = {task: table.take(list(range(table.num_rows))[::-1]) for task, table in labels.tables.items() if task in tasks}
    return LabelSet(labels.states, {**labels.tables, **turned})
