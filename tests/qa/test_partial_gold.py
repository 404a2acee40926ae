"""Gold of a sample: states say what is checked, and rows of other items count for nothing, wherever they stand."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelchanges import only_items
from contract.labelset import LabelSet
from contract.scores import BoxScore, Score
from contract.tables import KIND_OF_TASK, SCHEMAS, STATES, Kind, Task
from contract.terms import load_terms
from qa.reworklist import box_defects
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots

ACCEPTANCE = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml").acceptance
ITEMS = ["a", "b", "c", "d", "e"]
LABELS = st.sampled_from(["x", "y"])
SPOTS = st.integers(0, 3)


def row_of(task: Task, item: str, label: str, spot: int, score: float) -> dict[str, Any]:
    start, end = 10 * spot, 10 * spot + 8
    span = {"start_frame": start, "end_frame": end, "start_s": start / 10, "end_s": end / 10}
    return {
        Task.BOXES: {"item": item, "label": label, "x": 30.0 * spot, "y": 0.0, "w": 20.0, "h": 20.0, "score": score},
        Task.SENTIMENTS: {"item": item, "label": label, "score": score},
        Task.SHOTS: {"item": item, **span, "transition": "cut"},
        Task.KEYFRAMES: {"item": item, "frame": start, "time_s": start / 10},
        Task.EVENTS: {"item": item, "label": label, **span, "score": score},
    }[task]


def label_set(task: Task, drawn: dict[str, list[tuple[str, int]]]) -> LabelSet:
    kind = KIND_OF_TASK[task].value
    states = [{"item": item, "kind": kind, "state": "labelled" if marks else "empty"} for item, marks in drawn.items()]
    rows = [
        row_of(task, item, label, spot, 0.9 - 0.1 * spot)
        for item, marks in drawn.items()
        for label, spot in (marks[:1] if task is Task.SENTIMENTS else marks)
    ]
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {task: pa.Table.from_pylist(rows, schema=SCHEMAS[task])})


def score_of(task: Task, labels: LabelSet, gold: LabelSet) -> Score:
    profile: Any = ACCEPTANCE.profiles[KIND_OF_TASK[task].value]
    if task is Task.BOXES:
        return score_boxes(labels, gold, profile)
    if task is Task.SENTIMENTS:
        return score_sentiments(labels, gold, profile, label_order=("x", "y"))
    scorer: Any = {Task.SHOTS: score_shots, Task.KEYFRAMES: score_keyframes, Task.EVENTS: score_events}[task]
    found: Score = scorer(labels, gold, profile)
    return found


ONES = st.lists(st.tuples(LABELS, SPOTS), min_size=1, max_size=3, unique=True)
MARKS = st.fixed_dictionaries(dict.fromkeys(ITEMS, ONES))


@given(st.sampled_from(list(Task)), MARKS, MARKS, st.sets(st.sampled_from(ITEMS), min_size=1), st.permutations(ITEMS))
@settings(max_examples=100, deadline=None)
def test_rows_of_unchecked_items_count_for_nothing(
    task: Task, ours: Any, theirs: Any, sampled: set[str], order: list[str]
) -> None:
    labels, gold = label_set(task, ours), label_set(task, {item: theirs[item] for item in order})
    small = only_items(gold, sampled)
    kept = score_of(task, labels, LabelSet(small.states, gold.tables))
    cut = score_of(task, labels, small)
    assert json.dumps(kept.model_dump(mode="json"), sort_keys=True) == json.dumps(
        cut.model_dump(mode="json"), sort_keys=True
    )
    assert kept.coverage.items == len(sampled)


@given(MARKS, MARKS, st.sets(st.sampled_from(ITEMS), min_size=1))
@settings(max_examples=60, deadline=None)
def test_every_defect_links_to_rows_of_its_item(ours: Any, theirs: Any, sampled: set[str]) -> None:
    labels, gold = label_set(Task.BOXES, ours), label_set(Task.BOXES, theirs)
    score = score_of(Task.BOXES, labels, LabelSet(only_items(gold, sampled).states, gold.tables))
    assert isinstance(score, BoxScore)
    mine, truth = labels.table(Task.BOXES).to_pylist(), gold.table(Task.BOXES).to_pylist()
    found = list(box_defects(score.defect_rows))
    assert len(found) == sum(score.defects.model_dump().values())
    for defect in found:
        assert defect.item in sampled
        assert defect.row is not None or defect.gold_row is not None
        if defect.row is not None:
            assert (mine[defect.row]["item"], mine[defect.row]["label"]) == (defect.item, defect.label)
        if defect.gold_row is not None:
            assert (truth[defect.gold_row]["item"], truth[defect.gold_row]["label"]) == (defect.item, defect.gold_label)


def test_kinds_are_those_of_the_demo() -> None:
    assert set(ACCEPTANCE.profiles) == {kind.value for kind in Kind}
