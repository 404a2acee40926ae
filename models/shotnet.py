"""A small network that labels every frame of a video: the same shot, a cut, or within a dissolve, a fade or a wipe.

It never sees pictures, only how much each twelfth of a frame's thumbnail differs from the same part of frames before
and after it, which makes it blind to what is shown: what it learns on some material holds for other. Sums of products of
8-bit values stay below 2^24 and so are exact in float32, in any order, on any device (compare Souček and Lokoč, 2020,
arXiv 2008.04838, whose network looks at similarities with frames around as well).
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.features import CHROMA, LUMA

CLASSES: Final = ("none", "cut", "dissolve", "fade", "wipe")
OUTPUTS: Final = len(CLASSES) + 2  # and: the first frame of a gradual change, the first frame after one
LAGS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)  # frames
REACH: Final = 64  # the longest of them
ROWS: Final = 3  # parts of the picture, down
COLUMNS: Final = 4  # and across
PARTS: Final = ROWS * COLUMNS
MARGIN: Final = 96  # frames on both sides of a window that only give context
CORE: Final = 1024  # frames that a window labels
WINDOW: Final = CORE + 2 * MARGIN
DECIMALS: Final = 3  # probabilities are rounded to this
BAND: Final = 2e-3  # by which those of two devices may differ


def _parted(planes: Tensor, rows: int, columns: int) -> Tensor:
    """(n, t, rows x columns) to (n, PARTS, t, values of a part)."""
    count, frames = planes.shape[:2]
    grid = planes.reshape(count, frames, ROWS, rows // ROWS, COLUMNS, columns // COLUMNS)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(count, PARTS, frames, -1)


def _products(parts: Tensor) -> Tensor:
    """Return the inner products of each frame with the frame LAGS before it: (n, parts, t, lags).

    Frames before the first count as the first. t is a multiple of REACH.
    """
    count, groups, frames, size = parts.shape
    padded = torch.cat([parts[:, :, :1].expand(-1, -1, REACH, -1), parts], dim=2)
    blocks = frames // REACH
    queries = parts.reshape(count, groups, blocks, REACH, size)
    keys = padded.unfold(2, 2 * REACH, REACH)  # (n, parts, blocks, size, 2 REACH)
    gram = queries @ keys
    rows = torch.arange(REACH, device=parts.device)[:, None]
    columns = REACH + rows - torch.tensor(LAGS, device=parts.device)
    picked = torch.take_along_dim(gram, columns.expand(count, groups, blocks, -1, -1), dim=-1)
    return picked.reshape(count, groups, frames, len(LAGS))


def _lagged(values: Tensor) -> Tensor:
    """Return (n, parts, t) of the frames LAGS before, (n, parts, t, lags), the first frame standing for those before it."""
    padded = torch.cat([values[:, :, :1].expand(-1, -1, REACH), values], dim=2)
    frames = values.shape[2]
    return torch.stack([padded[:, :, REACH - lag : REACH - lag + frames] for lag in LAGS], dim=-1)


def _ahead(values: Tensor) -> Tensor:
    """Shift each lag so that a frame gets its distance to the frame that far after it."""
    columns = []
    for index, lag in enumerate(LAGS):
        column = values[..., index]
        columns.append(torch.cat([column[:, :, lag:], column[:, :, -1:].expand(-1, -1, lag)], dim=2))
    return torch.stack(columns, dim=-1)


def signals(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return what the network sees of each part: (n, PARTS, t, SIGNALS) float32, none of it learned.

    Args:
        luma: (n, t, 1296) uint8, t a multiple of REACH.
        chroma: (n, t, 288) uint8.
    """
    light = _parted(luma.float(), LUMA[1], LUMA[0])
    halves = chroma.float().chunk(2, dim=2)
    tint = torch.cat([_parted(half, CHROMA[1], CHROMA[0]) for half in halves], dim=3)
    size = light.shape[3]
    mean = light.mean(dim=3)
    power = (light * light).sum(dim=3)
    spread = (power / size - mean * mean).clamp_min(0.0).sqrt()
    product = _products(light)
    distance = ((power[..., None] - product) + (_lagged(power) - product)).clamp_min(0.0)
    before, deviation = _lagged(mean), _lagged(spread)
    covariance = product / size - mean[..., None] * before
    likeness = (covariance + 4.0) / (spread[..., None] * deviation + 4.0)
    tints = (tint * tint).sum(dim=3)
    product = _products(tint)
    shade = ((tints[..., None] - product) + (_lagged(tints) - product)).clamp_min(0.0)
    columns = torch.cat([(distance / size).sqrt() / 32, 1.0 - likeness, (shade / tint.shape[3]).sqrt() / 16], dim=3)
    lags = len(LAGS)
    ahead = torch.cat([_ahead(columns[..., at : at + lags]) for at in range(0, 3 * lags, lags)], dim=3)
    state = torch.stack([mean / 128 - 1, spread / 32 - 1, (mean < 24).float(), (mean > 231).float()], dim=3)
    return torch.cat([columns, ahead, state], dim=3).clamp(-4.0, 8.0)


SIGNALS: Final = 6 * len(LAGS) + 4


class _Block(nn.Module):
    """Look `dilation` frames back and ahead and add what follows from it."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.look = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.add = nn.Conv1d(width, width, 1)

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = values + self.add(functional.relu(self.look(functional.relu(values))))
        return out


class ShotNet(nn.Module):
    """Signals of every part through one shared layer, all parts together, then looks further and further around."""

    def __init__(
        self, *, part: int = 24, width: int = 96, dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1, 2, 4, 8)
    ) -> None:
        """Build it untrained.

        Args:
            part: channels that describe one part of the picture at one frame.
            width: channels that describe a frame.
            dilations: how far the blocks look, in frames, one after the other.
        """
        super().__init__()
        self.part = nn.Conv1d(SIGNALS, part, 3, padding=1)
        self.whole = nn.Conv1d(PARTS * part + 3 * part, width, 1)
        self.blocks = nn.ModuleList([_Block(width, dilation) for dilation in dilations])
        self.out = nn.Conv1d(width, OUTPUTS, 1)
        for block in self.blocks:
            assert isinstance(block, _Block)  # noqa: S101
            nn.init.zeros_(block.add.weight)

    def forward(self, luma: Tensor, chroma: Tensor) -> Tensor:
        """Return logits (n, t, OUTPUTS): five classes, then the two borders.

        Args:
            luma: (n, t, 1296) uint8, t a multiple of REACH.
            chroma: (n, t, 288) uint8.
        """
        with torch.no_grad():
            seen = signals(luma, chroma)
        return self.judge(seen)

    def judge(self, seen: Tensor) -> Tensor:
        """Return the logits of what `signals` returned."""
        count, parts, frames, _ = seen.shape
        each = self.part(seen.reshape(count * parts, frames, -1).transpose(1, 2))
        each = functional.relu(each).reshape(count, parts, -1, frames)
        ranked = [each.mean(dim=1), each.amax(dim=1), each.amin(dim=1)]  # wherever in the picture it is
        values = self.whole(torch.cat([each.flatten(1, 2), *ranked], dim=1))
        for block in self.blocks:
            values = block(values)
        logits: Tensor = self.out(functional.relu(values)).transpose(1, 2)
        return logits


def probabilities(logits: Tensor) -> Tensor:
    """Return (..., OUTPUTS) probabilities: the five classes sum to 1, the borders stand alone."""
    classes = len(CLASSES)
    return torch.cat([logits[..., :classes].softmax(dim=-1), logits[..., classes:].sigmoid()], dim=-1)
