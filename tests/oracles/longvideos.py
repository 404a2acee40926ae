"""Videos of many groups of pictures, encoded in the ways that make it hard to begin in their middle."""

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


def pictures(count: int, *, width: int = 64, height: int = 48, seed: int = 0) -> list[Picture]:
    """Return moving clouds with a number of its own in every picture, and a cut every 41 pictures."""
    draws = np.random.default_rng(seed)
    shown = []
    for at in range(count):
        if at % 41 == 0:
            clouds = draws.uniform(0, 255, (6, 8, 3)).astype(np.float32)
            whole = cv2.resize(clouds, (3 * width, 3 * height), interpolation=cv2.INTER_CUBIC)
        x, y = at % 41, at % 23
        picture = np.clip(whole[y : y + height, x : x + width], 0, 255).astype(np.uint8)
        picture[:8, :8] = at * 5 % 256
        shown.append(picture)
    return shown


def animation(shown: Sequence[Picture], form: str) -> bytes:
    """Return the file of an animated picture (GIF, WEBP or PNG), 25 a second."""
    held = io.BytesIO()
    first, *others = [Image.fromarray(picture) for picture in shown]
    first.save(held, form, save_all=True, append_images=others, duration=40)
    return held.getvalue()


def still(picture: Picture, form: str) -> bytes:
    """Return the file of one picture."""
    held = io.BytesIO()
    Image.fromarray(picture).save(held, form)
    return held.getvalue()


def encode(
    frames: Sequence[Picture],
    *,
    container: str = "matroska",
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    start: int = 0,
    stamps: Sequence[int] | None = None,
    rate: int = 25,
) -> bytes:
    """Return the file of `frames`: 1000 / `rate` milliseconds apart from `start` on, or at `stamps` milliseconds."""
    held = io.BytesIO()
    with av.open(held, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {**({"preset": "veryfast"} if codec == "libx264" else {}), **(options or {})}
        base = Fraction(1, rate) if codec == "mpeg2video" else Fraction(1, 1000)  # MPEG-2 has a few rates of its own
        stream.codec_context.time_base = base
        for at, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            milliseconds = start + (stamps[at] if stamps is not None else round(1000 * at / rate))
            frame.pts, frame.time_base = round(Fraction(milliseconds, 1000) / base), base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return held.getvalue()
