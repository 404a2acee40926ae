"""Coded columns: the same codes and the same verdict of validation as of plain texts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import LabelsError
from contract.files import write_parquet
from contract.formats.loose import read_loose
from contract.labelset import LabelSet, read_labels, write_labels
from contract.tables import CODED, SCHEMAS, Task, conform, follows
from contract.textcodes import codes_of
from contract.validate import validate_tables
from qa.columns import encoded
from tests.oracles.labelsets import box, label_set

TEXT = st.none() | st.sampled_from(["a", "b", "c", "", "好"])


@given(st.lists(st.tuples(st.lists(TEXT, max_size=6), st.booleans()), max_size=4), st.sets(st.sampled_from("abcd好")))
@settings(max_examples=100, deadline=None)
def test_codes_are_the_places_among_the_names(chunks: list[tuple[list[str | None], bool]], names: set[str]) -> None:
    known = sorted(names)
    for coded in (True, False):
        pieces = [pa.array(texts, pa.string()) for texts, _ in chunks]
        pieces = [piece.dictionary_encode() if coded else piece for piece in pieces]
        column = pa.chunked_array(pieces, CODED if coded else pa.string())
        # A slice keeps its dictionary and starts elsewhere in memory.
        for part in (column, column.slice(1)):
            wanted = [known.index(text) if text in known else -1 for text in part.to_pylist()]
            assert codes_of(part, pa.array(known, pa.string())).tolist() == wanted


@given(st.lists(st.sampled_from("abc好"), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_coded_column_encodes_as_its_texts(texts: list[str], kept: list[bool]) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string()).dictionary_encode()]).filter(
        pa.array(kept[: len(texts)], pa.bool_())
    )
    found = encoded(column)
    assert found.values.take(pa.array(found.codes)).to_pylist() == column.to_pylist()
    assert sorted(found.values.to_pylist()) == sorted(set(column.to_pylist()))


ROWS = [box("a.jpg", "star", (1, 2, 4, 6), score=0.5, source="m@1"), box("b.jpg", "circle", (0, 0, 1, 1), score=0.25)]
SET = label_set(Task.BOXES, ROWS, {"a.jpg": "labelled", "b.jpg": "labelled", "c.jpg": "empty"})


def test_tables_are_read_coded_and_written_plain(tmp_path: Path) -> None:
    digests = write_labels(tmp_path, SET)
    coded, plain = read_labels(tmp_path, coded=True), read_labels(tmp_path)
    table = coded.table(Task.BOXES)
    assert [table.schema.field(name).type for name in ("item", "label", "source")] == [CODED] * 3
    assert follows(table, SCHEMAS[Task.BOXES])
    assert not table.schema.equals(SCHEMAS[Task.BOXES])
    assert conform(table, SCHEMAS[Task.BOXES]).equals(plain.table(Task.BOXES))
    assert write_parquet(tmp_path / "again.parquet", conform(table, SCHEMAS[Task.BOXES])) == digests["boxes.parquet"]
    loose = read_loose(tmp_path / "boxes.parquet", Task.BOXES).labels
    assert loose.table(Task.BOXES).to_pylist() == plain.table(Task.BOXES).to_pylist()


def test_a_coded_table_is_refused_in_the_same_words(tmp_path: Path) -> None:
    wrong = [
        *ROWS,
        box("d.jpg", "star", (0, 0, 1, 1)),
        box("c.jpg", "star", (0, 0, 1, 1)),
        box("a.jpg", "star", (0, 0, -1, float("nan"))),
    ]
    states = {"a.jpg": "labelled", "b.jpg": "labelled", "c.jpg": "empty"}
    plain = label_set(Task.BOXES, wrong, states)
    coded = plain.table(Task.BOXES)
    for place, name in enumerate(coded.column_names):
        if coded[name].type == pa.string():
            field = coded.schema.field(name).with_type(CODED)
            coded = coded.set_column(place, field, pc.dictionary_encode(coded[name]))
    with pytest.raises(LabelsError) as of_plain:
        validate_tables(plain)
    with pytest.raises(LabelsError) as of_coded:
        validate_tables(LabelSet(plain.states, {Task.BOXES: coded}))
    assert str(of_plain.value) == str(of_coded.value)
    for words in (
        "item 'd.jpg': has boxes but no state",
        "item 'c.jpg': has boxes but is marked empty",
        "negative size",
        "h is",
    ):
        assert words in str(of_coded.value)
