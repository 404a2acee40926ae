"""Chunks hold every item once, whatever their size."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import StageError
from contract.tables import ITEMS, Kind
from prelabel.plan import count_by_kind, count_items, plan_chunks

KINDS = st.lists(st.sampled_from(list(Kind)), max_size=40)


def manifest(kinds: list[Kind]) -> pa.Table:
    rows = [
        {"item": f"i{n}", "kind": kind.value, "uri": f"/u{n}", "sha256": f"{n:064x}", "bytes": 1, "state": "missing"}
        for n, kind in enumerate(kinds)
    ]
    return pa.Table.from_pylist(rows, schema=ITEMS)


@given(kinds=KINDS, size=st.integers(1, 9))
def test_every_item_is_in_exactly_one_chunk_of_its_kind(kinds: list[Kind], size: int) -> None:
    texts = {f"i{n}": f"text {n}" for n in range(len(kinds))}
    chunks = plan_chunks(manifest(kinds), texts, dict.fromkeys(Kind, size))
    planned = [(source.item, source.kind) for chunk in chunks for source in chunk.sources]
    assert sorted(planned) == sorted((f"i{n}", kind) for n, kind in enumerate(kinds))
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(1 <= len(chunk.sources) <= size for chunk in chunks)
    assert all({source.kind for source in chunk.sources} == {chunk.kind} for chunk in chunks)
    assert count_items(chunks) == len(kinds)
    assert count_by_kind(manifest(kinds)) == {kind: kinds.count(kind) for kind in set(kinds)}


def test_inputs_digest_depends_on_content_and_not_on_place() -> None:
    table = manifest([Kind.IMAGE] * 3)
    moved = table.set_column(2, ITEMS.field("uri"), pa.array(["/a", "/b", "/c"]))
    changed = table.set_column(3, ITEMS.field("sha256"), pa.array(["0", "1", "x"]))
    digests = [plan_chunks(t, {})[0].inputs_sha256 for t in (table, moved, changed)]
    assert digests[0] == digests[1] != digests[2]


def test_texts_travel_as_utf8() -> None:
    chunk = plan_chunks(manifest([Kind.TEXT]), {"i0": "很好"})[0]
    assert chunk.sources[0].data == "很好".encode()


def test_text_without_content_is_named() -> None:
    with pytest.raises(StageError, match="i0"):
        plan_chunks(manifest([Kind.TEXT]), {})
