"""Changes of shot in made videos, in drawn feature columns, and in spliced videos beside the checkout."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.predictor import Source
from contract.tables import Kind
from models.features import CHROMA_SIZE, LUMA_SIZE, FeatureLog, Features
from models.frames import VideoReader
from models.gradual import Transition, likeness
from models.shotfinders import Rules, ShotFinder, open_learned
from models.shots import Shot, find_transitions, is_change, shots_between
from qa.changes import Change, Length, score_changes

Studio = Any  # the class is in conftest.py, which no test can import


def measured(source: Source) -> Features:
    log = FeatureLog()
    with VideoReader(source) as reader:
        for frame in reader.frames():
            log.add(frame)
    return log.features()


def stream_of(luma: NDArray[np.uint8]) -> Features:
    """Features of thumbnails, n x 27 x 48, without colour."""
    frames = len(luma)
    chroma = np.full((frames, 2 * CHROMA_SIZE), 128, np.uint8)
    return Features(luma.reshape(frames, LUMA_SIZE), chroma, np.ones(frames, np.float32))


def changes(studio: Studio, frames: list[Any], *, rate: int = 25) -> list[Transition]:
    features = measured(Source("clip", Kind.VIDEO, "clip", studio.encode(frames, rate=rate)))
    return find_transitions(features, rate=float(rate))


def test_hard_cuts_are_found_on_their_frame(studio: Studio) -> None:
    frames = [
        *studio.take(1, 40),
        *studio.take(2, 9),
        *studio.take(3, 33, speed=2.0),
        *studio.take(4, 3),
        *studio.take(5, 30),
    ]
    assert changes(studio, frames) == [Transition("cut", at, at) for at in (40, 49, 82, 85)]


@pytest.mark.parametrize(("length", "rate"), [(4, 25), (8, 25), (15, 25), (30, 25), (50, 25), (24, 60)])
def test_dissolves_of_any_length_are_found_at_both_ends(studio: Studio, length: int, rate: int) -> None:
    speed = 0.6 if length < 30 else 0.2  # what moves far during a change hides it
    frames, (start, end) = studio.dissolve(studio.take(6, 80, speed=speed), studio.take(7, 80, speed=speed), length)
    found = changes(studio, frames, rate=rate)
    assert [change.kind for change in found] == ["dissolve"]
    assert abs(found[0].start - start) <= max(2, length // 10)
    assert abs(found[0].end - end) <= max(2, length // 10)


@pytest.mark.parametrize("length", [8, 16, 30])
def test_wipes_are_found_at_both_ends(studio: Studio, length: int) -> None:
    frames, (start, end) = studio.wipe(studio.take(8, 70, speed=0.2), studio.take(9, 70, speed=0.2), length)
    found = changes(studio, frames)
    assert [change.kind for change in found] == ["wipe"]
    assert abs(found[0].start - start) <= 3
    assert abs(found[0].end - end) <= 3


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("length", [3, 6, 12, 25])
def test_fades_through_black_and_white_are_found_at_both_ends(studio: Studio, length: int, level: int) -> None:
    frames, (start, end) = studio.fade(studio.take(10, 60), studio.take(11, 60), length, level=level)
    found = changes(studio, frames)
    assert [change.kind for change in found] == ["fade"]
    assert abs(found[0].start - start) <= 2
    assert abs(found[0].end - end) <= 2


def test_a_cut_to_black_before_a_fade_in_is_one_change(studio: Studio) -> None:
    after = studio.take(13, 60)
    ramp = [np.rint(picture * (at / 13)).astype(np.uint8) for at, picture in enumerate(after[:13])]
    found = changes(studio, [*studio.take(12, 40), *ramp, *after[13:]])
    assert [change.kind for change in found] == ["fade"]
    assert abs(found[0].start - 40) <= 1
    assert abs(found[0].end - 53) <= 2


def test_flash_shake_overlay_and_exposure_are_no_changes(studio: Studio) -> None:
    frames = studio.take(14, 160)
    whole = studio.texture(14)
    for at in (30, 31, 32):
        frames[at] = np.clip(frames[at].astype(int) + 150, 0, 255).astype(np.uint8)
    for at in range(55, 67):
        x, y = (20, 3) if at % 2 else (2, 16)
        frames[at] = whole[y : y + studio.height, x : x + studio.width]
    for at in range(90, 120):
        frames[at] = frames[at].copy()
        frames[at][80:100, 20:170] = 250
    for at in range(130, 160):
        frames[at] = np.clip(frames[at].astype(int) + 35, 0, 255).astype(np.uint8)
    assert changes(studio, frames) == []


def test_what_is_laid_over_half_of_a_dark_picture_is_no_cut_but_a_cut_under_a_banner_that_stays_is_one() -> None:
    rng = np.random.default_rng(16)
    one, two = (rng.integers(0, 140, (27, 48)).astype(np.uint8) for _ in range(2))
    luma = np.stack([one] * 30 + [two] * 30)
    luma[10:20, 15:22, 2:46] = 235  # comes and goes
    for at in range(60):
        luma[at, 3:9, 10:20] += at % 5  # meanwhile something moves a little
    banner = luma.copy()
    banner[:, 15:22, 2:46] = 130
    for stream, cuts in ((luma, [30]), (banner, [30])):
        features = stream_of(stream)
        found = [at for at in range(1, 60) if is_change(features, Transition("cut", at, at), rate=25.0)]
        assert found == cuts


@given(seed=st.integers(0, 10_000), level=st.integers(0, 255), side=st.integers(0, 3))
def test_a_half_that_goes_on_under_whatever_covers_the_other_is_no_cut(seed: int, level: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    luma = np.repeat(rng.integers(0, 256, (1, 27, 48)), 40, axis=0).astype(np.uint8)
    covered = (np.s_[:13], np.s_[14:], np.s_[:, :24], np.s_[:, 24:])[side]
    for frame in luma[20:]:
        frame[covered] = level
    assert not is_change(stream_of(luma), Transition("cut", 20, 20), rate=25.0)


def test_one_moving_take_is_one_shot(studio: Studio) -> None:
    for speed in (0.0, 0.5, 1.5, 3.0):
        assert changes(studio, studio.take(15, 60, speed=speed)) == [], speed


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_videos_of_few_frames_have_no_changes(frames: int) -> None:
    luma, chroma = np.full((frames, LUMA_SIZE), 90, np.uint8), np.full((frames, 2 * CHROMA_SIZE), 128, np.uint8)
    assert find_transitions(Features(luma, chroma, np.ones(frames, np.float32)), rate=25.0) == []


def drawn(seed: int, shots: list[int], lengths: list[int]) -> tuple[Features, list[tuple[int, int]]]:
    """Draw columns as of still shots with some noise, with a dissolve of each length between (0: a cut)."""
    draws = np.random.default_rng(seed)
    pictures = draws.integers(20, 235, (len(shots), LUMA_SIZE + 2 * CHROMA_SIZE)).astype(np.float32)
    rows: list[Any] = [pictures[0]] * shots[0]
    truth = []
    for at, length in enumerate(lengths):
        truth.append((len(rows), len(rows) + length))
        shares = np.arange(1, length + 1) / (length + 1)
        rows += [(1 - share) * pictures[at] + share * pictures[at + 1] for share in shares]
        rows += [pictures[at + 1]] * shots[at + 1]
    values = np.clip(np.rint(np.array(rows) + draws.normal(0, 0.7, (len(rows), pictures.shape[1]))), 0, 255).astype(np.uint8)
    return Features(values[:, :LUMA_SIZE], values[:, LUMA_SIZE:], np.ones(len(rows), np.float32)), truth


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_drawn_changes_are_found_and_shots_tile_the_video(data: st.DataObject, seed: int) -> None:
    lengths = data.draw(st.lists(st.sampled_from([0, 0, 4, 7, 12, 20, 33]), max_size=3))
    shots = data.draw(st.lists(st.integers(25, 45), min_size=len(lengths) + 1, max_size=len(lengths) + 1))
    features, truth = drawn(seed, shots, lengths)
    found = find_transitions(features, rate=25.0)
    assert [change.kind for change in found] == ["dissolve" if length else "cut" for length in lengths]
    for change, (start, end) in zip(found, truth, strict=True):
        assert abs(change.start - start) <= 1
        assert abs(change.end - end) <= 1
    assert found == find_transitions(features, rate=25.0)


@given(
    spans=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=8),
    tail=st.integers(0, 10),
)
def test_every_frame_is_in_one_shot_or_in_a_change(spans: list[tuple[int, int]], tail: int) -> None:
    transitions, at = [], 0
    for gap, length in spans:
        transitions.append(Transition("dissolve" if length else "cut", at + gap, at + gap + length))
        at += gap + length
    frames = at + tail
    shots = shots_between(transitions, frames)
    owners = [0] * frames
    for shot in shots:
        assert shot.start < shot.end
        for frame in range(shot.start, shot.end):
            owners[frame] += 1
    for transition in transitions:
        for frame in range(transition.start, transition.end):
            owners[frame] += 1
    assert owners == [1] * frames
    assert all(shot.transition != "start" for shot in shots[1:])


def test_shots_say_how_they_begin() -> None:
    changed = [Transition("cut", 10, 10), Transition("fade", 20, 25)]
    assert shots_between(changed, 40) == [Shot(0, 10, "start"), Shot(10, 20, "cut"), Shot(25, 40, "fade")]
    assert shots_between([], 0) == []
    assert shots_between([], 7) == [Shot(0, 7, "start")]


def test_likeness_is_the_correlation_of_pictures() -> None:
    draws = np.random.default_rng(0)
    one, two = draws.uniform(0, 255, (2, 5, LUMA_SIZE)).astype(np.float32)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one, two, strict=True)]
    np.testing.assert_allclose(likeness(one, two), expected, atol=1e-3)
    assert likeness(one, 0.5 * one + 20).min() > 0.99
    assert np.abs(likeness(np.full_like(one, 9), one)).max() == 0


def benchmark() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "shots_f1.py"
    spec = importlib.util.spec_from_file_location("shots_f1", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shots_f1"] = module
    spec.loader.exec_module(module)
    return module


def most_matches(starts: list[int], spans: list[tuple[int, int]], tolerance: int) -> int:
    """Slow oracle: try every assignment."""
    if not starts:
        return 0
    first, rest = starts[0], starts[1:]
    best = most_matches(rest, spans, tolerance)
    for at, (start, end) in enumerate(spans):
        if start - tolerance <= first <= end + tolerance:
            best = max(best, 1 + most_matches(rest, spans[:at] + spans[at + 1 :], tolerance))
    return best


@given(
    starts=st.lists(st.integers(0, 30), max_size=5),
    spans=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda p: (p[0], p[0] + p[1])), max_size=5),
)
def test_the_benchmark_matches_as_many_as_can_be(starts: list[int], spans: list[tuple[int, int]]) -> None:
    counts = benchmark().count(starts, spans, 2)
    found = most_matches(starts, spans, 2)
    assert counts == (found, len(starts) - found, len(spans) - found)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "least"), [(open_learned, 0.97), (Rules, 0.95)])
def test_spliced_videos_score_above_their_peers(spliced_folder: Path, make: Callable[[], ShotFinder], least: float) -> None:
    finder = make()
    found, gold, lengths = {}, {}, {}
    for path in sorted(spliced_folder.glob("*.mp4")):
        truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        features = measured(Source(path.name, Kind.VIDEO, str(path)))
        changes = finder.transitions(features, rate=25.0)
        found[path.name] = [Change(change.kind, change.start, change.end) for change in changes]
        gold[path.name] = [Change(each["kind"], each["start"], each["end"]) for each in truth["transitions"]]
        lengths[path.name] = Length(features.frames, 25.0)
    score = score_changes(found, gold, lengths, tolerance=2)
    assert score.f1 is not None
    assert score.f1 >= least
    assert score.kinds_right is not None
    assert score.kinds_right >= 0.9
