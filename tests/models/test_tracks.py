"""Tracks: objects in lanes of their own, each seen most of the time, keep their identity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detections import NOTHING, Boxes
from models.tracks import ENLARGED, Track, alike, tracks_of

SIDE = 0.08


@st.composite
def lanes(draw: st.DrawFn) -> tuple[list[Boxes], list[list[int]]]:
    """Return boxes on each sample, shuffled, and the lane of each; an object moves up to its own width a sample."""
    samples = draw(st.integers(1, 12))
    objects = []
    for lane in range(draw(st.integers(0, 3))):
        start, speed = draw(st.floats(0.3, 0.6)), draw(st.floats(-SIDE, SIDE))
        first, last = sorted((draw(st.integers(0, samples)), draw(st.integers(0, samples))))
        objects.append((lane, start, speed, first, last, draw(st.floats(0.5, 1.0))))
    seen, names = [], []
    for at in range(samples):
        there = [each for each in objects if each[3] <= at < each[4]]
        there = draw(st.permutations(there))
        rows = [
            (start + speed * (at - first), 0.1 + 0.3 * lane, SIDE, SIDE, score)
            for lane, start, speed, first, _, score in there
        ]
        seen.append(np.array(rows, np.float64) if rows else NOTHING)
        names.append([each[0] for each in there])
    return seen, names


def lanes_of(track: Track, seen: list[Boxes], names: list[list[int]]) -> list[tuple[int, int]]:
    """Return (sample, lane) of every box of a track, found again by its numbers."""
    found = []
    for at, box in zip(track.samples.tolist(), track.boxes, strict=True):
        (row,) = np.flatnonzero((seen[at] == box).all(axis=1)).tolist()
        found.append((at, names[at][row]))
    return found


@settings(max_examples=80, deadline=None)
@given(lanes())
def test_every_object_is_one_track(case: tuple[list[Boxes], list[list[int]]]) -> None:
    seen, names = case
    told = [lanes_of(track, seen, names) for track in tracks_of(seen, min_score=0.5, patience=2)]
    expected: dict[int, list[tuple[int, int]]] = {}
    for at, lanes_there in enumerate(names):
        for lane in lanes_there:
            expected.setdefault(lane, []).append((at, lane))
    assert sorted(told) == sorted(expected.values())


def still(scores: list[float], x: float = 0.5) -> list[Boxes]:
    """Return a box at one place with a score on each sample; none where it is 0."""
    return [np.array([[x, 0.5, SIDE, SIDE, score]]) if score else NOTHING for score in scores]


def spans(found: list[Track]) -> list[list[int]]:
    return [track.samples.tolist() for track in found]


def test_a_weak_detection_continues_a_track_but_begins_none() -> None:
    scores = [0.2, 0.9, 0.9, 0.2, 0.2, 0.9, 0.0, 0.2]
    assert spans(tracks_of(still(scores), min_score=0.5, patience=2)) == [[1, 2, 3, 4, 5]]
    assert spans(tracks_of(still([0.3] * 4), min_score=0.5, patience=2)) == []
    assert spans(tracks_of(still([0.3] * 4), min_score=0.0, patience=2)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(("patience", "whole"), [(1, False), (2, False), (3, True), (5, True)])
def test_patience_bridges_samples_without_the_object(patience: int, whole: bool) -> None:
    found = spans(tracks_of(still([0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9]), min_score=0.5, patience=patience))
    assert found == ([[0, 1, 5, 6]] if whole else [[0, 1], [5, 6]])


def test_no_track_goes_on_over_a_cut() -> None:
    assert spans(tracks_of(still([0.9] * 6), min_score=0.5, patience=2, cuts={3})) == [[0, 1, 2], [3, 4, 5]]
    assert spans(tracks_of(still([0.9] * 3), min_score=0.5, patience=2, cuts={0})) == [[0, 1, 2]]


def test_a_jump_is_another_object() -> None:
    seen = [*still([0.9] * 3, 0.1), *still([0.9] * 3, 0.8)]
    assert spans(tracks_of(seen, min_score=0.5, patience=2)) == [[0, 1, 2], [3, 4, 5]]


@given(shift=st.floats(0, 0.3))
def test_likeness_is_the_iou_of_enlarged_boxes(shift: float) -> None:
    boxes = np.array([[0.3, 0.3, 0.1, 0.2, 0.9], [0.3 + shift, 0.3, 0.1, 0.2, 0.9]])
    shared = max(0.0, 0.1 * ENLARGED - shift)
    expected = [1.0, shared / (0.2 * ENLARGED - shared)]
    np.testing.assert_allclose(alike(boxes, boxes[0]), expected, atol=1e-12)
    assert len(alike(NOTHING, boxes[0])) == 0
