"""COCO: real files read exactly, broken ones refused by name."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from contract.errors import FormatError
from contract.formats.coco import read, write
from contract.formats.cocofile import read_coco, read_results
from contract.formats.jsonstream.columns import Streaming
from contract.formats.lotview import LotView
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from tests.oracles.labelsets import box, label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of, lots_with_labels

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
LOT = lot_of([item_row(f"in/{name}.jpg", Kind.IMAGE, width=100, height=80) for name in "abc"])


def instances(**changes: Any) -> dict[str, Any]:
    """Return a small valid file, numbered from 0."""
    return {
        "images": [{"id": 0, "file_name": "in/a.jpg", "width": 100, "height": 80}, {"id": 1, "file_name": "b.jpg"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [1.5, 2, 3.25, 4], "area": 9, "iscrowd": 1}],
        "categories": [{"id": 0, "name": "star"}, {"id": 1, "name": "circle"}],
        **changes,
    }


def put(folder: Path, document: Any) -> Path:
    path = folder / "instances.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the development data is not here: {path}")
    return path


@pytest.mark.parametrize("name", ["coco_eval/instances_val2014_100.json", "detection/instances.json"])
def test_public_gold_is_read_to_the_bit(name: str) -> None:
    path = shared(name)
    raw = json.loads(path.read_text(encoding="utf-8"))
    file = read_coco(path)
    rows = file.labels.table(Task.BOXES).to_pylist()
    assert [[row[side] for side in "xywh"] for row in rows] == [entry["bbox"] for entry in raw["annotations"]]
    assert [row["area"] for row in rows] == [entry["area"] for entry in raw["annotations"]]
    assert [row["crowd"] for row in rows] == [bool(entry["iscrowd"]) for entry in raw["annotations"]]
    assert [file.images[entry["image_id"]] for entry in raw["annotations"]] == [row["item"] for row in rows]
    assert file.annotations.to_pylist() == [entry["id"] for entry in raw["annotations"]]
    assert file.labels.states.num_rows == len(raw["images"])


def test_public_results_are_read_to_the_bit() -> None:
    gold = read_coco(shared("coco_eval/instances_val2014_100.json"))
    path = shared("coco_eval/instances_val2014_fakebbox100_results.json")
    rows = read_results(path, gold).table(Task.BOXES).to_pylist()
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert [(row["x"], row["y"], row["w"], row["h"], row["score"]) for row in rows] == [
        (*entry["bbox"], entry["score"]) for entry in raw
    ]
    assert [row["label"] for row in rows] == [gold.categories[entry["category_id"]] for entry in raw]


def test_written_file_is_what_coco_asks_for(tmp_path: Path) -> None:
    labels = label_set(
        Task.BOXES,
        [box("in/a.jpg", "square", (1, 2, 4, 6), score=0.5, source="tiny@1")],
        {"in/a.jpg": "labelled", "in/b.jpg": "empty", "in/c.jpg": "missing"},
    )
    (path,) = write(tmp_path, labels, LOT)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "instances.json"
    assert [category["name"] for category in document["categories"]] == list(GUIDELINE.class_names)
    assert [category["id"] for category in document["categories"]] == [1, 2, 3, 4]
    assert [image["file_name"] for image in document["images"]] == ["in/a.jpg", "in/b.jpg"]
    assert document["images"][0] == {
        "id": 1, "file_name": "in/a.jpg", "width": 100, "height": 80, "sha256": LOT.rows["in/a.jpg"]["sha256"],
    }  # fmt: skip
    assert document["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 2,
            "bbox": [1, 2, 3, 4],
            "area": 12,
            "iscrowd": 0,
            "score": 0.5,
            "source": "tiny@1",
        }
    ]


def test_pycocotools_loads_what_is_written(tmp_path: Path) -> None:
    pycocotools = pytest.importorskip("pycocotools.coco")
    labels = label_set(
        Task.BOXES, [box("in/a.jpg", "star", (1, 2, 4, 6), score=0.5)], {"in/a.jpg": "labelled", "in/b.jpg": "empty"}
    )
    (path,) = write(tmp_path, labels, LOT)
    loaded = pycocotools.COCO(str(path))
    assert len(loaded.getImgIds()) == 2
    assert loaded.loadAnns(loaded.getAnnIds())[0]["bbox"] == [1, 2, 3, 4]


def test_joined_by_name_base_name_and_hash_whatever_the_ids(tmp_path: Path) -> None:
    labels = read(put(tmp_path, instances()), LOT)
    assert labels.states.to_pylist() == [
        {"item": "in/a.jpg", "kind": "image", "state": "labelled"},
        {"item": "in/b.jpg", "kind": "image", "state": "empty"},
    ]
    (row,) = labels.table(Task.BOXES).to_pylist()
    assert (row["label"], row["x"], row["w"], row["crowd"], row["area"]) == ("star", 1.5, 3.25, True, 9.0)
    renamed = [{"id": 7, "file_name": "0001.jpg", "sha256": LOT.rows["in/c.jpg"]["sha256"]}]
    labels = read(put(tmp_path, instances(images=renamed, annotations=[])), LOT)
    assert labels.states["item"].to_pylist() == ["in/c.jpg"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("", "not a JSON document"),
        (json.dumps(instances())[:-20], "cut off"),
        ('{"images": [], "annotations": [NaN], "categories": []}', "NaN is not a number"),
        (instances(images=...), "'images' is missing"),
        (instances(categories=...), "'categories' is missing"),
        (instances(annotations={}), "annotations must be a list"),
        (instances(images=[{"id": 1}]), "images[0]: 'file_name' is missing"),
        (
            instances(images=[{"id": 1, "file_name": "in/a.jpg"}, {"id": 2, "file_name": "in/a.jpg"}]),
            "two images are called 'in/a.jpg'",
        ),
        (
            instances(images=[{"id": 1, "file_name": "in/a.jpg"}, {"id": 1, "file_name": "b.jpg"}]),
            "image id 1 stands for both",
        ),
        (
            instances(images=[{"id": 0, "file_name": "in/a.jpg"}, {"id": 1, "file_name": "a.jpg"}]),
            "'in/a.jpg' of the lot is named by two",
        ),
        (instances(images=[{"id": 0, "file_name": "z.png"}]), "item 'z.png' is not in the lot"),
        (instances(images=[{"id": 0, "file_name": "in/a.jpg", "sha256": "0" * 64}]), "'in/a.jpg' has other content"),
        (
            instances(categories=[{"id": 0, "name": "sta"}]),
            "item 'in/a.jpg': class 'sta' is not in the guideline; did you mean 'star'?",
        ),
        (instances(categories=[{"id": 0, "name": "star"}, {"id": 1, "name": "star"}]), "two categories are called 'star'"),
        (
            instances(annotations=[{"image_id": 9, "category_id": 0, "bbox": [0, 0, 1, 1]}]),
            "image_id 9 is not among the images",
        ),
        (instances(annotations=[{"image_id": 0, "category_id": 9, "bbox": [0, 0, 1, 1]}]), "item 'in/a.jpg': category_id 9"),
        (instances(annotations=[{"image_id": 0, "category_id": 0}]), "item 'in/a.jpg': 'bbox' is missing"),
        (
            instances(annotations=[{"image_id": 0, "category_id": 0, "bbox": [0, 0, 1]}]),
            "bbox must be [x, y, width, height]",
        ),
        (
            instances(annotations=[{"image_id": 0, "category_id": 0, "bbox": [0, 0, 1, "2"]}]),
            "bbox[3] is '2', which is not a number",
        ),
        (
            instances(annotations=[{"image_id": 0, "category_id": 0, "bbox": [0, 0, 1, 1], "iscrowd": 7}]),
            "iscrowd must be 0 or 1",
        ),
        (
            instances(annotations=[{"id": 3, "image_id": 0, "category_id": 0, "bbox": [0, 0, 1, 1]}] * 2),
            "annotations 1 and 2 have the same id 3",
        ),
        (
            json.dumps(instances()).replace("3.25", "1e999"),
            "annotation 1 of item 'in/a.jpg': bbox[2] is not a finite number",
        ),
        (
            instances(annotations=[{"image_id": 2**64, "category_id": 0, "bbox": [0, 0, 1, 1]}]),
            "id 18446744073709551616 is no whole number of 64 bits",
        ),
        (
            instances(annotations=[{"image_id": 0, "category_id": 0, "bbox": [0, 0, 1, 1], "score": "0.5"}]),
            "score is '0.5', which is not a number",
        ),
        ([], "bare list of results"),
        ("7", "must be an object"),
    ],
)
def test_broken_file_is_refused(tmp_path: Path, document: Any, told: str) -> None:
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if value is not ...}
    path = put(tmp_path, document)
    with pytest.raises(FormatError) as caught:
        read(path, LOT)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_ids_may_be_whole_numbers_texts_or_both_and_the_fault_is_told_by_its_number(tmp_path: Path) -> None:
    images = [{"id": "a", "file_name": "a.jpg"}, {"id": 10**15, "file_name": "b.jpg"}, {"id": -5, "file_name": "c.jpg"}]
    wanted = [("a", "a.jpg"), (-5, "c.jpg"), (10**15, "b.jpg"), ("a", "a.jpg")]
    boxes = [{"image_id": image, "category_id": 1, "bbox": [0, 0, 1, 1], "source": f"m@{image}"} for image, _ in wanted]
    gold = put(tmp_path, instances(images=images, annotations=boxes))
    for block in (1, 100, 1 << 20):
        table = read_coco(gold, Streaming(block=block, threads=2)).labels.table(Task.BOXES)
        assert table["item"].to_pylist() == [item for _, item in wanted]
        assert table["source"].to_pylist() == [f"m@{image}" for image, _ in wanted]
    results = tmp_path / "results.json"
    strange: list[Any] = ["b", -6, 10**15 + 1, 2**63 - 1, None, 1.5, True, {}]
    for wrong in strange:
        results.write_text(
            json.dumps([*boxes, {"image_id": wrong, "category_id": 1, "bbox": [0, 0, 1, 1]}]), encoding="utf-8"
        )
        for block in (1, 1 << 20):
            with pytest.raises(FormatError, match=r"results\.json: annotation 5: (image_id|id) ") as caught:
                read_results(results, read_coco(gold), Streaming(block=block, threads=2))
            assert repr(wrong) in str(caught.value)


def test_absent_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(FormatError, match="cannot be read"):
            read(path, LOT)


def test_results_must_be_of_the_gold(tmp_path: Path) -> None:
    gold = read_coco(put(tmp_path, instances()))
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"image_id": 5, "category_id": 0, "bbox": [0, 0, 1, 1], "score": 0.5}]), encoding="utf-8")
    with pytest.raises(FormatError, match="image_id 5 is not among the images"):
        read_results(results, gold)
    results.write_text("[]", encoding="utf-8")
    assert read_results(results, gold).states["state"].to_pylist() == ["empty", "empty"]


def test_labels_outside_the_lot_are_not_written(tmp_path: Path) -> None:
    strange = label_set(Task.BOXES, [box("z", "star", (0, 0, 1, 1))], {"z": "labelled"})
    with pytest.raises(FormatError, match="item 'z' is not in the lot"):
        write(tmp_path, strange, LOT)
    stateless = LabelSet(strange.states.slice(0, 0), strange.tables)
    with pytest.raises(FormatError, match="item 'z' has boxes but is not marked labelled"):
        write(tmp_path, stateless, LOT)
    assert not list(tmp_path.iterdir())


@given(lots_with_labels())
@settings(max_examples=60, deadline=None)
def test_annotations_are_written_as_json_writes_them(made: tuple[LotView, LabelSet]) -> None:
    lot, labels = made
    folder = Path(tempfile.mkdtemp())
    (path,) = write(folder, labels, lot)
    text = path.read_text(encoding="utf-8")
    document = json.loads(text)
    assert text == json.dumps(document, ensure_ascii=False) + "\n"
    names = {image["id"]: image["file_name"] for image in document["images"]}
    for entry, row in zip(document["annotations"], labels.table(Task.BOXES).to_pylist(), strict=True):
        assert names[entry["image_id"]] == row["item"]
        assert GUIDELINE.class_names[entry["category_id"] - 1] == row["label"]
        assert entry["bbox"] == [row[side] for side in "xywh"]
        assert entry["area"] == (row["w"] * row["h"] if row["area"] is None else row["area"])
        assert entry["iscrowd"] == int(bool(row["crowd"]))
        assert (entry.get("score"), entry.get("source")) == (row["score"], row["source"])


def test_a_number_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    for change in ({"x": float("nan")}, {"score": float("inf")}, {"area": float("nan")}):
        rows = [box("in/b.jpg", "star", (0, 0, 1, 1)), box("in/a.jpg", "star", (0, 0, 1, 1)) | change]
        labels = label_set(Task.BOXES, rows, {"in/a.jpg": "labelled", "in/b.jpg": "labelled"})
        with pytest.raises(FormatError, match=r"item 'in/a\.jpg' has a box with a number that is not finite"):
            write(tmp_path, labels, LOT)
