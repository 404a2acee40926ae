"""Label files that cannot be scored: one sentence with file and item, exit status 2, in moments and in little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.errors import FormatError
from contract.formats.labelstudio import tasks as labelstudio
from contract.formats.loose import read_loose
from contract.tables import Task
from tests.oracles.fuzzing import LOT

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
IMAGES = [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}, {"id": 2, "file_name": "b.jpg"}]
GOOD = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}


def gold(*annotations: dict[str, Any], **changes: Any) -> str:
    document = {"images": IMAGES, "annotations": list(annotations), "categories": [{"id": 1, "name": "star"}], **changes}
    return json.dumps(document)


def results(*boxes: dict[str, Any]) -> str:
    return json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}, *boxes])


def lines(*boxes: dict[str, Any]) -> str:
    return json.dumps({"item": "a.jpg", "boxes": list(boxes)}) + "\n"


BOX = {"label": "star", "x": 1, "y": 2, "w": 3, "h": 4}
WRONG = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nan.json", results().replace("0.5", "NaN"), ["annotation 1", "NaN is not a number"]),
        ("infinite.json", results().replace("3", "1e999"), ["annotation 1 of item 'a.jpg'", "bbox[2]", "finite"]),
        ("negative.json", results(WRONG | {"bbox": [0, 0, -3, 1]}), ["item 'a.jpg'", "negative size, w -3"]),
        ("class.json", results(WRONG | {"category_id": 7}), ["annotation 2 of item 'a.jpg'", "category_id 7"]),
        ("image.json", results(WRONG | {"image_id": 9}), ["annotation 2", "image_id 9"]),
        ("half.json", results()[:-30], ["annotation 1", "not a JSON document", "the file may be cut off"]),
        ("empty.json", "", ["not a JSON document", "the file is empty"]),
        ("text.json", "hello", ["not a JSON document", "byte 0"]),
        ("more.json", results() + results(), ["follows behind the document's end"]),
        ("ids.json", gold(GOOD, GOOD), ["annotations 1 and 2 have the same id 1"]),
        ("names.json", gold(images=[*IMAGES, {"id": 3, "file_name": "a.jpg"}]), ["two images are called 'a.jpg'"]),
        ("crowd.json", gold(GOOD | {"iscrowd": 2}), ["annotation 1 of item 'a.jpg'", "iscrowd must be 0 or 1"]),
        ("keyless.json", json.dumps({"images": IMAGES}), ["'categories' is missing"]),
        ("nan.jsonl", lines(BOX).replace("4", "NaN"), ["line 1", "NaN is not a number"]),
        ("negative.jsonl", lines(BOX | {"h": -1}), ["item 'a.jpg'", "negative size"]),
        ("twice.jsonl", lines(BOX) * 2, ["line 2: item 'a.jpg' stands twice"]),
        ("half.jsonl", lines(BOX)[:-20], ["line 1", "cut off"]),
        ("empty.jsonl", "", ["the file is empty"]),
        ("empty.parquet", "", ["not a readable Parquet file"]),
        ("half.parquet", "PAR1", ["not a readable Parquet file"]),
        ("empty.csv", "", ["boxes cannot be read from it"]),
    ],
)
def test_a_broken_label_file_is_refused(cli: Any, tmp_path: Path, name: str, content: str, words: list[str]) -> None:
    truth = tmp_path / "gold.json"
    truth.write_text(gold(GOOD), encoding="utf-8")
    labels = tmp_path / name
    labels.write_text(content, encoding="utf-8")
    assert cli("score", "--task", "boxes", "--labels", labels, "--gold", truth, "--out", tmp_path / "out") == 2
    (line,) = cli.err.strip().splitlines()
    assert line.startswith(f"goldgate: {labels}")
    for word in words:
        assert word in line
    assert not (tmp_path / "out").exists()


def test_a_box_without_area_is_scored_without_a_contract(cli: Any, tmp_path: Path) -> None:
    truth = tmp_path / "gold.json"
    truth.write_text(gold(GOOD, GOOD | {"id": 2, "bbox": [5, 5, 0, 4]}), encoding="utf-8")
    # Public gold (COCO 2017 among it) holds boxes without width; pycocotools scores them, so a benchmark must.
    assert cli("score", "--task", "boxes", "--labels", truth, "--gold", truth, "--json") == 0
    assert cli.json()["coverage"]["items"] == 2


@pytest.mark.parametrize("side", ["x", "score"])
def test_not_a_number_in_parquet_names_the_item(cli: Any, tmp_path: Path, side: str) -> None:
    columns: dict[str, Any] = {"item": ["a.jpg", "b.jpg"], "label": ["star"] * 2, **{key: [1.0, 2.0] for key in "xywh"}}
    pq.write_table(pa.table(columns), tmp_path / "gold.parquet")
    pq.write_table(pa.table(columns | {side: [1.0, float("nan")]}), tmp_path / "labels.parquet")
    assert cli("score", "--task", "boxes", "--labels", tmp_path / "labels.parquet", "--gold", tmp_path / "gold.parquet") == 2
    assert f"labels.parquet: 1 defect: item 'b.jpg': {side} is" in cli.err


@pytest.mark.parametrize("edit", [{"w": 0.0}, {"h": 0.0}])
def test_a_box_without_area_is_refused_under_a_contract(drafted: Any, tmp_path: Path, edit: dict[str, float]) -> None:
    assert drafted.on_lot("export", "--format", "jsonl", "--out", tmp_path) == 0
    path = tmp_path / "boxes.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    victim = next(row for row in rows if row["boxes"])
    victim["boxes"][0].update(edit)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", path) == 2
    (line,) = drafted.err.strip().splitlines()
    assert repr(victim["item"]) in line
    assert "has no area" in line


HOLES = {
    "zeros.json": b"",
    "list.json": b"[",
    "results.json": b'[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}, ',
    "images.json": b'{"images": [',
    "info.json": b'{"info": ',
    "lines.jsonl": b'{"item": "a.jpg", "boxes": []}\n',
    "boxes.parquet": b"PAR1",
    "texts.csv": b"text,label\n",
    "tasks.json": b"[",
}
READ_HOLES = """
import resource, sys
from pathlib import Path
from contract.errors import InputError
from contract.formats.labelstudio.tasks import read
from contract.formats.loose import read_loose
from contract.tables import Task
from tests.oracles.fuzzing import LOT
folder = Path(sys.argv[1])
gold = read_loose(folder / "gold.json", Task.BOXES)
for name in sys.argv[2:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        if name == "tasks.json":
            read(folder / name, LOT)
        read_loose(folder / name, Task.SENTIMENTS if name.endswith("csv") else Task.BOXES, gold=gold)
    except InputError as error:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def test_ten_gigabytes_of_nothing_are_refused_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "gold.json").write_text(gold(GOOD), encoding="utf-8")
    for name, begin in HOLES.items():
        with (tmp_path / name).open("wb") as file:
            file.write(begin)
            file.truncate(10 << 30)
    command = [sys.executable, "-c", READ_HOLES, str(tmp_path), *HOLES]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)  # noqa: S603
    for name, line in zip(HOLES, done.stdout.splitlines(), strict=True):
        kilobytes, told = line.split(" ", 1)
        assert told.startswith(f"{tmp_path / name}: ")
        assert int(kilobytes) < 500_000, line


def test_white_space_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spaces.json"
    path.write_bytes(b" " * (65 << 20))
    for read in (lambda: read_loose(path, Task.BOXES), lambda: labelstudio.read(path, LOT)):
        with pytest.raises(FormatError, match=r"spaces\.json: not a JSON document: 64 MiB of white space from byte 0 on"):
            read()
