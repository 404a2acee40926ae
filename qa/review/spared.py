"""Which drafts may be accepted by sample only: those so sure that their kind is proven to be right often enough.

Texts are judged by their label (`qa.saving`). Images are judged as the contract does, by F1 of matched boxes over the images
whose least sure box has a score of at least t, the image being the unit (`qa.rates`). The threshold t is proven by fixed
sequence testing as there: from the strictest on, and the first whose lower limit misses the demand ends the walk. Images
without a box are never spared, since an empty draft has no score that could be high.

The gold must be a random part of the lot that was labelled without sight of the drafts.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.acceptance import BoxBound, ImageProfile, TextProfile
from contract.labelchanges import only_items
from contract.labelset import LabelSet
from contract.tables import Task
from contract.textcodes import codes_of
from qa.rates import interval
from qa.saving import STEPS, first_texts, saving
from qa.score_boxes import score_boxes

Floats = NDArray[np.float64]
_FEWEST_CLUSTERS: Final = 2


@dataclass(frozen=True)
class Spared:
    """From which confidence on drafts are accepted by sample only; `threshold` is None with a reason where from none.

    Args:
        items: of the kind, with a draft of at least the threshold.
        threshold: of the confidence.
        lower: lower limit of the contract's figure among those.
        demanded: what the figure must reach.
        checked: items of the gold that this was proven on.
        reason: why there is no threshold.
    """

    items: frozenset[str] = frozenset()
    threshold: float | None = None
    lower: float | None = None
    demanded: float | None = None
    checked: int = 0
    reason: str | None = None


def spared_texts(drafts: LabelSet, gold: LabelSet, profile: TextProfile, *, blind: frozenset[str]) -> Spared:
    """Return which texts of `drafts` may be accepted by sample only, proven on the `blind` items of `gold`."""
    table, theirs = drafts.table(Task.SENTIMENTS), gold.table(Task.SENTIMENTS)
    truth = dict(zip(theirs["item"].to_pylist(), theirs["label"].to_pylist(), strict=True))
    score = pc.fill_null(table["score"], 0.0).to_numpy().astype(np.float64)
    items, labels = table["item"].to_pylist(), table["label"].to_pylist()
    known = [row for row, item in enumerate(items) if item in truth and item in blind]
    right = np.array([labels[row] == truth[items[row]] for row in known], np.bool_)
    demanded = profile.metrics.accuracy
    found = saving(score[known], right, demanded=demanded, confidence=profile.bound.confidence)
    if found.threshold is None:
        return Spared(demanded=demanded, checked=len(known), reason=_why(found.reason, blind))
    above = frozenset(items[row] for row in np.flatnonzero(score >= found.threshold))
    return Spared(above, found.threshold, found.lower, demanded, len(known))


def spared_images(drafts: LabelSet, gold: LabelSet, profile: ImageProfile, *, blind: frozenset[str]) -> Spared:
    """Return which images of `drafts` may be accepted by sample only, proven on the `blind` items of `gold`."""
    demanded = profile.metrics.f1
    if demanded is None:
        return Spared(reason="the terms demand no F1 of images")
    table = drafts.table(Task.BOXES)
    names = pc.unique(table["item"])
    least = np.full(len(names), np.inf)
    np.minimum.at(least, codes_of(table["item"], names), pc.fill_null(table["score"], 0.0).to_numpy().astype(np.float64))
    known = sorted(blind & set(gold.states["item"].to_pylist()) & set(names.to_pylist()))
    if len(known) < _FEWEST_CLUSTERS:
        return Spared(demanded=demanded, checked=len(known), reason=_why("fewer than two images have gold", blind))
    score = score_boxes(only_items(drafts, known), only_items(gold, known), profile)
    tp, fp, fn = (score.items[name].to_numpy().astype(np.int64) for name in ("tp", "fp", "fn"))
    own = least[codes_of(score.items["item"], names)]
    proven = _walk(own, (2 * tp, 2 * tp + fp + fn), profile.bound, demanded)
    if proven is None:
        reason = "not even the surest images are proven to be right often enough"
        return Spared(demanded=demanded, checked=len(known), reason=_why(reason, blind))
    above = frozenset(names.take(pa.array(np.flatnonzero(least >= proven[0]))).to_pylist())
    return Spared(above, proven[0], proven[1], demanded, len(known))


def _why(reason: str | None, blind: frozenset[str]) -> str | None:
    return reason if blind else "no item of the gold is known to be blind"


def _walk(
    confidences: Floats, counts: tuple[NDArray[np.int64], NDArray[np.int64]], bound: BoxBound, demanded: float
) -> tuple[float, float] | None:
    """Return the lowest threshold whose figure is proven, with its lower limit; None where not even the first one is."""
    size = confidences.size
    start = first_texts(size, demanded=demanded, confidence=bound.confidence)
    ranks = np.unique(np.ceil(np.linspace(size / STEPS, size, STEPS) - 1e-9).astype(np.int64)) - 1
    proven = None
    for threshold in np.unique(np.sort(confidences)[::-1][ranks])[::-1].tolist():
        kept = confidences >= threshold
        if int(kept.sum()) < start:
            continue
        lower = interval(counts[0][kept], counts[1][kept], bound=bound, lot_items=None, is_f1=True).lower
        if lower is None or lower < demanded:
            break
        proven = threshold, lower
    return proven
