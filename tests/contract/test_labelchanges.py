"""Parts and changes of label sets, beside a comparison by plain multisets."""

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelchanges import changed_items, only_items, replace_items, without_items
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Task

Rows = dict[str, list[tuple[str, float]]]
ITEMS = ["a", "b", "c", "d"]
BOXES = st.dictionaries(
    st.sampled_from(ITEMS),
    st.lists(st.tuples(st.sampled_from(["car", "bus"]), st.sampled_from([0.0, 1.0, 1.5])), max_size=3),
)


def label_set(rows: Rows, *, source: str = "x") -> LabelSet:
    states = [{"item": item, "kind": "image", "state": "labelled" if boxes else "empty"} for item, boxes in rows.items()]
    table = [
        {"item": item, "label": label, "x": x, "y": 0.0, "w": 2.0, "h": 2.0, "score": None, "source": source}
        for item, boxes in rows.items()
        for label, x in boxes
    ]
    return LabelSet(
        pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: pa.Table.from_pylist(table, schema=SCHEMAS[Task.BOXES])}
    )


@given(BOXES, BOXES)
@settings(max_examples=100, deadline=None)
def test_changes_are_those_of_plain_multisets(before: Rows, after: Rows) -> None:
    slow = {
        item
        for item in ITEMS
        if (item in before) != (item in after) or Counter(before.get(item, [])) != Counter(after.get(item, []))
    }
    assert changed_items(label_set(before), label_set(after, source="y")) == slow
    assert changed_items(label_set(after), label_set(before)) == slow


@given(BOXES, BOXES)
@settings(max_examples=100, deadline=None)
def test_replacing_takes_the_new_items_and_keeps_the_rest(before: Rows, new: Rows) -> None:
    merged = replace_items(label_set(before), label_set(new))
    assert not changed_items(merged, label_set({**before, **new}))


def test_an_unchanged_number_within_a_millionth_is_no_change() -> None:
    assert not changed_items(label_set({"a": [("car", 1.0)]}), label_set({"a": [("car", 1.0 + 1e-9)]}))
    assert changed_items(label_set({"a": [("car", 1.0)]}), label_set({"a": [("car", 1.001)]})) == {"a"}


def video(task: Task, item: str, **fields: Any) -> LabelSet:
    states = pa.Table.from_pylist([{"item": item, "kind": "video", "state": "labelled" if fields else "empty"}], STATES)
    rows = [{"item": item, **fields}] if fields else []
    return LabelSet(states, {task: pa.Table.from_pylist(rows, schema=SCHEMAS[task])})


def test_a_file_of_one_task_leaves_the_others_alone() -> None:
    keyframe = video(Task.KEYFRAMES, "v", frame=3, time_s=0.1, score=None, source=None)
    event = video(Task.EVENTS, "v", label="e", start_frame=0, end_frame=9, start_s=0.0, end_s=0.3, score=None, source=None)
    both = replace_items(event, keyframe)
    assert {task: table.num_rows for task, table in both.tables.items() if table.num_rows} == {
        Task.KEYFRAMES: 1,
        Task.EVENTS: 1,
    }
    emptied = replace_items(both, video(Task.KEYFRAMES, "v"))
    assert emptied.states.to_pylist()[0]["state"] == "labelled"
    assert (emptied.table(Task.KEYFRAMES).num_rows, emptied.table(Task.EVENTS).num_rows) == (0, 1)


def test_parts_of_a_set() -> None:
    whole = label_set({"a": [("car", 1.0)], "b": [], "c": [("bus", 0.0)]})
    assert only_items(whole, ["c", "zzz"]).states["item"].to_pylist() == ["c"]
    assert without_items(whole, ["c"]).table(Task.BOXES)["item"].to_pylist() == ["a"]
