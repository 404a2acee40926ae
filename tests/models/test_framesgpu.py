"""Features computed back from RGB against those of the planes; the decoder itself is tested with a GPU (tests/gpu)."""

import io
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace

from contract.errors import DeviceError
from contract.predictor import Source
from contract.tables import Kind
from models.analysis import Reading, analyse
from models.features import FeatureLog
from models.frames import Frame
from models.framesgpu import analyse_on_gpu, check_gpu_decoding, measured
from models.video import VideoPredictor, VideoSettings
from tests.oracles import longvideos

Studio = Any  # the class is in conftest.py, which no test can import


@pytest.mark.parametrize("size", [(192, 108), (640, 360), (1280, 720), (1080, 1918)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("space", "weights"), [(Colorspace.ITU601, (0.299, 0.114)), (Colorspace.ITU709, (0.2126, 0.0722))])
def test_features_from_rgb_are_near_those_of_the_planes(
    studio: Studio, size: tuple[int, int], full_range: bool, space: Colorspace, weights: tuple[float, float]
) -> None:
    ranged = ColorRange.JPEG if full_range else ColorRange.MPEG
    log, pictures = FeatureLog(), []
    for seed in range(3):
        texture = np.clip(cv2.resize(studio.texture(seed), size, interpolation=cv2.INTER_CUBIC), 20, 235)
        whole = av.VideoFrame.from_ndarray(np.asarray(texture, np.uint8), format="rgb24")
        stored = whole.reformat(format="yuv420p", dst_colorspace=space, dst_color_range=ranged)
        log.add(Frame(seed, 0.0, stored))
        back = stored.reformat(format="rgb24", src_colorspace=space, src_color_range=ranged, dst_color_range=ColorRange.JPEG)
        pictures.append(torch.from_numpy(back.to_ndarray()).permute(2, 0, 1))
    plain = log.features()
    found = measured(torch.stack(pictures), weights=weights, full_range=full_range)
    assert np.abs(plain.luma.astype(int) - found.luma).max() <= 4
    assert np.abs(plain.luma.astype(int) - found.luma).mean() <= 2  # swscale rounds down
    assert np.abs(plain.chroma.astype(int) - found.chroma).mean() <= 2
    np.testing.assert_allclose(found.sharpness, plain.sharpness, rtol=0.25, atol=3)


def test_a_gpu_that_is_absent_is_said_in_one_sentence() -> None:
    predictor = VideoPredictor(settings=VideoSettings(decoder="gpu"))
    assert predictor.describe() != VideoPredictor().describe()
    with pytest.raises(DeviceError, match=r"decoder: gpu was asked for and the device is 'cpu'; choose cuda"):
        predictor.load("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="0 CUDA devices are present"):
            check_gpu_decoding("cuda")


def test_pictures_to_be_turned_are_left_to_the_cpu() -> None:
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)
        for pixels in longvideos.pictures(10):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    source = Source("turned", Kind.VIDEO, "turned", held.getvalue())
    found, plain = analyse_on_gpu(source, "cuda:0", Reading()), analyse(source, None, Reading())
    assert found.features.frames == 10
    assert found.features.rows(slice(None)).equals(plain.features.rows(slice(None)))
