"""Texts: encodings told apart, rows placed, languages by script."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelabel.encoding import detect, detect_bytes
from prelabel.refusal import Reason, RefusedError
from prelabel.rows import CSV, JSONL, PARQUET, TSV, columns, read_rows, table_media
from prelabel.texts import RefusedText, Text, language, normal_sha256, read_text_file, read_texts, text_column

CHINESE = [
    "好",
    "很好吃，下次还来！",
    "房间很大，服务员态度不错，就是早餐一般。",
    "送餐太慢了，等了两个小时，菜都凉了",
    "质量不错，物流很快，推荐购买",
]
FOREIGN = [
    ("Café très agréable, à côté de l'hôtel, déjà réservé pour l'été", "latin-1"),
    ("Das Frühstück war schön, aber die Straße ist überfüllt, Äpfel Öl", "latin-1"),
    ("El niño comió en la habitación, ¿qué más? ¡Increíble señor!", "latin-1"),
    ("façade", "latin-1"),
    ("GROSSE ÄÖÜ ÉÈÀ", "latin-1"),
    ("Очень хороший отель, завтрак вкусный, персонал приветливый", "koi8-r"),
    ("Очень хороший отель, завтрак вкусный, персонал приветливый", "cp1251"),
    ("방이 깨끗하고 직원들이 친절해서 다시 오고 싶습니다", "euc-kr"),
    ("とても良いホテルでした。朝食も美味しかったです。", "shift_jis"),
    ("這家飯店的服務態度非常好，房間也很乾淨，下次還會再來", "big5"),
]


@pytest.mark.parametrize("text", CHINESE)
def test_chinese_in_each_accepted_encoding(text: str) -> None:
    assert detect_bytes(text.encode()) == "utf-8"
    assert detect_bytes(text.encode("utf-8-sig")) == "utf-8-sig"
    assert detect_bytes(text.encode("gb18030")) == "gb18030"


@pytest.mark.parametrize(("text", "encoding"), FOREIGN)
def test_other_encodings_are_not_taken_for_chinese(text: str, encoding: str) -> None:
    assert detect_bytes(text.encode(encoding)) is None


@given(st.text(), st.integers(1, 7))
def test_utf8_is_recognised_however_it_is_cut(text: str, size: int) -> None:
    data = text.encode()
    marked = data.startswith(b"\xef\xbb\xbf")
    if size >= 3 or not marked:
        assert detect(data[start : start + size] for start in range(0, len(data), size)) == (
            "utf-8-sig" if marked else "utf-8"
        )


@given(st.binary(max_size=200))
def test_utf8_agrees_with_the_decoder(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert detect_bytes(data) in {None, "gb18030"}
    else:
        assert detect_bytes(data) in {"utf-8", "utf-8-sig"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("很好吃 very good", "zh"),
        ("iPhone手机不错", "zh"),
        ("a lovely film", "en"),
        ("とても良い", "other"),
        ("아주 좋아요", "other"),
        ("очень хорошо", "other"),
        ("12345 !!!", "other"),
        ("", "other"),
    ],
)
def test_language(text: str, expected: str) -> None:
    assert language(text) == expected


@given(st.text())
def test_language_is_always_one_of_three(text: str) -> None:
    assert language(text) in {"zh", "en", "other"}


def test_the_same_text_in_other_white_space_is_the_same() -> None:
    assert normal_sha256("  caf\u00e9\tau lait\n") == normal_sha256("cafe\u0301 au lait")
    assert normal_sha256("Good") != normal_sha256("good")


def reading(path: Path, *, limit: int = 100) -> list[Text | RefusedText]:
    media = table_media(path)
    assert media is not None
    column = text_column(columns(path, media))
    assert column is not None
    return list(read_texts(path, media, column=column, max_characters=limit))


def places(outcomes: list[Text | RefusedText]) -> list[tuple[int, str]]:
    return [(each.number, each.text if isinstance(each, Text) else each.refusal.reason.value) for each in outcomes]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_rows_keep_their_lines(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    rows = 'id,文本\n1,很好，不错\n\n2,"两行\n的文本"\n3,\n4,"逗号,在内"\n5,多,了\n'
    path.write_bytes(rows.encode(encoding))
    outcomes = reading(path)
    assert places(outcomes) == [(2, "很好，不错"), (4, "两行\n的文本"), (6, "empty"), (7, "逗号,在内"), (8, "corrupt")]
    assert [each.item for each in outcomes] == ["1", "2", "3", "4", None]
    assert {each.encoding for each in outcomes if isinstance(each, Text)} == {encoding}


def test_a_latin1_row_is_refused_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text\nplain\ncafé à côté\nlast\n".encode("latin-1"))
    assert places(reading(path)) == [(2, "plain"), (3, "encoding"), (4, "last")]


def test_a_broken_quote_refuses_the_whole_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text\nfine\n"never closed\nmore\n')
    with pytest.raises(RefusedError, match="line 3") as caught:
        reading(path)
    assert caught.value.reason is Reason.CORRUPT


def test_tsv(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("id\ttext\na\tone, two\n")
    assert table_media(path) == TSV
    assert places(reading(path)) == [(2, "one, two")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_jsonl_rows(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        '{"id": 7, "text": "很好的酒店，服务不错"}',
        "",
        "{nonsense",
        '{"text": 5}',
        '["list"]',
        '{"text": "\\ud800"}',
        '{"item": "x"}',
    ]
    path.write_bytes("\n".join(lines).encode(encoding))
    assert places(reading(path)) == [
        (1, "很好的酒店，服务不错"),
        (3, "corrupt"),
        (4, "corrupt"),
        (5, "corrupt"),
        (6, "encoding"),
        (7, "empty"),
    ]


def test_parquet_rows_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    pq.write_table(pa.table({"item": ["a", "b"], "content": ["一条好评", None]}), path)
    assert table_media(path) == PARQUET
    assert places(reading(path)) == [(1, "一条好评"), (2, "empty")]


def test_a_cut_parquet_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"]}), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RefusedError) as caught:
        columns(path, PARQUET)
    assert caught.value.reason is Reason.CORRUPT


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"))))
def test_jsonl_agrees_with_the_json_module(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert [row.values["text"] for row in read_rows(path, JSONL)] == texts


@given(st.lists(st.text(alphabet="a,\"'\n 很好", min_size=1), min_size=1))
def test_csv_agrees_with_a_writer_by_hand(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    path.write_text("text\n" + "\n".join(quoted) + "\n", encoding="utf-8", newline="")
    rows = list(read_rows(path, CSV))
    assert [row.values["text"] for row in rows] == texts
    lines = [2 + sum(text.count("\n") + 1 for text in texts[:index]) for index in range(len(texts))]
    assert [row.number for row in rows] == lines


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b" \r\n\t", Reason.EMPTY),
        ("\u200b\ufeff".encode(), Reason.EMPTY),
        ("café à côté".encode("latin-1"), Reason.ENCODING),
        (b"x" * 101, Reason.OVERSIZED),
        (b"x" * 500, Reason.OVERSIZED),
    ],
)
def test_text_files_that_are_refused(tmp_path: Path, data: bytes, reason: Reason) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(RefusedError) as caught:
        read_text_file(path, max_characters=100)
    assert caught.value.reason is reason


def test_a_text_file_is_one_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("第一行，很好\n第二行，不错\n".encode("gb18030"))
    assert read_text_file(path, max_characters=100) == Text(0, None, "第一行，很好\n第二行，不错\n", "gb18030")
