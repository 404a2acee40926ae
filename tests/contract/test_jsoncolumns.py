"""Lists of JSON objects as columns: to the bit what Python's json makes of the same bytes, wherever blocks are cut."""

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.formats.columns import Columns
from contract.formats.jsonstream import tokens
from contract.formats.jsonstream.columns import Streaming, open_stream, read_object
from contract.formats.jsonstream.parts import Field, Fields
from contract.formats.jsonstream.records import KEYS, NUMBERS, QUADS, TEXTS

KINDS = {"id": KEYS, "bbox": QUADS, "score": NUMBERS, "名": TEXTS, "iscrowd": NUMBERS}
FIELDS = Fields(tuple(Field(name, kind) for name, kind in KINDS.items()))
WHOLE_FILE = Streaming(threads=1)
SPELLED = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
NUMBER = st.one_of(
    SPELLED,
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(0, 1000).map(lambda value: f"{value:.3f}"),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["-0", "-0.0", "0e5", "1E+2", "9007199254740993", "9007199254740993.0", "1e400", "5e-324", "2.5e-324"]),
)
SPACE = st.sampled_from(["", "", " ", "\n", "\t \r\n"])
PIECES = [*(bytes([byte]) for byte in b'"\\{}[],:0-.eN\0\xe5\xff'), b"", b"NaN", b"\\ud800"]
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)


def put(data: str | bytes) -> Path:
    path = Path(tempfile.mkdtemp()) / "list.json"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read(data: str | bytes, streaming: Streaming = WHOLE_FILE) -> Columns:
    with open_stream(put(data), streaming) as stream:
        columns = stream.entries(FIELDS, name="entry {}")
        stream.end()
        return columns


@st.composite
def spelled_text(draw: st.DrawFn, value: str) -> str:
    """Return `value` as JSON, each character as itself or escaped, in short or in hexadecimal."""
    pieces = []
    for character in value:
        plain = json.dumps(character, ensure_ascii=draw(st.booleans()))[1:-1]
        units = struct.unpack(f"<{len(character.encode('utf-16-le')) // 2}H", character.encode("utf-16-le"))
        pieces.append(draw(st.sampled_from([plain, "".join(f"\\u{unit:04X}" for unit in units)])))
    return '"' + "".join(pieces) + '"'


@st.composite
def any_value(draw: st.DrawFn, depth: int = 2) -> str:
    scalar = st.one_of(NUMBER, TEXT.flatmap(spelled_text), st.sampled_from(["null", "true", "false"]))
    if depth == 0 or draw(st.booleans()):
        return draw(scalar)
    inner = draw(st.lists(any_value(depth - 1), max_size=5))
    comma = draw(SPACE) + "," + draw(SPACE)
    if draw(st.booleans()):
        return "[" + draw(SPACE) + comma.join(inner) + draw(SPACE) + "]"
    keys = [draw(TEXT.flatmap(spelled_text)) for _ in inner]
    return "{" + comma.join(f"{key}{draw(SPACE)}:{value}" for key, value in zip(keys, inner, strict=True)) + "}"


@st.composite
def value_of(draw: st.DrawFn, kind: int) -> str:
    if draw(st.integers(0, 5)) == 0:
        return draw(any_value())
    if kind == QUADS:
        return "[" + (draw(SPACE) + "," + draw(SPACE)).join(draw(NUMBER) for _ in range(4)) + "]"
    if kind == KEYS and draw(st.booleans()):
        return str(draw(st.integers(-(2**63) + 1, 2**63 - 1)))
    return draw(TEXT.flatmap(spelled_text) if kind in (KEYS, TEXTS) else NUMBER)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Return a list of objects with known and unknown keys in any order, some of them twice."""
    entries = []
    for _ in range(draw(st.integers(0, 5))):
        keys = draw(st.lists(st.sampled_from([*KINDS, "segmentation", ""]), max_size=7))
        cells = [(key, draw(value_of(KINDS[key]) if key in KINDS else any_value())) for key in keys]
        spelled = [f"{draw(spelled_text(key))}{draw(SPACE)}:{draw(SPACE)}{value}" for key, value in cells]
        entries.append("{" + draw(SPACE) + (draw(SPACE) + "," + draw(SPACE)).join(spelled) + draw(SPACE) + "}")
    return draw(SPACE) + "[" + draw(SPACE) + (draw(SPACE) + "," + draw(SPACE)).join(entries) + "]" + draw(SPACE)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def expected(value: Any, kind: int) -> Any:
    """Return what a column of `kind` holds of `value`: ... stands for a value of another kind."""
    if value is None:
        return None
    if kind == NUMBERS:
        return bits(as_float(value)) if is_number(value) else value if isinstance(value, bool) else ...
    if kind == QUADS:
        fits = isinstance(value, list) and len(value) == 4 and all(is_number(each) for each in value)
        return [bits(as_float(each)) for each in value] if fits else ...
    if kind == KEYS and is_number(value):
        return value if isinstance(value, int) and abs(value) < 2**63 else ...
    return value if isinstance(value, str) else ...


def found(columns: Columns) -> list[dict[str, Any]]:
    """Return the cells of `columns` in the form of `expected`."""
    marks = {name: columns.marks(name) for name in KINDS}
    values: dict[str, Any] = {
        "id": columns.wholes("id"), "score": columns.numbers("score"), "iscrowd": columns.numbers("iscrowd"),
        "bbox": list(zip(*(columns.numbers("bbox", place) for place in range(4)), strict=True)),
    }  # fmt: skip
    texts = {name: columns.texts(name).to_pylist() for name in ("id", "名")}
    rows = []
    for row in range(len(columns)):
        cells: dict[str, Any] = {}
        for name, of in marks.items():
            mark = int(of[row])
            if mark == tokens.TEXT:
                cells[name] = texts[name][row]
            elif mark == tokens.QUAD:
                cells[name] = [bits(each) for each in values[name][row]]
            elif mark in (tokens.WHOLE, tokens.FLOAT):
                cells[name] = int(values[name][row]) if name == "id" else bits(values[name][row])
            elif mark != tokens.ABSENT:
                cells[name] = {tokens.NULL: None, tokens.TRUE: True, tokens.FALSE: False, tokens.ODD: ...}[mark]
        rows.append(cells)
    return rows


def oracle(data: str) -> list[dict[str, Any]]:
    entries = json.loads(data)
    return [{name: expected(value, KINDS[name]) for name, value in entry.items() if name in KINDS} for entry in entries]


@given(documents(), st.integers(1, 80), st.sampled_from([1, 2]))
@settings(max_examples=100, deadline=None)
def test_columns_hold_what_json_holds_whatever_the_blocks(data: str, block: int, threads: int) -> None:
    wanted = oracle(data)
    assert found(read(data)) == wanted
    assert found(read(data, Streaming(block=block, threads=threads))) == wanted


@given(st.lists(NUMBER, min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_numbers_are_rounded_to_the_bit(numbers: list[str]) -> None:
    columns = read("[" + ",".join(f'{{"score":{number}}}' for number in numbers) + "]")
    assert [bits(value) for value in columns.numbers("score")] == [bits(as_float(json.loads(number))) for number in numbers]


@pytest.mark.parametrize("whole", [0, 1, 2**53 + 1, 2**62 + 1, 2**63 - 1, 2**63, 2**64 - 1, 10**19, 10**20])
def test_whole_numbers_of_64_bits_are_kept(whole: int) -> None:
    for value in (whole, -whole):
        columns = read(f'[{{"id": {value}, "score": {value}}}]')
        if whole < 2**63:
            assert columns.wholes("id").tolist() == [value]
        else:
            assert columns.marks("id").tolist() == [tokens.ODD]
            assert columns.entry(0)["id"] == value
        assert columns.numbers("score").tolist() == [float(value)]


def test_every_cut_gives_the_same() -> None:
    nested = '{"id":3,"segmentation":[{"a":1},{"b":"}, {"}],"bbox":[1,2,3,4.5]}'
    data = '[{"id":1,"bbox":[0.1,2,3,4]} , {"id":"a\\"}, {","score":1e3},\n' + nested + ',{"名":"x"}, {"iscrowd":true}]'
    wanted = oracle(data)
    for block in range(1, len(data) + 1):
        for threads in (1, 2):
            assert found(read(data, Streaming(block=block, threads=threads))) == wanted


def test_every_cut_off_document_is_refused_with_its_place() -> None:
    data = '[{"id": 12, "bbox": [1, 2.5, 3e1, -4], "名": "\\u540d", "x": {"y": [null, true]}}, {"id": "b"}]'
    for end in range(len(data)):
        for block in (7, 1 << 20):
            with pytest.raises(FormatError, match=r"not a JSON document") as caught:
                read(data[:end], Streaming(block=block, threads=2))
            assert end == 0 or str(caught.value).endswith("the file may be cut off")


def acceptable(data: bytes) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        entries = json.loads(data.decode(), parse_constant=refuse)
    except ValueError:
        return False
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return False
    texts = [entry[name] for entry in entries for name in ("id", "名") if isinstance(entry.get(name), str)]
    return not any(0xD800 <= ord(character) < 0xE000 for text in texts for character in text)


@given(documents(), st.data())
@settings(max_examples=100, deadline=None)
def test_what_json_refuses_is_refused(data: str, more: st.DataObject) -> None:
    changed = bytearray(data.encode())
    for _ in range(more.draw(st.integers(1, 3))):
        at = more.draw(st.integers(0, len(changed)))
        piece = more.draw(st.sampled_from(PIECES))
        changed[at : at + more.draw(st.integers(0, 3))] = piece
    block = more.draw(st.integers(1, 60))
    for streaming in (WHOLE_FILE, Streaming(block=block, threads=2)):
        assert_read_as_json_reads(bytes(changed), streaming)


def assert_read_as_json_reads(data: bytes, streaming: Streaming) -> None:
    try:
        columns = read(data, streaming)
    except FormatError:
        assert not acceptable(data)
    else:
        assert acceptable(data)
        assert found(columns) == oracle(data.decode())


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "the file is empty"),
        ("[{}, 5]", "entry 1: must be an object"),
        (
            '[{"id": NaN}]',
            r"entry 0: not a JSON document: NaN is not a number that labels may hold, nor is infinity \(byte 11\)",
        ),
        ('[{"x": [-Infinity]}]', "NaN is not a number"),
        ('[{"名": "\\ud800"}]', "entry 0: .*surrogate"),
        (b'[{"id": 1},{"x": "\xff"}]', "the text is not in UTF-8"),
        ("[{}] x", "something follows"),
        ('[{"x": ' + "[" * 100_000 + "]" * 100_000 + "}]", "nest deeper than 500"),
        ("[" * 100_000, "expected a value|nest deeper|must be an object"),
        ('[{"x": ' + '{"a":' * 100_000, "nest deeper than 500"),
        ("[{}{}]", r"entry 1: .*expected a value, a comma or an end \(byte 3\)"),
        ("[{},]", r"entry 1: "),
        ("\xff\xfe", "the text is not|expected a list"),
        (b"\xff\xfe[\0]\0", "in UTF-16"),
    ],
)
def test_broken_list_is_told_with_its_place(data: str | bytes, told: str) -> None:
    with pytest.raises(FormatError, match=told):
        read(data)


def test_byte_order_mark_and_escaped_keys_are_read() -> None:
    assert found(read(b'\xef\xbb\xbf[{"\\u0069d": 5}]')) == [{"id": 5}]


def test_object_keeps_the_last_of_equal_keys_and_skips_the_rest() -> None:
    data = '{"list": [{"id": 1}], "x": [[1, {}], "]"], "list": [{"id": 2}, {"id": 3}], "y": {"list": [{"id": 4}]}}'
    for block in (3, 1 << 20):
        with open_stream(put(data), Streaming(block=block, threads=2)) as stream:
            columns = read_object(stream, {"list": (FIELDS, "entry {}", 0)})
        assert columns["list"].wholes("id").tolist() == [2, 3]


def test_long_texts_and_many_hard_numbers_need_no_more_room_than_they_have() -> None:
    hard = [f"0.{number:025d}1" for number in range(20_000)]
    data = "[" + ",".join(f'{{"score":{each},"bbox":[{each},1,2,{each}]}}' for each in hard) + "]"
    columns = read(data)
    assert columns.numbers("score").tolist() == [float(each) for each in hard]
    assert columns.numbers("bbox", 3).tolist() == [float(each) for each in hard]
    twice = "[{" + ",".join(f'"score":{each}' for each in hard) + "}]"
    assert read(twice).numbers("score").tolist() == [float(hard[-1])]
    long = "[" + ",".join(json.dumps({"名": "好" * 50_000, "id": str(at)}) for at in range(3)) + "]"
    assert read(long, Streaming(block=1000, threads=2)).texts("名").to_pylist() == ["好" * 50_000] * 3


def test_a_hole_of_ten_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "zeros.json"
    with path.open("wb") as file:
        file.truncate(10 << 30)
    with (
        pytest.raises(FormatError, match=r"zeros\.json: not a JSON document: expected a list \(byte 0\)"),
        open_stream(path) as stream,
    ):
        stream.entries(FIELDS, name="entry {}")
    with path.open("r+b") as file:
        file.write(b'[{"id": 1}, {"id": 2}')
    with pytest.raises(FormatError, match=r"entry 2: not a JSON document.*\(byte 21\)"), open_stream(path) as stream:
        stream.entries(FIELDS, name="entry {}")
