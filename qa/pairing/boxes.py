"""The contract's reading of boxes: who matches whom, and what is left over.

Definitions: the acceptance notes, section 3.6. Boxes are put into an order by content first, so that
the order in which they come cannot matter, ties included.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.acceptance import ImageProfile
from qa.pairing.iou import TIE, Device, pairs_by_tensors
from qa.pairing.matching import Indices, Mask, assign, assign_greedily, left_over
from qa.pairing.overlaps import Content, Grouped, inside_crowds, order_by_content, overlapping_pairs
from qa.pairing.stable_sort import ascends, order_of_groups
from qa.pairing.threads import in_threads

_PAIRS_AT_ONCE = 1 << 20
_BOXES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class BoxColumns:
    """Boxes as arrays, one element a box."""

    image: Indices  # index of the scored item
    label: Indices  # index of the class name
    boxes: NDArray[np.float64]  # shape (n, 4): x, y, w, h
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


def box_columns(table: pa.Table, *, image: Indices, label: Indices) -> BoxColumns:
    """Return the rows of `table` whose `image` is not negative, in the table's order; `label` is the class of each row."""
    rows = np.flatnonzero(image >= 0)
    part = table
    if rows.size < table.num_rows:
        part, image, label = table.select([*"xywh", "area", "crowd"]).take(pa.array(rows)), image[rows], label[rows]
    boxes = np.empty((rows.size, 4))
    for place, side in enumerate("xywh"):
        boxes[:, place] = part[side].to_numpy()
    area = part["area"].to_numpy().astype(np.float64)  # null reads as NaN
    return BoxColumns(
        image=image,
        label=label,
        boxes=boxes,
        area=np.where(np.isnan(area), boxes[:, 2] * boxes[:, 3], area),
        crowd=pc.fill_null(part["crowd"], False).to_numpy().astype(np.bool_),
        row=rows,
    )


def ordered_by_content(columns: BoxColumns) -> BoxColumns:
    """Return the boxes sorted by image, class, place, size, area and crowd; equal boxes by row."""
    if not len(columns):
        return columns
    starts = np.concatenate([[0], np.cumsum(np.bincount(columns.image))])
    order = order_of_groups(columns.image, starts[:-1])
    content = Content(columns.label, columns.boxes, columns.area, columns.crowd, columns.row)
    cuts = _cuts(np.diff(starts), _BOXES_AT_ONCE)
    in_threads(lambda own: order_by_content(content, order, starts[own.start : own.stop + 1]), cuts)
    return columns if ascends(order) else columns.take(order)


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


Choice = Callable[[Indices, Indices, NDArray[np.float64]], Mask]


def overlapping(
    gold: BoxColumns,
    labels: BoxColumns,
    *,
    floor: float,
    by_class: bool,
    device: Device = "cpu",
    choice: Choice | None = None,
) -> Pairs:
    """Return all pairs of the same image (and class) with IoU >= floor - 1e-9, or those of them that `choice` takes.

    Both sides are in the order of content. Pairs are ordered by gold, then label, and images are done in threads, some
    at a time: neither the number of threads nor where images are cut apart can matter, since pairs never leave an image.
    """
    ours, theirs = grouped(gold, labels, by_class=by_class)
    images = int(max(gold.image.max(initial=-1), labels.image.max(initial=-1))) + 1
    gold_starts, label_starts = (np.searchsorted(side.image, np.arange(images + 1)) for side in (gold, labels))
    find = pairs_by_tensors if device == "cuda" else overlapping_pairs

    def pairs_of(own: slice) -> Pairs:
        one = slice(gold_starts[own.start], gold_starts[own.stop])
        other = slice(label_starts[own.start], label_starts[own.stop])
        pairs = Pairs(*find(_part(ours, one), _part(theirs, other), floor - TIE))
        if choice is not None:
            pairs = pairs.take(choice(pairs.gold, pairs.label, pairs.iou))
        return Pairs(pairs.gold + one.start, pairs.label + other.start, pairs.iou)

    found = in_threads(pairs_of, _cuts(np.diff(gold_starts) * np.diff(label_starts), _PAIRS_AT_ONCE))
    return Pairs(*(np.concatenate(column) for column in zip(*((p.gold, p.label, p.iou) for p in found), strict=True)))


def grouped(gold: BoxColumns, labels: BoxColumns, *, by_class: bool) -> tuple[Grouped, Grouped]:
    """Return both sides by image, or by image and class."""
    if not by_class:
        return Grouped(gold.image, gold.boxes, False), Grouped(labels.image, labels.boxes, False)
    classes = int(max(gold.label.max(initial=0), labels.label.max(initial=0))) + 1
    ours, theirs = (Grouped(side.image * classes + side.label, side.boxes, True) for side in (gold, labels))
    return ours, theirs


def _part(of: Grouped, own: slice) -> Grouped:
    return Grouped(of.group[own], of.boxes[own], of.by_x)


def _cuts(work: Indices, most: int) -> list[slice]:
    """Cut images into runs of at most about `most` work each; at least one run."""
    block = np.cumsum(work) // most
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), work.size]
    return [slice(start, stop) for start, stop in itertools.pairwise(cuts)]


def read_boxes(gold: BoxColumns, labels: BoxColumns, *, profile: ImageProfile, device: Device = "cpu") -> Reading:
    """Match the submission's boxes with the gold's by `profile`; both sides are in the order of content.

    Boxes with a side under `min_side_px` are left out on both sides before matching, and so are crowd
    boxes where the profile ignores them. What of the submission then has no match and lies inside a
    crowd region (of its class, where classes count) to at least the IoU threshold is left out as well.

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    counted, considered = _kept(gold, _counts(gold, profile)), _kept(labels, _counts(labels, profile))
    matched = overlapping(
        counted,
        considered,
        floor=profile.iou,
        by_class=profile.class_aware,
        device=device,
        choice=assign if profile.matching == "hungarian" else assign_greedily,
    )
    keep = np.ones(len(considered), dtype=np.bool_)
    if profile.crowd == "ignore":
        crowds, theirs = grouped(gold.take(gold.crowd), considered, by_class=profile.class_aware)
        keep = ~inside_crowds(crowds, theirs, profile.iou - TIE)
        keep[matched.label] = True
    new_index = np.cumsum(keep) - 1
    return Reading(
        gold=counted,
        labels=_kept(considered, keep),
        matched=Pairs(matched.gold, new_index[matched.label], matched.iou),
        ignored_gold=len(gold) - len(counted),
        ignored_labels=len(labels) - int(keep.sum()),
    )


def _counts(columns: BoxColumns, profile: ImageProfile) -> Mask:
    shorter = np.minimum(columns.boxes[:, 2], columns.boxes[:, 3])
    big_enough = shorter >= profile.min_side_px
    return np.asarray(big_enough & ~columns.crowd if profile.crowd == "ignore" else big_enough, dtype=np.bool_)


def _kept(columns: BoxColumns, keep: Mask) -> BoxColumns:
    return columns if keep.all() else columns.take(keep)
