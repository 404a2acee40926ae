"""Generated lots with labels that fit them: what every exchange format must carry without loss."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from contract.formats.lotview import LotView
from contract.guideline import Guideline
from contract.labelset import LabelSet
from contract.tables import ITEMS, SCHEMAS, STATES, TASKS_OF_KIND, Kind, State, Task
from contract.terms import load_terms

GUIDELINE: Guideline = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml").guideline
TRANSITIONS = ("start", "cut", "dissolve", "fade", "wipe")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\n\r\0"), min_size=1, max_size=8)
XML_NAMES = NAMES.map(lambda name: "".join(each for each in name if each >= " " and each not in "\ufffe\uffff")).filter(bool)
SCORES = st.none() | st.floats(0, 1)
SOURCES = st.none() | st.just("tiny@1")
LABELLED = (State.LABELLED, State.EMPTY)


def item_row(item: str, kind: Kind, **facts: Any) -> dict[str, Any]:
    """Return a row of the manifest for `item`, whose content is its own name."""
    content = item.encode()
    return {
        "item": item,
        "kind": kind.value,
        "uri": f"/data/{item}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "state": State.MISSING.value,
        **facts,
    }


def lot_of(rows: list[dict[str, Any]], texts: dict[str, str] | None = None) -> LotView:
    """Return a lot of `rows`, with the demo's guideline."""
    return LotView(pa.Table.from_pylist(rows, schema=ITEMS), GUIDELINE, texts or {}, "tiny@1")


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> dict[str, Any]:
    """Return a box that sticks out of its image by at most one pixel."""
    x, y = (draw(st.floats(-1, size - 1e-3)) for size in (width, height))
    w, h = (draw(st.floats(1e-3, size + 1 - start)) for start, size in ((x, width), (y, height)))
    area = draw(st.none() | st.floats(0, 1e6).filter(lambda value: value != w * h))
    label = draw(st.sampled_from(GUIDELINE.class_names))
    crowd = draw(st.sampled_from([None, True]))
    return {"label": label, "x": x, "y": y, "w": w, "h": h, "score": draw(SCORES), "crowd": crowd, "area": area}


@st.composite
def sentiments(draw: st.DrawFn) -> dict[str, Any]:
    """Return a sentiment with or without probabilities."""
    names = st.sampled_from(GUIDELINE.sentiment_names)
    shares = draw(st.none() | st.dictionaries(names, st.floats(0, 1)).map(lambda found: list(found.items())))
    return {"label": draw(names), "score": draw(SCORES), "probabilities": shares}


@st.composite
def intervals_in(draw: st.DrawFn, frames: int) -> dict[str, Any]:
    """Return an interval whose seconds need not be frame / fps, as in a video of variable frame rate."""
    start = draw(st.integers(0, frames - 1))
    end = draw(st.integers(start + 1, frames))
    start_s = draw(st.floats(0, 50))
    return {"start_frame": start, "end_frame": end, "start_s": start_s, "end_s": start_s + draw(st.floats(1e-3, 50))}


@st.composite
def labels_of(draw: st.DrawFn, task: Task, facts: dict[str, Any]) -> dict[str, Any]:
    """Return a label of `task` for the item with `facts`, without its item."""
    if task is Task.BOXES:
        row = draw(boxes_in(facts["width"], facts["height"]))
    elif task is Task.SENTIMENTS:
        row = draw(sentiments())
    elif task is Task.KEYFRAMES:
        frame, time = draw(st.integers(0, facts["frames"] - 1)), draw(st.floats(0, 100))
        row = {"frame": frame, "time_s": time, "score": draw(SCORES)}
    else:
        row = draw(intervals_in(facts["frames"]))
        if task is Task.SHOTS:
            row |= {"transition": draw(st.sampled_from(TRANSITIONS))}
        else:
            row |= {"label": draw(st.sampled_from(GUIDELINE.event_names)), "score": draw(SCORES)}
    return row | {"source": draw(SOURCES)}


def _facts(draw: st.DrawFn, item: str, kind: Kind) -> dict[str, Any]:
    if kind is Kind.IMAGE:
        return item_row(item, kind, width=draw(st.integers(1, 9000)), height=draw(st.integers(1, 9000)))
    if kind is Kind.VIDEO:
        frames = draw(st.integers(1, 5000))
        return item_row(item, kind, fps=draw(st.sampled_from([23.976, 25.0, 29.97])), frames=frames, duration_s=200.0)
    return item_row(item, kind)


@st.composite
def lots_with_labels(
    draw: st.DrawFn, kinds: tuple[Kind, ...] = tuple(Kind), *, names: st.SearchStrategy[str] = NAMES
) -> tuple[LotView, LabelSet]:
    """Return a lot and labels of some of its items, whose ids are of `names`; rows in the order of the states."""
    ids = draw(st.lists(names, unique=True, max_size=6))
    chosen = sorted((draw(st.sampled_from(kinds)) for _ in ids), key=list(Kind).index)
    rows = [_facts(draw, item, kind) for item, kind in zip(ids, chosen, strict=True)]
    states: list[dict[str, Any]] = []
    tables: dict[Task, list[dict[str, Any]]] = {}
    for facts in rows:
        kind = Kind(facts["kind"])
        state = draw(st.sampled_from(State))
        found = 0
        for task in TASKS_OF_KIND[kind]:
            most = (1 if task is Task.SENTIMENTS else 3) if state in LABELLED else 0
            labels = draw(st.lists(labels_of(task, facts), max_size=most))
            found += len(labels)
            tables.setdefault(task, []).extend({"item": facts["item"], **label} for label in labels)
        if state in LABELLED:
            state = State.LABELLED if found else State.EMPTY
        states.append({"item": facts["item"], "kind": kind.value, "state": state.value})
    texts = {facts["item"]: draw(st.text(max_size=20)) for facts in rows if facts["kind"] == Kind.TEXT.value}
    arrow = {task: pa.Table.from_pylist(found, schema=SCHEMAS[task]) for task, found in tables.items()}
    return lot_of(rows, texts), LabelSet(pa.Table.from_pylist(states, schema=STATES), arrow)


def same(one: LabelSet, other: LabelSet) -> bool:
    """Return whether two label sets hold the same, bit for bit; the order of states does not count."""
    keys = [sorted(map(str, labels.states.to_pylist())) for labels in (one, other)]
    tables = [{task: table.to_pylist() for task, table in labels.tables.items()} for labels in (one, other)]
    return keys[0] == keys[1] and tables[0] == tables[1]
