"""Borders of events to the frame: between two samples, further pictures are looked at by halves.

A border is taken to be the only change between its samples, so that b frames need about log2(b) pictures. The borders of
all events of a video are halved together, so that the detector is asked for many pictures at once; pictures are decoded
once, in groups of bounded size.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.guideline import DetectionEvent
from models.detections import Picture, Samples, Seen
from models.frames import Timeline
from models.objectevents import Trace, open_edges, still_holds

WITHIN: Final = 15  # pictures between two samples that are decoded at a time: four halvings
LEAST_LOOKS: Final = 256  # a video's borders may take so many pictures,
LOOKS_PER_SAMPLE: Final = 2  # or so many for each sample, if that is more; later borders stay as sampled

Watched = tuple[DetectionEvent, Trace]


class Looking(Protocol):
    """Shows frames of the video again."""

    most_pictures: int  # that should be held at a time

    def pictures(self, frames: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield each of `frames`, which ascend, with its picture."""
        ...

    def detect(self, pictures: Sequence[Picture]) -> Sequence[Seen]:
        """Return what the detector sees on each picture."""
        ...


@dataclass(slots=True)
class _Border:
    """The condition of `watched` changes after frame `low` and up to frame `high`, between two samples."""

    watched: int
    edge: int
    low: int
    high: int
    span: tuple[int, int]  # low and high as sampled
    held: bool  # whether it holds on `low`


def refined(watched: Sequence[Watched], samples: Samples, timeline: Timeline, looking: Looking) -> list[dict[int, float]]:
    """Return for each trace the seconds of its edges that were looked at: of the first frame after the change.

    Edges that are left out are as sampled, at most one sampling step late.
    """
    left = max(LEAST_LOOKS, LOOKS_PER_SAMPLE * len(samples.times))
    borders = _borders(watched, samples, timeline)
    looks = left
    while left > 0 and looks:
        looks = sum(_narrowed_once(borders, left, watched, timeline, looking))
        left -= looks
    moved: list[dict[int, float]] = [{} for _ in watched]
    for border in borders:
        moved[border.watched][border.edge] = timeline.seconds(border.high)
    return moved


def _borders(watched: Sequence[Watched], samples: Samples, timeline: Timeline) -> list[_Border]:
    borders = []
    for at, (rule, trace) in enumerate(watched):
        begins = {first for first, _ in trace.runs()}
        for edge in open_edges(trace, rule, samples):
            low, high = (timeline.frame_at(float(samples.times[sample])) for sample in (edge - 1, edge))
            borders.append(_Border(at, edge, low, high, (low, high), edge not in begins))
    return sorted(borders, key=lambda border: (border.low, border.high, border.watched))


def _narrowed_once(
    borders: Sequence[_Border], left: int, watched: Sequence[Watched], timeline: Timeline, looking: Looking
) -> Iterator[int]:
    """Go through the video once and narrow the open borders; yield how many pictures the detector saw for each group."""
    groups = _groups([border for border in borders if border.high - border.low > 1], looking.most_pictures)
    plans = [sorted({frame for border in group for frame in _between(border)}) for group in groups]
    shown = looking.pictures([frame for plan in plans for frame in plan])
    for group, plan in zip(groups, plans, strict=True):
        pictures = dict(itertools.islice(shown, len(plan)))
        looks = _narrow(group, watched, timeline, pictures, looking)
        yield looks
        left -= looks
        if left <= 0:
            return


def _groups(borders: Sequence[_Border], most: int) -> list[list[_Border]]:
    """Divide borders, which come by frame, into groups that share no frame and hold about `most` frames at most."""
    groups: list[list[_Border]] = []
    held: set[int] = set()
    until = 0
    for border in borders:
        frames = set(_between(border))
        if not groups or (border.low + 1 >= until and len(held | frames) > most):
            groups.append([])
            held = set()
        groups[-1].append(border)
        held |= frames
        until = max(until, border.high)
    return groups


def _between(border: _Border) -> list[int]:
    """Return up to `WITHIN` frames within the border, evenly spread."""
    inner = border.high - border.low - 1
    steps = np.arange(1, min(inner, WITHIN) + 1) * (inner + 1) // (min(inner, WITHIN) + 1)
    return [border.low + int(step) for step in steps]


def _narrow(
    group: Sequence[_Border],
    watched: Sequence[Watched],
    timeline: Timeline,
    pictures: Mapping[int, Picture],
    looking: Looking,
) -> int:
    """Halve every border of `group` until no decoded frame lies in any; return how many pictures the detector saw."""
    frames = np.array(sorted(pictures), np.intp)
    seen: dict[int, Seen] = {}
    while middles := list(_middles(group, frames)):
        wanted = sorted({frame for _, frame in middles} - seen.keys())
        if wanted:
            seen.update(zip(wanted, looking.detect([pictures[frame] for frame in wanted]), strict=True))
        for border, frame in middles:
            rule, trace = watched[border.watched]
            share = _share(timeline, border.span, frame)
            if still_holds(trace, rule, seen[frame], sample=border.edge, share=share) == border.held:
                border.low = frame
            else:
                border.high = frame
    return len(seen)


def _middles(group: Sequence[_Border], frames: NDArray[np.intp]) -> Iterator[tuple[_Border, int]]:
    """Yield each border that decoded frames lie in, with the middle one of them."""
    for border in group:
        first, last = np.searchsorted(frames, [border.low + 1, border.high])
        if first < last:
            yield border, int(frames[(first + last - 1) // 2])


def _share(timeline: Timeline, span: tuple[int, int], frame: int) -> float:
    before, after = timeline.seconds(span[0]), timeline.seconds(span[1])
    return (timeline.seconds(frame) - before) / (after - before)
