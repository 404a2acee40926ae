"""Deliberately wrong drafts: whoever reviews must find them, or does not look.

Which items, and what is done to them, follows from a secret alone: HMAC-SHA256(secret, item) orders the items of each kind,
the first of which get one wrong draft each. Shots and keyframes are left alone: their frames have no wrong class, and
a keyframe elsewhere may be as good.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from contract.labelset import LabelSet
from contract.quality import SeedsCaught
from contract.tables import SCHEMAS, State, Task
from qa.consistency import Profiles
from qa.sampling.draw import draw_order
from qa.sentiment import share_interval

SEEDED_TASKS: Final = (Task.BOXES, Task.SENTIMENTS, Task.EVENTS)
STANDS_FROM: Final = 0.75  # IoU at which a moved box counts as still standing
_DROPPED_FROM: Final = 0.5  # IoU at which a box counts as put back
_VALUES: Final = ("label", "x", "y", "w", "h", "start_frame", "end_frame")

SEEDS: Final = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # wrong_class, moved, dropped (boxes), wrong_label (texts, events)
        pa.field("row", pa.int64(), nullable=False),  # of the drafts' table
        *(
            pa.field(f"{side}{name}", pa.string() if name == "label" else pa.int64() if "frame" in name else pa.float64())
            for side in ("", "seeded_")
            for name in _VALUES
        ),
    ]
)

Row = dict[str, Any]
SeedKind = Literal["wrong_class", "moved", "dropped", "wrong_label"]


@dataclass(frozen=True)
class Names:
    """What labels there are to choose a wrong one from, and the sizes of images that a moved box must stay inside."""

    classes: Sequence[str]
    sentiments: Sequence[str]
    events: Sequence[str]
    sizes: Mapping[str, tuple[float, float]]

    def of(self, task: Task) -> Sequence[str]:
        """Return the names of `task`."""
        return {Task.BOXES: self.classes, Task.SENTIMENTS: self.sentiments}.get(task, self.events)


def seed_errors(drafts: LabelSet, *, share: float, secret: bytes, names: Names) -> tuple[LabelSet, pa.Table]:
    """Return the drafts with wrong ones among them, and what was done (columns of `SEEDS`).

    Args:
        drafts: as the models made them.
        share: of the items with drafts of a task, that get one wrong draft; at least one item where it is over 0.
        secret: decides all; the same secret gives the same drafts.
        names: what there is to choose from.
    """
    tables, done = dict(drafts.tables), []
    for task in (task for task in SEEDED_TASKS if task in drafts.tables):
        changes = list(_changes(task, drafts.tables[task], share=share, secret=secret, names=names))
        tables[task] = _changed(task, drafts.tables[task], changes)
        done += changes
    emptied = {item for item in (row["item"] for row in done if row["kind"] == "dropped") if not _has_rows(tables, item)}
    seeds = pa.Table.from_pylist(sorted(done, key=lambda row: (row["task"], row["item"])), schema=SEEDS)
    return LabelSet(_states(drafts.states, emptied), tables), seeds


def _has_rows(tables: Mapping[Task, pa.Table], item: str) -> bool:
    return pc.any(pc.equal(tables[Task.BOXES]["item"], item)).as_py() or False


def _states(states: pa.Table, emptied: set[str]) -> pa.Table:
    """Return the states with those items empty whose only draft was dropped: else the state would betray it."""
    values = [
        State.EMPTY.value if item in emptied else state
        for item, state in zip(states["item"].to_pylist(), states["state"].to_pylist(), strict=True)
    ]
    place = states.column_names.index("state")
    return states.set_column(place, states.schema.field("state"), pa.array(values, pa.string()))


def _changes(task: Task, table: pa.Table, *, share: float, secret: bytes, names: Names) -> Iterable[Row]:
    rows_of: dict[str, list[int]] = {}
    for row, item in enumerate(table["item"].to_pylist()):
        rows_of.setdefault(item, []).append(row)
    wanted = min(len(rows_of), max(1, round(share * len(rows_of)))) if share > 0 else 0
    key = hmac.new(secret, task.value.encode(), hashlib.sha256).digest()
    for item in draw_order(rows_of, key=key)[:wanted]:
        dice = hmac.new(key, b"what|" + item.encode(), hashlib.sha256).digest()
        row = rows_of[item][int.from_bytes(dice[:4], "big") % len(rows_of[item])]
        before = table.slice(row, 1).to_pylist()[0]
        after = _wrong(task, before, dice, names)
        if after is not None:
            kind, values = after
            old = {name: before.get(name) for name in _VALUES}
            yield {"item": item, "task": task.value, "kind": kind, "row": row, **old, **values}


def _wrong(task: Task, before: Row, dice: bytes, names: Names) -> tuple[SeedKind, Row] | None:
    """Return what is done to a draft, and its values after; None where there is nothing wrong to be had."""
    others = [name for name in names.of(task) if name != before["label"]]
    swapped = {f"seeded_{name}": before.get(name) for name in _VALUES}
    swapped["seeded_label"] = others[dice[4] % len(others)] if others else None
    if task is not Task.BOXES:
        return ("wrong_label", swapped) if others else None
    order: list[SeedKind] = ["wrong_class", "moved", "dropped"]
    for kind in order[dice[5] % 3 :] + order[: dice[5] % 3]:
        if kind == "wrong_class" and others:
            return kind, swapped
        if kind == "moved" and (place := _moved(before, names.sizes.get(before["item"]))):
            return kind, {f"seeded_{name}": before[name] for name in ("label", "w", "h")} | place
        if kind == "dropped":
            return kind, {}
    return None


def _moved(box: Row, size: tuple[float, float] | None) -> Row | None:
    """Return where the box goes when it is pushed by its own width or height, if the image has room."""
    if size is None:
        return None
    x, y, w, h = (box[side] for side in "xywh")
    places = ((x + w, y), (x - w, y), (x, y + h), (x, y - h))
    inside = [place for place in places if 0 <= place[0] <= size[0] - w and 0 <= place[1] <= size[1] - h]
    return {"seeded_x": inside[0][0], "seeded_y": inside[0][1]} if inside else None


def _changed(task: Task, table: pa.Table, changes: Sequence[Row]) -> pa.Table:
    """Return the table with the changes made: rows replaced where they stand, dropped ones left out."""
    columns = {name: table[name].to_pylist() for name in ("label", *(("x", "y") if task is Task.BOXES else ()))}
    if task is Task.SENTIMENTS:
        columns["probabilities"] = table["probabilities"].to_pylist()
    dropped = {change["row"] for change in changes if change["kind"] == "dropped"}
    for change in (change for change in changes if change["row"] not in dropped):
        row = change["row"]
        for name in columns.keys() - {"probabilities"}:
            columns[name][row] = change[f"seeded_{name}"]
        if columns.get("probabilities") and columns["probabilities"][row] is not None:
            columns["probabilities"][row] = _swapped(columns["probabilities"][row], change["label"], change["seeded_label"])
    for name, values in columns.items():
        field = SCHEMAS[task].field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    return table.take(pa.array([row for row in range(table.num_rows) if row not in dropped], pa.int64()))


def _swapped(pairs: list[tuple[str, float]], one: str, other: str) -> list[tuple[str, float]]:
    """Return probabilities with those of the two labels exchanged: else the highest would betray the label."""
    turned = {one: other, other: one}
    return [(turned.get(name, name), value) for name, value in pairs]


def caught(seeds: pa.Table, labels: LabelSet, *, profiles: Profiles) -> tuple[SeedsCaught, ...]:
    """Return how many wrong drafts the submission no longer holds, by task and kind, with limits by item.

    A wrong class is caught if no box of that class stands there (IoU >= .75), a moved box likewise; a dropped one if a
    box of its class stands there again (IoU >= .5); a wrong label if the text or event no longer has it. A draft that was
    wrong before it was changed may be counted as missed: the share is rather too low than too high.
    """
    states = dict(zip(labels.states["item"].to_pylist(), labels.states["state"].to_pylist(), strict=True))
    rows_of: dict[tuple[str, str], list[Row]] = {}
    wanted = pc.unique(seeds["item"])
    for task in SEEDED_TASKS:
        table = labels.table(task)
        for row in table.filter(pc.is_in(table["item"], value_set=wanted)).to_pylist():
            rows_of.setdefault((task.value, row["item"]), []).append(row)
    totals: dict[tuple[str, str], list[bool]] = {}
    for seed in seeds.to_pylist():
        if states.get(seed["item"]) in (State.LABELLED.value, State.EMPTY.value):
            found = _is_caught(seed, rows_of.get((seed["task"], seed["item"]), []))
            totals.setdefault((seed["task"], seed["kind"]), []).append(found)
    bound = profiles.text.bound.model_copy(update={"finite_lot": False, "method": "clopper_pearson"})
    return tuple(
        SeedsCaught(
            task=Task(task),
            kind=kind,
            seeded=len(found),
            caught=sum(found),
            share=share_interval(sum(found), len(found), bound=bound),
        )
        for (task, kind), found in sorted(totals.items())
    )


def _is_caught(seed: Row, rows: Sequence[Row]) -> bool:
    if seed["task"] == Task.SENTIMENTS.value:
        return all(row["label"] != seed["seeded_label"] for row in rows)
    if seed["task"] == Task.EVENTS.value:
        frames = (seed["start_frame"], seed["end_frame"])
        same = [row for row in rows if row["label"] == seed["seeded_label"]]
        return all((row["start_frame"], row["end_frame"]) != frames for row in same)
    if seed["kind"] == "dropped":
        return any(row["label"] == seed["label"] and _iou(seed, row, "") >= _DROPPED_FROM for row in rows)
    return all(row["label"] != seed["seeded_label"] or _iou(seed, row, "seeded_") < STANDS_FROM for row in rows)


def _iou(seed: Row, row: Row, side: str) -> float:
    x, y, w, h = (seed[f"{side}{name}"] for name in "xywh")
    width = max(0.0, min(x + w, row["x"] + row["w"]) - max(x, row["x"]))
    height = max(0.0, min(y + h, row["y"] + row["h"]) - max(y, row["y"]))
    union = w * h + row["w"] * row["h"] - width * height
    return float(width * height / union) if union else 0.0
