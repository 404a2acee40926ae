"""A JSON list read entry by entry gives what json.loads gives of the whole, or the sentence that the whole gives."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.formats import jsonfile
from contract.formats.jsonfile import json_entries, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


def whole(data: bytes, where: str) -> Any:
    document = parse_json(data.removeprefix(b"\xef\xbb\xbf"), where=where)
    if not isinstance(document, list):
        raise FormatError(f"{where}: a list must be a list, but is {type(document).__name__}")
    return document


def both(data: bytes, piece: int) -> tuple[Any, Any]:
    """Return entries, or the message, read in pieces of `piece` bytes and as a whole."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "list.json"
        path.write_bytes(data)
        patch.setattr(jsonfile, "_PIECE", piece)
        streamed = answer(lambda: list(json_entries(path, name="a list")))
        return streamed, answer(lambda: whole(data, str(path)))


def answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except FormatError as error:
        return str(error)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(OBJECTS, max_size=5) | st.lists(VALUES, max_size=3) | VALUES,
    st.booleans(),
    st.sampled_from([None, 0, 2]),
    st.integers(1, 40),
)
def test_entries_are_those_of_the_whole(document: Any, ascii_: bool, indent: int | None, piece: int) -> None:
    text = json.dumps(document, ensure_ascii=ascii_, indent=indent)
    if "\\ud" not in text.lower():  # half of a surrogate pair is refused, below
        streamed, at_once = both(text.encode("utf-8", "replace"), piece)
        assert streamed == at_once


@settings(max_examples=100, deadline=None)
@given(
    st.lists(OBJECTS, min_size=1, max_size=4),
    st.floats(0, 1),
    st.binary(max_size=3),
    st.integers(0, 3),
    st.integers(1, 40),
)
def test_a_damaged_list_gets_the_sentence_of_the_whole(
    document: Any, where: float, put: bytes, gone: int, piece: int
) -> None:
    data = json.dumps(document).encode()
    at = round(where * len(data))
    streamed, at_once = both(data[:at] + put + data[at + gone :], piece)
    assert streamed == at_once


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"[",
        b"[]",
        b" [ ] \n",
        b"[] x",
        b"[{}",
        b"[{},]",
        b"[{} {}]",
        b"[{}, 1]",
        b'[{"a": NaN}]',
        b'[{"a": "\\ud800"}]',
        b'[{"a": "\\ud83d\\ude00"}]',
        b'\xef\xbb\xbf[{"a": 1}]',
        b'[{"a": "\xff"}]',
        b'{"a": 1}',
        b"[" * 100_000,
        b'[{"a": ' + b"[" * 100_000,
    ],
)
def test_odd_documents(data: bytes) -> None:
    streamed, at_once = both(data, 7)
    assert streamed == at_once


def test_no_more_than_some_pieces_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"number": number, "text": "x" * 50} for number in range(5000)]), encoding="utf-8")
    held: list[int] = []
    behind = jsonfile._Text.behind

    def noting(text: Any, end: int) -> tuple[int, bool]:
        held.append(len(text.held))
        return behind(text, end)

    monkeypatch.setattr(jsonfile, "_PIECE", 1000)
    monkeypatch.setattr(jsonfile._Text, "behind", noting)
    monkeypatch.setattr(jsonfile, "read_json_file", lambda path: pytest.fail("read whole"))
    assert [entry["number"] for entry in json_entries(path, name="a list")] == list(range(5000))
    assert max(held) < 3000
