"""What review could be spared: of which confidence on texts are right often enough, and how many those are.

Texts whose answer has a confidence of at least t skip review. A chosen t must not be the luckiest of many, so t is
proven by fixed sequence testing: thresholds are ordered from the strictest on by the confidences alone, the share of right
texts at or above each gets its exact one-sided lower limit (Clopper and Pearson 1934), and the first whose limit misses the
demand ends the walk. The t before it is proven with the confidence given, however many were looked at (Maurer et
al. 1995; Angelopoulos et al. 2021, arXiv:2110.01052). A walk that starts with a handful of texts is ended by one
error, so it starts where half the errors allowed would still prove the demand, or at a quarter of all texts if
that is fewer, but never where not even no error would. Where it starts depends on how many texts there are alone.

The gold must be a random part of the texts to come, made without sight of the answers; else the limit speaks of the gold
alone.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from contract.scores import Document
from qa.bounds import clopper_pearson

STEPS: Final = 50  # thresholds that a walk looks at, evenly spread over the texts


class Step(Document):
    """Texts of a confidence of at least `threshold`: how many, how many right, and the lower limit of the right share."""

    threshold: float
    texts: int
    share: float = Field(description="of all texts that have gold")
    right: int
    accuracy: float
    lower: float


class Saving(Document):
    """The curve of what review could be spared, and the threshold that is proven; null with a reason where none is."""

    texts: int = Field(description="with an answer and gold")
    demanded: float
    confidence: float
    threshold: float | None
    share: float | None = Field(description="of texts that skip review at the threshold")
    lower: float | None = Field(description="lower limit of the share of right texts among those")
    reason: str | None
    curve: tuple[Step, ...] = Field(description="from the strictest threshold to the one that lets all skip")


def saving(
    confidences: NDArray[np.float64], right: NDArray[np.bool_], *, demanded: float, confidence: float, steps: int = STEPS
) -> Saving:
    """Return which confidence suffices for texts to skip review.

    Args:
        confidences: probability of the label answered, of each text, shape (texts,).
        right: whether it is the gold's, shape (texts,).
        demanded: share of right texts among those that skip, above 0 and below 1.
        confidence: of the proof.
        steps: how many thresholds are looked at.

    Raises:
        ValueError: the arrays differ in length, or a share is out of range.
    """
    if len(confidences) != len(right) or not 0 < demanded < 1 or not 0 < confidence < 1 or steps < 1:
        raise ValueError("a saving needs one mark a confidence, and shares between 0 and 1")
    curve = tuple(_curve(confidences, right, confidence=confidence, steps=steps))
    fewest = math.ceil(math.log(1 - confidence) / math.log(demanded) - 1e-9)
    start = first_texts(len(confidences), demanded=demanded, confidence=confidence)
    proven = _walk([step for step in curve if step.texts >= start], demanded)
    reason = None
    if len(confidences) < fewest:
        reason = f"{len(confidences)} texts have gold, and fewer than {fewest} can prove nothing"
    elif proven is None:
        reason = "not even the surest texts are proven to be right often enough"
    return Saving(
        texts=len(confidences),
        demanded=demanded,
        confidence=confidence,
        threshold=proven.threshold if proven else None,
        share=proven.share if proven else None,
        lower=proven.lower if proven else None,
        reason=reason,
        curve=curve,
    )


def first_texts(texts: int, *, demanded: float, confidence: float) -> int:
    """Return how many of `texts` texts the first threshold of the walk lets skip at least."""
    fewest = math.ceil(math.log(1 - confidence) / math.log(demanded) - 1e-9)
    enough = fewest
    while enough < texts // 4:
        errors = math.ceil(enough * (1 - demanded) / 2)
        if clopper_pearson(enough - errors, enough, confidence=confidence)[0] >= demanded:
            return enough
        enough = math.ceil(enough * 1.1)
    return max(fewest, texts // 4)


def _curve(confidences: NDArray[np.float64], right: NDArray[np.bool_], *, confidence: float, steps: int) -> list[Step]:
    texts = len(confidences)
    if not texts:
        return []
    descending = np.sort(confidences)[::-1]
    # where thresholds lie depends on confidences alone, never on which texts are right
    ranks = np.unique(np.ceil(np.linspace(texts / steps, texts, steps) - 1e-9).astype(np.int64)) - 1
    found = []
    for threshold in np.unique(descending[ranks])[::-1].tolist():
        kept = confidences >= threshold
        count, good = int(kept.sum()), int(right[kept].sum())
        lower, _ = clopper_pearson(good, count, confidence=confidence)
        found.append(
            Step(threshold=threshold, texts=count, share=count / texts, right=good, accuracy=good / count, lower=lower)
        )
    return found


def _walk(sequence: Sequence[Step], demanded: float) -> Step | None:
    proven = None
    for step in sequence:
        if step.lower < demanded:
            break
        proven = step
    return proven
