"""From a classifier's outputs to probabilities of the guideline's labels: join by name, temperature, neutral band.

Logits are divided by the temperature before the softmax (Guo et al. 2017, arXiv:1706.04599). Model labels that mean no
guideline label are left out before the softmax; several that mean one add up.

The neutral band serves a model of two labels under a guideline of three. With q the probability of the model's positive
label, the text is of the third label where low <= q <= high. For probabilities that agree with it, log odds are measured
from the middle of the band (then q' is 1/2 there and the band is from 1 - h to h), and the three labels weigh 1 - q',
h * min(1, min(q', 1 - q') / (1 - h)) and q', divided by their sum. So the third label ties with a neighbour where
the band ends, and has nothing left where the model is certain.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from contract.errors import InputError, TermsError, WeightsError
from contract.files import read_json
from contract.guideline import Guideline, name_map

CALIBRATION: Final = "calibration.json"

_NAMELESS: Final = re.compile(r"LABEL_\d+", re.IGNORECASE)
POSITIVE: Final = frozenset({"positive", "pos"})
_SURE: Final = 1e-12  # log odds of a probability are finite from here

Array = NDArray[np.float64]


def _is_band(band: tuple[float, float]) -> tuple[float, float]:
    if not 0 < band[0] < band[1] < 1:
        raise ValueError("a band is two probabilities, the lower one first, both between 0 and 1")
    return band


Band = Annotated[tuple[float, float], AfterValidator(_is_band)]


class Calibration(BaseModel):
    """What was fitted to texts put aside, as calibration.json beside the weights says; more keys may stand there."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    temperature: float = Field(default=1.0, gt=0)
    neutral_band: Band | None = None
    abstain_below: float | None = Field(default=None, ge=0, le=1)  # people look first at what scores less


def read_calibration(folder: Path) -> Calibration:
    """Return the calibration in `folder`, or the neutral one where there is none.

    Raises:
        WeightsError: the file is damaged.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return Calibration()
    try:
        return Calibration.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise WeightsError(f"{path}: {place}: {first['msg']}; calibrate the model again, or remove the file") from error
    except InputError as error:
        raise WeightsError(str(error)) from error


class Head(Protocol):
    """How a model's outputs become probabilities of labels."""

    labels: tuple[str, ...]
    slots: int  # windows of a text that stand for different hypotheses; else 1

    def of_windows(self, logits: Array) -> Array:
        """Return what a window says, (windows, values): the mean over a text's windows is taken of that."""
        ...

    def of_texts(self, means: Array) -> Array:
        """Return probabilities, (texts, labels), of the means, (texts, slots * values)."""
        ...


class LabelMap(NamedTuple):
    """How a model's labels become the answer's: `target[i]` is where model label i goes, None where nowhere."""

    labels: tuple[str, ...]
    target: tuple[int | None, ...]
    lacking: tuple[str, ...]
    left_out: tuple[str, ...]


def map_labels(model_labels: Sequence[str], guideline: Guideline | None, *, origin: str) -> LabelMap:
    """Join a model's labels, in the order of its outputs, with the sentiment labels of `guideline` by name.

    Without a guideline the model's own names are the labels.

    Raises:
        TermsError: the model's labels are mere numbers (LABEL_0) that the guideline does not list.
        WeightsError: no label of the model means a label of the guideline.
    """
    if guideline is None:
        return LabelMap(tuple(model_labels), tuple(range(len(model_labels))), (), ())
    exact = name_map(guideline.sentiments)
    folded = {alias.casefold(): name for alias, name in reversed(exact.items())}
    meant = [exact.get(label, folded.get(label.casefold())) for label in model_labels]
    left_out = [label for label, name in zip(model_labels, meant, strict=True) if name is None]
    nameless = [label for label in left_out if _NAMELESS.fullmatch(label)]
    wanted = guideline.sentiment_names
    if nameless:
        raise TermsError(
            f"{origin}: the model calls its labels {', '.join(model_labels)}; say what {', '.join(nameless)} mean: "
            f"list them under model_names of {', '.join(wanted)} in guideline.sentiments"
        )
    if len(left_out) == len(meant):
        raise WeightsError(
            f"{origin}: none of the model's labels {', '.join(model_labels)} is a sentiment of the guideline "
            f"({', '.join(wanted)}); list them under model_names there, or choose another model, or one of natural "
            "language inference, which takes any labels"
        )
    target = tuple(None if name is None else wanted.index(name) for name in meant)
    lacking = tuple(name for name in wanted if name not in meant)
    return LabelMap(wanted, target, lacking, tuple(left_out))


class LabelHead:
    """Labels joined by name; see the module."""

    slots = 1

    def __init__(self, model_labels: Sequence[str], joined: LabelMap, calibration: Calibration) -> None:
        self.labels = joined.labels
        self._kept = [place for place, label in enumerate(joined.target) if label is not None]
        self._targets = [label for label in joined.target if label is not None]
        self._temperature = calibration.temperature
        self.band = calibration.neutral_band if _has_room_for_neutral(joined) else None
        if self.band is not None:
            named = [place for place in self._kept if model_labels[place].casefold() in POSITIVE]
            positive = joined.target[named[0] if len(named) == 1 else self._kept[-1]]
            self._positive = int(positive or 0)
            self._neutral = joined.labels.index(joined.lacking[0])

    def of_windows(self, logits: Array) -> Array:
        """Return probabilities of the labels in each window."""
        shares = softmax(logits[:, self._kept] / self._temperature)
        joined = np.zeros((len(self.labels), len(shares)))
        np.add.at(joined, self._targets, shares.T)
        return joined.T

    def of_texts(self, means: Array) -> Array:
        """Return probabilities of the labels of each text."""
        if self.band is None:
            return means
        positive, neutral = with_neutral(means[:, self._positive], self.band)
        shares = np.empty_like(means)
        shares[:] = (1 - positive - neutral)[:, None]
        shares[:, self._positive], shares[:, self._neutral] = positive, neutral
        return shares


def with_neutral(positive: Array, band: tuple[float, float]) -> tuple[Array, Array]:
    """Return the probabilities of positive and of neutral by the module's rule, where `positive` was that of two labels."""
    low, high = np.log(band) - np.log1p(-np.array(band))
    sure = np.clip(positive, _SURE, 1 - _SURE)
    centred = 1 / (1 + np.exp(-(np.log(sure) - np.log1p(-sure) - (low + high) / 2)))
    edge = 1 / (1 + np.exp(-(high - low) / 2))
    neutral = edge * np.minimum(1, np.minimum(centred, 1 - centred) / (1 - edge))
    return centred / (1 + neutral), neutral / (1 + neutral)


def softmax(logits: Array) -> Array:
    """Return the softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _has_room_for_neutral(joined: LabelMap) -> bool:
    kept = [label for label in joined.target if label is not None]
    return len(kept) == len(set(kept)) == 2 and len(joined.lacking) == 1


def told(calibration: Calibration) -> dict[str, Any]:
    """Return `calibration` as the settings of a description name it, without what is not set."""
    band = calibration.neutral_band
    found: dict[str, Any] = {"temperature": calibration.temperature}
    if band is not None:
        found["neutral_band"] = f"{band[0]:g} to {band[1]:g}"
    if calibration.abstain_below is not None:
        found["abstain_below"] = calibration.abstain_below
    return found
