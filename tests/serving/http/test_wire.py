import contextlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.answers import SCHEMAS_OF_ANSWERS
from contract.errors import LabelsError, SourceError
from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.http.wire import SOURCES, decode_answer, decode_sources, encode_answer, encode_sources

some_text = st.text(st.characters(exclude_categories=["Cs"]))
some_sources = st.lists(
    st.builds(Source, item=some_text, kind=st.just(Kind.TEXT), uri=some_text, data=st.none() | st.binary()), max_size=8
)


@given(some_sources)
def test_sources_come_back(sources: list[Source]) -> None:
    assert decode_sources(encode_sources(sources), Kind.TEXT) == sources


@given(st.lists(st.binary(), max_size=8))
def test_answers_come_back(contents: list[bytes]) -> None:
    sources = [Source(item=str(index), kind=Kind.TEXT, uri="", data=data) for index, data in enumerate(contents)]
    answer = FakePredictor(Kind.TEXT).predict(sources)
    assert decode_answer(encode_answer(answer), Kind.TEXT).equals(answer)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(SourceError):
        decode_sources(noise, Kind.IMAGE)
    with pytest.raises(LabelsError):
        decode_answer(noise, Kind.IMAGE)


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_truncated_stream_is_refused() -> None:
    whole = encode_sources([Source(item="a", kind=Kind.IMAGE, uri="", data=b"x" * 1000)])
    with pytest.raises(SourceError, match="not an Arrow IPC stream"):
        decode_sources(whole[: len(whole) // 2], Kind.IMAGE)


def test_foreign_columns_are_refused() -> None:
    with pytest.raises(SourceError, match="columns must be item"):
        decode_sources(stream(pa.table({"item": ["a"], "uri": ["b"]})), Kind.IMAGE)
    nulls = pa.table(
        {"item": [None], "uri": [""], "data": [b""]}, schema=pa.schema([f.with_nullable(True) for f in SOURCES])
    )
    with pytest.raises(SourceError, match="must hold no null"):
        decode_sources(stream(nulls), Kind.IMAGE)


def test_answer_of_another_kind_is_refused() -> None:
    with pytest.raises(LabelsError, match="columns of image answers"):
        decode_answer(encode_answer(SCHEMAS_OF_ANSWERS[Kind.TEXT].empty_table()), Kind.IMAGE)


WHOLE = encode_sources([Source(item=f"a{n}", kind=Kind.TEXT, uri="u", data=b"xyz" * n) for n in range(5)])


@settings(max_examples=300)
@given(edits=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damage_gives_sources_or_a_refusal(edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for place, value in edits:
        damaged[place] = value
    with contextlib.suppress(SourceError):
        assert all(isinstance(source.item, str) for source in decode_sources(bytes(damaged), Kind.TEXT))
