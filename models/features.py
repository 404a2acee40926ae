"""What is measured of every frame of a video: a thumbnail and a few figures, less than 2 KB a frame."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.frames import Frame, Plane
from models.sampling import SAMPLES, Grid, block_means, laplacian_variance, sample, step_for

ANALYSIS: Final = (320, 180)  # width, height of the grid on which luma is measured, or up to twice that
CHROMA_GRID: Final = (80, 45)  # the same for each chroma plane
LUMA: Final = (48, 27)  # width, height of the luma thumbnail
CHROMA: Final = (16, 9)  # width, height of each chroma thumbnail
LUMA_SIZE: Final = LUMA[0] * LUMA[1]
CHROMA_SIZE: Final = CHROMA[0] * CHROMA[1]
GREY: Final = 128  # both chroma values of a picture without colour
BLOCK: Final = 1024  # frames for which memory is taken at a time

# Luma is kept in full range and chroma in the studio's (ITU-R BT.601 and BT.709, 8 bits: 16 to 235, and 16 to 240).
_LUMA_GAIN: Final = 255.0 / 219.0
_LUMA_LIFT: Final = -16.0 * _LUMA_GAIN
_CHROMA_GAIN: Final = 224.0 / 255.0
_CHROMA_LIFT: Final = 128.0 - 128.0 * _CHROMA_GAIN

Rows = slice | NDArray[np.intp] | NDArray[np.bool_] | list[int]  # by number from 0, or by one flag a row


class FeatureTable(Protocol):
    """Features of the n frames of one video, in memory (`Features`) or in a file (`models.spool.SpooledFeatures`).

    Whoever reads all of a long video does so in blocks of rows: nothing here but a few figures a frame is ever held whole.
    """

    @property
    def frames(self) -> int:
        """How many frames there are."""
        ...

    @property
    def sharpness(self) -> NDArray[np.float32]:
        """Variance of the Laplacian of each frame."""
        ...

    @property
    def brightness(self) -> NDArray[np.float32]:
        """Mean luma of each frame, 0 to 255."""
        ...

    @property
    def contrast(self) -> NDArray[np.float32]:
        """Standard deviation of the luma thumbnail of each frame."""
        ...

    def rows(self, which: Rows) -> "Features":
        """Return the rows `which`, in their order, in memory."""
        ...

    def vectors(self, which: Rows) -> NDArray[np.float32]:
        """Return luma and weighted chroma of `which` as one row each, as `Features.vectors` has them."""
        ...

    def steps(self) -> NDArray[np.float32]:
        """Return the mean absolute difference of each frame's vector from the one before it; the first is 0."""
        ...


@dataclass(frozen=True, slots=True)
class Features:
    """Columns over the n frames of one video.

    `luma` is n x 1296 (27 rows of 48 block means, full range) and `chroma` n x 288 (9 x 16 block means of Cb, then of
    Cr, studio range), both uint8. `sharpness` is the variance of the Laplacian at 320 x 180 or up to twice that
    (Pech-Pacheco et al., 2000), in 8-bit levels as stored.
    """

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    sharpness: NDArray[np.float32]

    @classmethod
    def none(cls) -> "Features":
        """Return those of no frames."""
        return cls(np.empty((0, LUMA_SIZE), np.uint8), np.empty((0, 2 * CHROMA_SIZE), np.uint8), np.empty(0, np.float32))

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.sharpness)

    def rows(self, which: Rows) -> "Features":
        """Return the rows `which`: of a slice views, else copies."""
        return Features(self.luma[which], self.chroma[which], self.sharpness[which])

    def equals(self, other: "Features") -> bool:
        """Tell whether all rows agree, byte for byte."""
        pairs = ((self.luma, other.luma), (self.chroma, other.chroma), (self.sharpness, other.sharpness))
        return all(np.array_equal(one, two) for one, two in pairs)

    @property
    def brightness(self) -> NDArray[np.float32]:
        """Mean luma of each frame, 0 to 255."""
        means: NDArray[np.float32] = self.luma.mean(axis=1, dtype=np.float32)
        return means

    @property
    def contrast(self) -> NDArray[np.float32]:
        """Standard deviation of the luma thumbnail of each frame, in one pass of bounded memory."""
        parts = [self.luma[at : at + 1024].std(axis=1, dtype=np.float32) for at in range(0, self.frames, 1024)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def vectors(self, which: Rows) -> NDArray[np.float32]:
        """Return luma and chroma of `which` as one float32 row each, the space in which pictures are compared.

        Chroma is weighted so that its 288 values count about a third as much as the 1296 of luma.
        """
        return np.concatenate([self.luma[which].astype(np.float32), 1.5 * self.chroma[which].astype(np.float32)], axis=1)

    def coarse(self) -> NDArray[np.float32]:
        """Return luma as 9 x 16 block means, float32, n x 144."""
        blocks = self.luma.reshape(-1, CHROMA[1], LUMA[1] // CHROMA[1], CHROMA[0], LUMA[0] // CHROMA[0])
        means: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(-1, CHROMA_SIZE)
        return means

    def steps(self) -> NDArray[np.float32]:
        """Return the mean absolute difference of each frame's vector from the one before it; the first is 0."""
        return steps_of(self)


def steps_of(features: FeatureTable) -> NDArray[np.float32]:
    """Return what `FeatureTable.steps` does, reading a block of rows at a time."""
    steps = np.zeros(features.frames, np.float32)
    for at in range(1, features.frames, 512):
        block = features.vectors(slice(at - 1, min(at + 512, features.frames)))
        steps[at : at + 512] = np.abs(np.diff(block, axis=0)).mean(axis=1)
    return steps


class FeatureLog:
    """Collects features frame by frame while a video is decoded, in blocks so that memory stays near what is kept."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.uint8]] = []
        self._sharpness: list[float] = []
        self._grids: dict[tuple[int, int], Grid] = {}  # room to work in, by shape

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return len(self._sharpness)

    def add(self, frame: Frame) -> None:
        """Measure one frame; its picture is not kept."""
        planes = frame.planes(width=ANALYSIS[0], height=ANALYSIS[1])
        at = len(self._sharpness) % BLOCK
        if at == 0:
            self._blocks.append(np.empty((BLOCK, LUMA_SIZE + 2 * CHROMA_SIZE), np.uint8))
        row = self._blocks[-1][at]
        unit = 1.0 / (SAMPLES << planes.luma.bits - 8)  # of a cell in 8-bit levels
        gain, lift = (1.0, 0.0) if planes.full_range else (_LUMA_GAIN, _LUMA_LIFT)
        grid = self._sampled(planes.luma, ANALYSIS)
        block_means(grid, unit * gain, lift, row[:LUMA_SIZE].reshape(LUMA[1], LUMA[0]))
        self._sharpness.append(laplacian_variance(grid) * unit * unit)
        means = row[LUMA_SIZE:].reshape(2, CHROMA[1], CHROMA[0])
        means[len(planes.chroma) :] = GREY
        gain, lift = (_CHROMA_GAIN, _CHROMA_LIFT) if planes.full_range else (1.0, 0.0)
        for plane, part in zip(planes.chroma, means, strict=False):
            block_means(self._sampled(plane, CHROMA_GRID), unit * gain, lift, part)

    def _sampled(self, plane: Plane, least: tuple[int, int]) -> Grid:
        height = len(plane.pixels)
        step = step_for(plane.width, height, grid=least)
        shape = (height // step, plane.width // step)
        grid = self._grids.get(shape)
        if grid is None:
            grid = self._grids[shape] = np.empty(shape, np.uint16)
        sample(plane.pixels, step, grid)
        return grid

    def features(self) -> Features:
        """Hand over what has been measured; the log is empty afterwards."""
        sharpness = np.array(self._sharpness, np.float32)
        count = len(sharpness)
        whole = Features(np.empty((count, LUMA_SIZE), np.uint8), np.empty((count, 2 * CHROMA_SIZE), np.uint8), sharpness)
        for at in range(count // BLOCK * BLOCK, -1, -BLOCK):
            if at < count:
                block = self._blocks.pop()[: count - at]
                whole.luma[at : at + BLOCK], whole.chroma[at : at + BLOCK] = block[:, :LUMA_SIZE], block[:, LUMA_SIZE:]
        self._sharpness = []
        return whole
