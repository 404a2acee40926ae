"""ActivityNet's JSON: files as its own tools write them, both shapes, and broken ones refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from contract.errors import FormatError, InputError
from contract.formats.activitynet import read, write
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.validate import validate_labels
from tests.oracles.labelsets import event, keyframe, label_set, shot
from tests.oracles.lots import GUIDELINE, item_row, lot_of, same

LOT = lot_of(
    [
        *(
            item_row(f"clips/{name}.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0, width=64, height=48)
            for name in ("3l7quTy4c2s", "b", "c")
        ),
        item_row("b.jpg", Kind.IMAGE, width=64, height=48),
    ]
)

# What an annotation file of the benchmark holds, with the keys that goldgate has no use for.
TRUTH: dict[str, Any] = {
    "version": "VERSION 1.3",
    "taxonomy": [{"parentName": "Housework", "nodeName": "black_screen", "nodeId": 389, "parentId": 270}],
    "database": {
        "3l7quTy4c2s": {
            "duration": 10.0,
            "subset": "training",
            "resolution": "320x240",
            "url": "https://www.youtube.com/watch?v=3l7quTy4c2s",
            "annotations": [
                {"segment": [0.01, 9.64], "label": "black_screen"},
                {"segment": [9.99, 10.02], "label": "star_present"},
            ],
        },
        "b": {"duration": 10.0, "subset": "validation", "annotations": []},
        "c": {"duration": 10.0, "subset": "testing", "annotations": []},
    },
}
RESULTS: dict[str, Any] = {
    "version": "VERSION 1.3",
    "results": {"3l7quTy4c2s": [{"label": "black_screen", "score": 0.64, "segment": [2, 3.5]}], "b": []},
    "external_data": {"used": True, "details": "first pass of a model"},
}


def put(folder: Path, document: Any, name: str = "events.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def events(rows: list[dict[str, Any]], states: dict[str, str]) -> LabelSet:
    return label_set(Task.EVENTS, rows, states)


def test_ground_truth_as_the_benchmark_writes_it(tmp_path: Path) -> None:
    labels = read(put(tmp_path, TRUTH, "activity_net.v1-3.min.json"), LOT)
    first = "clips/3l7quTy4c2s.mp4"
    rows = [
        {"item": first, "label": "black_screen", "start_frame": 0, "end_frame": 241, "start_s": 0.01, "end_s": 9.64},
        {"item": first, "label": "star_present", "start_frame": 250, "end_frame": 251, "start_s": 9.99, "end_s": 10.02},
    ]
    states = {first: "labelled", "clips/b.mp4": "empty", "clips/c.mp4": "missing"}
    assert same(labels, events(rows, states))


def test_an_end_that_is_rounded_beyond_the_video(tmp_path: Path) -> None:
    database = {"b": {"annotations": [{"segment": [9.0, 10.03], "label": "black_screen"}]}}
    labels = read(put(tmp_path, {"database": database}), LOT)
    (row,) = labels.table(Task.EVENTS).to_pylist()
    assert (row["start_frame"], row["end_frame"], row["end_s"]) == (225, 250, 10.03)
    validate_labels(labels, items=LOT.items, guideline=GUIDELINE)


def test_predictions_as_the_evaluation_takes_them(tmp_path: Path) -> None:
    labels = read(put(tmp_path, RESULTS, "submission.json"), LOT)
    first = "clips/3l7quTy4c2s.mp4"
    row = {"item": first, "label": "black_screen", "start_s": 2.0, "end_s": 3.5, "score": 0.64}
    rows = [row | {"start_frame": 50, "end_frame": 88}]
    assert same(labels, events(rows, {first: "labelled", "clips/b.mp4": "empty"}))
    validate_labels(labels, items=LOT.items, guideline=GUIDELINE)


SCORED = [
    event("clips/b.mp4", "black_screen", 1.0, 2.0, score=0.5, source="tiny@1"),
    event("clips/b.mp4", "star_present", 0.0, 10.0, score=1.0, source="tiny@1"),
]
STATES = {"clips/b.mp4": "labelled", "clips/c.mp4": "empty", "clips/3l7quTy4c2s.mp4": "excused"}


def test_labels_that_all_have_scores_are_predictions(tmp_path: Path) -> None:
    (path,) = write(tmp_path, events(SCORED, STATES), LOT)
    assert json.loads(path.read_text()) == {
        "version": f"guideline {GUIDELINE.version}",
        "task": "events",
        "external_data": {"used": True, "details": "tiny@1"},
        "states": STATES,
        "results": {
            "clips/b.mp4": [
                {"label": "black_screen", "segment": [1.0, 2.0], "frames": [25, 50], "score": 0.5, "source": "tiny@1"},
                {"label": "star_present", "segment": [0.0, 10.0], "frames": [0, 250], "score": 1.0, "source": "tiny@1"},
            ],
            "clips/c.mp4": [],
        },
    }
    assert same(read(path, LOT), events(SCORED, STATES))


def test_labels_of_which_one_has_no_score_are_ground_truth(tmp_path: Path) -> None:
    rows = [SCORED[0], SCORED[1] | {"score": None, "source": None}]
    (path,) = write(tmp_path, events(rows, STATES), LOT)
    document = json.loads(path.read_text())
    assert sorted(document) == ["database", "task", "taxonomy", "version"]
    assert [each["nodeName"] for each in document["taxonomy"]] == ["Root", *GUIDELINE.event_names]
    assert document["database"]["clips/b.mp4"] == {
        "duration": 10.0,
        "subset": "validation",
        "state": "labelled",
        "annotations": [
            {"label": "black_screen", "segment": [1.0, 2.0], "frames": [25, 50], "score": 0.5, "source": "tiny@1"},
            {"label": "star_present", "segment": [0.0, 10.0], "frames": [0, 250]},
        ],
    }
    assert document["database"]["clips/3l7quTy4c2s.mp4"]["state"] == "excused"
    assert same(read(path, LOT), events(rows, STATES))


def test_shots_and_keyframes_have_files_of_their_own(tmp_path: Path) -> None:
    states = {"clips/b.mp4": "labelled"}
    tables = {
        Task.SHOTS: label_set(Task.SHOTS, [shot("clips/b.mp4", 0, 100, "start")], states).table(Task.SHOTS),
        Task.KEYFRAMES: label_set(Task.KEYFRAMES, [keyframe("clips/b.mp4", 4.0)], states).table(Task.KEYFRAMES),
    }
    labels = LabelSet(label_set(Task.SHOTS, [], states).states, tables)
    paths = write(tmp_path, labels, LOT)
    assert [path.name for path in paths] == ["shots.json", "keyframes.json"]
    found = [json.loads(path.read_text())["database"]["clips/b.mp4"]["annotations"] for path in paths]
    assert found == [
        [{"label": "start", "segment": [0.0, 4.0], "frames": [0, 100]}],
        [{"label": "keyframe", "segment": [4.0, 4.0], "frames": [100, 101]}],
    ]
    assert same(read(tmp_path, LOT), labels)
    assert read(paths[0], LOT).states.to_pylist() == labels.states.to_pylist()


def test_frames_of_a_segment_that_was_moved_are_told_anew(tmp_path: Path) -> None:
    row = event("clips/b.mp4", "black_screen", 1.0, 2.0, score=0.5) | {"start_frame": 30, "end_frame": 61}
    (path,) = write(tmp_path, events([row], {"clips/b.mp4": "labelled"}), LOT)
    assert read(path, LOT).table(Task.EVENTS)["start_frame"].to_pylist() == [30]
    document = json.loads(path.read_text())
    document["results"]["clips/b.mp4"][0]["segment"] = [1.2, 2.0]
    (moved,) = read(put(tmp_path, document), LOT).table(Task.EVENTS).to_pylist()
    assert (moved["start_frame"], moved["end_frame"]) == (30, 50)


def test_files_that_contradict_each_other(tmp_path: Path) -> None:
    database = {"b": {"annotations": [], "state": "excused"}}
    put(tmp_path, {"database": database})
    put(tmp_path, {"database": {"b": {"annotations": []}}}, "shots.json")
    with pytest.raises(FormatError, match=r"item 'clips/b\.mp4' is empty in one file and excused in another"):
        read(tmp_path, LOT)
    put(tmp_path, {"task": "events", "database": {}}, "shots.json")
    with pytest.raises(FormatError, match="another file has events, too"):
        read(tmp_path, LOT)
    (tmp_path / "none").mkdir()
    with pytest.raises(FormatError, match=r"the folder has no shots\.json or keyframes\.json or events\.json"):
        read(tmp_path / "none", LOT)


def truth(entry: Any, name: str = "b", **more: Any) -> dict[str, Any]:
    return {"database": {name: {"annotations": [entry], **more}}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "not a JSON document"),
        (json.dumps(TRUTH)[:300], "not a JSON document.*; the file may be cut off"),
        ([], "has neither 'database'"),
        ({"version": "1"}, "has neither 'database'"),
        ({"database": []}, "'database' must be an object of videos, but is list"),
        ({"results": {"b": {}}}, "item 'b': results must be a list, but is dict"),
        ({"database": {"b": {}}}, "item 'b': 'annotations' is missing"),
        ({"database": {"d": {"annotations": []}}}, "item 'd' is not in the lot"),
        ({"database": {"b.jpg": {"annotations": []}}}, r"item 'b\.jpg' is of the kind image in the lot, not a video"),
        ({"database": {"b": {"annotations": []}, "b.mp4": {"annotations": []}}}, r"item 'clips/b\.mp4' stands twice"),
        ({"task": "boxes", "database": {}}, "task 'boxes' is not in the guideline"),
        (truth({"segment": [1, 2], "label": "black"}), r"item 'clips/b\.mp4': event 'black' is not in the guideline"),
        (truth({"segment": [1, 2]}), r"item 'clips/b\.mp4': 'label' is missing"),
        (truth({"label": "black_screen"}), r"item 'clips/b\.mp4': 'segment' is missing"),
        (truth({"label": "black_screen", "segment": [1]}), r"item 'clips/b\.mp4': segment \[1\] is not a start and an end"),
        (truth({"label": "black_screen", "segment": ["1", 2]}), r"item 'clips/b\.mp4': segment is '1', which is not"),
        ('{"database": {"b": {"annotations": [{"segment": [NaN, 1], "label": "black_screen"}]}}}', "not a JSON document"),
        (truth({"label": "black_screen", "segment": [1, 1e308]}), r"item 'clips/b\.mp4': segment .* is beyond every video"),
        (truth({"label": "black_screen", "segment": [1, 1e300]}), r"item 'clips/b\.mp4': segment .* is beyond every video"),
        (truth({"label": "black_screen", "segment": [1, 2], "score": "x"}), r"item 'clips/b\.mp4': score is 'x'"),
        (truth([]), r"item 'clips/b\.mp4': must be an object, but is list"),
        (truth({"label": "black_screen", "segment": [1, 2]}, state="done"), "item 'b': state 'done' is not in"),
        (truth([], subset=["testing"]), r"item 'clips/b\.mp4': must be an object, but is list"),
        ({"database": {"b": {"annotations": [], "subset": [1], "state": {}}}}, "item 'b': state {} is not in"),
        ({**TRUTH, **RESULTS}, "has annotations in 'database' and 'results' as well"),
    ],
    ids=range(25),
)  # fmt: skip
def test_bad_files_are_told_in_one_sentence(tmp_path: Path, document: Any, message: str) -> None:
    path = put(tmp_path, document, "f.json")
    with pytest.raises(FormatError, match=f"^{path}: {message}") as raised:
        read(path, LOT)
    assert "\n" not in str(raised.value)


def test_a_video_without_frame_rate(tmp_path: Path) -> None:
    lot = lot_of([item_row("b.mp4", Kind.VIDEO, duration_s=10.0)])
    path = put(tmp_path, truth({"label": "black_screen", "segment": [1, 2]}))
    with pytest.raises(FormatError, match=r"item 'b\.mp4' has no frame rate in the manifest, so frames cannot be told"):
        read(path, lot)
    labels = events([event("b.mp4", "black_screen", 1.0, 2.0)], {"b.mp4": "labelled"})
    assert same(read(write(tmp_path, labels, lot)[0], lot), labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (events([], {"x": "empty"}), "item 'x' is not in the lot, so it cannot be written as ActivityNet"),
        (events(SCORED, {}), r"item 'clips/b\.mp4' has events but no state"),
        (events([SCORED[0] | {"score": float("nan")}], STATES), "events have a number that is not finite"),
        (events([SCORED[0] | {"end_s": float("inf")}], STATES), "events have a number that is not finite"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, labels: LabelSet, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path, labels, LOT)
    assert not list(tmp_path.iterdir())
