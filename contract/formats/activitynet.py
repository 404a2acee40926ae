"""ActivityNet's JSON: events, shots and keyframes of videos, as ground truth or as predictions.

    ground truth  {"version", "taxonomy", "database": {id: {"duration", "subset", "annotations": [{"segment", "label"}]}}}
    predictions   {"version", "external_data", "results": {id: [{"label", "score", "segment"}]}}

Segments are start and end in seconds, labels go by name, videos by item id. Source: activity-net.org, "Evaluation" and
its reader of both files, which wants these keys and looks past others; those are what else the tables hold:

- A task has a file of its own (events.json, shots.json, keyframes.json), so that a shot is nobody's activity; its label
  is how it begins. A keyframe is a segment of no length. Where every label has a score the file is of predictions,
  otherwise of ground truth, with "score" where one is known.
- "task" says of what a file is, "state" (in predictions "states") what is known of a video: one that is excused or
  missing is no video without events. A testing video without annotations is missing, because ActivityNet withholds them.
- "source" is model@version. "frames" are for programs to look up; those of a video of variable frame rate, which its
  seconds do not tell, come back from it as long as "frames_of" is still the segment.

A shot's score has no place in the tables and is left.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa

from contract.errors import FormatError
from contract.files import write_bytes
from contract.formats.jsonfile import entries, field, number, number_or_none, read_json_file, whole
from contract.formats.lotview import LotView, require_name
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, TASKS_OF_KIND, Kind, State, Task
from contract.validate import TRANSITIONS

KEYFRAME: Final = "keyframe"
TASKS: Final = TASKS_OF_KIND[Kind.VIDEO]
_SUBSET: Final = "validation"  # the one that ActivityNet's evaluation looks at by default
_WITHHELD: Final = ("testing", "test")
_ANSWERED: Final = frozenset({State.LABELLED.value, State.EMPTY.value})
Rows = list[dict[str, Any]]


def file_name(task: Task) -> str:
    """Return the name of the file that holds `task`."""
    return f"{task.value}.json"


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write a file for every task of videos that `labels` has a table of (events where it has none); return the paths.

    Raises:
        FormatError: an item is not in the lot, has labels but no state, or a number is not finite.
    """
    states = {row["item"]: row["state"] for row in labels.states.to_pylist() if row["kind"] == Kind.VIDEO.value}
    absent = next((item for item in states if item not in lot.rows), None)
    if absent is not None:
        raise FormatError(f"item {absent!r} is not in the lot, so it cannot be written as ActivityNet")
    paths = []
    for task in [task for task in TASKS if task in labels.tables] or [Task.EVENTS]:
        path = folder / file_name(task)
        try:
            text = json.dumps(_document(task, labels.table(task), states, lot), ensure_ascii=False, allow_nan=False)
        except (ValueError, OverflowError) as error:
            raise FormatError(f"{task.value} have a number that is not finite, so they cannot be written") from error
        write_bytes(path, text.encode() + b"\n")
        paths.append(path)
    return paths


def _document(task: Task, table: pa.Table, states: Mapping[str, str], lot: LotView) -> dict[str, Any]:
    by_item: dict[str, Rows] = {item: [] for item in states}
    scored, sources = table.num_rows > 0, set()
    for row in table.to_pylist():
        if row["item"] not in by_item:
            raise FormatError(f"item {row['item']!r} has {task.value} but no state, so it cannot be written as ActivityNet")
        by_item[row["item"]].append(_entry(task, row, lot.rows[row["item"]]))
        scored = scored and row.get("score") is not None
        sources.add(row["source"])
    document: dict[str, Any] = {"version": f"guideline {lot.guideline.version}", "task": task.value}
    if scored:
        details = ", ".join(sorted(source for source in sources if source))
        results = {item: found for item, found in by_item.items() if states[item] in _ANSWERED or found}
        document["external_data"] = {"used": bool(details), "details": details}
        return document | {"states": dict(states), "results": results}
    names = {Task.EVENTS: lot.guideline.event_names, Task.SHOTS: TRANSITIONS}.get(task, (KEYFRAME,))
    document["taxonomy"] = [
        {"nodeId": number, "nodeName": name, "parentId": 0 if number else None, "parentName": "Root" if number else None}
        for number, name in enumerate(("Root", *names))
    ]
    return document | {
        "database": {
            item: {
                "duration": lot.rows[item]["duration_s"],
                "subset": _SUBSET,
                "state": states[item],
                "annotations": found,
            }
            for item, found in by_item.items()
        }
    }


def _entry(task: Task, row: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    if task is Task.KEYFRAMES:
        segment, frames, label = [row["time_s"]] * 2, [row["frame"], row["frame"] + 1], KEYFRAME
    else:
        segment, frames = [row["start_s"], row["end_s"]], [row["start_frame"], row["end_frame"]]
        label = row["label"] if task is Task.EVENTS else row["transition"]
    entry: dict[str, Any] = {"label": label, "segment": segment, "frames": frames}
    if _frames(segment, facts) != frames:
        entry["frames_of"] = segment
    return entry | {name: row[name] for name in ("score", "source") if row.get(name) is not None}


def _frames(segment: Sequence[float], facts: Mapping[str, Any]) -> list[int] | None:
    """Return the frames of a segment by the frame rate, the end exclusive; None where there is no rate."""
    fps, frames = facts["fps"], facts["frames"]
    if not fps:
        return None
    start = round(segment[0] * fps)
    end = max(start + 1, round(segment[1] * fps))
    # A time may lie one frame beyond its video, whose containers round; a frame may not.
    return [start, frames if end - 1 == frames and start < frames else end]


def read(path: Path, lot: LotView) -> LabelSet:
    """Read a file of ground truth or of predictions, or the folder that `write` made, and join it to the lot.

    The task of a file is what it says, or its name, or events. A video without "state" is labelled if it has labels and
    empty if not; a video that the file does not name has no state.

    Raises:
        FormatError: a file is broken, or names an item or event that is not the lot's.
    """
    states: dict[str, str] = {}
    tables: dict[Task, Rows] = {}
    videos = [item for item, row in lot.rows.items() if row["kind"] == Kind.VIDEO.value]
    stems = Counter(PurePosixPath(item).stem for item in videos)
    by_stem = {stem: item for item in videos if stems[stem := PurePosixPath(item).stem] == 1}
    for file in _files(path):
        task, found = _read_file(file, lot, by_stem)
        if task in tables:
            raise FormatError(f"{file}: another file has {task.value}, too")
        tables[task] = [row for _, rows in found.values() for row in rows]
        for item, (state, _) in found.items():
            states[item] = _joined(states.get(item, state), state, where=f"{path}: item {item!r}")
    rows = [{"item": item, "kind": Kind.VIDEO.value, "state": state} for item, state in states.items()]
    arrow = {task: pa.Table.from_pylist(some, schema=SCHEMAS[task]) for task, some in tables.items() if rows}
    return LabelSet(pa.Table.from_pylist(rows, schema=STATES), arrow)


def _joined(one: str, other: str, *, where: str) -> str:
    """Return the state of a video that two files name: labels of any task make it labelled."""
    if one == other:
        return one
    if {one, other} == _ANSWERED:
        return State.LABELLED.value
    raise FormatError(f"{where} is {one} in one file and {other} in another")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [path / file_name(task) for task in TASKS if (path / file_name(task)).exists()]
    if not files:
        raise FormatError(f"{path}: the folder has no {' or '.join(file_name(task) for task in TASKS)}")
    return files


def _read_file(path: Path, lot: LotView, by_stem: Mapping[str, str]) -> tuple[Task, dict[str, tuple[str, Rows]]]:
    """Return the task of a file, and its videos in order, each with its state and rows."""
    document = read_json_file(path)
    if not isinstance(document, dict) or not {"database", "results"} & document.keys():
        raise FormatError(f"{path}: has neither 'database' (ground truth) nor 'results' (predictions) of ActivityNet")
    task = _task_of(document, path)
    found: dict[str, tuple[str, Rows]] = {}
    for name, state, annotations in _videos(document, path):
        item = lot.join(name if name in lot.rows else by_stem.get(name, name), None, where=str(path))
        where = f"{path}: item {item!r}"
        if item in found:
            raise FormatError(f"{where} stands twice in the file")
        facts = lot.rows[item]
        if facts["kind"] != Kind.VIDEO.value:
            raise FormatError(f"{where} is of the kind {facts['kind']} in the lot, not a video")
        rows = [_row(task, entry, facts, lot, where=where) for entry in annotations]
        found[item] = (state or (State.LABELLED if rows else State.EMPTY).value, rows)
    return task, found


def _task_of(document: Mapping[str, Any], path: Path) -> Task:
    known = {task.value: task for task in TASKS}
    said = document.get("task", path.stem if path.stem in known else Task.EVENTS.value)
    return known[require_name(said, tuple(known), word="task", where=str(path))]


def _videos(document: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str | None, list[Any]]]:
    """Yield each video's name, its state where the file says it, and its entries."""
    database, results = (_object(document.get(key, {}), key, path) for key in ("database", "results"))
    states = _object(document.get("states", {}), "states", path)
    annotated = {
        name: entries(field(video, "annotations", where=_of(path, name)), name="annotations", where=_of(path, name))
        for name, video in database.items()
    }
    if results and any(annotated.values()):
        raise FormatError(f"{path}: has annotations in 'database' and 'results' as well; give one of them by itself")
    for name in dict.fromkeys((*states, *database, *results)):
        video = database.get(name, {})
        found = entries(results.get(name, annotated.get(name, [])), name="results", where=_of(path, name))
        state = states.get(name, video.get("state"))
        if state is not None:
            state = require_name(state, tuple(each.value for each in State), word="state", where=_of(path, name))
        elif video.get("subset") in _WITHHELD and not found and name not in results:
            state = State.MISSING.value
        yield name, state, found


def _of(path: Path, name: str) -> str:
    return f"{path}: item {name!r}"


def _object(value: Any, name: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{path}: {name!r} must be an object of videos, but is {type(value).__name__}")
    return value


def _row(task: Task, entry: Any, facts: Mapping[str, Any], lot: LotView, *, where: str) -> dict[str, Any]:
    label = field(entry, "label", where=where)
    known = {Task.EVENTS: lot.guideline.event_names, Task.SHOTS: TRANSITIONS}.get(task, (KEYFRAME,))
    word = {Task.EVENTS: "event", Task.SHOTS: "transition"}.get(task, "label")
    require_name(label, known, word=word, where=where)
    segment = entries(field(entry, "segment", where=where), name="segment", where=where)
    if len(segment) != 2:
        raise FormatError(f"{where}: segment {segment!r} is not a start and an end in seconds")
    start_s, end_s = (number(each, name="segment", where=where) for each in segment)
    start, end = _frames_of(entry, [start_s, end_s], facts, where=where)
    source = entry.get("source")
    row: dict[str, Any] = {"item": facts["item"], "source": source if isinstance(source, str) else None}
    if task is not Task.SHOTS:
        row["score"] = number_or_none(entry.get("score"), name="score", where=where)
    if task is Task.KEYFRAMES:
        return row | {"frame": start, "time_s": start_s}
    row |= {"start_frame": start, "end_frame": end, "start_s": start_s, "end_s": end_s}
    return row | {"label" if task is Task.EVENTS else "transition": label}


def _frames_of(entry: Mapping[str, Any], segment: list[float], facts: Mapping[str, Any], *, where: str) -> tuple[int, int]:
    written = entry.get("frames")
    if entry.get("frames_of") == segment and isinstance(written, list) and len(written) == 2:
        start, end = (whole(each, name="frames", where=where) for each in written)
        return start, end
    try:
        told = _frames(segment, facts)
    except OverflowError as error:
        raise FormatError(f"{where}: segment {segment} is beyond every video") from error
    if told is None:
        raise FormatError(f"{where} has no frame rate in the manifest, so frames cannot be told")
    if max(map(abs, told)) >= 2**63:
        raise FormatError(f"{where}: segment {segment} is beyond every video")
    return told[0], told[1]
