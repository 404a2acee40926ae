"""X-AnyLabeling's files: as the program writes them, and as they come back from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.errors import FormatError, GoldgateError
from contract.formats.lotview import LotView
from contract.formats.xanylabeling import images as xanylabeling
from contract.guideline import Guideline
from contract.labelset import LabelSet, merge
from contract.tables import Kind, Task
from contract.validate import validate_labels
from tests.oracles.labelsets import box, event, keyframe, label_set, shot
from tests.oracles.lots import GUIDELINE, item_row, lot_of, same

LOT = lot_of(
    [
        item_row("in/a.jpg", Kind.IMAGE, width=100, height=80),
        item_row("in/b.jpg", Kind.IMAGE, width=100, height=80),
        item_row("c.jpg", Kind.IMAGE, width=100, height=80),
        item_row("v.mp4", Kind.VIDEO, width=64, height=48, fps=25.0, frames=250, duration_s=10.0),
    ]
)
BOXES = [
    box("in/a.jpg", "star", (1.1, 2, 4, 6.25), score=0.5, source="tiny@1"),
    box("in/a.jpg", "circle", (-0.5, 20, 90.3, 80.7), crowd=True, area=7.5),
]
SOURCE = {"source": "cuts@2"}
VIDEO = [
    label_set(Task.SHOTS, [shot("v.mp4", 0, 125, "start") | SOURCE, shot("v.mp4", 125, 250)], {"v.mp4": "labelled"}),
    label_set(Task.KEYFRAMES, [keyframe("v.mp4", 1.0)], {}),
    label_set(Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.04, score=0.25)], {}),
]  # fmt: skip
LABELS = merge([label_set(Task.BOXES, BOXES, {"in/a.jpg": "labelled", "in/b.jpg": "empty", "c.jpg": "excused"}), *VIDEO])
# As version 3 writes a file that a person has saved.
SHAPE: dict[str, Any] = {
    "kie_linking": [], "label": "star", "score": None, "points": [[10.0, 20.0], [40.5, 20.0], [40.5, 60.25], [10.0, 60.25]],
    "group_id": None, "description": "", "difficult": False, "shape_type": "rectangle", "flags": {}, "attributes": {},
}  # fmt: skip
FILE: dict[str, Any] = {
    "version": "3.3.5", "flags": {}, "checked": False, "shapes": [SHAPE], "imagePath": "a.jpg", "imageData": None,
    "imageHeight": 80, "imageWidth": 100, "description": "",
}  # fmt: skip
SEGMENT: dict[str, Any] = {
    "id": "s1a2b3c4d5e", "label": "black_screen", "start_ms": 1000, "end_ms": 2040, "start_frame": 25, "end_frame": 51,
    "description": "",
}  # fmt: skip
VIDEO_FILE: dict[str, Any] = {
    "version": "1.0.0", "type": "video_classification", "video": "v.mp4", "fps": 25.0, "duration_ms": 10000,
    "width": 64, "height": 48, "labels": ["black_screen"], "label_colors": {}, "segments": [SEGMENT],
}  # fmt: skip


def put(folder: Path, documents: Mapping[str, Any]) -> Path:
    for name, document in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def sides(labels: LabelSet) -> list[tuple[str, str, list[float]]]:
    rows = labels.table(Task.BOXES).to_pylist()
    return [(row["item"], row["label"], [row[side] for side in "xywh"]) for row in rows]


def states(labels: LabelSet) -> dict[str, str]:
    return {row["item"]: row["state"] for row in labels.states.to_pylist()}


def test_an_image_as_it_is_written(tmp_path: Path) -> None:
    xanylabeling.write(tmp_path, LABELS, LOT)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"in/a.json", "in/b.json", "v.json", "goldgate/items.parquet"}
    found = json.loads((tmp_path / "in" / "a.json").read_bytes())
    assert set(found) == set(FILE)
    assert {name: found[name] for name in ("imagePath", "imageWidth", "imageHeight", "checked", "imageData")} == {
        "imagePath": "a.jpg", "imageWidth": 100, "imageHeight": 80, "checked": False, "imageData": None,
    }  # fmt: skip
    star, circle = found["shapes"]
    assert set(star) == set(SHAPE)
    assert star["points"] == [[1.1, 2.0], [4.0, 2.0], [4.0, 6.25], [1.1, 6.25]]
    assert (star["score"], star["difficult"], star["attributes"]) == (0.5, False, {"source": "tiny@1"})
    assert circle["attributes"] == {"area": "7.5"}
    assert circle["difficult"] is True


def test_a_video_as_it_is_written(tmp_path: Path) -> None:
    xanylabeling.write(tmp_path, LABELS, LOT)
    found = json.loads((tmp_path / "v.json").read_bytes())
    assert set(found) == set(VIDEO_FILE)
    assert {each["label"] for each in found["segments"]} <= set(found["labels"])
    shown = [
        [each[name] for name in ("label", "start_ms", "end_ms", "start_frame", "end_frame")] for each in found["segments"]
    ]
    assert shown == [
        ["goldgate:shot:start", 0, 5000, 0, 125],
        ["goldgate:shot:cut", 5000, 10000, 125, 250],
        ["goldgate:keyframe", 1000, 1040, 25, 26],
        ["black_screen", 1000, 2040, 25, 51],
    ]
    # The program makes frames from the time when it saves; they stay as they are.
    for each in found["segments"]:
        assert [round(each[f"{end}_ms"] / 1000 * 25) for end in ("start", "end")] == [each["start_frame"], each["end_frame"]]
    assert len({each["id"] for each in found["segments"]}) == 4


def as_saved_by_the_program(document: dict[str, Any]) -> dict[str, Any]:
    """Return a video's file as the program reads and saves it again: known keys alone, of the kinds it knows."""
    known = {name: document[name] for name in ("fps", "duration_ms", "width", "height", "labels", "label_colors")}
    segments = [
        {name: (str if name in ("id", "label", "description") else int)(segment[name]) for name in SEGMENT}
        for segment in document["segments"]
    ]
    return {"version": "1.0.0", "type": "video_classification", "video": "v.mp4", **known, "segments": segments}


def test_what_the_program_saves_again_has_lost_nothing(tmp_path: Path) -> None:
    xanylabeling.write(tmp_path, LABELS, LOT)
    file = tmp_path / "v.json"
    file.write_text(json.dumps(as_saved_by_the_program(json.loads(file.read_bytes()))))
    assert same(xanylabeling.read(tmp_path, LOT), LABELS)


def test_a_person_s_file(tmp_path: Path) -> None:
    labels = xanylabeling.read(put(tmp_path, {"in/a.json": FILE}), LOT)
    assert sides(labels) == [("in/a.jpg", "star", [10.0, 20.0, 30.5, 40.25])]
    assert states(labels) == {"in/a.jpg": "labelled"}
    (row,) = labels.table(Task.BOXES).to_pylist()
    assert {row[name] for name in ("score", "source", "crowd", "area")} == {None}
    assert same(xanylabeling.read(tmp_path / "in" / "a.json", LOT), labels)


@pytest.mark.parametrize("checked", [True, False])
def test_checked_decides_nothing(tmp_path: Path, checked: bool) -> None:
    assert states(xanylabeling.read(put(tmp_path, {"in/a.json": FILE | {"checked": checked}}), LOT)) == {
        "in/a.jpg": "labelled"
    }


def test_an_image_without_shapes_is_empty_or_flagged(tmp_path: Path) -> None:
    empty, flagged = FILE | {"shapes": []}, {"flags": {"excused": True}}
    put(tmp_path, {"in/a.json": empty, "in/b.json": empty | flagged, "c.json": FILE | {"imagePath": "c.jpg"} | flagged})
    assert states(xanylabeling.read(tmp_path, LOT)) == {"in/a.jpg": "empty", "in/b.jpg": "excused", "c.jpg": "labelled"}


POINTS = {
    "two opposite": [[40.5, 60.25], [10, 20]],
    "the other two": [[10, 60.25], [40.5, 20]],
    "from another corner": [[40.5, 60.25], [10, 60.25], [10, 20], [40.5, 20]],
    "the other way round": [[10, 20], [10, 60.25], [40.5, 60.25], [40.5, 20]],
}


@pytest.mark.parametrize("name", POINTS)
def test_rectangles_of_every_version(tmp_path: Path, name: str) -> None:
    shape = SHAPE | {"points": POINTS[name]}
    labels = xanylabeling.read(put(tmp_path, {"in/a.json": FILE | {"shapes": [shape]}}), LOT)
    assert sides(labels) == [("in/a.jpg", "star", [10.0, 20.0, 30.5, 40.25])]


def test_an_upright_rotation_is_a_rectangle(tmp_path: Path) -> None:
    noisy = [[10.0, 20.0], [40.5, 20.0 + 1e-6], [40.5, 60.25], [10.0 - 1e-6, 60.25]]
    put(tmp_path, {"in/a.json": FILE | {"shapes": [SHAPE | {"shape_type": "rotation", "direction": 0, "points": noisy}]}})
    ((_, _, found),) = sides(xanylabeling.read(tmp_path, LOT))
    assert found == pytest.approx([10, 20, 30.5, 40.25], abs=1e-5)


def test_a_person_s_video(tmp_path: Path) -> None:
    more = [
        SEGMENT | {"label": "goldgate:shot:dissolve", "description": "a word of mine"},
        SEGMENT | {"label": "goldgate:keyframe", "end_ms": 1000, "end_frame": 25},
    ]
    labels = xanylabeling.read(put(tmp_path, {"v.json": VIDEO_FILE | {"segments": [SEGMENT, *more]}}), LOT)
    validate_labels(labels, items=LOT.items, guideline=GUIDELINE)
    span = {"item": "v.mp4", "start_frame": 25, "end_frame": 51, "start_s": 1.0, "end_s": 2.04, "source": None}
    assert labels.table(Task.EVENTS).to_pylist() == [span | {"label": "black_screen", "score": None}]
    assert labels.table(Task.SHOTS).to_pylist() == [span | {"transition": "dissolve"}]
    assert labels.table(Task.KEYFRAMES).to_pylist() == [
        {"item": "v.mp4", "frame": 25, "time_s": 1.0, "score": None, "source": None}
    ]


def test_a_file_without_frame_rate_has_frames_by_the_lot(tmp_path: Path) -> None:
    blind = VIDEO_FILE | {"fps": 0.0, "segments": [SEGMENT | {"start_frame": 0, "end_frame": 0}]}
    (row,) = xanylabeling.read(put(tmp_path, {"v.json": blind}), LOT).table(Task.EVENTS).to_pylist()
    assert (row["start_frame"], row["end_frame"]) == (25, 51)
    assert states(xanylabeling.read(put(tmp_path, {"v.json": VIDEO_FILE | {"segments": []}}), LOT)) == {"v.mp4": "empty"}


def edited(folder: Path, name: str, change: Mapping[str, Any]) -> LabelSet:
    """Write the labels, change the first shape or segment of a file, and read the folder."""
    xanylabeling.write(folder, LABELS, LOT)
    document = json.loads((folder / name).read_bytes())
    document.get("shapes", document.get("segments"))[0] |= change
    return xanylabeling.read(put(folder, {name: document}), LOT)


def test_what_was_moved_stands_where_it_was_put(tmp_path: Path) -> None:
    moved = [[2.0, 2.0], [4.0, 2.0], [4.0, 6.25], [2.0, 6.25]]
    assert sides(edited(tmp_path, "in/a.json", {"points": moved}))[0] == ("in/a.jpg", "star", [2.0, 2.0, 2.0, 4.25])
    labels = edited(tmp_path, "v.json", {"start_ms": 40, "start_frame": 1})
    start, cut = labels.table(Task.SHOTS).to_pylist()
    assert (start["start_frame"], start["start_s"], start["end_frame"], start["source"]) == (1, 0.04, 125, "cuts@2")
    assert cut == VIDEO[0].table(Task.SHOTS).to_pylist()[1]


def test_exact_numbers_stand_beside_corners_that_do_not_tell(tmp_path: Path) -> None:
    row = {"item": "c.jpg", "label": "star", "x": 0.1, "y": 1.0, "w": 0.2, "h": 2.0}
    labels = label_set(Task.BOXES, [row], {"c.jpg": "labelled"})
    xanylabeling.write(tmp_path, labels, LOT)
    (shape,) = json.loads((tmp_path / "c.json").read_bytes())["shapes"]
    assert shape["points"][2] == [0.30000000000000004, 3.0]
    assert shape["attributes"] == {"exact": "0.1 1.0 0.2 2.0"}
    assert same(xanylabeling.read(tmp_path, LOT), labels)


def test_exact_numbers_hold_where_the_box_stands(tmp_path: Path) -> None:
    width = 90.3 + 0.5
    shapes = [
        SHAPE | {"points": [[-0.5, 20], [right, 80.7]], "attributes": {"exact": f"-0.5 20 {width!r} 60.7"}}
        for right in (90.3, 90.304, 90.31)
    ]
    found = sides(xanylabeling.read(put(tmp_path, {"in/a.json": FILE | {"shapes": shapes}}), LOT))
    assert [each[2][2] for each in found] == [width, width, 90.31 + 0.5]
    for exact in ("nan 0 1 1", "1 2 3", "a b c d", 7, "1 " * 200):
        put(tmp_path, {"in/a.json": FILE | {"shapes": [SHAPE | {"attributes": {"exact": exact}}]}})
        assert sides(xanylabeling.read(tmp_path, LOT)) == [("in/a.jpg", "star", [10.0, 20.0, 30.5, 40.25])]


def test_difficult_is_left_out_of_scoring(tmp_path: Path) -> None:
    put(
        tmp_path, {"in/a.json": FILE | {"shapes": [SHAPE | {"difficult": True}, SHAPE | {"attributes": {"crowd": "false"}}]}}
    )
    assert xanylabeling.read(tmp_path, LOT).table(Task.BOXES)["crowd"].to_pylist() == [True, False]


COLLIDING = ["a.jpg", "a.png", "a.mp4", "in/a.jpg", "a.png.json", "b", "b.json"]


def test_equal_names_do_not_share_a_file(tmp_path: Path) -> None:
    kinds = [Kind.VIDEO if name.endswith("mp4") else Kind.IMAGE for name in COLLIDING]
    lot = lot_of([item_row(name, kind, width=100, height=80) for name, kind in zip(COLLIDING, kinds, strict=True)])
    images = [name for name in COLLIDING if not name.endswith("mp4")]
    rows = [box(name, "star", (0, 0, number + 1, 1)) for number, name in enumerate(images)]
    labels = merge(
        [label_set(Task.BOXES, rows, dict.fromkeys(images, "labelled")), label_set(Task.SHOTS, [], {"a.mp4": "empty"})]
    )
    xanylabeling.write(tmp_path, labels, lot)
    assert len(list(tmp_path.rglob("*.json"))) == len(COLLIDING)
    found = xanylabeling.read(tmp_path, lot)
    assert states(found) == states(labels)
    assert sides(found) == sides(labels)


def test_the_image_path_tells_which_of_two(tmp_path: Path) -> None:
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in ("in/a.jpg", "in/a.png")])
    put(tmp_path, {"labels/in/a.json": FILE | {"imagePath": "..\\..\\in\\a.png"}})
    assert states(xanylabeling.read(tmp_path, lot)) == {"in/a.png": "labelled"}
    put(tmp_path, {"labels/in/a.json": FILE | {"imagePath": None}})
    with pytest.raises(FormatError, match=r"a.json: 'labels/in/a' may be of item 'in/a.jpg' or of 'in/a.png'"):
        xanylabeling.read(tmp_path, lot)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    names = ["../../up.png", "/etc/passwd", "..", "x\\..\\y.png", "line\nfeed.png", "e" * 300 + ".png", "nul\0.png"]
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in names])
    labels = label_set(Task.BOXES, [], dict.fromkeys(names, "empty"))
    paths = xanylabeling.write(tmp_path / "out", labels, lot)
    assert all((tmp_path / "out") in path.resolve().parents for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert same(xanylabeling.read(tmp_path / "out", lot), labels)


def shaped(**changes: Any) -> dict[str, Any]:
    return FILE | {"shapes": [SHAPE, SHAPE | changes]}


def segmented(**changes: Any) -> dict[str, Any]:
    return VIDEO_FILE | {"segments": [SEGMENT, SEGMENT | changes]}


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("in/a.json", shaped(label="stra"), "shape 2: class 'stra' is not in the guideline; did you mean 'star'?"),
        ("in/a.json", shaped(shape_type="polygon"), "shape 2: is a polygon; only rectangles are ordered"),
        ("in/a.json", shaped(shape_type="rotation", points=[[5, 0], [10, 5], [5, 10], [0, 5]]), "the box is turned"),
        ("in/a.json", shaped(points=[[0, 0], [10, 1], [10, 10], [0, 10]]), "the box is turned"),
        ("in/a.json", shaped(points=[[0, 0], [10, 10], [10, 0], [0, 10]]), "the box is turned"),
        ("in/a.json", shaped(points=[[0, 0], [10, 1], [10, 10]]), "a rectangle has 4 points, or 2 opposite ones, but"),
        ("in/a.json", shaped(points=[[0, 0], [10]]), "a point must be a list of two numbers"),
        ("in/a.json", shaped(points=[[0, 0], ["1", 1]]), "a coordinate is '1', which is not a number"),
        ("in/a.json", shaped(points=[[-1e308, 0], [1e308, 1]]), "the box is too large to be told in pixels"),
        ("in/a.json", shaped(points=[[0, 0], [0, 10]]), "has no area"),
        ("in/a.json", shaped(points=[[0, 0], [10**400, 10]]), "a coordinate is not a finite number"),
        ("in/a.json", shaped(points=[[0, 0], [101.5, 10]]), "is outside its image of 100 x 80 px"),
        ("in/a.json", shaped(score="high"), "score is 'high', which is not a number"),
        ("in/a.json", shaped(score=1.5), "score 1.5 is not within 0 and 1"),
        ("in/a.json", shaped(attributes={"area": "big"}), "area is 'big', which is not a number"),
        ("in/a.json", FILE | {"imageWidth": 200}, "imageWidth is 200, but the lot's image has 100"),
        ("in/a.json", {"version": "1"}, "'shapes' is missing"),
        ("in/a.json", [FILE], "must be an object, but is list"),
        ("in/a.json", FILE | {"shapes": [3]}, "shape 1: must be an object, but is int"),
        ("in/z.json", FILE | {"imagePath": "z.jpg"}, "item 'in/z' is not in the lot"),
        ("v.json", FILE | {"imagePath": "v.mp4"}, "item 'v.mp4' is video, but the file is of image items"),
        ("c.json", VIDEO_FILE, "item 'c.jpg' is image, but the file is of video items"),
        ("v.json", segmented(label="goldgate:shot:cat"), "segment 2: transition 'cat' is not in the guideline"),
        ("v.json", segmented(label="black"), "segment 2: event 'black' is not in the guideline"),
        ("v.json", segmented(label=None), "segment 2: event None is not in the guideline"),
        ("v.json", segmented(start_ms=3000), "segment 2: ends at 2040 ms, before it begins at 3000 ms"),
        ("v.json", segmented(end_ms=1.5), "segment 2: end_ms is 1.5, which is not a whole number"),
        ("v.json", segmented(start_ms=-5), "start_s -0.005 is negative"),
        ("v.json", segmented(end_frame=1000), "end_frame 1000 is beyond its video of 250 frames"),
        ("v.json", segmented(description="goldgate {"), "segment 2: description: not a JSON document"),
        ("v.json", segmented(description='goldgate {"score": "x"}'), "score is 'x', which is not a number"),
        ("v.json", segmented(description='goldgate {"ms": [1000, 2040]}'), "description: frames: must hold two numbers"),
        ("v.json", VIDEO_FILE | {"segments": {}}, "segments must be a list, but is dict"),
        ("v.json", VIDEO_FILE | {"fps": "25"}, "fps is '25', which is not a number"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_with_file_and_item(tmp_path: Path, name: str, document: Any, message: str) -> None:
    put(tmp_path, {name: document})
    with pytest.raises(GoldgateError) as caught:
        validate_labels(xanylabeling.read(tmp_path, LOT), items=LOT.items, guideline=GUIDELINE, origin=str(tmp_path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 0.5])
def test_half_a_file_is_refused(tmp_path: Path, size: float) -> None:
    text = json.dumps(FILE)
    (tmp_path / "c.json").write_text(text[: int(len(text) * size)])
    with pytest.raises(FormatError, match=r"c.json: (the file is empty|not a JSON document)"):
        xanylabeling.read(tmp_path, LOT)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no label files in JSON; name the folder that the tool wrote"):
        xanylabeling.read(tmp_path, LOT)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for rows, message in (
        ([box("z.jpg", "star", (0, 0, 1, 1))], "item 'z.jpg' is not in the lot, so it cannot be written as X-AnyLabeling"),
        ([box("c.jpg", "stra", (0, 0, 1, 1))], "item 'c.jpg': class 'stra' is not in the guideline; did you mean 'star'"),
        ([box("c.jpg", "star", (0, 0, np.nan, 1))], "item 'c.jpg' has a box with a number that is not finite"),
    ):
        labels = label_set(Task.BOXES, rows, {rows[0]["item"]: "labelled"})
        with pytest.raises(FormatError, match=message):
            xanylabeling.write(tmp_path, labels, LOT)
    events = [event("v.mp4", "black_screen", 1, 2, score=np.inf)]
    with pytest.raises(FormatError, match=r"item 'v.mp4' has a number that is not finite"):
        xanylabeling.write(tmp_path, label_set(Task.EVENTS, events, {"v.mp4": "labelled"}), LOT)


def test_an_event_called_as_a_shot_is_refused(tmp_path: Path) -> None:
    guideline = Guideline.model_validate(
        {"version": "1", "events": [{"name": "goldgate:shot:cut", "definition": "d", "rule": "black", "min_seconds": 1}]}
    )
    with pytest.raises(FormatError, match="event 'goldgate:shot:cut' cannot be told from a shot or keyframe"):
        xanylabeling.write(tmp_path, VIDEO[0], LotView(LOT.items, guideline))
