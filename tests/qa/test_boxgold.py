"""Gold that is prepared once gives the scores that it gives alone, and columns may come as dictionaries."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.scores import BoxScore
from contract.tables import Task
from qa import defaults
from qa.columns import encoded
from qa.pairing.boxgold import prepare_gold
from qa.score import score_boxes
from tests.oracles.labelsets import box, label_set

Rows = list[dict[str, Any]]

STATES = {"b": "labelled", "a": "labelled", "c": "empty"}
BOX = st.builds(
    lambda item, label, corner, side: box(item, label, (corner, 0, corner + side, side)),
    st.sampled_from("abcd"),
    st.sampled_from(["car", "dog", "ant", "zebra"]),
    st.integers(0, 4),
    st.integers(1, 4),
)
BOXES = st.lists(BOX, max_size=8)


def boxes(rows: Rows) -> LabelSet:
    return label_set(Task.BOXES, rows, STATES)


def same(one: BoxScore, other: BoxScore) -> bool:
    tables = ("matches", "defect_rows", "items")
    return one.model_dump_json() == other.model_dump_json() and all(
        getattr(one, name).equals(getattr(other, name)) for name in tables
    )


@given(BOXES, st.lists(BOXES, min_size=2, max_size=3))
@settings(deadline=None)
def test_submissions_against_gold_prepared_once_score_as_each_alone(gold: Rows, submissions: list[Rows]) -> None:
    prepared = prepare_gold(boxes(gold))
    for rows in submissions:
        alone = score_boxes(boxes(rows), boxes(gold), defaults.IMAGE)
        assert same(score_boxes(boxes(rows), prepared, defaults.IMAGE), alone)


@given(BOXES, BOXES)
@settings(deadline=None)
def test_columns_of_dictionaries_score_as_text_does(gold: Rows, labels: Rows) -> None:
    def with_dictionaries(rows: Rows) -> LabelSet:
        # one box more, filtered away again, leaves texts in the dictionary that nothing refers to
        table = boxes([*rows, box("nowhere", "nothing", (0, 0, 1, 1))]).table(Task.BOXES)
        kept = pc.not_equal(table["item"], "nowhere")
        for name in ("item", "label"):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table[name].dictionary_encode())
        return LabelSet(boxes([]).states, {Task.BOXES: table.filter(kept)})

    def as_text(of: LabelSet) -> LabelSet:
        table = of.table(Task.BOXES)
        for name in ("item", "label"):
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
        return LabelSet(of.states, {Task.BOXES: table})

    ours, theirs = with_dictionaries(labels), with_dictionaries(gold)
    assert same(score_boxes(ours, theirs, defaults.IMAGE), score_boxes(as_text(ours), as_text(theirs), defaults.IMAGE))


def test_an_encoded_column_holds_the_texts_that_occur() -> None:
    column = pa.chunked_array([pa.array(["b", "a"]).dictionary_encode(), pa.array(["c", "a"]).dictionary_encode()])
    found = encoded(column.filter(pa.array([True, False, True, False])))
    assert found.values.to_pylist() == ["b", "c"]
    assert found.codes.tolist() == [0, 1]
    assert found.among(pa.array(["c", "x"])).tolist() == [-1, 0]


def test_gold_without_boxes_cannot_be_prepared() -> None:
    with pytest.raises(LabelsError, match="holds no boxes"):
        prepare_gold(LabelSet(boxes([]).states))
