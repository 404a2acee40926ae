import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.acceptance import VideoProfile
from contract.labelset import LabelSet
from contract.scores import EventScore, KeyframeScore, ShotScore
from contract.tables import Task
from qa import defaults
from qa.pairing.temporal import tiou
from qa.score import score_events, score_keyframes, score_shots
from tests.oracles.labelsets import event, keyframe, label_set, shot
from tests.oracles.matching import best_matching

Rows = list[dict[str, Any]]


def videos(task: Task, rows: Rows, items: str = "vw") -> LabelSet:
    return label_set(task, rows, dict.fromkeys(items, "labelled"))


def profile(**changes: Any) -> VideoProfile:
    return defaults.VIDEO.model_copy(update=changes)


def events(gold: Rows, labels: Rows, threshold: float = 0.5) -> EventScore:
    return score_events(videos(Task.EVENTS, labels), videos(Task.EVENTS, gold), profile(event_tiou=threshold))


def keyframes(gold: Rows, labels: Rows, tolerance: float = 0.5) -> KeyframeScore:
    reading = profile(keyframe_tolerance_s=tolerance)
    return score_keyframes(videos(Task.KEYFRAMES, labels), videos(Task.KEYFRAMES, gold), reading)


def shots(gold: Rows, labels: Rows, tolerance: int = 2) -> ShotScore:
    return score_shots(videos(Task.SHOTS, labels), videos(Task.SHOTS, gold), profile(shot_tolerance_frames=tolerance))


@pytest.mark.parametrize(
    ("tolerance", "tp", "f1"), [(0.25, 1, 0.222222), (0.5, 2, 0.444444), (0.6, 3, 0.666667), (1.0, 3, 0.666667)]
)
def test_keyframes_of_the_reference(tolerance: float, tp: int, f1: float) -> None:
    gold = [keyframe("v", time) for time in (1.0, 5.0, 9.0, 9.6, 20.0)]
    labels = [keyframe("v", time) for time in (1.2, 5.6, 9.3, 15.0)]
    score = keyframes(gold, labels, tolerance)
    assert (score.tp, score.fp, score.fn) == (tp, 4 - tp, 5 - tp)
    assert score.f1 == pytest.approx(f1, abs=1e-6)
    assert score.per_class == ()


def test_keyframes_take_the_least_total_offset() -> None:
    score = keyframes([keyframe("v", 1.0), keyframe("v", 1.4)], [keyframe("v", 1.3), keyframe("v", 0.9)])
    assert score.tp == 2
    assert score.mean_offset_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [((0, 10), (5, 15), 0.333333), ((0, 10), (2, 10), 0.8), ((10, 20), (12, 26), 0.5), ((3, 9), (0, 12), 0.5)],
)
def test_tiou_of_the_reference(one: Any, other: Any, expected: float) -> None:
    columns = (np.array([float(value)]) for value in (*one, *other))
    assert tiou(*columns)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("threshold", "tp", "f1"),
    [(0.2, 3, 0.857143), *((threshold, 2, 0.571429) for threshold in (0.3, 0.5, 0.75, 0.8)), (0.85, 1, 0.285714)],
)
def test_events_of_the_reference(threshold: float, tp: int, f1: float) -> None:
    gold = [event("v", "fall", 0, 10), event("v", "fight", 20, 30), event("v", "run", 40, 50)]
    labels = [
        event("v", "fall", 1, 9),
        event("v", "fight", 26, 40),
        event("v", "run", 40, 50),
        event("v", "fall", 60, 65),
    ]
    score = events(gold, labels, threshold)
    assert (score.tp, score.fp, score.fn) == (tp, 4 - tp, 3 - tp)
    assert score.f1 == pytest.approx(f1, abs=1e-6)
    if threshold == 0.2:
        assert (score.precision, score.recall) == (0.75, 1)
    assert score.activitynet is None
    assert score.activitynet_reason == "some events carry no score; average precision ranks by score"


def test_activitynet_of_the_reference() -> None:
    gold = [event("v", "a", 0, 10), event("v", "a", 20, 30), event("w", "a", 5, 15)]
    labels = [
        event("v", "a", 0, 9, score=0.9),
        event("v", "a", 21, 33, score=0.8),
        event("w", "a", 30, 40, score=0.7),
        event("w", "a", 5, 12, score=0.6),
        event("v", "a", 0, 10, score=0.5),
    ]
    found = events(gold, labels).activitynet
    assert found is not None
    expected = {"0.50": 0.916667, "0.60": 0.916667, "0.70": 0.5, "0.75": 0.333333, "0.80": 0.333333, "0.95": 0.066667}
    assert {name: found.at[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found.mean == pytest.approx(sum(value or 0 for value in found.at.values()) / 10)


def test_a_class_without_gold_has_no_average_precision() -> None:
    found = events([event("v", "a", 0, 10)], [event("v", "a", 0, 10, score=0.9), event("v", "b", 0, 9, score=0.8)])
    assert found.activitynet is not None
    assert found.activitynet.mean == 1
    empty = events([], [event("v", "b", 0, 9, score=0.8)]).activitynet
    assert empty is not None
    assert empty.mean is None


def test_starts_of_shots_count_but_the_first() -> None:
    gold = [shot("v", 0, 50, "start"), shot("v", 50, 90, "cut"), shot("v", 90, 140, "dissolve"), shot("v", 140, 150)]
    labels = [shot("v", 0, 52, "start"), shot("v", 52, 93), shot("v", 93, 139), shot("v", 139, 150, "fade")]
    score = shots(gold, labels)
    assert (score.tp, score.fp, score.fn) == (2, 1, 1)
    assert score.mean_offset_frames == 1.5
    by_kind = {part.label: (part.tp, part.fp, part.fn) for part in score.per_class}
    assert by_kind == {"cut": (2, 1, 0), "dissolve": (0, 0, 1)}
    assert shots(gold, labels, tolerance=3).tp == 3


def test_matches_list_pairs_misses_and_false_positives() -> None:
    score = keyframes([keyframe("v", 1.0), keyframe("v", 5.0)], [keyframe("v", 9.0), keyframe("v", 1.25)])
    rows = [(row["gold_s"], row["label_s"], row["quality"]) for row in score.matches.to_pylist()]
    assert rows == [(1.0, 1.25, 0.25), (5.0, None, None), (None, 9.0, None)]
    assert score.matches["gold_row"].to_pylist() == [0, 1, None]
    assert score.matches["label_row"].to_pylist() == [1, None, 0]


def test_the_video_is_the_unit_of_sampling() -> None:
    gold = [keyframe(item, time) for item in "vw" for time in (1.0, 3.0)]
    score = keyframes(gold, gold)
    assert score.bounds["f1"].units == 2
    assert score.lower_bound == pytest.approx(0.05**0.5)
    assert score.items["tp"].to_pylist() == [2, 2]


def test_a_video_without_labels_is_missed_whole() -> None:
    gold = videos(Task.KEYFRAMES, [keyframe("v", 1.0), keyframe("w", 1.0)])
    labels = videos(Task.KEYFRAMES, [keyframe("v", 1.0)], items="v")
    score = score_keyframes(labels, gold, defaults.VIDEO)
    assert (score.tp, score.fn) == (1, 1)
    assert score.coverage.incomplete == ("w",)


@pytest.mark.parametrize("score", [shots([], []), keyframes([], []), events([], [])])
def test_nothing_on_either_side_is_undefined_with_reasons(score: ShotScore | KeyframeScore | EventScore) -> None:
    assert (score.precision, score.recall, score.f1, score.lower_bound) == (None, None, None, None)
    assert {"precision", "recall", "f1", "lower_bound"} < set(score.reasons)
    assert {"tp", "fp", "fn", "precision", "recall", "f1", "lower_bound"} <= set(json.loads(score.model_dump_json()))


TIMES = st.integers(0, 12).map(lambda value: value / 4)
POINTS = st.lists(st.tuples(st.sampled_from("vw"), TIMES), max_size=9)


@given(POINTS, POINTS, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_points_match_as_every_choice_tried(gold: Any, labels: Any, seed: int) -> None:
    def rows(points: Any) -> Rows:
        return [keyframe(item, time) for item, time in points]

    score = keyframes(rows(gold), rows(labels))
    edges = {
        (i, j): 1 - abs(one[1] - other[1])
        for i, one in enumerate(gold)
        for j, other in enumerate(labels)
        if one[0] == other[0] and abs(one[1] - other[1]) <= 0.5
    }
    size, quality = best_matching(edges)
    assert score.tp == size
    offsets = [value for value in score.matches["quality"].to_pylist() if value is not None]
    assert sum(offsets) == pytest.approx(size - quality)
    generator = np.random.default_rng(seed)
    shuffled = [[points[i] for i in generator.permutation(len(points))] for points in (gold, labels)]
    again = keyframes(rows(shuffled[0]), rows(shuffled[1]))
    assert again.model_dump_json() == score.model_dump_json()


SPANS = st.lists(st.tuples(st.sampled_from("vw"), st.sampled_from("ab"), st.integers(0, 6), st.integers(1, 4)), max_size=9)


@given(SPANS, SPANS, st.sampled_from([0.2, 0.5, 0.75]))
@settings(deadline=None)
def test_events_match_as_every_choice_tried_and_add_over_videos(gold: Any, labels: Any, threshold: float) -> None:
    def rows(spans: Any) -> Rows:
        return [event(item, label, start, start + length) for item, label, start, length in spans]

    def overlap(one: Any, other: Any) -> float:
        shared = max(0, min(one[2] + one[3], other[2] + other[3]) - max(one[2], other[2]))
        return float(shared / (one[3] + other[3] - shared))

    score = events(rows(gold), rows(labels), threshold)
    edges = {
        (i, j): overlap(one, other)
        for i, one in enumerate(gold)
        for j, other in enumerate(labels)
        if one[:2] == other[:2] and overlap(one, other) >= threshold - 1e-9
    }
    assert score.tp == best_matching(edges)[0]
    assert (score.fp, score.fn) == (len(labels) - score.tp, len(gold) - score.tp)
    assert sum(part.tp for part in score.per_class) == score.tp
    parts = [
        events([r for r in rows(gold) if r["item"] == v], [r for r in rows(labels) if r["item"] == v], threshold)
        for v in "vw"
    ]
    assert [sum(getattr(part, name) for part in parts) for name in ("tp", "fp", "fn")] == [score.tp, score.fp, score.fn]
