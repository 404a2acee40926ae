"""TransNet V2 with weights that a user brings (Souček and Lokoč, 2020, arXiv 2008.04838).

The layers are named as in the published PyTorch port, so that its state dictionary loads. The network sees RGB pictures of
48 x 27; here they are made from the features of a video, with luma of every pixel and colours of 16 x 9 blocks. It tells
where changes are and how long, not of which kind: one of several frames is called a dissolve.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from contract.errors import WeightsError
from models.checkpoints import refuse_foreign
from models.devices import in_full_precision, resolve
from models.features import CHROMA, LUMA, FeatureTable
from models.gradual import Transition

FILTERS: Final = 16
LEVELS: Final = 3
BLOCKS: Final = 2
HIDDEN: Final = 1024
LOOK: Final = 101  # frames among which one is compared, itself in the middle
COMPARED: Final = 128  # channels of each comparison
DILATIONS: Final = (1, 2, 4, 8)

MARGIN: Final = 25  # frames on both sides of a window that only give context
CORE: Final = 450  # frames that a window labels; the paper's windows label 50 of 100, at nearly twice the work
THRESHOLD: Final = 0.5
DECIMALS: Final = 3  # probabilities are rounded to this
CUT_FRAMES: Final = 2  # a change of at most so many frames is a cut

Scores = NDArray[np.float32]


class _Separable(nn.Module):
    """A convolution over space, then one over time with gaps."""

    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(channels, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        gaps = (dilation, 1, 1)
        time = nn.Conv3d(2 * filters, filters, (3, 1, 1), dilation=gaps, padding=(dilation, 0, 0), bias=False)
        self.layers = nn.ModuleList([space, time])

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.layers:
            values = layer(values)
        return values


class _Dilated(nn.Module):
    """Four convolutions that look differently far in time, side by side."""

    def __init__(self, channels: int, *, filters: int, last: bool) -> None:
        super().__init__()
        for dilation in DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _Separable(channels, filters, dilation))
        self.bn = nn.BatchNorm3d(len(DILATIONS) * filters, eps=1e-3)
        self._last = last

    def forward(self, values: Tensor) -> Tensor:
        looks = [self.get_submodule(f"Conv3D_{dilation}")(values) for dilation in DILATIONS]
        joined: Tensor = self.bn(torch.cat(looks, dim=1))
        return joined if self._last else functional.relu(joined)


class _Stack(nn.Module):
    """Some of them one after another, with the first one's output added to the last one's; then half the size."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        sizes = [channels] + [len(DILATIONS) * filters] * (BLOCKS - 1)
        blocks = [_Dilated(size, filters=filters, last=at == BLOCKS - 1) for at, size in enumerate(sizes)]
        self.DDCNN = nn.ModuleList(blocks)

    def forward(self, values: Tensor) -> Tensor:
        first: Tensor = self.DDCNN[0](values)
        values = first
        for block in self.DDCNN[1:]:
            values = block(values)
        return functional.avg_pool3d(functional.relu(values) + first, (1, 2, 2))


def _compared(vectors: Tensor) -> Tensor:
    """(n, t, c) of length 1 to (n, t, LOOK): how like each frame is to those around it; 0 beyond the ends."""
    reach = LOOK // 2
    likeness = functional.pad(vectors @ vectors.transpose(1, 2), (reach, reach))
    frames = vectors.shape[1]
    columns = torch.arange(frames, device=vectors.device)[:, None] + torch.arange(LOOK, device=vectors.device)
    return torch.take_along_dim(likeness, columns.expand(len(vectors), -1, -1), dim=2)


class _Likeness(nn.Module):
    """Likeness of what the stacks have made of the frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(channels, COMPARED)
        self.fc = nn.Linear(LOOK, COMPARED)

    def forward(self, stacks: Sequence[Tensor]) -> Tensor:
        means = torch.cat([each.mean(dim=(3, 4)) for each in stacks], dim=1).transpose(1, 2)
        vectors = functional.normalize(self.projection(means), dim=2)
        return functional.relu(self.fc(_compared(vectors)))


class _Colours(nn.Module):
    """Likeness of the frames' histograms of 8 x 8 x 8 colours."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(LOOK, COMPARED)

    def forward(self, pictures: Tensor) -> Tensor:
        count, frames = pictures.shape[:2]
        red, green, blue = (pictures.long() >> 5).flatten(2, 3).unbind(dim=3)
        bins = (red << 6) + (green << 3) + blue
        histograms = torch.zeros(count, frames, 512, device=pictures.device)
        histograms.scatter_add_(2, bins, torch.ones_like(bins, dtype=torch.float32))
        return functional.relu(self.fc(_compared(functional.normalize(histograms, dim=2))))


class TransNet(nn.Module):
    """The network; untrained until a state dictionary is loaded."""

    def __init__(self) -> None:
        super().__init__()
        widths = [FILTERS << level for level in range(LEVELS)]
        channels = [3] + [len(DILATIONS) * width for width in widths[:-1]]
        self.SDDCNN = nn.ModuleList([_Stack(each, width) for each, width in zip(channels, widths, strict=True)])
        self.frame_sim_layer = _Likeness(len(DILATIONS) * sum(widths))
        self.color_hist_layer = _Colours()
        rest = (LUMA[0] >> LEVELS) * (LUMA[1] >> LEVELS) * len(DILATIONS) * widths[-1]
        self.fc1 = nn.Linear(rest + 2 * COMPARED, HIDDEN)
        self.cls_layer1 = nn.Linear(HIDDEN, 1)
        self.cls_layer2 = nn.Linear(HIDDEN, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (n, t, 2): the frame is a change's middle; it belongs to a change.

        Args:
            pictures: (n, t, 27, 48, 3) uint8, RGB.
        """
        values = pictures.permute(0, 4, 1, 2, 3).float() / 255
        stacks = []
        for stack in self.SDDCNN:
            values = stack(values)
            stacks.append(values)
        flat = values.permute(0, 2, 3, 4, 1).flatten(2)
        joined = torch.cat([self.color_hist_layer(pictures), self.frame_sim_layer(stacks), flat], dim=2)
        hidden = functional.relu(self.fc1(joined))
        return torch.cat([self.cls_layer1(hidden), self.cls_layer2(hidden)], dim=2)


class TransNetShots:
    """Finds changes of shot with a loaded network; the same whatever runs beside it.

    Args:
        network: loaded.
        device: where it is: cpu, cuda or cuda:N.
    """

    def __init__(self, network: TransNet, device: str = "cpu") -> None:
        self._network = network.eval().to(device)
        self._device = device

    def transitions(self, features: FeatureTable, *, rate: float) -> list[Transition]:
        """Return every change of shot in ascending order, none overlapping."""
        return changes(self.scores(features))

    def scores(self, features: FeatureTable) -> Scores:
        """Return n x 2 probabilities of the frames, as of `TransNet.forward`; windows begin at fixed frames."""
        parts = [np.zeros((0, 2), np.float32)]
        for start, window in _windows(features):
            with torch.inference_mode(), in_full_precision(self._device):
                found = self._network(torch.from_numpy(window)[None].to(self._device)).sigmoid()[0]
            kept = found[MARGIN : MARGIN + min(CORE, features.frames - start)]
            parts.append(np.round(kept.cpu().numpy(), DECIMALS))
        return np.concatenate(parts)


def _windows(features: FeatureTable) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield each window's first labelled frame and its pictures; the video's ends are repeated."""
    for start in range(0, features.frames, CORE):
        frames = np.clip(np.arange(start - MARGIN, start + CORE + MARGIN), 0, features.frames - 1)
        yield start, pictures_of(features, frames)


def pictures_of(features: FeatureTable, frames: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return the thumbnails of `frames` as RGB, n x 27 x 48 x 3 uint8 (ITU-R BT.601)."""
    rows = features.rows(frames)
    luma = rows.luma.reshape(-1, LUMA[1], LUMA[0]).astype(np.float32)
    chroma = rows.chroma.reshape(-1, 2, CHROMA[1], CHROMA[0]).astype(np.float32)
    wide = chroma.repeat(LUMA[1] // CHROMA[1], axis=2).repeat(LUMA[0] // CHROMA[0], axis=3)
    blue, red = ((wide[:, at] - 128) * (255 / 224) for at in (0, 1))
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=3)
    pictures: NDArray[np.uint8] = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return pictures


def changes(scores: Scores) -> list[Transition]:
    """Return the changes of n x 2 probabilities.

    As the paper's own program does, a change is a run of frames whose first probability is above one half, and its last
    frame is the last of the old shot; the second probability tells how far a gradual change reaches around it.
    """
    found: list[Transition] = []
    reach = scores[:, 1] > THRESHOLD
    for first, last in _runs(scores[:, 0] > THRESHOLD):
        low, high = first, last
        while low > 0 and reach[low - 1]:
            low -= 1
        while high + 1 < len(reach) and reach[high + 1]:
            high += 1
        if last + 1 >= len(scores):
            continue  # the video ends: no shot follows
        end = min(high + 1, len(scores) - 1)
        change = Transition("cut", last + 1, last + 1) if high - low < CUT_FRAMES else Transition("dissolve", low, end)
        if not found or change.start > found[-1].end:
            found.append(change)
    return found


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last frame of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


def open_transnet(path: Path, *, device: str) -> TransNetShots:
    """Return the finder of shots whose weights lie at `path`: .safetensors, or a PyTorch state dictionary.

    Raises:
        WeightsError: they are absent, unsafe, or of another network.
        DeviceError: cuda was asked for and is absent.
    """
    network = TransNet()
    try:
        network.load_state_dict(_state(path))
    except (OSError, SafetensorError, UnpicklingError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise WeightsError(f"{path}: these are no weights of TransNet V2 ({said}); give its state dictionary") from error
    return TransNetShots(network, resolve(device))


def _state(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    refuse_foreign(path)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
