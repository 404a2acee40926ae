"""Label Studio: tasks with predictions out, corrected tasks back.

Boxes are RectangleLabels in percent of the image, sentiments Choices, and shots, keyframes and events TimelineLabels
whose frames count from 1 with both ends included. Source: labelstud.io, "Import pre-annotated data", the tags
RectangleLabels, Choices and TimelineLabels, and "Export annotations" (format JSON).

A region carries what percent and 1-based frames cannot (a box that sticks out by a pixel, times of a video of variable
frame rate) in its `meta`; a reader trusts that only while the region still stands where it was drawn.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError
from contract.files import write_bytes, write_pieces
from contract.formats.itemfiles import rows_by_item
from contract.formats.jsonfile import entries, field, json_entries
from contract.formats.labelstudio.config import label_config
from contract.formats.labelstudio.regions import read_region, region
from contract.formats.lotview import LotView
from contract.instants import instant
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, TASKS_OF_KIND, Kind, State, Task, empty

TASKS_FILE: Final = "tasks.json"
CONFIG_FILE: Final = "label_config.xml"
_NO_MODEL: Final = "goldgate"
_FORM: Final = "Label Studio"
_AT_ONCE: Final = 2_000  # tasks whose rows are Python's at a time
Rows = dict[Task, list[dict[str, Any]]]


def write(folder: Path, labels: LabelSet, lot: LotView, *, media: Callable[[str], str] | None = None) -> list[Path]:
    """Write tasks.json and label_config.xml and return their paths.

    A Label Studio project labels one kind of item; where `labels` holds several kinds, each gets a folder of its own
    (`folder`/image, `folder`/text, `folder`/video). Every item becomes a task, also those that no model could label.

    Args:
        folder: where to.
        labels: drafts, or any label set of the lot.
        lot: the manifest, texts and guideline.
        media: item -> the address under which Label Studio finds its image or video; the manifest's uri otherwise.

    Raises:
        FormatError: an item is not in the lot, or its image has no size.
    """
    kinds = _kinds(labels, lot)
    paths = []
    for kind in kinds:
        place = folder / kind.value if len(kinds) > 1 else folder
        write_pieces(place / TASKS_FILE, _list_of(_tasks(kind, labels, lot, media)))
        write_bytes(place / CONFIG_FILE, label_config(kind, lot.guideline))
        paths += [place / TASKS_FILE, place / CONFIG_FILE]
    return paths


def tasks_of(
    labels: LabelSet, lot: LotView, *, media: Callable[[str], str] | None = None
) -> dict[Kind, list[dict[str, Any]]]:
    """Return the tasks of each kind, with their data and predictions; arguments and errors as of `write`."""
    return {kind: list(_tasks(kind, labels, lot, media)) for kind in _kinds(labels, lot)}


def _kinds(labels: LabelSet, lot: LotView) -> list[Kind]:
    """Return the kinds of items, in the order in which they first occur; every item must be the lot's."""
    for item in labels.states["item"].to_pylist():
        if item not in lot.rows:
            raise FormatError(f"item {item!r} is not in the lot, so it cannot be written for Label Studio")
    return [Kind(kind) for kind in pc.unique(labels.states["kind"]).to_pylist()]


def _tasks(kind: Kind, labels: LabelSet, lot: LotView, media: Callable[[str], str] | None) -> Iterator[dict[str, Any]]:
    """Yield the tasks of one kind, one by one: no more rows are turned into Python's than one item has."""
    states = labels.states.filter(pc.equal(labels.states["kind"], kind.value))
    items = states["item"].to_pylist()
    tasks = [task for task in TASKS_OF_KIND[kind] if task in labels.tables]
    rows = [rows_by_item(labels.tables[task], items, form=_FORM) for task in tasks]
    for item, state, *own in zip(items, states["state"].to_pylist(), *rows, strict=True):
        row = {"item": item, "kind": kind.value, "state": state}
        yield _task(row, dict(zip(tasks, own, strict=True)), lot, media)


def _list_of(tasks: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the JSON list of `tasks` piece by piece."""
    before = "["
    for task in tasks:
        yield (before + json.dumps(task, ensure_ascii=False, allow_nan=False)).encode()
        before = ", "
    yield b"[]\n" if before == "[" else b"]\n"


def _task(state: Mapping[str, Any], labels: Rows, lot: LotView, media: Callable[[str], str] | None) -> dict[str, Any]:
    item, kind = state["item"], Kind(state["kind"])
    facts = lot.rows[item]
    if kind is Kind.TEXT:
        if item not in lot.texts:
            raise FormatError(f"item {item!r} has no text in the lot, so it cannot be written for Label Studio")
        content = lot.texts[item]
    else:
        content = media(item) if media else facts["uri"]
    data = {kind.value: content, "item": item, "sha256": facts["sha256"], "state": state["state"]}
    if kind is Kind.VIDEO:
        data["fps"] = facts["fps"]
    rank = lot.ranks.get(item)
    if rank is not None:
        data |= {"queue": rank, "review": "sample" if item in lot.by_sample else "full"}
    if state["state"] not in {State.LABELLED.value, State.EMPTY.value}:
        return {"data": data, "predictions": []}
    rows = [(task, row) for task in TASKS_OF_KIND[kind] for row in labels.get(task, [])]
    regions = [region(task, row, facts, name=f"{task.value}-{index}") for index, (task, row) in enumerate(rows, 1)]
    scores = [row["score"] for _, row in rows if row.get("score") is not None]
    version = next((row["source"] for _, row in rows if row["source"]), lot.model_version or _NO_MODEL)
    # The least certain region speaks for the task, so that sorting by score brings doubtful items first.
    # A queue speaks louder: its places as shares, ascending too.
    score = min(scores, default=None) if rank is None else (rank - 1) / len(lot.ranks)
    prediction = {"model_version": version, "score": score, "result": regions}
    return {"data": data, "predictions": [prediction]}


def read(path: Path, lot: LotView, *, predictions: bool = False) -> LabelSet:
    """Read a JSON export, or the folder that `write` made, and join it to the lot by name and hash.

    Of several annotations of a task the last that was not cancelled counts; a task with cancelled ones alone is
    excused; an annotation without regions is empty; a task that nobody annotated has no state.

    Args:
        path: the export.
        lot: the manifest and guideline.
        predictions: whether a task without annotations answers with its last prediction.

    Raises:
        FormatError: the file is broken, or names an item, class, choice or event that is not the lot's.
    """
    states: list[dict[str, str]] = []
    tables: Rows = {}
    parts: dict[Task, list[pa.Table]] = {task: [] for task in Task}
    for file in _task_files(path):
        for index, task in enumerate(json_entries(file, name="an export"), 1):
            _read_task(task, lot, where=f"{file}: task {index}", predictions=predictions, into=(states, tables))
            if index % _AT_ONCE == 0:
                _into_columns(tables, parts)
    _into_columns(tables, parts)
    seen: set[str] = set()
    for state in states:
        if state["item"] in seen:
            raise FormatError(f"{path}: item {state['item']!r} stands in two tasks")
        seen.add(state["item"])
    kinds = {Kind(state["kind"]) for state in states}
    return LabelSet(
        pa.Table.from_pylist(states, schema=STATES),
        {
            task: pa.concat_tables([empty(task), *parts[task]]).combine_chunks()
            for kind in Kind
            if kind in kinds
            for task in TASKS_OF_KIND[kind]
        },
    )


def _into_columns(tables: Rows, parts: dict[Task, list[pa.Table]]) -> None:
    """Move the rows read so far into `parts`: columns take a tenth of their memory."""
    for task, rows in tables.items():
        parts[task].append(pa.Table.from_pylist(rows, schema=SCHEMAS[task]))
    tables.clear()


def _task_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [place / TASKS_FILE for place in (path, *(path / kind.value for kind in Kind)) if (place / TASKS_FILE).exists()]
    if not files:
        raise FormatError(f"{path}: the folder has no {TASKS_FILE}; give the JSON export of Label Studio")
    return files


def _read_task(task: Any, lot: LotView, *, where: str, predictions: bool, into: tuple[list[dict[str, str]], Rows]) -> None:
    states, tables = into
    facts = _facts(field(task, "data", where=where), lot, where)
    item = facts["item"]
    where = f"{where}, item {item!r}"
    state, answer, source = _answer(task, where, predictions)
    if state is None:
        return
    result = entries(answer.get("result") or [], name="result", where=where)
    for index, entry in enumerate(result, 1):
        for label_task, row in read_region(entry, facts, lot.guideline, where=f"{where}: region {index}"):
            row["source"] = source or (row["source"] if _is_ours(entry) else answer.get("model_version"))
            tables.setdefault(label_task, []).append(row)
    states.append({"item": item, "kind": facts["kind"], "state": state.value})


def _is_ours(entry: Mapping[str, Any]) -> bool:
    """Return whether `write` made the region, so that its meta says where the label came from."""
    return isinstance(entry.get("meta"), dict) and "source" in entry["meta"]


def _facts(data: Any, lot: LotView, where: str) -> dict[str, Any]:
    """Return the manifest's row of the item that a task is about."""
    if not isinstance(data, dict):
        raise FormatError(f"{where}: data must be an object")
    sha256 = data.get("sha256")
    name = data.get("item") or next((data[kind.value] for kind in (Kind.IMAGE, Kind.VIDEO) if data.get(kind.value)), None)
    if not isinstance(name, str) and not isinstance(sha256, str):
        raise FormatError(f"{where}: data has neither 'item' nor 'sha256', so the task cannot be joined to the lot")
    item = lot.join(name if isinstance(name, str) else None, sha256 if isinstance(sha256, str) else None, where=where)
    return lot.rows[item]


def _answer(task: Mapping[str, Any], where: str, predictions: bool) -> tuple[State | None, dict[str, Any], str | None]:
    """Return the state of a task, the annotation or prediction that gives it, and who annotated it."""
    annotations = entries(task.get("annotations") or [], name="annotations", where=where)
    if not all(isinstance(annotation, dict) for annotation in annotations):
        raise FormatError(f"{where}: annotations must be objects")
    standing = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if standing:
        answer = max(enumerate(standing), key=lambda pair: (_when(pair[1]), pair[0]))[1]
        return (State.LABELLED if answer.get("result") else State.EMPTY), answer, _annotator(answer)
    if annotations:
        return State.EXCUSED, {}, None
    if not predictions:
        return None, {}, None
    guesses = entries(task.get("predictions") or [], name="predictions", where=where)
    if guesses and isinstance(guesses[-1], dict):
        return (State.LABELLED if guesses[-1].get("result") else State.EMPTY), guesses[-1], None
    told = task["data"].get("state")
    return (State(told) if told in ("excused", "missing", "rejected") else None), {}, None


def _when(annotation: Mapping[str, Any]) -> datetime:
    return instant(annotation.get("updated_at")) or datetime.min.replace(tzinfo=timezone.utc)


def _annotator(annotation: Mapping[str, Any]) -> str:
    """Return a pseudonym: the number that Label Studio gives the person, never a name or an address."""
    who = annotation.get("completed_by")
    number = who.get("id") if isinstance(who, dict) else who
    return f"annotator-{number}" if isinstance(number, int) else "annotator"
