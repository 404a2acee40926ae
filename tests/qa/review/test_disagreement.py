"""How far two drafts are apart, against plain loops."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelset import LabelSet
from contract.tables import Kind, Task
from qa.review.disagreement import Readings, disagreements, divergence
from tests.oracles.deliveries import Row, delivery, items_of, labels_of
from tests.oracles.matching import best_matching, plain_iou

READINGS = Readings()
Box = tuple[str, str, float, float]
PLACES = st.sampled_from([0.0, 1.0, 2.0, 5.0, 20.0])
BOXES = st.lists(st.tuples(st.sampled_from(["i000.png", "i001.png"]), st.sampled_from("ab"), PLACES, PLACES), max_size=6)


def corners(box: Box) -> tuple[float, ...]:
    return box[2], box[3], box[2] + 10.0, box[3] + 10.0


def boxes(rows: list[Box]) -> LabelSet:
    some: list[Row] = [{"item": item, "label": label, "x": x, "y": y, "w": 10.0, "h": 10.0} for item, label, x, y in rows]
    return labels_of({Task.BOXES: some}, items_of(2, 0, 0))


@settings(max_examples=80)
@given(BOXES, BOXES)
def test_boxes_are_apart_by_what_the_best_pairing_leaves(
    one: list[tuple[str, str, float, float]], other: list[tuple[str, str, float, float]]
) -> None:
    items = ["i000.png", "i001.png"]
    found = disagreements(Kind.IMAGE, boxes(one), boxes(other), pa.array(items), readings=READINGS)
    back = disagreements(Kind.IMAGE, boxes(other), boxes(one), pa.array(items), readings=READINGS)
    assert found == pytest.approx(back)
    for place, item in enumerate(items):
        ours, theirs = ([row for row in side if row[0] == item] for side in (one, other))
        edges = {}
        for i, mine in enumerate(ours):
            for j, yours in enumerate(theirs):
                overlap = plain_iou(corners(mine), corners(yours))
                if mine[1] == yours[1] and overlap >= 0.5 - 1e-9:
                    edges[i, j] = overlap
        _, total = best_matching(edges)
        both = len(ours) + len(theirs)
        assert found[place] == pytest.approx(1 - 2 * total / both if both else 0.0)


def test_texts_with_other_labels_come_before_those_with_other_probabilities() -> None:
    def sentiment(item: str, label: str, shares: dict[str, float] | None) -> Row:
        return {"item": item, "label": label, "probabilities": list(shares.items()) if shares else None}

    kinds = items_of(0, 4, 0)
    one = [
        sentiment("t000", "a", {"a": 0.6, "b": 0.4}),
        sentiment("t001", "a", {"a": 0.9, "b": 0.1}),
        sentiment("t002", "a", {"a": 1.0}),
        sentiment("t003", "a", None),
    ]
    other = [
        sentiment("t000", "b", {"a": 0.4, "b": 0.6}),
        sentiment("t001", "a", {"a": 0.6, "b": 0.4}),
        sentiment("t002", "b", {"b": 1.0}),
        sentiment("t003", "a", {"a": 1.0}),
    ]
    ours, theirs = (labels_of({Task.SENTIMENTS: rows}, kinds) for rows in (one, other))
    found = disagreements(Kind.TEXT, ours, theirs, pa.array(list(kinds)), readings=READINGS)
    assert found.tolist() == pytest.approx([1 + found[0] % 1, found[1], 2.0, 0.0])
    assert 0 < found[1] < 1 < found[0] < 2


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4))
def test_divergence_is_the_entropy_of_the_mean_less_the_mean_entropy(parts: list[tuple[int, int]]) -> None:
    one, other = ({str(n): float(pair[side]) for n, pair in enumerate(parts)} for side in (0, 1))

    def entropy(shares: list[float]) -> float:
        return -sum(share * math.log2(share) for share in shares if share)

    found = divergence(one, other)
    assert found == pytest.approx(divergence(other, one))
    if not sum(one.values()) or not sum(other.values()):
        assert found == 0
        return
    p, q = ([value / sum(side.values()) for value in side.values()] for side in (one, other))
    wanted = entropy([(a + b) / 2 for a, b in zip(p, q, strict=True)]) - (entropy(p) + entropy(q)) / 2
    assert found == pytest.approx(wanted, abs=1e-12)


def test_a_videos_distance_is_the_mean_over_what_either_draft_has() -> None:
    def shot(item: str, start: int) -> Row:
        return {
            "item": item,
            "start_frame": start,
            "end_frame": start + 10,
            "start_s": start / 25,
            "end_s": start / 25 + 0.4,
            "transition": "cut",
        }

    def event(item: str, start: float) -> Row:
        return {"item": item, "label": "e", "start_frame": 0, "end_frame": 1, "start_s": start, "end_s": start + 2.0}

    kinds = items_of(0, 0, 3)
    one = labels_of({Task.SHOTS: [shot("v00.mp4", 0), shot("v00.mp4", 50)], Task.EVENTS: [event("v00.mp4", 1.0)]}, kinds)
    other = labels_of({Task.SHOTS: [shot("v00.mp4", 1), shot("v01.mp4", 0)], Task.EVENTS: [event("v00.mp4", 1.5)]}, kinds)
    found = disagreements(Kind.VIDEO, one, other, pa.array(list(kinds)), readings=READINGS)
    assert found == pytest.approx([(1 - 2 / 3 + 0) / 2, 1.0, 0.0])


@pytest.mark.parametrize("kind", list(Kind))
def test_a_draft_agrees_with_itself_in_any_order_of_rows(kind: Kind) -> None:
    labels, other = delivery(5)
    rng = np.random.default_rng(1)
    shuffled = LabelSet(
        labels.states, {task: table.take(rng.permutation(table.num_rows)) for task, table in labels.tables.items()}
    )
    states = labels.states.to_pylist()
    items = pa.array(sorted(row["item"] for row in states if row["kind"] == kind.value))
    assert disagreements(kind, labels, shuffled, items, readings=READINGS) == pytest.approx(np.zeros(len(items)), abs=1e-9)
    apart = disagreements(kind, labels, other, items, readings=READINGS)
    assert apart.sum() > 0
    assert apart == pytest.approx(disagreements(kind, shuffled, other, items, readings=READINGS))
