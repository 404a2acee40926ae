"""Events over what a detector saw, from samples of the video that each stand until the next one.

A rule gives traces: one that tells on which samples its condition holds on the picture as a whole (its class is seen; more
or fewer objects than a number; two classes at once), or, for regions, one for each tracked object that tells on which
samples it was in the region. The stays of a trace are its runs, where gaps of up to `max_gap_seconds` are closed, of at
least `min_seconds`:

- present, count_over, count_under, co_occurrence, dwell: the whole stay;
- appears: the first `min_seconds` of a stay, if an absence longer than `max_gap_seconds` goes before it;
- disappears: its last `min_seconds`, if such an absence follows it;
- enters: the first `min_seconds` of a stay before which the same object was seen outside of the region;
- leaves: its last `min_seconds`, if the same object is seen outside after it.

What was there from the start has not appeared, and what is there at the end has not disappeared; what comes into view
within a region has not entered it.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.guideline import CoOccurrenceEvent, CountEvent, DetectionEvent, ObjectEvent, RegionEvent
from models.detections import ABSENT, NOTHING, Boxes, Samples, Seen, best_score
from models.regions import anchors_of, boxes_in, in_region
from models.tracks import Track, alike, tracks_of

TOLERANCE_S: Final = 1e-6  # durations that agree within this are equal
LIKE: Final = 0.2  # IoU of enlarged boxes from which a detection between two samples can be the tracked object

_FIRST_SECONDS: Final = frozenset({"appears", "enters"})
_LAST_SECONDS: Final = frozenset({"disappears", "leaves"})
_AS_SAMPLED: Final[Mapping[int, float]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds [start, end) of one event; the score is the mean of the detections, None for events of the signal."""

    start: float
    end: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Trace:
    """On which samples a condition holds: scores of the samples from `first` on, -inf where it does not.

    For a tracked object `boxes` holds a row for each of those samples, of NaN where it was not seen.
    """

    first: int
    scores: NDArray[np.float64]
    boxes: Boxes | None = None

    def runs(self) -> list[tuple[int, int]]:
        """Return the samples [first, last) of each run on which the condition holds."""
        return [(first + self.first, last + self.first) for first, last in runs_of(self.scores > ABSENT)]

    def outside_before(self, sample: int) -> bool:
        """Tell whether the object was last seen outside before `sample`."""
        return self._outside(slice(0, sample - self.first), -1)

    def outside_from(self, sample: int) -> bool:
        """Tell whether the object, from `sample` on, is next seen outside."""
        return self._outside(slice(sample - self.first, None), 0)

    def _outside(self, part: slice, which: int) -> bool:
        assert self.boxes is not None  # noqa: S101  only objects are within or without
        seen = np.flatnonzero(~np.isnan(self.boxes[part, 0]))
        return bool(len(seen)) and bool(self.scores[part][seen[which]] == ABSENT)


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [first, last) of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def holds_on(rule: ObjectEvent | CountEvent | CoOccurrenceEvent, seen: Seen) -> float:
    """Return the score with which the rule's condition holds on one picture, -inf where it does not.

    It is the best score of the class; of `count_over`, the score of the weakest box that is needed; of `count_under`, 1
    minus the score of the strongest that was too weak to count; of two classes, the lower of their best scores.
    """
    if isinstance(rule, CountEvent):
        boxes = boxes_in(seen.get(rule.label, NOTHING), rule.region, rule.anchor)
        scores = np.sort(boxes[:, 4])[::-1]
        if rule.rule == "count_over":
            weakest = float(scores[rule.count]) if len(scores) > rule.count else ABSENT
            return weakest if weakest >= rule.min_score else ABSENT
        strongest = float(scores[rule.count - 1]) if len(scores) >= rule.count else 0.0
        return 1.0 - strongest if strongest < rule.min_score or len(scores) < rule.count else ABSENT
    best = min(best_score(seen.get(label, NOTHING)) for label in rule.labels)
    return best if best >= rule.min_score else ABSENT


def traces_of(samples: Samples, rule: DetectionEvent, *, cuts: Collection[int] = ()) -> list[Trace]:
    """Return where the condition of `rule` holds; no object goes on from the samples before `cuts` to those after."""
    count = len(samples.times)
    if not count:
        return []
    if isinstance(rule, RegionEvent):
        seen = samples.boxes.get(rule.label, [NOTHING] * count)
        step = float(np.median(np.diff(samples.edges)))
        patience = max(1, int(np.ceil(rule.max_gap_seconds / step - TOLERANCE_S)))
        tracks = tracks_of(seen, min_score=rule.min_score, patience=patience, cuts=cuts)
        return [_track_trace(track, rule) for track in tracks]
    if isinstance(rule, CountEvent):
        return [Trace(0, np.array([holds_on(rule, samples.seen(at)) for at in range(count)], np.float64))]
    absent = np.full(count, ABSENT)
    scores = np.minimum.reduce([samples.scores.get(label, absent) for label in rule.labels])
    return [Trace(0, np.where(scores >= rule.min_score, scores, ABSENT))]


def _track_trace(track: Track, rule: RegionEvent) -> Trace:
    first, last = int(track.samples[0]), int(track.samples[-1])
    inside = in_region(anchors_of(track.boxes, rule.anchor), rule.region)
    scores = np.full(last + 1 - first, ABSENT)
    boxes = np.full((last + 1 - first, 5), np.nan)
    scores[track.samples[inside] - first] = track.boxes[inside, 4]
    boxes[track.samples - first] = track.boxes
    return Trace(first, scores, boxes)


def still_holds(trace: Trace, rule: DetectionEvent, seen: Seen, *, sample: int, share: float) -> bool:
    """Tell whether the condition holds on a picture between `sample` - 1 and `sample`, `share` of the way.

    The tracked object is the detection that is most alike its box there, which is taken to move evenly.
    """
    if not isinstance(rule, RegionEvent):
        return holds_on(rule, seen) > ABSENT
    boxes = seen.get(rule.label, NOTHING)
    expected = _expected(trace, sample, share)
    likeness = alike(boxes, expected)
    if not len(boxes) or likeness.max() < LIKE:
        return False
    found = boxes[[int(np.argmax(likeness))]]
    return bool(in_region(anchors_of(found, rule.anchor), rule.region)[0])


def _expected(trace: Trace, sample: int, share: float) -> NDArray[np.float64]:
    assert trace.boxes is not None  # noqa: S101  regions are about objects
    ends = [
        trace.boxes[at - trace.first] if 0 <= at - trace.first < len(trace.boxes) else np.full(5, np.nan)
        for at in (sample - 1, sample)
    ]
    before, after = ends
    if np.isnan(before[0]):
        return after
    if np.isnan(after[0]):
        return before
    between: NDArray[np.float64] = before + share * (after - before)
    return between


def spans_of(
    trace: Trace, rule: DetectionEvent, samples: Samples, *, moved: Mapping[int, float] = _AS_SAMPLED
) -> list[Span]:
    """Return the events of one trace, in ascending order; `moved` has better seconds for some of the samples' edges."""
    edges = samples.edges
    spans = []
    for first, last in _stays(trace, rule, edges, moved):
        start, end = moved.get(first, float(edges[first])), moved.get(last, float(edges[last]))
        if end - start < rule.min_seconds - TOLERANCE_S:
            continue
        seen = trace.scores[first - trace.first : last - trace.first]
        score = float(seen[seen > ABSENT].mean())
        if rule.rule in _FIRST_SECONDS:
            if _comes(trace, rule, first, start - float(edges[0])):
                spans.append(Span(start, min(end, start + rule.min_seconds), score))
        elif rule.rule in _LAST_SECONDS:
            if _goes(trace, rule, last, samples.end - end):
                spans.append(Span(max(start, end - rule.min_seconds), end, score))
        else:
            spans.append(Span(start, end, score))
    return spans


def _stays(
    trace: Trace, rule: DetectionEvent, edges: NDArray[np.float64], moved: Mapping[int, float]
) -> list[tuple[int, int]]:
    stays: list[tuple[int, int]] = []
    for first, last in trace.runs():
        if stays:
            before = stays[-1][1]
            gap = moved.get(first, float(edges[first])) - moved.get(before, float(edges[before]))
            if gap <= rule.max_gap_seconds + TOLERANCE_S:
                stays[-1] = (stays[-1][0], last)
                continue
        stays.append((first, last))
    return stays


def _comes(trace: Trace, rule: DetectionEvent, first: int, absence: float) -> bool:
    if isinstance(rule, RegionEvent):
        return trace.outside_before(first)
    return absence > rule.max_gap_seconds + TOLERANCE_S


def _goes(trace: Trace, rule: DetectionEvent, last: int, absence: float) -> bool:
    if isinstance(rule, RegionEvent):
        return trace.outside_from(last)
    return absence > rule.max_gap_seconds + TOLERANCE_S


def object_spans(samples: Samples, rule: DetectionEvent, *, cuts: Collection[int] = ()) -> list[Span]:
    """Return where the event `rule` happens as far as the samples tell, in ascending order."""
    traces = traces_of(samples, rule, cuts=cuts)
    spans = [span for trace in traces for span in spans_of(trace, rule, samples)]
    return sorted(spans, key=lambda span: (span.start, span.end))


def open_edges(trace: Trace, rule: DetectionEvent, samples: Samples) -> list[int]:
    """Return the edges of samples whose true seconds could change an event, ascending.

    A flip between two samples lies anywhere after the earlier and up to the later one. Runs that are surely joined, and
    stays that are surely too short wherever their flips lie, need no closer look.
    """
    runs = trace.runs()
    edges = samples.edges
    count = len(samples.times)
    groups: list[list[tuple[int, int]]] = []
    for first, last in runs:
        if groups and edges[first - 1] - edges[groups[-1][-1][1]] <= rule.max_gap_seconds + TOLERANCE_S:
            groups[-1].append((first, last))
        else:
            groups.append([(first, last)])
    found: set[int] = set()
    for group in groups:
        start, end = group[0][0], group[-1][1]
        longest = edges[end] - edges[max(start - 1, 0)]
        if longest >= rule.min_seconds - TOLERANCE_S:
            found |= {start, end} | set(_undecided(group, rule, edges))
    return sorted(found - {0, count})


def _undecided(group: list[tuple[int, int]], rule: DetectionEvent, edges: NDArray[np.float64]) -> Iterator[int]:
    """Yield the edges of gaps that may turn out longer than is closed."""
    for (_, last), (first, _) in itertools.pairwise(group):
        if edges[first] - edges[last - 1] > rule.max_gap_seconds + TOLERANCE_S:
            yield from (last, first)
