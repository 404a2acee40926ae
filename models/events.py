"""Events by the guideline's rules: over detections of objects, and over the picture itself.

Rules over one class, from samples of the video that each stand until the next one:

- present: the class is seen for at least `min_seconds`, where gaps of up to `max_gap_seconds` are closed;
- appears: the first `min_seconds` of such a presence, if an absence longer than `max_gap_seconds` goes before it;
- disappears: its last `min_seconds`, if such an absence follows it.

What was there from the start has not appeared, and what is there at the end has not disappeared.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.guideline import Guideline, ObjectEvent, SignalEvent
from models.features import Features
from models.frames import Timeline
from models.keyframes import black_frames

STILL_STEP: Final = 0.25  # mean absolute difference (0 to 255) from one frame to the next of a frozen picture
STILL_DRIFT: Final = 1.0  # and from the first frame of the freeze
TOLERANCE_S: Final = 1e-6  # durations that agree within this are equal


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds [start, end) of one event; the score is the mean of the detections, None for events of the signal."""

    start: float
    end: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the guideline on whole frames [start, end)."""

    label: str
    start: int
    end: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Samples:
    """Detections on sampled frames: ascending seconds of n samples, the end of the video, the best score of a class on each.

    A class that was not detected on a sample has the score -inf there; a class that is absent was never detected.
    """

    times: NDArray[np.float64]
    end: float
    scores: dict[str, NDArray[np.float64]]


def object_spans(samples: Samples, rule: ObjectEvent) -> list[Span]:
    """Return where the event `rule` happens, in ascending order."""
    scores = samples.scores.get(rule.label)
    if scores is None or not len(samples.times):
        return []
    edges = np.append(samples.times, samples.end)
    runs = _closed(_runs(scores >= rule.min_score), edges, rule.max_gap_seconds)
    spans = []
    for first, last in runs:
        start, end = float(edges[first]), float(edges[last])
        if end - start < rule.min_seconds - TOLERANCE_S:
            continue
        seen = scores[first:last]
        score = float(seen[seen >= rule.min_score].mean())
        if rule.rule == "present":
            spans.append(Span(start, end, score))
        elif rule.rule == "appears" and start - edges[0] > rule.max_gap_seconds + TOLERANCE_S:
            spans.append(Span(start, min(end, start + rule.min_seconds), score))
        elif rule.rule == "disappears" and samples.end - end > rule.max_gap_seconds + TOLERANCE_S:
            spans.append(Span(max(start, end - rule.min_seconds), end, score))
    return spans


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [first, last) of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _closed(runs: Sequence[tuple[int, int]], edges: NDArray[np.float64], gap: float) -> list[tuple[int, int]]:
    closed: list[tuple[int, int]] = []
    for first, last in runs:
        if closed and edges[first] - edges[closed[-1][1]] <= gap + TOLERANCE_S:
            closed[-1] = (closed[-1][0], last)
        else:
            closed.append((first, last))
    return closed


def signal_spans(features: Features, timeline: Timeline, rule: SignalEvent) -> list[Span]:
    """Return where the picture is black, or stands still without being black, for at least the rule's time."""
    black = black_frames(features)
    runs = _runs(black) if rule.rule == "black" else _still_runs(features, black)
    spans = (Span(timeline.seconds(first), timeline.seconds(last), None) for first, last in runs)
    return [span for span in spans if span.end - span.start >= rule.min_seconds - TOLERANCE_S]


def _still_runs(features: Features, black: NDArray[np.bool_]) -> list[tuple[int, int]]:
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


def _drifts_at(features: Features, first: int, last: int) -> int:
    """Return the first frame in (first, last) that has moved away from `first`, or `last`."""
    held = features.vectors(slice(first, first + 1))
    for at in range(first + 1, last, 256):
        stop = min(at + 256, last)
        moved = np.flatnonzero(np.abs(features.vectors(slice(at, stop)) - held).mean(axis=1) >= STILL_DRIFT)
        if len(moved):
            return at + int(moved[0])
    return last


def find_events(features: Features, timeline: Timeline, samples: Samples, guideline: Guideline) -> list[Event]:
    """Return every event of the guideline on whole frames, by start, then end, then name."""
    events = []
    for rule in guideline.events:
        spans = object_spans(samples, rule) if isinstance(rule, ObjectEvent) else signal_spans(features, timeline, rule)
        for span in spans:
            start, end = timeline.frame_at(span.start), timeline.first_from(span.end)
            events.append(Event(rule.name, start, max(end, start + 1), span.score))
    return sorted(events, key=lambda event: (event.start, event.end, event.label))
