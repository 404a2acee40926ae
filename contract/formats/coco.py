"""COCO: instances JSON (gold, drafts, submissions) and the bare list of results.

Source: the COCO data and results formats (cocodataset.org, "Data format" and "Results format"). Boxes are x, y, w, h
in pixels, kept as the float64 that stands in the file, so that scores come out bit-identical to pycocotools.
Categories are joined by name and images by file name or hash, never by id.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contract.errors import FormatError
from contract.files import write_bytes
from contract.formats.jsonfile import entries, field, number, number_or_none, read_json_file
from contract.formats.lotview import LotView, require_name
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task
from contract.words import did_you_mean

FILE_NAME: Final = "instances.json"
_NOT_ANNOTATED: Final = "not_annotated"  # our own list beside COCO's: items that nobody has found empty


@dataclass(frozen=True)
class CocoFile:
    """An instances file: its ids, and its labels in the file's own order.

    Args:
        path: where it was read from.
        images: image id -> item (the file name).
        categories: category id -> class name.
        labels: states of all images, and the boxes, with crowd and area where the file gives them.
        annotations: id of the annotation of each row of the boxes, None where the file gives none.
        sha256: item -> the content's hash, where the file gives it.
        sizes: item -> (width, height) in pixels, where the file gives them.
    """

    path: Path
    images: Mapping[int | str, str]
    categories: Mapping[int | str, str]
    labels: LabelSet
    annotations: tuple[int | str | None, ...]
    sha256: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]


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
        _NOT_ANNOTATED: [{"file_name": row["item"], "state": row["state"]} for row in states if row["item"] not in ids],
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
    joined = {item: lot.join(item, file.sha256.get(item), where=where) for item in file.labels.states["item"].to_pylist()}
    if len(set(joined.values())) < len(joined):
        twice = next(item for item in joined.values() if list(joined.values()).count(item) > 1)
        raise FormatError(f"{where}: item {twice!r} of the lot is named by two images")
    boxes = file.labels.table(Task.BOXES).to_pylist()
    for row in boxes:
        row["item"] = joined[row["item"]]
        require_name(row["label"], lot.guideline.class_names, word="class", where=f"{where}: item {row['item']!r}")
        # COCO must say what a draft leaves open: no crowd, and the box's own area.
        row["crowd"] = row["crowd"] or None
        row["area"] = None if row["area"] == row["w"] * row["h"] else row["area"]
    states = [row | {"item": joined[row["item"]]} for row in file.labels.states.to_pylist()]
    return _label_set(states, boxes)


def read_coco(path: Path) -> CocoFile:
    """Read an instances file by itself: items are its file names, ids may count from 0 or from 1.

    Raises:
        FormatError: the file is cut off, lacks a key, repeats a name or an id, or holds a number that is not finite.
    """
    document = read_json_file(path)
    if isinstance(document, list):
        raise FormatError(f"{path}: a bare list of results, which needs the gold's instances file beside it")
    where = str(path)
    images, sha256, sizes = _read_images(field(document, "images", where=where), where)
    categories = _read_categories(field(document, "categories", where=where), where)
    annotations = entries(field(document, "annotations", where=where), name="annotations", where=where)
    boxes = [
        _read_box(entry, number_of, images=images, categories=categories, where=where)
        for number_of, entry in enumerate(annotations)
    ]
    with_boxes = {row["item"] for row in boxes}
    states = _states(images.values(), with_boxes) + _read_not_annotated(document.get(_NOT_ANNOTATED, []), images, where)
    ids = tuple(entry.get("id") for entry in annotations)
    return CocoFile(path, images, categories, _label_set(states, boxes), ids, sha256, sizes)


def read_results(path: Path, gold: CocoFile) -> LabelSet:
    """Read a bare list of results by the ids of `gold`, in the file's order; every image of `gold` has been looked at.

    Raises:
        FormatError: the file is broken, or names an image or a category that `gold` has not.
    """
    where = str(path)
    document = entries(read_json_file(path), name="a list of results", where=where)
    boxes = [
        _read_box(entry, index, images=gold.images, categories=gold.categories, where=where)
        for index, entry in enumerate(document)
    ]
    states = _states(gold.images.values(), {row["item"] for row in boxes})
    return _label_set(states, boxes)


def _read_images(value: Any, where: str) -> tuple[dict[int | str, str], dict[str, str], dict[str, tuple[int, int]]]:
    images: dict[int | str, str] = {}
    names: set[str] = set()
    sha256: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for index, entry in enumerate(entries(value, name="images", where=where)):
        place = f"{where}: images[{index}]"
        image, name = _id(field(entry, "id", where=place), place), field(entry, "file_name", where=place)
        if not isinstance(name, str) or not name:
            raise FormatError(f"{place}: file_name is {name!r}, which is not a name")
        if image in images:
            raise FormatError(f"{where}: image id {image!r} stands for both {images[image]!r} and {name!r}")
        if name in names:
            raise FormatError(f"{where}: two images are called {name!r}")
        images[image] = name
        names.add(name)
        if isinstance(entry.get("sha256"), str):
            sha256[name] = entry["sha256"]
        if isinstance(entry.get("width"), int) and isinstance(entry.get("height"), int):
            sizes[name] = (entry["width"], entry["height"])
    return images, sha256, sizes


def _read_categories(value: Any, where: str) -> dict[int | str, str]:
    categories: dict[int | str, str] = {}
    for index, entry in enumerate(entries(value, name="categories", where=where)):
        place = f"{where}: categories[{index}]"
        category, name = _id(field(entry, "id", where=place), place), field(entry, "name", where=place)
        if not isinstance(name, str) or not name:
            raise FormatError(f"{place}: name is {name!r}, which is not a name")
        if category in categories:
            raise FormatError(f"{where}: category id {category!r} stands for both {categories[category]!r} and {name!r}")
        if name in categories.values():
            raise FormatError(f"{where}: two categories are called {name!r}")
        categories[category] = name
    return categories


def _read_box(
    entry: Any, index: int, *, images: Mapping[int | str, str], categories: Mapping[int | str, str], where: str
) -> dict[str, Any]:
    place = f"{where}: annotation {index + 1}"
    image = _id(field(entry, "image_id", where=place), place)
    if image not in images:
        raise FormatError(f"{place}: image_id {image!r} is not among the images")
    item = images[image]
    place = f"{place} of item {item!r}"
    category = _id(field(entry, "category_id", where=place), place)
    if category not in categories:
        raise FormatError(f"{place}: category_id {category!r} is not among the categories")
    bbox = field(entry, "bbox", where=place)
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise FormatError(f"{place}: bbox must be [x, y, width, height], but is {bbox!r}")
    x, y, w, h = (number(value, name=f"bbox[{at}]", where=place) for at, value in enumerate(bbox))
    crowd, source = entry.get("iscrowd"), entry.get("source")
    if crowd not in (None, 0, 1):
        raise FormatError(f"{place}: iscrowd must be 0 or 1, but is {crowd!r}")
    return {
        "item": item,
        "label": categories[category],
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "score": number_or_none(entry.get("score"), name="score", where=place),
        "crowd": None if crowd is None else bool(crowd),
        "area": number_or_none(entry.get("area"), name="area", where=place),
        "source": source if isinstance(source, str) else None,
    }


def _read_not_annotated(value: Any, images: Mapping[int | str, str], where: str) -> list[dict[str, str]]:
    states = []
    names = set(images.values())
    known = tuple(state.value for state in (State.EXCUSED, State.MISSING, State.REJECTED))
    for index, entry in enumerate(entries(value, name=_NOT_ANNOTATED, where=where)):
        place = f"{where}: {_NOT_ANNOTATED}[{index}]"
        name, state = field(entry, "file_name", where=place), field(entry, "state", where=place)
        if name in names:
            raise FormatError(f"{place}: item {name!r} stands twice in the file")
        if state not in known:
            raise FormatError(f"{place}: state {state!r} of item {name!r} is unknown{did_you_mean(str(state), known)}")
        names.add(name)
        states.append({"item": str(name), "kind": Kind.IMAGE.value, "state": state})
    return states


def _id(value: Any, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise FormatError(f"{where}: id {value!r} is neither a whole number nor a text")
    return value


def _states(items: Any, with_boxes: set[str]) -> list[dict[str, str]]:
    return [
        {
            "item": item,
            "kind": Kind.IMAGE.value,
            "state": State.LABELLED.value if item in with_boxes else State.EMPTY.value,
        }
        for item in items
    ]


def _label_set(states: list[dict[str, Any]], boxes: list[dict[str, Any]]) -> LabelSet:
    table = pa.Table.from_pylist(boxes, schema=SCHEMAS[Task.BOXES])
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: table})
