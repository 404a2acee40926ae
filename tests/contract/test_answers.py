"""Answers: nested rows, one an item, flattened into tables."""

import pyarrow as pa
import pytest
from hypothesis import given, settings

from contract.answers import SCHEMAS_OF_ANSWERS, build_answer, check_answer, flatten, labelled, rejected
from contract.errors import LabelsError
from contract.formats.lotview import LotView
from contract.labelset import LabelSet
from contract.predictor import Source
from contract.tables import SCHEMAS, TASKS_OF_KIND, Kind
from tests.oracles.lots import lots_with_labels


@settings(max_examples=30)
@given(lots_with_labels())
def test_flattening_gives_back_what_was_nested(case: tuple[LotView, LabelSet]) -> None:
    labels = case[1]
    for kind in Kind:
        items = [row["item"] for row in labels.states.to_pylist() if row["kind"] == kind.value]
        tables = {task: labels.table(task).to_pylist() for task in TASKS_OF_KIND[kind]}
        rows = [
            labelled(item, kind, {task: [row for row in rows if row["item"] == item] for task, rows in tables.items()})
            for item in items
        ]
        answer = build_answer(kind, rows)
        assert answer.num_rows == len(items)
        for task, expected in tables.items():
            flat = flatten(task, answer, "tiny@1")
            assert flat.schema.equals(SCHEMAS[task])
            carried = [row | {"source": "tiny@1"} for row in expected]
            without = [{key: value for key, value in row.items() if key not in {"crowd", "area"}} for row in carried]
            assert (
                [{key: row[key] for key in without[0]} for row in flat.to_pylist()] == without
                if without
                else not flat.num_rows
            )


def test_states_of_rows() -> None:
    rows = [labelled("a", Kind.IMAGE, {}), rejected("b", Kind.IMAGE, "cut off")]
    answer = build_answer(Kind.IMAGE, rows)
    assert answer["state"].to_pylist() == ["empty", "rejected"]
    assert answer["reason"].to_pylist() == [None, "cut off"]


def test_answer_must_keep_its_promise() -> None:
    sources = [Source("a", Kind.TEXT, "a"), Source("b", Kind.TEXT, "b")]
    good = build_answer(Kind.TEXT, [labelled(source.item, Kind.TEXT, {}) for source in sources])
    assert check_answer(Kind.TEXT, sources, good) is good
    for bad in (good.slice(1), good.take(pa.array([1, 0])), good.drop_columns(["reason"])):
        with pytest.raises(LabelsError):
            check_answer(Kind.TEXT, sources, bad)
    assert SCHEMAS_OF_ANSWERS[Kind.TEXT].equals(good.schema)
