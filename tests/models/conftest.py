"""Videos made for the tests: moving textures put together with known cuts, dissolves, fades and wipes."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


class VideoStudio:
    """Makes pictures and writes them; the same seeds give the same videos."""

    width, height = 192, 108

    def texture(self, seed: int) -> Picture:
        """Return a picture twice as wide and high as a frame: clouds of several sizes on a colour of its own."""
        draws = np.random.default_rng(seed)
        whole = np.zeros((2 * self.height, 2 * self.width, 3), np.float32)
        for cells, strength in ((4, 90.0), (12, 50.0), (40, 30.0)):
            noise = draws.uniform(-1, 1, (cells, 2 * cells, 3)).astype(np.float32)
            whole += strength * cv2.resize(noise, (2 * self.width, 2 * self.height), interpolation=cv2.INTER_CUBIC)
        return np.clip(whole + draws.uniform(70, 190, 3), 0, 255).astype(np.uint8)

    def take(self, seed: int, frames: int, *, speed: float = 0.6) -> list[Picture]:
        """Return `frames` pictures of a slow pan over the texture of `seed`."""
        whole = self.texture(seed)
        shown = []
        for at in range(frames):
            x, y = min(speed * at, self.width - 1.0), min(speed * at / 2, self.height - 1.0)
            moved = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
            frame = cv2.warpAffine(whole, moved, (self.width, self.height), flags=cv2.INTER_LINEAR)
            shown.append(np.asarray(frame, np.uint8))
        return shown

    def dissolve(self, before: list[Picture], after: list[Picture], length: int) -> tuple[list[Picture], tuple[int, int]]:
        """Lay the last `length` frames of `before` over the first of `after`; return frames and (start, end)."""
        start = len(before) - length
        mixed = []
        for at, (one, two) in enumerate(zip(before[start:], after, strict=False), start=1):
            share = at / (length + 1)
            mixed.append(np.rint((1 - share) * one.astype(np.float32) + share * two.astype(np.float32)).astype(np.uint8))
        return before[:start] + mixed + after[length:], (start, start + length)

    def wipe(self, before: list[Picture], after: list[Picture], length: int) -> tuple[list[Picture], tuple[int, int]]:
        """Let `after` enter from the left over `length` frames."""
        start = len(before) - length
        mixed = []
        for at, (one, two) in enumerate(zip(before[start:], after, strict=False), start=1):
            edge = round(self.width * at / (length + 1))
            mixed.append(np.concatenate([two[:, :edge], one[:, edge:]], axis=1))
        return before[:start] + mixed + after[length:], (start, start + length)

    def fade(
        self, before: list[Picture], after: list[Picture], length: int, *, level: int = 0
    ) -> tuple[list[Picture], tuple[int, int]]:
        """Fade `before` out over its last `length` frames to `level` and `after` in over its first."""
        shares = [at / (length + 1) for at in range(length, 0, -1)]
        flat = np.float32(level)
        out = [flat + (p.astype(np.float32) - flat) * s for p, s in zip(before[-length:], shares, strict=True)]
        into = [flat + (p.astype(np.float32) - flat) * s for p, s in zip(after, shares[::-1], strict=False)]
        blank = np.full_like(before[0], level)
        mixed = [np.rint(p).astype(np.uint8) for p in out] + [blank] + [np.rint(p).astype(np.uint8) for p in into]
        start = len(before) - length
        return before[:start] + mixed + after[length:], (start, start + len(mixed))

    def encode(
        self,
        frames: Sequence[Picture],
        *,
        rate: int = 25,
        milliseconds: Sequence[int] | None = None,
        container: str = "matroska",
        codec: str = "libx264",
        pixels: str = "yuv420p",
    ) -> bytes:
        """Return the file of `frames`, at `rate` or at the given timestamps in milliseconds."""
        held = io.BytesIO()
        with av.open(held, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate)
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = pixels
            if codec == "libx264":
                stream.options = {"crf": "12", "preset": "veryfast", "bf": "2"}
            stream.codec_context.time_base = Fraction(1, 1000)
            for at, pixels_of in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels_of, format="rgb24")
                frame.pts = milliseconds[at] if milliseconds is not None else round(1000 * at / rate)
                frame.time_base = Fraction(1, 1000)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return held.getvalue()

    def sound(self) -> bytes:
        """Return a file with half a second of silence and no picture."""
        held = io.BytesIO()
        with av.open(held, "w", format="matroska") as output:
            stream = output.add_stream("pcm_s16le", rate=8000)
            assert isinstance(stream, av.AudioStream)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return held.getvalue()


@pytest.fixture(scope="session")
def studio() -> VideoStudio:
    """Return the maker of videos."""
    return VideoStudio()


@pytest.fixture(scope="session")
def spliced_folder() -> Path:
    """Return the folder of spliced videos with known transitions, which lies beside the checkout where it is at all."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
    if not (folder / "spliced_0.mp4").exists():
        pytest.skip(f"{folder} holds no spliced videos")
    return folder
