"""Features of a long video out of a file: the same as in memory, whatever pieces they came in, and no more memory."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import StorageError
from contract.guideline import FlashEvent, SignalEvent
from contract.terms import KeyframeRule
from models.features import BLOCK, CHROMA_SIZE, LUMA_SIZE, Features, FeatureTable
from models.frames import Timeline
from models.keyframes import pick_keyframes
from models.shotfinders import Rules, open_learned
from models.shots import shots_between
from models.signalevents import flash_spans, signal_spans
from models.spool import FeatureSpool, SpooledFeatures, blocks

TAKES = (90, 40, 1500, 160)  # frames, over and over
NOVELTY = KeyframeRule(rule="novelty", novelty=0.06)


def pieces(frames: int, size: int, *, noise: bool = True) -> Iterator[Features]:
    """Yield the features of takes that drift, with cuts, a black and a frozen second, flashes and dissolves between them."""
    bounds = np.cumsum([0, *(TAKES * (frames // sum(TAKES) + 1))])
    ways = np.random.default_rng(5).uniform(30, 220, (len(bounds) + 1, LUMA_SIZE + 2 * CHROMA_SIZE))
    for at in range(0, frames, size):
        places = np.arange(at, min(at + size, frames))
        take = np.searchsorted(bounds, places, side="right") - 1
        into = places - bounds[take]
        share = np.where(take % 2 == 1, np.minimum(1.0, (into + 1) / 13), 1.0)[:, None]
        rows = share * ways[take] + (1 - share) * ways[take - 1] + 18 * np.sin(into / 60.0)[:, None]
        rows[into % 97 == 50, :LUMA_SIZE] += 80.0
        rows[(take % 4 == 2) & (into >= 300) & (into < 325), :LUMA_SIZE] = 4.0
        if noise:
            rows += np.random.default_rng(at).normal(0, 1.0, rows.shape)
        rows[(take % 4 == 2) & (into >= 600) & (into < 640)] = ways[0]
        whole = np.clip(np.rint(rows), 0, 255).astype(np.uint8)
        sharpness = (300 + 200 * np.sin(places * 0.37)).astype(np.float32)
        yield Features(whole[:, :LUMA_SIZE].copy(), whole[:, LUMA_SIZE:].copy(), sharpness)


def drawn(frames: int, seed: int = 0) -> Features:
    draws = np.random.default_rng(seed)
    luma = draws.integers(0, 256, (frames, LUMA_SIZE)).astype(np.uint8)
    chroma = draws.integers(0, 256, (frames, 2 * CHROMA_SIZE)).astype(np.uint8)
    return Features(luma, chroma, draws.uniform(0, 900, frames).astype(np.float32))


def spooled(features: Features, sizes: list[int], *, in_memory: int) -> FeatureTable:
    spool, at = FeatureSpool(in_memory=in_memory), 0
    for size in [*sizes, features.frames]:
        spool.append(features.rows(slice(at, at + size)))
        at = min(at + size, features.frames)
        assert spool.frames == at
    return spool.features()


@given(
    frames=st.integers(0, 70),
    in_memory=st.integers(0, 60),
    sizes=st.lists(st.integers(0, 30), max_size=6),
    wanted=st.lists(st.integers(0, 69), max_size=40),
    span=st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(1, 5)),
)
@settings(max_examples=60, deadline=None)
def test_any_rows_are_those_of_memory(
    frames: int, in_memory: int, sizes: list[int], wanted: list[int], span: tuple[int, int, int]
) -> None:
    whole = drawn(frames)
    found = spooled(whole, sizes, in_memory=in_memory)
    assert isinstance(found, SpooledFeatures) == (frames > in_memory)
    assert found.frames == frames
    numbers = [number for number in wanted if number < frames]
    flags = np.isin(np.arange(frames), numbers)
    for which in (numbers, np.array(numbers, np.intp), flags, slice(*span), slice(None)):
        rows = found.rows(which)
        assert rows.equals(whole.rows(np.array(which, np.intp) if isinstance(which, list) else which))
        assert np.array_equal(found.vectors(which), rows.vectors(slice(None)))


@pytest.mark.parametrize("frames", [1, BLOCK, 3 * BLOCK + 17])
def test_figures_of_all_frames_are_those_of_memory(frames: int) -> None:
    whole = drawn(frames)
    found = spooled(whole, [1, 700, 5], in_memory=0)
    assert np.array_equal(found.brightness, whole.brightness)
    assert np.array_equal(found.contrast, whole.contrast)
    assert np.array_equal(found.sharpness, whole.sharpness)
    assert np.array_equal(found.steps(), whole.steps())
    assert [block.frames for block in blocks(found)] == [block.frames for block in blocks(whole)]


@pytest.mark.parametrize("find", [Rules().transitions, open_learned().transitions])
def test_every_stage_finds_the_same_in_a_file(find: Callable[..., object]) -> None:
    frames = 2 * sum(TAKES)
    spool = FeatureSpool(in_memory=frames)
    for piece in pieces(frames, 500):
        spool.append(piece)
    whole = spool.features()
    assert isinstance(whole, Features)
    found = spooled(whole, [3, 999, 1024], in_memory=100)
    changes = list(find(whole, rate=25.0))  # type: ignore[call-overload]
    assert len(changes) >= 2
    assert list(find(found, rate=25.0)) == changes  # type: ignore[call-overload]
    timeline = Timeline(np.arange(frames + 1) / 25)
    for rule in (KeyframeRule(), KeyframeRule(rule="interval", seconds=3.0), NOVELTY):
        for shots in (shots_between(changes, frames), shots_between([], frames)):
            assert pick_keyframes(found, shots, timeline, rule) == pick_keyframes(whole, shots, timeline, rule)
    for kind in ("black", "freeze"):
        still = SignalEvent.model_validate({"name": kind, "definition": kind, "rule": kind, "min_seconds": 0.8})
        assert len(spans := signal_spans(whole, timeline, still)) >= 2
        assert signal_spans(found, timeline, still) == spans
    flash = FlashEvent(name="flash", definition="flash", rule="flash", min_rise=40.0, max_seconds=0.2)
    assert flash_spans(found, timeline, flash) == flash_spans(whole, timeline, flash)


def label(frames: int) -> int:
    """Take the features of a video of `frames` frames through every stage; return the most bytes that were held."""
    timeline = Timeline(np.arange(frames + 1) / 25)
    black = SignalEvent(name="black", definition="black", rule="black", min_seconds=0.5)
    freeze = black.model_copy(update={"rule": "freeze"})
    flash = FlashEvent(name="flash", definition="flash", rule="flash", min_rise=40.0, max_seconds=0.2)
    tracemalloc.start()
    try:
        spool = FeatureSpool(in_memory=2 * BLOCK)
        for piece in pieces(frames, 256, noise=False):
            spool.append(piece)
        features = spool.features()
        changes = Rules().transitions(features, rate=25.0)
        for rule in (KeyframeRule(), NOVELTY):
            pick_keyframes(features, shots_between([], frames), timeline, rule)  # of one shot, the longest there is
        for event in (black, freeze):
            signal_spans(features, timeline, event)
        flash_spans(features, timeline, flash)
        assert len(changes) > frames // sum(TAKES)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_stays_as_the_video_gets_longer() -> None:
    short, long = 3 * BLOCK, 9 * BLOCK
    label(BLOCK)  # compiles and caches what is needed
    growth = (label(long) - label(short)) / (long - short)
    assert growth < 100  # bytes a frame; what is measured of one is 1,588


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    spool = FeatureSpool(in_memory=5)
    spool.append(drawn(5))
    with pytest.raises(StorageError, match="set TMPDIR"):
        spool.append(drawn(1))
