"""The contract's reading of boxes: who matches whom, and what is left over.

Definitions: the acceptance notes, section 3.6. Boxes are put into an order by content first, so that
the order in which they come cannot matter, ties included.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.acceptance import ImageProfile
from qa.iou import TIE, Boxes, Device, iou_of_pairs, share_inside
from qa.matching import Indices, Mask, assign, assign_greedily, left_over, pairs_within

_PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class BoxColumns:
    """Boxes as arrays, one element a box."""

    image: Indices  # index of the scored item
    label: Indices  # index of the class name
    boxes: Boxes  # shape (n, 4): x, y, w, h
    area: NDArray[np.float64]  # as annotated, or w * h
    crowd: Mask
    row: Indices  # row of the table they come from

    def __len__(self) -> int:
        return int(self.row.size)

    def take(self, index: Indices | Mask) -> "BoxColumns":
        """Return the boxes at `index`."""
        return BoxColumns(
            image=self.image[index],
            label=self.label[index],
            boxes=self.boxes[index],
            area=self.area[index],
            crowd=self.crowd[index],
            row=self.row[index],
        )


def class_names(*tables: pa.Table) -> list[str]:
    """Return every class name of `tables`, sorted."""
    return sorted({name for table in tables for name in pc.unique(table["label"]).to_pylist()})


def box_columns(table: pa.Table, *, image: Indices, names: list[str]) -> BoxColumns:
    """Return the rows of `table` whose `image` is not negative, in the table's order."""
    rows = np.flatnonzero(image >= 0)
    part = table.take(pa.array(rows)) if rows.size < table.num_rows else table
    label = pc.index_in(part["label"].combine_chunks(), value_set=pa.array(names, pa.string()))
    boxes = np.stack([part[side].to_numpy() for side in "xywh"], axis=1).astype(np.float64).reshape(-1, 4)
    area = part["area"].to_numpy().astype(np.float64)  # null reads as NaN
    return BoxColumns(
        image=image[rows],
        label=label.to_numpy(zero_copy_only=False).astype(np.int64),
        boxes=boxes,
        area=np.where(np.isnan(area), boxes[:, 2] * boxes[:, 3], area),
        crowd=pc.fill_null(part["crowd"], False).to_numpy().astype(np.bool_),
        row=rows,
    )


def ordered_by_content(columns: BoxColumns) -> BoxColumns:
    """Return the boxes sorted by image, class, place, size, area and crowd; equal boxes by row."""
    x, y, w, h = columns.boxes.T
    keys = (columns.row, columns.crowd, columns.area, h, w, y, x, columns.label, columns.image)
    return columns.take(np.lexsort(keys))


@dataclass(frozen=True)
class Pairs:
    """Gold box, label box and their IoU, one element a pair."""

    gold: Indices
    label: Indices
    iou: NDArray[np.float64]

    def take(self, index: Indices | Mask) -> "Pairs":
        """Return the pairs at `index`."""
        return Pairs(self.gold[index], self.label[index], self.iou[index])


@dataclass(frozen=True)
class Reading:
    """Boxes that count, and their one-to-one matching. Indices of `matched` point into `gold` and `labels`."""

    gold: BoxColumns
    labels: BoxColumns
    matched: Pairs
    ignored_gold: int
    ignored_labels: int

    @property
    def gold_left(self) -> Indices:
        """Gold boxes without a match."""
        return left_over(len(self.gold), self.matched.gold)

    @property
    def labels_left(self) -> Indices:
        """Boxes of the submission without a match."""
        return left_over(len(self.labels), self.matched.label)


def overlapping(gold: BoxColumns, labels: BoxColumns, *, floor: float, by_class: bool, device: Device = "cpu") -> Pairs:
    """Return all pairs of the same image (and class) with IoU >= floor - 1e-9, ordered by gold, then label."""
    gold_group, label_group = _groups(gold, labels, by_class=by_class)
    found = []
    for part in _slices(gold_group, label_group):
        one, other = pairs_within(gold_group[part], label_group)
        one = one + part.start
        iou = iou_of_pairs(gold.boxes[one], labels.boxes[other], device=device)
        near = iou >= floor - TIE
        found.append(Pairs(one[near], other[near], iou[near]))
    return Pairs(*(np.concatenate(column) for column in zip(*((p.gold, p.label, p.iou) for p in found), strict=True)))


def _groups(gold: BoxColumns, labels: BoxColumns, *, by_class: bool) -> tuple[Indices, Indices]:
    if not by_class:
        return gold.image, labels.image
    classes = int(max(gold.label.max(initial=0), labels.label.max(initial=0))) + 1
    return gold.image * classes + gold.label, labels.image * classes + labels.label


def _slices(gold_group: Indices, label_group: Indices) -> Iterator[slice]:
    """Cut the gold into slices of at most some millions of candidate pairs each; at least one slice."""
    ordered = np.sort(label_group)
    counts = np.searchsorted(ordered, gold_group, side="right") - np.searchsorted(ordered, gold_group, side="left")
    block = np.cumsum(counts) // _PAIRS_AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), gold_group.size]
    for start, stop in itertools.pairwise(cuts):
        yield slice(start, stop)


def read_boxes(gold: BoxColumns, labels: BoxColumns, *, profile: ImageProfile, device: Device = "cpu") -> Reading:
    """Match the submission's boxes with the gold's by `profile`.

    Boxes with a side under `min_side_px` are left out on both sides before matching, and so are crowd
    boxes where the profile ignores them. What of the submission then has no match and lies inside a
    crowd region (of its class, where classes count) to at least the IoU threshold is left out as well.

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    gold, labels = ordered_by_content(gold), ordered_by_content(labels)
    counted, considered = gold.take(_counts(gold, profile)), labels.take(_counts(labels, profile))
    pairs = overlapping(counted, considered, floor=profile.iou, by_class=profile.class_aware, device=device)
    choose = assign if profile.matching == "hungarian" else assign_greedily
    matched = pairs.take(choose(pairs.gold, pairs.label, pairs.iou))
    keep = np.ones(len(considered), dtype=np.bool_)
    if profile.crowd == "ignore":
        keep = ~_inside_crowd(gold.take(gold.crowd), considered, profile=profile)
        keep[matched.label] = True
    new_index = np.cumsum(keep) - 1
    return Reading(
        gold=counted,
        labels=considered.take(keep),
        matched=Pairs(matched.gold, new_index[matched.label], matched.iou),
        ignored_gold=len(gold) - len(counted),
        ignored_labels=len(labels) - int(keep.sum()),
    )


def _counts(columns: BoxColumns, profile: ImageProfile) -> Mask:
    big_enough = columns.boxes[:, 2:].min(axis=1, initial=np.inf) >= profile.min_side_px
    return np.asarray(big_enough & ~columns.crowd if profile.crowd == "ignore" else big_enough, dtype=np.bool_)


def _inside_crowd(crowds: BoxColumns, labels: BoxColumns, *, profile: ImageProfile) -> Mask:
    crowd, label = pairs_within(*_groups(crowds, labels, by_class=profile.class_aware))
    inside = share_inside(labels.boxes[label], crowds.boxes[crowd]) >= profile.iou - TIE
    result = np.zeros(len(labels), dtype=np.bool_)
    result[label[inside]] = True
    return result
