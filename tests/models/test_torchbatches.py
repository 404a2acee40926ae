"""Batches in torch: the boxes of Ultralytics' own prediction, whatever shares a batch; the same code runs on CUDA."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contract.predictor import Source
from contract.tables import Kind
from models.boxes import Boxes, as_rows
from models.letterbox import fit, letterboxed
from models.scenes import CLASSES, render_scene
from models.torchbatches import TorchBatches, Wanted
from models.train_detector import write_architecture
from models.yolo import quiet_ultralytics
from tests.oracles.ultralytics_boxes import Ultralytics, assert_same

LOW = {"conf": 0.0001, "max_det": 20}
WANTED = Wanted(0.0001, 0.7, 20, range(4), 64, rect=True, batch=4, threads=2, max_pixels=10**6)
NAMES = dict(enumerate(CLASSES))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(7)
    model = quiet_ultralytics().YOLO(str(write_architecture(folder)), task="detect")
    model.model.names = NAMES
    model.save(str(folder / "tiny.pt"))
    return folder / "tiny.pt"


def opened(weights: Path, wanted: Wanted = WANTED) -> TorchBatches:
    return TorchBatches(weights, wanted, device="cpu", dtype=torch.float32, graphs=False)


def sources(count: int, form: str = "PNG") -> list[Source]:
    """Pictures of several shapes that need no scaling, which every library rounds in its own way."""
    found = []
    for seed in range(count):
        size = ((64, 40), (64, 30), (48, 64), (64, 64))[seed % 4]
        file = io.BytesIO()
        Image.fromarray(render_scene(seed, width=size[0], height=size[1])[0]).save(file, form)
        found.append(Source(f"s{seed}", Kind.IMAGE, f"s{seed}", file.getvalue()))
    return found


def rows(found: Sequence[Boxes | str]) -> list[dict[str, Any]]:
    return [{"boxes": as_rows(one, NAMES)} for one in found if isinstance(one, Boxes)]


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_boxes_are_those_of_ultralytics(weights: Path, rect: bool, form: str) -> None:
    asked = sources(9, form)
    theirs = Ultralytics(weights, LOW, rect=rect).predict(asked)
    batches = opened(weights, WANTED._replace(rect=rect))
    assert_same(rows(batches.look(asked)), theirs, NAMES)
    pictures = [np.asarray(Image.open(io.BytesIO(source.data or b"")), np.uint8) for source in asked]
    assert_same(rows(batches.see(pictures)), theirs, NAMES)


def test_what_is_bad_has_its_reason_and_its_place(weights: Path) -> None:
    good = sources(6)
    bad = Source("junk", Kind.IMAGE, "junk", b"junk")
    large = Source("large", Kind.IMAGE, "large", good[0].data)
    found = opened(weights).look([bad, *good[:3], bad, *good[3:], bad])
    assert [isinstance(one, str) for one in found] == [True, *[False] * 3, True, *[False] * 3, True]
    assert rows(found) == rows(opened(weights).look(good))
    assert opened(weights).look([]) == []
    assert opened(weights).look([bad]) == [found[0]]
    (refused,) = opened(weights, WANTED._replace(max_pixels=100)).look([large])
    assert isinstance(refused, str)
    assert "more than the limit" in refused


def test_classes_that_are_not_asked_for_do_not_count(weights: Path) -> None:
    asked = sources(4)
    some = opened(weights, WANTED._replace(classes={0, 2})).look(asked)
    theirs = Ultralytics(weights, {**LOW, "classes": [0, 2]}, rect=True).predict(asked)
    assert_same(rows(some), theirs, NAMES)


def test_decoded_predictions_give_the_boxes_of_the_heads_words(weights: Path) -> None:
    batches, plain = opened(weights), opened(weights)
    network = plain._network
    plain._network = lambda pictures: network(pictures)[0]
    for one, two in zip(batches.look(sources(5)), plain.look(sources(5)), strict=True):
        assert isinstance(one, Boxes)
        assert isinstance(two, Boxes)
        np.testing.assert_allclose(one.sides, two.sides, atol=1e-3)
        np.testing.assert_allclose(one.scores, two.scores, atol=1e-6)


def test_a_network_that_suppresses_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = quiet_ultralytics().YOLO("yolo26n.yaml", task="detect")
    model.save(str(tmp_path / "own.pt"))
    wanted = WANTED._replace(classes=range(80), conf=1e-6, max_det=5)
    ours = opened(tmp_path / "own.pt", wanted).look(sources(3))
    theirs = Ultralytics(tmp_path / "own.pt", {"conf": 1e-6, "max_det": 5}, rect=True).predict(sources(3))
    for boxes, others in zip(ours, theirs, strict=True):
        assert isinstance(boxes, Boxes)
        np.testing.assert_allclose(boxes.scores, [other[4] for other in others], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300))
def test_scaling_is_that_of_opencv_to_a_grey_level(height: int, width: int) -> None:
    batches = TorchBatches.__new__(TorchBatches)
    batches._device = torch.device("cpu")
    noise = np.random.default_rng(height * 301 + width).integers(0, 256, (height, width, 3), np.uint8)
    picture = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    place = fit(height, width, within=(64, 64), stride=32)
    ours = batches._letterboxed(torch.from_numpy(picture).permute(2, 0, 1), place).permute(1, 2, 0).numpy()
    assert np.abs(ours.astype(int) - letterboxed(picture, place).astype(int)).max() <= 2
