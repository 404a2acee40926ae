"""Shots, keyframes and events against gold, as documents; the video is the unit of sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.acceptance import VideoProfile
from contract.labelset import LabelSet
from contract.scores import ITEM_COUNTS, TIME_MATCHES, ActivityNet, ClassRates, EventScore, KeyframeScore, ShotScore
from contract.tables import Task
from qa.columns import class_names, numbers, taken
from qa.coverage import Scored, scored_items
from qa.pairing.iou import TIE
from qa.pairing.matching import Indices, left_over
from qa.pairing.temporal import (
    ACTIVITYNET_THRESHOLDS,
    Floats,
    TimePairs,
    average_precision,
    match_intervals,
    match_points,
    match_transitions,
)
from qa.rates import Sums, interval, rates, three_intervals
from qa.shotkinds import count_kinds, kind_figures, seconds_of, transition_spans, with_label_kinds

_NO_PAIR: Final = "no pair matches"


@dataclass(frozen=True)
class _Side:
    """Labels of one side that are scored: arrays of one element a label."""

    video: Indices
    label: Indices
    row: Indices
    table: pa.Table  # those rows alone

    def column(self, name: str) -> Floats:
        return np.asarray(self.table[name].to_numpy(), dtype=np.float64)


@dataclass(frozen=True)
class _Comparison:
    scored: Scored
    gold: _Side
    labels: _Side
    names: list[str]  # of the label codes; one empty name where the task has none
    start: str  # the column that holds when a label begins

    @property
    def items(self) -> pa.Array:
        return self.scored.ordered


def score_shots(labels: LabelSet, gold: LabelSet, profile: VideoProfile, *, lot_items: int | None = None) -> ShotScore:
    """Score starts of shots within the profile's tolerance in frames: of the gold's starts, or of all of its changes.

    A shot that starts at frame 0 is no transition and is not counted on either side. Kinds do not decide who is matched:
    in `per_class` matches and misses go by the gold's kind and false positives by the submission's, in `per_kind` a match
    counts only where both name the same kind.

    Raises:
        LabelsError: the gold holds no shots, or an item is named twice.
    """
    compared = _compare(Task.SHOTS, labels, gold, label="transition", start="start_s")
    ours, theirs = compared.labels, compared.gold
    spans = np.stack([numbers(theirs.table["start_frame"])] * 2, axis=1)  # a start is a change of no length
    if profile.shot_match == "transition":
        spans = transition_spans(gold.table(Task.SHOTS), compared.scored.codes(gold.table(Task.SHOTS)))[theirs.row]
    pairs = match_transitions(
        spans,
        numbers(ours.table["start_frame"]),
        gold_group=theirs.video,
        label_group=ours.video,
        tolerance=profile.shot_tolerance_frames,
    )
    fields = _fields(compared, pairs, profile=profile, lot_items=lot_items)
    mean = _mean(pairs, fields, "mean_offset_frames")
    kinds = count_kinds(theirs.label, ours.label, pairs, names=compared.names)
    seconds = seconds_of(gold.table(Task.SHOTS), compared.scored)
    fields["matches"] = with_label_kinds(fields["matches"], labels.table(Task.SHOTS))
    fields["items"] = seconds.beside(fields["items"])
    figures = kind_figures(kinds, seconds, fields["reasons"])
    return ShotScore(**fields, mean_offset_frames=mean, **figures)


def score_keyframes(
    labels: LabelSet, gold: LabelSet, profile: VideoProfile, *, lot_items: int | None = None
) -> KeyframeScore:
    """Score keyframes within the profile's tolerance in seconds.

    Raises:
        LabelsError: the gold holds no keyframes, or an item is named twice.
    """
    compared = _compare(Task.KEYFRAMES, labels, gold, label=None, start="time_s")
    pairs = match_points(
        compared.gold.column("time_s"),
        compared.labels.column("time_s"),
        gold_group=compared.gold.video,
        label_group=compared.labels.video,
        tolerance=profile.keyframe_tolerance_s,
    )
    fields = _fields(compared, pairs, profile=profile, lot_items=lot_items)
    return KeyframeScore(**fields, mean_offset_s=_mean(pairs, fields, "mean_offset_s"))


def score_events(labels: LabelSet, gold: LabelSet, profile: VideoProfile, *, lot_items: int | None = None) -> EventScore:
    """Score events of equal name by tIoU; with scores on every event ActivityNet's mAP is given too.

    Raises:
        LabelsError: the gold holds no events, or an item is named twice.
    """
    compared = _compare(Task.EVENTS, labels, gold, label="label", start="start_s")
    classes = len(compared.names)
    pairs = match_intervals(
        _spans(compared.gold),
        _spans(compared.labels),
        gold_group=compared.gold.video * classes + compared.gold.label,
        label_group=compared.labels.video * classes + compared.labels.label,
        threshold=profile.event_tiou,
    )
    fields = _fields(compared, pairs, profile=profile, lot_items=lot_items)
    figures, reason = _activitynet(compared)
    mean = _mean(pairs, fields, "mean_tiou")
    return EventScore(**fields, mean_tiou=mean, activitynet=figures, activitynet_reason=reason)


def _compare(task: Task, labels: LabelSet, gold: LabelSet, *, label: str | None, start: str) -> _Comparison:
    scored = scored_items(task, labels, gold)
    ours, theirs = labels.table(task), gold.table(task)
    names = [""]
    if label is not None:
        names = class_names(*(table.select([label]).rename_columns(["label"]) for table in (ours, theirs))) or [""]
    return _Comparison(
        scored=scored,
        gold=_side(theirs, scored, label=label, names=names),
        labels=_side(ours, scored, label=label, names=names),
        names=names,
        start=start,
    )


def _side(table: pa.Table, scored: Scored, *, label: str | None, names: list[str]) -> _Side:
    video = scored.codes(table)
    counts = video >= 0
    if label == "transition":
        counts &= table["start_frame"].to_numpy() > 0
    rows = np.flatnonzero(counts)
    codes = np.zeros(rows.size, dtype=np.int64)
    if label is not None:
        index = pc.index_in(table[label].combine_chunks(), value_set=pa.array(names, pa.string()))
        codes = index.to_numpy(zero_copy_only=False).astype(np.int64)[rows]
        by_label = np.argsort(codes, kind="stable")  # of two at one time the order in the file decides nothing
        rows, codes = rows[by_label], codes[by_label]
    return _Side(video[rows], codes, rows, table.take(pa.array(rows)))


def _spans(side: _Side) -> Floats:
    return np.stack([side.column("start_s"), side.column("end_s")], axis=1)


def _fields(compared: _Comparison, pairs: TimePairs, *, profile: VideoProfile, lot_items: int | None) -> dict[str, Any]:
    """Return the fields that the three documents share."""
    gold, labels, videos = compared.gold, compared.labels, len(compared.items)
    missed = left_over(gold.row.size, pairs.gold)
    extra = left_over(labels.row.size, pairs.label)
    sums = Sums(
        tp=np.bincount(gold.video[pairs.gold], minlength=videos),
        fp=np.bincount(labels.video[extra], minlength=videos),
        fn=np.bincount(gold.video[missed], minlength=videos),
    )
    bounds = three_intervals(sums, bound=profile.bound, lot_items=lot_items)
    fields = rates(*sums.totals())
    if bounds["f1"].reason:
        fields["reasons"]["lower_bound"] = bounds["f1"].reason
    per_class = []
    for code, name in enumerate(compared.names if compared.names != [""] else []):
        tp = np.bincount(gold.video[pairs.gold[gold.label[pairs.gold] == code]], minlength=videos)
        fn = np.bincount(gold.video[missed[gold.label[missed] == code]], minlength=videos)
        fp = int((labels.label[extra] == code).sum())
        bound = interval(tp, tp + fn, bound=profile.bound, lot_items=lot_items)
        if tp.any() or fn.any() or fp:
            per_class.append(ClassRates(label=name, recall_bound=bound, **rates(int(tp.sum()), fp, int(fn.sum()))))
    return {
        **fields,
        "lower_bound": bounds["f1"].lower,
        "upper_bound": bounds["f1"].upper,
        "bounds": bounds,
        "per_class": tuple(per_class),
        "coverage": compared.scored.coverage,
        "reading": {
            **profile.model_dump(mode="json", exclude={"metrics"}),
            "shot_match": profile.shot_match,  # also where the terms do not spell it out
            "tie": TIE,
        },
        "matches": _match_table(compared, pairs, missed=missed, extra=extra),
        "items": pa.table({"item": compared.items, "tp": sums.tp, "fp": sums.fp, "fn": sums.fn}, schema=ITEM_COUNTS),
    }


def _mean(pairs: TimePairs, fields: dict[str, Any], name: str) -> float | None:
    if not pairs.quality.size:
        fields["reasons"][name] = _NO_PAIR
        return None
    return float(np.sort(pairs.quality).mean())


def _match_table(compared: _Comparison, pairs: TimePairs, *, missed: Indices, extra: Indices) -> pa.Table:
    """Return pairs, then misses, then false positives, each by item and time."""
    none = np.full
    gold = np.concatenate([pairs.gold, missed, none(extra.size, -1)]).astype(np.int64)
    label = np.concatenate([pairs.label, none(missed.size, -1), extra]).astype(np.int64)
    quality = np.concatenate([pairs.quality, none(missed.size + extra.size, np.nan)])
    kind = np.repeat([0, 1, 2], [pairs.gold.size, missed.size, extra.size])
    video = np.where(gold >= 0, _at(compared.gold.video, gold), _at(compared.labels.video, label))
    code = np.where(gold >= 0, _at(compared.gold.label, gold), _at(compared.labels.label, label))
    gold_s = np.where(gold >= 0, _at(compared.gold.column(compared.start), gold), np.nan)
    label_s = np.where(label >= 0, _at(compared.labels.column(compared.start), label), np.nan)
    gold_row = np.where(gold >= 0, _at(compared.gold.row, gold), -1)
    label_row = np.where(label >= 0, _at(compared.labels.row, label), -1)
    order = np.lexsort((label_row, gold_row, label_s, gold_s, video, kind))
    columns = {
        "item": taken(compared.items, video[order]),
        "gold_row": pa.array(gold_row[order], mask=gold[order] < 0),
        "label_row": pa.array(label_row[order], mask=label[order] < 0),
        "label": pa.nulls(order.size, pa.string()) if compared.names == [""] else taken(compared.names, code[order]),
        "gold_s": pa.array(gold_s[order], mask=gold[order] < 0),
        "label_s": pa.array(label_s[order], mask=label[order] < 0),
        "quality": pa.array(quality[order], mask=kind[order] > 0),
    }
    return pa.table(columns, schema=TIME_MATCHES)


def _at(values: NDArray[Any], index: Indices) -> NDArray[Any]:
    """Return values at `index`; anything where the index is -1, which may be so of an empty array."""
    return values[index] if values.size else np.zeros(index.size, dtype=values.dtype)


def _activitynet(compared: _Comparison) -> tuple[ActivityNet | None, str | None]:
    if not compared.labels.row.size:
        return None, "the submission has no events, so that there are no scores to rank by"
    if compared.labels.table["score"].null_count:
        return None, "some events carry no score; average precision ranks by score"
    at = {f"{threshold:.2f}": _mean_precision(compared, threshold) for threshold in ACTIVITYNET_THRESHOLDS}
    defined = [value for value in at.values() if value is not None]
    return ActivityNet(mean=sum(defined) / len(defined) if defined else None, at=at), None


def _mean_precision(compared: _Comparison, threshold: float) -> float | None:
    gold, labels = compared.gold, compared.labels
    gold_spans, label_spans, scores = _spans(gold), _spans(labels), labels.column("score")
    per_class: Sequence[float | None] = [
        average_precision(
            gold_spans[gold.label == code],
            label_spans[labels.label == code],
            gold_group=gold.video[gold.label == code],
            label_group=labels.video[labels.label == code],
            scores=scores[labels.label == code],
            threshold=threshold,
        )
        for code in range(len(compared.names))
    ]
    defined = [value for value in per_class if value is not None]
    return sum(defined) / len(defined) if defined else None
