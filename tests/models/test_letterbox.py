"""Letterbox and head against slow oracles: Ultralytics' own geometry, pixel by pixel, and a decoding cell by cell."""

import math

import numpy as np
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.boxes import Boxes, as_rows, boxes_answer, clipped
from models.heads import Candidates, Level, decode
from models.letterbox import fit, letterboxed, unfitted
from models.suppression import suppressed
from models.yolo import quiet_ultralytics

SIDES = st.integers(1, 400)


def picture_of(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=60, deadline=None)
@example(1, 300, True)
@example(480, 640, True)
@example(427, 640, True)
@given(SIDES, SIDES, st.booleans())
def test_the_letterbox_is_that_of_ultralytics(height: int, width: int, rect: bool) -> None:
    quiet_ultralytics()
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.ops import scale_boxes

    assume(not rect or max(height, width) <= 2 * min(height, width))  # beyond that a rectangle is no narrower here
    picture = picture_of(height, width)
    place = fit(height, width, within=(128, 128), stride=32 if rect else None)
    wanted = LetterBox((128, 128), auto=rect, stride=32)(image=picture)
    np.testing.assert_array_equal(letterboxed(picture, place), wanted)
    corners = np.array([[3, 5, 70, 60], [-4, 0, 140, 131], [64, 64, 64, 64]], np.float32)
    back = scale_boxes(wanted.shape[:2], torch.from_numpy(corners.copy()), (height, width)).numpy()
    limits = np.array([width, height] * 2)
    np.testing.assert_allclose(np.clip(unfitted(corners, place), 0, limits), back, rtol=1e-5, atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([32, 64]))
def test_rectangles_are_few_and_hold_the_picture(height: int, width: int, stride: int) -> None:
    place = fit(height, width, within=(640, 640), stride=stride)
    assert all(side % stride == 0 and 320 <= side <= 640 for side in place.shape)
    assert max(place.shape) == 640
    assert place.top >= 0
    assert place.left >= 0
    assert place.top + place.rows <= place.shape[0]
    assert place.left + place.columns <= place.shape[1]


def by_hand(
    maps: list[tuple[NDArray[np.float32], NDArray[np.float32]]], strides: list[int], least: float
) -> list[tuple[float, ...]]:
    """Decode every cell in plain Python: x1, y1, x2, y2, score, class."""
    found = []
    for (distances, logits), stride in zip(maps, strides, strict=True):
        for row in range(logits.shape[0]):
            for column in range(logits.shape[1]):
                scores = [1 / (1 + math.exp(-float(value))) for value in logits[row, column]]
                best = max(range(len(scores)), key=scores.__getitem__)
                if scores[best] <= least:
                    continue
                sides = []
                for bins in distances[row, column].reshape(4, -1).astype(float):
                    weights = [math.exp(value - max(bins)) for value in bins]
                    mean = sum(at * weight for at, weight in enumerate(weights)) / sum(weights)
                    sides.append(mean if len(bins) > 1 else float(bins[0]))
                x, y = column + 0.5, row + 0.5
                corners = (x - sides[0], y - sides[1], x + sides[2], y + sides[3])
                found.append((*(corner * stride for corner in corners), scores[best], float(best)))
    return found


@settings(max_examples=60, deadline=None)
@example(0, 0.0, 1)
@example(0, 1.0, 16)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.001, 0.25, 0.5, 0.9, 1.0]), st.sampled_from([1, 4, 16]))
def test_cells_are_decoded_as_by_hand(seed: int, least: float, bins: int) -> None:
    draws = np.random.default_rng(seed)
    maps = [
        (draws.normal(0, 2, (*cells, 4 * bins)).astype(np.float32), draws.integers(-3, 3, (*cells, 3)).astype(np.float32))
        for cells in ((4, 3), (2, 2))
    ]
    found = decode(maps, [Level(8), Level(16)], least=least)
    wanted = by_hand(maps, [8, 16], least)
    assert len(found.scores) == len(wanted)
    rows = np.concatenate([found.corners, found.scores[:, None], found.classes[:, None]], axis=1)
    np.testing.assert_allclose(rows, np.array(wanted).reshape(-1, 6), rtol=1e-4, atol=1e-4)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**31), st.sampled_from([0.1, 0.5, 0.9]), st.integers(1, 12))
def test_suppression_is_that_of_ultralytics(count: int, seed: int, iou: float, most: int) -> None:
    quiet_ultralytics()
    from ultralytics.utils.nms import non_max_suppression

    draws = np.random.default_rng(seed)
    centres, sizes = draws.integers(10, 30, (2, 2, count)).astype(np.float32)
    scores: NDArray[np.float32] = draws.permutation(np.arange(1, count + 1)).astype(np.float32) / np.float32(count + 1)
    classes = draws.integers(0, 3, count)
    corners: NDArray[np.float32] = np.concatenate([centres - sizes / 2, centres + sizes / 2]).T.astype(np.float32)
    ours = suppressed(Candidates(corners, scores, classes), iou=iou, max_det=most, classes={0, 2})
    prediction = np.zeros((1, 7, count + 7), np.float32)  # six columns would mean something else to it
    prediction[0, :4, :count] = np.concatenate([centres, sizes])
    prediction[0, 4 + classes, np.arange(count)] = scores
    options = {"max_det": most, "classes": [0, 2]}
    (theirs,) = non_max_suppression(torch.from_numpy(prediction), 0.0, iou, **options)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_rows_become_clipped_boxes_and_columns() -> None:
    rows = np.array([[-3, 2, 5, 4, 0.5, 1], [9, 9, 12, 12, 0.9, 0], [4, 4, 4, 8, 0.8, 0], [20, 1, 30, 2, 0.7, 0]], float)
    found = clipped(rows, (10, 10))
    wanted = [
        {"label": "a", "x": 9.0, "y": 9.0, "w": 1.0, "h": 1.0, "score": 0.9},
        {"label": "b", "x": 0.0, "y": 2.0, "w": 5.0, "h": 2.0, "score": 0.5},
    ]
    labels = {0: "a", 1: "b", 7: "c"}
    assert as_rows(found, labels) == wanted
    none = clipped(rows[:0], (10, 10))
    table = boxes_answer(["one", "two", "three", "four"], [none, found, "it is torn", found], labels)
    assert table.to_pylist() == [
        {"item": "one", "state": "empty", "reason": None, "boxes": []},
        {"item": "two", "state": "labelled", "reason": None, "boxes": wanted},
        {"item": "three", "state": "rejected", "reason": "it is torn", "boxes": []},
        {"item": "four", "state": "labelled", "reason": None, "boxes": wanted},
    ]
    table.validate(full=True)
    assert boxes_answer([], [], labels).num_rows == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.just("reason"), st.integers(0, 4)), max_size=6), st.integers(0, 2**31))
def test_columns_are_the_rows(kinds: list[str | int], seed: int) -> None:
    from contract.answers import build_answer, labelled, rejected
    from contract.tables import Kind, Task

    draws = np.random.default_rng(seed)
    found: list[Boxes | str] = []
    for kind in kinds:
        if isinstance(kind, str):
            found.append(kind)
        else:
            rows = np.concatenate([draws.integers(0, 9, (kind, 4)), draws.integers(0, 3, (kind, 2))], axis=1)
            found.append(clipped(rows.astype(float), (8, 8)))
    labels = {0: "a", 1: "b", 2: "c"}
    items = [f"i{at}" for at in range(len(found))]
    slow = [
        rejected(item, Kind.IMAGE, one)
        if isinstance(one, str)
        else labelled(item, Kind.IMAGE, {Task.BOXES: as_rows(one, labels)})
        for item, one in zip(items, found, strict=True)
    ]
    assert boxes_answer(items, found, labels).equals(build_answer(Kind.IMAGE, slow))


def test_pictures_of_any_scale_land_on_the_same_place() -> None:
    place = fit(400, 600, within=(64, 64), stride=32)
    assert (place.rows, place.columns, place.shape) == (43, 64, (64, 64))
    flat = np.full((400, 600, 3), 9, np.uint8)
    np.testing.assert_array_equal(letterboxed(flat, place), letterboxed(flat[::4, ::4], place))
