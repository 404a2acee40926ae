"""Temperature, calibration error and neutral band against slow oracles."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from contract.errors import FormatError
from contract.files import read_json
from models.calibration import (
    Marks,
    Validation,
    calibrate,
    calibration_error,
    choose_band,
    fit_temperature,
    mean_nll,
    reliability,
    write_calibration,
)
from models.textlabels import Array, read_calibration

TIED = st.sampled_from([0.5, 0.5 + 1e-9, 0.6, 1 / 1.5, 0.8, 14 / 15, 1.0])
ANSWERS = st.lists(st.tuples(TIED | st.floats(0, 1), st.booleans()), max_size=60)


def overconfident(texts: int = 4000, labels: int = 3, heat: float = 2.5, seed: int = 3) -> Validation:
    """Labels drawn from softmax(z), while the model says heat * z."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (texts, labels))
    shares = special.softmax(logits, axis=1)
    gold = (rng.random(texts)[:, None] > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return Validation(logits * heat, gold)


def by_hand(answers: Sequence[tuple[float, bool]], bins: int) -> float | None:
    """The calibration error with a loop over texts; bins of equal width, closed above."""
    sums: dict[int, list[float]] = {}
    for confidence, right in answers:
        place = next((at for at in range(bins) if confidence <= np.linspace(0, 1, bins + 1)[at + 1]), bins - 1)
        row = sums.setdefault(place, [0, 0, 0])
        row[0] += 1
        row[1] += confidence
        row[2] += right
    if not answers:
        return None
    return sum(n / len(answers) * abs(good / n - told / n) for n, told, good in sums.values())


def test_temperature_is_found_again_and_is_scipys() -> None:
    made = overconfident()
    found = fit_temperature(made)
    assert found == pytest.approx(2.5, rel=0.06)
    oracle = optimize.minimize_scalar(
        lambda log: mean_nll(made, math.exp(log)), bounds=(-4, 4), method="bounded", options={"xatol": 1e-10}
    )
    assert found == pytest.approx(math.exp(oracle.x), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 4), st.sampled_from([0.1, 1.0, 30.0]))
def test_no_temperature_of_a_grid_has_less_likelihood_lost(seed: int, texts: int, labels: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    made = Validation(np.round(rng.normal(0, scale, (texts, labels)), 1), rng.integers(0, labels, texts))
    least = mean_nll(made, fit_temperature(made))
    for temperature in np.geomspace(0.01, 100, 60):
        assert least <= mean_nll(made, float(temperature)) + 1e-9


def test_temperature_at_the_ends() -> None:
    sure = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(Validation(sure, np.array([0, 1]))) == 0.01
    assert fit_temperature(Validation(sure, np.array([1, 0]))) == 100
    assert fit_temperature(Validation(np.zeros((3, 2)), np.array([0, 1, 1]))) == 1
    with pytest.raises(FormatError, match="no text was put aside"):
        fit_temperature(Validation(np.zeros((0, 2)), np.zeros(0, np.int64)))


def split(answers: Sequence[tuple[float, bool]]) -> tuple[Array, Marks]:
    return np.array([each[0] for each in answers], np.float64), np.array([each[1] for each in answers], np.bool_)


@settings(max_examples=100, deadline=None)
@given(ANSWERS, st.integers(1, 20))
def test_error_of_equal_width_is_that_of_a_loop(answers: list[tuple[float, bool]], bins: int) -> None:
    found = calibration_error(reliability(*split(answers), bins=bins))
    expected = by_hand(answers, bins)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))


@settings(max_examples=100, deadline=None)
@given(ANSWERS, st.integers(1, 20), st.randoms(use_true_random=False))
def test_bins_of_equal_mass_hold_alike_many_and_forget_the_order(
    answers: list[tuple[float, bool]], bins: int, mix: object
) -> None:
    table = reliability(*split(answers), bins=bins, scheme="mass")
    sizes = [each.texts for each in table]
    assert sum(sizes) == len(answers)
    assert not sizes or (max(sizes) - min(sizes) <= 1 and len(sizes) == min(bins, len(answers)))
    assert sum(each.texts * each.right for each in table) == pytest.approx(sum(right for _, right in answers))
    mix.shuffle(answers)  # type: ignore[attr-defined]
    again = reliability(*split(answers), bins=bins, scheme="mass")
    assert np.allclose([list(each) for each in table], [list(each) for each in again], atol=1e-12)


def test_calibration_lessens_the_error_and_is_what_the_classifier_reads(tmp_path: Path) -> None:
    document = calibrate(overconfident(), abstain_below=0.75, neutral_band=(0.4, 0.6))
    assert document["ece_before"] > 0.1
    assert document["ece_after"] < 0.03
    assert document["ece_mass_after"] < 0.03
    assert document["nll_after"] < document["nll_before"]
    write_calibration(tmp_path, document)
    read = read_calibration(tmp_path)
    assert (read.temperature, read.neutral_band, read.abstain_below) == (document["temperature"], (0.4, 0.6), 0.75)
    assert sum(row["texts"] for row in read_json(tmp_path / "calibration.json")["reliability"]) == 4000


LABELS = ("negative", "neutral", "positive")


def test_band_lies_where_the_neutral_texts_are() -> None:
    rng = np.random.default_rng(1)
    positive = np.concatenate([rng.uniform(0, 0.35, 300), rng.uniform(0.35, 0.6, 100), rng.uniform(0.6, 1, 300)])
    gold = ["negative"] * 300 + ["neutral"] * 100 + ["positive"] * 300
    band = choose_band(positive, gold, labels=LABELS)
    assert band is not None
    assert list(band) == pytest.approx([0.35, 0.6], abs=0.04)


def test_no_band_without_neutral_texts_or_where_none_helps() -> None:
    assert choose_band(np.array([0.1, 0.9]), ["negative", "positive"], labels=LABELS) is None
    assert choose_band(np.zeros(0), [], labels=LABELS) is None
    assert choose_band(np.array([0.5, 0.5]), ["neutral", "positive"], labels=LABELS) is None
