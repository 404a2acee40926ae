"""Validation names the item and the defect, on a lot and without one."""

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.tables import ITEMS, KIND_OF_TASK, SCHEMAS, STATES, Kind, Task
from contract.validate import validate_labels, validate_tables
from tests.oracles.lots import GUIDELINE, item_row

LOT = pa.Table.from_pylist(
    [
        item_row("a.jpg", Kind.IMAGE, width=100, height=50),
        item_row("b.jpg", Kind.IMAGE, width=100, height=50),
        item_row("t1", Kind.TEXT),
        item_row("v.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0),
    ],
    schema=ITEMS,
)
BOX = {"item": "a.jpg", "label": "star", "x": 10.0, "y": 10.0, "w": 20.0, "h": 20.0}
SENTIMENT = {"item": "t1", "label": "positive"}
SHOT = {"item": "v.mp4", "start_frame": 0, "end_frame": 250, "start_s": 0.0, "end_s": 10.0, "transition": "start"}
KEYFRAME = {"item": "v.mp4", "frame": 5, "time_s": 0.2}
EVENT = {"item": "v.mp4", "label": "star_present", "start_frame": 0, "end_frame": 25, "start_s": 0.0, "end_s": 1.0}
ROWS: dict[Task, dict[str, Any]] = {
    Task.BOXES: BOX, Task.SENTIMENTS: SENTIMENT, Task.SHOTS: SHOT, Task.KEYFRAMES: KEYFRAME, Task.EVENTS: EVENT,
}  # fmt: skip


def labels_with(task: Task, rows: list[dict[str, Any]], states: list[tuple[str, str, str]] | None = None) -> LabelSet:
    if states is None:
        states = [(item, KIND_OF_TASK[task].value, "labelled") for item in dict.fromkeys(row["item"] for row in rows)]
    entries = [{"item": item, "kind": kind, "state": state} for item, kind, state in states]
    return LabelSet(pa.Table.from_pylist(entries, schema=STATES), {task: pa.Table.from_pylist(rows, schema=SCHEMAS[task])})


def refusal(labels: LabelSet) -> str:
    with pytest.raises(LabelsError) as caught:
        validate_labels(labels, items=LOT, guideline=GUIDELINE)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("task", list(Task))
def test_good_labels_pass(task: Task) -> None:
    labels = labels_with(task, [ROWS[task]])
    validate_labels(labels, items=LOT, guideline=GUIDELINE)
    validate_tables(labels)


@pytest.mark.parametrize(
    ("task", "change", "told"),
    [
        (Task.BOXES, {"item": "c.jpg"}, "item 'c.jpg' is not in the lot; did you mean '"),
        (Task.BOXES, {"label": "sta"}, "item 'a.jpg': class 'sta' is not in guideline demo-1; did you mean 'star'?"),
        (Task.BOXES, {"x": math.nan}, "item 'a.jpg': x is nan"),
        (Task.BOXES, {"w": math.inf}, "item 'a.jpg': w is inf"),
        (Task.BOXES, {"score": math.nan}, "item 'a.jpg': score is nan"),
        (Task.BOXES, {"score": 1.5}, "item 'a.jpg': score 1.5 is not within 0 and 1"),
        (Task.BOXES, {"w": 0.0}, "item 'a.jpg': box x 10, y 10, w 0, h 20 has no area"),
        (Task.BOXES, {"h": -3.0}, "w 20, h -3 has no area"),
        (Task.BOXES, {"x": -1.5}, "is outside its image of 100 x 50 px"),
        (Task.BOXES, {"y": 31.5}, "is outside its image of 100 x 50 px"),
        (
            Task.SENTIMENTS,
            {"label": "Positive"},
            "sentiment 'Positive' is not in guideline demo-1; did you mean 'positive'?",
        ),
        (Task.SENTIMENTS, {"item": "a.jpg"}, "item 'a.jpg' is image, not text"),
        (Task.SHOTS, {"end_frame": 251}, "item 'v.mp4': end_frame 251 is beyond its video of 250 frames"),
        (Task.SHOTS, {"end_s": 10.1}, "item 'v.mp4': end_s 10.1 is beyond its video of 10 s"),
        (Task.SHOTS, {"start_frame": 250}, "item 'v.mp4': start_frame 250 is not before end_frame 250"),
        (Task.SHOTS, {"transition": "cutt"}, "transition 'cutt' is not in goldgate; did you mean 'cut'?"),
        (Task.KEYFRAMES, {"frame": 250}, "item 'v.mp4': frame 250 is beyond its video"),
        (Task.KEYFRAMES, {"frame": -1}, "item 'v.mp4': frame -1 is negative"),
        (Task.KEYFRAMES, {"time_s": -0.1}, "item 'v.mp4': time_s -0.1 is negative"),
        (Task.EVENTS, {"label": "star_here"}, "event 'star_here' is not in guideline demo-1; did you mean 'star_present'?"),
        (Task.EVENTS, {"end_s": 0.0}, "start_s 0 is not before end_s 0"),
    ],
)
def test_defect_is_named(task: Task, change: dict[str, Any], told: str) -> None:
    assert told in refusal(labels_with(task, [ROWS[task] | change]))


@pytest.mark.parametrize("change", [{"x": -1.0}, {"y": 31.0}, {"x": 81.0}, {"w": 91.0}])
def test_box_may_stick_out_by_one_pixel(change: dict[str, Any]) -> None:
    validate_labels(labels_with(Task.BOXES, [BOX | change]), items=LOT, guideline=GUIDELINE)


def test_time_may_stick_out_by_one_frame() -> None:
    validate_labels(labels_with(Task.SHOTS, [SHOT | {"end_s": 10.04}]), items=LOT, guideline=GUIDELINE)


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([("a.jpg", "image", "labelled")] * 2, "item 'a.jpg' stands twice in the states"),
        ([("a.jpg", "image", "empty")], "item 'a.jpg': has boxes but is marked empty"),
        ([("a.jpg", "image", "missing")], "item 'a.jpg': has boxes but is marked missing"),
        ([("a.jpg", "image", "done")], "item 'a.jpg': state 'done' is unknown"),
        ([("b.jpg", "image", "empty")], "item 'a.jpg': has boxes but no state"),
        ([("a.jpg", "text", "labelled")], "item 'a.jpg' is image, not text"),
        (
            [("a.jpg", "image", "labelled"), ("b.jpg", "image", "labelled")],
            "item 'b.jpg': is marked labelled but has no label",
        ),
    ],
)
def test_states_and_labels_agree(states: list[tuple[str, str, str]], told: str) -> None:
    assert told in refusal(labels_with(Task.BOXES, [BOX], states))


def test_two_sentiments_of_one_text() -> None:
    labels = labels_with(Task.SENTIMENTS, [SENTIMENT, SENTIMENT | {"label": "negative"}])
    assert "item 't1': has two sentiments" in refusal(labels)
    with pytest.raises(LabelsError, match="mine: 1 defect: item 't1': has two sentiments"):
        validate_tables(labels, origin="mine")


def test_only_the_first_defects_are_told_and_all_are_counted() -> None:
    message = refusal(labels_with(Task.BOXES, [BOX | {"label": f"class-{index}"} for index in range(20)]))
    assert "20 defects" in message
    assert message.count("is not in guideline") == 5
    assert message.endswith("; and 15 more")


def test_tables_alone_know_no_lot_but_know_numbers() -> None:
    validate_tables(labels_with(Task.BOXES, [BOX | {"item": "elsewhere", "label": "anything", "x": -500.0, "w": 0.0}]))
    for change, told in (
        ({"w": -1.0}, "negative size, w -1"),
        ({"y": math.inf}, "y is inf"),
        ({"area": math.nan}, "area is nan"),
    ):
        with pytest.raises(LabelsError, match=told):
            validate_tables(labels_with(Task.BOXES, [BOX | change]))


def test_table_of_another_task_is_refused() -> None:
    labels = labels_with(Task.BOXES, [BOX])
    wrong = LabelSet(labels.states, {Task.EVENTS: labels.table(Task.BOXES)})
    assert "table events does not have the columns of events" in refusal(wrong)


def test_nothing_is_valid() -> None:
    for task in Task:
        validate_labels(labels_with(task, []), items=LOT, guideline=GUIDELINE)


def is_good(row: dict[str, Any]) -> bool:
    """The contract's clause 3.1 on one box, in scalar arithmetic."""
    numbers = [row["x"], row["y"], row["w"], row["h"]]
    if not all(math.isfinite(number) for number in numbers) or row["label"] not in GUIDELINE.class_names:
        return False
    x, y, w, h = numbers
    return bool(w > 0 and h > 0 and x >= -1 and y >= -1 and x + w <= 101 and y + h <= 51)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "item": st.just("a.jpg"),
                "label": st.sampled_from(["star", "circle", "cross"]),
                **{
                    name: st.sampled_from([-2.0, -1.0, 0.0, 1.0, 50.0, 51.0, 100.0, 101.0, math.nan, math.inf])
                    for name in "xywh"
                },
            }
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whole_columns_agree_with_one_box_at_a_time(rows: list[dict[str, Any]]) -> None:
    labels = labels_with(Task.BOXES, rows)
    if all(is_good(row) for row in rows):
        validate_labels(labels, items=LOT, guideline=GUIDELINE)
    else:
        refusal(labels)
