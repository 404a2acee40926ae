"""Every kind of bad text, from the delivered file to the label: a label or a reject with its reason, never a shifted row."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pyarrow.parquet as pq
import pytest

from contract.predictor import Source
from contract.tables import Kind, Task
from contract.terms import Terms
from contract.workfolder import LotFolder, lot_folder
from models.sentiment import SentimentClassifier, SentimentSettings
from prelabel.intake import take_in
from prelabel.run import Job, run_job

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "bundled" / "review-sentiment"
MEGABYTE = "房间很干净，服务热情。" * 33_000  # of UTF-8

# name -> text, and the reason to refuse it or None for a label
BAD = {
    "plain": ("房间很干净，服务热情", None),
    "nothing": ("", "empty"),
    "blank": (" \t\u3000\u00a0 ", "empty"),
    "unseen": ("\u200b\ufeff\u2060", "empty"),
    "emoji": ("😀👍🏽👨‍👩‍👧❤️", None),
    "one emoji": ("👎", None),
    "mixed": ("房间很大 but the Wi-Fi はだめ и шумно 아주 나빠요", None),
    "traditional": ("房間很乾淨，服務熱情，下次還會再來", None),
    "simplified": ("房间很乾淨，服务熱情，下次还会再來", None),
    "html": ("<p class=\"a\">很好&nbsp;<b>不错</b><script>alert('x')</script></p>", None),
    "control": ("很\x01好\x07吃\x1b[31m", None),
    "controls alone": ("\x01\x02\x7f", "empty"),
    "nul": ("很好\0吃", "corrupt"),
    "direction": ("\u202egood film\u202c", None),
    "marks": ("e\u0301" * 5 + "\u0301" * 9, None),
    "quotes": ('他说"很好", 然后走了', None),
    "breaks": ("第一行,很好\n第二行\r\n\r\n第四行", None),
    "separators": ("很好\u2028不错\x85可以\x0b行", None),
    "formula": ("=HYPERLINK(\"http://x\",\"很好\")", None),
    "digits": ("5555555", None),
    "punctuation": ("！！！。。。???", None),
    "astral": ("𠀀𠮷很好", None),
    "last": ("太失望了，再也不会来", None),
}  # fmt: skip


def with_limit(terms: Terms, characters: int) -> Terms:
    return terms.model_copy(update={"limits": terms.limits.model_copy(update={"max_text_characters": characters})})


@pytest.fixture
def taken(tmp_path: Path, demo_terms: Terms) -> Callable[..., LotFolder]:
    def take(name: str, data: bytes, *, characters: int = 2000) -> LotFolder:
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        (source / "company.txt").write_text("房间不错", encoding="utf-8")
        (source / name).write_bytes(data)
        lot = lot_folder(tmp_path / "work", demo_terms.contract, "one")
        take_in([str(source)], lot=lot, terms=with_limit(demo_terms, characters), lot_name="one")
        return lot

    return take


@pytest.fixture(scope="module")
def model(demo_terms: Terms) -> SentimentClassifier:
    settings = SentimentSettings(runtime="torch")
    predictor = SentimentClassifier(BUNDLED, guideline=demo_terms.guideline, settings=settings)
    predictor.load("cpu")
    return predictor


def table(lines: list[tuple[str, str]]) -> str:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([("id", "text"), *lines])
    return sink.getvalue()


def texts_of(lot: LotFolder) -> dict[str, str]:
    columns = pq.read_table(lot.texts).to_pydict()
    found = dict(zip(columns["item"], columns["text"], strict=True))
    assert found.pop("company.txt") == "房间不错"  # every lot has it, so that no lot is without an item
    return found


def reasons_of(lot: LotFolder) -> dict[str, str]:
    columns = pq.read_table(lot.rejects).to_pydict()
    assert all(columns["detail"])
    return dict(zip(columns["item"], columns["reason"], strict=True))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_each_row_gets_a_label_or_a_reason(
    taken: Callable[..., LotFolder], model: SentimentClassifier, demo_terms: Terms, encoding: str
) -> None:
    bad = {name: case for name, case in BAD.items() if encoding != "gb18030" or name != "nul"}  # a NUL there is no text
    lot = taken("reviews.csv", table([(name, text) for name, (text, _) in bad.items()]).encode(encoding))
    assert texts_of(lot) == {name: text for name, (text, reason) in bad.items() if reason is None}
    assert reasons_of(lot) == {name: reason for name, (_, reason) in bad.items() if reason is not None}
    summary = run_job(Job(lot, demo_terms, {Kind.TEXT: model}))
    assert (summary.items, summary.labelled + summary.rejected) == (len(texts_of(lot)) + 1,) * 2
    (shard,) = summary.folder.glob("shard-*.parquet")
    answer = {row["item"]: row for row in pq.read_table(shard).to_pylist()}
    assert answer.pop("company.txt")["state"] == "labelled"
    assert answer.keys() == texts_of(lot).keys()
    for name, row in answer.items():
        alone = model.predict([Source(name, Kind.TEXT, "", BAD[name][0].encode())]).to_pylist()[0]
        labels = (row[Task.SENTIMENTS.value], alone[Task.SENTIMENTS.value])
        assert [bool(found) for found in labels] == [row["state"] == "labelled"] * 2
        assert bool(row["reason"]) == (row["state"] == "rejected")
        for found, expected in zip(*labels, strict=True):
            assert found["label"] == expected["label"]
            assert found["score"] == pytest.approx(expected["score"], abs=1e-5)
    assert answer["plain"][Task.SENTIMENTS.value][0]["label"] == "positive"
    assert answer["traditional"]["state"] == "labelled"
    assert answer["last"][Task.SENTIMENTS.value][0]["label"] == "negative"


def test_a_megabyte_in_one_text(taken: Callable[..., LotFolder], model: SentimentClassifier) -> None:
    assert len(MEGABYTE.encode()) > 1_000_000
    data = table([("before", "很好"), ("long", MEGABYTE), ("after", "太差")]).encode()
    lot = taken("reviews.csv", data)
    assert reasons_of(lot) == {"long": "oversized"}
    assert list(texts_of(lot)) == ["before", "after"]
    answer = model.predict([Source(name, Kind.TEXT, "", text.encode()) for name, text in (("a", "很好"), ("b", MEGABYTE))])
    assert answer["state"].to_pylist() == ["labelled", "labelled"]
    assert answer["sentiments"].to_pylist()[1][0]["label"] == "positive"


def test_invalid_utf8_costs_its_own_row_alone(taken: Callable[..., LotFolder]) -> None:
    lot = taken("reviews.csv", b'id,text\na,fine\nb,bro\xffken\nc,"also,\nfine"\nd,cut \xe5\xa5\n')
    assert texts_of(lot) == {"a": "fine", "c": "also,\nfine"}
    assert reasons_of(lot) == {"reviews.csv:3": "encoding", "reviews.csv:6": "encoding"}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("wrong.csv", "评论,标签\n很好,1\n", "unsupported"),
        ("semicolons.csv", "text;label\n很好;1\n", "unsupported"),
        ("none.csv", "很好\n太差\n", "unsupported"),
        ("twice.csv", "text,id,text\n很好,1,太差\n", "corrupt"),
        ("header.csv", "id,text\n", "empty"),
        ("quote.csv", 'id,text\n1,很好\n2,"never closed\n3,太差\n', "corrupt"),
    ],
)
def test_tables_with_wrong_columns_or_quotes_are_refused_whole(
    taken: Callable[..., LotFolder], name: str, data: str, reason: str
) -> None:
    lot = taken(name, data.encode())
    assert texts_of(lot) == {}
    assert reasons_of(lot) == {name: reason}


@pytest.mark.parametrize(("line", "reason"), [("b,很好,extra", "corrupt"), ("b", "corrupt"), ("b,", "empty")])
def test_a_row_of_another_width_does_not_shift_its_neighbours(
    taken: Callable[..., LotFolder], line: str, reason: str
) -> None:
    lot = taken("reviews.csv", f"id,text\na,一\n{line}\nc,三\n".encode())
    assert texts_of(lot) == {"a": "一", "c": "三"}
    assert list(reasons_of(lot).values()) == [reason]


@hypothesis.settings(max_examples=30, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=8))
def test_the_model_answers_any_text(model: SentimentClassifier, texts: list[str]) -> None:
    sources = [Source(str(place), Kind.TEXT, "", text.encode()) for place, text in enumerate(texts)]
    answer = model.predict(sources)
    assert answer["item"].to_pylist() == [source.item for source in sources]
    for text, row in zip(texts, answer.to_pylist(), strict=True):
        assert row["state"] in {"labelled", "rejected"}
        assert row["state"] == "rejected" or text.strip()
        assert (row["reason"] is None) == (row["state"] == "labelled")
