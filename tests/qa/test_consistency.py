from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.quality import Agreement
from contract.scores import Interval
from contract.tables import Kind, State, Task
from qa import consistency
from qa.consistency import Profiles
from tests.oracles.deliveries import SENTIMENTS, delivery, items_of, labels_of

PROFILES = Profiles(label_order=SENTIMENTS)
NAMES = ("one", "other")


def compare(task: Task, one: LabelSet, other: LabelSet) -> Agreement:
    return consistency.agreement(task, one, other, names=NAMES, profiles=PROFILES)


def same(left: float | None, right: float | None) -> bool:
    return left == right if left is None or right is None else left == pytest.approx(right)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agreement_is_the_same_either_way_round(task: Task, seed: int) -> None:
    one, other = delivery(seed)
    there, back = compare(task, one, other), compare(task, other, one)
    assert there.items == back.items > 0
    assert same(there.bound.estimate, back.bound.estimate)
    assert same(there.bound.lower, back.bound.lower)
    assert all(same(value, back.figures[name]) for name, value in there.figures.items())
    if task is not Task.SENTIMENTS:
        assert there.counts["only_first"] == back.counts["only_second"] > 0
        assert there.counts["matched"] == back.counts["matched"] > 0
    whole = compare(task, one, one)
    assert whole.bound.estimate == 1
    assert all(count == 0 for name, count in whole.counts.items() if name not in {"matched", "agreeing"})


def test_two_people_on_ten_texts_counted_by_hand() -> None:
    items = items_of(0, 10, 0)
    first = ["positive"] * 5 + ["negative"] * 3 + ["neutral"] * 2
    second = ["positive"] * 4 + ["negative"] * 4 + ["neutral"] * 2
    one, other = (
        labels_of(
            {Task.SENTIMENTS: [{"item": item, "label": label} for item, label in zip(items, some, strict=True)]}, items
        )
        for some in (first, second)
    )
    found = compare(Task.SENTIMENTS, one, other)
    assert found.counts == {"agreeing": 9, "disagreeing": 1}
    chance = (5 * 4 + 3 * 4 + 2 * 2) / 100
    assert found.figures["kappa"] == pytest.approx((0.9 - chance) / (1 - chance))
    lower, upper = found.figures["kappa_lower"], found.figures["kappa_upper"]
    assert lower is not None
    assert upper is not None
    assert lower < 0.84 < upper
    assert found.bound.units == 10


def test_only_items_that_both_speak_of_are_compared() -> None:
    items = items_of(3, 0, 0)
    one = labels_of({Task.BOXES: []}, items, {"i000.png": State.EMPTY, "i001.png": State.EMPTY, "i002.png": State.MISSING})
    other = labels_of({Task.BOXES: []}, items, {"i000.png": State.EMPTY, "i001.png": State.EXCUSED, "i002.png": State.EMPTY})
    found = compare(Task.BOXES, one, other)
    assert found.items == 1
    assert found.bound.estimate is None
    assert found.reasons["f1"]
    assert compare(Task.EVENTS, one, other).items == 0


def test_sources_within_a_submission_are_compared_on_shared_items() -> None:
    one, other = delivery(4, texts=0, videos=0)
    tables = []
    for name, part in (("ann", other), ("bob", one)):
        table = part.table(Task.BOXES)
        tables.append(table.set_column(table.column_names.index("source"), "source", pa.array([name] * table.num_rows)))
    both = LabelSet(one.states, {Task.BOXES: pa.concat_tables(tables)})
    (found,) = consistency.agreement_of_sources(both, profiles=PROFILES)
    assert (found.first, found.second) == ("ann", "bob")
    shared = set(tables[0]["item"].to_pylist()) & set(tables[1]["item"].to_pylist())
    assert found.items == len(shared)
    assert 0.7 < (found.bound.estimate or 0) < 1


def lot(rows: list[tuple[str, Kind, str]]) -> pa.Table:
    return pa.table(
        {
            "item": [row[0] for row in rows],
            "kind": [row[1].value for row in rows],
            "sha256": [row[2] for row in rows],
        }
    )


def test_duplicates_are_the_same_digest_or_the_same_text() -> None:
    items = lot(
        [("b.png", Kind.IMAGE, "x"), ("a.png", Kind.IMAGE, "x"), ("c.png", Kind.IMAGE, "y"), ("d.png", Kind.IMAGE, "x")]
        + [(f"t{n}", Kind.TEXT, f"d{n}") for n in range(4)]
    )
    texts = {"t0": "Good  product", "t1": "ＧＯＯＤ product\n", "t2": "good products", "t3": "x"}
    assert consistency.duplicate_pairs(items, texts) == [("a.png", "b.png"), ("a.png", "d.png"), ("t0", "t1")]


def test_self_consistency_compares_each_pair() -> None:
    items = items_of(0, 4, 0)
    given_labels = {"t000": "positive", "t001": "positive", "t002": "negative", "t003": "positive"}
    labels = labels_of({Task.SENTIMENTS: [{"item": i, "label": label} for i, label in given_labels.items()]}, items)
    pairs = [("t000", "t001"), ("t000", "t002"), ("t001", "t003")]
    (found,) = consistency.self_consistency(labels, pairs, name="submission 1", profiles=PROFILES)
    assert found.counts == {"agreeing": 2, "disagreeing": 1}
    images = items_of(2, 0, 0)
    box = {"label": "star", "x": 1.0, "y": 1.0, "w": 10.0, "h": 10.0}
    boxes = labels_of({Task.BOXES: [{"item": "i000.png", **box}, {"item": "i001.png", **box, "x": 2.0}]}, images)
    (found,) = consistency.self_consistency(boxes, [("i000.png", "i001.png")], name="s", profiles=PROFILES)
    assert found.figures["mean_iou"] == pytest.approx(9 / 11)
    with pytest.raises(LabelsError, match="one item"):
        consistency.self_consistency(boxes, [("i000.png", "i000.png")], name="s", profiles=PROFILES)


STATES = st.sampled_from(list(State)[:4]) | st.none()


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), STATES, STATES), max_size=12))
def test_every_item_has_one_fate(rows: list[tuple[Kind, State | None, State | None]]) -> None:
    items = lot([(f"i{n}", kind, "") for n, (kind, _, _) in enumerate(rows)])
    sides = []
    for side in (1, 2):
        named: dict[str, Any] = {f"i{n}": row for n, row in enumerate(rows) if row[side] is not None}
        states = {item: row[side] for item, row in named.items()}
        sides.append(labels_of({}, {item: row[0] for item, row in named.items()}, states))
    for gold in (None, sides[1]):
        found = consistency.completeness(items, sides[0], gold)
        assert sum(each.items for each in found) == len(rows)
        for each in found:
            assert each.items == each.labelled + each.empty + each.excused + each.missing
            assert len(each.missing_items) == each.missing
            own = [(said, other) for kind, said, other in rows if kind is each.kind]
            assert each.labelled == sum(said is State.LABELLED for said, _ in own)
            silent = [other for said, other in own if said not in (State.LABELLED, State.EMPTY)]
            pardoned = sum(other is State.EXCUSED for other in silent) if gold else 0
            assert (each.excused, each.missing) == (pardoned, len(silent) - pardoned)


OBSERVED = [(0.92, 0.02, 0.9024), (0.95, 0.02, 0.9315), (1.0, 0.02, 0.98), (0.92, 0.03, 0.8936), (0.95, 0.05, 0.9037)]


@pytest.mark.parametrize(("true", "error", "seen"), OBSERVED)
def test_gold_with_errors_lowers_what_is_seen(true: float, error: float, seen: float) -> None:
    # the notes' table has four decimals, and 0.95 at e = 0.05 is 0.90375 before it is cut
    assert consistency.observed_accuracy(true, error=error, labels=3) == pytest.approx(seen, abs=6e-5)


@given(st.floats(0, 0.45), st.integers(2, 6))
def test_the_error_of_one_follows_from_the_disagreement_of_two(error: float, labels: int) -> None:
    both_right, both_wrong_alike = (1 - error) ** 2, error**2 / (labels - 1)
    found = consistency.label_error(1 - both_right - both_wrong_alike, labels)
    assert found == pytest.approx(error, abs=1e-7)


def double(disagreeing: int, texts: int) -> Agreement:
    bound = Interval(estimate=None, lower=None, upper=None, method="", confidence=0.95, units=texts)
    counts = {"agreeing": texts - disagreeing, "disagreeing": disagreeing}
    return Agreement(task=Task.SENTIMENTS, first="1", second="2", items=texts, counts=counts, figures={}, bound=bound)


def test_the_ceiling_has_a_limit_and_may_be_undefined() -> None:
    found = consistency.gold_ceiling(double(8, 200), labels=3, confidence=0.95)
    assert found.ceiling == pytest.approx(1 - (1 - 0.96953597) / 1.5, abs=1e-7)  # the root of 1 - 0.04 * 1.5
    assert found.ceiling_lower is not None
    assert 0.95 < found.ceiling_lower < 0.98
    for disagreeing, texts in ((0, 0), (3, 4)):
        undefined = consistency.gold_ceiling(double(disagreeing, texts), labels=3, confidence=0.95)
        assert undefined.ceiling is None
        assert undefined.reason
