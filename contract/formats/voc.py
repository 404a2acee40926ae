"""Pascal VOC: an XML file an image below Annotations/, as CVAT, Label Studio, LabelImg and Datumaro write them.

    Annotations/<image>.xml, ImageSets/Main/default.txt, labelmap.txt     images belong under JPEGImages/

Corners are edges in pixels counted from 0, with their fractions, as those tools have them. The devkit's own files count
pixels from 1 with the last one included; a file whose <database> is "The VOC2007 Database" (or of another year) is read
that way. `difficult` is our crowd: scoring leaves the object out, as the devkit does. Score, origin, exact numbers and area
are <attributes>, which CVAT and Datumaro keep and others pass over; `truncated`, `pose` and parts decide nothing. A file
without objects is an image without boxes, an image of the lists without a file is missing, and what is excused, missing or
rejected has no file but a state in `sidecar`. Source: the PASCAL VOC 2012 development kit, section 11, "Annotation files".
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contract.errors import FormatError
from contract.files import write_each
from contract.formats.cvat.reading import finite
from contract.formats.exactbox import Box, box_of, corners_of, exact_text
from contract.formats.itemfiles import (
    ItemFiles,
    annotated_items,
    files_below,
    in_lot_order,
    read_text_lines,
    require_any,
    require_fit,
    rows_by_item,
)
from contract.formats.jsonfile import read_file
from contract.formats.lotview import LotView, require_name
from contract.formats.sidecar import read_sidecar, unannotated, write_sidecar
from contract.formats.xmlstream import escaped, read_tree
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task

_FORM: Final = "Pascal VOC"
_KINDS: Final = (Kind.IMAGE,)
_SUFFIX: Final = ".xml"
_FOLDER: Final = "Annotations"
_LISTS: Final = "ImageSets/Main"
_SUBSETS: Final = ("default", "train", "val", "trainval", "test")  # others there are lists of one class
_MOST_BYTES: Final = 64 << 20
_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
_DEVKIT: Final = re.compile(r"The VOC20\d\d Database")
_ROWS_AT_ONCE: Final = 1 << 15


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write a file for each annotated image, their list and the classes, and return the paths.

    Raises:
        FormatError: an item is not in the lot, a class not in the guideline, a number not finite, a text not for XML.
    """
    items, others = annotated_items(labels, lot, _KINDS, form=_FORM)
    files = ItemFiles(lot, _KINDS)
    boxes = labels.table(Task.BOXES)
    require_fit(boxes, lot, form=_FORM)

    def each() -> Iterator[tuple[str, bytes]]:
        yield f"{_LISTS}/{_SUBSETS[0]}.txt", "".join(f"{files.path(item)}\n" for item in items).encode()
        yield "labelmap.txt", _label_map(lot.guideline.class_names)
        for item, rows in zip(items, rows_by_item(boxes, items, form=_FORM), strict=True):
            yield f"{_FOLDER}/{files.path(item)}{_SUFFIX}", _document(lot.rows[item], files.image(item), rows).encode()

    return write_each(folder, each()) + write_sidecar(folder, others)


def _label_map(names: Iterable[str]) -> bytes:
    """Return the classes as Datumaro and CVAT list them; one whose name holds their colon is left to them to find."""
    lines = (f"{name}:::\n" for name in names if ":" not in name and not name.startswith("#"))
    return "".join(["# label:color_rgb:parts:actions\n", *lines]).encode()


def _document(facts: Mapping[str, Any], image: str, rows: Iterable[Mapping[str, Any]]) -> str:
    size = "".join(f"<{side}>{facts[side] or 0}</{side}>" for side in ("width", "height"))
    return (
        f"<annotation>\n  <folder></folder>\n  <filename>{escaped(image, what='item')}</filename>\n"
        "  <source><database>goldgate</database></source>\n"
        f"  <size>{size}<depth>3</depth></size>\n  <segmented>0</segmented>\n"
        + "".join(map(_object, rows))
        + "</annotation>\n"
    )


def _object(row: Mapping[str, Any]) -> str:
    box = row["x"], row["y"], row["w"], row["h"]
    corners = "".join(f"<{name}>{at!r}</{name}>" for name, at in zip(_CORNERS, corners_of(box), strict=True))
    notes = {"score": row["score"], "source": row["source"], "exact": exact_text(box), "area": row["area"]}
    if row["crowd"] is False:
        notes["crowd"] = "false"
    attributes = "".join(
        f"<attribute><name>{name}</name><value>{escaped(str(value), what='text')}</value></attribute>"
        for name, value in notes.items()
        if value is not None
    )
    return (
        f"  <object>\n    <name>{escaped(row['label'], what='class')}</name>\n    <pose>Unspecified</pose>\n"
        f"    <truncated>0</truncated>\n    <difficult>{int(bool(row['crowd']))}</difficult>\n"
        f"    <bndbox>{corners}</bndbox>\n"
        + (f"    <attributes>{attributes}</attributes>\n" if attributes else "")
        + "  </object>\n"
    )


def read(path: Path, lot: LotView) -> LabelSet:
    """Read a folder of these files, with or without Annotations/, or one file, and join it to the lot.

    Raises:
        FormatError: a file is broken, or names an item or a class that is not the lot's.
    """
    known = ItemFiles(lot, _KINDS)
    files = in_lot_order(
        _files(path), lot, lambda name, file: known.owner(name, where=str(file), image=lambda: _named(file))
    )
    absent = _absent(path, known, lot) if path.is_dir() else {}
    require_any(files.keys() | absent.keys(), path, what="annotations in XML")
    states: list[dict[str, str]] = []
    rows: list[dict[str, Any]] = []
    tables = [SCHEMAS[Task.BOXES].empty_table()]
    for item, facts in lot.rows.items():
        if item in files:
            found = _boxes(files[item], facts, lot)
            state = (State.LABELLED if found else State.EMPTY).value
            rows += found
        elif item in absent:
            state = absent[item]
        else:
            continue
        states.append({"item": item, "kind": facts["kind"], "state": state})
        if len(rows) >= _ROWS_AT_ONCE:
            tables.append(pa.Table.from_pylist(rows, schema=SCHEMAS[Task.BOXES]))
            rows = []
    tables.append(pa.Table.from_pylist(rows, schema=SCHEMAS[Task.BOXES]))
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: pa.concat_tables(tables)})


def _files(path: Path) -> Iterable[tuple[str, Path]]:
    if not path.is_dir():
        return [(path.stem, path)]
    below = path / _FOLDER
    return files_below(below if below.is_dir() else path, _SUFFIX)


def _absent(folder: Path, known: ItemFiles, lot: LotView) -> dict[str, str]:
    """Return item -> state of what the lists and the sidecar name; it counts where there is no file."""
    lists = [file for name in _SUBSETS if (file := folder / _LISTS / f"{name}.txt").is_file()]
    named = [(name, file) for file in lists for name in read_text_lines(file) if name.strip()]
    listed = dict.fromkeys((known.owner(name, where=str(file)) for name, file in named), State.MISSING.value)
    return listed | unannotated(read_sidecar(folder), lot, where=str(folder))


def _root(file: Path) -> ET.Element:
    if file.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{file}: more than {_MOST_BYTES >> 20} MiB, which no file of one image has")
    root = read_tree(read_file(file), where=str(file))
    if root.tag != "annotation":
        raise FormatError(f"{file}: is no file of {_FORM}: it begins with <{root.tag}>, not with <annotation>")
    return root


def _named(file: Path) -> str | None:
    return _root(file).findtext("filename")


def _boxes(file: Path, facts: Mapping[str, Any], lot: LotView) -> list[dict[str, Any]]:
    root, where = _root(file), f"{file}: item {facts['item']!r}"
    for side in ("width", "height"):
        text = root.findtext(f"size/{side}")
        told = finite(text.strip(), name=side, where=where) if text and text.strip() else None
        if told and facts[side] and told != facts[side]:
            raise FormatError(f"{where}: {side} is {told:g}, but the lot's image has {facts[side]}")
    first = 1 if _DEVKIT.search(root.findtext("source/database") or "") else 0
    return [
        {"item": facts["item"], **_box(each, first, lot, where=f"{where}: object {index}")}
        for index, each in enumerate(root.iterfind("object"), 1)
    ]


def _box(element: ET.Element, first: int, lot: LotView, *, where: str) -> dict[str, Any]:
    """Return an object as a row of boxes without its item; pixels count from `first`."""
    label = require_name((element.findtext("name") or "").strip(), lot.guideline.class_names, word="class", where=where)
    notes = {each.findtext("name"): each.findtext("value") for each in element.iterfind("attributes/attribute")}
    if notes.get("rotation") and finite(notes["rotation"], name="rotation", where=where):
        raise FormatError(f"{where}: the box is rotated by {notes['rotation']} degrees; only upright boxes are ordered")
    x, y, w, h = box_of(_corners(element, first, where), notes.get("exact"), where=where)
    numbers = {name: finite(notes[name], name=name, where=where) if notes.get(name) else None for name in ("score", "area")}
    difficult = (element.findtext("difficult") or "").strip() in ("1", "true", "True")
    crowd = True if difficult else False if notes.get("crowd") == "false" else None
    return {"label": label, "x": x, "y": y, "w": w, "h": h, **numbers, "crowd": crowd, "source": notes.get("source") or None}


def _corners(element: ET.Element, first: int, where: str) -> Box:
    bounds = element.find("bndbox")
    if bounds is None:
        raise FormatError(f"{where}: has no <bndbox>; only boxes are ordered")
    texts = [bounds.findtext(name) for name in _CORNERS]
    left, top, right, bottom = (
        finite(None if text is None else text.strip(), name=name, where=where)
        for name, text in zip(_CORNERS, texts, strict=True)
    )
    # The devkit names the last pixel inside, counted from 1: its number is that of its far edge counted from 0.
    return left - first, top - first, right, bottom
