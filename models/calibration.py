"""Calibration of a classifier's probabilities on texts put aside: temperature, its error, the neutral band.

The temperature T minimises the mean negative log likelihood of softmax(z / T) (Guo et al. 2017, arXiv:1706.04599). In
1 / T that likelihood is convex, so that its slope has one zero.

The expected calibration error is sum over bins of n_b / n * |right share of b - mean confidence of b|, confidence being the
probability of the label answered. Bins are 15 of equal width, closed above, the first closed on both sides (Naeini et al.
2015; Guo et al. 2017), or 15 of equal mass: texts sorted by confidence and cut into parts whose sizes differ by one at most
(Nguyen and O'Connor 2015); where confidences tie across a cut, the texts on both sides share the mean of their rightness, so
that the order of the input cannot matter.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.errors import FormatError
from contract.files import write_json
from models.textlabels import CALIBRATION, Array, softmax

BINS: Final = 15
_COOLEST, _HOTTEST = 1e-2, 1e2
_HALVINGS: Final = 60
_CUTS: Final = 50  # quantiles of the probability of positive that may bound the neutral band

Marks = NDArray[np.bool_]


class Bin(NamedTuple):
    """One row of a reliability table; `confidence` and `right` are means over its texts."""

    low: float
    high: float
    texts: int
    confidence: float
    right: float


@dataclasses.dataclass(frozen=True, slots=True)
class Validation:
    """What a model answered to labelled texts: logits of shape (texts, labels), and the index of each text's label."""

    logits: Array
    gold: NDArray[np.int64]

    def confidences(self, temperature: float = 1.0) -> tuple[Array, Marks]:
        """Return, for each text, the probability of the label answered, and whether that label is right."""
        shares = softmax(self.logits / temperature)
        return shares.max(axis=1), shares.argmax(axis=1) == self.gold


def mean_nll(validation: Validation, temperature: float) -> float:
    """Return the mean negative log likelihood of the labels, in nats."""
    scaled = validation.logits / temperature
    top = scaled.max(axis=1)
    sums = np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top
    return float((sums - scaled[np.arange(len(scaled)), validation.gold]).mean())


def fit_temperature(validation: Validation) -> float:
    """Return the temperature of least negative log likelihood, between 0.01 and 100.

    Texts that are all right would have it go to 0, and texts right by chance alone to infinity: then it is that end.

    Raises:
        FormatError: there is no text.
    """
    logits, gold = validation.logits, validation.gold
    if not len(gold):
        raise FormatError("calibration: no text was put aside to calibrate on; give more texts")
    own = logits[np.arange(len(gold)), gold]

    def slope(inverse: float) -> float:  # of the mean negative log likelihood; it never falls
        return float(((softmax(logits * inverse) * logits).sum(axis=1) - own).mean())

    low, high = 1 / _HOTTEST, 1 / _COOLEST
    if slope(low) >= 0:
        # Logits that say nothing leave any temperature as good as another.
        return 1.0 if np.ptp(logits, axis=1).max() == 0 else _HOTTEST
    if slope(high) <= 0:
        return _COOLEST
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(1 / np.sqrt(low * high))


def reliability(
    confidence: Array, right: Marks, *, bins: int = BINS, scheme: Literal["width", "mass"] = "width"
) -> tuple[Bin, ...]:
    """Return the bins that hold a text, in ascending order, by the definitions of the module."""
    if scheme == "width":
        edges = np.linspace(0, 1, bins + 1)
        places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
        parts = [(edges[place], edges[place + 1], np.flatnonzero(places == place)) for place in range(bins)]
        return tuple(
            Bin(float(low), float(high), len(of), float(confidence[of].mean()), float(right[of].mean()))
            for low, high, of in parts
            if len(of)
        )
    order = np.argsort(confidence, kind="stable")
    ordered = confidence[order]
    _, place, counts = np.unique(ordered, return_inverse=True, return_counts=True)
    rightness = (np.bincount(place, weights=right[order]) / counts)[place] if len(ordered) else ordered
    parts_of = [part for part in np.array_split(np.arange(len(ordered)), bins) if len(part)]
    return tuple(
        Bin(
            float(ordered[part[0]]),
            float(ordered[part[-1]]),
            len(part),
            float(ordered[part].mean()),
            float(rightness[part].mean()),
        )
        for part in parts_of
    )


def calibration_error(table: Sequence[Bin]) -> float | None:
    """Return the expected calibration error of a reliability table; None of an empty one."""
    texts = sum(each.texts for each in table)
    return sum(each.texts * abs(each.right - each.confidence) for each in table) / texts if texts else None


def choose_band(positive: Array, gold: Sequence[str], *, labels: tuple[str, str, str]) -> tuple[float, float] | None:
    """Return the band of the probability of positive that counts as neutral, or None where none helps.

    Of all bands between quantiles of `positive` it is the one of highest mean recall of the labels that occur (the share of
    neutral texts among those put aside need not be that of the texts to come); the narrowest of equals, then the lowest.

    Args:
        positive: of each text, shape (texts,).
        gold: its label.
        labels: what negative, neutral and positive are called.
    """
    names = np.asarray(gold)
    negative, neutral, over = labels
    if not len(names) or not (names == neutral).any():
        return None
    occurring = [label for label in labels if (names == label).any()]

    def recall(low: float, high: float) -> float:
        found = np.where(positive < low, negative, np.where(positive > high, over, neutral))
        return float(np.mean([(found[names == label] == label).mean() for label in occurring]))

    edges = np.unique(np.clip(np.quantile(positive, np.linspace(0, 1, _CUTS + 1)), 1e-6, 1 - 1e-6))
    plain = np.where(positive >= 0.5, over, negative)
    best, band = float(np.mean([(plain[names == label] == label).mean() for label in occurring])), None
    for low, high in sorted(
        ((float(a), float(b)) for at, a in enumerate(edges) for b in edges[at + 1 :]),
        key=lambda each: (each[1] - each[0], each),
    ):
        value = recall(low, high)
        if value > best + 1e-12:
            best, band = value, (low, high)
    return band


def calibrate(
    validation: Validation, *, abstain_below: float | None = None, neutral_band: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Return the document of calibration.json.

    Its keys: temperature, neutral_band (two probabilities of positive, or null), abstain_below (null where no confidence
    is proven), texts, nll_before and nll_after (nats), ece_before and ece_after (15 bins of equal width),
    ece_mass_before and ece_mass_after (of equal mass), bins, and reliability, the bins of equal width after.

    Args:
        validation: of texts that neither trained the model nor will measure it.
        abstain_below: the confidence below which people look first.
        neutral_band: as `choose_band` found it.
    """
    temperature = fit_temperature(validation)
    found: dict[str, Any] = {}
    for when, used in (("before", 1.0), ("after", temperature)):
        confidence, right = validation.confidences(used)
        wide = reliability(confidence, right)
        found[f"nll_{when}"] = mean_nll(validation, used)
        found[f"ece_{when}"] = calibration_error(wide)
        found[f"ece_mass_{when}"] = calibration_error(reliability(confidence, right, scheme="mass"))
    return {
        "temperature": temperature,
        "neutral_band": neutral_band,
        "abstain_below": abstain_below,
        "texts": len(validation.gold),
        **found,
        "bins": BINS,
        "reliability": [each._asdict() for each in wide],
    }


def write_calibration(folder: Path, document: Mapping[str, Any]) -> None:
    """Write `document` beside the weights in `folder`, where the classifier reads it."""
    write_json(folder / CALIBRATION, document)
