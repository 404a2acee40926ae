"""Calibration of folders: temperature as by hand, a neutral band, and labels that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special

from contract.errors import FormatError
from contract.predictor import Source
from contract.tables import Kind
from models.calibrating import answers_of, calibrate_folder, error_on
from models.review_texts import Review
from models.sentiment import SentimentClassifier
from tests.oracles.tinytexts import THREE, WORDS, bert, logits_by_hand, save

TWO = {0: "negative", 1: "positive"}


def texts(count: int = 120, seed: int = 4) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[WORDS[place] for place in rng.integers(0, len(WORDS), rng.integers(1, 12))] for _ in range(count)]


def reviews(folder: Path, labels: dict[int, str]) -> list[Review]:
    """Labels drawn at the model's own odds, cooled: it is less sure of itself than it is right."""
    rng, found = np.random.default_rng(5), []
    for tokens in texts():
        shares = special.softmax(np.array(logits_by_hand(folder, tokens)) * 2)
        found.append(Review(" ".join(tokens), labels[int(rng.choice(len(shares), p=shares))], "made"))
    return found


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
def test_temperature_is_that_of_logits_by_hand(tmp_path: Path, labels: dict[int, str]) -> None:
    folder = save(tmp_path / "model", bert, labels)
    given = reviews(folder, labels)
    document = calibrate_folder(folder, given, abstain=lambda confidence, right: 0.625)
    logits = np.array([logits_by_hand(folder, tokens) for tokens in texts()])
    gold = [list(labels.values()).index(review.label) for review in given]

    def lost(log: float) -> float:
        return float(-special.log_softmax(logits / np.exp(log), axis=1)[np.arange(len(gold)), gold].mean())

    oracle = optimize.minimize_scalar(lost, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    assert document["temperature"] == pytest.approx(np.exp(oracle.x), rel=1e-3)
    assert document["nll_after"] == pytest.approx(oracle.fun, abs=1e-5)
    assert json.loads((folder / "calibration.json").read_bytes()) == document
    told = SentimentClassifier(folder).describe().settings
    assert (told["temperature"], told["abstain_below"]) == (document["temperature"], 0.625)
    names, shares = answers_of(folder, [review.text for review in given])
    assert names == tuple(labels.values())
    assert np.allclose(shares, special.softmax(logits / document["temperature"], axis=1), atol=1e-4)
    error = error_on(folder, given)
    assert error == pytest.approx(document["ece_after"], abs=0.02)
    assert error_on(folder, given, calibrated=False) == pytest.approx(document["ece_before"], abs=1e-6)


def test_calibrating_twice_is_calibrating_once(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", bert, TWO)
    given = reviews(folder, TWO)
    assert calibrate_folder(folder, given) == calibrate_folder(folder, given)


def test_texts_of_a_third_label_choose_the_band_that_the_classifier_uses(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", bert, TWO)
    given = reviews(folder, TWO)
    _, shares = answers_of(folder, [review.text for review in given])
    middle = np.argsort(shares[:, 1])[45:75].tolist()
    mixed = [Review(each.text, "neutral", each.file) if at in middle else each for at, each in enumerate(given)]
    document = calibrate_folder(folder, mixed)
    low, high = document["neutral_band"]
    _, tempered = answers_of(folder, [given[at].text for at in middle])
    inside = (tempered[:, 1] >= low) & (tempered[:, 1] <= high)
    assert inside.mean() >= 0.8
    assert document["texts"] == len(given) - len(middle)


def test_labels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", bert, THREE)
    with pytest.raises(FormatError, match="NEGATIVE, NEUTRAL, POSITIVE, not glad"):
        calibrate_folder(folder, [Review("good", "glad", "made")])
    two = save(tmp_path / "two", bert, TWO)
    with pytest.raises(FormatError, match="not angry, glad"):
        calibrate_folder(two, [Review("good", "glad", "made"), Review("bad", "angry", "made")])
    with pytest.raises(FormatError, match="no text was put aside"):
        calibrate_folder(two, [Review("good", "neutral", "made")])


def test_probabilities_are_the_answers_and_undefined_without_a_token(tmp_path: Path) -> None:
    classifier = SentimentClassifier(save(tmp_path / "model", bert, TWO))
    found = classifier.probabilities(["good room", "\u200b", "bad"])
    assert np.isnan(found[1]).all()
    answered = classifier.predict([Source(text, Kind.TEXT, "", text.encode()) for text in ("good room", "bad")])
    for shares, row in zip(found[[0, 2]], answered["sentiments"].to_pylist(), strict=True):
        assert dict(row[0]["probabilities"]) == pytest.approx(dict(zip(TWO.values(), shares, strict=True)), abs=1e-6)
