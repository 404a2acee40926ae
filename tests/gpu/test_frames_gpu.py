"""Videos decoded by the GPU get nearly the features, and the shots, that the CPU gives them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from contract.predictor import Source
from contract.tables import Kind
from models.analysis import Reading, analyse
from models.framesgpu import analyse_on_gpu
from models.video import VideoPredictor, VideoSettings
from tests.oracles import longvideos

pytest.importorskip("torchcodec")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

FRAMES = 120


def video(tmp_path: Path) -> Source:
    path = tmp_path / "clip.mp4"
    path.write_bytes(
        longvideos.encode(longvideos.pictures(FRAMES, width=640, height=360), container="mp4", options={"bf": "2"})
    )
    return Source("clip", Kind.VIDEO, str(path))


def test_features_and_times_are_within_the_band(tmp_path: Path) -> None:
    source = video(tmp_path)
    on_cpu = analyse(source, None, Reading(loop_filter=True))
    on_gpu = analyse_on_gpu(source, "cuda:0", Reading())
    assert on_gpu.features.frames == FRAMES
    np.testing.assert_allclose(on_gpu.timeline.edges, on_cpu.timeline.edges, atol=1e-4)
    plain, found = (each.features.rows(slice(None)) for each in (on_cpu, on_gpu))
    assert np.abs(plain.luma.astype(int) - found.luma).mean() <= 2
    assert np.abs(plain.chroma.astype(int) - found.chroma).mean() <= 3


def test_shots_are_those_of_the_cpu(tmp_path: Path) -> None:
    source = video(tmp_path)
    on_gpu = VideoPredictor(settings=VideoSettings(decoder="gpu"))
    on_gpu.load("cuda")
    starts = [
        [shot["start_frame"] for shot in predictor.predict([source])["shots"].to_pylist()[0]]
        for predictor in (on_gpu, VideoPredictor())
    ]
    assert starts[0] == starts[1]
