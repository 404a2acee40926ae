"""JSON Lines: one file a task, one line an item; nothing of a label set is lost.

    boxes.jsonl       {"item", "uri", "width", "height", "state", "boxes": [{"label", "x", "y", "w", "h", "score"}]}
    sentiments.jsonl  {"item", "uri", "state", "text", "label", "score", "probabilities"}
    shots.jsonl       {"item", "uri", "fps", "state", "shots": [{"start_frame", "end_frame", "start_s", ..., "transition"}]}
    keyframes.jsonl   {"item", "uri", "fps", "state", "keyframes": [{"frame", "time_s", "score"}]}
    events.jsonl      {"item", "uri", "fps", "state", "events": [{"label", "start_frame", ..., "end_s", "score"}]}

A label also has "source", "crowd" and "area" where they are known. Frames count from 0 and ends are exclusive.
A reader takes a line without seconds where it has "fps": they are frame / fps then.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contract.errors import FormatError
from contract.files import write_bytes
from contract.formats.jsonfile import entries, field, json_lines, parse_json, whole
from contract.formats.jsonfile import number as finite
from contract.formats.lotview import LotView, join_table
from contract.labelset import LabelSet
from contract.tables import KIND_OF_TASK, SCHEMAS, STATES, Kind, State, Task
from contract.words import did_you_mean

_ROWS_AT_ONCE: Final = 1 << 15
_UNSTATED: Final = frozenset({"source", "crowd", "area"})  # left out of a line where null
_SECONDS_OF: Final = {"start_frame": "start_s", "end_frame": "end_s", "frame": "time_s"}
_FACTS: Final = {Kind.IMAGE: ("width", "height"), Kind.TEXT: (), Kind.VIDEO: ("fps",)}


def file_name(task: Task) -> str:
    """Return the name of the file that holds `task`."""
    return f"{task.value}.jsonl"


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write one file for every task that `labels` has a table of, and return the paths.

    Raises:
        FormatError: an item is not in the lot, or a text has two sentiments.
    """
    paths = []
    for task in Task:
        if task in labels.tables:
            path = folder / file_name(task)
            lines = (json.dumps(line, ensure_ascii=False, allow_nan=False) for line in _lines(task, labels, lot))
            write_bytes(path, "".join(line + "\n" for line in lines).encode())
            paths.append(path)
    return paths


def _lines(task: Task, labels: LabelSet, lot: LotView) -> Iterator[dict[str, Any]]:
    kind = KIND_OF_TASK[task]
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in labels.table(task).to_pylist():
        by_item.setdefault(row.pop("item"), []).append(_stated(row))
    for state in labels.states.to_pylist():
        item = state["item"]
        if state["kind"] != kind.value:
            continue
        if item not in lot.rows:
            raise FormatError(f"item {item!r} is not in the lot, so it cannot be written")
        facts = lot.rows[item]
        line = {"item": item, "uri": facts["uri"], **{name: facts[name] for name in _FACTS[kind]}, "state": state["state"]}
        values = by_item.pop(item, [])
        yield line | (_sentiment(item, values, lot) if task is Task.SENTIMENTS else {task.value: values})
    if by_item:
        raise FormatError(f"item {next(iter(by_item))!r} has {task.value} but no state, so it cannot be written")


def _stated(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None or name not in _UNSTATED}


def _sentiment(item: str, values: Sequence[Mapping[str, Any]], lot: LotView) -> dict[str, Any]:
    if len(values) > 1:
        raise FormatError(f"item {item!r} has {len(values)} sentiments; a text has one")
    line: dict[str, Any] = {"text": lot.texts.get(item), "label": None, "score": None, "probabilities": None}
    for value in values:
        line |= value
        line["probabilities"] = None if value["probabilities"] is None else dict(value["probabilities"])
    return line


def read(path: Path, lot: LotView) -> LabelSet:
    """Read a folder of these files, or one of them, and join it to the lot.

    Raises:
        FormatError: a line is broken, or names an item, class or event that is not the lot's.
    """
    read_set = read_jsonl(path)
    where = str(path)
    joined = {item: lot.join(item, None, where=where) for item in read_set.states["item"].to_pylist()}
    tables = {task: join_table(table, task, joined, lot, where=where) for task, table in read_set.tables.items()}
    states = [row | {"item": joined[row["item"]]} for row in read_set.states.to_pylist()]
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), tables)


def read_jsonl(path: Path, task: Task | None = None) -> LabelSet:
    """Read a folder of these files, or one of them, without a lot.

    The task of a single file is `task`, or what its name says, or what its first line holds.
    Where a line has no state, it is labelled if it has labels and empty if not.

    Raises:
        FormatError: a line is broken, or an item stands twice in a file.
    """
    if path.is_dir():
        paths = {found: path / file_name(found) for found in Task if (path / file_name(found)).exists()}
        if task is not None:
            paths = {found: where for found, where in paths.items() if found is task}
        if not paths:
            wanted = file_name(task) if task else ", ".join(file_name(each) for each in Task)
            raise FormatError(f"{path}: the folder has no {wanted}")
        return _merged([_read_one(file, found) for found, file in paths.items()], where=str(path))
    if path.exists() and not path.stat().st_size:
        raise FormatError(f"{path}: the file is empty")
    return _merged([_read_one(path, task or _task_of(path))], where=str(path))


def _task_of(path: Path) -> Task:
    for task in Task:
        if path.name == file_name(task):
            return task
    number_of, first = next(json_lines(path), (1, b"{}"))
    document = parse_json(first, where=f"{path}: line {number_of}")
    for task in Task:
        if isinstance(document, dict) and (task.value in document or (task is Task.SENTIMENTS and "label" in document)):
            return task
    raise FormatError(f"{path}: line {number_of} holds none of {', '.join(task.value for task in Task)}")


def _read_one(path: Path, task: Task) -> tuple[Task, dict[str, str], pa.Table]:
    """Read a file line by line; no more than some thousand labels at a time are objects."""
    states: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    tables = [SCHEMAS[task].empty_table()]
    for index, line in json_lines(path):
        where = f"{path}: line {index}"
        document = parse_json(line, where=where)
        item = field(document, "item", where=where)
        if not isinstance(item, str) or not item:
            raise FormatError(f"{where}: item is {item!r}, which is not a name")
        where = f"{where}: item {item!r}"
        if item in states:
            raise FormatError(f"{where} stands twice in the file")
        values = _values(document, task, where)
        states[item] = _state(document, bool(values), where)
        rows += [{"item": item, **_row(value, task, f"{where}: {task.value}[{at}]")} for at, value in enumerate(values)]
        if len(rows) >= _ROWS_AT_ONCE:
            tables.append(pa.Table.from_pylist(rows, schema=SCHEMAS[task]))
            rows = []
    tables.append(pa.Table.from_pylist(rows, schema=SCHEMAS[task]))
    return task, states, pa.concat_tables(tables)


def _values(document: dict[str, Any], task: Task, where: str) -> list[Any]:
    if task is Task.SENTIMENTS:
        return [document] if field(document, "label", where=where) is not None else []
    values = entries(field(document, task.value, where=where), name=task.value, where=where)
    if KIND_OF_TASK[task] is Kind.VIDEO and document.get("fps") is not None:
        fps = finite(document["fps"], name="fps", where=where)
        return [_with_seconds(value, fps, where) for value in values] if fps > 0 else values
    return values


def _with_seconds(value: Any, fps: float, where: str) -> Any:
    """Return `value` with the seconds that it leaves out, where it has the frame."""
    if not isinstance(value, dict):
        return value
    absent = {time: value[frame] for frame, time in _SECONDS_OF.items() if frame in value and value.get(time) is None}
    return value | {time: whole(frame, name="a frame", where=where) / fps for time, frame in absent.items()}


def _state(document: Mapping[str, Any], has_labels: bool, where: str) -> str:
    state = document.get("state")
    if state is None:
        return State.LABELLED.value if has_labels else State.EMPTY.value
    known = [each.value for each in State]
    if state not in known:
        raise FormatError(f"{where}: state {state!r} is unknown{did_you_mean(str(state), known)}")
    return str(state)


def _row(value: Any, task: Task, where: str) -> dict[str, Any]:
    """Return `value` as a row of the table of `task`, without the item."""
    if not isinstance(value, dict):
        raise FormatError(f"{where}: must be an object, but is {type(value).__name__}")
    return {column.name: _cell(value, column, where) for column in SCHEMAS[task] if column.name != "item"}


def _cell(value: dict[str, Any], column: pa.Field, where: str) -> Any:
    name = column.name
    cell = value.get(name) if column.nullable else field(value, name, where=where)
    if cell is None and column.nullable:
        return None
    if pa.types.is_floating(column.type):
        return finite(cell, name=name, where=where)
    if pa.types.is_integer(column.type):
        return whole(cell, name=name, where=where)
    if pa.types.is_map(column.type):
        if not isinstance(cell, dict):
            raise FormatError(f"{where}: {name} must be an object of label and number")
        return [(label, finite(share, name=f"{name}[{label!r}]", where=where)) for label, share in cell.items()]
    wanted = bool if pa.types.is_boolean(column.type) else str
    if not isinstance(cell, wanted):
        raise FormatError(f"{where}: {name} is {cell!r}, which is not {'true or false' if wanted is bool else 'a text'}")
    return cell


def _merged(parts: Sequence[tuple[Task, dict[str, str], pa.Table]], *, where: str) -> LabelSet:
    """Join the files of several tasks; an item has one state, and labels of any task make it labelled."""
    states: dict[tuple[str, str], str] = {}
    for task, found, _ in parts:
        for item, state in found.items():
            key = (item, KIND_OF_TASK[task].value)
            earlier = states.setdefault(key, state)
            if {earlier, state} == {State.LABELLED.value, State.EMPTY.value}:
                states[key] = State.LABELLED.value
            elif earlier != state:
                raise FormatError(f"{where}: item {item!r} is {earlier} in one file and {state} in another")
    rows = [{"item": item, "kind": kind, "state": state} for (item, kind), state in states.items()]
    return LabelSet(pa.Table.from_pylist(rows, schema=STATES), {task: table for task, _, table in parts})
