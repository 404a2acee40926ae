"""Features of a video of any length: the first few minutes stay in memory, what is longer lies in a file without a name.

The file is in the folder for temporary files (TMPDIR says where) and is gone with its last reader, or with the process; an
hour at 25 frames a second takes 140 MB there. Rows are read by place, so that any number of threads may, and only what is
read takes memory. Sharpness, four bytes a frame, stays in memory.
"""

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.errors import StorageError
from models.features import BLOCK, CHROMA_SIZE, LUMA_SIZE, FeatureLog, Features, FeatureTable, Rows, steps_of
from models.frames import Frame

IN_MEMORY: Final = 8 * BLOCK  # frames, five minutes: 13 MB
ROW: Final = LUMA_SIZE + 2 * CHROMA_SIZE  # bytes of the file that are one frame
NEAR: Final = 4  # rows that are read over rather than read around

Bytes = NDArray[np.uint8]


class _RowFile:
    """Rows of ROW bytes in a file without a name."""

    def __init__(self) -> None:
        try:
            file = tempfile.TemporaryFile(prefix="goldgate-")  # noqa: SIM115  lives as long as its last reader
        except OSError as error:
            raise StorageError(_unwritable(error)) from error
        self._descriptor = file.fileno()
        self._end = 0
        weakref.finalize(self, file.close)

    def append(self, features: Features) -> None:
        rows = np.concatenate([features.luma, features.chroma], axis=1)
        left = rows.reshape(-1).data
        try:
            while left:
                written = os.pwrite(self._descriptor, left, self._end)
                self._end += written
                left = left[written:]
        except OSError as error:
            raise StorageError(_unwritable(error)) from error

    def read(self, first: int, last: int) -> Bytes:
        """Return the rows [first, last)."""
        rows = np.empty((last - first, ROW), np.uint8)
        left, at = rows.reshape(-1).data, first * ROW
        while left:
            count = os.preadv(self._descriptor, [left], at)
            if not count:
                raise StorageError(f"{tempfile.gettempdir()}: a temporary file was cut off by another process")
            at += count
            left = left[count:]
        return rows


def _unwritable(error: OSError) -> str:
    folder = tempfile.gettempdir()
    return f"{folder}: features of a long video cannot be kept there ({error.strerror}); free space or set TMPDIR"


class SpooledFeatures:
    """A `models.features.FeatureTable` in a file: its columns cannot be had whole, only rows of them."""

    def __init__(self, file: _RowFile, sharpness: NDArray[np.float32]) -> None:
        self._file = file
        self._sharpness = sharpness

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self._sharpness)

    @property
    def sharpness(self) -> NDArray[np.float32]:
        """Variance of the Laplacian of each frame."""
        return self._sharpness

    @property
    def brightness(self) -> NDArray[np.float32]:
        """Mean luma of each frame, 0 to 255."""
        return np.concatenate([block.brightness for block in blocks(self)])

    @property
    def contrast(self) -> NDArray[np.float32]:
        """Standard deviation of the luma thumbnail of each frame."""
        return np.concatenate([block.contrast for block in blocks(self)])

    def rows(self, which: Rows) -> Features:
        """Read the rows `which`, in their order, which may be any and name a row more than once."""
        if isinstance(which, slice):
            first, last, stride = which.indices(self.frames)
            if stride == 1:
                return self._features(self._file.read(first, max(first, last)), self._sharpness[which])
        numbers = np.arange(self.frames)[which] if isinstance(which, slice) else np.asarray(which)
        if numbers.dtype == np.bool_:
            numbers = np.flatnonzero(numbers)
        wanted, places = np.unique(numbers.astype(np.intp), return_inverse=True)
        found = np.empty((len(wanted), ROW), np.uint8)
        ends = np.flatnonzero(np.diff(wanted) > NEAR) + 1
        for low, high in zip([0, *ends.tolist()], [*ends.tolist(), len(wanted)], strict=True):
            if high > low:
                run = wanted[low:high]
                found[low:high] = self._file.read(int(run[0]), int(run[-1]) + 1)[run - run[0]]
        return self._features(found[places.reshape(-1)], self._sharpness[numbers.astype(np.intp)])

    @staticmethod
    def _features(rows: Bytes, sharpness: NDArray[np.float32]) -> Features:
        return Features(np.ascontiguousarray(rows[:, :LUMA_SIZE]), np.ascontiguousarray(rows[:, LUMA_SIZE:]), sharpness)

    def vectors(self, which: Rows) -> NDArray[np.float32]:
        """Return luma and weighted chroma of `which` as one row each, as `Features.vectors` has them."""
        return self.rows(which).vectors(slice(None))

    def steps(self) -> NDArray[np.float32]:
        """Return the mean absolute difference of each frame's vector from the one before it; the first is 0."""
        return steps_of(self)


def blocks(features: FeatureTable, size: int = BLOCK) -> Iterator[Features]:
    """Yield all rows in order, `size` at a time; nothing yields one block of none."""
    for at in range(0, max(features.frames, 1), size):
        yield features.rows(slice(at, at + size))


class FeatureSpool:
    """Takes the features of a video as they come, frame by frame or in blocks of any length, in order."""

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        """Begin.

        Args:
            in_memory: how many frames are held before they go to a file.
        """
        self._in_memory = in_memory
        self._log = FeatureLog()
        self._held: list[Features] = []
        self._waiting = 0  # frames held
        self._file: _RowFile | None = None
        self._sharpness = array("f")

    @property
    def frames(self) -> int:
        """How many frames there were."""
        return len(self._sharpness) + self._log.frames

    def add(self, frame: Frame) -> None:
        """Measure one frame; its picture is not kept.

        Raises:
            StorageError: the file for what is longer cannot be written.
        """
        self._log.add(frame)
        if self._log.frames == BLOCK:
            self._flush()

    def append(self, features: Features) -> None:
        """Take the features of the next frames.

        Raises:
            StorageError: the file for what is longer cannot be written.
        """
        self._flush()
        if features.frames:
            self._take(features)

    def _flush(self) -> None:
        if self._log.frames:
            self._take(self._log.features())

    def _take(self, features: Features) -> None:
        self._sharpness.frombytes(features.sharpness.tobytes())
        if self._file is None:
            self._held.append(features)
            self._waiting += features.frames
            if self._waiting <= self._in_memory:
                return
            self._file = _RowFile()
            held, self._held = self._held, []
            for block in held:
                self._file.append(block)
        else:
            self._file.append(features)

    def features(self) -> FeatureTable:
        """Hand over what has been taken; the spool must not be used afterwards.

        Raises:
            StorageError: the file for what is longer cannot be written.
        """
        self._flush()
        sharpness = np.array(self._sharpness, np.float32)
        if self._file is not None:
            return SpooledFeatures(self._file, sharpness)
        held = [Features.none(), *self._held]
        luma, chroma = np.concatenate([each.luma for each in held]), np.concatenate([each.chroma for each in held])
        return Features(luma, chroma, sharpness)
