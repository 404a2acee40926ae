"""Borders to the frame: what few detections find is what rules give where the detector sees every frame."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.guideline import CoOccurrenceEvent, CountEvent, DetectionEvent, ObjectEvent, RegionEvent
from models.detections import NOTHING, Picture, Samples, Seen, best_score
from models.frames import Timeline
from models.objectevents import spans_of, traces_of
from models.refine import Watched, refined

SCORE = 0.75
SIDE = 0.1
RIGHT_HALF = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


class AllKnowing:
    """Shows numbers instead of pictures, and knows what is on each; counts what it is asked."""

    def __init__(self, truth: Sequence[Seen], *, most: int = 64) -> None:
        self._truth = truth
        self.most_pictures = most
        self.shown: list[int] = []
        self.looks: list[int] = []

    def pictures(self, frames: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        assert list(frames) == sorted(set(frames))
        for frame in frames:
            self.shown.append(frame)
            yield frame, np.frombuffer(np.int64(frame).tobytes(), np.uint8)

    def detect(self, pictures: Sequence[Picture]) -> list[Seen]:
        frames = [int(picture.view(np.int64)[0]) for picture in pictures]
        self.looks += frames
        return [self._truth[frame] for frame in frames]


def sampled(truth: Sequence[Seen], timeline: Timeline, step: int) -> Samples:
    """Return the samples that every `step`-th frame and the last give."""
    frames = sorted({*range(0, len(truth), step), len(truth) - 1})
    labels = sorted({label for seen in truth for label in seen})
    boxes = {label: [truth[at].get(label, NOTHING) for at in frames] for label in labels}
    scores = {label: np.array([best_score(each) for each in found]) for label, found in boxes.items()}
    return Samples(timeline.starts[frames], timeline.seconds(timeline.frames), scores, boxes)


def events(
    truth: Sequence[Seen], rule: DetectionEvent, step: int, looking: AllKnowing | None
) -> list[tuple[float, float, float]]:
    timeline = Timeline(np.asarray(np.arange(len(truth) + 1) * 0.04, np.float64))
    samples = sampled(truth, timeline, step)
    watched: list[Watched] = [(rule, trace) for trace in traces_of(samples, rule)]
    moved = refined(watched, samples, timeline, looking) if looking else [{} for _ in watched]
    found = [
        (round(span.start, 6), round(span.end, 6), round(span.score or 0.0, 6))
        for (_, trace), edges in zip(watched, moved, strict=True)
        for span in spans_of(trace, rule, samples, moved=edges)
    ]
    return sorted(found)


def boxes_at(*places: float) -> "np.typing.NDArray[np.float64]":
    return np.array([[x - SIDE / 2, 0.45, SIDE, SIDE, SCORE] for x in places]) if places else NOTHING


def class_rules(least: int, gap: int) -> list[DetectionEvent]:
    base = {"definition": "d", "min_seconds": least * 0.04, "max_gap_seconds": gap * 0.04, "min_score": 0.5}
    rules: list[DetectionEvent] = [
        ObjectEvent.model_validate({"name": rule, "rule": rule, "label": "cat", **base})
        for rule in ("present", "appears", "disappears")
    ]
    for rule, count in (("count_over", 0), ("count_over", 1), ("count_under", 1), ("count_under", 2)):
        rules.append(CountEvent.model_validate({"name": rule, "rule": rule, "label": "cat", "count": count, **base}))
    located = {"count": 1, "region": RIGHT_HALF, "anchor": "center"}
    rules.append(CountEvent.model_validate({"name": "r", "rule": "count_under", "label": "cat", **located, **base}))
    both = {"name": "both", "rule": "co_occurrence", "labels": ["cat", "dog"]}
    return [*rules, CoOccurrenceEvent.model_validate(both | base)]


@settings(max_examples=100, deadline=None)
@given(
    step=st.integers(1, 40),
    parts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.booleans()), min_size=1, max_size=7),
    least=st.integers(1, 60),
    gap=st.integers(0, 60),
    most=st.sampled_from([1, 20, 1000]),
)
def test_few_looks_find_what_every_frame_shows(
    step: int, parts: list[tuple[int, int, bool]], least: int, gap: int, most: int
) -> None:
    """Where nothing happens twice between two samples, coarse and refined is the same as dense."""
    truth: list[Seen] = []
    for length, cats, dog in parts:
        seen = {"cat": boxes_at(0.2, 0.7)[:cats], "dog": boxes_at(0.4) if dog else NOTHING}
        truth += [seen] * (step + length)
    for rule in class_rules(least, gap):
        looking = AllKnowing(truth, most=most)
        assert events(truth, rule, step, looking) == events(truth, rule, 1, None), rule.name
        assert len(looking.looks) <= 6 * 2 * len(parts)


@st.composite
def strolls(draw: st.DrawFn) -> tuple[int, list[float]]:
    """Return a sampling step and the place, frame by frame, of one object that goes to and fro over the line at 0.5."""
    step = draw(st.integers(1, 12))
    places: list[float] = []
    at = draw(st.sampled_from([0.3, 0.7]))
    for _ in range(draw(st.integers(1, 5))):
        places += [at] * draw(st.integers(step + 1, 30))
        goal = 1.0 - at
        frames = draw(
            st.integers(8 * step + 1, 10 * step + 5)
        )  # half its own side a sample at most, so that it is one track
        places += [at + (goal - at) * share / frames for share in range(1, frames)]
        at = goal
    return step, places + [at] * (step + 1)


def stays_right(places: list[float], least: int, gap: int) -> list[tuple[int, int]]:
    """Oracle: read the stays beyond 0.5 off frame by frame; short ways out are closed."""
    right = [place >= 0.5 for place in places]
    at = 0
    while at < len(right):
        until = at
        while until < len(right) and not right[until]:
            until += 1
        if 0 < at < until < len(right) and until - at <= gap:
            right[at:until] = [True] * (until - at)
        at = until + 1 if until > at else at + 1
    stays, at = [], 0
    while at < len(right):
        until = at
        while until < len(right) and right[until]:
            until += 1
        if until - at >= least:
            stays.append((at, until))
        at = max(until, at + 1)
    return stays


@settings(max_examples=60, deadline=None)
@given(case=strolls(), least=st.integers(1, 25), gap=st.integers(0, 10), kind=st.sampled_from(["enters", "leaves", "dwell"]))
def test_regions_agree_with_reading_every_frame(case: tuple[int, list[float]], least: int, gap: int, kind: str) -> None:
    step, places = case
    rule = RegionEvent.model_validate(
        {
            "name": kind,
            "definition": "d",
            "rule": kind,
            "label": "cat",
            "region": RIGHT_HALF,
            "anchor": "center",
            "min_seconds": least * 0.04,
            "max_gap_seconds": gap * 0.04,
            "min_score": 0.5,
        }
    )
    expected = []
    for first, last in stays_right(places, least, gap):
        if kind == "dwell":
            expected.append((first, last))
        elif kind == "enters" and first > 0:
            expected.append((first, first + least))
        elif kind == "leaves" and last < len(places):
            expected.append((last - least, last))
    truth: list[Seen] = [{"cat": boxes_at(place)} for place in places]
    found = events(truth, rule, step, AllKnowing(truth))
    assert [(round(start / 0.04), round(end / 0.04)) for start, end, _ in found] == expected


def test_pictures_are_bounded_and_detections_batched() -> None:
    rule = class_rules(1, 0)[0]
    truth: list[Seen] = [{"cat": boxes_at(0.5) if at // 100 % 2 else NOTHING} for at in range(3000)]
    looking = AllKnowing(truth, most=30)
    assert len(events(truth, rule, 40, looking)) == 15
    assert len(looking.looks) <= 6 * 29
    assert len(looking.shown) <= 20 * 29


def test_a_video_that_changes_all_the_time_is_not_looked_at_for_ever() -> None:
    rule = class_rules(1, 0)[0]
    truth: list[Seen] = [{"cat": boxes_at(0.5) if at // 60 % 2 else NOTHING} for at in range(60_000)]
    looking = AllKnowing(truth)
    found = events(truth, rule, 60, looking)
    assert len(found) == 500
    assert 2000 <= len(looking.looks) <= 2000 + 64 * 6
    off = [abs(start / 0.04 % 60) for start, _, _ in found]
    assert min(off) == pytest.approx(0.0, abs=1e-3)


def test_nothing_to_refine_asks_for_nothing() -> None:
    rule = class_rules(1, 0)[0]
    truth: list[Seen] = [{"cat": boxes_at(0.5)}] * 50
    looking = AllKnowing(truth)
    assert events(truth, rule, 10, looking) == [(0.0, 2.0, SCORE)]
    assert looking.looks == []
    timeline = Timeline(np.asarray(np.arange(51) * 0.04, np.float64))
    assert refined([], sampled(truth, timeline, 10), timeline, looking) == []
