"""Label Studio: tasks as its import wants them, and corrected exports back."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from contract.errors import FormatError
from contract.formats.labelstudio.tasks import read, write
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from tests.oracles.labelsets import box, event, keyframe, label_set, shot
from tests.oracles.lots import GUIDELINE, item_row, lot_of

IMAGES = lot_of([item_row(f"in/{name}.jpg", Kind.IMAGE, width=200, height=100) for name in "abc"])
TEXTS = lot_of([item_row("t1", Kind.TEXT)], {"t1": "好极了 & <fine>"})
VIDEOS = lot_of([item_row("v.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0)])
DRAFT = label_set(
    Task.BOXES,
    [
        box("in/a.jpg", "star", (20, 10, 60, 60), score=0.9, source="tiny@1"),
        box("in/a.jpg", "circle", (0, 0, 9, 9), score=0.4),
    ],
    {"in/a.jpg": "labelled", "in/b.jpg": "empty", "in/c.jpg": "missing"},
)


def written(folder: Path, labels: LabelSet = DRAFT, lot: Any = IMAGES) -> list[dict[str, Any]]:
    tasks, config = write(folder, labels, lot)
    assert (tasks.name, config.name) == ("tasks.json", "label_config.xml")
    found: list[dict[str, Any]] = json.loads(tasks.read_text(encoding="utf-8"))
    return found


def put(folder: Path, tasks: Any) -> Path:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def corrected(*regions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Return an export of one task with one annotation."""
    return [{"id": 1, "data": {"item": "in/a.jpg"}, "annotations": [{"id": 5, "result": list(regions), **more}]}]


def rectangle(**changes: Any) -> dict[str, Any]:
    value = {"x": 10, "y": 10, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": ["star"]}
    region = {"id": "r", "type": "rectanglelabels", "from_name": "boxes", "to_name": "image", "value": value}
    for key, change in changes.items():
        (value if key in value else region)[key] = change
    return region


def test_image_tasks(tmp_path: Path) -> None:
    first, second, third = written(tmp_path)
    assert first["data"] == {
        "image": "/data/in/a.jpg", "item": "in/a.jpg", "sha256": IMAGES.rows["in/a.jpg"]["sha256"], "state": "labelled",
    }  # fmt: skip
    (prediction,) = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("tiny@1", 0.4)
    region = prediction["result"][0]
    assert region["value"] == {"x": 10, "y": 10, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": ["star"]}
    assert (region["original_width"], region["original_height"], region["score"]) == (200, 100, 0.9)
    assert (region["type"], region["from_name"], region["to_name"]) == ("rectanglelabels", "boxes", "image")
    assert second["predictions"] == [{"model_version": "tiny@1", "score": None, "result": []}]
    assert third["predictions"] == []


def test_percent_stays_within_0_and_100_and_the_pixels_survive(tmp_path: Path) -> None:
    drawn = box("in/a.jpg", "star", (-0.75, -1, 200.5, 101))
    labels = label_set(Task.BOXES, [drawn], {"in/a.jpg": "labelled"})
    (task,) = written(tmp_path, labels)
    value = task["predictions"][0]["result"][0]["value"]
    assert [value[name] for name in ("x", "y", "width", "height")] == [0, 0, 100, 100]
    (row,) = read(tmp_path, IMAGES, predictions=True).table(Task.BOXES).to_pylist()
    assert {name: row[name] for name in drawn} == drawn


def test_every_name_of_a_region_is_in_the_interface(tmp_path: Path) -> None:
    cases = [
        (DRAFT, IMAGES),
        (label_set(Task.SENTIMENTS, [{"item": "t1", "label": "positive"}], {"t1": "labelled"}), TEXTS),
        (label_set(Task.SHOTS, [shot("v.mp4", 0, 100, "start")], {"v.mp4": "labelled"}), VIDEOS),
        (label_set(Task.KEYFRAMES, [keyframe("v.mp4", 1.0)], {"v.mp4": "labelled"}), VIDEOS),
        (label_set(Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.0)], {"v.mp4": "labelled"}), VIDEOS),
    ]
    for index, (labels, lot) in enumerate(cases):
        folder = tmp_path / str(index)
        tasks = written(folder, labels, lot)
        view = ET.parse(folder / "label_config.xml").getroot()  # noqa: S314 (our own file)
        controls = {tag.get("name"): tag for tag in view if tag.get("toName")}
        objects = {tag.get("name"): tag for tag in view if tag.get("value")}
        for task in tasks:
            for tag in objects.values():
                assert str(tag.get("value")).removeprefix("$") in task["data"]
            for region in (region for prediction in task["predictions"] for region in prediction["result"]):
                control = controls[region["from_name"]]
                assert control.tag.lower() == region["type"]
                assert region["to_name"] in objects
                assert set(region["value"][region["type"]]) <= {tag.get("value") for tag in control}


def test_frames_count_from_one_with_both_ends(tmp_path: Path) -> None:
    labels = label_set(Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.0, score=0.5)], {"v.mp4": "labelled"})
    (task,) = written(tmp_path, labels, VIDEOS)
    assert task["data"]["fps"] == 25.0
    assert task["predictions"][0]["result"][0]["value"]["ranges"] == [{"start": 26, "end": 50}]


def test_moved_range_gets_seconds_from_the_frame_rate(tmp_path: Path) -> None:
    labels = label_set(Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.0)], {"v.mp4": "labelled"})
    (task,) = written(tmp_path, labels, VIDEOS)
    task["annotations"] = [{"result": task["predictions"][0]["result"], "completed_by": {"id": 3, "email": "a@b.example"}}]
    task["annotations"][0]["result"][0]["value"]["ranges"] = [{"start": 51, "end": 75}, {"start": 101, "end": 101}]
    rows = read(put(tmp_path, [task]), VIDEOS).table(Task.EVENTS).to_pylist()
    assert [(row["start_frame"], row["end_frame"], row["start_s"], row["end_s"]) for row in rows] == [
        (50, 75, 2.0, 3.0),
        (100, 101, 4.0, 4.04),
    ]
    assert {row["source"] for row in rows} == {"annotator-3"}


def test_mixed_lot_makes_one_project_a_kind(tmp_path: Path) -> None:
    rows = [*IMAGES.rows.values(), *TEXTS.rows.values()]
    lot = lot_of(rows, dict(TEXTS.texts))
    texts = label_set(Task.SENTIMENTS, [{"item": "t1", "label": "positive", "score": 0.8}], {"t1": "labelled"})
    states = DRAFT.states.from_batches([*DRAFT.states.to_batches(), *texts.states.to_batches()])
    paths = write(tmp_path, LabelSet(states, {**DRAFT.tables, **texts.tables}), lot)
    assert [str(path.relative_to(tmp_path)) for path in paths] == [
        "image/tasks.json", "image/label_config.xml", "text/tasks.json", "text/label_config.xml",
    ]  # fmt: skip
    back = read(tmp_path, lot, predictions=True)
    assert back.states.num_rows == 4
    assert back.table(Task.SENTIMENTS).num_rows == 1


def test_last_annotation_that_was_not_cancelled_counts(tmp_path: Path) -> None:
    tasks = corrected(rectangle(rectanglelabels=["circle"]))
    tasks[0]["annotations"] += [
        {"result": [rectangle()], "completed_by": 7},
        {"result": [rectangle(rectanglelabels=["square"])], "was_cancelled": True},
    ]
    (row,) = read(put(tmp_path, tasks), IMAGES).table(Task.BOXES).to_pylist()
    assert (row["label"], row["x"], row["y"], row["w"], row["h"], row["source"]) == ("star", 20, 10, 40, 50, "annotator-7")
    tasks[0]["annotations"][0]["updated_at"] = "2026-01-02T00:00:00Z"
    tasks[0]["annotations"][1]["updated_at"] = "2026-01-01T00:00:00Z"
    assert read(put(tmp_path, tasks), IMAGES).table(Task.BOXES)["label"].to_pylist() == ["circle"]
    # As a text "...40Z" would come after "...40.5Z".
    tasks[0]["annotations"][0]["updated_at"] = "2026-01-01T00:00:40.5Z"
    tasks[0]["annotations"][1]["updated_at"] = "2026-01-01T00:00:40Z"
    assert read(put(tmp_path, tasks), IMAGES).table(Task.BOXES)["label"].to_pylist() == ["circle"]
    tasks[0]["annotations"][1]["updated_at"] = "2025-12-31T23:00:41-01:00"
    assert read(put(tmp_path, tasks), IMAGES).table(Task.BOXES)["label"].to_pylist() == ["star"]


@pytest.mark.parametrize(
    ("annotations", "state"),
    [
        ([{"result": []}], ["empty"]),
        ([{"result": [], "was_cancelled": True}], ["excused"]),
        ([], []),
        ([{"result": [rectangle()]}], ["labelled"]),
    ],
)
def test_states_of_corrected_tasks(tmp_path: Path, annotations: list[Any], state: list[str]) -> None:
    tasks = [{"data": {"item": "in/a.jpg"}, "annotations": annotations, "predictions": [{"result": [rectangle()]}]}]
    assert read(put(tmp_path, tasks), IMAGES).states["state"].to_pylist() == state


def test_predictions_answer_only_if_asked(tmp_path: Path) -> None:
    written(tmp_path)
    assert read(tmp_path, IMAGES).states.num_rows == 0
    assert read(tmp_path, IMAGES, predictions=True).states["state"].to_pylist() == ["labelled", "empty", "missing"]


def test_joined_by_hash_where_the_name_changed(tmp_path: Path) -> None:
    tasks = corrected(rectangle())
    tasks[0]["data"] = {"item": "renamed.jpg", "sha256": IMAGES.rows["in/b.jpg"]["sha256"]}
    assert read(put(tmp_path, tasks), IMAGES).states["item"].to_pylist() == ["in/b.jpg"]
    tasks[0]["data"] = {"image": "/upload/7/c.jpg"}
    assert read(put(tmp_path, tasks), IMAGES).states["item"].to_pylist() == ["in/c.jpg"]


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ({}, "an export must be a list"),
        ([7], "must be an object"),
        ([{"annotations": []}], "'data' is missing"),
        ([{"data": {}}], "neither 'item' nor 'sha256'"),
        ([{"data": {"item": "z.png"}}], "item 'z.png' is not in the lot"),
        ([{"data": {"item": "in/a.jpg", "sha256": "0" * 64}}], "item 'in/a.jpg' has other content"),
        (
            corrected(rectangle(rectanglelabels=["sta"])),
            "item 'in/a.jpg': region 1: class 'sta' is not in the guideline; did you",
        ),
        (corrected(rectangle(rectanglelabels=[])), "must hold one name"),
        (corrected(rectangle(rotation=30)), "rotated by 30 degrees"),
        (corrected(rectangle(x="1")), "x is '1', which is not a number"),
        (corrected(rectangle(type="polygonlabels")), "type 'polygonlabels' has no place on image items"),
        (corrected() + corrected(), "item 'in/a.jpg' stands in two tasks"),
    ],
)
def test_broken_export_is_refused(tmp_path: Path, tasks: Any, told: str) -> None:
    with pytest.raises(FormatError) as caught:
        read(put(tmp_path, tasks), IMAGES)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_choice_and_event_are_refused(tmp_path: Path) -> None:
    choice = {"type": "choices", "from_name": "sentiment", "to_name": "text", "value": {"choices": ["Positive"]}}
    tasks: list[dict[str, Any]] = [{"data": {"item": "t1"}, "annotations": [{"result": [choice]}]}]
    with pytest.raises(FormatError, match="sentiment 'Positive' is not in the guideline; did you mean 'positive'"):
        read(put(tmp_path, tasks), TEXTS)
    span = {"ranges": [{"start": 0, "end": 3}], "timelinelabels": ["black_screen"]}
    region: dict[str, Any] = {"type": "timelinelabels", "from_name": "events", "to_name": "video", "value": span}
    tasks = [{"data": {"item": "v.mp4"}, "annotations": [{"result": [region]}]}]
    with pytest.raises(FormatError, match="range 0 to 3 is no range of frames"):
        read(put(tmp_path, tasks), VIDEOS)
    region["value"]["timelinelabels"] = ["rain"]
    with pytest.raises(FormatError, match="event 'rain' is not in the guideline"):
        read(put(tmp_path, tasks), VIDEOS)


def test_definitions_are_hints_of_the_interface(tmp_path: Path) -> None:
    written(tmp_path)
    config = (tmp_path / "label_config.xml").read_text(encoding="utf-8")
    assert all(definition.definition in config for definition in GUIDELINE.classes)


def test_item_without_size_or_text_is_not_written(tmp_path: Path) -> None:
    bare = lot_of([item_row("in/a.jpg", Kind.IMAGE), item_row("t1", Kind.TEXT)])
    with pytest.raises(FormatError, match="no width and height"):
        write(tmp_path, label_set(Task.BOXES, [box("in/a.jpg", "star", (0, 0, 1, 1))], {"in/a.jpg": "labelled"}), bare)
    with pytest.raises(FormatError, match="item 't1' has no text"):
        write(tmp_path, label_set(Task.SENTIMENTS, [], {"t1": "missing"}), bare)
    with pytest.raises(FormatError, match="item 'z' is not in the lot"):
        write(tmp_path, label_set(Task.BOXES, [], {"z": "empty"}), bare)
