"""How far two drafts of the same items are from each other: a committee of two models (Seung, Opper and Sompolinsky 1992).

- text: 1 where the labels differ, plus the Jensen-Shannon divergence of the probabilities in bits where both have them: the
  divergence to the mean of McCallum and Nigam 1998 for a committee of two
- image: 1 - 2 S / (a + b), where a and b count the boxes and S sums the IoU of those matched one to one within their class
  from IoU `iou` on: 0 where all boxes are the same, 1 where none meet
- video: the mean of 1 - 2 m / (a + b) over shots (starts within the tolerance), keyframes and events (tIoU), each where
  either draft has any

Each lies between 0 and 1, but 2 for texts.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.acceptance import ImageProfile, VideoProfile
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.textcodes import codes_of
from qa import defaults
from qa.columns import class_names
from qa.pairing.boxes import BoxColumns, box_columns, ordered_by_content, overlapping
from qa.pairing.matching import Indices, assign
from qa.pairing.temporal import TimePairs, match_intervals, match_points

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Readings:
    """By which tolerances labels are the same."""

    image: ImageProfile = defaults.IMAGE
    video: VideoProfile = defaults.VIDEO


def disagreements(kind: Kind, one: LabelSet, other: LabelSet, items: pa.Array, *, readings: Readings) -> Floats:
    """Return how far the drafts `one` and `other` of each of `items` of `kind` are apart, shape (items,)."""
    if kind is Kind.TEXT:
        return _of_texts(one.table(Task.SENTIMENTS), other.table(Task.SENTIMENTS), items)
    if kind is Kind.IMAGE:
        return _of_boxes(one.table(Task.BOXES), other.table(Task.BOXES), items, readings.image.iou)
    parts = [_of_times(task, one.table(task), other.table(task), items, readings.video) for task in _TIMED]
    apart = np.stack([distance for distance, _ in parts])
    there = np.stack([known for _, known in parts])
    counts = there.sum(axis=0)
    mean: Floats = np.divide(np.where(there, apart, 0.0).sum(axis=0), counts, out=np.zeros(len(items)), where=counts > 0)
    return mean


def _of_texts(one: pa.Table, other: pa.Table, items: pa.Array) -> Floats:
    sides = []
    for table in (one, other):
        rows = zip(table["item"].to_pylist(), table["label"].to_pylist(), table["probabilities"].to_pylist(), strict=True)
        sides.append({item: (label, dict(shares or ())) for item, label, shares in rows})
    nothing: tuple[str | None, dict[str, float]] = (None, {})
    found = np.zeros(len(items))
    for place, item in enumerate(items.to_pylist()):
        (label, shares), (their_label, their_shares) = (side.get(item, nothing) for side in sides)
        found[place] = float(label != their_label) + divergence(shares, their_shares)
    return found


def divergence(one: dict[str, float], other: dict[str, float]) -> float:
    """Return the Jensen-Shannon divergence of two distributions in bits, from 0 to 1; 0 where one of them is not known."""
    if not sum(one.values()) or not sum(other.values()):
        return 0.0
    names = sorted(one.keys() | other.keys())
    p, q = (np.array([side.get(name, 0.0) for name in names]) / sum(side.values()) for side in (one, other))
    middle = (p + q) / 2
    both = 0.0
    for share in (p, q):
        some = share > 0
        both += float((share[some] * np.log2(share[some] / middle[some])).sum()) / 2
    return min(max(both, 0.0), 1.0)


def _of_boxes(one: pa.Table, other: pa.Table, items: pa.Array, iou: float) -> Floats:
    names = pa.array(class_names(one, other), pa.string())
    sides = [_columns(table, items, names) for table in (one, other)]
    pairs = overlapping(sides[0], sides[1], floor=iou, by_class=True, choice=assign)
    shared = np.bincount(sides[0].image[pairs.gold], weights=pairs.iou, minlength=len(items)).astype(np.float64)
    boxes = sum(np.bincount(side.image, minlength=len(items)) for side in sides)
    return _apart(shared, np.asarray(boxes))


def _columns(table: pa.Table, items: pa.Array, names: pa.Array) -> BoxColumns:
    columns = box_columns(table, image=codes_of(table["item"], items), label=codes_of(table["label"], names))
    return ordered_by_content(columns)


def _apart(shared: Floats, both: Indices) -> Floats:
    return 1 - np.divide(2 * shared, both, out=np.ones(len(both)), where=both > 0)


_TIMED = (Task.SHOTS, Task.KEYFRAMES, Task.EVENTS)


def _of_times(
    task: Task, one: pa.Table, other: pa.Table, items: pa.Array, profile: VideoProfile
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return how far the labels of `task` are apart in each video, and in which videos there are any."""
    rows = [np.flatnonzero(codes_of(table["item"], items) >= 0) for table in (one, other)]
    one, other = (table.take(pa.array(kept)) for table, kept in zip((one, other), rows, strict=True))
    video = [codes_of(table["item"], items) for table in (one, other)]
    pairs = _pairs(task, one, other, video, profile)
    shared = np.bincount(video[0][pairs.gold], minlength=len(items)).astype(np.float64)
    both = np.bincount(np.concatenate(video), minlength=len(items))
    return _apart(shared, both), both > 0


def _pairs(task: Task, one: pa.Table, other: pa.Table, video: list[Indices], profile: VideoProfile) -> TimePairs:
    if task is Task.EVENTS:
        names = pa.array(class_names(one, other), pa.string())
        groups = [at * len(names) + codes_of(table["label"], names) for at, table in zip(video, (one, other), strict=True)]
        spans = [
            np.stack([table["start_s"].to_numpy(), table["end_s"].to_numpy()], axis=1).astype(np.float64)
            for table in (one, other)
        ]
        return match_intervals(spans[0], spans[1], gold_group=groups[0], label_group=groups[1], threshold=profile.event_tiou)
    column, tolerance = (
        ("start_frame", float(profile.shot_tolerance_frames))
        if task is Task.SHOTS
        else ("time_s", profile.keyframe_tolerance_s)
    )
    times = [table[column].to_numpy().astype(np.float64) for table in (one, other)]
    return match_points(times[0], times[1], gold_group=video[0], label_group=video[1], tolerance=tolerance)
