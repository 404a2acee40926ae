"""What Label Studio's own converter makes of our tasks once a person has annotated them, read back as YOLO, VOC and COCO."""

import json
import subprocess
from pathlib import Path

import pytest

from contract.formats.labelstudio import tasks as ours
from contract.formats.registry import exchange
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from tests.labelstudio.server import LabelStudio
from tests.oracles.labelsets import box, label_set
from tests.oracles.lots import item_row, lot_of

pytestmark = [pytest.mark.labelstudio, pytest.mark.slow]

LOT = lot_of([item_row(f"in/{name}.jpg", Kind.IMAGE, width=100, height=80) for name in "abc"])
BOXES = [
    box("in/a.jpg", "star", (1.1, 2, 40.7, 60.25), score=0.5, source="tiny@1"),
    box("in/a.jpg", "circle", (10, 20, 90.3, 77.7)),
    box("in/b.jpg", "square", (0, 0, 100, 80)),
]
LABELS = label_set(Task.BOXES, BOXES, {"in/a.jpg": "labelled", "in/b.jpg": "labelled", "in/c.jpg": "empty"})
CONVERT = """
import sys
from label_studio_sdk.converter import Converter
config, tasks, out = sys.argv[1:]
for form in ("YOLO", "VOC", "COCO"):
    Converter(config, project_dir=".", download_resources=False).convert(tasks, f"{out}/{form}", form, is_dir=False)
"""


@pytest.fixture(scope="module")
def converted(labelstudio: LabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our tasks with their predictions taken over as annotations, in each of the converter's forms."""
    folder = tmp_path_factory.mktemp("converted")
    tasks_file, config = ours.write(folder, LABELS, LOT, media=lambda item: f"/data/local-files/?d={item}")
    tasks = json.loads(tasks_file.read_bytes())
    for number, task in enumerate(tasks, 1):
        task["id"] = number
        task["annotations"] = [{"id": number, "completed_by": 1, "result": each["result"]} for each in task["predictions"]]
    tasks_file.write_text(json.dumps(tasks), encoding="utf-8")
    command = [labelstudio.python, "-c", CONVERT, config.read_text(encoding="utf-8"), tasks_file, folder]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stderr[-2000:]
    return folder


def seen(labels: LabelSet) -> dict[tuple[str, str], list[float]]:
    rows = labels.table(Task.BOXES).to_pylist()
    return {(row["item"], row["label"]): [row[side] for side in "xywh"] for row in rows}


@pytest.mark.parametrize(("form", "name"), [("YOLO", "yolo"), ("COCO", "coco")])
def test_boxes_come_back_through_the_converter(converted: Path, form: str, name: str) -> None:
    path = converted / form / "result.json" if name == "coco" else converted / form
    found, expected = seen(exchange(name).read(path, LOT)), seen(LABELS)
    assert found.keys() == expected.keys()
    for key, sides in expected.items():
        assert found[key] == pytest.approx(sides, abs=1e-6), key


def test_empty_images_come_back_as_yolo(converted: Path) -> None:
    states = exchange("yolo").read(converted / "YOLO", LOT).states.to_pylist()
    assert {row["item"]: row["state"] for row in states} == {
        "in/a.jpg": "labelled", "in/b.jpg": "labelled", "in/c.jpg": "empty",
    }  # fmt: skip


def test_its_voc_keeps_whole_pixels(converted: Path) -> None:
    found, expected = seen(exchange("voc").read(converted / "VOC", LOT)), seen(LABELS)
    assert found.keys() == expected.keys()
    for key, sides in expected.items():
        assert found[key] == [int(side) for side in found[key]]
        assert found[key] == pytest.approx(sides, abs=2), key
