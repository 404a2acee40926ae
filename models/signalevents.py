"""Events over the signal: black and frozen pictures, flashes, and silence."""

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.guideline import FlashEvent, SignalEvent, SilenceEvent
from models.features import FeatureTable
from models.frames import Timeline
from models.keyframes import black_frames
from models.objectevents import TOLERANCE_S, Span, runs_of
from models.sound import WINDOW_S, Sound

STILL_STEP: Final = 0.25  # mean absolute difference (0 to 255) from one frame to the next of a frozen picture
STILL_DRIFT: Final = 1.0  # and from the first frame of the freeze


def signal_spans(features: FeatureTable, timeline: Timeline, rule: SignalEvent) -> list[Span]:
    """Return where the picture is black, or stands still without being black, for at least the rule's time."""
    black = black_frames(features)
    runs = runs_of(black) if rule.rule == "black" else _still_runs(features, black)
    spans = (Span(timeline.seconds(first), timeline.seconds(last), None) for first, last in runs)
    return [span for span in spans if span.end - span.start >= rule.min_seconds - TOLERANCE_S]


def _still_runs(features: FeatureTable, black: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [first, last) of maximal runs of the same picture; one frame that is shown long is such a run."""
    begins = features.steps() >= STILL_STEP
    begins |= np.concatenate([[True], black[1:] != black[:-1]]) if len(black) else black
    runs = []
    bounds = [*np.flatnonzero(begins).tolist(), features.frames]
    for first, last in itertools.pairwise(bounds):
        at = first
        while at < last and not black[at]:
            until = _drifts_at(features, at, last)
            runs.append((at, until))
            at = until
    return runs


def _drifts_at(features: FeatureTable, first: int, last: int) -> int:
    """Return the first frame in (first, last) that has moved away from `first`, or `last`."""
    held = features.vectors(slice(first, first + 1))
    for at in range(first + 1, last, 256):
        stop = min(at + 256, last)
        moved = np.flatnonzero(np.abs(features.vectors(slice(at, stop)) - held).mean(axis=1) >= STILL_DRIFT)
        if len(moved):
            return at + int(moved[0])
    return last


def flash_spans(features: FeatureTable, timeline: Timeline, rule: FlashEvent) -> list[Span]:
    """Return where the picture is brighter than shortly before and shortly after.

    A frame is part of a flash if the frames around it that are brighter than it less `min_rise` last `max_seconds` at
    most, with darker ones on both sides: the residue of a morphological opening in time (white top-hat; Serra, 1982).
    """
    if not features.frames:
        return []
    flashing = flashing_frames(features.brightness.astype(np.float64), timeline, rule)
    return [Span(timeline.seconds(first), timeline.seconds(last), None) for first, last in runs_of(flashing)]


def flashing_frames(brightness: NDArray[np.float64], timeline: Timeline, rule: FlashEvent) -> NDArray[np.bool_]:
    """Tell which frames, of mean luma `brightness`, are part of a flash of `rule`."""
    floor = brightness - rule.min_rise
    before, after = (_darker(brightness, floor, timeline.edges, sign, rule.max_seconds) for sign in (-1, 1))
    lasting = timeline.edges[after] - timeline.edges[before + 1]
    flashing: NDArray[np.bool_] = (before >= 0) & (after >= 0) & (lasting <= rule.max_seconds + TOLERANCE_S)
    return flashing


def _darker(
    brightness: NDArray[np.float64], floor: NDArray[np.float64], edges: NDArray[np.float64], sign: int, longest: float
) -> NDArray[np.intp]:
    """Return for each frame the nearest earlier (-1) or later (1) one that is not above its floor; -1 where none is near."""
    found = np.full(len(brightness), -1, np.intp)
    open_ = np.arange(len(brightness))
    offset = 0
    while len(open_):
        offset += 1
        other = open_ + sign * offset
        inside = (other >= 0) & (other < len(brightness))
        open_, other = open_[inside], other[inside]
        near = np.abs(edges[other + (sign < 0)] - edges[open_ + (sign < 0)]) <= longest + TOLERANCE_S
        open_, other = open_[near], other[near]
        darker = brightness[other] <= floor[open_]
        found[open_[darker]] = other[darker]
        open_ = open_[~darker]
    return found


def silence_spans(sound: Sound | None, timeline: Timeline, rule: SilenceEvent) -> list[Span]:
    """Return where nothing louder than the rule's level is heard; nothing where there is no sound at all."""
    if sound is None:
        return []
    end = timeline.seconds(timeline.frames)
    spans = (
        Span(first * WINDOW_S, min(last * WINDOW_S, end), None) for first, last in runs_of(sound.below(rule.below_dbfs))
    )
    return [span for span in spans if span.end - span.start >= rule.min_seconds - TOLERANCE_S]
