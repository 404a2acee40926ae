"""The gain in average precision, against pictures that are written out as often as they count."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelset import LabelSet, merge
from contract.tables import SCHEMAS, STATES, Task
from qa import defaults
from qa.bounds import BOOTSTRAP_SEED
from qa.paired_ap import ap_gain
from qa.score import score_boxes

Row = tuple[int, str, int, float]  # picture, label, place, score
ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["car", "dog"]), st.integers(0, 12), st.sampled_from([0.2, 0.5, 0.9])),
    max_size=12,
)
PICTURES = [f"p{number}" for number in range(5)]
GROUPS = {"p0": "a", "p1": "b", "p2": "a", "p3": "c", "p4": "d"}


def label_set(rows: Sequence[Row], times: Mapping[str, int] | None = None) -> LabelSet:
    """Return the boxes of the pictures, each picture as often as its group counts, under a name of its own each time."""
    copies = {item: 1 if times is None else times[GROUPS[item]] for item in PICTURES}
    items = [f"{item}#{copy:03d}" for item in PICTURES for copy in range(copies[item])]
    boxes = [
        {"item": f"p{at}#{copy:03d}", "label": label, "x": 4.0 * place, "y": 0.0, "w": 20.0, "h": 20.0, "score": score}
        for at, label, place, score in rows
        for copy in range(copies[f"p{at}"])
    ]
    states = [{"item": item, "kind": "image", "state": "labelled"} for item in items]
    table = pa.Table.from_pylist(boxes, schema=SCHEMAS[Task.BOXES])
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: table})


def average_precision(gold: Sequence[Row], found: Sequence[Row], times: Mapping[str, int]) -> float | None:
    score = score_boxes(label_set(found, times), label_set(gold, times), defaults.IMAGE)
    if score.coco is not None:
        return score.coco.AP
    counted = any(times[GROUPS[f"p{row[0]}"]] for row in gold)
    return 0.0 if counted else None  # nothing was found: nought where there is gold


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_limits_are_those_of_pictures_written_out(gold: list[Row], base: list[Row], candidate: list[Row]) -> None:
    named = {f"{item}#000": group for item, group in GROUPS.items()}
    found = ap_gain(label_set(gold), (label_set(base), label_set(candidate)), groups=named, resamples=8)
    once = dict.fromkeys("abcd", 1)
    assert found.base == average_precision(gold, base, once)
    assert found.candidate == average_precision(gold, candidate, once)
    if not gold:
        assert (found.better, found.reason) == (False, "the figure is undefined on these items")
        return
    gains = []
    for draw in np.random.default_rng(BOOTSTRAP_SEED).multinomial(4, [0.25] * 4, size=8):
        times = dict(zip("abcd", draw.tolist(), strict=True))
        both = [average_precision(gold, rows, times) for rows in (base, candidate)]
        gains.append(0.0 if both[0] is None or both[1] is None else both[1] - both[0])
    assert found.items == 4
    assert (found.lower, found.upper) == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])), abs=1e-12)
    assert not found.better  # of four groups
    assert (found.reason is not None) == (found.lower is not None and found.lower > 0)


def test_a_detector_that_finds_all_beats_one_that_finds_half_and_not_itself() -> None:
    def many(rows: Sequence[Row]) -> LabelSet:
        return merge([renamed(label_set(rows), number) for number in range(2)])

    def renamed(labels: LabelSet, number: int) -> LabelSet:
        def of(table: pa.Table) -> pa.Table:
            items = pa.array([f"{item}-{number}" for item in table["item"].to_pylist()], pa.string())
            return table.set_column(table.column_names.index("item"), table.schema.field("item"), items)

        return LabelSet(of(labels.states), {Task.BOXES: of(labels.table(Task.BOXES))})

    gold = [(at, "car", place, 0.9) for at in range(5) for place in (0, 10)]
    whole, half = many(gold), many(gold[::2])
    named = {item: item for item in whole.states["item"].to_pylist()}
    assert ap_gain(whole, (half, whole), groups=named, resamples=50).better
    assert not ap_gain(whole, (whole, half), groups=named, resamples=50).better
    assert not ap_gain(whole, (whole, whole), groups=named, resamples=50).better
    fewer = ap_gain(whole, (half, whole), groups={item: item[:2] for item in named}, resamples=50)
    assert (fewer.items, fewer.better) == (5, False)
    assert "too few" in (fewer.reason or "")


def test_boxes_without_a_score_are_refused() -> None:
    gold = label_set([(0, "car", 0, 0.9)])
    table = gold.table(Task.BOXES).drop_columns("score").append_column("score", pa.nulls(1, pa.float64()))
    with pytest.raises(ValueError, match="no score"):
        ap_gain(gold, (gold, LabelSet(gold.states, {Task.BOXES: table})), groups={f"{item}#000": item for item in GROUPS})
