"""Transitions by kind, and how often a cut is announced that is none: what a score of shots says beside its rates.

Counts add over any split of the videos, and so do seconds; shares are divided once, at the end.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.scores import SHOT_ITEMS, SHOT_MATCHES, KindConfusion, KindRates
from qa.columns import numbers
from qa.coverage import Scored
from qa.pairing.matching import Indices, left_over
from qa.pairing.temporal import TimePairs
from qa.rates import rates, share

TEN_MINUTES_S: Final = 600.0
_CUT: Final = "cut"


def transition_spans(shots: pa.Table, video: Indices) -> Indices:
    """Return the change of picture before each shot: first changed frame, first frame of the shot; shape (n, 2).

    A gradual change takes the frames between the end of the shot before it (or the start of the video) and its own shot's
    start, which belong to no shot. A cut takes none, whatever lies between two shots; nor does a change into a shot that
    begins before another has ended.

    Args:
        shots: a table of shots, in any order.
        video: code of the video of each shot; -1 where it is not scored.
    """
    start, end = numbers(shots["start_frame"]), numbers(shots["end_frame"])
    order = np.lexsort((end, start, video))
    begun = np.zeros(start.size, dtype=np.int64)
    ended = 0
    for before, at in zip(np.append(-1, order[:-1]).tolist(), order.tolist(), strict=True):
        ended = max(ended, int(end[before])) if before >= 0 and video[before] == video[at] else 0
        begun[at] = ended
    is_cut = pc.equal(shots["transition"].cast(pa.string()), _CUT).to_numpy()
    first = np.where(is_cut, start, np.minimum(begun, start))
    return np.stack([first, start], axis=1)


def with_label_kinds(matches: pa.Table, shots: pa.Table) -> pa.Table:
    """Return `matches` with the kind that the submission, whose `shots` these are, gives each; null for a miss."""
    kinds = shots["transition"].cast(pa.string()).take(matches["label_row"])
    return matches.append_column(SHOT_MATCHES.field("label_kind"), kinds)


def count_kinds(gold: Indices, labels: Indices, pairs: TimePairs, *, names: Sequence[str]) -> KindConfusion:
    """Return how the kinds (codes into `names`) of matched transitions agree, and the kinds of what is left over.

    Kinds that neither side names are left out.
    """
    size = len(names)
    table = np.zeros((size, size), dtype=np.int64)
    np.add.at(table, (gold[pairs.gold], labels[pairs.label]), 1)
    missed = np.bincount(gold[left_over(gold.size, pairs.gold)], minlength=size)
    spurious = np.bincount(labels[left_over(labels.size, pairs.label)], minlength=size)
    named = np.flatnonzero(table.sum(axis=0) + table.sum(axis=1) + missed + spurious)
    return KindConfusion(
        labels=tuple(names[code] for code in named.tolist()),
        rows=tuple(tuple(row) for row in table[np.ix_(named, named)].tolist()),
        missed=tuple(missed[named].tolist()),
        spurious=tuple(spurious[named].tolist()),
    )


class Seconds(NamedTuple):
    """How long the videos scored are: of each its seconds (null where unknown), and their sum, if all are known."""

    each: pa.Array
    total: float | None
    unknown: int

    def beside(self, items: pa.Table) -> pa.Table:
        """Return the table of the same items with these as its last column."""
        return items.append_column(SHOT_ITEMS.field("seconds"), self.each)


def seconds_of(shots: pa.Table, scored: Scored) -> Seconds:
    """Return the lengths of the videos: where the last shot of the gold ends. A video without a shot has no known length."""
    video = scored.codes(shots)
    last: NDArray[np.float64] = np.full(len(scored.ordered), -np.inf)
    counts = video >= 0
    np.maximum.at(last, video[counts], shots["end_s"].to_numpy()[counts])
    known = np.isfinite(last)
    total = math.fsum(last.tolist()) if known.all() else None
    return Seconds(pa.array(last, mask=~known), total, int((~known).sum()))


def kind_figures(kinds: KindConfusion, seconds: Seconds, reasons: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a score of shots that rest on kinds and on length; why one is undefined goes into `reasons`."""
    table = np.array(kinds.rows, dtype=np.int64).reshape(len(kinds.labels), len(kinds.labels))
    matched, right = int(table.sum()), int(np.trace(table))
    false = sum(kinds.spurious)
    if not matched:
        reasons["kinds_right"] = "no pair matches"
    if seconds.unknown:
        reasons["seconds"] = f"the gold has no shot in {seconds.unknown} videos, so that their length is unknown"
    if not seconds.total:
        reasons["false_per_10_min"] = reasons.get("seconds", "the videos have no length")
    return {
        "kinds": kinds,
        "per_kind": tuple(_kind_rates(kinds, table)),
        "kinds_right": share(right, matched),
        "seconds": seconds.total,
        "false_per_10_min": false * TEN_MINUTES_S / seconds.total if seconds.total else None,
    }


def _kind_rates(kinds: KindConfusion, table: NDArray[np.int64]) -> list[KindRates]:
    found = np.diag(table)
    missed = table.sum(axis=1) - found + np.array(kinds.missed, dtype=np.int64)
    false = table.sum(axis=0) - found + np.array(kinds.spurious, dtype=np.int64)
    return [
        KindRates(label=label, **rates(int(found[at]), int(false[at]), int(missed[at])))
        for at, label in enumerate(kinds.labels)
    ]
