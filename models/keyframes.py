"""Keyframes: for each stretch of a shot the frame that is sharp, well exposed and looks like the rest of it.

A stretch is a shot, or a part of one by the terms' rule. Never chosen is a frame that is black, that stands in a change of
shot or right beside one, or that is a blink of light: brighter or darker than the shot around it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.terms import KeyframeRule
from models.features import CHROMA_SIZE, FeatureTable
from models.frames import Timeline
from models.shots import Shot

BINS: Final = 16  # of luma, of Cb and of Cr each
BLACK_BRIGHTNESS: Final = 20.0  # mean luma (0 to 255) at which a frame is black, if its contrast is low as well
BLACK_CONTRAST: Final = 10.0  # standard deviation of the luma thumbnail
SHARP_PERCENTILE: Final = 95.0  # of a stretch's sharpness: what counts as fully sharp
MARGIN_S: Final = 0.12  # beside a change of shot, whose borders are known to a few frames only
MARGIN_SHARE: Final = 4  # but at most one in so many frames of the shot
BLINK_S: Final = 0.3  # to either side: what the brightness of a frame is compared with
BLINK_LEVELS: Final = 10.0  # mean luma away from the median around it
DIM: Final = 50.0  # mean luma below which, or that near to white, a frame is too dark or too bright
CLIPPED: Final = (8, 247)  # luma at or beyond these holds no detail
CLIPPED_SHARE: Final = 0.1  # of the picture that may be so for nothing
FULL_CONTRAST: Final = 20.0
OFF_CENTRE: Final = 0.5  # what a frame at the edge of its interval loses, so that two neighbours do not meet there
MIN_SIGHT_S: Final = 0.5  # what is in sight for less is movement
BLOCK: Final = 1024  # frames that are measured at a time
HELD: Final = 8  # blocks of a shot whose histograms are held

Frames = NDArray[np.intp]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Keyframe:
    """One frame that stands for its stretch; score in [0, 1] is sharpness times exposure times likeness to the stretch."""

    frame: int
    score: float


def black_frames(features: FeatureTable) -> NDArray[np.bool_]:
    """Tell which frames are black: dark on the whole and nearly without contrast."""
    black: NDArray[np.bool_] = (features.brightness < BLACK_BRIGHTNESS) & (features.contrast < BLACK_CONTRAST)
    return black


def pick_keyframes(
    features: FeatureTable, shots: Sequence[Shot], timeline: Timeline, rule: KeyframeRule | None = None
) -> list[Keyframe]:
    """Return the keyframes of `shots` in ascending order, the earliest among equals.

    Args:
        features: the whole video.
        shots: ascending, not overlapping; what lies between them is a change of shot.
        timeline: seconds of the frames of `features`.
        rule: how many; one a shot if left out. A shot that is black throughout has none.
    """
    rule = rule or KeyframeRule()
    light = _Light(features.brightness, black_frames(features), max(1, round(BLINK_S * timeline.rate)))
    picked: list[Keyframe] = []
    for shot in shots:
        frames = _usable(light, shot, margin=round(MARGIN_S * timeline.rate))
        if not len(frames):
            continue
        if rule.rule == "novelty":
            picked += _one_a_sight(features, frames, timeline, rule)
        elif rule.rule == "interval":
            picked += _one_an_interval(features, frames, timeline, (shot, rule))
        else:
            picked.append(_best(frames, _scores(features, frames)))
    return picked


@dataclass(frozen=True, slots=True)
class _Light:
    """Mean luma of every frame of a video, which of them are black, and how many frames to either side show a blink."""

    brightness: NDArray[np.float32]
    black: NDArray[np.bool_]
    reach: int

    def blinks(self, start: int, end: int) -> NDArray[np.bool_]:
        """Tell which of the frames [start, end) of one shot are far from the median of those around them."""
        values = self.brightness[start:end]
        return np.array(np.abs(values - _running_median(values, self.reach)) > BLINK_LEVELS)


def _running_median(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Return the lower median of each value and of `reach` values to either side, as far as there are any."""
    medians = np.empty(len(values), np.float32)
    padded = np.pad(values, reach, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    places = np.arange(len(values))
    there = np.minimum(places, reach) + np.minimum(len(values) - 1 - places, reach) + 1
    for at in range(0, len(values), BLOCK):
        ordered = np.sort(windows[at : at + BLOCK], axis=1)  # what is not there comes last
        middle = (there[at : at + BLOCK] - 1) // 2
        medians[at : at + BLOCK] = np.take_along_axis(ordered, middle[:, None], axis=1)[:, 0]
    return medians


def _usable(light: _Light, shot: Shot, *, margin: int) -> Frames:
    """Return the frames of `shot` that may be chosen; a wish that leaves none is given up, but never for black."""
    margin = min(margin, (shot.end - shot.start) // MARGIN_SHARE)
    places = np.arange(shot.start, shot.end)
    first = shot.start + (margin if shot.transition != "start" else 0)
    last = shot.end - (margin if shot.end < len(light.black) else 0)
    lit = ~light.black[shot.start : shot.end]
    steady = lit & ~light.blinks(shot.start, shot.end)
    inside = (places >= first) & (places < last)
    for wish in (steady & inside, steady, lit & inside, lit):
        if wish.any():
            return places[wish]
    return places[:0]


def _best(frames: Frames, scores: Values, weights: Values | None = None) -> Keyframe:
    best = int(np.argmax(scores if weights is None else scores * weights))
    return Keyframe(int(frames[best]), float(scores[best]))


def _one_an_interval(
    features: FeatureTable, frames: Frames, timeline: Timeline, of: tuple[Shot, KeyframeRule]
) -> list[Keyframe]:
    """Pick one of each of the equal parts, none longer than the rule's seconds, into which the shot falls."""
    shot, rule = of
    assert rule.seconds is not None  # noqa: S101  the terms demand it with this rule
    start, end = timeline.seconds(shot.start), timeline.seconds(shot.end)
    parts = max(1, math.ceil((end - start) / rule.seconds * (1 - 1e-6)))
    parts = min(parts, rule.most or parts)
    length = (end - start) / parts
    offsets = (timeline.edges[frames] + timeline.edges[frames + 1]) / 2 - start  # of the middles, which are inside
    number = np.minimum(offsets // length, parts - 1).astype(np.intp)
    picked = []
    for part in np.unique(number):
        chosen = number == part
        off = np.abs(offsets[chosen] / length - part - 0.5) * 2
        weights = 1.0 - OFF_CENTRE * off**2
        picked.append(_best(frames[chosen], _scores(features, frames[chosen]), weights))
    return picked


def _one_a_sight(features: FeatureTable, frames: Frames, timeline: Timeline, rule: KeyframeRule) -> list[Keyframe]:
    """Pick one of each stretch that shows something new, those in sight longest first, none like one picked before."""
    assert rule.novelty is not None  # noqa: S101  the terms demand it with this rule
    bounds = _stretches(_Sights(features, frames), timeline.edges[frames], rule.novelty)
    ends = [*bounds[1:], len(frames)]
    starts, stops = timeline.edges[frames[bounds]], timeline.edges[frames[np.array(ends) - 1] + 1]
    seconds = (stops - starts).tolist()
    picked: list[Keyframe] = []
    seen: list[NDArray[np.float32]] = []
    for stretch in sorted(range(len(bounds)), key=lambda number: (-seconds[number], number)):
        if len(picked) == (rule.most or len(bounds)):
            break
        part = frames[bounds[stretch] : ends[stretch]]
        best = _best(part, _scores(features, part))
        sight = _sights(features, np.array([best.frame]))
        if all(_difference(sight, other)[0] >= rule.novelty for other in seen):
            picked.append(best)
            seen.append(sight[0])
    return sorted(picked, key=lambda key: key.frame)


def _sights(features: FeatureTable, frames: Frames) -> NDArray[np.float32]:
    """Return luma and chroma of 16 x 9 blocks, n x 432, so scaled that a sum of differences is a share of full range."""
    rows = features.rows(frames)
    luma, chroma = rows.coarse() / (255 * CHROMA_SIZE), rows.chroma.astype(np.float32) / (510 * CHROMA_SIZE)
    return np.concatenate([luma, chroma], axis=1)


class _Sights:
    """What is to be seen on the frames of a shot, of which one block is held at a time."""

    def __init__(self, features: FeatureTable, frames: Frames) -> None:
        self._features, self._frames = features, frames
        self._begin = -BLOCK
        self._held = np.zeros((0, 0), np.float32)

    def from_place(self, place: int) -> NDArray[np.float32]:
        """Return the sights of frame number `place` of the shot and of some that follow."""
        begin = place // BLOCK * BLOCK
        if begin != self._begin:
            self._held, self._begin = _sights(self._features, self._frames[begin : begin + BLOCK]), begin
        return self._held[place - begin :]


def _difference(sights: NDArray[np.float32], other: NDArray[np.float32]) -> Values:
    """Return the mean absolute difference of luma plus that of chroma, as a share of full range."""
    sums: Values = np.abs(sights - other).sum(axis=1, dtype=np.float64)
    return sums


def _stretches(sights: _Sights, times: Values, novelty: float) -> list[int]:
    """Return where each stretch starts: where a picture differs by `novelty` from the first of the stretch before.

    No stretch is shorter than MIN_SIGHT_S; a last one that would be belongs to the one before.
    """
    bounds, at, first = [0], 1, sights.from_place(0)[0].copy()
    while True:
        at = max(at, int(np.searchsorted(times, times[bounds[-1]] + MIN_SIGHT_S)))
        if at >= len(times):
            return bounds
        following = sights.from_place(at)
        new = np.flatnonzero(_difference(following, first) >= novelty)
        if not len(new):
            at += len(following)
            continue
        place = int(new[0])
        at += place
        if times[-1] - times[at] >= MIN_SIGHT_S:
            bounds.append(at)
            first = following[place].copy()
        at += 1


def _scores(features: FeatureTable, frames: Frames) -> Values:
    return _sharpness(features.sharpness[frames]) * _exposure(features, frames) * _typical(features, frames)


def _sharpness(values: NDArray[np.float32]) -> Values:
    full = float(np.percentile(values, SHARP_PERCENTILE))
    return np.clip(values / full, 0.0, 1.0).astype(np.float64) if full > 0 else np.ones(len(values))


def _exposure(features: FeatureTable, frames: Frames) -> Values:
    """Return 1 for a picture neither dark nor bright as a whole, with contrast and detail nearly everywhere; else less."""
    parts = []
    for at in range(0, len(frames), BLOCK):
        luma = features.rows(frames[at : at + BLOCK]).luma
        mean = luma.mean(axis=1, dtype=np.float64)
        level = np.minimum(mean, 255.0 - mean) / DIM
        clipped = ((luma <= CLIPPED[0]) | (luma >= CLIPPED[1])).mean(axis=1)
        detail = (1.0 - clipped) / (1.0 - CLIPPED_SHARE)
        contrast = luma.std(axis=1, dtype=np.float64) / FULL_CONTRAST
        parts.append(np.minimum(level, 1.0) * np.minimum(detail, 1.0) * np.minimum(contrast, 1.0))
    return np.concatenate(parts)


def _typical(features: FeatureTable, frames: Frames) -> Values:
    """Return 1 minus half the L1 distance of each frame's histograms from their mean over `frames`, in [0, 1]."""
    parts = [frames[at : at + BLOCK] for at in range(0, len(frames), BLOCK)]
    held = [_histograms(features, part) for part in parts] if len(parts) <= HELD else None  # else they are made twice
    total = np.zeros(3 * BINS)
    for histograms in held or (_histograms(features, part) for part in parts):
        total = np.concatenate([total[None], histograms]).sum(axis=0)  # row by row: the same for any number of blocks
    mean = total / len(frames)
    apart = [np.abs(histograms - mean).sum(axis=1) for histograms in held or (_histograms(features, part) for part in parts)]
    likeness: Values = np.clip(1.0 - 0.5 * np.concatenate(apart), 0.0, 1.0)
    return likeness


def _histograms(features: FeatureTable, frames: Frames) -> Values:
    """Return histograms of luma, Cb and Cr, n x 3 BINS, each a third of a sum of 1."""
    found = features.rows(frames)
    parts = (found.luma, found.chroma[:, :CHROMA_SIZE], found.chroma[:, CHROMA_SIZE:])
    rows = np.arange(len(frames))[:, None] * BINS
    columns = []
    for part in parts:
        filled = np.bincount((part // (256 // BINS) + rows).ravel(), minlength=len(frames) * BINS)
        columns.append(filled.reshape(len(frames), BINS) / (3.0 * part.shape[1]))
    return np.concatenate(columns, axis=1)
