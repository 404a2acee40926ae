"""COCO: instances JSON out (drafts, submissions), and back into a lot.

Source: the COCO data and results formats (cocodataset.org, "Data format" and "Results format"). Boxes are x, y, w, h
in pixels, kept as the float64 that stands in the file, so that scores come out bit-identical to pycocotools.
Categories are joined by name and images by file name or hash, never by id.
"""

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError
from contract.files import write_bytes
from contract.formats.cocofile import NOT_ANNOTATED, read_coco
from contract.formats.lotview import LotView, join_table, require_name
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task, conform
from contract.textcodes import codes_of

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
    document: dict[str, Any] = {
        "info": {"description": "goldgate", "version": lot.guideline.version, "guideline_sha256": lot.guideline.sha256},
        "licenses": [],
        "images": [_image(lot, item, number) for item, number in ids.items()],
        "annotations": _annotations(labels.table(Task.BOXES), ids, lot.guideline.class_names),
        "categories": [
            {"id": number, "name": name, "supercategory": ""} for number, name in enumerate(lot.guideline.class_names, 1)
        ],
        NOT_ANNOTATED: [{"file_name": row["item"], "state": row["state"]} for row in states if row["item"] not in ids],
    }
    members = (f"{_json(key)}: {value if isinstance(value, str) else _json(value)}" for key, value in document.items())
    path = folder / FILE_NAME
    write_bytes(path, f"{{{', '.join(members)}}}\n".encode())
    return [path]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _image(lot: LotView, item: str, number: int) -> dict[str, Any]:
    row = lot.rows.get(item)
    if row is None:
        raise FormatError(f"item {item!r} is not in the lot, so it cannot be written as COCO")
    return {"id": number, "file_name": item, "width": row["width"], "height": row["height"], "sha256": row["sha256"]}


def _annotations(boxes: pa.Table, ids: Mapping[str, int], classes: tuple[str, ...]) -> str:
    """Return the list of annotations as JSON, made from columns: a lot has millions of boxes."""
    image, category = (
        codes_of(boxes[name], pa.array(known, pa.string())) for name, known in (("item", ids.keys()), ("label", classes))
    )
    numbers = [boxes[side] for side in "xywh"]
    numbers += [pc.coalesce(boxes["area"], pc.multiply(boxes["w"], boxes["h"])), boxes["score"]]
    wrong = (image < 0) | (category < 0)
    for column in numbers:
        wrong |= ~np.asarray(pc.fill_null(pc.is_finite(column), True).to_numpy(), np.bool_)
    if wrong.any():
        row = int(wrong.argmax())
        where = f"item {boxes['item'][row].as_py()!r}"
        if image[row] < 0:
            raise FormatError(f"{where} has boxes but is not marked labelled, so it cannot be written as COCO")
        require_name(boxes["label"][row].as_py(), classes, word="class", where=where)
        raise FormatError(f"{where} has a box with a number that is not finite, so it cannot be written as COCO")
    columns = [
        (image + 1).tolist(),
        (category + 1).tolist(),
        *(column.to_pylist() for column in numbers),
        pc.fill_null(boxes["crowd"], False).to_pylist(),
        _members(boxes["source"]),
    ]
    return f"[{', '.join(map(_annotation, itertools.count(1), *columns))}]"


def _members(sources: pa.ChunkedArray) -> list[str]:
    """Return the last member of each annotation, or nothing where its source is null."""
    texts = {name: "" if name is None else f', "source": {_json(name)}' for name in pc.unique(sources).to_pylist()}
    return [texts[name] for name in sources.to_pylist()]


def _annotation(number: int, image: int, category: int, *values: Any) -> str:
    """Return an annotation as JSON; numbers as Python's json writes them."""
    x, y, w, h, area, score, crowd, source = values
    scored = "" if score is None else f', "score": {score!r}'
    return (
        f'{{"id": {number}, "image_id": {image}, "category_id": {category}, "bbox": [{x!r}, {y!r}, {w!r}, {h!r}], '
        f'"area": {area!r}, "iscrowd": {int(crowd)}{scored}{source}}}'
    )


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
