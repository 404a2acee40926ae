"""Events: rules over detections against a slow oracle on a fine grid, and rules over the picture."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.guideline import Guideline, LabelDefinition, ObjectEvent, SignalEvent
from models.detections import Samples
from models.events import Event, Material, find_events
from models.features import CHROMA_SIZE, LUMA_SIZE, Features
from models.frames import Timeline
from models.objectevents import object_spans
from models.signalevents import signal_spans

MISSING = -np.inf


def rule(kind: str, *, least: float = 1.0, gap: float = 0.5, score: float = 0.5) -> ObjectEvent:
    return ObjectEvent.model_validate(
        {
            "name": f"cat {kind}",
            "definition": "a cat",
            "rule": kind,
            "label": "cat",
            "min_seconds": least,
            "max_gap_seconds": gap,
            "min_score": score,
        }
    )


def evenly(count: int, step: float = 0.04) -> NDArray[np.float64]:
    return np.arange(count, dtype=np.float64) * step


def samples(scores: list[float], *, step: float = 0.5) -> Samples:
    return Samples(evenly(len(scores), step), len(scores) * step, {"cat": np.array(scores, np.float64)})


def times(found: Samples, event: ObjectEvent) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in object_spans(found, event)]


def test_presence_closes_gaps_and_wants_its_time() -> None:
    found = samples([MISSING, 0.9, 0.9, MISSING, 0.6, MISSING, MISSING, 0.9, MISSING, MISSING, 0.2])
    assert times(found, rule("present")) == [(0.5, 2.5)]
    assert times(found, rule("present", least=0.5)) == [(0.5, 2.5), (3.5, 4.0)]
    assert times(found, rule("present", gap=0.0)) == [(0.5, 1.5)]
    assert times(found, rule("present", gap=1.0)) == [(0.5, 4.0)]
    assert times(found, rule("present", least=0.5, gap=0.0, score=0.1)) == [(0.5, 1.5), (2.0, 2.5), (3.5, 4.0), (5.0, 5.5)]
    assert object_spans(found, rule("present"))[0].score == pytest.approx(0.8)


def test_appearing_and_disappearing_are_the_ends_of_a_presence() -> None:
    found = samples([MISSING] * 4 + [0.9] * 6 + [MISSING] * 4)
    assert times(found, rule("appears")) == [(2.0, 3.0)]
    assert times(found, rule("disappears")) == [(4.0, 5.0)]


def test_what_is_there_at_the_ends_neither_appears_nor_disappears() -> None:
    for scores in ([0.9] * 6, [MISSING] + [0.9] * 6 + [MISSING]):
        assert times(samples(scores), rule("present")) != []
        assert times(samples(scores), rule("appears")) == []
        assert times(samples(scores), rule("disappears")) == []


def test_a_class_never_detected_and_no_samples_give_nothing() -> None:
    assert object_spans(Samples(np.arange(3.0), 3.0, {}), rule("present")) == []
    assert object_spans(Samples(np.zeros(0), 0.0, {"cat": np.zeros(0)}), rule("present")) == []


def slow_spans(lengths: list[int], seen: list[bool], kind: str, least: int, gap: int) -> list[tuple[int, int]]:
    """Oracle on whole ticks: paint every tick, close gaps tick by tick, then read the runs off."""
    ticks = [flag for length, flag in zip(lengths, seen, strict=True) for _ in range(length)]
    for at in range(len(ticks)):
        for until in range(at + 1, min(len(ticks) - 1, at + gap) + 1):
            if at > 0 and ticks[at - 1] and ticks[until] and not any(ticks[at:until]):
                ticks[at:until] = [True] * (until - at)
    found = []
    at = 0
    while at < len(ticks):
        until = at
        while until < len(ticks) and ticks[until]:
            until += 1
        if until - at >= least:
            if kind == "present":
                found.append((at, until))
            if kind == "appears" and at > gap:
                found.append((at, at + least))
            if kind == "disappears" and len(ticks) - until > gap:
                found.append((until - least, until))
        at = max(until, at + 1)
    return found


@given(
    parts=st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=14),
    kind=st.sampled_from(["present", "appears", "disappears"]),
    least=st.integers(1, 6),
    gap=st.integers(0, 5),
)
def test_spans_agree_with_the_oracle(parts: list[tuple[int, bool]], kind: str, least: int, gap: int) -> None:
    lengths, seen = [length for length, _ in parts], [flag for _, flag in parts]
    starts = np.concatenate([[0], np.cumsum(lengths)]) * 0.1
    found = Samples(starts[:-1], float(starts[-1]), {"cat": np.where(seen, 0.8, 0.1)})
    spans = times(found, rule(kind, least=least * 0.1, gap=gap * 0.1))
    expected = slow_spans(lengths, seen, kind, least, gap)
    assert len(spans) == len(expected)
    np.testing.assert_allclose(np.array(spans).reshape(-1, 2), np.array(expected).reshape(-1, 2) * 0.1, atol=1e-9)


def signal(kind: str, least: float) -> SignalEvent:
    return SignalEvent.model_validate({"name": kind, "definition": "the picture", "rule": kind, "min_seconds": least})


def columns(rows: list[int]) -> Features:
    """Draw a picture for each number: 0 is black, equal numbers are equal pictures."""
    pictures = {number: np.random.default_rng(number).integers(40, 220, LUMA_SIZE) for number in set(rows)}
    pictures[0] = np.full(LUMA_SIZE, 2)
    chroma = np.full((len(rows), 2 * CHROMA_SIZE), 128, np.uint8)
    luma = np.array([pictures[row] for row in rows], np.uint8).reshape(-1, LUMA_SIZE)
    return Features(luma, chroma, np.ones(len(rows), np.float32))


@given(rows=st.lists(st.integers(0, 2), max_size=25), least=st.integers(1, 4), kind=st.sampled_from(["black", "freeze"]))
def test_black_and_frozen_runs_agree_with_reading_them_off(rows: list[int], least: int, kind: str) -> None:
    timeline = Timeline(evenly(len(rows) + 1))
    spans = signal_spans(columns(rows), timeline, signal(kind, least * 0.04))
    expected, at = [], 0
    while at < len(rows):
        until = at
        while until < len(rows) and rows[until] == rows[at]:
            until += 1
        if until - at >= least and (rows[at] == 0) == (kind == "black"):
            expected.append((at, until))
        at = until
    assert [(timeline.frame_at(span.start), timeline.first_from(span.end)) for span in spans] == expected
    assert all(span.score is None for span in spans)


def test_one_frame_shown_long_is_frozen() -> None:
    timeline = Timeline(np.array([0.0, 0.04, 5.04, 5.08]))
    assert [(span.start, span.end) for span in signal_spans(columns([1, 2, 3]), timeline, signal("freeze", 2.0))] == [
        (0.04, 5.04)
    ]


def test_a_slow_drift_is_not_frozen() -> None:
    still = columns([1] * 100)
    drift = (np.arange(100) // 8).astype(np.uint8)[:, None]
    moving = Features(still.luma + drift, still.chroma, still.sharpness)
    timeline = Timeline(evenly(101))
    assert len(signal_spans(still, timeline, signal("freeze", 2.0))) == 1
    assert signal_spans(moving, timeline, signal("freeze", 2.0)) == []


def test_events_lie_on_whole_frames_in_order() -> None:
    guideline = Guideline(
        version="1",
        classes=(LabelDefinition(name="cat", definition="a cat"),),
        events=(rule("present", least=0.3), rule("appears", least=0.3), signal("black", 0.2)),
    )
    features, timeline = columns([*range(1, 21), *[0] * 10]), Timeline(evenly(31))
    found = Samples(np.array([0.0, 0.4, 0.8]), 1.2, {"cat": np.array([MISSING, 0.7, MISSING])})
    assert find_events(Material(features, timeline, found), guideline) == [
        Event("cat present", 10, 20, 0.7),
        Event("black", 20, 30, None),
    ]
    none = rule("appears", least=0.3, gap=0.0)
    guideline = guideline.model_copy(update={"events": (none,)})
    assert find_events(Material(features, timeline, found), guideline) == [Event("cat appears", 10, 18, 0.7)]


@given(rows=st.lists(st.integers(0, 1), min_size=1, max_size=10))
def test_no_event_is_shorter_than_its_rule(rows: list[int]) -> None:
    assume(any(rows))
    timeline = Timeline(evenly(len(rows) + 1))
    assert signal_spans(columns(rows), timeline, signal("freeze", 10.0)) == []
