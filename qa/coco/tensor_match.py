"""COCO's matching as tensors: candidate pairs by their overlap, then who takes whom, for all sizes and thresholds at once.

A word of 40 bits says for which of the 4 sizes and 10 IoU thresholds a thing holds: bit size * 10 + threshold.
"""

import itertools
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

from qa.coco.cuda_kernel import match_on_cuda
from qa.coco.match import AREAS, IOU_THRESHOLDS, MAX_DETECTIONS
from qa.coco.scans import places_of, starts_of_runs

EVERY: Final = (1 << len(AREAS) * len(IOU_THRESHOLDS)) - 1
_ONE_SIZE: Final = (1 << len(IOU_THRESHOLDS)) - 1
_RANKS: Final = int(MAX_DETECTIONS[-1])
_NEARLY_ONE: Final = 1 - 1e-10
_PAIRS_AT_ONCE: Final = 1 << 25


@dataclass(frozen=True)
class Cells:
    """Gold by cell, a cell being one class in one image; the order given within a cell."""

    keys: Tensor  # of each cell, ascending
    starts: Tensor  # of each cell in what follows, and the end
    boxes: Tensor
    crowd: Tensor
    counted: Tensor  # the word where it counts
    spent: Tensor  # the word that is no longer free once it is taken: none of a crowd's

    @classmethod
    def of(cls, keys: Tensor, *, boxes: Tensor, crowd: Tensor, counted: Tensor) -> "Cells":
        """Return the cells of gold that is sorted by `keys`; `counted` has shape (sizes, gold)."""
        starts = starts_of_runs(keys)
        word = torch.zeros_like(keys)
        for size in range(len(AREAS)):
            word |= counted[size].long() * (_ONE_SIZE << size * len(IOU_THRESHOLDS))
        return cls(
            keys=keys[starts[:-1]],
            starts=starts,
            boxes=boxes,
            crowd=crowd,
            counted=word,
            spent=(~crowd).long() * EVERY,
        )


class Candidates(NamedTuple):
    """Pairs that overlap enough for the lowest threshold: by detection, best first, the later gold of a tie first."""

    detection: Tensor
    gold: Tensor
    reach: Tensor  # the word of the thresholds that the overlap reaches


class Fates(NamedTuple):
    """What became of the detections with a candidate: whether it took gold, and gold that counts, as words."""

    detection: Tensor  # ascending
    matched: Tensor
    true: Tensor


class Queue(NamedTuple):
    """Candidates as the cells work through them."""

    cell_starts: Tensor  # of each cell among the detections, and the end
    pair_starts: Tensor  # of each detection among the pairs, and the end
    gold: Tensor  # of each pair
    reach: Tensor  # of each pair


def match(cells: Cells, keys: Tensor, boxes: Tensor, order: Tensor) -> Fates:
    """Match detections with gold.

    Args:
        cells: the gold.
        keys: the cell of each detection, ascending, by descending score within a cell.
        boxes: of the detections, in any order.
        order: for each of `keys`, where its box is.
    """
    pairs = _best_first(_overlapping(cells, keys, boxes, order))
    if not len(pairs.detection):
        none = pairs.detection
        return Fates(none, none, none)
    pair_starts = starts_of_runs(pairs.detection)
    detection = pairs.detection[pair_starts[:-1]]
    queue = Queue(starts_of_runs(keys[detection]), pair_starts, pairs.gold, pairs.reach)
    settled = match_on_cuda(queue, cells.counted, cells.spent, every=EVERY) if keys.is_cuda else None
    return Fates(detection, *(settled or match_in_rounds(queue, cells.counted, cells.spent)))


def _overlapping(cells: Cells, keys: Tensor, boxes: Tensor, order: Tensor) -> Candidates:
    """Return the candidates by detection and gold, both ascending."""
    first = torch.searchsorted(keys, cells.keys)
    ranks = (torch.searchsorted(keys, cells.keys, right=True) - first).clamp(max=_RANKS)
    gold_counts = cells.starts.diff()
    ends = torch.cumsum(ranks * gold_counts, 0)
    found = [
        _overlapping_in(cells, first[part], ranks[part], (boxes, order), part=part)
        for part in _parts(ends)
    ]  # fmt: skip
    return Candidates(*(torch.cat(column) for column in zip(*found, strict=True)))


def _parts(ends: Tensor) -> list[slice]:
    """Cut the cells into parts of some millions of pairs; at least one part. Waits for the device."""
    if not len(ends):
        return [slice(0, 0)]
    total = int(ends[-1])
    marks = torch.arange(_PAIRS_AT_ONCE, max(total, _PAIRS_AT_ONCE), _PAIRS_AT_ONCE, device=ends.device)
    cuts = sorted({0, *torch.searchsorted(ends, marks).tolist(), len(ends)})
    return [slice(start, stop) for start, stop in itertools.pairwise(cuts)]


def _overlapping_in(
    cells: Cells, first: Tensor, ranks: Tensor, boxes_in_order: tuple[Tensor, Tensor], *, part: slice
) -> Candidates:
    """Return the candidates of some cells; `first` is each one's first detection, `ranks` how many of them compete."""
    boxes, order = boxes_in_order
    starts = cells.starts[part.start : part.stop + 1]
    counts = starts.diff()
    sizes = ranks * counts
    ends = torch.cumsum(sizes, 0)
    total = int(ends[-1]) if len(ends) else 0
    cell = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes, output_size=total)
    within = torch.arange(total, device=sizes.device) - (ends - sizes)[cell]
    rank = within // counts[cell]
    gold = starts[cell] + (within - rank * counts[cell])
    detection = first[cell] + rank
    iou = overlap(boxes[order[detection]], cells.boxes[gold], crowd=cells.crowd[gold])
    near = places_of(iou >= float(IOU_THRESHOLDS[0]))
    return Candidates(detection[near], gold[near], iou[near])


def overlap(one: Tensor, other: Tensor, *, crowd: Tensor) -> Tensor:
    """Return the overlap of each detection of `one` with the gold of `other` beside it, as COCO measures it.

    That is intersection over union, or over the detection alone where the gold is a crowd; 0 where that is empty.
    Each line is one correctly rounded operation an element: the order is that of pycocotools' bbIou.
    """
    end = (one[:, :2] + one[:, 2:]).minimum(other[:, :2] + other[:, 2:])
    side = (end - one[:, :2].maximum(other[:, :2])).clamp(min=0.0)
    intersection = side[:, 0] * side[:, 1]
    own = one[:, 2] * one[:, 3]
    union = own + other[:, 2] * other[:, 3]
    union = torch.where(crowd, own, union - intersection)
    share = intersection / union
    return share.masked_fill_(~(union > 0), 0.0)


def _best_first(pairs: Candidates) -> Candidates:
    """Put the candidates of each detection into the order in which it asks for them; `reach` holds the overlap so far."""
    turned = Candidates(*(column.flip(0) for column in pairs))  # the later gold of a tie first
    by_overlap = torch.sort(turned.reach, descending=True, stable=True).indices
    detection, by_detection = torch.sort(turned.detection[by_overlap], stable=True)
    order = by_overlap[by_detection]
    thresholds = torch.from_numpy(IOU_THRESHOLDS).to(order.device).clamp(max=_NEARLY_ONE)
    level = torch.searchsorted(thresholds, turned.reach[order], right=True)
    one_size = (torch.ones_like(level) << level) - 1
    reach = torch.zeros_like(one_size)
    for size in range(len(AREAS)):
        reach |= one_size << size * len(IOU_THRESHOLDS)
    return Candidates(detection, turned.gold[order], reach)


def match_in_rounds(queue: Queue, counted: Tensor, spent: Tensor) -> tuple[Tensor, Tensor]:
    """Return the words matched and true of each detection: round k settles the k-th of every cell.

    In a round the cells do not meet, so that its detections may take at once. Each asks for its candidates best
    first, gold that counts before gold that does not, until every bit of its word is settled.
    """
    runs, per_cell = queue.pair_starts.diff(), queue.cell_starts.diff()
    place = torch.arange(len(runs), device=runs.device) - torch.repeat_interleave(queue.cell_starts[:-1], per_cell)
    order = torch.sort(place, stable=True).indices
    ends = torch.bincount(place).cumsum(0).tolist()
    free = torch.full_like(counted, EVERY)
    matched, true = torch.zeros_like(runs), torch.zeros_like(runs)
    for start, stop in itertools.pairwise([0, *ends]):
        who = order[start:stop]
        need = torch.full_like(who, EVERY)
        for counts in (True, False):
            for candidate in range(int(runs[who].max())):
                pair = queue.pair_starts[who] + (runs[who] - 1).clamp(max=candidate)
                gold = queue.gold[pair]
                eligible = counted[gold] if counts else ~counted[gold]
                take = torch.where(runs[who] > candidate, need & queue.reach[pair] & free[gold] & eligible, 0)
                need &= ~take
                free[gold] &= ~(take & spent[gold])
            (true if counts else matched)[who] = EVERY & ~need
    return matched, true
