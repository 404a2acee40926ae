"""JSON Lines: the lines that others script against, and broken ones refused by line."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from contract.errors import FormatError
from contract.formats.jsonl import read, read_jsonl, write
from contract.tables import Kind, Task
from tests.oracles.labelsets import box, event, keyframe, label_set, shot
from tests.oracles.lots import item_row, lot_of

LOT = lot_of(
    [
        item_row("a.jpg", Kind.IMAGE, width=100, height=50),
        item_row("t1", Kind.TEXT),
        item_row("v.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0),
    ],
    {"t1": "好\u2028极了"},
)


def lines(folder: Path, task: Task, rows: list[dict[str, Any]], states: dict[str, str]) -> list[dict[str, Any]]:
    (path,) = write(folder, label_set(task, rows, states), LOT)
    assert path == folder / f"{task.value}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def put(folder: Path, name: str, *documents: Any) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    return path


def test_lines_of_every_task(tmp_path: Path) -> None:
    video = {"item": "v.mp4", "uri": "/data/v.mp4", "fps": 25.0, "state": "labelled"}
    frames = {"start_frame": 25, "end_frame": 50, "start_s": 1.0, "end_s": 2.0}
    assert lines(tmp_path, Task.BOXES, [box("a.jpg", "star", (1, 2, 4, 6), score=0.5)], {"a.jpg": "labelled"}) == [
        {
            "item": "a.jpg", "uri": "/data/a.jpg", "width": 100, "height": 50, "state": "labelled",
            "boxes": [{"label": "star", "x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0, "score": 0.5}],
        }
    ]  # fmt: skip
    sentiment = {"item": "t1", "label": "positive", "score": 0.9, "probabilities": [("positive", 0.9), ("negative", 0.1)]}
    assert lines(tmp_path, Task.SENTIMENTS, [sentiment], {"t1": "labelled"}) == [
        {
            "item": "t1", "uri": "/data/t1", "state": "labelled", "text": "好\u2028极了", "label": "positive", "score": 0.9,
            "probabilities": {"positive": 0.9, "negative": 0.1},
        }
    ]  # fmt: skip
    assert lines(tmp_path, Task.SHOTS, [shot("v.mp4", 25, 50, "fade")], {"v.mp4": "labelled"}) == [
        video | {"shots": [frames | {"transition": "fade"}]}
    ]
    assert lines(tmp_path, Task.KEYFRAMES, [keyframe("v.mp4", 1.0)], {"v.mp4": "labelled"}) == [
        video | {"keyframes": [{"frame": 25, "time_s": 1.0, "score": None}]}
    ]
    assert lines(tmp_path, Task.EVENTS, [event("v.mp4", "black_screen", 1.0, 2.0)], {"v.mp4": "labelled"}) == [
        video | {"events": [frames | {"label": "black_screen", "score": None}]}
    ]
    assert read(tmp_path, LOT).states.num_rows == 3


def test_line_without_state_and_seconds_is_taken(tmp_path: Path) -> None:
    shots = [{"start_frame": 0, "end_frame": 50, "transition": "start"}]
    path = put(tmp_path, "gold.jsonl", {"item": "x", "fps": 25, "shots": shots}, {"item": "y", "fps": 25, "shots": []})
    labels = read_jsonl(path)
    assert labels.states["state"].to_pylist() == ["labelled", "empty"]
    (row,) = labels.table(Task.SHOTS).to_pylist()
    assert (row["start_s"], row["end_s"]) == (0.0, 2.0)


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([{"boxes": []}], "line 1: 'item' is missing"),
        ([{"item": 5, "boxes": []}], "line 1: item is 5, which is not a name"),
        ([{"item": "a.jpg", "boxes": []}] * 2, "line 2: item 'a.jpg' stands twice"),
        ([{"item": "a.jpg"}], "line 1: item 'a.jpg': 'boxes' is missing"),
        ([{"item": "a.jpg", "boxes": [], "state": "done"}], "state 'done' is unknown"),
        ([{"item": "a.jpg", "boxes": [5]}], "boxes[0]: must be an object"),
        ([{"item": "a.jpg", "boxes": [{"label": "star", "x": 1, "y": 1, "w": 1}]}], "boxes[0]: 'h' is missing"),
        (
            [{"item": "a.jpg", "boxes": [{"label": "star", "x": None, "y": 1, "w": 1, "h": 1}]}],
            "x is None, which is not a number",
        ),
        ([{"item": "a.jpg", "boxes": [{"label": 3, "x": 1, "y": 1, "w": 1, "h": 1}]}], "label is 3, which is not a text"),
        (
            [{"item": "a.jpg", "boxes": [{"label": "sta", "x": 1, "y": 1, "w": 1, "h": 1}]}],
            "class 'sta' is not in the guideline",
        ),
        ([{"item": "z.jpg", "boxes": []}], "item 'z.jpg' is not in the lot"),
        ([[]], "must be an object"),
    ],
)
def test_broken_line_is_refused(tmp_path: Path, documents: list[Any], told: str) -> None:
    path = put(tmp_path, "boxes.jsonl", *documents)
    with pytest.raises(FormatError) as caught:
        read(path, LOT)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_cut_off_line_and_strange_files(tmp_path: Path) -> None:
    path = put(tmp_path, "boxes.jsonl", {"item": "a.jpg", "boxes": []})
    path.write_text(path.read_text(encoding="utf-8") + '{"item": "b.jpg", "bo', encoding="utf-8")
    with pytest.raises(FormatError, match="line 2: not a JSON document"):
        read_jsonl(path)
    with pytest.raises(FormatError, match="line 1 holds none of boxes"):
        read_jsonl(put(tmp_path, "other.jsonl", {"item": "a"}))
    with pytest.raises(FormatError, match=r"the folder has no boxes\.jsonl, "):
        read_jsonl(Path(tempfile.mkdtemp(dir=tmp_path)))
    with pytest.raises(FormatError, match=r"the folder has no shots\.jsonl"):
        read_jsonl(tmp_path, Task.SHOTS)


def test_two_files_that_disagree_on_a_state(tmp_path: Path) -> None:
    put(tmp_path, "shots.jsonl", {"item": "v.mp4", "state": "excused", "shots": []})
    put(tmp_path, "events.jsonl", {"item": "v.mp4", "state": "empty", "events": []})
    with pytest.raises(FormatError, match=r"item 'v\.mp4' is excused in one file and empty in another"):
        read_jsonl(tmp_path)


def test_labels_outside_the_lot_are_not_written(tmp_path: Path) -> None:
    for labels, told in (
        (label_set(Task.BOXES, [], {"z": "empty"}), "item 'z' is not in the lot"),
        (label_set(Task.BOXES, [box("a.jpg", "star", (0, 0, 1, 1))], {}), "item 'a.jpg' has boxes but no state"),
        (label_set(Task.SENTIMENTS, [{"item": "t1", "label": "positive"}] * 2, {"t1": "labelled"}), "has 2 sentiments"),
    ):
        with pytest.raises(FormatError, match=told):
            write(tmp_path, labels, LOT)
    assert not list(tmp_path.iterdir())
