"""TransNet V2 by its published names and sizes; its comparisons against slow ones; changes out of probabilities."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file

import models.transnet
from contract.errors import WeightsError
from models.features import CHROMA_SIZE, LUMA_SIZE, Features
from models.gradual import Transition
from models.transnet import LOOK, TransNet, TransNetShots, _compared, changes, open_transnet, pictures_of


@pytest.fixture(scope="module")
def network() -> TransNet:
    torch.manual_seed(3)
    found = TransNet()
    with torch.no_grad():  # random weights alone would say nearly the same of every frame
        found.cls_layer1.weight.mul_(20)
        found.cls_layer2.weight.mul_(20)
    return found


def drawn(frames: int, seed: int = 0) -> Features:
    random = np.random.default_rng(seed)
    luma = random.integers(0, 256, (frames // 30 + 1, LUMA_SIZE), np.uint8).repeat(30, axis=0)[:frames]
    chroma = random.integers(0, 256, (frames // 30 + 1, 2 * CHROMA_SIZE), np.uint8).repeat(30, axis=0)[:frames]
    return Features(luma, chroma, np.ones(frames, np.float32))


def test_names_and_sizes_are_those_that_were_published(network: TransNet) -> None:
    state = network.state_dict()
    assert state["SDDCNN.0.DDCNN.0.Conv3D_1.layers.0.weight"].shape == (32, 3, 1, 3, 3)
    assert state["SDDCNN.1.DDCNN.0.Conv3D_8.layers.1.weight"].shape == (32, 64, 3, 1, 1)
    assert state["SDDCNN.2.DDCNN.1.Conv3D_4.layers.0.weight"].shape == (128, 256, 1, 3, 3)
    assert state["SDDCNN.2.DDCNN.1.bn.running_var"].shape == (256,)
    assert state["frame_sim_layer.projection.weight"].shape == (128, 64 + 128 + 256)
    assert state["frame_sim_layer.fc.weight"].shape == state["color_hist_layer.fc.weight"].shape == (128, 101)
    assert state["fc1.weight"].shape == (1024, 3 * 6 * 256 + 256)
    assert state["cls_layer1.weight"].shape == state["cls_layer2.weight"].shape == (1, 1024)
    assert 7.2e6 < sum(value.numel() for value in network.parameters()) < 7.7e6
    assert network.eval()(torch.zeros(2, 100, 27, 48, 3, dtype=torch.uint8)).shape == (2, 100, 2)


def test_frames_are_compared_with_those_around_them() -> None:
    vectors = torch.randn(2, 130, 5)
    found = _compared(vectors)
    reach = LOOK // 2
    for frame in (0, 1, 49, 64, 128, 129):
        for column in range(LOOK):
            other = frame + column - reach
            wanted = (vectors[:, frame] * vectors[:, other]).sum(dim=1) if 0 <= other < 130 else torch.zeros(2)
            assert torch.allclose(found[:, frame, column], wanted, atol=1e-5)


def test_pictures_have_the_colours_of_the_standard() -> None:
    luma = np.array([[0], [255], [76], [150], [29]], np.uint8).repeat(LUMA_SIZE, axis=1)  # black, white, red, green, blue
    blue = np.array([128, 128, 90, 54, 240], np.uint8)[:, None].repeat(CHROMA_SIZE, axis=1)
    red = np.array([128, 128, 240, 34, 110], np.uint8)[:, None].repeat(CHROMA_SIZE, axis=1)
    features = Features(luma, np.concatenate([blue, red], axis=1), np.ones(5, np.float32))
    shown = pictures_of(features, np.arange(5))[:, 13, 20].astype(int)
    wanted = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert np.abs(shown - np.array(wanted)).max() <= 3


def test_what_windows_say_depends_on_frames_alone(network: TransNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.transnet, "CORE", 20)
    shots = TransNetShots(network)
    features = drawn(50)
    scores = shots.scores(features)
    assert scores.shape == (50, 2)
    assert float(scores.std()) > 0.01
    part = Features(features.luma[:45], features.chroma[:45], features.sharpness[:45])
    assert np.array_equal(shots.scores(part)[:20], scores[:20])  # what follows a window does not change it
    assert shots.scores(drawn(0)).shape == (0, 2)
    assert shots.transitions(drawn(1), rate=25.0) == []


@pytest.mark.parametrize("form", ["weights.safetensors", "weights.pth"])
def test_a_users_weights_are_loaded_and_anything_else_is_refused(network: TransNet, form: str, tmp_path: Path) -> None:
    path = tmp_path / form
    write = save_file if form.endswith("safetensors") else torch.save
    write(network.state_dict(), str(path))
    loaded = open_transnet(path, device="cpu")._network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in network.state_dict().items())
    write({"fc1.weight": torch.zeros(3)}, str(path))
    with pytest.raises(WeightsError, match=r"no weights of TransNet V2"):
        open_transnet(path, device="cpu")
    path.write_bytes(b"junk")
    with pytest.raises(WeightsError):
        open_transnet(path, device="cpu")
    with pytest.raises(WeightsError):
        open_transnet(tmp_path / "absent.safetensors", device="cpu")


def scores_of(first: str, second: str) -> NDArray[np.float32]:
    return np.array([[int(a) * 0.9, int(b) * 0.9] for a, b in zip(first, second, strict=True)], np.float32)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("0000000000", "0000000000", []),
        ("0001000000", "0001000000", [Transition("cut", 4, 4)]),
        ("0001100000", "0000000000", [Transition("cut", 5, 5)]),
        ("0000100000", "0011111000", [Transition("dissolve", 2, 7)]),
        ("0001000100", "0001001110", [Transition("cut", 4, 4), Transition("dissolve", 6, 9)]),
        ("0101000000", "1111110000", [Transition("dissolve", 0, 6)]),  # one change, seen twice
        ("0000000001", "0000000001", []),
    ],
)
def test_changes_follow_the_runs(first: str, second: str, wanted: list[Transition]) -> None:
    assert changes(scores_of(first, second)) == wanted


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), max_size=40))
def test_changes_ascend_within_the_video(values: list[tuple[int, int]]) -> None:
    scores = np.array(values, np.float32).reshape(-1, 2) / np.float32(10)
    found = changes(scores)
    ends = -1
    for change in found:
        assert ends < change.start <= change.end < len(scores)
        assert (change.kind == "cut") == (change.start == change.end)
        ends = change.end
    if not (scores[:, 0] > 0.5).any():
        assert found == []
