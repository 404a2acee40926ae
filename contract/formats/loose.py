"""Two files scored with no lot: read by what they hold, and joined to each other.

Boxes come from COCO (instances, or a list of results beside the gold's instances), any task from our Parquet files and
JSON Lines, sentiments also from CSV with columns text,label or item,label.
"""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError
from contract.files import first_line, read_parquet, sha256_bytes
from contract.formats.cocofile import CocoFile, is_results, read_coco, read_results
from contract.formats.jsonfile import read_file
from contract.formats.jsonl import file_name, read_jsonl
from contract.labelset import LabelSet, read_labels
from contract.tables import KIND_OF_TASK, SCHEMAS, STATES, Kind, State, Task, conform, text_columns
from contract.validate import validate_tables

_BOM: Final = "\ufeff"


@dataclass(frozen=True)
class Loose:
    """A file of labels without a lot.

    Args:
        labels: its states and the table of its task.
        coco: the instances file that it is, where it is one; a list of results is read by its ids.
        lists_empty: whether the file names the items without labels; a flat table of labels cannot.
    """

    labels: LabelSet
    coco: CocoFile | None = None
    lists_empty: bool = True


def read_pair(labels: Path, gold: Path, task: Task) -> tuple[LabelSet, LabelSet]:
    """Read labels and their gold, checked and joined by item.

    An item that only the other file names is empty in a flat table of labels, which cannot name it, and has no
    state in any other file.

    Raises:
        FormatError: a file is broken, or the two have no item in common.
        LabelsError: a value breaks its table.
    """
    gold_file = read_loose(gold, task)
    labels_file = read_loose(labels, task, gold=gold_file)
    ours, theirs = (set(file.labels.states["item"].to_pylist()) for file in (labels_file, gold_file))
    if ours and theirs and not ours & theirs:
        raise FormatError(
            f"{labels}: none of its {len(ours)} items is among the {len(theirs)} of {gold} "
            f"({min(ours)!r} here, {min(theirs)!r} there); give files of the same items"
        )
    return _with_empty(labels_file, theirs, task), _with_empty(gold_file, ours, task)


def read_loose(path: Path, task: Task, *, gold: Loose | None = None) -> Loose:
    """Read the labels of `task` at `path`, whatever known form they have, and check them against themselves.

    Args:
        path: COCO JSON, Parquet (a table, or a folder of tables), JSON Lines (a file or a folder) or CSV.
        task: which labels.
        gold: what was read from the gold, whose ids a COCO list of results needs.

    Raises:
        FormatError: the file is absent, broken, or of no known form.
        LabelsError: a value breaks its table.
    """
    if not path.exists():
        raise FormatError(f"{path}: no such file")
    loose = _read(path, task, gold)
    validate_tables(loose.labels, origin=str(path))
    return loose


def _read(path: Path, task: Task, gold: Loose | None) -> Loose:
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_folder(path, task)
    if suffix == ".parquet":
        return Loose(_read_table(path, task), lists_empty=False)
    if suffix in {".jsonl", ".ndjson"}:
        return Loose(read_jsonl(path, task))
    if suffix == ".json" and task is Task.BOXES:
        return _read_coco(path, gold)
    if suffix == ".csv" and task is Task.SENTIMENTS:
        return Loose(read_csv(path))
    forms = {Task.BOXES: "COCO .json, .parquet or .jsonl", Task.SENTIMENTS: ".csv, .parquet or .jsonl"}
    raise FormatError(f"{path}: {task.value} cannot be read from it; give {forms.get(task, '.parquet or .jsonl')}")


def _read_folder(path: Path, task: Task) -> Loose:
    if (path / "items.parquet").exists():
        labels = read_labels(path, coded=True)
        if task not in labels.tables:
            raise FormatError(f"{path}: the folder has no {task.value}.parquet")
        of_kind = labels.states.filter(pc.equal(labels.states["kind"], KIND_OF_TASK[task].value))
        return Loose(LabelSet(of_kind, {task: labels.tables[task]}))
    if (path / "instances.json").exists() and task is Task.BOXES:
        return _read_coco(path / "instances.json", None)
    if (path / file_name(task)).exists():
        return Loose(read_jsonl(path, task))
    raise FormatError(f"{path}: the folder has neither items.parquet nor {file_name(task)}")


def _read_table(path: Path, task: Task) -> LabelSet:
    table = read_parquet(path, coded=text_columns(SCHEMAS[task]))
    try:
        table = conform(table, SCHEMAS[task], coded=True)
    except KeyError as error:
        raise FormatError(f"{path}: column {error.args[0]!r} of {task.value} is absent") from error
    except pa.ArrowException as error:
        raise FormatError(f"{path}: not a table of {task.value} ({first_line(error)})") from error
    items = pc.unique(table["item"]).to_pylist()
    return LabelSet(_states(dict.fromkeys(items, State.LABELLED), KIND_OF_TASK[task]), {task: table})


def _read_coco(path: Path, gold: Loose | None) -> Loose:
    if is_results(path):
        if gold is None or gold.coco is None:
            raise FormatError(f"{path}: a bare list of results; its ids need the gold to be a COCO instances file")
        return Loose(read_results(path, gold.coco))
    file = read_coco(path)
    return Loose(file.labels, coco=file)


def read_csv(path: Path) -> LabelSet:
    """Read sentiments from a CSV with columns text,label or item,label, in UTF-8 or GB18030.

    A text is known by the SHA-256 of its normalised form (NFC, no byte order mark, no space around it, line feeds), with the
    number of its occurrence where it stands more than once. A row without a label is missing.

    Raises:
        FormatError: the file is neither encoding, lacks a column, or a row is broken.
    """
    reader = csv.DictReader(io.StringIO(_decoded(path), newline=""), strict=True)
    states: dict[str, State] = {}
    rows = []
    seen: Counter[str] = Counter()
    try:
        key = _key_column(reader.fieldnames or (), path)
        for row in reader:
            where = f"{path}: line {reader.line_num}"
            if None in row or None in row.values():
                raise FormatError(f"{where}: has another number of columns than the header; quote texts that hold commas")
            item = _item(row[key], key, seen)
            if item in states:
                raise FormatError(f"{where}: item {item!r} stands twice in the file")
            label = row["label"].strip()
            states[item] = State.LABELLED if label else State.MISSING
            if label:
                rows.append({"item": item, "label": label})
    except csv.Error as error:
        raise FormatError(f"{path}: after line {reader.line_num}: not CSV ({error})") from error
    table = pa.Table.from_pylist(rows, schema=SCHEMAS[Task.SENTIMENTS])
    return LabelSet(_states(states, Kind.TEXT), {Task.SENTIMENTS: table})


def _decoded(path: Path) -> str:
    data = read_file(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass  # not UTF-8: what Chinese spreadsheets write comes next
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: neither UTF-8 nor GB18030 (byte {error.start}); save it as UTF-8") from error


def _key_column(names: Iterable[str], path: Path) -> str:
    known = list(names)
    for key in ("item", "text"):
        if key in known and "label" in known:
            return key
    raise FormatError(f"{path}: the header must hold text,label or item,label, but is {','.join(known) or 'empty'}")


def _item(value: str, key: str, seen: Counter[str]) -> str:
    if key == "item":
        return value.strip()
    text = unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n")).replace(_BOM, "").strip()
    digest = sha256_bytes(text.encode())
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}#{seen[digest]}"


def _with_empty(file: Loose, others: set[str], task: Task) -> LabelSet:
    if file.lists_empty or task is Task.SENTIMENTS:
        return file.labels
    unnamed = sorted(others - set(file.labels.states["item"].to_pylist()))
    empty = _states(dict.fromkeys(unnamed, State.EMPTY), KIND_OF_TASK[task])
    return LabelSet(pa.concat_tables([file.labels.states, empty]), file.labels.tables)


def _states(states: dict[str, State], kind: Kind) -> pa.Table:
    rows: list[dict[str, Any]] = [{"item": item, "kind": kind.value, "state": state.value} for item, state in states.items()]
    return pa.Table.from_pylist(rows, schema=STATES)
