"""The banded matching along time beside all pairs of a group."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.pairing.bands import Spans, overlapping_spans
from qa.pairing.temporal import TimePairs, average_precision, match_intervals, match_points
from tests.oracles import plainboxes, plaintemporal

TIES = st.integers(0, 12).map(lambda value: value / 4)
TIMES = TIES | st.floats(0, 3)
POINTS = st.lists(st.tuples(st.integers(0, 1), TIMES), max_size=14)
SPANS = st.lists(st.tuples(st.integers(0, 1), TIES, st.integers(0, 8).map(lambda value: value / 4)), max_size=10)


def of_points(rows: Any) -> tuple[Any, Any]:
    return np.array([row[1] for row in rows], dtype=np.float64), np.array([row[0] for row in rows], dtype=np.int64)


def of_spans(rows: Any) -> tuple[Any, Any]:
    spans = np.array([(start, start + length) for _, start, length in rows], dtype=np.float64).reshape(-1, 2)
    return spans, np.array([row[0] for row in rows], dtype=np.int64)


def matched(gold: Any, labels: Any, tolerance: float) -> TimePairs:
    (times, group), (other, other_group) = of_points(gold), of_points(labels)
    return match_points(times, other, gold_group=group, label_group=other_group, tolerance=tolerance)


def of_video(rows: Any, video: int) -> list[Any]:
    return [row for row in rows if row[0] == video]


@given(POINTS, POINTS, st.sampled_from([0, 0.25, 0.5, 1.1, 5]))
@settings(deadline=None)
def test_points_match_as_scipys_solver_over_all_pairs(gold: Any, labels: Any, tolerance: float) -> None:
    (times, group), (other, other_group) = of_points(gold), of_points(labels)
    found = matched(gold, labels, tolerance)
    count, offsets = plaintemporal.points(times, other, group, other_group, tolerance)
    assert found.gold.size == np.unique(found.gold).size == np.unique(found.label).size == count
    assert found.quality.sum() == pytest.approx(offsets, abs=1e-9)
    assert np.array_equal(found.quality, np.abs(times[found.gold] - other[found.label]))
    assert np.array_equal(group[found.gold], other_group[found.label])


@given(POINTS, POINTS, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_offsets_of_points_neither_hang_on_order_nor_on_other_videos(gold: Any, labels: Any, seed: int) -> None:
    generator = np.random.default_rng(seed)
    whole = matched(gold, labels, 0.5)
    other, another = ([rows[i] for i in generator.permutation(len(rows))] for rows in (gold, labels))
    assert np.array_equal(matched(other, another, 0.5).quality, whole.quality)
    parts = [matched(of_video(gold, video), of_video(labels, video), 0.5) for video in (0, 1)]
    assert np.array_equal(np.concatenate([part.quality for part in parts]), whole.quality)


@given(SPANS, SPANS, st.sampled_from([1e-12, 0.05, 0.3, 0.5, 0.8, 1.0]))
@settings(deadline=None)
def test_neighbours_hold_every_pair_that_reaches_the_threshold(gold: Any, labels: Any, threshold: float) -> None:
    gold, labels = (sorted((row[0], row[1], row[2]) for row in rows) for rows in (gold, labels))
    (spans, group), (other, other_group) = of_spans(gold), of_spans(labels)
    floor = max(threshold - plaintemporal.TIE, 1e-12)
    found = overlapping_spans(Spans(group, spans), Spans(other_group, other), floor)
    pairs = list(zip(*(column.tolist() for column in found), strict=True))
    expected = plaintemporal.spans(spans, other, group, other_group, floor + plaintemporal.TIE)
    assert pairs == expected


@given(SPANS, SPANS, st.sampled_from([0.3, 0.5, 0.75]))
@settings(deadline=None)
def test_intervals_match_as_scipys_solver_over_all_pairs(gold: Any, labels: Any, threshold: float) -> None:
    (spans, group), (other, other_group) = of_spans(gold), of_spans(labels)
    found = match_intervals(spans, other, gold_group=group, label_group=other_group, threshold=threshold)
    edges = plaintemporal.spans(spans, other, group, other_group, threshold)
    left, right, quality = (np.array(column) for column in zip(*edges, strict=True)) if edges else (np.zeros(0, int),) * 3
    chosen = plainboxes.assign(left, right, quality)
    assert found.gold.size == chosen.sum()
    assert found.quality.sum() == pytest.approx(quality[chosen].sum())


@given(SPANS, SPANS, st.lists(st.integers(0, 4), min_size=10, max_size=10), st.sampled_from([0.3, 0.5, 0.75]))
@settings(deadline=None)
def test_average_precision_is_that_of_plain_loops(gold: Any, labels: Any, ranks: list[int], threshold: float) -> None:
    (spans, group), (other, other_group) = of_spans(gold), of_spans(labels)
    scores = np.array(ranks[: len(labels)], dtype=np.float64) / 4
    found = average_precision(spans, other, gold_group=group, label_group=other_group, scores=scores, threshold=threshold)
    assert found == plaintemporal.average_precision(spans, other, group, other_group, scores, threshold)


def test_a_hundred_thousand_keyframes_of_one_video_hang_together() -> None:
    # every point is in reach of its neighbours, so that no pair can be settled alone
    count = 100_000
    gold = np.linspace(0, 0.3 * (count - 1), count)
    labels = np.delete(gold, 5) + 0.1
    video = np.zeros(count, dtype=np.int64)
    found = match_points(gold, labels, gold_group=video, label_group=video[1:], tolerance=0.5)
    assert found.gold.size == count - 1
    assert found.quality.sum() == pytest.approx(0.1 * (count - 1))
    assert np.setdiff1d(np.arange(count), found.gold).tolist() == [5]


def test_a_chain_that_must_be_shifted_whole_for_one_pair_more() -> None:
    # the nearest label of each is that of the next one, but then one is left over on either side
    gold = np.linspace(0, 999, 1000)
    labels = gold - 0.9
    video = np.zeros(1000, dtype=np.int64)
    found = match_points(gold, labels, gold_group=video, label_group=video, tolerance=0.95)
    assert found.gold.size == 1000
    assert found.quality.sum() == pytest.approx(900)


def test_times_that_are_no_numbers_match_nothing() -> None:
    video = np.zeros(2, dtype=np.int64)
    times = np.array([1.0, np.nan])
    found = match_points(times, times, gold_group=video, label_group=video, tolerance=0.5)
    assert (found.gold.tolist(), found.label.tolist()) == ([0], [0])
