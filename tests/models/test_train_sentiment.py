"""Training on made texts beats chance, is repeatable, and leaves a folder that plain transformers reads."""

import csv
import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from contract.errors import FormatError
from contract.predictor import Source
from contract.tables import Kind
from models.sentiment import SentimentClassifier
from models.sentiment_net import TrainSettings
from models.train_sentiment import train_sentiment

# Epochs enough to converge: fewer left the accuracy to the rounding of the processor at hand.
SMALL = TrainSettings(
    vocabulary=300,
    alphabet=200,
    hidden=32,
    intermediate=32,
    layers=1,
    heads=2,
    bag_epochs=6,
    epochs=4,
    batch=16,
    test_percent=25,
    validation_percent=20,
)
SUBJECTS = [
    "房间",
    "早餐",
    "前台",
    "位置",
    "送餐",
    "味道",
    "屏幕",
    "电池",
    "the film",
    "the cast",
    "the plot",
    "the room",
    "the staff",
]
PRAISE = ["非常好", "很满意", "干净舒适", "值得推荐", "is wonderful", "was lovely", "made me smile", "is superb"]
BLAME = ["太差了", "很失望", "又脏又旧", "不会再来", "is awful", "was dreadful", "bored me", "is a mess"]


def write_texts(path: Path, count: int = 600) -> Path:
    draws = random.Random(5)  # noqa: S311
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for index in range(count):
            words, label = (PRAISE, "positive") if index % 2 else (BLAME, "negative")
            parts = [f"{draws.choice(SUBJECTS)} {draws.choice(words)}" for _ in range(draws.randint(2, 4))]
            rows.writerow([f"{index}, {', '.join(parts)}", label])
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trained")
    return folder / "model", train_sentiment(folder / "model", texts=[write_texts(folder / "made.csv")], settings=SMALL)


def test_beats_chance_on_texts_put_aside(trained: tuple[Path, dict[str, Any]]) -> None:
    measured = trained[1]["accuracy"]["made"]
    assert measured["texts"] >= 50
    assert measured["accuracy"] > 0.8


def test_folder_is_read_by_plain_transformers_as_float32(trained: tuple[Path, dict[str, Any]]) -> None:
    folder = trained[0]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    encoded = AutoTokenizer.from_pretrained(folder)("房间很满意", return_tensors="pt")
    temperature = json.loads((folder / "calibration.json").read_bytes())["temperature"]
    with torch.no_grad():
        logits = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits
    shares = (logits / temperature).softmax(-1)[0].tolist()
    answer = SentimentClassifier(folder).predict([Source("a", Kind.TEXT, "", "房间很满意".encode())])
    (row,) = answer["sentiments"].to_pylist()[0]
    expected = {model.config.id2label[i]: share for i, share in enumerate(shares)}
    assert dict(row["probabilities"]) == pytest.approx(expected, abs=1e-6)  # answers have six decimals


def test_card_states_what_was_measured(trained: tuple[Path, dict[str, Any]]) -> None:
    card = (trained[0] / "card.md").read_text(encoding="utf-8")
    measured = trained[1]["accuracy"]["made"]
    assert f"| made | {measured['texts']} | {measured['accuracy']:.3f} |" in card
    assert "--data made.csv" in card


def test_calibration_is_fitted_to_texts_that_train_and_measure_nothing(trained: tuple[Path, dict[str, Any]]) -> None:
    texts, calibration = trained[1]["texts"], trained[1]["calibration"]
    assert sum(texts.values()) == 600
    document = json.loads((trained[0] / "calibration.json").read_bytes())
    assert document["texts"] == texts["validation"] >= 50
    assert document["nll_after"] <= document["nll_before"]
    assert calibration["ece_test"] < 0.2
    card = (trained[0] / "card.md").read_text(encoding="utf-8")
    assert f"temperature {document['temperature']:.3f}" in card
    assert f"{calibration['ece_test_before']:.4f} before, {calibration['ece_test']:.4f} after" in card


def test_the_same_texts_give_the_same_tokenizer(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    again = tmp_path / "again"
    train_sentiment(again, texts=[write_texts(tmp_path / "made.csv")], settings=SMALL)
    assert (again / "tokenizer.json").read_bytes() == (trained[0] / "tokenizer.json").read_bytes()


def test_nothing_left_to_calibrate_on_is_refused(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "few.csv", 40)
    with pytest.raises(FormatError, match="no text is left to calibrate on"):
        train_sentiment(tmp_path / "model", texts=[path], settings=dataclasses.replace(SMALL, validation_percent=0))


def test_one_label_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("text,label\ngood,positive\nfine,positive\n", encoding="utf-8")
    with pytest.raises(FormatError, match="two labels"):
        train_sentiment(tmp_path / "model", texts=[path])
