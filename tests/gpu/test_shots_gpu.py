"""The networks of shots on CUDA say what they say on the CPU, within the stated band, each time and whatever is set."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

from contract.predictor import Source
from contract.tables import Kind
from models.analysis import analyse
from models.features import CHROMA_SIZE, LUMA_SIZE, Features, FeatureTable
from models.shotfinders import open_learned
from models.shotnet import BAND, CORE, MARGIN
from models.transnet import TransNet, TransNetShots
from tests.oracles import longvideos

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(params=[False, True], ids=["float32", "tf32"])
def tf32(request: pytest.FixtureRequest) -> Iterator[bool]:
    """What somebody else in the process has set."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    held = cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32 = matmul.allow_tf32 = cudnn.benchmark = request.param
    yield request.param
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark = held


def drawn(frames: int) -> Features:
    """Return features of shots of 7 to 60 frames, some of them mixed into the next, with noise."""
    draws = np.random.default_rng(11)
    rows = np.empty((frames, LUMA_SIZE + 2 * CHROMA_SIZE))
    at, before = 0, draws.uniform(20, 230, rows.shape[1])
    while at < frames:
        length, after = int(draws.integers(7, 60)), draws.uniform(20, 230, rows.shape[1])
        share = np.minimum(1.0, np.arange(1, length + 1) / int(draws.integers(1, 30)))[:, None]
        rows[at : at + length] = ((1 - share) * before + share * after)[: frames - at]
        at, before = at + length, after
    levels = np.clip(np.rint(rows + draws.normal(0, 2, rows.shape)), 0, 255).astype(np.uint8)
    return Features(levels[:, :LUMA_SIZE].copy(), levels[:, LUMA_SIZE:].copy(), np.ones(frames, np.float32))


def made() -> FeatureTable:
    data = longvideos.encode(longvideos.pictures(400, width=192, height=108))
    return analyse(Source("made", Kind.VIDEO, "made", data)).features


@pytest.mark.parametrize("frames", [1, MARGIN, 2 * CORE + 100])
def test_probabilities_are_within_the_band(frames: int, tf32: bool) -> None:
    features = drawn(frames)
    on_cpu, on_cuda = open_learned(device="cpu").scores(features), open_learned(device="cuda").scores(features)
    assert np.abs(on_cpu - on_cuda).max() <= BAND
    assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.benchmark == tf32


def test_cuda_says_the_same_each_time(tf32: bool) -> None:
    features, finder = drawn(CORE + 300), open_learned(device="cuda:0")
    assert all(np.array_equal(one, two) for one, two in pairwise([finder.scores(features) for _ in range(4)]))


def test_changes_are_those_of_the_cpu(tf32: bool) -> None:
    features = made()
    found = [open_learned(device=device).transitions(features, rate=25.0) for device in ("cpu", "cuda")]
    assert len(found[0]) >= 7
    assert found[0] == found[1]


def test_transnet_is_within_the_band(tf32: bool) -> None:
    torch.manual_seed(3)
    network = TransNet().eval()
    features = drawn(120)
    on_cpu = TransNetShots(network).scores(features)
    assert np.abs(TransNetShots(network, "cuda:0").scores(features) - on_cpu).max() <= BAND
