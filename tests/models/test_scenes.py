"""Rendered scenes: gold that is tight to the pixel, and equal pictures for equal seeds."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scenes import CLASSES, Scene, Shape, boxes_of, draw, random_scene, render_scene

SHAPES = st.builds(
    Shape,
    st.sampled_from(CLASSES),
    st.floats(-10, 130),
    st.floats(-10, 110),
    st.floats(6, 60),
    st.floats(0, 2 * math.pi),
    st.just((255, 255, 255)),
)


@given(SHAPES)
def test_gold_is_tight_around_what_is_drawn(shape: Shape) -> None:
    bare = Scene(120, 100, (), ground=(0, 0, 0), noise=0.0)
    changed = draw(dataclasses.replace(bare, shapes=(shape,))).astype(int) - draw(bare)
    rows, columns = np.nonzero((changed > 40).any(axis=2))
    boxes = boxes_of(dataclasses.replace(bare, shapes=(shape,)))
    if not boxes:
        assert not rows.size
        return
    [box] = boxes
    assert box["label"] == shape.label
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["w"] <= 120
    assert box["y"] + box["h"] <= 100
    if min(box["w"], box["h"]) < 6:  # a tip that just shows
        return
    slack = 2.5  # sharp tips fade out
    assert columns.min() == pytest.approx(box["x"], abs=slack)
    assert rows.min() == pytest.approx(box["y"], abs=slack)
    assert columns.max() + 1 == pytest.approx(box["x"] + box["w"], abs=slack)
    assert rows.max() + 1 == pytest.approx(box["y"] + box["h"], abs=slack)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(40, 200), st.integers(40, 200))
def test_a_seed_gives_one_scene_of_the_asked_size(seed: int, width: int, height: int) -> None:
    picture, boxes = render_scene(seed, width=width, height=height)
    again, same = render_scene(seed, width=width, height=height)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, again)
    assert boxes == same
    assert len(boxes) <= 7
    for box in boxes:
        assert box["w"] > 0
        assert box["h"] > 0


def test_seeds_give_all_classes_and_empty_pictures_too() -> None:
    scenes = [random_scene(seed) for seed in range(60)]
    labels = [shape.label for scene in scenes for shape in scene.shapes]
    assert set(labels) == set(CLASSES)
    assert any(not scene.shapes for scene in scenes)
    assert len({scene.ground for scene in scenes}) > 50


def test_a_moved_shape_moves_its_gold_and_nothing_else() -> None:
    scene = random_scene(3)
    first, *rest = scene.shapes
    moved = dataclasses.replace(scene, shapes=(dataclasses.replace(first, x=first.x + 5), *rest))
    before, after = boxes_of(scene), boxes_of(moved)
    assert after[0]["x"] == pytest.approx(before[0]["x"] + 5)
    assert after[1:] == before[1:]
    assert (draw(moved) != draw(scene)).any()
