"""YOLO: boxes as shares of the image, one text file an image, in the layout of Ultralytics or of darknet.

    yolo           data.yaml, train.txt, labels/train/<image>.txt     images belong under images/train/
    yolo-darknet   obj.data, obj.names, train.txt, obj_train_data/<image>.txt     images belong beside the labels

Both names read either layout, and Label Studio's and bare label files too (`yololayout`). An empty label file is an image
without boxes; an image of a list that has no label file is missing. Scores, origin and the exact pixels have no place in
lines that trainers read, so they lie beside them (`sidecar`) and count only while the line stands as it was drawn. Label
Studio writes a box with several labels as a line for each, which is read as a box for each.
Source: docs.ultralytics.com, "Object Detection Datasets Overview"; darknet's README, "How to train to detect your custom
objects".
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

from contract.errors import FormatError
from contract.files import write_each
from contract.formats.itemfiles import ItemFiles, annotated_items, in_lot_order, read_text_lines, require_any, sorted_by_item
from contract.formats.lotview import LotView, require_name
from contract.formats.sidecar import read_sidecar, unannotated, write_sidecar
from contract.formats.yolo.layout import (
    DARKNET_FOLDER,
    DATA,
    IMAGES,
    NAMES,
    YAML,
    darknet_place,
    find_layout,
    label_of_image,
    label_place,
    without_layout,
)
from contract.formats.yolo.lines import Line, Parsed, parse_line, pixels_of, shares_of, still_drawn, text_of
from contract.labelset import LabelSet, merge
from contract.tables import SCHEMAS, STATES, Kind, State, Task
from contract.textcodes import codes_of

_KINDS: Final = (Kind.IMAGE,)
_LIST: Final = "train.txt"


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write the boxes of `labels` in the layout of Ultralytics and return the paths.

    Raises:
        FormatError: an item is not in the lot or has no size, or a class is not in the guideline.
    """
    names = dict(enumerate(lot.guideline.class_names))
    # Ultralytics demands a list for each; the split is the trainer's business.
    document = {"train": _LIST, "val": _LIST, "names": names}
    head = [(YAML, yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=10_000).encode())]
    return _write(folder, labels, lot, _Place(label_place, f"./{IMAGES}/train/", head))


def write_darknet(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write the boxes of `labels` in the layout of darknet, as CVAT does, and return the paths.

    Raises:
        FormatError: an item is not in the lot or has no size, or a class is not in the guideline.
    """
    names = lot.guideline.class_names
    data = f"classes = {len(names)}\ntrain = data/{_LIST}\nnames = data/{NAMES}\nbackup = backup/\n"
    head = [(DATA, data.encode()), (NAMES, "".join(f"{name}\n" for name in names).encode())]
    return _write(folder, labels, lot, _Place(darknet_place, f"data/{DARKNET_FOLDER}/", head))


@dataclass(frozen=True)
class _Place:
    """A layout to write: where labels stand, how the list names an image, and the files that name the classes."""

    label: Callable[[str], str]
    image: str
    head: Sequence[tuple[str, bytes]]


def _write(folder: Path, labels: LabelSet, lot: LotView, place: _Place) -> list[Path]:
    items, others = annotated_items(labels, lot, _KINDS, form="YOLO")
    files = ItemFiles(lot, _KINDS, place.label)
    boxes, starts = sorted_by_item(labels.table(Task.BOXES), items, form="YOLO")
    drawn = _drawn(boxes, lot)

    def each() -> Iterator[tuple[str, bytes]]:
        yield from place.head
        yield _LIST, "".join(f"{place.image}{files.image(item)}\n" for item in items).encode()
        for number, item in enumerate(items):
            yield f"{files.path(item)}.txt", text_of(drawn.lines(starts[number], starts[number + 1]))

    paths = write_each(folder, each())
    states = pa.Table.from_pylist(
        [
            {"item": item, "kind": Kind.IMAGE.value, "state": _state(starts[at + 1] - starts[at])}
            for at, item in enumerate(items)
        ],
        schema=STATES,
    )
    return paths + write_sidecar(folder, merge([LabelSet(states, {Task.BOXES: boxes}), others]))


def _state(boxes: int) -> str:
    return State.LABELLED.value if boxes else State.EMPTY.value


@dataclass(frozen=True)
class _Drawn:
    """Boxes as lines: the class by its place in the guideline, and shares."""

    classes: NDArray[np.int64]
    shares: NDArray[np.float64]

    def lines(self, start: int, end: int) -> list[Line]:
        classes, shares = self.classes[start:end].tolist(), self.shares[start:end].tolist()
        return [(cls, *row) for cls, row in zip(classes, shares, strict=True)]


def _drawn(boxes: pa.Table, lot: LotView) -> _Drawn:
    classes = codes_of(boxes["label"], pa.array(lot.guideline.class_names, pa.string()))
    at = pc.index_in(boxes["item"], lot.items["item"].combine_chunks())
    sizes = [np.asarray(pc.fill_null(lot.items[side].take(at), 0).to_numpy(), np.float64) for side in ("width", "height")]
    wrong = (classes < 0) | (sizes[0] <= 0) | (sizes[1] <= 0)
    shares = shares_of(boxes, *(np.where(size > 0, size, 1.0) for size in sizes))
    pixels = np.stack([np.asarray(boxes[side].to_numpy(), np.float64) for side in "xywh"], axis=1)
    finite = np.asarray(np.isfinite(pixels).all(axis=1) & np.isfinite(shares).all(axis=1), np.bool_)
    wrong |= ~finite
    if wrong.any():
        row = int(wrong.argmax())
        where = f"item {boxes['item'][row].as_py()!r}"
        require_name(boxes["label"][row].as_py(), lot.guideline.class_names, word="class", where=where)
        if finite[row]:
            raise FormatError(f"{where} has no width and height in the manifest, so shares of it cannot be told")
        raise FormatError(f"{where} has a box with a number that is not finite, so it cannot be written as YOLO")
    return _Drawn(classes, shares)


def read(path: Path, lot: LotView) -> LabelSet:
    """Read a folder of one of the layouts, or the file in it that names the classes, and join it to the lot.

    Raises:
        FormatError: a file is broken, or names an item or a class that is not the lot's.
    """
    folder = path if path.is_dir() else path.parent
    layout = find_layout(path)
    owners = _Owners(lot)
    files = in_lot_order(layout.labels.items(), lot, lambda name, file: owners.of_label(name, where=str(file)))
    kept = read_sidecar(folder)
    listed = [owners.of_image(image, where=f"{folder}: a list of images") for image in layout.images]
    absent = dict.fromkeys(listed, State.MISSING.value) | unannotated(kept, lot, where=str(folder))
    require_any(files.keys() | absent.keys(), folder, what="label files and no list of images")
    reading = _Reading(lot, layout.names, kept.table(Task.BOXES))
    states = []
    for item, row in lot.rows.items():
        if item in files:
            state = _state(reading.take(files[item], item))
        elif item in absent:
            state = absent[item]
        else:
            continue
        states.append({"item": item, "kind": row["kind"], "state": state})
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: reading.table()})


class _Owners:
    """Whose a label file is: by the place of either layout, or by its name without the layout's folders."""

    def __init__(self, lot: LotView) -> None:
        self._lot = lot
        self._placed = [ItemFiles(lot, _KINDS, place) for place in (label_place, darknet_place)]

    @cached_property
    def _named(self) -> ItemFiles:
        return ItemFiles(self._lot, _KINDS)

    def of_label(self, path: str, *, where: str) -> str:
        """Return the item of the label file at `path`, which has no suffix."""
        exact = next((item for files in self._placed if (item := files.at(path))), None)
        return exact or self._named.owner(without_layout(path), where=where)

    def of_image(self, path: str, *, where: str) -> str:
        """Return the item of an image that a list names."""
        return self.of_label(label_of_image(path), where=where)


class _Reading:
    """The boxes of label files, gathered in columns."""

    def __init__(self, lot: LotView, names: Mapping[int, str], kept: pa.Table) -> None:
        self._lot, self._names = lot, names
        self._known = {number: name for number, name in names.items() if name in lot.guideline.class_names}
        in_lot = [item for item in dict.fromkeys(kept["item"].to_pylist()) if item in lot.rows]
        rows = kept.filter(pc.is_in(kept["item"], pa.array(in_lot, pa.string())))
        rows = rows.filter(pc.is_in(rows["label"], pa.array(lot.guideline.class_names, pa.string())))
        self._kept, starts = sorted_by_item(rows, in_lot, form="YOLO")
        self._drawn = _drawn(self._kept, lot)
        self._spans = {item: (starts[at], starts[at + 1]) for at, item in enumerate(in_lot)}
        self._number_of = {name: number for number, name in enumerate(lot.guideline.class_names)}
        self._items: list[str] = []
        self._counts: list[int] = []
        self._classes = array("q")
        self._values = array("d")
        self._scores = array("d")  # NaN where the line has none
        self._at = array("q")  # the row of what was kept that a line still is, or -1

    def take(self, file: Path, item: str) -> int:
        """Read the label file of `item` and return how many boxes it holds."""
        facts = self._lot.rows[item]
        where = f"{file}: item {item!r}"
        lines = [
            self._in_guideline(parse_line(line, where=f"{where}: line {number}"), f"{where}: line {number}")
            for number, line in enumerate(read_text_lines(file), 1)
            if line.strip()
        ]
        if lines and not (facts["width"] and facts["height"]):
            raise FormatError(f"{where} has no width and height in the manifest, so pixels cannot be told")
        size = facts["width"], facts["height"]
        start, end = self._spans.get(item, (0, 0))
        at = still_drawn(lines, self._drawn.lines(start, end)) if lines else []
        for number, (each, row) in enumerate(zip(lines, at, strict=True), 1):
            box = pixels_of(each.line, size)
            if not all(map(math.isfinite, box)):
                raise FormatError(f"{where}: box {number} is too large to be told in pixels")
            self._classes.append(each.line[0])
            self._values.extend(box)
            self._scores.append(math.nan if each.confidence is None else each.confidence)
            self._at.append(-1 if row < 0 else start + row)
        self._items.append(item)
        self._counts.append(len(lines))
        return len(lines)

    def _in_guideline(self, parsed: Parsed, where: str) -> Parsed:
        """Return the line with the class as its place in the guideline."""
        number = parsed.line[0]
        if number not in self._known:
            if number not in self._names:
                raise FormatError(f"{where}: class {number} is none of the {len(self._names)} that the folder names")
            require_name(self._names[number], self._lot.guideline.class_names, word="class", where=where)
        return Parsed((self._number_of[self._known[number]], *parsed.line[1:]), parsed.confidence)

    def table(self) -> pa.Table:
        """Return the boxes in the order in which they were taken."""
        at = np.frombuffer(self._at, np.int64) if self._at else np.empty(0, np.int64)
        values = np.frombuffer(self._values).reshape(-1, 4) if self._values else np.empty((0, 4))
        scores = np.frombuffer(self._scores) if self._scores else np.empty(0)
        stands = pa.array(at >= 0)
        kept = self._kept.take(pa.array(at, mask=at < 0))
        ours = {
            "item": pa.array(np.repeat(np.arange(len(self._items)), self._counts)),
            "label": pa.array(np.array(self._classes, np.int64)),
        }
        names = {"item": self._items, "label": self._lot.guideline.class_names}
        columns: dict[str, Any] = {name: pa.array(names[name], pa.string()).take(ours[name]) for name in names}
        for place, side in enumerate("xywh"):
            columns[side] = pc.if_else(stands, kept[side], pa.array(values[:, place]))
        columns["score"] = pc.if_else(stands, kept["score"], pa.array(scores, mask=np.isnan(scores)))
        columns |= {name: kept[name] for name in ("crowd", "area", "source")}
        return pa.table({name: columns[name] for name in SCHEMAS[Task.BOXES].names}, schema=SCHEMAS[Task.BOXES])
