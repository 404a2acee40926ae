"""Keyframes: sharp, well exposed, typical; never black, a blink or beside a change; as many as the terms say."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.terms import KeyframeRule
from models.features import CHROMA_SIZE, LUMA_SIZE, Features
from models.frames import Timeline
from models.keyframes import Keyframe, black_frames, pick_keyframes
from models.shots import Shot
from tests.oracles.plainkeyframes import plain_keyframes

RATE = 25


def columns(luma: Any, sharpness: list[float]) -> Features:
    return Features(
        np.array(luma, np.uint8), np.full((len(luma), 2 * CHROMA_SIZE), 128, np.uint8), np.array(sharpness, np.float32)
    )


def busy(seed: int, *, low: int = 30, high: int = 220) -> Any:
    return np.random.default_rng(seed).integers(low, high, LUMA_SIZE).astype(np.uint8)


def even(frames: int, rate: float = RATE) -> Timeline:
    return Timeline(np.arange(frames + 1) / rate)


def pick(features: Features, shots: list[Shot], **rule: Any) -> list[Keyframe]:
    return pick_keyframes(features, shots, even(features.frames), KeyframeRule(**rule))


def frames_of(keys: list[Keyframe]) -> list[int]:
    return [key.frame for key in keys]


def test_the_sharpest_of_like_frames_is_picked_and_the_first_of_equals() -> None:
    picture = busy(1)
    picked = pick(columns([picture] * 8, [5, 9, 2, 9, 1, 1, 1, 1]), [Shot(0, 5, "start"), Shot(5, 8, "cut")])
    assert frames_of(picked) == [1, 5]
    assert all(key.score == 1.0 for key in picked)


def test_a_sharp_frame_unlike_its_shot_is_not_picked() -> None:
    shot = [busy(1, low=30, high=90)] * 9
    shot[4] = busy(2, low=35, high=95)
    shot[4][:600] = 200 - shot[4][:600]
    picked = pick(columns(shot, [8, 8, 9, 8, 10, 8, 8, 8, 8]), [Shot(0, 9, "start")])
    assert frames_of(picked) == [2]


def test_black_frames_are_never_picked_and_a_black_shot_has_none() -> None:
    black, picture = np.full(LUMA_SIZE, 3), busy(1)
    features = columns([black, picture, black, black], [9, 1, 9, 9])
    assert black_frames(features).tolist() == [True, False, True, True]
    assert frames_of(pick(features, [Shot(0, 3, "start"), Shot(3, 4, "cut")])) == [1]


def test_frames_of_a_change_are_never_picked_nor_those_beside_it() -> None:
    sharpness = [1.0] * 40
    sharpness[14:28] = [99.0] * 14  # the change itself is 17 to 24
    keys = pick(columns([busy(1)] * 40, sharpness), [Shot(0, 17, "start"), Shot(24, 40, "dissolve")])
    assert frames_of(keys) == [0, 27]  # three frames of margin at 25 a second
    assert frames_of(pick(columns([busy(1)] * 3, [1, 2, 3]), [Shot(0, 3, "cut")])) == [2]  # too short for any


def test_a_blink_of_light_is_never_picked() -> None:
    picture = busy(1, low=60, high=180)
    shot = [picture.copy() for _ in range(30)]
    for at in (9, 10, 20):
        shot[at] = picture + 40 if at != 20 else picture - 40
    sharpness = [5.0] * 30
    sharpness[9] = sharpness[20] = 90.0
    sharpness[15:18] = [6.0] * 3
    assert frames_of(pick(columns(shot, sharpness), [Shot(0, 30, "start")])) == [15]


def test_where_light_does_nothing_but_blink_there_is_a_keyframe_all_the_same() -> None:
    strobe = [busy(1, low=20, high=60) if at % 2 else busy(1, low=180, high=220) for at in range(9)]
    assert len(pick(columns(strobe, [1] * 9), [Shot(0, 9, "start")])) == 1


@pytest.mark.parametrize(
    "worse",
    [busy(1, low=9, high=30), busy(1, low=225, high=246), np.where(busy(1) > 120, 255, busy(1)), busy(1, low=120, high=128)],
    ids=["dark", "bright", "blown", "flat"],
)
def test_the_better_exposed_half_of_a_shot_wins(worse: Any) -> None:
    for order in (1, -1):
        halves = [busy(1)] * 40, [worse] * 40
        features = columns([*halves[::order][0], *halves[::order][1]], [7] * 80)
        (key,) = pick(features, [Shot(0, 80, "start")])
        assert (key.frame < 40) == (order == 1)


def test_one_in_so_many_seconds_is_near_the_middle_of_each_and_the_seconds_bound_the_parts() -> None:
    features = columns([busy(1)] * 250, [5] * 250)
    assert frames_of(pick(features, [Shot(0, 250, "start")], rule="interval", seconds=2.5)) == [31, 93, 156, 218]
    assert len(pick(features, [Shot(0, 250, "start")], rule="interval", seconds=2.4)) == 5
    assert frames_of(pick(features, [Shot(0, 250, "start")], rule="interval", seconds=0.5, most=1)) == [124]
    assert len(pick(features, [Shot(0, 9, "start"), Shot(9, 250, "cut")], rule="interval", seconds=60)) == 2


def test_seconds_are_those_of_a_variable_rate() -> None:
    features = columns([busy(1)] * 60, [5] * 60)
    timeline = Timeline(np.concatenate([np.arange(30) * 0.04, 1.2 + np.arange(31) * 0.2]))  # 1.2 s, then 6 s
    keys = pick_keyframes(features, [Shot(0, 60, "start")], timeline, KeyframeRule(rule="interval", seconds=2.4))
    assert [round(float(timeline.edges[key.frame]), 2) for key in keys] == [1.16, 3.4, 5.8]


def test_a_new_sight_is_picked_once_and_the_longest_come_first() -> None:
    one, two, three = (busy(seed, low=20 + 60 * seed, high=60 + 60 * seed) for seed in (0, 1, 2))
    luma = [one] * 50 + [two] * 30 + [one] * 40 + [three] * 60 + [two] * 5
    features = columns(luma, [5] * 185)
    shots = [Shot(0, 185, "start")]
    keys = pick(features, shots, rule="novelty", novelty=0.1)
    assert [key.frame // 10 for key in keys] == [0, 5, 12]
    assert [key.frame // 10 for key in pick(features, shots, rule="novelty", novelty=0.1, most=2)] == [0, 12]
    assert len(pick(features, shots, rule="novelty", novelty=0.9)) == 1


RULES = st.one_of(
    st.builds(KeyframeRule),
    st.builds(
        KeyframeRule,
        rule=st.just("interval"),
        seconds=st.floats(0.13, 3),
        most=st.none() | st.integers(1, 4),
    ),
    st.builds(
        KeyframeRule,
        rule=st.just("novelty"),
        novelty=st.floats(0.011, 0.3),
        most=st.none() | st.integers(1, 4),
    ),
)


@st.composite
def videos(draw: st.DrawFn) -> tuple[Features, list[Shot], Timeline]:
    """Few pictures over many frames, so that there are ties; uneven seconds; shots with changes between them."""
    draws = np.random.default_rng(draw(st.integers(0, 999)))
    frames = draw(st.integers(1, 60))
    levels = [(0, 8), (30, 90), (60, 220), (200, 256)]
    pool = [draws.integers(*levels[at % 4], LUMA_SIZE) for at in range(5)]
    hues = draws.integers(0, 256, (3, 2 * CHROMA_SIZE))
    spans = draws.integers(1, 9, frames)
    luma = [pool[place] for place in np.repeat(draws.integers(0, 5, frames), spans)[:frames]]
    chroma = hues[np.repeat(draws.integers(0, 3, frames), spans)[:frames]]
    sharpness = draws.integers(0, 4, frames) * draw(st.sampled_from([0, 100]))
    features = Features(np.array(luma, np.uint8), chroma.astype(np.uint8), sharpness.astype(np.float32))
    edges = np.concatenate([[0], np.cumsum(draws.choice([0.04, 0.05, 0.21], frames))])
    cuts = sorted(set(draws.integers(0, frames + 1, draw(st.integers(0, 3))).tolist()) | {0, frames})
    shots = []
    for start, end in itertools.pairwise(cuts):
        skip = int(draws.integers(0, 3)) if start else 0  # frames of a gradual change
        if start + skip < end:
            shots.append(Shot(start + skip, end, "cut" if start else "start"))
    return features, shots, Timeline(edges)


@settings(max_examples=100, deadline=None)
@given(videos(), RULES)
def test_the_picks_are_those_of_the_definition(video: tuple[Features, list[Shot], Timeline], rule: KeyframeRule) -> None:
    features, shots, timeline = video
    keys = pick_keyframes(features, shots, timeline, rule)
    wanted = plain_keyframes(features, shots, timeline, rule)
    assert [key.score for key in keys] == pytest.approx([score for _, score in wanted], abs=1e-6)
    assert frames_of(keys) == sorted(set(frames_of(keys)))
    assert not black_frames(features)[frames_of(keys)].any()
    for key, (frame, _) in zip(keys, wanted, strict=True):
        # Equal pictures may differ in the last bit of a score, by the order of a sum.
        same = np.array_equal(features.luma[key.frame], features.luma[frame])
        assert key.frame == frame or (same and features.sharpness[key.frame] == features.sharpness[frame])


def test_no_shots_no_keyframes() -> None:
    assert pick(columns(np.zeros((0, LUMA_SIZE)), []), []) == []
