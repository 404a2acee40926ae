"""Programs of others read what we write."""

from pathlib import Path

from contract.formats.registry import exchange
from contract.labelset import merge
from contract.tables import Kind, Task
from tests.oracles.labelsets import box, event, label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of
from tests.oracles.thirdparty import ReadByDatumaro, blank_image

LOT = lot_of([item_row(f"in/{name}.png", Kind.IMAGE, width=100, height=80) for name in "abc"])
BOXES = [
    box("in/a.png", "star", (1.5, 2, 4, 6.25), score=0.5, source="tiny@1"),
    box("in/a.png", "circle", (10, 20, 90.25, 75), source="tiny@1"),
]
LABELS = label_set(Task.BOXES, BOXES, {"in/a.png": "labelled", "in/b.png": "empty"})
EXPECTED = {  # Datumaro keeps two decimals
    "in/a": [("circle", [10.0, 20.0, 80.25, 55.0]), ("star", [1.5, 2.0, 2.5, 4.25])],
    "in/b": [],
}


def test_datumaro_reads_coco(tmp_path: Path, datumaro: ReadByDatumaro) -> None:
    (path,) = exchange("coco").write(tmp_path / "annotations", LABELS, LOT)
    path.rename(path.with_name("instances_default.json"))  # Datumaro tells subsets by the file's name
    for name in ("a", "b"):
        blank_image(tmp_path / "images" / "in" / f"{name}.png", 100, 80)
    found = datumaro(tmp_path, "coco_instances")
    assert tuple(found["classes"]) == GUIDELINE.class_names
    boxes = {item["id"]: sorted((each["label"], each["box"]) for each in item["boxes"]) for item in found["items"]}
    assert boxes == EXPECTED
    scores = {each["label"]: each["attributes"].get("score") for item in found["items"] for each in item["boxes"]}
    assert scores == {"star": 0.5, "circle": None}


def test_datumaro_reads_cvat_images(tmp_path: Path, datumaro: ReadByDatumaro) -> None:
    labels = merge([LABELS, label_set(Task.BOXES, [], {"in/c.png": "excused"})])
    exchange("cvat").write(tmp_path, labels, LOT)
    for name in ("a", "b", "c"):
        blank_image(tmp_path / "images" / "in" / f"{name}.png", 100, 80)
    found = datumaro(tmp_path, "cvat")
    assert tuple(found["classes"][: len(GUIDELINE.class_names)]) == GUIDELINE.class_names
    boxes = {item["id"]: sorted((each["label"], each["box"]) for each in item["boxes"]) for item in found["items"]}
    assert boxes == EXPECTED | {"in/c": []}
    notes = {each["label"]: each["attributes"] for item in found["items"] for each in item["boxes"]}
    assert notes["star"] == {"score": "0.5", "source": "tiny@1", "occluded": False}
    assert [[tag["label"] for tag in item["tags"]] for item in found["items"]] == [[], [], ["goldgate:excused"]]


def test_datumaro_reads_cvat_video(tmp_path: Path, datumaro: ReadByDatumaro) -> None:
    video = lot_of([item_row("v.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0, width=64, height=48)])
    labels = label_set(Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.0, score=0.5)], {"v.mp4": "labelled"})
    exchange("cvat").write(tmp_path, labels, video)
    items = {item["id"]: item["boxes"] for item in datumaro(tmp_path / "videos", "cvat")["items"]}
    assert {name: [each["box"] for each in boxes] for name, boxes in items.items()} == {
        "frame_000025": [[0.0, 0.0, 64.0, 48.0]],
        "frame_000050": [[0.0, 0.0, 64.0, 48.0]],
    }
    assert [each["attributes"]["outside"] for boxes in items.values() for each in boxes] == [False, True]
