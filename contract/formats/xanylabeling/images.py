"""X-AnyLabeling: a JSON file beside each image and each video, `a/b.jpg` and `a/b.json`.

    {"version", "flags": {}, "checked", "shapes": [{"label", "shape_type": "rectangle", "points", "score", "attributes",
     "difficult"}], "imagePath", "imageData": null, "imageHeight", "imageWidth"}     and videos: `xanylabelingvideo`

Boxes are rectangles of four corners clockwise from the top left, in pixels; two opposite corners, as older versions and
labelme write, are read as well, and rotations that are upright. Other shapes are refused, never dropped. Origin, exact
numbers and area stand in a shape's attributes; `difficult` is our crowd: scoring leaves the box out. A file without shapes
is an image without boxes; the flag `excused` marks an image that cannot be labelled. `checked` is a person's own mark and
decides nothing: who hands a file in stands by it. Items that nobody annotated have no file but a state in `sidecar`.
Source: X-AnyLabeling, docs/en/user_guide.md, and what version 4 writes.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa

from contract.errors import FormatError
from contract.files import write_each
from contract.formats.exactbox import Box, box_of, corners_of, exact_text
from contract.formats.itemfiles import (
    ItemFiles,
    annotated_items,
    files_below,
    in_lot_order,
    require_any,
    require_fit,
    rows_by_item,
)
from contract.formats.jsonfile import entries, field, number, number_or_none, read_json_file
from contract.formats.lotview import LotView, require_name
from contract.formats.sidecar import read_sidecar, unannotated, write_sidecar
from contract.formats.xanylabeling.video import TYPE, read_segments, video_document
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, TASKS_OF_KIND, Kind, State, Task

_FORM: Final = "X-AnyLabeling"
_KINDS: Final = (Kind.IMAGE, Kind.VIDEO)
_SUFFIX: Final = ".json"
_UPRIGHT_PX: Final = 1e-3  # how far the corners of a turned rectangle that is upright may be off
_ROWS_AT_ONCE: Final = 1 << 15


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write a file for each annotated image and video and return the paths.

    Raises:
        FormatError: an item is not in the lot, a class or event not in the guideline, or a number not finite.
    """
    files = ItemFiles(lot, _KINDS)
    _, others = annotated_items(labels, lot, _KINDS, form=_FORM)

    def each() -> Iterator[tuple[str, bytes]]:
        for kind in _KINDS:
            items, _ = annotated_items(labels, lot, (kind,), form=_FORM)
            documents = _images(items, labels, lot) if kind is Kind.IMAGE else _videos(items, labels, lot)
            for item, document in zip(items, documents, strict=True):
                yield (
                    f"{files.path(item)}{_SUFFIX}",
                    json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n",
                )

    paths = write_each(folder, each())
    return paths + write_sidecar(folder, others)


def _images(items: list[str], labels: LabelSet, lot: LotView) -> Iterator[dict[str, Any]]:
    boxes = labels.table(Task.BOXES)
    require_fit(boxes, lot, form=_FORM)
    for item, rows in zip(items, rows_by_item(boxes, items, form=_FORM), strict=True):
        yield {
            "version": "4.0.0",
            "flags": {},
            "checked": False,
            "shapes": [_shape(row) for row in rows],
            "imagePath": PurePosixPath(item).name,
            "imageData": None,
            "imageHeight": lot.rows[item]["height"],
            "imageWidth": lot.rows[item]["width"],
            "description": "",
        }


def _shape(row: Mapping[str, Any]) -> dict[str, Any]:
    box = row["x"], row["y"], row["w"], row["h"]
    left, top, right, bottom = corners_of(box)
    notes = {"source": row["source"], "exact": exact_text(box), "area": None if row["area"] is None else repr(row["area"])}
    if row["crowd"] is False:
        notes["crowd"] = "false"
    return {
        "label": row["label"],
        "score": row["score"],
        "points": [[left, top], [right, top], [right, bottom], [left, bottom]],
        "group_id": None,
        "description": "",
        "difficult": bool(row["crowd"]),
        "shape_type": "rectangle",
        "flags": {},
        "attributes": {name: value for name, value in notes.items() if value is not None},
        "kie_linking": [],
    }


def _videos(items: list[str], labels: LabelSet, lot: LotView) -> Iterator[dict[str, Any]]:
    by_task = {task: rows_by_item(labels.table(task), items, form=_FORM) for task in TASKS_OF_KIND[Kind.VIDEO]}
    for item, *found in zip(items, *by_task.values(), strict=True):
        rows = [(task, row) for task, some in zip(by_task, found, strict=True) for row in some]
        yield video_document(lot.rows[item], rows, lot.guideline)


def read(path: Path, lot: LotView) -> LabelSet:
    """Read a folder of these files, or one of them, and join it to the lot.

    Raises:
        FormatError: a file is broken, or names an item, class or event that is not the lot's.
    """
    folder = path if path.is_dir() else path.parent
    known = ItemFiles(lot, _KINDS)
    found = files_below(folder, _SUFFIX) if path.is_dir() else [(path.stem, path)]

    def owner(name: str, file: Path) -> str:
        return known.owner(name, where=str(file), image=lambda: _named(read_json_file(file)))

    files = in_lot_order(found, lot, owner)
    absent = unannotated(read_sidecar(folder), lot, where=str(folder)) if path.is_dir() else {}
    require_any(files.keys() | absent.keys(), path, what="label files in JSON")
    reading = _Reading(lot)
    for item in lot.rows:
        if item in files:
            reading.take(files[item], item)
        elif item in absent:
            reading.state(item, absent[item])
    return reading.labels()


def _named(document: Any) -> str | None:
    """Return the image or video that a file says it is about."""
    name = document.get("imagePath") or document.get("video") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None


class _Reading:
    """States and labels as they are read; no more than some thousand labels at a time are objects."""

    def __init__(self, lot: LotView) -> None:
        self._lot = lot
        self._states: list[dict[str, str]] = []
        self._rows: dict[Task, list[dict[str, Any]]] = {task: [] for task in Task}
        self._tables: dict[Task, list[pa.Table]] = {task: [SCHEMAS[task].empty_table()] for task in Task}

    def state(self, item: str, state: str) -> None:
        """Note the state of an item that has no file."""
        self._states.append({"item": item, "kind": self._lot.rows[item]["kind"], "state": state})

    def take(self, file: Path, item: str) -> None:
        """Read the file of `item`."""
        document, where = read_json_file(file), f"{file}: item {item!r}"
        facts = self._lot.rows[item]
        kind = Kind.VIDEO if isinstance(document, dict) and document.get("type") == TYPE else Kind.IMAGE
        if facts["kind"] != kind.value:
            raise FormatError(f"{where} is {facts['kind']}, but the file is of {kind.value} items")
        guideline = self._lot.guideline
        if kind is Kind.VIDEO:
            rows = list(read_segments(document, facts, guideline, where=where))
        else:
            _check_size(document, facts, where)
            rows = [(Task.BOXES, row) for row in _boxes(document, self._lot, item, where)]
        for task, row in rows:
            self._rows[task].append(row)
            if len(self._rows[task]) >= _ROWS_AT_ONCE:
                self._flush(task)
        excused = not rows and kind is Kind.IMAGE and _is_flagged(document)
        self.state(item, (State.EXCUSED if excused else State.LABELLED if rows else State.EMPTY).value)

    def _flush(self, task: Task) -> None:
        self._tables[task].append(pa.Table.from_pylist(self._rows[task], schema=SCHEMAS[task]))
        self._rows[task] = []

    def labels(self) -> LabelSet:
        """Return what was read: the tables of the kinds that were found."""
        kinds = {state["kind"] for state in self._states}
        tasks = [task for kind in Kind if kind.value in kinds for task in TASKS_OF_KIND[kind]]
        for task in tasks:
            self._flush(task)
        states = pa.Table.from_pylist(self._states, schema=STATES)
        return LabelSet(states, {task: pa.concat_tables(self._tables[task]) for task in tasks})


def _check_size(document: Any, facts: Mapping[str, Any], where: str) -> None:
    """Refuse a file that was drawn on an image of another size: its pixels are not the lot's."""
    for name, side in (("imageWidth", "width"), ("imageHeight", "height")):
        told = number_or_none(document.get(name), name=name, where=where) if isinstance(document, dict) else None
        if told and told > 0 and facts[side] and told != facts[side]:
            raise FormatError(f"{where}: {name} is {told:g}, but the lot's image has {facts[side]}")


def _is_flagged(document: Mapping[str, Any]) -> bool:
    flags = document.get("flags")
    return isinstance(flags, dict) and flags.get(State.EXCUSED.value) is True


def _boxes(document: Any, lot: LotView, item: str, where: str) -> Iterator[dict[str, Any]]:
    shapes = entries(field(document, "shapes", where=where), name="shapes", where=where)
    for index, shape in enumerate(shapes, 1):
        at = f"{where}: shape {index}"
        label = require_name(field(shape, "label", where=at), lot.guideline.class_names, word="class", where=at)
        notes = shape.get("attributes")
        notes = notes if isinstance(notes, dict) else {}
        x, y, w, h = box_of(_corners(shape, at), notes.get("exact"), where=at)
        source = notes.get("source")
        yield {
            "item": item,
            "label": label,
            **dict(zip("xywh", (x, y, w, h), strict=True)),
            "score": number_or_none(shape.get("score"), name="score", where=at),
            "crowd": True if shape.get("difficult") is True else False if notes.get("crowd") == "false" else None,
            "area": _area(notes.get("area"), at),
            "source": source if isinstance(source, str) else None,
        }


def _area(text: Any, where: str) -> float | None:
    if not isinstance(text, str):
        return None
    try:
        return number(float(text), name="area", where=where)
    except ValueError as error:
        raise FormatError(f"{where}: area is {text[:40]!r}, which is not a number") from error


def _corners(shape: Mapping[str, Any], where: str) -> Box:
    """Return left, top, right, bottom of an upright rectangle."""
    kind = shape.get("shape_type")
    if kind not in ("rectangle", "rotation"):
        raise FormatError(f"{where}: is a {kind}; only rectangles are ordered")
    points = []
    for point in entries(field(shape, "points", where=where), name="points", where=where):
        if not isinstance(point, list) or len(point) != 2:
            raise FormatError(f"{where}: a point must be a list of two numbers")
        points.append([number(each, name="a coordinate", where=where) for each in point])
    if len(points) not in (2, 4):
        raise FormatError(f"{where}: a rectangle has 4 points, or 2 opposite ones, but this has {len(points)}")
    xs, ys = ([point[axis] for point in points] for axis in (0, 1))
    corners = min(xs), min(ys), max(xs), max(ys)
    if len(points) == 4 and not _is_upright(points, corners, 0.0 if kind == "rectangle" else _UPRIGHT_PX):
        raise FormatError(f"{where}: the box is turned; only upright boxes are ordered")
    return corners


def _is_upright(points: list[list[float]], corners: Box, tolerance: float) -> bool:
    """Return whether the points go round the corners, either way and from any of them."""
    left, top, right, bottom = corners
    round_ = [(left, top), (right, top), (right, bottom), (left, bottom)]
    for ring in (round_, round_[::-1]):
        for first in range(4):
            turned = ring[first:] + ring[:first]
            if all(
                abs(a - c) <= tolerance and abs(b - d) <= tolerance for (a, b), (c, d) in zip(points, turned, strict=True)
            ):
                return True
    return False
