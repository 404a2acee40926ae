"""Which boxes lie in a region: against OpenCV's test on whole numbers, edges and clipped boxes included."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contract.polygons import polygon_problem
from models.regions import anchors_of, boxes_in, in_region

GRID = 8
CORNERS = st.lists(st.tuples(st.integers(0, GRID), st.integers(0, GRID)), min_size=3, max_size=7, unique=True)


@settings(max_examples=100, deadline=None)
@given(CORNERS)
def test_points_agree_with_opencv(corners: list[tuple[int, int]]) -> None:
    region = [(x / GRID, y / GRID) for x, y in corners]
    assume(polygon_problem(region) is None)
    contour: Any = np.array([(2 * x, 2 * y) for x, y in corners], np.int32)
    points = [(x, y) for x in range(-1, 2 * GRID + 2) for y in range(-1, 2 * GRID + 2)]
    found = in_region(np.array(points, np.float64) / (2 * GRID), region)
    assert found.tolist() == [cv2.pointPolygonTest(contour, (float(x), float(y)), False) >= 0 for x, y in points]


def test_the_anchor_says_where_a_box_is() -> None:
    boxes = np.array([[0.25, 0.5, 0.5, 0.25, 0.9], [0.0, 0.75, 0.1, 0.25, 0.9]])
    assert anchors_of(boxes, "center").tolist() == [[0.5, 0.625], [0.05, 0.875]]
    assert anchors_of(boxes, "bottom_center").tolist() == [[0.5, 0.75], [0.05, 1.0]]
    ground = ((0.0, 0.9), (1.0, 0.9), (1.0, 1.0), (0.0, 1.0))
    assert boxes_in(boxes, ground, "bottom_center").tolist() == [boxes[1].tolist()]  # cut off by the picture's edge
    assert len(boxes_in(boxes, ground, "center")) == 0
    assert boxes_in(boxes, None, None) is boxes


@pytest.mark.parametrize("shift", [0.0, 1e-12, -1e-12])
def test_rounding_does_not_push_a_point_off_the_edge(shift: float) -> None:
    third = 1 / 3
    region = ((0.1, third), (0.7, third), (0.7, 0.9))
    assert in_region(np.array([[0.4, third + shift]]), region).all()
