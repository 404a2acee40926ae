"""Gradual changes of shot: fades through a blank picture, dissolves and wipes.

During a dissolve every pixel moves on the straight line between the pictures before and after it (Hampapur, Jain and
Weymouth, 1994); during a wipe every pixel is one or the other; in a fade the contrast runs to zero and back (Lienhart,
1999). Movement within a shot does none of these, which is what tells them apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.features import Features, FeatureTable

SPANS: Final = (4, 6, 8, 11, 15, 20, 27, 36, 48, 64)  # lengths tried for a gradual change, in frames at 25 a second
BLANK: Final = 0.22  # a frame is blank when its contrast is below this share of that around it
MIN_CONTRAST: Final = 6.0  # pictures flatter than this are blank by themselves
DARK: Final = 32.0  # mean luma (0 to 255) below which a picture may be the black of a fade
BRIGHT: Final = 223.0  # and above which it may be the white of one
MIN_CHANGE: Final = 12.0  # mean absolute difference (0 to 255) between the pictures before and after
MIN_AREA: Final = 0.3  # share of the picture that differs between them by more than AREA_LEVELS
AREA_LEVELS: Final = 8
MAX_LIKENESS: Final = 0.75  # correlation of luma between them
COARSE_SHARE: Final = 0.6  # pictures of 16 x 9 blocks may differ by this much less, and
COARSE_SLACK: Final = 0.12  # correlate by this much more, before two frames are not looked at closely
MAX_RESIDUAL: Final = 0.42  # distance from the model of a change, as a share of the whole change
MAX_WIPE_RESIDUAL: Final = 0.15  # the same for a wipe, which is exact where it is one
MIN_SCORE: Final = 15.0  # change times how well the model explains it
LENGTH_COST: Final = 0.3  # how much of its score the longest window loses, so that the tightest is taken
TRIES: Final = 3  # windows around one middle that are looked at closely
FLASH_S: Final = 0.4  # a blank as short as this between two like pictures is a flash

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of shot: `start` is its first changed frame, `end` the first frame of the new shot; equal for a cut."""

    kind: str  # cut, dissolve, fade or wipe
    start: int
    end: int


def likeness(first: Vectors, second: Vectors) -> NDArray[np.float32]:
    """Return the correlation of pictures row by row, in [-1, 1]; flat pictures are like nothing (0)."""
    one = first - first.mean(axis=-1, keepdims=True)
    two = second - second.mean(axis=-1, keepdims=True)
    norms = np.sqrt((one * one).sum(axis=-1)) * np.sqrt((two * two).sum(axis=-1))
    floor = np.float32(first.shape[-1])  # one grey level of deviation in both
    result: NDArray[np.float32] = (one * two).sum(axis=-1) / (norms + floor)
    return result


def find_fades(features: FeatureTable, cuts: Sequence[int], rate: float) -> list[Transition]:
    """Return fades through black or white; on one side the change may be a cut.

    Args:
        features: the whole video.
        cuts: first frames after hard cuts.
        rate: frames a second.
    """
    contrast, brightness = features.contrast, features.brightness
    extreme = (brightness < DARK) | (brightness > BRIGHT)
    bounds = np.array([0, *cuts, features.frames])
    fades = []
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        for first, last in _blanks(contrast[low:high], extreme[low:high], reach=max(4, round(2 * rate))):
            fade = _fade_around(contrast, (low, low + first, low + last, high))
            if fade is not None and not _is_flash(features, fade, rate):
                fades.append(fade)
    return _merged(fades)


def _blanks(contrast: NDArray[np.float32], extreme: NDArray[np.bool_], *, reach: int) -> list[tuple[int, int]]:
    """Return first and last frame of each run of blank frames; what lies beyond a cut does not count as around."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(contrast, reach, mode="edge"), 2 * reach + 1)
    blank = (contrast < BLANK * windows.max(axis=1)) | (contrast < MIN_CONTRAST)
    blank &= extreme
    edges = np.flatnonzero(np.diff(np.concatenate([[False], blank, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def _fade_around(contrast: NDArray[np.float32], span: tuple[int, int, int, int]) -> Transition | None:
    """Return the fade whose blank frames are first to last, within a take [low, high) that ends at cuts."""
    low, first, last, high = span
    if first == 0 or last == len(contrast) - 1:
        return None  # the video fades in from, or out to, nothing: no shot on the other side
    out_of = _rise(contrast[low : first + 1][::-1])
    into = _rise(contrast[last:high])
    if max(out_of, into) < 2:
        return None
    start = first - out_of + 1 if out_of else low
    end = last + into if into else high
    return Transition("fade", start, end)


def _rise(contrast: NDArray[np.float32]) -> int:
    """Return how many frames contrast takes from the blank frame at 0 to its plateau; 0 when nothing follows."""
    at = 0
    while at + 1 < len(contrast):
        mean = float(contrast[at] - contrast[0]) / max(1, at)
        if float(contrast[at + 1] - contrast[at]) < max(0.3, 0.3 * mean):
            break
        at += 1
    if at < 2:
        return at
    _, plateau, _ = _ramp(contrast[: at + max(3, at // 2)].astype(np.float64))
    return min(plateau, at)


def _is_flash(features: FeatureTable, fade: Transition, rate: float) -> bool:
    if fade.end - fade.start > max(2.0, FLASH_S * rate) or fade.start == 0 or fade.end >= features.frames:
        return False
    before, after = (features.rows([frame]).luma.astype(np.float32) for frame in (fade.start - 1, fade.end))
    return float(likeness(before, after)[0]) > 0.9


def _merged(transitions: list[Transition]) -> list[Transition]:
    merged: list[Transition] = []
    for transition in transitions:
        if merged and transition.start < merged[-1].end:
            last = merged.pop()
            transition = Transition(last.kind, last.start, max(last.end, transition.end))
        merged.append(transition)
    return merged


@dataclass(frozen=True, slots=True)
class _Window:
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Columns over windows that look like a change in their middle."""

    scores: NDArray[np.float32]
    firsts: NDArray[np.int32]
    spans: NDArray[np.int16]

    def best_first(self) -> Iterator[_Window]:
        for at in np.lexsort((self.spans, self.firsts, -self.scores)):
            yield _Window(int(self.firsts[at]), int(self.firsts[at]) + int(self.spans[at]))


def find_dissolves(features: FeatureTable, walls: Sequence[tuple[int, int]], rate: float) -> list[Transition]:
    """Return dissolves and wipes that lie between `walls`, spans (start, end) of changes already found."""
    segments = _segments(features.frames, walls)
    edges = np.flatnonzero(np.diff(segments)) + 1
    taken = np.zeros(features.frames, np.bool_)
    tried = np.zeros(features.frames, np.int32)
    chosen: list[Transition] = []
    for window in _candidates(features, segments, rate).best_first():
        middle = (window.first + window.last) // 2
        if taken[window.first : window.last + 1].any() or tried[middle] >= TRIES:
            continue
        tried[middle - 1 : middle + 2] += 1
        place = int(np.searchsorted(edges, window.first, side="right"))
        low, high = edges[place - 1] if place else 0, edges[place] if place < len(edges) else features.frames
        fitted = _fit(features, window, int(low), int(high) - 1)
        if fitted is not None and not taken[fitted.start : fitted.end].any():
            taken[min(window.first, fitted.start) : max(window.last, fitted.end) + 1] = True
            chosen.append(fitted)
    return sorted(chosen, key=lambda transition: transition.start)


def _segments(frames: int, walls: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
    """Return for each frame how many walls are behind it, negative inside one."""
    starts, ends = (np.array([-1, *(wall[side] for wall in walls)], np.intp) for side in (0, 1))
    places = np.arange(frames)
    latest = np.searchsorted(starts, places, side="right") - 1
    return np.where(places >= ends[latest], latest, -latest).astype(np.int32)


def _candidates(features: FeatureTable, segments: NDArray[np.int32], rate: float) -> _Candidates:
    """Return the windows that look like a change in their middle, looked for in one block after the other."""
    spans = sorted({max(3, round(span * rate / 25)) for span in SPANS})
    found = [_Candidates(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, np.int16))]
    for at in range(0, features.frames, 512):
        block = features.rows(slice(at, at + 512 + spans[-1]))
        coarse = block.coarse()
        for span in spans:
            starts = np.arange(at, min(at + 512, features.frames - span))
            starts = starts[(segments[starts] == segments[starts + span]) & (segments[starts] >= 0)] - at
            before, after = coarse[starts], coarse[starts + span]  # a quick look first; the real test follows
            moved = np.abs(after - before).mean(axis=1) >= COARSE_SHARE * MIN_CHANGE
            starts = starts[moved & (likeness(before, after) < MAX_LIKENESS + COARSE_SLACK)]
            if len(starts):
                scores, starts = _scored(block, starts, span)
                spread = np.full(len(starts), span, np.int16)
                found.append(_Candidates(scores, (starts + at).astype(np.int32), spread))
    columns = zip(*((part.scores, part.firsts, part.spans) for part in found), strict=True)
    return _Candidates(*(np.concatenate(column) for column in columns))


def _scored(block: Features, starts: NDArray[np.intp], span: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the scores and starts of those windows over `block` that may be a change."""
    before, after = block.luma[starts].astype(np.float32), block.luma[starts + span].astype(np.float32)
    starts = starts[_is_another(before, after)]
    if not len(starts):
        return np.zeros(0, np.float32), starts
    one, two = block.vectors(starts), block.vectors(starts + span)
    middle = _explained(one, two, block.vectors(starts + span // 2))
    residual = np.where(middle.wipe < MAX_WIPE_RESIDUAL, 0.0, middle.dissolve)
    good = (np.abs(middle.share - 0.5) < 0.16) & (residual < MAX_RESIDUAL)
    scores = np.abs(two - one).mean(axis=1) * (1.0 - 1.6 * residual)
    good &= scores >= MIN_SCORE
    scores *= 1.0 - LENGTH_COST * span / SPANS[-1]
    return scores[good], starts[good]


def _is_another(before: Vectors, after: Vectors) -> NDArray[np.bool_]:
    """Tell, row by row, whether luma shows another picture: different on the whole, over much of it, and unlike.

    A change of exposure alone, the same everywhere, does not count towards the area.
    """
    difference = after - before
    result: NDArray[np.bool_] = np.abs(difference).mean(axis=1) >= MIN_CHANGE
    result &= likeness(before, after) < MAX_LIKENESS
    difference = difference[result]
    difference -= np.median(difference, axis=1, keepdims=True)
    result[result] = (np.abs(difference) > AREA_LEVELS).mean(axis=1) >= MIN_AREA
    return result


@dataclass(frozen=True, slots=True)
class _Explained:
    share: NDArray[np.float32]  # how far from before (0) to after (1)
    dissolve: NDArray[np.float32]  # distance from the line before-after over its length
    wipe: NDArray[np.float32]  # distance from the nearer of both, pixel by pixel, over their distance


def _explained(one: Vectors, two: Vectors, middle: Vectors) -> _Explained:
    change = two - one
    length = (change * change).sum(axis=1) + 1.0
    moved = middle - one
    share = (moved * change).sum(axis=1) / length
    off_line = (moved * moved).sum(axis=1) - share * share * length
    dissolve = np.sqrt(np.maximum(off_line, 0.0) / length)
    nearer = np.minimum(np.abs(moved), np.abs(middle - two))
    wipe = nearer.sum(axis=1) / (np.abs(change).sum(axis=1) + 1.0)
    return _Explained(share, dissolve, wipe)


def _fit(features: FeatureTable, window: _Window, low: int, high: int) -> Transition | None:
    """Place the change exactly: the ramp (flat, straight rise, flat) that lies nearest to the course of the change."""
    margin = max(3, (window.last - window.first) // 2)
    first, last = max(low, window.first - margin), min(high, window.last + margin)
    frames = np.arange(first, last + 1)
    one, two = features.vectors([window.first]), features.vectors([window.last])
    explained = _explained(one, two, features.vectors(frames))
    start, end, error = _ramp(explained.share.astype(np.float64))
    spread = float(np.var(explained.share)) * len(frames)
    start, end = start + first, end + first
    if error > 0.15 * spread or end - start < 2:
        return None
    return _judged(features, start, end)


def _ramp(values: NDArray[np.float64]) -> tuple[int, int, float]:
    """Return last flat frame, first flat frame after the rise, and squared error of the best ramp through `values`."""
    count = len(values)
    best = (0, count - 1, float("inf"))
    at = np.arange(count)
    ends_of = np.arange(count)
    for start in range(count - 1):
        ends = ends_of[start + 1 :, None]
        shape = np.clip((at - start) / (ends - start), 0.0, 1.0)
        centred = shape - shape.mean(axis=1, keepdims=True)
        slope = (centred * values).sum(axis=1) / (centred * centred).sum(axis=1)
        errors = ((values - values.mean() - slope[:, None] * centred) ** 2).sum(axis=1)
        index = int(np.argmin(errors))
        if errors[index] < best[2] - 1e-12:
            best = (start, start + 1 + index, float(errors[index]))
    return best


def _judged(features: FeatureTable, start: int, end: int) -> Transition | None:
    """Test the placed change between its own two ends; `start` is the last frame before it."""
    inner = start + np.unique(np.rint(np.array([0.25, 0.5, 0.75]) * (end - start)).astype(np.intp))
    inner = inner[(inner > start) & (inner < end)]
    one, two = features.vectors([start]), features.vectors([end])
    explained = _explained(one, two, features.vectors(inner))
    change = float(np.abs(two - one).mean())
    is_wipe = bool((explained.wipe < MAX_WIPE_RESIDUAL).all())
    residual = 0.0 if is_wipe else float(explained.dissolve.mean())
    another = _is_another(*(features.rows([frame]).luma.astype(np.float32) for frame in (start, end)))[0]
    if not another or change * (1.0 - 1.6 * residual) < MIN_SCORE:
        return None
    return Transition("wipe" if is_wipe else "dissolve", start + 1, end)
