"""Events over the signal: black, freeze and flash against reading them off, and silence."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.guideline import FlashEvent, SignalEvent, SilenceEvent
from models.features import CHROMA_SIZE, LUMA_SIZE, Features
from models.frames import Timeline
from models.signalevents import flash_spans, flashing_frames, signal_spans, silence_spans
from models.sound import WINDOW_S, Sound


def evenly(count: int, step: float = 0.04) -> NDArray[np.float64]:
    return np.arange(count, dtype=np.float64) * step


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


@given(rows=st.lists(st.integers(0, 1), min_size=1, max_size=10))
def test_no_event_is_shorter_than_its_rule(rows: list[int]) -> None:
    assume(any(rows))
    timeline = Timeline(evenly(len(rows) + 1))
    assert signal_spans(columns(rows), timeline, signal("freeze", 10.0)) == []


def flash(rise: float, longest: float) -> FlashEvent:
    return FlashEvent(name="flash", definition="a flash", rule="flash", min_rise=rise, max_seconds=longest)


def slow_flashes(levels: list[int], edges: list[int], rise: int, longest: int) -> list[bool]:
    """Oracle: from each frame walk outwards as long as it is brighter than that frame less the rise."""
    found = []
    for at, level in enumerate(levels):
        first = last = at
        while first >= 0 and levels[first] > level - rise:
            first -= 1
        while last < len(levels) and levels[last] > level - rise:
            last += 1
        returns = first >= 0 and last < len(levels)
        found.append(returns and edges[last] - edges[first + 1] <= longest)
    return found


@given(
    frames=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=20),
    rise=st.integers(1, 4),
    longest=st.integers(1, 6),
)
def test_flashes_agree_with_walking_outwards(frames: list[tuple[int, int]], rise: int, longest: int) -> None:
    levels = [level for level, _ in frames]
    edges = [0, *np.cumsum([length for _, length in frames]).tolist()]
    timeline = Timeline(np.array(edges, np.float64) * 0.1)
    found = flashing_frames(np.array(levels, np.float64), timeline, flash(rise, longest * 0.1))
    assert found.tolist() == slow_flashes(levels, edges, rise, longest)


def lit(levels: list[int]) -> Features:
    luma = np.repeat(np.array(levels, np.uint8)[:, None], LUMA_SIZE, axis=1)
    return Features(luma, np.full((len(levels), 2 * CHROMA_SIZE), 128, np.uint8), np.ones(len(levels), np.float32))


def test_a_flash_returns_and_a_lamp_that_stays_on_is_none() -> None:
    timeline = Timeline(evenly(31))
    rule = flash(40, 0.2)
    blink = lit([50] * 10 + [250, 180, 120] + [50] * 17)
    assert [(round(span.start / 0.04), round(span.end / 0.04)) for span in flash_spans(blink, timeline, rule)] == [(10, 13)]
    assert flash_spans(lit([50] * 10 + [250] * 20), timeline, rule) == []
    assert flash_spans(lit([50] * 10 + [250] * 6 + [50] * 14), timeline, rule) == []
    assert flash_spans(lit([50] * 10 + [89] + [50] * 19), timeline, rule) == []
    assert flash_spans(lit([200] * 10 + [20] * 2 + [200] * 18), timeline, rule) == []
    assert flash_spans(lit([250] * 3 + [50] * 27), timeline, rule) == []
    assert flash_spans(lit([]), Timeline(np.zeros(1)), rule) == []


@given(loud=st.lists(st.booleans(), max_size=40), least=st.integers(1, 6))
def test_silence_agrees_with_reading_it_off(loud: list[bool], least: int) -> None:
    rule = SilenceEvent(name="quiet", definition="d", rule="silence", below_dbfs=-40, min_seconds=least * WINDOW_S)
    power = np.where(loud, 1.1e-4, 0.9e-4).astype(np.float32)  # -40 dB is 1e-4
    timeline = Timeline(np.array([0.0, max(len(loud), 1) * WINDOW_S]))
    spans = silence_spans(Sound(power), timeline, rule)
    told = "".join(".#"[each] for each in loud)
    expected, at = [], 0
    for part in told.replace("#", " # ").split():
        at = told.index(part, at)
        if part != "#" and len(part) >= least:
            expected.append((at, at + len(part)))
        at += len(part)
    assert [(round(span.start / WINDOW_S), round(span.end / WINDOW_S)) for span in spans] == expected


def test_no_sound_at_all_is_no_silence() -> None:
    rule = SilenceEvent(name="quiet", definition="d", rule="silence", below_dbfs=-40, min_seconds=0.1)
    assert silence_spans(None, Timeline(evenly(100)), rule) == []
    everything = silence_spans(Sound(np.zeros(200, np.float32)), Timeline(evenly(100)), rule)
    assert [(span.start, span.end) for span in everything] == [(0.0, 99 * 0.04)]
    unknown = silence_spans(Sound(np.full(200, np.inf, np.float32)), Timeline(evenly(100)), rule)
    assert unknown == []
