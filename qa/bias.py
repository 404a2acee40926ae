"""Bias of pre-labels: what became of the drafts, and whether gold that saw them flatters (acceptance notes, finding 7).

Shares are bounded by item: labels of one image, text or video are not independent of each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.labelset import LabelSet
from contract.quality import BIAS_ROWS, Bias, Portion
from contract.scores import BoxScore, Interval, Score, SentimentScore
from contract.tables import KIND_OF_TASK, State, Task
from qa.consistency import Profiles
from qa.pairing.matching import Indices, Mask, assign, pairs_within
from qa.rates import interval
from qa.sentiment import share_interval

EPSILON_PX: Final = 0.5
_SPEAKS: Final = pa.array([State.LABELLED.value, State.EMPTY.value])
_EXTRAS: Final = pa.array(["spurious", "wrong_class", "loose_box", "duplicate"])
_KEYS: Final = {
    Task.BOXES: ("item", "label"),
    Task.SENTIMENTS: ("item", "label"),
    Task.SHOTS: ("item", "start_frame", "end_frame"),
    Task.KEYFRAMES: ("item", "frame"),
    Task.EVENTS: ("item", "label", "start_frame", "end_frame"),
}


@dataclass(frozen=True)
class Handled:
    """Drafts and submission of one task on the items that both speak of, and which rows of either are the same."""

    drafts: pa.Table
    labels: pa.Table
    label_row: Indices  # of each row of `labels` in the submission's whole table
    draft_kept: Mask
    label_kept: Mask
    items: list[str]

    def by_item(self, table: pa.Table, chosen: Mask | None = None) -> Indices:
        """Return how many rows (of those `chosen`) each item has."""
        codes = _codes(table["item"], self.items)
        return np.bincount(codes if chosen is None else codes[chosen], minlength=len(self.items))


def handled(task: Task, drafts: LabelSet, labels: LabelSet, *, epsilon_px: float = EPSILON_PX) -> Handled:
    """Return which drafts stand unchanged in the submission, one to one.

    Args:
        task: what is compared.
        drafts: as people saw them.
        labels: the submission.
        epsilon_px: how far each of x, y, w and h of a box may differ, since review tools round.
    """
    items = sorted(_spoken_of(task, drafts) & _spoken_of(task, labels))
    wanted = pa.array(items, pa.string())
    sides, rows = [], []
    for side in (drafts, labels):
        table = side.table(task)
        there = np.flatnonzero(pc.is_in(table["item"], value_set=wanted).to_numpy())
        rows.append(there)
        sides.append(table.take(pa.array(there)))
    one, other = sides
    left, right = pairs_within(*_groups(one, other, _KEYS[task]))
    quality = np.ones(left.size)
    if task is Task.BOXES:
        off = np.abs(_corners(one)[left] - _corners(other)[right]).max(axis=1, initial=0.0)
        near = off <= epsilon_px
        left, right, quality = left[near], right[near], 1 - off[near] / (epsilon_px or 1.0)
    chosen = assign(left, right, quality)
    kept = [np.zeros(table.num_rows, dtype=np.bool_) for table in sides]
    kept[0][left[chosen]] = True
    kept[1][right[chosen]] = True
    return Handled(one, other, rows[1], kept[0], kept[1], items)


def _spoken_of(task: Task, labels: LabelSet) -> set[str]:
    rows = labels.states.filter(pc.equal(labels.states["kind"], KIND_OF_TASK[task].value))
    return set(rows.filter(pc.is_in(rows["state"], value_set=_SPEAKS))["item"].to_pylist())


def _groups(one: pa.Table, other: pa.Table, columns: Sequence[str]) -> tuple[Indices, Indices]:
    """Return codes of the rows of both tables that are equal where all `columns` are."""
    size = one.num_rows
    code = np.zeros(size + other.num_rows, dtype=np.int64)
    for name in columns:
        both = pa.chunked_array([*one[name].chunks, *other[name].chunks], type=one.schema.field(name).type)
        values = np.asarray(both.combine_chunks().dictionary_encode().indices.to_numpy(), dtype=np.int64)
        _, code = np.unique(code * (int(values.max(initial=0)) + 1) + values, return_inverse=True)
    return code[:size], code[size:]


def _corners(table: pa.Table) -> NDArray[np.float64]:
    return np.stack([table[side].to_numpy().astype(np.float64) for side in "xywh"], axis=1).reshape(-1, 4)


def _codes(items: pa.ChunkedArray, known: Sequence[str]) -> Indices:
    index = pc.index_in(items.combine_chunks(), value_set=pa.array(known, pa.string()))
    return np.asarray(pc.fill_null(index, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def bias_of(
    task: Task,
    of: Handled,
    score: Score | None,
    *,
    blind: frozenset[str],
    profiles: Profiles,
    epsilon_px: float = EPSILON_PX,
) -> Bias:
    """Return what became of the drafts of `task`.

    Args:
        task: of the drafts.
        of: drafts and submission.
        score: the submission against gold, with its rows of evidence; None where there is no gold.
        blind: items whose gold was made without sight of drafts; where it is empty the two golds are not told apart.
        profiles: whose bounds are used.
        epsilon_px: what `handled` was given.
    """
    bounded = _Bounds(task, profiles)
    drafts, untouched = of.by_item(of.drafts), of.by_item(of.drafts, of.draft_kept)
    labels, kept = of.by_item(of.labels), of.by_item(of.labels, of.label_kept)
    portions = _portions(of, _fates(of, score), bounded) if score is not None else (None, None)
    blinded = corrected = None
    reasons = {}
    if score is None:
        reasons["accuracy_untouched"] = reasons["against_blind"] = "there is no gold"
    elif not blind:
        reasons["against_blind"] = "no item of the gold is known to be blind"
    else:
        blinded, corrected = (_against(score, blind, bounded, inside=inside) for inside in (True, False))
    return Bias(
        task=task,
        epsilon_px=epsilon_px if task is Task.BOXES else None,
        drafts=int(drafts.sum()),
        untouched=int(untouched.sum()),
        untouched_share=bounded.interval(untouched, drafts),
        items=len(of.items),
        unchanged_items=int(((drafts == untouched) & (labels == kept)).sum()),
        accuracy_untouched=portions[0],
        accuracy_edited=portions[1],
        against_blind=blinded,
        against_corrected=corrected,
        **_difference(blinded, corrected),
        reasons=reasons,
    )


@dataclass(frozen=True)
class _Bounds:
    task: Task
    profiles: Profiles

    def interval(self, good: Indices, total: Indices, *, is_f1: bool = False) -> Interval:
        """Return one-sided limits of sum(good) / sum(total): a text has one label, other items are clusters."""
        if self.task is Task.SENTIMENTS:
            endless = self.profiles.text.bound.model_copy(update={"finite_lot": False})
            return share_interval(int(good.sum()), int(total.sum()), bound=endless)
        bound = self.profiles.image.bound if self.task is Task.BOXES else self.profiles.video.bound
        return interval(good, total, bound=bound, lot_items=None, is_f1=is_f1)


def _fates(of: Handled, score: Score | None) -> Indices:
    """Return for each label of the submission 0 where it is not scored, 1 where the gold confirms it, 2 where not."""
    fate = np.zeros(of.labels.num_rows, dtype=np.int64)
    if score is None:
        return fate
    place = {row: index for index, row in enumerate(of.label_row.tolist())}
    for value, rows in enumerate(_judged(of, score), start=1):
        fate[[place[row] for row in rows if row in place]] = value
    return fate


def _by_portion(of: Handled, fate: Indices) -> list[tuple[Indices, Indices]]:
    """Return right and scored labels of each item, of the untouched and of the edited ones."""
    chosen = (of.label_kept, ~of.label_kept)
    return [(of.by_item(of.labels, mask & (fate == 1)), of.by_item(of.labels, mask & (fate > 0))) for mask in chosen]


def _portions(of: Handled, fate: Indices, bounded: _Bounds) -> tuple[Portion, Portion]:
    """Return how many labels the gold confirms, of the untouched and of the edited ones."""
    one, other = (
        Portion(labels=int(total.sum()), right=int(good.sum()), accuracy=bounded.interval(good, total))
        for good, total in _by_portion(of, fate)
    )
    return one, other


def bias_rows(task: Task, of: Handled, score: Score | None, *, blind: frozenset[str]) -> pa.Table:
    """Return the counts of each item behind `bias_of` (columns of `BIAS_ROWS`), of scored items without drafts too."""
    (kept_right, kept_scored), (edited_right, edited_scored) = _by_portion(of, _fates(of, score))
    counts = {
        "drafts": of.by_item(of.drafts),
        "untouched": of.by_item(of.drafts, of.draft_kept),
        "labels": of.by_item(of.labels),
        "kept": of.by_item(of.labels, of.label_kept),
        "kept_scored": kept_scored,
        "kept_right": kept_right,
        "edited_scored": edited_scored,
        "edited_right": edited_right,
    }
    scored = [] if score is None else (score.pairs if isinstance(score, SentimentScore) else score.items)["item"].to_pylist()
    others = sorted(set(scored) - set(of.items))
    items = [*of.items, *others]
    columns: dict[str, Any] = {
        "task": [task.value] * len(items),
        "item": items,
        "drafted": [True] * len(of.items) + [False] * len(others),
        "blind": [item in blind for item in items],
    }
    none = np.zeros(len(others), dtype=np.int64)
    return pa.table(columns | {name: np.concatenate([of_item, none]) for name, of_item in counts.items()}, schema=BIAS_ROWS)


def _judged(of: Handled, score: Score) -> tuple[list[int], list[int]]:
    """Return the rows of the submission's table that the gold confirms, and those that it does not."""
    if isinstance(score, BoxScore):
        extras = score.defect_rows.filter(pc.is_in(score.defect_rows["kind"], value_set=_EXTRAS))
        return score.matches["label_row"].to_pylist(), extras["label_row"].to_pylist()
    if isinstance(score, SentimentScore):
        row_of = dict(zip(of.labels["item"].to_pylist(), of.label_row.tolist(), strict=True))
        pairs = [(row_of.get(pair["item"]), pair["gold_label"] == pair["label"]) for pair in score.pairs.to_pylist()]
        return [row for row, equal in pairs if row is not None and equal], [
            row for row, equal in pairs if row is not None and not equal
        ]
    spurious = pc.is_null(score.matches["gold_row"])
    matched = score.matches.filter(pc.invert(spurious))["label_row"].drop_null()
    return matched.to_pylist(), score.matches.filter(spurious)["label_row"].to_pylist()


def _against(score: Score, blind: frozenset[str], bounded: _Bounds, *, inside: bool) -> Interval:
    """Return F1 (texts: accuracy) on the items that are blind, or on the others."""
    table = score.pairs if isinstance(score, SentimentScore) else score.items
    chosen = pc.is_in(table["item"], value_set=pa.array(sorted(blind), pa.string()))
    part = table.filter(chosen if inside else pc.invert(chosen))
    if isinstance(score, SentimentScore):
        right = pc.fill_null(pc.equal(part["gold_label"], part["label"]), fill_value=False)
        return bounded.interval(right.to_numpy().astype(np.int64), np.ones(part.num_rows, dtype=np.int64))
    tp, fp, fn = (part[name].to_numpy().astype(np.int64) for name in ("tp", "fp", "fn"))
    return bounded.interval(2 * tp, 2 * tp + fp + fn, is_f1=True)


def _difference(blind: Interval | None, corrected: Interval | None) -> dict[str, Any]:
    """Return how much better the figure is against corrected gold, with its lower limit by MOVER.

    Two independent samples with figures p and q have the lower limit p - q - sqrt((p - lower p)**2 + (upper q - q)**2):
    Zou and Donner 2008, after Newcombe 1998; at the confidence of the limits that it is made of.
    """
    none = {"difference": None, "difference_lower": None, "anchored": None}
    if blind is None or corrected is None or blind.estimate is None or corrected.estimate is None:
        return none
    difference = corrected.estimate - blind.estimate
    if blind.upper is None or corrected.lower is None:
        return none | {"difference": difference}
    lower = difference - math.hypot(corrected.estimate - corrected.lower, blind.upper - blind.estimate)
    return {"difference": difference, "difference_lower": lower, "anchored": lower > 0}
