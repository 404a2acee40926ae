"""Temperature, neutral band and calibration file, beside slow arithmetic on single numbers."""

import json
import math
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from pydantic import ValidationError

from contract.errors import WeightsError
from models.textlabels import Calibration, LabelHead, map_labels, read_calibration, softmax, with_neutral
from tests.oracles.tinytexts import guideline

TWO = ["negative", "positive"]
PROBABILITY = st.floats(0.001, 0.999)


@st.composite
def bands(draw: st.DrawFn) -> tuple[float, float]:
    low = draw(st.floats(0.01, 0.9))
    return low, draw(st.floats(low + 0.01, 0.99))


@hypothesis.given(bands(), PROBABILITY)
def test_the_third_label_is_the_likeliest_within_its_band_and_only_there(band: tuple[float, float], share: float) -> None:
    positive, neutral = (float(values[0]) for values in with_neutral(np.array([share]), band))
    negative = 1 - positive - neutral
    assert min(positive, neutral, negative) >= -1e-12
    if band[0] + 1e-6 < share < band[1] - 1e-6:
        assert neutral >= max(positive, negative)
    elif share > band[1] + 1e-6:
        assert positive > max(neutral, negative)
    elif share < band[0] - 1e-6:
        assert negative > max(neutral, positive)


@hypothesis.given(bands(), st.lists(PROBABILITY, min_size=2, max_size=2))
def test_more_positive_is_never_less_positive(band: tuple[float, float], shares: list[float]) -> None:
    positive, neutral = with_neutral(np.array(sorted(shares)), band)
    negative = 1 - positive - neutral
    assert positive[0] <= positive[1] + 1e-12
    assert negative[0] >= negative[1] - 1e-12


def test_a_band_by_hand() -> None:
    positive, neutral = with_neutral(np.array([0.0, 0.3, 0.5, 0.7, 0.9, 1.0]), (0.3, 0.7))
    weight = 0.7 * 0.1 / 0.3
    assert positive == pytest.approx([0, 0.3 / 1.7, 0.5 / 1.7, 0.7 / 1.7, 0.9 / (1 + weight), 1], abs=1e-9)
    assert neutral == pytest.approx([0, 0.7 / 1.7, 0.7 / 1.7, 0.7 / 1.7, weight / (1 + weight), 0], abs=1e-9)


@hypothesis.given(st.floats(-8, 8), st.floats(0.2, 5))
def test_temperature_divides_the_logits(logit: float, temperature: float) -> None:
    joined = map_labels(TWO, None, origin="m")
    head = LabelHead(TWO, joined, Calibration(temperature=temperature))
    found = head.of_texts(head.of_windows(np.array([[0.0, logit]])))[0]
    assert found[1] == pytest.approx(1 / (1 + math.exp(-logit / temperature)), abs=1e-9)


def test_the_band_gives_the_label_that_the_model_lacks_wherever_it_stands() -> None:
    told = guideline(neutral=[], bad=["negative"], good=["positive"])
    head = LabelHead(TWO, map_labels(TWO, told, origin="m"), Calibration(neutral_band=(0.4, 0.6)))
    best = [head.labels[place] for place in head.of_texts(np.array([[0, 0.9, 0.1], [0, 0.5, 0.5], [0, 0.1, 0.9]])).argmax(1)]
    assert best == ["bad", "neutral", "good"]


def test_positive_is_the_label_called_so_or_else_the_last() -> None:
    told = guideline(plus=["positive"], zero=[], minus=["negative"])
    turned = ["positive", "negative"]
    head = LabelHead(turned, map_labels(turned, told, origin="m"), Calibration(neutral_band=(0.6, 0.9)))
    shares = softmax(np.log([[0.7, 0.3]]))
    assert head.of_texts(head.of_windows(np.log(shares))).argmax() == 1  # 0.7 positive is within the band
    nameless = ["minus", "plus"]
    head = LabelHead(nameless, map_labels(nameless, told, origin="m"), Calibration(neutral_band=(0.6, 0.9)))
    assert head.of_texts(head.of_windows(np.log([[0.3, 0.7]]))).argmax() == 1
    assert head.of_texts(head.of_windows(np.log([[0.7, 0.3]]))).argmax() == 2


@pytest.mark.parametrize(
    "told",
    [
        guideline(positive=[], negative=[]),
        guideline(positive=[], neutral=[], mixed=[], negative=[]),
        guideline(positive=["negative"], neutral=[]),
    ],
)
def test_a_band_applies_where_one_label_of_three_is_lacking(told: object) -> None:
    joined = map_labels(TWO, told, origin="m")  # type: ignore[arg-type]
    assert LabelHead(TWO, joined, Calibration(neutral_band=(0.4, 0.6))).band is None


@pytest.mark.parametrize("band", [(0.6, 0.4), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (0.5, math.nan)])
def test_impossible_bands_are_refused(band: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        Calibration(neutral_band=band)


def test_a_calibration_file_is_read(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) == Calibration()
    document = {"temperature": 1.7, "neutral_band": [0.3, 0.6], "abstain_below": 0.8, "ece": 0.01}
    (tmp_path / "calibration.json").write_text(json.dumps(document), encoding="utf-8")
    assert read_calibration(tmp_path) == Calibration(temperature=1.7, neutral_band=(0.3, 0.6), abstain_below=0.8)
    (tmp_path / "calibration.json").write_text('{"temperature": 1, "neutral_band": null}', encoding="utf-8")
    assert read_calibration(tmp_path) == Calibration()


@pytest.mark.parametrize(
    "content", ["[1]", "{", '{"temperature": 0}', '{"temperature": NaN}', '{"neutral_band": [0.9, 0.1]}']
)
def test_a_damaged_calibration_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "calibration.json").write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match=r"calibration\.json"):
        read_calibration(tmp_path)
