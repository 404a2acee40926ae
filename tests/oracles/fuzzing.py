"""Readers under mutated documents: whatever stands in a file, a reader returns labels or raises an error of ours."""

import functools
import io
import json
import random
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from contract.errors import GoldgateError
from contract.formats import activitynet, coco, jsonl, voc
from contract.formats.cocofile import read_coco, read_results
from contract.formats.cvat import files as cvat
from contract.formats.jsonstream.columns import Streaming
from contract.formats.labelstudio import tasks as labelstudio
from contract.formats.loose import read_csv, read_loose
from contract.formats.lotview import LotView
from contract.formats.xanylabeling import images as xanylabeling
from contract.formats.yolo import files as yolo
from contract.labelset import LabelSet, merge
from contract.tables import SCHEMAS, Kind, Task
from contract.terms import load_terms
from contract.validate import validate_labels, validate_tables
from contract.yamlfile import parse_yaml
from tests.oracles.labelsets import box, event, keyframe, label_set, shot
from tests.oracles.lots import GUIDELINE, item_row, lot_of

CONFIGS: Final = Path(__file__).resolve().parents[2] / "configs"
LOT: Final = lot_of(
    [
        item_row("in/a.jpg", Kind.IMAGE, width=100, height=80),
        item_row("in/b.jpg", Kind.IMAGE, width=100, height=80),
        item_row("t1", Kind.TEXT),
        item_row("v.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0),
    ],
    {"t1": "好极了"},
)
BOXES: Final = label_set(
    Task.BOXES,
    [
        box("in/a.jpg", "star", (1, 2, 4, 6), score=0.5, source="tiny@1"),
        box("in/a.jpg", "circle", (0, 0, 10.5, 20), crowd=True, area=7.25),
    ],
    {"in/a.jpg": "labelled", "in/b.jpg": "empty"},
)
VIDEO: Final = {
    Task.SHOTS: label_set(Task.SHOTS, [shot("v.mp4", 0, 250, "start")], {"v.mp4": "labelled"}),
    Task.KEYFRAMES: label_set(Task.KEYFRAMES, [keyframe("v.mp4", 1.0)], {"v.mp4": "labelled"}),
    Task.EVENTS: label_set(Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.0, score=0.5)], {"v.mp4": "labelled"}),
}
_EVERY_VIDEO: Final = LabelSet(VIDEO[Task.SHOTS].states, {task: each.table(task) for task, each in VIDEO.items()})
SENTIMENT: Final = {"item": "t1", "label": "positive", "score": 0.9, "probabilities": [("positive", 0.9)]}
TEXTS: Final = label_set(Task.SENTIMENTS, [SENTIMENT], {"t1": "labelled"})

# What tends to break readers: brackets and quotes, limits of numbers, bytes that are no text.
PIECES: Final = [
    *(bytes([byte]) for byte in b"\"\\{}[]()<>,:;-+.eE0123456789 \n\r\t\0\x1a\x7f\x80\xbf\xc0\xe5\xed\xf4\xff'#&*!|%@`"),
    *(b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e999", b"-0", b"9223372036854775808", b"1" * 30, b"1" * 5000),
    *(b"\\u0000", b"\\ud800", b"\\udc00\\ud800", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 600, b'{"a":' * 600),
    *(b"<<: *a", b"&a [*a]", b"!!python/object:os.system", b"---\n", b"2025-99-99", b"1_000", b".inf", b"? ", b"- " * 300),
]  # fmt: skip
XML_PIECES: Final = (
    *(
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
        b"&#0;",
        b"&#x10FFFF;",
        b"&amp;",
        b"<![CDATA[",
        b"]]>",
        b"<!--",
        b"<?a b?>",
    ),
    *(
        b"<?xml version='1.1' encoding='gb2312'?>",
        b"<box/>",
        b"<track>",
        b"</image>",
        b"<a>" * 300,
        b' xmlns="a"',
        b' label="star"',
    ),
    *(b"<attribute>", b"<mode>interpolation</mode>", b"<source>v.mp4</source>", b"1_0", b"inf", b"\xef\xbc\x91"),
)
VALUES: Final[list[Any]] = [
    None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63, -(2**63), 2**64, 10**400, 0.5, -0.0, 1e308, 1e-320,
    "", "a", "star", "labelled", "excused", "x" * 300, "\0", "é", "\ud800", "in/a.jpg", "t1",
    [], {}, [[]], [1, 2, 3, 4], [1e308] * 4, {"id": 1},
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A reader, the name of its file, and valid documents to begin with.

    Args:
        name: of the reader.
        file: the file's name, by which some readers know the form; those of a folder have one of their own.
        read: reads the file; raises an error of ours or returns.
        seeds: valid documents.
        loads: a document as lists and dicts, for mutations of its structure; None where it has no such form.
        dumps: back to bytes.
        pieces: what tends to break this reader, beside what breaks them all.
    """

    name: str
    file: str
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    loads: Callable[[bytes], Any] | None = None
    dumps: Callable[[Any], bytes] | None = None
    pieces: tuple[bytes, ...] = ()


def _written(write: Callable[..., list[Path]], folder: Path, labels: LabelSet) -> bytes:
    return write(folder, labels, LOT)[0].read_bytes()


def _json_dumps(document: Any) -> bytes:
    return json.dumps(document).encode()


def _lines_loads(data: bytes) -> Any:
    return [json.loads(line) for line in data.split(b"\n") if line]


def _lines_dumps(document: Any) -> bytes:
    lines = document if isinstance(document, list) else [document]
    return b"".join(_json_dumps(line) + b"\n" for line in lines)


def _yaml_loads(data: bytes) -> Any:
    return parse_yaml(data.decode())


def _yaml_dumps(document: Any) -> bytes:
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")


def _xml_loads(data: bytes) -> Any:
    """Return each element as a list of its name, attributes, text and elements."""

    def plain(element: ET.Element) -> list[Any]:
        return [element.tag, dict(element.attrib), element.text or "", [plain(each) for each in element]]

    return plain(ET.fromstring(data))  # noqa: S314 (seeds are our own)


def _xml_dumps(document: Any) -> bytes:
    """Return as bytes what `_xml_loads` returned, or the nearest thing to it where it has been changed."""

    def text(value: Any) -> str:
        return str(value).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")

    def element(node: Any) -> str:
        if not isinstance(node, list) or len(node) != 4:
            return text(node)
        name, attributes, inner, below = node
        pairs = attributes.items() if isinstance(attributes, dict) else ()
        told = "".join(f' {key}="{text(value)}"' for key, value in pairs)
        return f"<{name}{told}>{text(inner)}{''.join(map(element, below if isinstance(below, list) else [below]))}</{name}>"

    return element(document).encode("utf-8", "surrogatepass")


def targets(folder: Path) -> dict[str, Target]:
    """Return the readers by name; `folder` takes what is written for them to begin with."""
    gold_file = folder / "gold.json"
    gold_file.write_bytes(_written(coco.write, folder, BOXES))
    gold = read_coco(gold_file)
    results = [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3.5, 4e0], "score": 0.75},
        {"image_id": 2, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 1},
    ]

    def instances(path: Path) -> None:
        validate_tables(read_coco(path, Streaming(block=64, threads=1)).labels)
        validate_labels(coco.read(path, LOT), items=LOT.items, guideline=GUIDELINE)

    def lines(path: Path) -> None:
        read_set = jsonl.read_jsonl(path)
        validate_tables(read_set)
        validate_labels(jsonl.read(path, LOT), items=LOT.items, guideline=GUIDELINE)

    def studio(path: Path) -> None:
        validate_labels(labelstudio.read(path, LOT, predictions=True), items=LOT.items, guideline=GUIDELINE)

    def cvat_file(path: Path) -> None:
        validate_labels(cvat.read(path, LOT), items=LOT.items, guideline=GUIDELINE)

    def net(path: Path) -> None:
        validate_labels(activitynet.read(path, LOT), items=LOT.items, guideline=GUIDELINE)

    def of(write: Callable[..., list[Path]]) -> tuple[bytes, ...]:
        return tuple(_written(write, folder, each) for each in (BOXES, TEXTS, *VIDEO.values()))

    def parquet(path: Path) -> None:
        loose = read_loose(path, Task.BOXES)
        loose.labels.table(Task.BOXES).to_pylist()

    everything = (
        Target("coco", "instances.json", instances, (gold_file.read_bytes(),), json.loads, _json_dumps),
        Target(
            "coco_results", "results.json", lambda path: validate_tables(read_results(path, gold, Streaming(64, 1))),
            (_json_dumps(results),), json.loads, _json_dumps,
        ),
        Target("jsonl", "any.jsonl", lines, of(jsonl.write), _lines_loads, _lines_dumps),
        Target("csv", "texts.csv", lambda path: validate_tables(read_csv(path)), _csv_seeds()),
        Target(
            "labelstudio", "tasks.json", studio, tuple(map(_annotated, of(labelstudio.write))), json.loads, _json_dumps
        ),
        Target(
            "cvat", "annotations.xml", cvat_file,
            tuple(_written(cvat.write, folder, each) for each in (BOXES, _EVERY_VIDEO)), _xml_loads, _xml_dumps, XML_PIECES,
        ),
        Target("cvat_zip", "export.zip", cvat_file, _zip_seeds(folder)),
        Target(
            "activitynet", "any.json", net, tuple(_written(activitynet.write, folder, each) for each in VIDEO.values()),
            json.loads, _json_dumps,
        ),
        Target("parquet", "boxes.parquet", parquet, _parquet_seeds()),
        *_yolo_targets(),
        Target(
            "xanylabeling", "a.json", _in_folder(xanylabeling.read), _xanylabeling_seeds(folder), json.loads, _json_dumps
        ),
        Target("voc", "a.xml", _in_folder(voc.read), _voc_seeds(folder), _xml_loads, _xml_dumps, XML_PIECES),
        Target("terms", "contract.yaml", load_terms, ((CONFIGS / "demo.yaml").read_bytes(),), _yaml_loads, _yaml_dumps),
    )  # fmt: skip
    return {target.name: replace(target, loads=target.loads and functools.cache(target.loads)) for target in everything}


def _in_folder(read: Callable[[Path, LotView], LabelSet]) -> Callable[[Path], None]:
    def checked(path: Path) -> None:
        validate_labels(read(path, LOT), items=LOT.items, guideline=GUIDELINE)

    return checked


def _xanylabeling_seeds(folder: Path) -> tuple[bytes, ...]:
    xanylabeling.write(folder / "x", merge([BOXES, _EVERY_VIDEO]), LOT)
    return tuple((folder / "x" / name).read_bytes() for name in ("in/a.json", "in/b.json", "v.json"))


def _voc_seeds(folder: Path) -> tuple[bytes, ...]:
    voc.write(folder / "voc", BOXES, LOT)
    return tuple((folder / "voc" / "Annotations" / "in" / name).read_bytes() for name in ("a.xml", "b.xml"))


def _yolo_targets() -> tuple[Target, ...]:
    names = "".join(f"{name}\n" for name in GUIDELINE.class_names)
    lines = b"0 0.5 0.5 0.25 0.125\n3 0.25 0.75 0.1 0.5 0.875\n", b"1 0.5 0.5 1.0 1.0\n", b""
    data = "path: ../x\ntrain: train.txt\nval: [images/val]\nnames: {0: circle, 1: square, 2: triangle, 3: star}\n"

    def read(folder: Path) -> None:
        validate_labels(yolo.read(folder, LOT), items=LOT.items, guideline=GUIDELINE)

    def label_file(path: Path) -> None:
        (path.parent / "classes.txt").write_text(names)
        read(path.parent)

    def folder(path: Path) -> None:
        (path.parent / "train.txt").write_text("./images/train/in/a.jpg\n")
        (path.parent / "labels").mkdir(exist_ok=True)
        (path.parent / "labels" / "b.txt").write_bytes(lines[0])
        read(path)

    return (
        Target("yolo", "yolo/a.txt", label_file, lines),
        Target("yolo_folder", "yolo_folder/data.yaml", folder, (data.encode(),), _yaml_loads, _yaml_dumps),
    )


def _csv_seeds() -> tuple[bytes, ...]:
    plain = 'text,label\r\n"好, 很好",positive\r\n差,negative\r\n,\r\n'
    return plain.encode(), plain.encode("gb18030"), b"item,label,score\nx,positive,0.5\ny,,\n"


def _annotated(data: bytes) -> bytes:
    """Return tasks whose predictions are annotations as well."""
    tasks = json.loads(data)
    for task in tasks:
        task["annotations"] = [
            {"result": each["result"], "completed_by": 3, "updated_at": "2025-01-01"} for each in task["predictions"]
        ]
    return _json_dumps(tasks)


def _zip_seeds(folder: Path) -> tuple[bytes, ...]:
    document = _written(cvat.write, folder, BOXES)
    seeds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", method) as archive:
            archive.writestr("annotations.xml", document)
        seeds.append(sink.getvalue())
    return tuple(seeds)


def _parquet_seeds() -> tuple[bytes, ...]:
    seeds = []
    table = BOXES.table(Task.BOXES)
    sides: dict[str, Any] = {side: pa.array([1, 2], pa.int32()) for side in "xywh"}
    named = {"item": ["a", "b"], "label": pa.array(["x", "y"]).dictionary_encode()}
    others: list[pa.Table] = [
        pa.table(named | sides),
        pa.table(named | sides | {"item": ["a", None]}),
        pa.table(named | sides | {"x": [1.5, None], "score": [float("nan"), 1.0]}),
        pa.table(named | sides | {"w": ["1", "2.5"], "h": pa.array([1, 2], pa.decimal128(38, 2))}),
        pa.table(named | sides | {"x": pa.array([2**63, 1], pa.uint64()), "area": [[1.0], None]}),
        pa.table(named | sides | {"item": [b"\xff", b"a"], "crowd": ["yes", "no"]}),
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["item", "item"]),
    ]
    for each in (table, *others, SCHEMAS[Task.BOXES].empty_table()):
        for compression in ("none", "zstd"):
            sink = pa.BufferOutputStream()
            pq.write_table(each, sink, compression=compression)
            seeds.append(sink.getvalue().to_pybytes())
    return tuple(seeds)


def mutated(target: Target, dice: random.Random) -> bytes:
    """Return a document near one of the target's seeds: changed in its structure, in its bytes, or in both."""
    data = dice.choice(target.seeds)
    if target.loads and target.dumps and dice.random() < 0.6:
        document = target.loads(data)
        for _ in range(dice.randint(1, 3)):
            document = _changed(document, dice)
        data = target.dumps(document)
        if dice.random() < 0.7:
            return data
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        _change_bytes(changed, target, dice)
    return bytes(changed)


def _change_bytes(data: bytearray, target: Target, dice: random.Random) -> None:
    at = dice.randint(0, len(data))
    length = dice.choice((0, 1, 1, 2, 8, 40))
    way = dice.randrange(6)
    if way == 0:
        data[at : at + length] = dice.choice([*PIECES, *target.pieces])
    elif way == 1:
        data[at : at + length] = bytes(dice.randrange(256) for _ in range(length))
    elif way == 2:
        del data[at:]  # cut off
    elif way == 3:
        data[at:at] = data[at : at + length] * dice.choice((1, 2, 50))
    elif way == 4:
        other = dice.choice(target.seeds)
        start = dice.randint(0, len(other))
        data[at : at + length] = other[start : start + length]
    elif data and at < len(data):
        data[at] ^= 1 << dice.randrange(8)


def _changed(document: Any, dice: random.Random) -> Any:
    """Return `document` with one of its parts put out, doubled or put in the place of another."""
    if not isinstance(document, (dict, list)) or not document or dice.random() < 0.05:
        return dice.choice(VALUES)
    key = dice.choice(list(document) if isinstance(document, dict) else range(len(document)))
    changed: Any = dict(document) if isinstance(document, dict) else list(document)
    way = dice.random()
    if way < 0.1:
        del changed[key]
    elif way < 0.2 and isinstance(changed, list):
        changed.insert(dice.randint(0, len(changed)), document[key])
    elif way < 0.25 and isinstance(changed, dict):
        changed[dice.choice(["", "id", "label", "\ud800", "state", str(key) * 2])] = document[key]
    else:
        changed[key] = _changed(document[key], dice)
    return changed


def outcome(target: Target, data: bytes, folder: Path) -> str:
    """Read `data` and return accepted or refused; anything else that a reader raises is a crash and comes through."""
    path = folder / target.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    try:
        target.read(path)
    except GoldgateError as error:
        message = str(error)
        if not message or "\n" in message:
            raise AssertionError(f"the message is not one line: {message!r}") from error
        return "refused"
    return "accepted"
