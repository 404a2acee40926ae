"""How much better one detector is than another in COCO's average precision, with the limits of a paired bootstrap.

What is resampled are groups of pictures, not pictures: those that look alike are right or wrong together. A group that is
drawn k times counts as k pictures each time, in both detectors alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.labelset import LabelSet
from contract.tables import Task
from qa.coco.evaluation import evaluate, figures
from qa.paired import PairedGain, paired_gain
from qa.pairing.boxes import BoxColumns
from qa.pairing.boxgold import BoxGold, compare, prepare_gold
from qa.pairing.matching import Indices

AP_RESAMPLES: Final = 1000
LEAST_GROUPS: Final = 10  # percentile limits of fewer are too narrow to prove a gain


def ap_gain(
    gold: LabelSet,
    detectors: tuple[LabelSet, LabelSet],
    *,
    groups: Mapping[str, str],
    confidence: float = 0.95,
    resamples: int = AP_RESAMPLES,
) -> PairedGain:
    """Return the gain in AP (mean over IoU 0.50 to 0.95 and the classes of the gold), candidate less base.

    Of fewer groups than `LEAST_GROUPS` none is better, whatever the limits.

    Args:
        gold: what is true; its labelled and empty pictures count.
        detectors: boxes of the base and of the candidate, each with its score.
        groups: of each picture of the gold, the group that it is drawn with.
        confidence: of the two-sided interval.
        resamples: how often the groups are drawn again.

    Raises:
        LabelsError: the gold holds no boxes table, or an item is named twice.
        ValueError: a box has no score.
    """
    prepared = prepare_gold(gold)
    named = [groups[item] for item in prepared.items.ordered.to_pylist()]
    found = paired_gain(
        sorted(set(named)),
        (_figure(prepared, detectors[0], named), _figure(prepared, detectors[1], named)),
        confidence=confidence,
        resamples=resamples,
    )
    if not found.better or found.items >= LEAST_GROUPS:
        return found
    reason = f"{found.items} groups of pictures are too few for a bootstrap; {LEAST_GROUPS} are needed"
    return found.model_copy(update={"better": False, "reason": reason})


def _figure(gold: BoxGold, labels: LabelSet, groups: list[str]) -> Callable[[Mapping[str, int]], float | None]:
    """Return AP as a function of how often each group counts."""
    sides, scores = compare(labels, gold), labels.table(Task.BOXES)["score"]
    if scores.null_count:
        raise ValueError(f"{scores.null_count} boxes have no score to rank by")
    own = scores.to_numpy().astype(np.float64)[sides.labels.row]

    def figure(times: Mapping[str, int]) -> float | None:
        counts = np.array([times[group] for group in groups], np.int64)
        true, _ = _repeated(sides.gold, counts)
        if not len(true):
            return None
        found, rows = _repeated(sides.labels, counts)
        return figures(evaluate(true, found, scores=own[rows], classes=len(sides.names))).AP

    return figure


def _repeated(columns: BoxColumns, counts: NDArray[np.int64]) -> tuple[BoxColumns, Indices]:
    """Return the boxes of pictures that count so often, each time as a picture of its own, and the rows they come from."""
    times = counts[columns.image]
    rows = np.repeat(np.arange(len(columns)), times)
    copy = np.arange(rows.size) - np.repeat(np.cumsum(times) - times, times)
    first = np.cumsum(counts) - counts
    taken = columns.take(rows)
    return replace(taken, image=first[taken.image] + copy), rows
