"""The loudness of a video's sound in short windows, in one streaming pass that holds a packet at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from contract.errors import SourceError
from contract.predictor import Source
from models.content import open_content
from models.frames import CONTAINERS, MAX_SECONDS

WINDOW_S: Final = 0.02  # seconds over which power is averaged
_BLOCK: Final = 1 << 14  # windows for which memory is taken at a time
_UNHEARD: Final = np.float32(np.inf)  # the power of what is damaged: nobody knows that it is silent


@dataclass(frozen=True, slots=True)
class Sound:
    """Mean power of n windows of `WINDOW_S` from the first frame of the video on, all channels together.

    1 is a square wave at full scale, 0 also where the stream holds nothing; infinite where it is damaged.
    """

    power: NDArray[np.float32]

    def below(self, dbfs: float) -> NDArray[np.bool_]:
        """Tell which windows stay under a level in dB of full scale (RMS)."""
        quiet: NDArray[np.bool_] = self.power < 10.0 ** (dbfs / 10.0)
        return quiet


class _Windows:
    """Sums power and counts samples window by window."""

    def __init__(self) -> None:
        self._power = np.zeros(_BLOCK, np.float32)
        self._sums: dict[int, tuple[float, int]] = {}
        self._length = 0

    def add(self, start_s: float, rate: int, power: NDArray[np.float64]) -> None:
        """Take the power of consecutive samples, the first at `start_s`; what is before 0 is not heard."""
        windows = np.floor((start_s + (np.arange(len(power)) + 0.5) / rate) / WINDOW_S).astype(np.int64)
        heard = (windows >= 0) & (windows < MAX_SECONDS / WINDOW_S)
        if not heard.any():
            return
        first = int(windows[heard][0])
        sums = np.bincount(windows[heard] - first, power[heard])
        counts = np.bincount(windows[heard] - first)
        for at in np.flatnonzero(counts).tolist():
            before, seen = self._sums.get(first + at, (0.0, 0))
            self._sums[first + at] = (before + float(sums[at]), seen + int(counts[at]))
        self._settle(first)

    def damaged(self, start_s: float, end_s: float) -> None:
        """Take that nobody knows what is heard from `start_s` to `end_s`."""
        first, last = max(0, int(start_s / WINDOW_S)), int(np.ceil(end_s / WINDOW_S))
        for at in range(first, min(last, int(MAX_SECONDS / WINDOW_S))):
            self._sums[at] = (float(_UNHEARD), 1)

    def _settle(self, before: int) -> None:
        """Write out the windows that no later sample falls into."""
        for at in [at for at in self._sums if at < before]:
            self._write(at, *self._sums.pop(at))

    def _write(self, at: int, total: float, count: int) -> None:
        if at >= len(self._power):
            grown = np.zeros(max(2 * len(self._power), at + 1), np.float32)
            grown[: len(self._power)] = self._power
            self._power = grown
        self._power[at] = total / count
        self._length = max(self._length, at + 1)

    def sound(self, seconds: float) -> Sound:
        """Return the windows of the first `seconds`, with nothing where nothing was."""
        for at in sorted(self._sums):
            self._write(at, *self._sums[at])
        count = int(np.ceil(seconds / WINDOW_S - 1e-9))
        power = np.zeros(count, np.float32)
        power[: min(count, self._length)] = self._power[: min(count, self._length)]
        return Sound(power)


def listen(source: Source, *, origin_s: float, seconds: float) -> Sound | None:
    """Return the loudness of the first audio stream of `source`; None where it has none.

    Args:
        source: the video, which has been decoded before.
        origin_s: timestamp of its first frame in the file, from which windows count.
        seconds: how long its pictures last.

    Raises:
        SourceError: the sound is of a kind that cannot be decoded.
    """
    file = open_content(source)
    with file, av.open(file, mode="r", options={"format_whitelist": CONTAINERS}) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return None
        windows = _Windows()
        try:
            for start_s, rate, power in _heard(container, stream, windows, origin_s):
                windows.add(start_s, rate, power)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"its sound cannot be decoded ({' '.join(str(error).split())})") from error
        return windows.sound(seconds)


def _heard(
    container: av.container.InputContainer, stream: av.AudioStream, windows: _Windows, origin_s: float
) -> Iterator[tuple[float, int, NDArray[np.float64]]]:
    """Yield seconds, rate and the power of each sample, frame by frame."""
    after = 0.0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            base = float(packet.time_base or 0)
            start = packet.pts * base - origin_s if packet.pts is not None else after
            windows.damaged(start, start + max((packet.duration or 0) * base, WINDOW_S))
            continue
        for frame in frames:
            start = frame.time - origin_s if frame.time is not None else after
            after = start + frame.samples / frame.sample_rate
            yield start, frame.sample_rate, _power(frame)


def _power(frame: av.AudioFrame) -> NDArray[np.float64]:
    """Return the mean square over the channels of each sample, 1 at full scale."""
    held = frame.to_ndarray()
    if not frame.format.is_planar:
        held = held.reshape(-1, frame.layout.nb_channels).T
    values = held.astype(np.float64)
    if held.dtype.kind == "u":
        values = (values - 128.0) / 128.0
    elif held.dtype.kind == "i":
        values /= float(2 ** (8 * held.dtype.itemsize - 1))
    means: NDArray[np.float64] = np.square(values).mean(axis=0)
    return means
