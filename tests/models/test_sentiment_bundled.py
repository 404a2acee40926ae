"""The bundled review-sentiment weights: they load without network and get the obvious right."""

from pathlib import Path

import pytest

from contract.predictor import Source
from contract.tables import Kind
from models.registry import build_predictor
from models.sentiment import SentimentClassifier

FOLDER = Path(__file__).resolve().parents[2] / "models" / "bundled" / "review-sentiment"
OBVIOUS = [
    ("房间很干净，服务热情", "positive"),
    ("太失望了，再也不会来", "negative"),
    ("味道很好，送餐很快，下次还会点", "positive"),
    ("质量太差，用了两天就坏了，要求退货", "negative"),
    ("I loved this film", "positive"),
    ("A dull, lifeless mess", "negative"),
    ("A moving, beautifully acted story", "positive"),
    ("Terrible script and awful acting", "negative"),
]


@pytest.fixture(scope="module")
def predictor() -> SentimentClassifier:
    found = build_predictor("review-sentiment", Kind.TEXT)
    assert isinstance(found, SentimentClassifier)
    found.load("cpu")
    return found


def test_obvious_texts_are_labelled_right(predictor: SentimentClassifier) -> None:
    answer = predictor.predict([Source(content, Kind.TEXT, "", content.encode()) for content, _ in OBVIOUS])
    assert [row[0]["label"] for row in answer["sentiments"].to_pylist()] == [label for _, label in OBVIOUS]


def test_long_text_of_one_mind_is_labelled_right(predictor: SentimentClassifier) -> None:
    answer = predictor.predict([Source("a", Kind.TEXT, "", ("房间很干净，服务热情，位置方便。" * 300).encode())])
    assert answer["sentiments"].to_pylist()[0][0]["label"] == "positive"


def test_folder_is_small_safe_and_has_a_card() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
        "calibration.json",
        "card.md",
    } == set(files)
    assert sum(files.values()) <= 6_000_000
    assert "AGPL-3.0" in (FOLDER / "card.md").read_text(encoding="utf-8")
