"""The order of a review queue, by slow formulas beside it and by cases that people can check."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InputError
from contract.labelchanges import in_order_of
from contract.labelset import LabelSet
from contract.tables import Kind, State, Task
from qa.review.doubt import MEASURES, doubt, item_doubts
from qa.review.queue import ORDERS, Mix, combined, drafted_items, mix_of, queue_of, rarity
from tests.oracles.deliveries import Row, delivery, items_of, labels_of

SHARES = st.lists(st.integers(0, 5), min_size=2, max_size=5).filter(any)


def slow_doubt(shares: list[float], measure: str) -> float:
    ordered = sorted(shares, reverse=True)
    size = len(shares)
    if measure == "margin":
        return 1 - (ordered[0] - ordered[1])
    if measure == "entropy":
        return -sum(share * math.log(share) for share in shares if share) / math.log(size)
    return (1 - ordered[0]) * size / (size - 1)


@settings(max_examples=100)
@given(SHARES)
def test_doubt_is_what_its_formula_says_between_sure_and_all_alike(parts: list[int]) -> None:
    shares = [part / sum(parts) for part in parts]
    for measure in MEASURES:
        (found,) = doubt(np.array([shares]), measure)
        assert found == pytest.approx(slow_doubt(shares, measure), abs=1e-12)
        assert 0 <= found <= 1 + 1e-12
        size = len(parts)
        assert doubt(np.full((1, size), 1 / size), measure)[0] == pytest.approx(1)
        assert doubt(np.eye(1, size), measure)[0] == pytest.approx(0)


def texts(*shares: dict[str, float] | None) -> LabelSet:
    rows: list[Row] = []
    for number, share in enumerate(shares):
        likeliest = max(share, key=lambda name: share[name]) if share else "a"
        score = share[likeliest] if share else 0.5
        pairs = list(share.items()) if share else None
        rows.append({"item": f"t{number:03}", "label": likeliest, "score": score, "probabilities": pairs})
    return labels_of({Task.SENTIMENTS: rows}, items_of(0, len(shares), 0))


def test_texts_are_doubted_by_their_probabilities_and_by_the_score_where_they_have_none() -> None:
    labels = texts({"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.05, "c": 0.05}, {"a": 0.9, "b": 0.1}, None)
    items = drafted_items(labels, Kind.TEXT)
    assert item_doubts(Kind.TEXT, labels, items, measure="margin") == pytest.approx([1, 0.15, 0.2, 1])
    by_entropy = item_doubts(Kind.TEXT, labels, items, measure="entropy")
    assert by_entropy[1] == pytest.approx(slow_doubt([0.9, 0.05, 0.05], "entropy"))


def test_an_images_doubt_is_the_sum_over_its_boxes_and_a_box_without_a_score_is_all_doubt() -> None:
    rows: list[Row] = [
        {"item": "i000.png", "label": "a", "x": 0, "y": 0, "w": 1, "h": 1, "score": score}
        for score in (0.5, 1.0, 0.75, None)
    ]
    labels = labels_of({Task.BOXES: rows}, items_of(2, 0, 0))
    found = item_doubts(Kind.IMAGE, labels, drafted_items(labels, Kind.IMAGE), measure="margin")
    assert found.tolist() == [1 + 0 + 0.5 + 1, 0]


def test_gradual_changes_and_unsure_events_make_a_video_doubtful() -> None:
    shots: list[Row] = [
        {"item": "v00.mp4", "start_frame": at, "end_frame": at + 1, "start_s": at, "end_s": at + 1, "transition": kind}
        for at, kind in enumerate(["start", "cut", "dissolve", "wipe"])
    ]
    event: Row = {"item": "v01.mp4", "label": "e", "start_frame": 0, "end_frame": 1, "start_s": 0, "end_s": 1, "score": 0.9}
    labels = labels_of({Task.SHOTS: shots, Task.EVENTS: [event], Task.KEYFRAMES: []}, items_of(0, 0, 2))
    found = item_doubts(Kind.VIDEO, labels, drafted_items(labels, Kind.VIDEO), measure="margin")
    assert found == pytest.approx([1.0, 0.2])


def test_rare_classes_weigh_as_their_share_of_items() -> None:
    names = ["a", "a", "a", "b"]
    rows: list[Row] = [
        {"item": f"i00{n}.png", "label": name, "x": 0, "y": 0, "w": 1, "h": 1} for n, name in enumerate(names)
    ]
    rows.append({**rows[0], "label": "b"})
    labels = labels_of({Task.BOXES: rows}, items_of(5, 0, 0))
    found = rarity(Kind.IMAGE, labels, drafted_items(labels, Kind.IMAGE))
    assert found == pytest.approx([math.log2(5 / 2), math.log2(5 / 3), math.log2(5 / 3), math.log2(5 / 2), 0])


VALUES = st.lists(st.integers(0, 4), min_size=1, max_size=9)


@settings(max_examples=100)
@given(st.data(), VALUES)
def test_a_mix_is_the_weighted_mean_of_places(data: Any, first: list[int]) -> None:
    second = data.draw(st.lists(st.integers(0, 4), min_size=len(first), max_size=len(first)))
    weights = {"uncertainty": 2.0, "rare": 1.0}
    parts = {"uncertainty": np.array(first, float), "rare": np.array(second, float)}

    def place(values: list[int], at: int) -> float:
        others = [value for index, value in enumerate(values) if index != at]
        if not others:
            return 0.0
        return sum(1.0 if value < values[at] else 0.5 if value == values[at] else 0.0 for value in others) / len(others)

    wanted = [(2 * place(first, at) + place(second, at)) / 3 for at in range(len(first))]
    assert combined(parts, Mix(weights)) == pytest.approx(wanted)
    assert combined(parts, Mix({"rare": 3.0})).tolist() == second


@settings(max_examples=60)
@given(st.data())
def test_the_queue_holds_each_item_once_ordered_by_priority_then_id(data: Any) -> None:
    names = data.draw(st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=8))
    states = {name: data.draw(st.sampled_from([State.LABELLED, State.EMPTY, State.MISSING])) for name in names}
    labels = labels_of({Task.BOXES: []}, dict.fromkeys(names, Kind.IMAGE), states)
    items = drafted_items(labels, Kind.IMAGE).to_pylist()
    assert items == sorted(name for name in names if states[name] is not State.MISSING)
    values = dict(zip(items, data.draw(st.lists(st.integers(0, 2), min_size=len(items), max_size=len(items))), strict=True))
    spared = frozenset(data.draw(st.sets(st.sampled_from(items)))) if items else frozenset()
    parts = {"uncertainty": np.array(list(values.values()), float)}
    rows = queue_of(Kind.IMAGE, labels, parts, Mix({"uncertainty": 1.0}), spared).to_pylist()
    assert sorted(row["item"] for row in rows) == sorted(names)
    assert [row["rank"] for row in rows] == list(range(1, len(names) + 1))
    keys = [(row["item"] in items, row["item"] in spared, -values.get(row["item"], 0), row["item"]) for row in rows]
    assert keys == sorted(keys)
    assert {row["item"] for row in rows if row["review"] == "sample"} == spared
    assert all((row["priority"] is None) == (row["item"] not in items) for row in rows)
    unordered = queue_of(Kind.IMAGE, labels, {}, Mix({}))
    assert unordered["item"].to_pylist() == names


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("none", {}),
        ("novelty", {"novelty": 1}),
        ("uncertainty=2, rare=0.5", {"uncertainty": 2, "rare": 0.5}),
        (",".join(ORDERS), dict.fromkeys(ORDERS, 1)),
    ],
)
def test_orders_that_can_be_asked_for(text: str, weights: dict[str, float]) -> None:
    assert mix_of(text).weights == weights


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uncertanty", "did you mean 'uncertainty'"),
        ("rare,rare=2", "stands twice"),
        ("rare=x", "not a number"),
        ("rare=0", "over 0"),
        ("rare=nan", "over 0"),
        ("rare=inf", "over 0"),
        ("", "write none"),
    ],
)
def test_orders_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        mix_of(text)


def test_labels_follow_their_items_into_another_order() -> None:
    labels, _ = delivery(3)
    items = sorted(labels.states["item"].to_pylist(), reverse=True)
    found = in_order_of(labels, items)
    assert found.states["item"].to_pylist() == items
    for task, table in labels.tables.items():
        wanted = [row for item in items for row in table.to_pylist() if row["item"] == item]
        assert found.tables[task].to_pylist() == wanted
    assert isinstance(found.states, pa.Table)
