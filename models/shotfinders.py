"""What finds changes of shot in the features of a video: the bundled network, the rules, or TransNet V2.

A finder answers for whole videos; it reads them in windows that begin at fixed frames, so that its answer does not depend on
how the features came about, and its memory is a few bytes a frame beside them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from contract.errors import WeightsError
from contract.files import sha256_file
from models.devices import in_full_precision, resolve
from models.features import FeatureTable
from models.gradual import Transition
from models.shot_decoding import decode
from models.shotnet import CORE, DECIMALS, MARGIN, OUTPUTS, WINDOW, ShotNet, probabilities
from models.shots import find_transitions, is_change
from models.transnet import open_transnet

BUNDLED: Final = Path(__file__).parent / "bundled" / "shots" / "shotnet.safetensors"

Way = Literal["learned", "rules", "transnet"]


class ShotFinder(Protocol):
    """Finds changes of shot."""

    def transitions(self, features: FeatureTable, *, rate: float) -> Sequence[Transition]:
        """Return every change of shot in ascending order, none overlapping.

        Args:
            features: the whole video.
            rate: frames a second.
        """
        ...


class Rules:
    """The rules of `models.shots` and `models.gradual`: no weights, and seconds as measure."""

    def transitions(self, features: FeatureTable, *, rate: float) -> Sequence[Transition]:
        """Return what `models.shots.find_transitions` does."""
        return find_transitions(features, rate=rate)


class LearnedShots:
    """The shot network, whose every proposal is looked at once more: are there two shots on its sides?

    Its answer is the same on every run, and its probabilities within `models.shotnet.BAND` on every device.

    Args:
        network: with its weights.
        device: where it is put: cpu, cuda or cuda:N.
    """

    def __init__(self, network: ShotNet, device: str = "cpu") -> None:
        self._network = network.eval().to(device)
        self._device = device

    def transitions(self, features: FeatureTable, *, rate: float) -> Sequence[Transition]:
        """Return what the network proposes and `models.shots.is_change` confirms."""
        return [change for change in decode(self.scores(features)) if is_change(features, change, rate=rate)]

    def scores(self, features: FeatureTable) -> NDArray[np.float32]:
        """Return n x 7 probabilities of the frames, rounded, as of `models.shotnet.probabilities`."""
        scores = np.zeros((features.frames, OUTPUTS), np.float32)
        for start, luma, chroma in _windows(features):
            with torch.inference_mode(), in_full_precision(self._device):
                pair = (torch.from_numpy(part)[None].to(self._device) for part in (luma, chroma))
                found = probabilities(self._network(*pair))[0, MARGIN : MARGIN + CORE]
            kept = min(CORE, features.frames - start)
            scores[start : start + kept] = np.round(found[:kept].cpu().numpy(), DECIMALS)
        return scores


def _windows(features: FeatureTable) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield each window's first labelled frame, luma and chroma; at its ends the video goes backwards.

    A first or last frame that stood still before the video moved would look like the end of a change.
    """
    for start in range(0, features.frames, CORE):
        frames = bounced(np.arange(start - MARGIN, start - MARGIN + WINDOW), features.frames)
        rows = features.rows(frames)
        yield start, rows.luma, rows.chroma


def bounced(frames: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return frame numbers of a video of `count` frames that goes backwards at its end, and forwards again at its start."""
    if count == 1:
        return np.zeros_like(frames)
    turn = 2 * (count - 1)
    folded = np.mod(frames, turn)
    inside: NDArray[np.intp] = np.minimum(folded, turn - folded)
    return inside


def open_learned(path: Path = BUNDLED, *, device: str = "cpu") -> LearnedShots:
    """Return the finder whose network's weights lie at `path`.

    Raises:
        WeightsError: they are absent or of another network.
        DeviceError: cuda was asked for and is absent.
    """
    network = ShotNet()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{path}: these are no weights of the shot network ({said}); train or install them again"
        ) from error
    return LearnedShots(network, resolve(device))


def open_finder(way: Way, weights: Path | None, *, device: str) -> ShotFinder:
    """Return a finder.

    Args:
        way: learned, rules or transnet.
        weights: of the network; None is the bundled one, which TransNet V2 has not.
        device: cpu, cuda, cuda:N or auto.

    Raises:
        WeightsError: the weights are absent or of another network.
        DeviceError: cuda was asked for and is absent.
    """
    if way == "rules":
        return Rules()
    if way == "transnet":
        if weights is None:
            raise WeightsError("TransNet V2 comes without weights; name their file as shot_weights in models.yaml")
        return open_transnet(weights, device=device)
    return open_learned(weights or BUNDLED, device=device)


def finder_name(way: Way, weights: Path | None) -> str:
    """Return what a description says of the finder: its way, and its weights' digest.

    Raises:
        WeightsError: the weights are absent.
    """
    if way == "rules":
        return way
    path = weights or BUNDLED
    try:
        return f"{way} {sha256_file(path)[:12]}"
    except OSError as error:
        raise WeightsError(f"{path}: the weights of the shot model cannot be read ({error.strerror})") from error
