"""From what the shot network says of every frame to changes of shot: cuts where it peaks, spans where it stays.

The three limits that say how sure it must be come from streams of the training's generator whose takes had been put aside,
not from any video that the network is judged by: F1 there is within about a hundredth of the best, and fewer are made up.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.gradual import Transition

CUT: Final = 0.5  # probability of a cut over three frames, of which the middle one has the most
CUT_PEAK: Final = 0.25  # that the middle one has at least
GRADUAL: Final = 0.5  # mean probability of any gradual change over a span
VISIBLE: Final = 0.15  # probability of a border that both ends of a span reach: a change begins and ends somewhere
GRADUAL_EDGE: Final = 0.35  # probability of a gradual change that a span keeps to its ends
GAP: Final = 2  # frames by which a span may be broken
SHORTEST: Final = 3  # frames of a gradual change
BORDER: Final = 0.3  # probability with which a border is taken for the end itself
NEAR: Final = 4  # frames around the end of a span in which its border is looked for
SPLIT: Final = 0.6  # probability of an end, inside a span, that parts it in two

Scores = NDArray[np.float32]
_KINDS: Final = ("dissolve", "fade", "wipe")


def decode(scores: Scores) -> list[Transition]:
    """Return the changes in ascending order, none overlapping, none at the first or the last frame.

    Args:
        scores: n x 7: none, cut, dissolve, fade, wipe, first frame of a gradual change, first frame after one.
    """
    if len(scores) < 2:
        return []
    spans = [_bordered(scores, start, end) for start, end in _spans(scores[:, 2:5].sum(axis=1), scores[:, 6])]
    sure = [span for span in spans if _is_sure(scores, *span)]
    gradual = _apart([Transition(_kind(scores, start, end), start, end) for start, end in sure])
    inside = np.zeros(len(scores) + 1, np.bool_)
    for change in gradual:
        inside[change.start : change.end + 1] = True
    cuts = [Transition("cut", at, at) for at in _cuts(scores[:, 1]) if not inside[at]]
    whole = [change for change in gradual if change.start > 0 and change.end < len(scores)]
    return sorted(cuts + whole, key=lambda change: change.start)


def _is_sure(scores: Scores, start: int, end: int) -> bool:
    begins, ends = (float(scores[max(0, at - 2) : at + 3, column].max(initial=0)) for at, column in ((start, 5), (end, 6)))
    mean = float(scores[start:end, 2:5].sum(axis=1, dtype=np.float64).mean())
    return mean >= GRADUAL and min(begins, ends) >= VISIBLE


def _kind(scores: Scores, start: int, end: int) -> str:
    return _KINDS[int(np.argmax(scores[start:end, 2:5].sum(axis=0, dtype=np.float64)))]


def _cuts(values: Scores) -> list[int]:
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, 2), 5)
    first = around.argmax(axis=1) == 2  # of equals the first
    total = around[:, 1:4].sum(axis=1)
    found = np.flatnonzero(first & (values >= CUT_PEAK) & (total >= CUT))
    cuts: list[int] = found[found > 0].tolist()
    return cuts


def _spans(values: Scores, ends: Scores) -> list[tuple[int, int]]:
    """Return [start, end) of the frames above GRADUAL_EDGE, small gaps closed, parted at sure ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values >= GRADUAL_EDGE, [False]]).astype(np.int8)))
    spans: list[tuple[int, int]] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if spans and start - spans[-1][1] <= GAP and float(ends[spans[-1][1] : start + 1].max()) < SPLIT:
            start = spans.pop()[0]
        spans.append((start, end))
    return [part for span in spans if span[1] - span[0] >= SHORTEST for part in _parted(ends, *span)]


def _parted(ends: Scores, start: int, end: int) -> list[tuple[int, int]]:
    inner = slice(start + SHORTEST, end - SHORTEST)
    if inner.stop <= inner.start or float(ends[inner].max()) < SPLIT:
        return [(start, end)]
    at = inner.start + int(ends[inner].argmax())
    return [*_parted(ends, start, at), *_parted(ends, at + 1, end)]


def _bordered(scores: Scores, start: int, end: int) -> tuple[int, int]:
    begins = _border(scores[:, 5], start)
    return begins, max(_border(scores[:, 6], end), begins + 1)


def _border(values: Scores, at: int) -> int:
    low, high = max(0, at - NEAR), min(len(values), at + NEAR + 1)
    if high <= low or float(values[low:high].max()) < BORDER:
        return at
    return low + int(values[low:high].argmax())


def _apart(changes: list[Transition]) -> list[Transition]:
    """Cut what overlaps off the later change; drop what has nothing left."""
    kept: list[Transition] = []
    for change in changes:
        start = max(change.start, kept[-1].end if kept else 0)
        if change.end > start:
            kept.append(Transition(change.kind, start, change.end))
    return kept
