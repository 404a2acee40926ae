"""YOLO folders: as Ultralytics, darknet, Label Studio and hands write them, and what others read of ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.formats.registry import exchange
from contract.formats.yolo import files as yolo
from contract.formats.yolo.layout import label_of_image, label_place
from contract.formats.yolo.lines import Line, Parsed, still_drawn, text_of
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from models.yolo import quiet_ultralytics
from tests.oracles.labelsets import box, label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of, same
from tests.oracles.thirdparty import ReadByDatumaro, blank_image

LOT = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in ("in/a.png", "in/b.png", "out/a.png", "c.png")])
BOXES = [
    box("in/a.png", "star", (1.1, 2, 4, 6.25), score=0.5, source="tiny@1"),
    box("in/a.png", "circle", (-0.5, 20, 90.3, 80.7), score=0.25, crowd=True, area=7.5),
    box("out/a.png", "star", (0, 0, 50, 40), source="tiny@1"),
]
LABELS = label_set(
    Task.BOXES, BOXES, {"in/a.png": "labelled", "in/b.png": "empty", "out/a.png": "labelled", "c.png": "excused"}
)
HAND = "0 0.5 0.5 0.2 0.25\n3 0.25 0.75 0.1 0.5\n"
HAND_BOXES = [
    {"item": "in/a.png", "label": "circle", "x": 40.0, "y": 30.0, "w": 20.0, "h": 20.0},
    {"item": "in/a.png", "label": "star", "x": 20.0, "y": 40.0, "w": 10.0, "h": 40.0},
]
NAMES = "".join(f"{name}\n" for name in GUIDELINE.class_names)
BOTH = pytest.mark.parametrize("form", ["yolo", "yolo-darknet"])


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def states(labels: LabelSet) -> dict[str, str]:
    return {row["item"]: row["state"] for row in labels.states.to_pylist()}


def values(labels: LabelSet, *, of: tuple[str, ...] = ("item", "label", "x", "y", "w", "h")) -> list[dict[str, Any]]:
    return [{name: row[name] for name in of} for row in labels.table(Task.BOXES).to_pylist()]


def test_ultralytics_layout_as_it_is_written(tmp_path: Path) -> None:
    yolo.write(tmp_path, LABELS, LOT)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    labels = {"labels/train/in/a.txt", "labels/train/in/b.txt", "labels/train/out/a.txt"}
    assert files == {"data.yaml", "train.txt", *labels, "goldgate/items.parquet", "goldgate/boxes.parquet"}
    assert (tmp_path / "data.yaml").read_text() == (
        "train: train.txt\nval: train.txt\nnames:\n  0: circle\n  1: square\n  2: triangle\n  3: star\n"
    )
    assert (tmp_path / "train.txt").read_text() == (
        "./images/train/in/a.png\n./images/train/in/b.png\n./images/train/out/a.png\n"
    )
    assert (tmp_path / "labels/train/in/b.txt").read_bytes() == b""
    first, second = (tmp_path / "labels/train/in/a.txt").read_text().splitlines()
    width = 4 - 1.1
    assert first == f"3 {(1.1 + width / 2) / 100!r} 0.0515625 {width / 100!r} 0.053125"
    assert second == f"0 {90.3 / 100 / 2!r} 0.625 {90.3 / 100!r} 0.75"  # cut off at the edges of the image


def test_darknet_layout_as_it_is_written(tmp_path: Path) -> None:
    yolo.write_darknet(tmp_path, LABELS, LOT)
    data = "classes = 4\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    assert (tmp_path / "obj.data").read_text() == data
    assert (tmp_path / "obj.names").read_text() == NAMES
    assert (tmp_path / "train.txt").read_text().splitlines()[0] == "data/obj_train_data/in/a.png"
    assert (tmp_path / "obj_train_data/out/a.txt").read_text() == "3 0.25 0.25 0.5 0.5\n"


LAYOUTS: dict[str, dict[str, str]] = {
    "ultralytics": {
        "data.yaml": "path: /home/me/week\ntrain: images/train\nval: images/val\nnames: [circle, square, triangle, star]\n",
        "labels/train/in/a.txt": HAND,
        "labels/val/b.txt": "",
        "README.txt": "not labels",
    },
    "roboflow": {
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 4\nnames:\n- circle\n- square\n- triangle\n- star\n",
        "train/labels/in/a.txt": HAND,
        "valid/labels/b.txt": "",
    },
    "cvat": {
        "obj.data": "classes = 4\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
        "obj.names": NAMES,
        "train.txt": "data/obj_train_data/in/a.png\ndata/obj_train_data/in/b.png\n",
        "obj_train_data/in/a.txt": HAND,
        "obj_train_data/in/b.txt": "",
    },
    "labelstudio": {
        "classes.txt": NAMES,
        "notes.json": "{}",
        "labels/in/a.txt": HAND,
        "labels/5af29b01-b.txt": "",
    },
    "bare": {"classes.txt": NAMES, "in/a.txt": HAND.replace("\n", "\r\n"), "b.txt": "\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
@BOTH
def test_every_layout_is_known_by_what_stands_in_it(tmp_path: Path, name: str, form: str) -> None:
    labels = exchange(form).read(put(tmp_path, LAYOUTS[name]), LOT)
    assert states(labels) == {"in/a.png": "labelled", "in/b.png": "empty"}
    assert values(labels) == HAND_BOXES
    assert {row["score"] for row in labels.table(Task.BOXES).to_pylist()} == {None}


def test_the_file_that_names_the_classes_stands_for_its_folder(tmp_path: Path) -> None:
    put(tmp_path, LAYOUTS["ultralytics"])
    assert same(yolo.read(tmp_path / "data.yaml", LOT), yolo.read(tmp_path, LOT))


def test_classes_are_joined_by_name(tmp_path: Path) -> None:
    put(tmp_path, {"data.yaml": "names: {7: star, 2: no}\n", "labels/train/in/a.txt": "7 0.5 0.5 0.2 0.25\n"})
    assert values(yolo.read(tmp_path, LOT), of=("label", "x")) == [{"label": "star", "x": 40.0}]
    put(tmp_path, {"labels/train/in/a.txt": "2 0.5 0.5 0.2 0.25\n"})
    with pytest.raises(FormatError, match=r"a.txt: item 'in/a.png': line 1: class 'no' is not in the guideline"):
        yolo.read(tmp_path, LOT)
    put(tmp_path, {"labels/train/in/a.txt": "5 0.5 0.5 0.2 0.25\n"})
    with pytest.raises(FormatError, match=r"line 1: class 5 is none of the 2 that the folder names"):
        yolo.read(tmp_path, LOT)


def test_an_image_of_a_list_without_label_file_is_missing(tmp_path: Path) -> None:
    put(tmp_path, LAYOUTS["cvat"])
    put(tmp_path, {"train.txt": "data/obj_train_data/in/a.png\n/home/me/images/c.png\ndata/obj_train_data/in/b.png\n"})
    assert states(yolo.read(tmp_path, LOT)) == {"in/a.png": "labelled", "in/b.png": "empty", "c.png": "missing"}
    put(tmp_path, LAYOUTS["ultralytics"])
    put(tmp_path, {"data.yaml": "train: [./train.txt]\nval: lists/val.txt\nnames: [circle, square, triangle, star]\n"})
    put(tmp_path, {"train.txt": "./images/train/out/a.png\n", "lists/val.txt": "images/val/in/a.png\n"})
    assert states(yolo.read(tmp_path, LOT)) == {"in/a.png": "labelled", "in/b.png": "empty", "out/a.png": "missing"}


@BOTH
def test_a_label_file_that_is_gone_is_missing(tmp_path: Path, form: str) -> None:
    exchange(form).write(tmp_path, LABELS, LOT)
    for path in tmp_path.rglob("b.txt"):
        path.unlink()
    assert states(exchange(form).read(tmp_path, LOT)) == states(LABELS) | {"in/b.png": "missing"}


def test_a_file_for_an_excused_item_counts(tmp_path: Path) -> None:
    yolo.write(tmp_path, LABELS, LOT)
    assert states(yolo.read(tmp_path, LOT))["c.png"] == "excused"
    put(tmp_path, {"labels/train/c.txt": ""})
    assert states(yolo.read(tmp_path, LOT))["c.png"] == "empty"


def edited(folder: Path, change: Callable[[list[str]], list[str]]) -> list[dict[str, Any]]:
    """Write the labels, change the lines of in/a.png, and return its boxes as they are read."""
    yolo.write(folder, LABELS, LOT)
    file = folder / "labels/train/in/a.txt"
    file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))
    rows = yolo.read(folder, LOT).table(Task.BOXES).to_pylist()
    return [row for row in rows if row["item"] == "in/a.png"]


DRAWN = [row for row in LABELS.table(Task.BOXES).to_pylist() if row["item"] == "in/a.png"]


@pytest.mark.parametrize("digits", [".6f", ".8f", ".9g"])
def test_scores_stay_where_another_tool_rounds(tmp_path: Path, digits: str) -> None:
    def rounded(lines: list[str]) -> list[str]:
        return [
            " ".join([cls, *(format(float(share), digits) for share in shares)]) for cls, *shares in map(str.split, lines)
        ]

    assert edited(tmp_path, rounded) == DRAWN
    assert edited(tmp_path, lambda lines: rounded(lines)[::-1]) == DRAWN[::-1]


def test_what_was_moved_is_no_longer_the_model_s(tmp_path: Path) -> None:
    star, circle = edited(tmp_path, lambda lines: [lines[0].replace("0.0515625", "0.0525625"), lines[1]])
    assert circle == DRAWN[1]
    assert {name: star[name] for name in ("label", "score", "source", "crowd", "area")} == {
        "label": "star", "score": None, "source": None, "crowd": None, "area": None,
    }  # fmt: skip
    assert star["y"] == pytest.approx(2.08)
    (other,) = edited(tmp_path, lambda lines: ["1" + lines[0][1:]])
    assert (other["label"], other["score"], other["x"]) == ("square", None, pytest.approx(1.1))


def test_a_line_for_each_label_of_one_box_is_a_box_for_each(tmp_path: Path) -> None:
    put(tmp_path, LAYOUTS["labelstudio"] | {"labels/in/a.txt": "0 0.5 0.5 0.2 0.25\n3 0.5 0.5 0.2 0.25\n"})
    found = values(yolo.read(tmp_path, LOT))
    assert [row.pop("label") for row in found] == ["circle", "star"]
    assert found[0] == found[1]


def test_confidence_of_predictions_is_the_score(tmp_path: Path) -> None:
    put(tmp_path, LAYOUTS["bare"] | {"in/a.txt": "0 0.5 0.5 0.2 0.25 0.875\n0 0.5 0.5 0.2 0.5\n"})
    assert [row["score"] for row in yolo.read(tmp_path, LOT).table(Task.BOXES).to_pylist()] == [0.875, None]


COLLIDING = [
    "a.jpg",
    "a.png",
    "in/a.jpg",
    "a/a.jpg",
    "a.png.txt",
    "images/a.jpg",
    "labels/a.jpg",
    "b",
    ".b",
    "b.",
    "c d.jpg",
]


@BOTH
def test_equal_names_do_not_share_a_file(tmp_path: Path, form: str) -> None:
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in COLLIDING])
    rows = [box(name, "star", (0, 0, number + 1, 1), score=0.5) for number, name in enumerate(COLLIDING)]
    labels = label_set(Task.BOXES, rows, dict.fromkeys(COLLIDING, "labelled"))
    exchange(form).write(tmp_path, labels, lot)
    assert same(exchange(form).read(tmp_path, lot), labels)
    for path in (tmp_path / "goldgate").iterdir():  # by the names of the files alone
        path.unlink()
    found = exchange(form).read(tmp_path, lot)
    rows = found.table(Task.BOXES).to_pylist()
    assert [row["item"] for row in rows] == COLLIDING
    assert [row["w"] for row in rows] == pytest.approx(range(1, len(COLLIDING) + 1))


def test_a_name_that_two_items_may_have_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"classes.txt": NAMES, "a.txt": HAND})
    with pytest.raises(FormatError, match=r"a.txt: 'a' may be of item 'in/a.png' or of 'out/a.png'; keep the lot's folders"):
        yolo.read(tmp_path, LOT)


@BOTH
def test_no_name_leads_out_of_the_folder(tmp_path: Path, form: str) -> None:
    names = [
        "../../up.png",
        "/etc/passwd",
        "..",
        ".",
        "a/../../../b.png",
        "x\\..\\y.png",
        "line\nfeed.png",
        "e" * 300 + ".png",
    ]
    names += ["nul\0.png", "sep\u2028.png", "goldgate/items.parquet", "-x.png", "'quoted' \"x\".png", "~/x.png"]
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in names])
    labels = label_set(Task.BOXES, [], dict.fromkeys(names, "empty"))
    paths = exchange(form).write(tmp_path / "out", labels, lot)
    assert all((tmp_path / "out") in path.resolve().parents for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert same(exchange(form).read(tmp_path / "out", lot), labels)


@pytest.mark.parametrize(
    "image", ["images/train/in/a.jpg", "/x/images/train/images/a.jpg", "./images/a.b.jpg", "/x/in/a.jpg"]
)
def test_labels_stand_where_ultralytics_looks(image: str) -> None:
    quiet_ultralytics()
    from ultralytics.data.utils import img2label_paths

    (expected,) = img2label_paths([f"/{image.removeprefix('./').removeprefix('/')}"])
    assert label_of_image(image) == expected.removeprefix("/").removesuffix(".txt")


def test_ultralytics_reads_what_is_written(tmp_path: Path) -> None:
    quiet_ultralytics()
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    names = ["in/a.png", "in/b.png", "out/a.png", "images/c.png", "blank name.png"]
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in names])
    rows = [*BOXES, box("images/c.png", "square", (2, 4, 10, 12)), box("blank name.png", "square", (3, 4, 10, 12))]
    labels = label_set(Task.BOXES, rows, dict.fromkeys(names, "labelled") | {"in/b.png": "empty"})
    yolo.write(tmp_path, labels, lot)
    for name in names:
        blank_image(tmp_path / "images" / "train" / name, 100, 80)
    data = check_det_dataset(str(tmp_path / "data.yaml"))
    assert tuple(data["names"].values()) == GUIDELINE.class_names
    dataset = YOLODataset(img_path=data["train"], data=data, task="detect", augment=False, cache=False)
    found = {Path(each["im_file"]).relative_to(tmp_path / "images" / "train").as_posix(): each for each in dataset.labels}
    assert set(found) == set(names)
    drawn = yolo._drawn(labels.table(Task.BOXES), lot)
    for name in names:
        of = [number for number, row in enumerate(rows) if row["item"] == name]
        assert found[name]["cls"].ravel().tolist() == drawn.classes[of].tolist()
        np.testing.assert_array_equal(found[name]["bboxes"], drawn.shares[of].astype(np.float32).reshape(-1, 4))


@pytest.mark.parametrize("form", ["yolo", "yolo-darknet"])
def test_datumaro_reads_what_is_written(tmp_path: Path, datumaro: ReadByDatumaro, form: str) -> None:
    folder = "in/" if form == "yolo-darknet" else ""  # of Ultralytics' layout Datumaro reads no folders below train/
    lot = lot_of([item_row(f"{folder}{name}.png", Kind.IMAGE, width=1000, height=800) for name in "ab"])
    rows = [box(f"{folder}a.png", "star", (10.5, 20, 40, 62.5)), box(f"{folder}a.png", "circle", (0.01, 0, 0.02, 800))]
    labels = label_set(Task.BOXES, rows, {f"{folder}a.png": "labelled", f"{folder}b.png": "empty"})
    exchange(form).write(tmp_path, labels, lot)
    for name in ("a", "b"):
        blank_image(tmp_path / ("images/train" if form == "yolo" else "obj_train_data/in") / f"{name}.png", 1000, 800)
    found = datumaro(tmp_path, "yolo")
    assert tuple(found["classes"]) == GUIDELINE.class_names
    boxes = {each["id"]: [(one["label"], one["box"]) for one in each["boxes"]] for each in found["items"]}
    star, disc = ("star", pytest.approx([10.5, 20, 29.5, 42.5])), ("circle", pytest.approx([0.01, 0, 0.01, 800], abs=0.011))
    assert boxes == {f"{folder}a": [star, disc], f"{folder}b": []}


def shown(line: Line, digits: int) -> list[str]:
    return [str(line[0]), *(f"{share:.{digits}f}" for share in line[1:])]


def plainly_still_drawn(lines: list[Parsed], drawn: list[Line]) -> list[int]:
    """Match by looking at every pair: equal ones first, then those that agree to six decimals, in order."""
    found = [-1] * len(lines)
    for digits in (30, 6):
        for at, each in enumerate(lines):
            if found[at] < 0 and each.confidence is None:
                free = [
                    index
                    for index in range(len(drawn))
                    if index not in found and shown(each.line, digits) == shown(drawn[index], digits)
                ]
                found[at] = free[0] if free else -1
    return found


SHARES = st.sampled_from([0.5, 0.5000001, 0.5000002, 0.123456, 0.1234561, 0.25])
LINES = st.tuples(st.integers(0, 1), SHARES, SHARES, st.just(0.1), st.just(0.1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.builds(Parsed, LINES, st.sampled_from([None, None, None, 0.5])), max_size=6), st.lists(LINES, max_size=6))
def test_lines_are_matched_as_by_looking_at_every_pair(lines: list[Parsed], drawn: list[Line]) -> None:
    assert still_drawn(lines, drawn) == plainly_still_drawn(lines, drawn)


def test_small_numbers_stand_without_exponent() -> None:
    assert text_of([(0, 1e-5, 0.5, 1.25e-07, 0.0)]) == b"0 0.00001 0.5 0.000000125 0.0\n"


def test_label_places_differ() -> None:
    assert label_place("in/a") == "labels/train/in/a"
    assert label_place("images/a") == "images/train/labels/a"


def test_supervision_reads_what_is_written(
    tmp_path: Path, supervision: Callable[[str, Path], dict[str, list[list[Any]]]]
) -> None:
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in ("a.png", "b.png")])
    rows = [box("a.png", "star", (1.5, 2, 4, 6.25)), box("a.png", "circle", (10, 20, 90.5, 80))]
    yolo.write(tmp_path, label_set(Task.BOXES, rows, {"a.png": "labelled", "b.png": "empty"}), lot)
    for name in ("a.png", "b.png"):
        blank_image(tmp_path / "images" / "train" / name, 100, 80)
    found = supervision("yolo", tmp_path)
    assert found["b.png"] == []
    assert [name for name, *_ in found["a.png"]] == ["star", "circle"]
    np.testing.assert_allclose(
        [corners for _, *corners in found["a.png"]], [[1.5, 2, 4, 6.25], [10, 20, 90.5, 80]], atol=1e-4
    )


def test_the_file_that_names_the_classes_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, LAYOUTS["ultralytics"])
    (tmp_path / "data.yaml").rename(tmp_path / "week-1.yml")
    assert values(yolo.read(tmp_path, LOT)) == values(yolo.read(tmp_path / "week-1.yml", LOT)) == HAND_BOXES
    with pytest.raises(FormatError, match=r"a.txt: does not name the classes; give the folder, or its data.yaml"):
        yolo.read(tmp_path / "labels/train/in/a.txt", LOT)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no label files and no list of images; name the folder that the tool wrote"):
        yolo.read(put(tmp_path, {"classes.txt": NAMES}), LOT)
