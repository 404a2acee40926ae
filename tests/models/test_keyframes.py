"""Keyframes: sharp, typical, not black, one a shot."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.features import CHROMA_SIZE, LUMA_SIZE, Features
from models.keyframes import black_frames, pick_keyframes
from models.shots import Shot


def columns(luma: Any, sharpness: list[float]) -> Features:
    return Features(
        np.array(luma, np.uint8), np.full((len(luma), 2 * CHROMA_SIZE), 128, np.uint8), np.array(sharpness, np.float32)
    )


def busy(seed: int, *, low: int = 30, high: int = 220) -> Any:
    return np.random.default_rng(seed).integers(low, high, LUMA_SIZE).astype(np.uint8)


def test_the_sharpest_of_like_frames_is_picked_and_the_first_of_equals() -> None:
    picture = busy(1)
    shots = [Shot(0, 4, "start"), Shot(4, 7, "cut")]
    picked = pick_keyframes(columns([picture] * 7, [5, 9, 2, 9, 1, 1, 1]), shots)
    assert [key.frame for key in picked] == [1, 4]
    assert all(key.score == 1.0 for key in picked)


def test_a_sharp_frame_unlike_its_shot_is_not_picked() -> None:
    shot = [busy(1, low=30, high=90)] * 9
    shot[4] = busy(2, low=160, high=250)
    picked = pick_keyframes(columns(shot, [8, 8, 9, 8, 10, 8, 8, 8, 8]), [Shot(0, 9, "start")])
    assert [key.frame for key in picked] == [2]


def test_black_frames_are_never_picked_and_a_black_shot_has_none() -> None:
    black, picture = np.full(LUMA_SIZE, 3), busy(1)
    features = columns([black, picture, black, black], [9, 1, 9, 9])
    assert black_frames(features).tolist() == [True, False, True, True]
    assert [key.frame for key in pick_keyframes(features, [Shot(0, 3, "start"), Shot(3, 4, "cut")])] == [1]


def test_frames_between_shots_are_never_picked() -> None:
    features = columns([busy(1)] * 10, [1, 1, 1, 99, 99, 99, 1, 2, 1, 1])
    assert [key.frame for key in pick_keyframes(features, [Shot(0, 3, "start"), Shot(6, 10, "dissolve")])] == [0, 7]


def slow_score(features: Features, frames: list[int], at: int) -> float:
    """One frame's score by numpy.histogram, frame by frame."""

    def histograms(frame: int) -> Any:
        parts = (features.luma[frame], features.chroma[frame, :CHROMA_SIZE], features.chroma[frame, CHROMA_SIZE:])
        return np.concatenate([np.histogram(part, bins=16, range=(0, 256))[0] / part.size / 3 for part in parts])

    mean = np.mean([histograms(frame) for frame in frames], axis=0)
    full = np.percentile(features.sharpness[frames], 95)
    sharp = min(1.0, features.sharpness[at] / full) if full > 0 else 1.0
    return float(sharp * (1 - 0.5 * np.abs(histograms(at) - mean).sum()))


@given(seed=st.integers(0, 1000), frames=st.integers(1, 12), blurred=st.booleans())
def test_the_pick_has_the_best_score_of_its_shot(seed: int, frames: int, blurred: bool) -> None:
    draws = np.random.default_rng(seed)
    luma = draws.integers(30, 256, (frames, LUMA_SIZE)).astype(np.uint8)
    chroma = draws.integers(0, 256, (frames, 2 * CHROMA_SIZE)).astype(np.uint8)
    sharpness = np.zeros(frames) if blurred else draws.uniform(0, 500, frames)
    features = Features(luma, chroma, sharpness.astype(np.float32))
    (picked,) = pick_keyframes(features, [Shot(0, frames, "start")])
    scores = [slow_score(features, list(range(frames)), at) for at in range(frames)]
    assert abs(picked.score - max(scores)) < 1e-6
    assert abs(scores[picked.frame] - max(scores)) < 1e-6
    assert 0 <= picked.score <= 1


def test_no_shots_no_keyframes() -> None:
    assert pick_keyframes(columns(np.zeros((0, LUMA_SIZE)), []), []) == []
