"""One box and one stretch of frames through every format: the very numbers that stand in the files.

The conventions differ in units, origin and counting, and a mistake in one of them looks like a slightly worse model. A
format that is added adds its rows to BOXES and FRAMES: what stands in the file, written down by hand.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from contract.formats.registry import FORMATS, exchange
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from tests.oracles.labelsets import label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of

IMAGE: Final = "in/a.png"
VIDEO: Final = "v.mp4"
LOT: Final = lot_of(
    [
        item_row(IMAGE, Kind.IMAGE, width=200, height=80),
        item_row(VIDEO, Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0, width=64, height=48),
    ]
)

# 20 px from the left and 10 px from the top of an image of 200 x 80 px, 50 px wide and 30 px high; the second class.
BOX: Final = {"item": IMAGE, "label": "square", "x": 20.0, "y": 10.0, "w": 50.0, "h": 30.0, "score": 0.5}
# The second second at 25 frames/s: frame 25 is the first, frame 49 the last.
SPAN: Final = {"start_frame": 25, "end_frame": 50, "start_s": 1.0, "end_s": 2.0}
EVENT: Final = {"item": VIDEO, "label": "black_screen", **SPAN, "score": 0.5}
MOMENT: Final = {"item": VIDEO, "frame": 25, "time_s": 1.0, "score": 0.5}


class Seen(NamedTuple):
    """A label as it stands in a file: its numbers and how its class is named."""

    numbers: list[float]
    label: str | int | None


class Case(NamedTuple):
    """A format, the file of it that holds the label, how that file is looked into, and what is to be seen."""

    name: str
    file: str
    look: Callable[[str], Seen]
    seen: Seen


def _coco(text: str) -> Seen:
    (entry,) = json.loads(text)["annotations"]
    return Seen(entry["bbox"], entry["category_id"])


def _labelstudio(text: str) -> Seen:
    (region,) = json.loads(text)[0]["predictions"][0]["result"]
    value = region["value"]
    return Seen([value[name] for name in ("x", "y", "width", "height")], value["rectanglelabels"][0])


def _timeline(text: str) -> Seen:
    (region,) = json.loads(text)[0]["predictions"][0]["result"]
    (span,) = region["value"]["ranges"]
    return Seen([span["start"], span["end"]], region["value"]["timelinelabels"][0])


def _cvat(text: str) -> Seen:
    (found,) = ET.fromstring(text).findall("image/box")  # noqa: S314 (what has just been written)
    return Seen([float(found.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr")], found.get("label"))


def _track(text: str) -> Seen:
    (track,) = ET.fromstring(text).findall("track")  # noqa: S314
    first, last = track.findall("box")
    assert (first.get("outside"), last.get("outside")) == ("0", "1")
    return Seen([int(first.attrib["frame"]), int(last.attrib["frame"])], track.get("label"))


def _jsonl(task: Task, *names: str) -> Callable[[str], Seen]:
    def look(text: str) -> Seen:
        (entry,) = json.loads(text)[task.value]
        return Seen([entry[name] for name in names], entry.get("label"))

    return look


def _line(text: str) -> Seen:
    number, *numbers = text.split()
    return Seen([float(each) for each in numbers], int(number))


def _voc(text: str) -> Seen:
    (found,) = ET.fromstring(text).findall("object")  # noqa: S314
    return Seen(
        [float(found.findtext(f"bndbox/{name}") or "") for name in ("xmin", "ymin", "xmax", "ymax")], found.findtext("name")
    )


def _shape(text: str) -> Seen:
    (shape,) = json.loads(text)["shapes"]
    return Seen([number for point in shape["points"] for number in point], shape["label"])


def _segment(text: str) -> Seen:
    (segment,) = json.loads(text)["segments"]
    return Seen([segment[f"{end}_{unit}"] for unit in ("frame", "ms") for end in ("start", "end")], segment["label"])


def _activitynet(text: str) -> Seen:
    ((entry,),) = json.loads(text)["results"].values()
    return Seen(entry["segment"], entry["label"])


BOXES: Final = [
    # x, y, w, h in pixels; categories by number, from 1
    Case("coco", "instances.json", _coco, Seen([20, 10, 50, 30], 2)),
    # x, y, w, h in percent
    Case("labelstudio", "tasks.json", _labelstudio, Seen([10, 12.5, 25, 37.5], "square")),
    # left, top, right, bottom in pixels
    Case("cvat", "annotations.xml", _cvat, Seen([20, 10, 70, 40], "square")),
    # centre and size as shares of the image; classes by the line of a list of names, from 0
    Case("yolo", "labels/train/in/a.txt", _line, Seen([0.225, 0.3125, 0.25, 0.375], 1)),
    Case("yolo-darknet", "obj_train_data/in/a.txt", _line, Seen([0.225, 0.3125, 0.25, 0.375], 1)),
    # left, top, right, bottom in pixels, as edges from 0
    Case("voc", "Annotations/in/a.xml", _voc, Seen([20, 10, 70, 40], "square")),
    # the corners in pixels, clockwise from the top left
    Case("xanylabeling", "in/a.json", _shape, Seen([20, 10, 70, 10, 70, 40, 20, 40], "square")),
    Case("jsonl", "boxes.jsonl", _jsonl(Task.BOXES, "x", "y", "w", "h"), Seen([20, 10, 50, 30], "square")),
]

EVENTS: Final = [
    # frames from 1, the end inclusive
    Case("labelstudio", "tasks.json", _timeline, Seen([26, 50], "black_screen")),
    # frames from 0, the frame at which it is gone
    Case("cvat", "videos/*.xml", _track, Seen([25, 50], "black_screen")),
    # frames from 0, the end exclusive; and milliseconds
    Case("xanylabeling", "v.json", _segment, Seen([25, 50, 1000, 2000], "black_screen")),
    # seconds
    Case("activitynet", "events.json", _activitynet, Seen([1, 2], "black_screen")),
    # frames from 0, the end exclusive
    Case("jsonl", "events.jsonl", _jsonl(Task.EVENTS, "start_frame", "end_frame"), Seen([25, 50], "black_screen")),
]

KEYFRAMES: Final = [
    Case("labelstudio", "tasks.json", _timeline, Seen([26, 26], "keyframe")),
    Case("cvat", "videos/*.xml", _track, Seen([25, 26], "goldgate:keyframe")),
    Case("xanylabeling", "v.json", _segment, Seen([25, 26, 1000, 1040], "goldgate:keyframe")),
    Case("activitynet", "keyframes.json", _activitynet, Seen([1, 1], "keyframe")),
    Case("jsonl", "keyframes.jsonl", _jsonl(Task.KEYFRAMES, "frame"), Seen([25], None)),
]


def _written(case: Case, labels: LabelSet, folder: Path) -> Seen:
    exchange(case.name).write(folder, labels, LOT)
    (path,) = folder.glob(case.file)
    return case.look(path.read_text(encoding="utf-8"))


def _of(task: Task, row: dict[str, Any]) -> LabelSet:
    return label_set(task, [row], {str(row["item"]): "labelled"})


@pytest.mark.parametrize("case", BOXES, ids=lambda case: case.name)
def test_a_box(case: Case, tmp_path: Path) -> None:
    assert _written(case, _of(Task.BOXES, BOX), tmp_path) == case.seen


@pytest.mark.parametrize("case", EVENTS, ids=lambda case: case.name)
def test_a_stretch_of_frames(case: Case, tmp_path: Path) -> None:
    assert _written(case, _of(Task.EVENTS, EVENT), tmp_path) == case.seen


@pytest.mark.parametrize("case", KEYFRAMES, ids=lambda case: case.name)
def test_a_frame(case: Case, tmp_path: Path) -> None:
    assert _written(case, _of(Task.KEYFRAMES, MOMENT), tmp_path) == case.seen


@pytest.mark.parametrize("name", [case.name for case in BOXES if case.name != "labelstudio"])
def test_the_box_comes_back(name: str, tmp_path: Path) -> None:
    labels = _of(Task.BOXES, BOX)
    exchange(name).write(tmp_path, labels, LOT)
    assert exchange(name).read(tmp_path, LOT).table(Task.BOXES).equals(labels.table(Task.BOXES))


def test_classes_are_counted_from_the_guideline() -> None:
    assert GUIDELINE.class_names.index("square") == 1


def test_every_format_with_boxes_or_frames_has_its_row() -> None:
    assert {case.name for case in (*BOXES, *EVENTS)} >= set(FORMATS)
