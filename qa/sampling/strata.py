"""To which stratum an item belongs: by its class, its annotator, or how sure the draft was of it.

Class and annotator are read off the sealed submission, whose vendor does not know the key of the draw; confidence off the
drafts. An item has one stratum for each of these: its rarest class in the lot, so that rare classes are seen; its commonest
annotator; the band of its least certain label.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

from contract.labelset import LabelSet
from contract.tables import TASKS_OF_KIND, Kind, Task

NONE: Final = "none"  # no class (an empty item), no annotator on record, no draft
BANDS: Final = ((0.5, "under 0.50"), (0.8, "0.50 to 0.80"), (0.95, "0.80 to 0.95"), (float("inf"), "0.95 and more"))
_CLASSED: Final = {Kind.IMAGE: Task.BOXES, Kind.TEXT: Task.SENTIMENTS, Kind.VIDEO: Task.EVENTS}


def strata(
    items: Iterable[str], kind: Kind, by: Sequence[str], *, submission: LabelSet, drafts: LabelSet | None
) -> dict[str, str]:
    """Return item -> the name of its stratum; without `by` all items of a kind are one stratum, called "all".

    Args:
        items: the items of `kind` in the lot.
        kind: what they are.
        by: class, annotator, confidence, or several of them, whose names are then joined.
        submission: the labels that are judged.
        drafts: the drafts; None where there are none, and every item is then in the band "none".
    """
    names: dict[str, Mapping[str, str]] = {}
    if "class" in by:
        names["class"] = _rarest(submission.table(_CLASSED[kind]))
    if "annotator" in by:
        names["annotator"] = _annotators(submission, kind)
    if "confidence" in by:
        names["confidence"] = _bands(drafts, kind) if drafts is not None else {}
    return {item: ", ".join(f"{name} {names[name].get(item, NONE)}" for name in by) if by else "all" for item in items}


def _rarest(table: pa.Table) -> dict[str, str]:
    labels = table["label"].to_pylist()
    counts = Counter(labels)
    found: dict[str, str] = {}
    for item, label in zip(table["item"].to_pylist(), labels, strict=True):
        found[item] = min(found.get(item, label), label, key=lambda name: (counts[name], name))
    return found


def _annotators(submission: LabelSet, kind: Kind) -> dict[str, str]:
    counts: dict[str, Counter[str]] = {}
    for task in TASKS_OF_KIND[kind]:
        table = submission.table(task)
        for item, source in zip(table["item"].to_pylist(), table["source"].to_pylist(), strict=True):
            if source is not None:
                counts.setdefault(item, Counter())[source] += 1
    return {item: min(of, key=lambda name: (-of[name], name)) for item, of in counts.items()}


def _bands(drafts: LabelSet, kind: Kind) -> dict[str, str]:
    lowest: dict[str, float] = {}
    for task in TASKS_OF_KIND[kind]:
        table = drafts.table(task)
        if "score" not in table.column_names:
            continue
        for item, score in zip(table["item"].to_pylist(), table["score"].to_pylist(), strict=True):
            if score is not None:
                lowest[item] = min(score, lowest.get(item, score))
    return {item: next(name for limit, name in BANDS if score < limit) for item, score in lowest.items()}
