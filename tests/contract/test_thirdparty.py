"""Programs of others read what we write."""

from pathlib import Path

from contract.formats.registry import exchange
from contract.tables import Kind, Task
from tests.oracles.labelsets import box, label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of
from tests.oracles.thirdparty import ReadByDatumaro, blank_image

LOT = lot_of([item_row(f"in/{name}.png", Kind.IMAGE, width=100, height=80) for name in "ab"])
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
