"""Features of a frame against plain numpy, and the log over more than one block."""

from typing import Any

import numpy as np

from contract.predictor import Source
from contract.tables import Kind
from models.features import BLOCK, CHROMA_SIZE, LUMA_SIZE, FeatureLog, Features
from models.frames import VideoReader

Studio = Any  # the class is in conftest.py, which no test can import


def test_measures_agree_with_numpy(studio: Studio) -> None:
    picture = np.repeat(studio.texture(4)[:180, :320, 1:2], 3, axis=2)
    log = FeatureLog()
    with VideoReader(Source("clip", Kind.VIDEO, "clip", studio.encode([picture] * 2, codec="ffv1"))) as reader:
        for frame in reader.frames():
            stored, _, _ = frame.planes(width=320, height=180)
            padded = np.pad(stored.astype(np.int64), 1, mode="reflect")
            log.add(frame)
    features = log.features()
    edges = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * padded[1:-1, 1:-1]
    np.testing.assert_allclose(features.sharpness, edges.var(), rtol=1e-5)
    fine = np.kron(picture[:, :, 0].astype(float), np.ones((3, 3)))  # 540 x 960: blocks of 20 x 20
    means = fine.reshape(27, 20, 48, 20).mean(axis=(1, 3)).ravel()
    assert np.abs(features.luma[0] - means).mean() < 3
    assert np.abs(features.chroma.astype(int) - 128).max() <= 1
    np.testing.assert_allclose(features.brightness[0], picture.mean(), atol=1.5)


def test_columns_of_more_than_a_block_keep_their_order() -> None:
    count = 2 * BLOCK + 7
    log = FeatureLog()
    assert log.features().frames == 0

    class Plain:
        full_range = True

        def __init__(self, level: int) -> None:
            self.level = level

        def planes(self, *, width: int, height: int) -> tuple[Any, Any, Any]:
            luma, chroma = np.full((height, width), self.level, np.uint8), np.full((90, 160), 255 - self.level, np.uint8)
            return luma, chroma, chroma

    for at in range(count):
        log.add(Plain(at % 251))  # type: ignore[arg-type]
    features = log.features()
    levels = np.arange(count) % 251
    assert (features.luma == levels[:, None]).all()
    assert (features.chroma == 255 - levels[:, None]).all()
    assert (features.sharpness == 0).all()
    assert log.features().frames == 0


def test_steps_contrast_and_coarse_agree_with_numpy() -> None:
    draws = np.random.default_rng(3)
    luma = draws.integers(0, 256, (1100, LUMA_SIZE)).astype(np.uint8)
    chroma = draws.integers(0, 256, (1100, 2 * CHROMA_SIZE)).astype(np.uint8)
    features = Features(luma, chroma, np.zeros(1100, np.float32))
    whole = np.concatenate([luma.astype(float), 1.5 * chroma], axis=1)
    np.testing.assert_allclose(features.steps()[1:], np.abs(np.diff(whole, axis=0)).mean(axis=1), rtol=1e-4)
    assert features.steps()[0] == 0
    np.testing.assert_allclose(features.contrast, luma.std(axis=1), rtol=1e-4)
    row = luma[5].reshape(27, 48)
    slow = [row[y : y + 3, x : x + 3].mean() for y in range(0, 27, 3) for x in range(0, 48, 3)]
    np.testing.assert_allclose(features.coarse()[5], slow, rtol=1e-4)
