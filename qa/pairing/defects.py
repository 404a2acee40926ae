"""Defects: what the matching left over, named in the fixed order of the acceptance notes, 3.6, each box once.

1. wrong_class: a gold and a label left over, IoU at least the threshold, different classes;
2. loose_box: left over, same class, IoU from .1 to below the threshold;
3. duplicate: a label left over, same class, IoU at least the threshold with a gold that is matched already;
4. missed: gold still left; 5. spurious: label still left.
Where classes do not count, every class is the same and wrong_class cannot occur.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.acceptance import ImageProfile
from contract.scores import BOX_DEFECTS
from qa.columns import taken
from qa.pairing.boxes import BoxColumns, Pairs, Reading, grouped, overlapping
from qa.pairing.iou import TIE
from qa.pairing.matching import Indices, Mask, assign
from qa.pairing.overlaps import best_covered

LOOSE_FROM: Final = 0.1
KINDS: Final = ("wrong_class", "loose_box", "duplicate", "missed", "spurious")


@dataclass(frozen=True)
class Defect:
    """All defects of one kind; -1 where no box of that side takes part."""

    kind: str
    gold: Indices
    label: Indices
    iou: NDArray[np.float64] | None = None


def find_defects(reading: Reading, profile: ImageProfile) -> list[Defect]:
    """Return the defects of `reading`, one entry a kind, in the order of `KINDS`."""
    gold_free, label_free = _mask(len(reading.gold), reading.gold_left), _mask(len(reading.labels), reading.labels_left)
    near = _among(reading, reading.gold_left, reading.labels_left, floor=min(LOOSE_FROM, profile.iou))
    reaches = near.iou >= profile.iou - TIE
    same = _same_class(near, reading, profile)
    loose = ~reaches & same & (near.iou >= LOOSE_FROM - TIE)
    found = []
    for kind, candidates in (("wrong_class", reaches & ~same), ("loose_box", loose)):
        free = near.take(candidates & gold_free[near.gold] & label_free[near.label])
        taken = free.take(assign(free.gold, free.label, free.iou))
        gold_free[taken.gold] = False
        label_free[taken.label] = False
        found.append(Defect(kind, taken.gold, taken.label, taken.iou))
    copies = _duplicates(reading, profile, label_free)
    label_free[copies.label] = False
    found.append(Defect("duplicate", copies.gold, copies.label, copies.iou))
    missed, spurious = np.flatnonzero(gold_free), np.flatnonzero(label_free)
    found.append(Defect("missed", missed, np.full(missed.size, -1)))
    found.append(Defect("spurious", np.full(spurious.size, -1), spurious))
    return found


def _mask(size: int, indices: Indices) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    mask[indices] = True
    return mask


def _same_class(pairs: Pairs, reading: Reading, profile: ImageProfile) -> Mask:
    if not profile.class_aware:
        return np.ones(pairs.gold.size, dtype=np.bool_)
    return np.asarray(reading.gold.label[pairs.gold] == reading.labels.label[pairs.label], dtype=np.bool_)


def _among(reading: Reading, gold: Indices, labels: Indices, *, floor: float) -> Pairs:
    """Return the pairs of some boxes of either side, whose indices ascend."""
    pairs = overlapping(reading.gold.take(gold), reading.labels.take(labels), floor=floor, by_class=False)
    return Pairs(gold[pairs.gold], labels[pairs.label], pairs.iou)


def _duplicates(reading: Reading, profile: ImageProfile, label_free: Mask) -> Pairs:
    """Return each free label that covers a matched gold, with the gold that it covers best."""
    free, matched = np.flatnonzero(label_free), _mask(len(reading.gold), reading.matched.gold)
    gold, labels = grouped(reading.gold, reading.labels, by_class=profile.class_aware)
    best, iou = best_covered(labels, free, gold, matched, profile.iou - TIE)
    found = best >= 0
    return Pairs(best[found], free[found], iou[found])


def defect_table(defects: list[Defect], *, reading: Reading, items: pa.Array, names: Sequence[str]) -> pa.Table:
    """Return `defects` as a table of `BOX_DEFECTS`, kind by kind."""
    parts = [_rows(defect, reading=reading, items=items, names=names) for defect in defects]
    return pa.concat_tables(parts)


def _rows(defect: Defect, *, reading: Reading, items: pa.Array, names: Sequence[str]) -> pa.Table:
    gold, label = reading.gold, reading.labels
    on_gold = defect.gold.size > 0 and defect.gold[0] >= 0
    on_label = defect.label.size > 0 and defect.label[0] >= 0
    image = gold.image[defect.gold] if on_gold else label.image[defect.label]
    size = defect.gold.size
    columns = {
        "item": taken(items, image),
        "kind": pa.array([defect.kind] * size, pa.string()),
        "gold_row": pa.array(gold.row[defect.gold]) if on_gold else pa.nulls(size, pa.int64()),
        "label_row": pa.array(label.row[defect.label]) if on_label else pa.nulls(size, pa.int64()),
        "gold_label": _names(gold, defect.gold, names) if on_gold else pa.nulls(size, pa.string()),
        "label": _names(label, defect.label, names) if on_label else pa.nulls(size, pa.string()),
        "iou": pa.nulls(size, pa.float64()) if defect.iou is None else pa.array(defect.iou, pa.float64()),
    }
    return pa.table(columns, schema=BOX_DEFECTS)


def _names(of: BoxColumns, index: Indices, names: Sequence[str]) -> pa.Array:
    return taken(names, of.label[index])
