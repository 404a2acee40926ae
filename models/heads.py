"""Boxes out of what a detector's head says of each cell, for the few cells that say anything.

Distances to a cell's four sides come as distributions over whole strides, of which the mean counts (Li et al., Generalized
Focal Loss, 2020); a class counts by its sigmoid. A box has one class, its likeliest, as in Ultralytics' prediction.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SLACK: Final = 1e-3  # of a logit: what lies near the least score is decided by the score itself

Floats = NDArray[np.float32]


class Level(NamedTuple):
    """One of the head's maps: a cell is `stride` pixels of the network's input wide and high."""

    stride: int


class Candidates(NamedTuple):
    """Boxes before suppression: corners x1, y1, x2, y2 in pixels of the network's input, score and class of each."""

    corners: Floats
    scores: Floats
    classes: NDArray[np.int64]


def decode(maps: Sequence[tuple[Floats, Floats]], levels: Sequence[Level], *, least: float) -> Candidates:
    """Return the boxes of a picture whose score is over `least`, by level, row and column.

    Args:
        maps: of each level distances (rows, columns, 4 x bins) and logits of classes (rows, columns, classes).
        levels: what a cell of each is.
        least: score that is not enough yet.
    """
    found = [_of_level(*pair, level.stride, least) for pair, level in zip(maps, levels, strict=True)]
    return Candidates(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _of_level(distances: Floats, logits: Floats, stride: int, least: float) -> Candidates:
    columns, kinds = logits.shape[1:]
    flat = logits.reshape(-1)
    cells = np.unique(np.flatnonzero(flat > _logit(least) - _SLACK) // kinds)
    of_cells = flat.reshape(-1, kinds)[cells]
    classes = of_cells.argmax(axis=1)
    best = of_cells[np.arange(len(cells)), classes]
    scores: Floats = 1 / (1 + np.exp(-best))
    enough = scores > least
    cells, classes, scores = cells[enough], classes[enough], scores[enough]
    sides = _means(distances.reshape(len(flat) // kinds, 4, -1)[cells])
    centres = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32) + np.float32(0.5)
    corners = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1) * np.float32(stride)
    return Candidates(corners, scores, classes)


def _means(bins: Floats) -> Floats:
    """Return the mean of each distribution: (n, 4, bins) of logits to (n, 4)."""
    if bins.shape[2] == 1:
        return bins[:, :, 0]
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    means: Floats = weights @ np.arange(bins.shape[2], dtype=np.float32) / weights.sum(axis=2)
    return means


def _logit(score: float) -> float:
    if score <= 0:
        return -math.inf
    return math.inf if score >= 1 else math.log(score / (1 - score))
