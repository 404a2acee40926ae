from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from contract.labelset import LabelSet
from contract.scores import BoxScore
from contract.tables import KIND_OF_TASK, SCHEMAS, STATES, Task
from qa import defaults
from qa.report.evidence import (
    MOST_PICTURES,
    MOST_TEXTS,
    MOST_VIDEOS,
    TEXT_CHARACTERS,
    box_confusion,
    loose_histogram,
    text_confusion,
    worst_defects,
    worst_videos,
    wrong_texts,
)
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments

Row = dict[str, Any]

# The oracle scene of the acceptance notes, 3.6.
GOLD = [
    ("img1", "car", 0, 0, 100, 100),
    ("img1", "car", 200, 0, 100, 100),
    ("img1", "person", 50, 200, 40, 100),
    ("img2", "person", 0, 0, 40, 100),
    ("img2", "person", 30, 0, 40, 100),
    ("img4", "car", 0, 0, 100, 100),
    ("img4", "dog", 200, 200, 60, 60),
]
VENDOR = [
    ("img1", "car", 5, 5, 100, 100),
    ("img1", "truck", 200, 0, 100, 100),
    ("img1", "person", 50, 200, 40, 100),
    ("img1", "person", 52, 202, 40, 100),
    ("img2", "person", 0, 0, 40, 100),
    ("img2", "person", 50, 0, 40, 100),
    ("img3", "car", 10, 10, 50, 50),
    ("img4", "car", 0, 0, 100, 60),
]


def table(task: Task, rows: Sequence[Row]) -> pa.Table:
    full = [{field.name: row.get(field.name) for field in SCHEMAS[task]} for row in rows]
    return pa.Table.from_pylist(full, schema=SCHEMAS[task])


def label_set(task: Task, rows: Sequence[Row], items: Sequence[str]) -> LabelSet:
    kind = KIND_OF_TASK[task].value
    states = [{"item": item, "kind": kind, "state": "labelled"} for item in items]
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {task: table(task, rows)})


def boxes(rows: Sequence[tuple[str, str, float, float, float, float]]) -> list[Row]:
    return [dict(zip(("item", "label", "x", "y", "w", "h"), row, strict=True)) for row in rows]


IMAGES = ("img1", "img2", "img3", "img4")


@pytest.fixture(scope="module")
def scene() -> tuple[LabelSet, LabelSet, BoxScore]:
    gold = label_set(Task.BOXES, boxes(GOLD), IMAGES)
    labels = label_set(Task.BOXES, boxes(VENDOR), IMAGES)
    return gold, labels, score_boxes(labels, gold, defaults.IMAGE)


def test_the_confusion_of_boxes_adds_up_to_both_sides(scene: tuple[LabelSet, LabelSet, BoxScore]) -> None:
    gold, labels, score = scene
    matrix = box_confusion(score)
    assert matrix.rows == ("car", "dog", "person", "truck", None)
    cells = {
        (row, column): matrix.counts[i][j] for i, row in enumerate(matrix.rows) for j, column in enumerate(matrix.columns)
    }
    assert {pair: count for pair, count in cells.items() if count} == {
        ("car", "car"): 2,
        ("car", "truck"): 1,
        ("person", "person"): 2,
        ("person", None): 1,
        ("dog", None): 1,
        (None, "person"): 2,
        (None, "car"): 1,
    }
    for place, name in enumerate(matrix.rows[:-1]):
        assert sum(matrix.counts[place]) == gold.table(Task.BOXES)["label"].to_pylist().count(name)
        assert sum(row[place] for row in matrix.counts) == labels.table(Task.BOXES)["label"].to_pylist().count(name)


def test_rare_classes_are_folded_without_losing_a_box() -> None:
    rows = boxes([("a", f"class {number:02}", 60 * number, 0, 50, 50) for number in range(30)])
    same = label_set(Task.BOXES, rows, ["a"])
    matrix = box_confusion(score_boxes(same, same, defaults.IMAGE))
    assert matrix.rows[-2:] == ("…", None)
    assert len(matrix.rows) == 16
    assert matrix.folded == 16
    assert matrix.counts[14][14] == 16
    assert sum(map(sum, matrix.counts)) == 30


def test_shades_tell_nothing_little_and_all_apart(scene: tuple[LabelSet, LabelSet, BoxScore]) -> None:
    matrix = box_confusion(scene[2])
    assert matrix.shade(0, 1) == 0
    assert 1 <= matrix.shade(0, 3) < matrix.shade(0, 0) < 9
    assert matrix.shade(1, 4) == 9


def test_loose_boxes_have_their_own_histogram(scene: tuple[LabelSet, LabelSet, BoxScore]) -> None:
    counts = loose_histogram(scene[2])
    assert len(counts) == 20
    assert sum(counts) == 1
    assert counts[6] == 1  # IoU 1/3


def test_each_kind_of_defect_is_shown_before_a_second_of_one(
    scene: tuple[LabelSet, LabelSet, BoxScore], tmp_path: Path
) -> None:
    gold, labels, score = scene
    for name in IMAGES:
        Image.new("RGB", (400, 320), "grey").save(tmp_path / f"{name}.jpg")
    images = {name: str(tmp_path / f"{name}.jpg") for name in IMAGES}
    cases = worst_defects(score, gold=gold.table(Task.BOXES), labels=labels.table(Task.BOXES), images=images)
    assert cases.total == 5
    assert cases.troubles == ()
    assert {case.kind for case in cases.shown} == {"wrong_class", "missed", "spurious", "duplicate", "loose_box"}
    assert [case.item for case in cases.shown[:3]] == ["img1", "img4", "img3"]
    wrong = cases.shown[0]
    assert (wrong.kind, wrong.gold_label, wrong.label) == ("wrong_class", "car", "truck")
    assert {mark.label for mark in wrong.picture.marks if mark.strong} == {"G car", "V truck"}


def test_missing_and_broken_images_are_named_once_and_the_rest_is_shown(
    scene: tuple[LabelSet, LabelSet, BoxScore], tmp_path: Path
) -> None:
    gold, labels, score = scene
    Image.new("RGB", (400, 320)).save(tmp_path / "img3.png")
    (tmp_path / "img4.png").write_bytes(b"no image")
    images = {name: str(tmp_path / f"{name}.png") for name in ("img1", "img3", "img4")}
    cases = worst_defects(score, gold=gold.table(Task.BOXES), labels=labels.table(Task.BOXES), images=images)
    assert [case.item for case in cases.shown] == ["img3"]
    assert cases.troubles == (
        "img1: the file is not there",
        "img2: no image was given for it",
        "img4: cannot be decoded as an image",
    )


def test_only_so_many_pictures_are_made_and_images_take_turns(tmp_path: Path) -> None:
    items = [f"i{number:02}" for number in range(20)]
    rows = boxes([(item, "car", 30 * n, 0, 20, 20 + n) for item in items for n in range(5)])
    gold, nothing = label_set(Task.BOXES, rows, items), label_set(Task.BOXES, [], items)
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    images = dict.fromkeys(items, str(tmp_path / "a.png"))
    score = score_boxes(nothing, gold, defaults.IMAGE)
    cases = worst_defects(score, gold=gold.table(Task.BOXES), labels=nothing.table(Task.BOXES), images=images)
    assert cases.total == 100
    assert [case.item for case in cases.shown] == items[:MOST_PICTURES]


def test_wrong_texts_come_by_confidence_and_are_cut() -> None:
    items = [f"t{number:02}" for number in range(30)]
    gold = label_set(Task.SENTIMENTS, [{"item": item, "label": "good"} for item in items], items)
    rows = [
        {"item": item, "label": "good" if number < 5 else "bad", "score": None if number == 7 else 1 - number / 100}
        for number, item in enumerate(items[:-1])
    ]
    labels = label_set(Task.SENTIMENTS, rows, items)
    score = score_sentiments(labels, gold, defaults.TEXT)
    total, shown = wrong_texts(score, labels=labels.table(Task.SENTIMENTS), texts={"t05": "长" * 1000, "t06": "short"})
    assert total == 25
    assert len(shown) == MOST_TEXTS
    assert [wrong.item for wrong in shown[:3]] == ["t05", "t06", "t08"]
    assert shown[0].text is not None
    assert len(shown[0].text) == TEXT_CHARACTERS
    assert (shown[1].text, shown[2].text) == ("short", None)
    matrix = text_confusion(score)
    assert matrix.columns == (*score.confusion.labels, None)
    assert sum(map(sum, matrix.counts)) == 30


def test_windows_hold_every_hit_and_defect_once() -> None:
    names = [f"v{number}" for number in range(6)]
    frames = {"v0": [10, 300, 590]}
    gold_rows = [{"item": name, "frame": frame, "time_s": frame / 10} for name in names for frame in frames.get(name, [50])]
    vendor_rows = [
        {"item": "v0", "frame": 11, "time_s": 1.1},
        {"item": "v0", "frame": 450, "time_s": 45.0},
        *({"item": name, "frame": 50, "time_s": 5.0} for name in names[1:]),
    ]
    gold, labels = label_set(Task.KEYFRAMES, gold_rows, names), label_set(Task.KEYFRAMES, vendor_rows, names)
    score = score_keyframes(labels, gold, defaults.VIDEO)
    total, cases = worst_videos([score], gold=gold, labels=labels, durations={"v0": 60.0})
    assert total == 6
    assert [case.item for case in cases] == names[:MOST_VIDEOS]
    worst = cases[0]
    assert (worst.defects, worst.step_s, worst.timeline.duration_s) == (3, 10, 60.0)
    assert [(window.hits, window.missed, window.spurious) for window in worst.timeline.windows] == [
        (1, 0, 0),
        (0, 0, 0),
        (0, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0, 1, 0),
    ]
    assert [lane.name for lane in worst.timeline.lanes] == ["G keyframes", "V keyframes"]
    assert cases[1].timeline.duration_s == 5.0  # no duration is known: the last label stands in


def test_events_have_a_lane_for_each_side_of_each_label() -> None:
    event = {"item": "v", "label": "黑屏", "start_frame": 0, "end_frame": 25, "start_s": 0.0, "end_s": 1.0}
    gold = label_set(Task.EVENTS, [event], ["v"])
    labels = label_set(Task.EVENTS, [{**event, "label": "freeze"}], ["v"])
    score = score_events(labels, gold, defaults.VIDEO)
    _, (case,) = worst_videos([score], gold=gold, labels=labels, durations={})
    assert [(lane.name, len(lane.bars)) for lane in case.timeline.lanes] == [
        ("G freeze", 0),
        ("V freeze", 1),
        ("G 黑屏", 1),
        ("V 黑屏", 0),
    ]
