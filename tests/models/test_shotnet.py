"""The shot network: its signals against slow ones, windows that hang on nothing but the frames, changes out of scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file

from contract.errors import WeightsError
from contract.predictor import Source
from contract.tables import Kind
from models import shotfinders
from models.features import CHROMA, CHROMA_SIZE, LUMA, LUMA_SIZE, Features
from models.gradual import Transition
from models.shot_decoding import SHORTEST, decode
from models.shotfinders import LearnedShots, Rules, finder_name, open_finder, open_learned
from models.shotnet import COLUMNS, LAGS, OUTPUTS, PARTS, REACH, ROWS, SIGNALS, ShotNet, probabilities, signals
from models.shots import is_change
from models.video import VideoPredictor, VideoSettings

Studio = Any  # the class is in conftest.py, which no test can import
Floats = NDArray[np.float64]


def drawn(frames: int, seed: int = 0, *, hold: int = 25) -> Features:
    """Return features of shots of `hold` frames with a little noise."""
    random = np.random.default_rng(seed)
    shots = frames // hold + 1
    luma = random.integers(30, 220, (shots, LUMA_SIZE)).repeat(hold, axis=0)[:frames]
    chroma = random.integers(90, 160, (shots, 2 * CHROMA_SIZE)).repeat(hold, axis=0)[:frames]
    noisy = [np.clip(part + random.integers(-3, 4, part.shape), 0, 255).astype(np.uint8) for part in (luma, chroma)]
    return Features(noisy[0], noisy[1], np.ones(frames, np.float32))


def part_of(plane: Floats, row: int, column: int) -> Floats:
    high, wide = plane.shape[0] // ROWS, plane.shape[1] // COLUMNS
    return plane[row * high : (row + 1) * high, column * wide : (column + 1) * wide]


def test_signals_are_those_of_slow_sums() -> None:
    features = drawn(2 * REACH, seed=5, hold=9)
    seen = signals(torch.from_numpy(features.luma)[None], torch.from_numpy(features.chroma)[None])[0].numpy()
    assert seen.shape == (PARTS, 2 * REACH, SIGNALS)
    luma = features.luma.reshape(-1, LUMA[1], LUMA[0]).astype(np.float64)
    chroma = features.chroma.reshape(-1, 2, CHROMA[1], CHROMA[0]).astype(np.float64)
    random = np.random.default_rng(1)
    for _ in range(60):
        row, column, frame = int(random.integers(ROWS)), int(random.integers(COLUMNS)), int(random.integers(2 * REACH))
        index = int(random.integers(len(LAGS)))
        other = max(0, frame - LAGS[index])
        now, then = part_of(luma[frame], row, column), part_of(luma[other], row, column)
        here = seen[row * COLUMNS + column, frame]
        assert here[index] == pytest.approx(np.sqrt(((now - then) ** 2).mean()) / 32, abs=1e-3)
        likeness = (((now - now.mean()) * (then - then.mean())).mean() + 4) / (now.std() * then.std() + 4)
        assert here[len(LAGS) + index] == pytest.approx(1 - likeness, abs=1e-3)
        tints = [part_of(chroma[at, plane], row, column) for at in (frame, other) for plane in (0, 1)]
        shade = np.sqrt(((np.concatenate(tints[:2]) - np.concatenate(tints[2:])) ** 2).mean()) / 16
        assert here[2 * len(LAGS) + index] == pytest.approx(shade, abs=1e-3)
        assert here[6 * len(LAGS)] == pytest.approx(now.mean() / 128 - 1, abs=1e-4)
        if frame + LAGS[index] < 2 * REACH:  # ahead is the same distance, seen from its other end
            later = seen[row * COLUMNS + column, frame + LAGS[index]]
            assert here[3 * len(LAGS) + index] == later[index]


def test_it_is_small_and_its_weights_come_along() -> None:
    assert shotfinders.BUNDLED.stat().st_size <= 3_000_000
    assert (shotfinders.BUNDLED.parent / "card.md").read_text(encoding="utf-8").startswith("# Card: shots")
    logits = ShotNet()(
        torch.zeros(2, 2 * REACH, LUMA_SIZE, dtype=torch.uint8), torch.zeros(2, 2 * REACH, 288, dtype=torch.uint8)
    )
    assert logits.shape == (2, 2 * REACH, OUTPUTS)
    shares = probabilities(logits)
    assert torch.allclose(shares[..., :5].sum(dim=-1), torch.ones(2, 2 * REACH))


def test_hard_cuts_of_unseen_noise_are_found() -> None:
    """Pictures like none that it learned from: it looks at differences alone."""
    found = open_learned().transitions(drawn(300, seed=8, hold=60), rate=25.0)
    assert found == [Transition("cut", at, at) for at in (60, 120, 180, 240)]


def test_scores_hang_on_the_frames_of_their_window_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shotfinders, "CORE", 64)
    monkeypatch.setattr(shotfinders, "WINDOW", 256)
    finder = open_learned()
    features = drawn(230, seed=3)
    scores = finder.scores(features)
    assert scores.shape == (230, OUTPUTS)
    assert np.array_equal(scores, open_learned().scores(features))
    early = Features(features.luma[:220], features.chroma[:220], features.sharpness[:220])
    assert np.array_equal(finder.scores(early)[:64], scores[:64])
    for frames in (0, 1, 2, 5):
        assert finder.scores(drawn(frames)).shape == (frames, OUTPUTS)
        assert finder.transitions(drawn(frames), rate=25.0) == []


def test_a_picture_that_comes_back_was_covered() -> None:
    features = drawn(100, hold=100)
    luma = features.luma.copy()
    luma[40:43] = 255
    flashed = Features(luma, features.chroma, features.sharpness)
    assert not is_change(flashed, Transition("cut", 40, 40), rate=25.0)
    assert not is_change(flashed, Transition("dissolve", 20, 60), rate=25.0)
    cut = drawn(100, hold=50)
    assert is_change(cut, Transition("cut", 50, 50), rate=25.0)
    assert is_change(cut, Transition("fade", 45, 55), rate=25.0)
    assert not is_change(cut, Transition("cut", 30, 30), rate=25.0)


def scores_of(frames: int, *changes: Transition, sure: float = 0.95) -> NDArray[np.float32]:
    """Return scores that say these changes, with borders."""
    scores = np.zeros((frames, OUTPUTS), np.float32)
    for change in changes:
        if change.kind == "cut":
            scores[change.start, 1] = sure
            continue
        scores[change.start : change.end, ["dissolve", "fade", "wipe"].index(change.kind) + 2] = sure
        scores[change.start, 5] = scores[change.end, 6] = sure
    scores[:, 0] = 1 - scores[:, 1:5].sum(axis=1)
    return scores


@st.composite
def some_changes(draw: st.DrawFn) -> list[Transition]:
    at, changes = 0, []
    for _ in range(draw(st.integers(0, 5))):
        at += draw(st.integers(12, 40))
        length = draw(st.sampled_from([0, 0, 6, 17, 40]))
        kind = draw(st.sampled_from(["dissolve", "fade", "wipe"])) if length else "cut"
        changes.append(Transition(kind, at, at + length))
        at += length
    return changes


@settings(max_examples=60, deadline=None)
@given(some_changes())
def test_what_the_scores_say_plainly_is_what_comes_out(changes: list[Transition]) -> None:
    frames = (changes[-1].end if changes else 0) + 30
    assert decode(scores_of(frames, *changes)) == changes
    assert decode(scores_of(frames, *changes, sure=0.3)) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 70), st.integers(0, 2**31), st.floats(0.2, 6.0))
def test_any_scores_give_changes_in_order(frames: int, seed: int, sharp: float) -> None:
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(0, sharp, (frames, OUTPUTS)).astype(np.float32))
    end = 0
    for change in decode(probabilities(logits).numpy()):
        assert 0 < change.start < frames
        assert end <= change.start <= change.end < frames
        assert change.kind == "cut" or change.end > change.start
        end = change.end


def test_a_span_without_visible_ends_is_no_change() -> None:
    scores = scores_of(60, Transition("dissolve", 20, 40))
    assert len(decode(scores)) == 1
    for column in (5, 6):
        faint = scores.copy()
        faint[:, column] = 0.1
        assert decode(faint) == []
    assert SHORTEST == 3
    assert decode(scores_of(60, Transition("wipe", 20, 22))) == []


def test_finders_are_chosen_by_name_and_told_in_the_description(tmp_path: Path, studio: Studio) -> None:
    assert isinstance(open_finder("rules", None, device="cpu"), Rules)
    assert isinstance(open_finder("learned", None, device="auto"), LearnedShots)
    assert finder_name("rules", None) == "rules"
    assert finder_name("learned", None).startswith("learned ")
    with pytest.raises(WeightsError, match="without weights"):
        open_finder("transnet", None, device="cpu")
    with pytest.raises(WeightsError, match="no weights of the shot network"):
        open_learned(tmp_path / "absent.safetensors")
    save_file({"x": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(WeightsError, match="no weights of the shot network"):
        open_finder("learned", tmp_path / "other.safetensors", device="cpu")
    with pytest.raises(WeightsError, match="cannot be read"):
        finder_name("transnet", tmp_path / "absent.safetensors")
    source = Source("a", Kind.VIDEO, "a.mkv", studio.encode([*studio.take(1, 40), *studio.take(2, 40)]))
    for way in ("learned", "rules"):
        predictor = VideoPredictor(settings=VideoSettings.model_validate({"shots": way}))
        predictor.load("cpu")
        (row,) = predictor.predict([source]).to_pylist()
        assert [shot["start_frame"] for shot in row["shots"]] == [0, 40]
        assert str(predictor.describe().settings["shots"]).startswith(way)
