"""COCO: instances JSON out (drafts, submissions), and back into a lot.

Source: the COCO data and results formats (cocodataset.org, "Data format" and "Results format"). Boxes are x, y, w, h
in pixels, kept as the float64 that stands in the file, so that scores come out bit-identical to pycocotools.
Categories are joined by name and images by file name or hash, never by id.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError
from contract.files import write_bytes
from contract.formats.cocofile import NOT_ANNOTATED, read_coco
from contract.formats.lotview import LotView, join_table, require_name
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task, conform

FILE_NAME: Final = "instances.json"


def write(folder: Path, labels: LabelSet, lot: LotView) -> list[Path]:
    """Write the boxes of `labels` as `folder`/instances.json and return the path.

    Categories count from 1 in the guideline's order. An image that nobody has annotated (rejected, excused, missing)
    is not among `images`, where it would read as empty, but in a list of its own.

    Raises:
        FormatError: an item is not in the lot, or a class not in the guideline.
    """
    states = [row for row in labels.states.to_pylist() if row["kind"] == Kind.IMAGE.value]
    annotated = [row["item"] for row in states if row["state"] in {State.LABELLED.value, State.EMPTY.value}]
    ids = {item: number for number, item in enumerate(annotated, 1)}
    document = {
        "info": {"description": "goldgate", "version": lot.guideline.version, "guideline_sha256": lot.guideline.sha256},
        "licenses": [],
        "images": [_image(lot, item, number) for item, number in ids.items()],
        "annotations": _annotations(labels.table(Task.BOXES), ids, lot.guideline.class_names),
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for number, name in enumerate(lot.guideline.class_names, 1)
        ],
        NOT_ANNOTATED: [{"file_name": row["item"], "state": row["state"]} for row in states if row["item"] not in ids],
    }
    path = folder / FILE_NAME
    write_bytes(path, json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    return [path]


def _image(lot: LotView, item: str, number: int) -> dict[str, Any]:
    row = lot.rows.get(item)
    if row is None:
        raise FormatError(f"item {item!r} is not in the lot, so it cannot be written as COCO")
    return {"id": number, "file_name": item, "width": row["width"], "height": row["height"], "sha256": row["sha256"]}


def _annotations(boxes: pa.Table, ids: Mapping[str, int], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    categories = {name: number for number, name in enumerate(classes, 1)}
    result = []
    for number_of, row in enumerate(boxes.to_pylist(), 1):
        where = f"item {row['item']!r}"
        if row["item"] not in ids:
            raise FormatError(f"{where} has boxes but is not marked labelled, so it cannot be written as COCO")
        annotation = {
            "id": number_of,
            "image_id": ids[row["item"]],
            "category_id": categories[require_name(row["label"], classes, word="class", where=where)],
            "bbox": [row["x"], row["y"], row["w"], row["h"]],
            "area": row["w"] * row["h"] if row["area"] is None else row["area"],
            "iscrowd": int(bool(row["crowd"])),
        }
        result.append(annotation | {name: row[name] for name in ("score", "source") if row[name] is not None})
    return result


def read(path: Path, lot: LotView) -> LabelSet:
    """Read an instances file, or the folder that holds one, and join it to the lot.

    An image without annotations is empty; an image that the file does not name has no state.

    Raises:
        FormatError: the file is broken, or names an item or a class that is not the lot's.
    """
    file = read_coco(path / FILE_NAME if path.is_dir() else path)
    where = str(file.path)
    names = file.labels.states["item"].to_pylist()
    joined = [lot.join(name, file.sha256.get(name), where=where) for name in names]
    if len(set(joined)) < len(joined):
        twice = Counter(joined).most_common(1)[0][0]
        raise FormatError(f"{where}: item {twice!r} of the lot is named by two images")
    boxes = conform(file.labels.table(Task.BOXES), SCHEMAS[Task.BOXES])
    boxes = join_table(boxes, Task.BOXES, dict(zip(names, joined, strict=True)), lot, where=where)
    # COCO must say what a draft leaves open: no crowd, and the box's own area.
    columns = {name: boxes[name] for name in boxes.column_names}
    columns["crowd"] = _where(boxes["crowd"], boxes["crowd"])
    columns["area"] = _where(pc.not_equal(boxes["area"], pc.multiply(boxes["w"], boxes["h"])), boxes["area"])
    states = {name: file.labels.states[name] for name in STATES.names} | {"item": pa.array(joined, pa.string())}
    table = pa.table(columns, schema=SCHEMAS[Task.BOXES])
    return LabelSet(pa.table(states, schema=STATES), {Task.BOXES: table})


def _where(mask: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return `values` with null where `mask` is not true."""
    return pc.if_else(pc.fill_null(mask, False), values, pa.scalar(None, values.type))
