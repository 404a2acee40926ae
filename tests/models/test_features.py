"""Features of a frame against plain loops, in every layout of pixels, and the log over more than one block."""

from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.predictor import Source
from contract.tables import Kind
from models.features import BLOCK, CHROMA_SIZE, LUMA_SIZE, FeatureLog, Features
from models.frames import Frame, Plane, Planes, VideoReader
from models.sampling import block_means, laplacian_variance, sample, step_for

Studio = Any  # the class is in conftest.py, which no test can import


def slow_grid(plane: NDArray[Any], step: int) -> list[list[int]]:
    near, far = step // 4, step - 1 - step // 4
    rows, columns = plane.shape[0] // step, plane.shape[1] // step
    places = [(down, along) for down in (near, far) for along in (near, far)]
    return [
        [sum(int(plane[y * step + down, x * step + along]) for down, along in places) for x in range(columns)]
        for y in range(rows)
    ]


def slow_means(grid: list[list[int]], rows: int, columns: int, *, scale: float, offset: float) -> list[list[int]]:
    def span(at: int, count: int, size: int) -> range:
        first = at * size // count
        return range(first, max(first + 1, (at + 1) * size // count))

    means = []
    for row in range(rows):
        line = []
        for column in range(columns):
            cells = [grid[y][x] for y in span(row, rows, len(grid)) for x in span(column, columns, len(grid[0]))]
            line.append(int(min(255.0, max(0.0, scale * sum(cells) / len(cells) + offset)) + 0.5))
        means.append(line)
    return means


@given(
    width=st.integers(1, 60), height=st.integers(1, 40), step=st.integers(1, 9), seed=st.integers(0, 99), deep=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_a_sampled_plane_agrees_with_plain_loops(width: int, height: int, step: int, seed: int, deep: bool) -> None:
    kind, levels = (np.uint16, 1 << 14) if deep else (np.uint8, 256)
    step = min(step, width, height)
    draws = np.random.default_rng(seed)
    pixels = draws.integers(0, levels, (height, width + 3)).astype(kind)
    pixels.flags.writeable = False
    grid = np.empty((height // step, width // step), np.uint16)
    sample(pixels, step, grid)
    slow = slow_grid(pixels[:, :width], step)
    assert grid.tolist() == slow
    means = np.empty((9, 16), np.uint8)
    block_means(grid, 63.75 / levels, -16.0, means)
    assert means.tolist() == slow_means(slow, 9, 16, scale=63.75 / levels, offset=-16.0)
    cells = np.array(slow, np.float64)
    inner = cells[1:-1, 1:-1]
    if inner.size:
        edges = cells[:-2, 1:-1] + cells[2:, 1:-1] + cells[1:-1, :-2] + cells[1:-1, 2:] - 4 * inner
        assert laplacian_variance(grid) == pytest.approx(edges.var(), rel=1e-9, abs=1e-6)
    else:
        assert laplacian_variance(grid) == 0


@pytest.mark.parametrize(
    ("size", "step"),
    [((320, 180), 1), ((640, 360), 2), ((854, 480), 2), ((1080, 1920), 3), ((1920, 1080), 6), ((8, 900), 1)],
)
def test_the_grid_is_as_coarse_as_it_may_be(size: tuple[int, int], step: int) -> None:
    assert step_for(*size, grid=(320, 180)) == step


def test_measures_of_a_video_agree_with_numpy(studio: Studio) -> None:
    picture = np.repeat(studio.texture(4)[:180, :320, 1:2], 3, axis=2)
    log = FeatureLog()
    with VideoReader(Source("clip", Kind.VIDEO, "clip", studio.encode([picture] * 2, codec="ffv1"))) as reader:
        for frame in reader.frames():
            stored = frame.planes(width=320, height=180).luma.shown.astype(np.int64)
            log.add(frame)
    features = log.features()
    edges = stored[:-2, 1:-1] + stored[2:, 1:-1] + stored[1:-1, :-2] + stored[1:-1, 2:] - 4 * stored[1:-1, 1:-1]
    np.testing.assert_allclose(features.sharpness, edges.var(), rtol=1e-5)
    fine = np.kron(picture[:, :, 0].astype(float), np.ones((3, 3)))  # 540 x 960: blocks of 20 x 20
    means = fine.reshape(27, 20, 48, 20).mean(axis=(1, 3)).ravel()
    assert np.abs(features.luma[0] - means).mean() < 3
    assert np.abs(features.chroma.astype(int) - 128).max() <= 1
    np.testing.assert_allclose(features.brightness[0], picture.mean(), atol=1.5)


def measured(picture: av.VideoFrame) -> Features:
    log = FeatureLog()
    log.add(Frame(0, 0.0, picture))
    return log.features()


PLAIN = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuvj420p", "gray"]
DEEP = ["yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv444p14le", "gray10le", "gray12le"]
CONVERTED = ["yuv444p16le", "yuv420p10be", "nv12", "nv21", "p010le", "yuyv422", "yuva420p", "gray16le", "ya8"]
COLOURS = ["rgb24", "bgr0", "rgba", "gbrp", "gbrp10le", "rgb48le"]


@pytest.mark.parametrize("size", [(192, 108), (640, 360), (1282, 722)])
@pytest.mark.parametrize("layout", PLAIN + DEEP + CONVERTED + COLOURS)
def test_every_layout_of_pixels_gives_the_same_features(studio: Studio, layout: str, size: tuple[int, int]) -> None:
    smooth = cv2.GaussianBlur(cv2.resize(studio.texture(3), size, interpolation=cv2.INTER_CUBIC), (0, 0), size[0] / 100)
    whole = av.VideoFrame.from_ndarray(np.asarray(smooth, np.uint8), format="rgb24")
    grey = layout.startswith(("gray", "ya"))
    plain = measured(whole.reformat(format="yuv444p"))
    other = measured(whole.reformat(format="gray").reformat(format=layout) if grey else whole.reformat(format=layout))
    assert np.abs(plain.luma.astype(int) - other.luma).mean() < 1.5
    assert np.abs(plain.luma.astype(int) - other.luma).max() < 9
    if grey:
        assert np.abs(other.chroma.astype(int) - 128).max() <= 1
    else:
        assert np.abs(plain.chroma.astype(int) - other.chroma).mean() < 1.5


@pytest.mark.parametrize("layout", ["yuv420p", "yuv420p10le", "nv12", "rgb24"])
def test_the_declared_range_is_heeded(layout: str) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (144, 1, 3))
    whole = av.VideoFrame.from_ndarray(ramp, format="rgb24")
    features = [measured(whole.reformat(format=layout, dst_color_range=how)) for how in (ColorRange.MPEG, ColorRange.JPEG)]
    for found in features:
        rows = found.luma.reshape(27, 48).astype(int)
        assert np.abs(rows[0] - (np.arange(48) + 0.5) * 256 / 48).max() < 6
        assert np.abs(rows - rows[0]).max() <= 1  # swscale dithers


def test_columns_of_more_than_a_block_keep_their_order() -> None:
    count = 2 * BLOCK + 7
    log = FeatureLog()
    assert log.features().frames == 0

    class Plain:
        def __init__(self, level: int) -> None:
            self.level = level

        def planes(self, *, width: int, height: int) -> Planes:
            luma = Plane(np.full((height, width), self.level, np.uint8), width, 8)
            chroma = Plane(np.full((90, 160), 255 - self.level, np.uint8), 160, 8)
            return Planes(luma, (chroma, chroma), full_range=True)

    for at in range(count):
        log.add(Plain(at % 251))  # type: ignore[arg-type]
    features = log.features()
    levels = np.arange(count) % 251
    assert (features.luma == levels[:, None]).all()
    assert (features.chroma == np.floor((127 - levels[:, None]) * 224 / 255 + 128.5)).all()
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
