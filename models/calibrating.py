"""Calibrate a folder of a text classifier on labelled texts: from the texts to calibration.json.

Temperature is fitted to what the classifier answers at temperature 1: the logarithm of a probability is its logit but for a
constant, which the softmax forgets. Of a text read in several windows the mean over its windows stands for it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from contract.errors import FormatError
from models.calibration import (
    Marks,
    Validation,
    calibrate,
    calibration_error,
    choose_band,
    fit_temperature,
    reliability,
    write_calibration,
)
from models.review_texts import Review
from models.sentiment import SentimentClassifier, SentimentSettings
from models.textlabels import POSITIVE, Array, softmax, with_neutral

_LEAST: Final = 1e-300  # logarithms of probabilities are finite from here
_UNTOUCHED: Final = SentimentSettings(temperature=1.0, neutral_band="off", zero_shot=False)

Abstain = Callable[[Array, Marks], float | None]  # confidences and rightness to the confidence below which people look


def _with_a_token(shares: Array) -> Marks:
    """Return which texts have an answer."""
    found: Marks = np.asarray(~np.isnan(shares).any(axis=1), np.bool_)
    return found


def answers_of(
    folder: Path, texts: Sequence[str], *, settings: SentimentSettings | None = None
) -> tuple[tuple[str, ...], Array]:
    """Return the labels of the classifier in `folder` and its probabilities, (texts, labels); NaN of a text without a token.

    Raises:
        WeightsError: the folder is no classifier.
    """
    classifier = SentimentClassifier(folder, settings=settings)
    return classifier.describe().classes, classifier.probabilities(texts)


def calibrate_folder(folder: Path, reviews: Sequence[Review], *, abstain: Abstain | None = None) -> Mapping[str, Any]:
    """Fit temperature, neutral band and the confidence to abstain below, and write them beside the weights.

    Reviews of one label that the model lacks choose the neutral band, where the model has two labels; they take no part in
    the temperature. A calibration that stands in the folder already is replaced.

    Raises:
        FormatError: no review has a label of the model, or several labels are foreign to it.
        WeightsError: the folder is no classifier.
    """
    labels, shares = answers_of(folder, [review.text for review in reviews], settings=_UNTOUCHED)
    known = _with_a_token(shares)
    logits = np.log(np.maximum(np.where(known[:, None], shares, 1.0), _LEAST))
    gold = [review.label for review in reviews]
    foreign = sorted({label for label in gold if label not in labels})
    if len(foreign) > (1 if len(labels) == 2 else 0):
        raise FormatError(f"{folder}: the model has the labels {', '.join(labels)}, not {', '.join(foreign)}; rename them")
    of_model = [place for place in np.flatnonzero(known).tolist() if gold[place] in labels]
    validation = Validation(logits[of_model], np.array([labels.index(gold[place]) for place in of_model], np.int64))
    temperature = fit_temperature(validation)
    confidence, right = validation.confidences(temperature)
    band = None
    if foreign:
        places = np.flatnonzero(known).tolist()
        band, confidence, right = _with_band(
            softmax(logits[places] / temperature), [gold[place] for place in places], labels=labels, neutral=foreign[0]
        )
    document = calibrate(validation, abstain_below=abstain(confidence, right) if abstain else None, neutral_band=band)
    write_calibration(folder, document)
    return document


def _with_band(
    shares: Array, gold: Sequence[str], *, labels: Sequence[str], neutral: str
) -> tuple[tuple[float, float] | None, Array, Marks]:
    """Return the band, and confidence and rightness of the answers with it."""
    named = [place for place, label in enumerate(labels) if label.casefold() in POSITIVE]
    over = named[0] if len(named) == 1 else 1
    three = (labels[1 - over], neutral, labels[over])
    band = choose_band(shares[:, over], gold, labels=three)
    whole = np.stack([shares[:, 1 - over], np.zeros(len(shares)), shares[:, over]], axis=1)
    if band is not None:
        positive, between = with_neutral(shares[:, over], band)
        whole = np.stack([1 - positive - between, between, positive], axis=1)
    return band, whole.max(axis=1), whole.argmax(axis=1) == np.array([three.index(label) for label in gold])


def error_on(folder: Path, reviews: Sequence[Review], *, calibrated: bool = True) -> float | None:
    """Return the expected calibration error on `reviews` of the classifier in `folder`, as it stands or at temperature 1."""
    labels, shares = answers_of(folder, [review.text for review in reviews], settings=None if calibrated else _UNTOUCHED)
    known = _with_a_token(shares)
    gold = np.array([labels.index(review.label) if review.label in labels else -1 for review in reviews], np.int64)[known]
    return calibration_error(reliability(shares[known].max(axis=1), shares[known].argmax(axis=1) == gold))
