"""The contract's reading of boxes with whole-array numpy and scipy's solver: the plain version beside the compiled one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from contract.acceptance import ImageProfile
from qa.pairing.boxes import BoxColumns
from qa.pairing.matching import Indices, Mask, pairs_within
from tests.oracles.overlaps import iou_of_pairs, share_inside

Floats = NDArray[np.float64]

LOOSE_FROM = 0.1
TIE = 1e-9


class Found(NamedTuple):
    """Rows of the tables: matched pairs, and defects by kind with -1 for a side that takes no part; sorted."""

    matches: list[tuple[int, int, float]]
    defects: dict[str, list[tuple[int, int]]]
    ignored: tuple[int, int]


def in_order(columns: BoxColumns) -> BoxColumns:
    x, y, w, h = columns.boxes.T
    keys = (columns.row, columns.crowd, columns.area, h, w, y, x, columns.label, columns.image)
    return columns.take(np.lexsort(keys))


def assign(left: Indices, right: Indices, quality: Floats) -> Mask:
    """Return which edges are chosen: most, then the greatest sum of quality, by scipy."""
    chosen = np.zeros(left.size, dtype=np.bool_)
    if not left.size:
        return chosen
    lefts, left_code = np.unique(left, return_inverse=True)
    rights, right_code = np.unique(right, return_inverse=True)
    nodes = lefts.size + rights.size
    graph = coo_array((np.ones(left.size), (left_code, right_code + lefts.size)), shape=(nodes, nodes))
    _, labels = connected_components(graph, directed=False)
    for component in np.unique(labels[left_code]):
        own = np.flatnonzero(labels[left_code] == component)
        chosen[own[_solve(left[own], right[own], quality[own])]] = True
    return chosen


def _solve(left: Indices, right: Indices, quality: Floats) -> Indices:
    lefts, rows = np.unique(left, return_inverse=True)
    rights, columns = np.unique(right, return_inverse=True)
    bonus = min(lefts.size, rights.size) + 1  # a pair more must outweigh any gain in quality
    weight = np.zeros((lefts.size, rights.size))
    weight[rows, columns] = bonus + quality
    edge = np.full(weight.shape, -1, dtype=np.int64)
    edge[rows, columns] = np.arange(left.size)
    picked = edge[linear_sum_assignment(weight, maximize=True)]
    return np.asarray(picked[picked >= 0], dtype=np.int64)


def read(gold: BoxColumns, labels: BoxColumns, profile: ImageProfile) -> Found:
    """Return matches and defects, optimal matching."""
    gold, labels = in_order(gold), in_order(labels)
    crowds = gold.take(gold.crowd)
    counted, considered = gold.take(_counts(gold, profile)), labels.take(_counts(labels, profile))
    one, other = pairs_within(_group(counted, profile), _group(considered, profile))
    quality = iou_of_pairs(counted.boxes[one], considered.boxes[other])
    near = quality >= profile.iou - TIE
    one, other, quality = one[near], other[near], quality[near]
    chosen = assign(one, other, quality)
    one, other, quality = one[chosen], other[chosen], quality[chosen]
    free = np.ones(len(considered), dtype=np.bool_)
    if profile.crowd == "ignore":
        crowd, label = pairs_within(_group(crowds, profile), _group(considered, profile))
        share = share_inside(considered.boxes[label], crowds.boxes[crowd])
        free[label[share >= profile.iou - TIE]] = False
    free[other] = False
    gold_free = np.ones(len(counted), dtype=np.bool_)
    gold_free[one] = False
    counts = int(free.sum()) + other.size
    rows = sorted(zip(counted.row[one].tolist(), considered.row[other].tolist(), quality.tolist(), strict=True))
    return Found(
        rows,
        _defects(counted, considered, profile, gold_free=gold_free, label_free=free),
        (len(gold) - len(counted), len(labels) - counts),
    )


def _group(columns: BoxColumns, profile: ImageProfile) -> Indices:
    return columns.image * 1000 + columns.label if profile.class_aware else columns.image


def _counts(columns: BoxColumns, profile: ImageProfile) -> Mask:
    big_enough = columns.boxes[:, 2:].min(axis=1, initial=np.inf) >= profile.min_side_px
    return np.asarray(big_enough & ~columns.crowd if profile.crowd == "ignore" else big_enough, dtype=np.bool_)


def _defects(
    gold: BoxColumns, labels: BoxColumns, profile: ImageProfile, *, gold_free: Mask, label_free: Mask
) -> dict[str, list[tuple[int, int]]]:
    matched = ~gold_free
    one, other = pairs_within(gold.image, labels.image)
    quality = iou_of_pairs(gold.boxes[one], labels.boxes[other])
    same = (gold.label[one] == labels.label[other]) | (not profile.class_aware)
    reaches = quality >= profile.iou - TIE
    result = {}
    for kind, fits in (("wrong_class", reaches & ~same), ("loose_box", ~reaches & same & (quality >= LOOSE_FROM - TIE))):
        edges = np.flatnonzero(fits & gold_free[one] & label_free[other])
        edges = edges[assign(one[edges], other[edges], quality[edges])]
        gold_free[one[edges]] = False
        label_free[other[edges]] = False
        result[kind] = sorted(zip(gold.row[one[edges]].tolist(), labels.row[other[edges]].tolist(), strict=True))
    copies: dict[int, int] = {}
    for edge in np.flatnonzero(reaches & same & matched[one] & label_free[other]).tolist():
        best = copies.get(int(other[edge]))
        if best is None or quality[edge] > quality[best]:
            copies[int(other[edge])] = edge
    label_free[list(copies)] = False
    result["duplicate"] = sorted((int(gold.row[one[edge]]), int(labels.row[label])) for label, edge in copies.items())
    result["missed"] = [(row, -1) for row in sorted(gold.row[gold_free].tolist())]
    result["spurious"] = [(-1, row) for row in sorted(labels.row[label_free].tolist())]
    return result
