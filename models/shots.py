"""Shots of a video from its features: hard cuts and gradual changes, told from flashes, shaking and overlays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.features import BLOCK, LUMA, FeatureTable
from models.gradual import AREA_LEVELS, MIN_AREA, Transition, find_dissolves, find_fades, likeness

MIN_STEP: Final = 6.0  # mean absolute difference (0 to 255) from one frame to the next below which nothing is a cut
OUTSTANDING: Final = 1.8  # how much a cut exceeds the second largest step around it
AROUND: Final = 6  # frames to either side that count as around
MAX_LIKENESS: Final = 0.8  # correlation of luma over a cut
RETURN_S: Final = 0.3  # a picture that comes back within this time was covered by a flash or shaken, not cut
OVERLAY_LIKENESS: Final = 0.98  # over a cut, of a half of the picture: it goes on, under something laid over the other half
RETURN_SHARE: Final = 0.5  # comes back: nearer to the picture before than this share of the step


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames [start, end) of one camera take, and how it begins: start, cut, dissolve, fade or wipe."""

    start: int
    end: int
    transition: str


def find_transitions(features: FeatureTable, *, rate: float) -> list[Transition]:
    """Return every change of shot in ascending order, none overlapping.

    Args:
        features: the whole video.
        rate: frames a second, by which spans given in seconds are measured.
    """
    if features.frames < 2:
        return []
    cuts = find_cuts(features, rate=rate)
    fades = find_fades(features, cuts, rate)
    cuts = [cut for cut in cuts if not any(fade.start <= cut <= fade.end for fade in fades)]
    known = [Transition("cut", cut, cut) for cut in cuts] + fades
    known.sort(key=lambda transition: transition.start)
    dissolves = find_dissolves(features, [(change.start, change.end) for change in known], rate)
    return sorted(known + dissolves, key=lambda transition: transition.start)


def find_cuts(features: FeatureTable, *, rate: float) -> list[int]:
    """Return the first frame after each hard cut."""
    steps = features.steps()
    candidates = np.flatnonzero(steps >= np.maximum(MIN_STEP, OUTSTANDING * _second_around(steps)))
    reach = max(2, round(RETURN_S * rate))
    return [cut for cut in candidates.tolist() if _is_cut(features, cut, reach)]


def _second_around(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the second largest step around each frame, itself left out: one other cut nearby does not count."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(steps, AROUND), 2 * AROUND + 1)
    second = np.empty(len(steps), np.float32)
    for at in range(0, len(steps), BLOCK):
        others = np.delete(windows[at : at + BLOCK], AROUND, axis=1)
        second[at : at + BLOCK] = np.partition(others, -2, axis=1)[:, -2]
    return second


def is_change(features: FeatureTable, change: Transition, *, rate: float) -> bool:
    """Tell whether the pictures on both sides of a supposed change are of two shots.

    They differ over a good part of the picture and are not alike; and at a cut, no half of the picture goes on as it was,
    as it does where a banner comes or goes, and neither picture comes back on the other side soon after, as it does when
    a flash or a passer-by covered it.

    Args:
        features: the whole video.
        change: within it.
        rate: frames a second.
    """
    if change.kind == "cut":
        return _is_cut(features, change.start, max(2, round(RETURN_S * rate)))
    before, after = (features.rows([frame]).luma.astype(np.float32) for frame in (change.start - 1, change.end))
    differs = float((np.abs(after - before) > AREA_LEVELS).mean()) >= MIN_AREA
    return differs and float(likeness(before, after)[0]) <= MAX_LIKENESS


def _is_cut(features: FeatureTable, cut: int, reach: int) -> bool:
    before, after = (features.rows([frame]).luma.astype(np.float32) for frame in (cut - 1, cut))
    if float((np.abs(after - before) > AREA_LEVELS).mean()) < MIN_AREA or likeness(before, after)[0] > MAX_LIKENESS:
        return False
    if _is_laid_over(before, after):
        return False
    sides = features.vectors([cut - 1, cut])
    step = np.abs(sides[1] - sides[0]).mean()
    later = features.vectors(slice(cut + 1, min(cut + 1 + reach, features.frames)))
    earlier = features.vectors(slice(max(0, cut - 1 - reach), cut - 1))
    returns = [np.abs(rows - side).mean(axis=1) for rows, side in ((later, sides[0]), (earlier, sides[1])) if len(rows)]
    return all(float(distances.min()) >= RETURN_SHARE * step for distances in returns)


def _is_laid_over(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Tell whether the upper, lower, left or right half of two pictures, 1 x 1296 each, is the same picture."""
    one, two = (picture.reshape(LUMA[1], LUMA[0]) for picture in (before, after))
    down, across = (LUMA[1] + 1) // 2, LUMA[0] // 2
    halves = (np.s_[:down], np.s_[-down:], np.s_[:, :across], np.s_[:, -across:])
    likest = max(float(likeness(one[half].reshape(1, -1), two[half].reshape(1, -1))[0]) for half in halves)
    return likest > OVERLAY_LIKENESS


def shots_between(transitions: Sequence[Transition], frames: int) -> list[Shot]:
    """Return the shots of a video of `frames` frames; frames inside a gradual change belong to none.

    Args:
        transitions: ascending, not overlapping, as `find_transitions` gives them.
        frames: how many frames the video has; none gives no shot.
    """
    shots = []
    begin, how = 0, "start"
    for transition in transitions:
        if transition.start > begin:
            shots.append(Shot(begin, transition.start, how))
        begin, how = transition.end, transition.kind
    if frames > begin:
        shots.append(Shot(begin, frames, how))
    return shots
