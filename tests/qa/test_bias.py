"""What became of drafts, against a slow count by hand."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelset import LabelSet
from contract.tables import State, Task
from qa import defaults
from qa.bias import bias_of, handled
from qa.consistency import Profiles
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots
from tests.oracles.deliveries import Row, delivery, items_of, labels_of
from tests.oracles.matching import best_matching

PROFILES = Profiles()
NONE: frozenset[str] = frozenset()
SIDES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 3.0])
BOXES = st.lists(st.tuples(st.sampled_from(["i000.png", "i001.png"]), st.sampled_from("ab"), SIDES, SIDES), max_size=6)


def boxes(rows: list[tuple[str, str, float, float]]) -> LabelSet:
    some: list[Row] = [{"item": item, "label": label, "x": x, "y": y, "w": 5.0, "h": 5.0} for item, label, x, y in rows]
    return labels_of({Task.BOXES: some}, items_of(2, 0, 0))


@settings(max_examples=80)
@given(BOXES, BOXES, st.sampled_from([0.0, 0.25, 0.5]))
def test_untouched_boxes_are_a_largest_pairing_within_the_tolerance(drafts: Any, labels: Any, epsilon: float) -> None:
    of = handled(Task.BOXES, boxes(drafts), boxes(labels), epsilon_px=epsilon)
    edges = {
        (i, j): 1.0
        for i, one in enumerate(drafts)
        for j, other in enumerate(labels)
        if one[:2] == other[:2] and abs(one[2] - other[2]) <= epsilon and abs(one[3] - other[3]) <= epsilon
    }
    pairs, _ = best_matching(edges)
    assert int(of.draft_kept.sum()) == int(of.label_kept.sum()) == pairs


KEYS = {
    Task.SENTIMENTS: ("item", "label"),
    Task.SHOTS: ("item", "start_frame", "end_frame"),
    Task.KEYFRAMES: ("item", "frame"),
    Task.EVENTS: ("item", "label", "start_frame", "end_frame"),
}


@pytest.mark.parametrize("task", list(KEYS))
@pytest.mark.parametrize("seed", [1, 2])
def test_other_labels_are_untouched_where_their_keys_are_equal(task: Task, seed: int) -> None:
    drafts, labels = delivery(seed)
    of = handled(task, drafts, labels)
    both = [
        Counter(tuple(row[key] for key in KEYS[task]) for row in side.table(task).to_pylist()) for side in (drafts, labels)
    ]
    same = sum((both[0] & both[1]).values())
    assert int(of.draft_kept.sum()) == int(of.label_kept.sum()) == same > 0
    found = bias_of(task, of, None, blind=NONE, profiles=PROFILES)
    assert (found.drafts, found.untouched) == (drafts.table(task).num_rows, same)
    assert found.untouched_share.estimate == pytest.approx(same / found.drafts)
    assert found.untouched_share.lower is not None
    assert found.untouched_share.lower < same / found.drafts
    unchanged = 0
    for item in of.items:
        ours = [Counter({key: n for key, n in side.items() if key[0] == item}) for side in both]
        unchanged += ours[0] == ours[1]
    assert found.unchanged_items == unchanged
    assert found.reasons["accuracy_untouched"]


def scored(task: Task, labels: LabelSet, gold: LabelSet) -> Any:
    if task is Task.BOXES:
        return score_boxes(labels, gold, defaults.IMAGE)
    if task is Task.SENTIMENTS:
        return score_sentiments(labels, gold, defaults.TEXT)
    scorer = {Task.SHOTS: score_shots, Task.KEYFRAMES: score_keyframes, Task.EVENTS: score_events}[task]
    return scorer(labels, gold, defaults.VIDEO)


def edited(drafts: LabelSet, gold: LabelSet, task: Task, every: int) -> LabelSet:
    """Return drafts of which the items at each `every`-th place were replaced by gold."""
    items = sorted(set(drafts.states["item"].to_pylist()))[::every]
    parts = []
    for side, inside in ((drafts, False), (gold, True)):
        mine = [(row["item"] in items) is inside for row in side.table(task).to_pylist()]
        parts.append(side.table(task).filter(pa.array(mine, pa.bool_())))
    return LabelSet(drafts.states, {task: pa.concat_tables(parts)})


@pytest.mark.parametrize("task", list(Task))
def test_edited_labels_are_right_where_people_put_gold(task: Task) -> None:
    drafts, gold = delivery(4, texts=120)
    labels = edited(drafts, gold, task, 2)
    score = scored(task, labels, gold)
    found = bias_of(task, handled(task, drafts, labels, epsilon_px=0), score, blind=NONE, profiles=PROFILES)
    assert found.accuracy_edited is not None
    assert found.accuracy_untouched is not None
    assert found.accuracy_edited.accuracy.estimate == 1
    assert found.accuracy_edited.right == found.accuracy_edited.labels > 0
    assert 0.5 < (found.accuracy_untouched.accuracy.estimate or 0) < 1
    counted = found.accuracy_edited.labels + found.accuracy_untouched.labels
    if isinstance(score.model_dump().get("n"), int):
        assert counted == score.n - len(score.coverage.incomplete)
    else:
        rates = score.contract if task is Task.BOXES else score
        assert counted == rates.tp + rates.fp
    assert found.reasons == {"against_blind": "no item of the gold is known to be blind"}


@pytest.mark.parametrize("task", [Task.BOXES, Task.SENTIMENTS, Task.EVENTS])
def test_gold_that_follows_the_drafts_is_told_from_blind_gold(task: Task) -> None:
    drafts, truth = delivery(5, images=60, texts=200, videos=160)
    items = sorted(drafts.states["item"].to_pylist())
    blind = frozenset(items[::2])
    states = truth.states
    parts = []
    for side, inside in ((truth, True), (drafts, False)):
        mine = [(row["item"] in blind) is inside for row in side.table(task).to_pylist()]
        parts.append(side.table(task).filter(pa.array(mine, pa.bool_())))
    gold = LabelSet(states, {task: pa.concat_tables(parts)})
    found = bias_of(task, handled(task, drafts, drafts), scored(task, drafts, gold), blind=blind, profiles=PROFILES)
    assert found.against_blind is not None
    assert found.against_corrected is not None
    assert (found.against_blind.estimate or 0) < 0.95
    assert found.against_corrected.estimate == pytest.approx(1, abs=0.03)
    assert found.anchored
    assert found.difference == pytest.approx((found.against_corrected.estimate or 0) - (found.against_blind.estimate or 0))
    assert 0 < (found.difference_lower or 0) < (found.difference or 0)
    honest = bias_of(task, handled(task, drafts, drafts), scored(task, drafts, truth), blind=blind, profiles=PROFILES)
    assert honest.anchored is False


def test_items_that_nobody_spoke_of_are_left_out() -> None:
    items = items_of(3, 0, 0)
    drafts = labels_of(
        {Task.BOXES: []}, items, {"i000.png": State.EMPTY, "i001.png": State.MISSING, "i002.png": State.EMPTY}
    )
    labels = labels_of({Task.BOXES: []}, items, {"i000.png": State.EMPTY, "i002.png": State.MISSING})
    found = bias_of(Task.BOXES, handled(Task.BOXES, drafts, labels), None, blind=NONE, profiles=PROFILES)
    assert (found.items, found.unchanged_items, found.drafts) == (1, 1, 0)
    assert found.untouched_share.estimate is None
    assert found.untouched_share.reason
    assert np.array_equal(handled(Task.BOXES, drafts, labels).label_row, [])
