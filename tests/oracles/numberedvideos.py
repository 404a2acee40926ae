"""Videos whose every picture carries its own number, to be read back from whatever was made of it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS, BITS = 6, 4, 12
TICKS = 1000  # of the timestamps, a second


def numbered(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture with `number` in its lower half in bits, and in its upper half white, red, grey, ..., which is up."""
    cells = np.full((ROWS, COLUMNS, 3), 128, np.uint8)
    cells[0, 0], cells[0, 1] = (235, 235, 235), (220, 40, 40)
    bits = [number >> bit & 1 for bit in range(BITS)]
    cells[2:] = np.where(np.array(bits).reshape(2, COLUMNS, 1), 215, 40)
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    return cells[rows[:, None], columns]


def number_in(picture: NDArray[np.uint8]) -> int:
    """Return the number that `picture` carries; fails where it is not the right way up."""
    height, width = picture.shape[:2]
    middles = np.stack(
        [
            picture[height * (2 * row + 1) // (2 * ROWS), width * (2 * column + 1) // (2 * COLUMNS)]
            for row in range(ROWS)
            for column in range(COLUMNS)
        ]
    ).astype(int)
    assert middles[0].min() > 200, "white is not at the top left"
    assert middles[1, 0] > 170, "red is not beside it"
    assert middles[1, 1:].max() < 90, "red is not beside it"
    assert (np.abs(middles[2:12] - 128) < 30).all(), "the upper half is not grey"
    bits = middles[12:].mean(axis=1)
    assert ((bits > 170) | (bits < 85)).all(), "the bits are blurred"
    return int(sum(1 << at for at, bit in enumerate(bits) if bit > 128))


@dataclass(frozen=True)
class Making:
    """How a video is made; `milliseconds` are those of its frames, `size` is that of the picture as shown, unstretched."""

    container: str = "mp4"
    codec: str = "libx264"
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    writing: dict[str, str] = field(default_factory=dict)
    frames: int = 60
    milliseconds: Sequence[int] | None = None
    size: tuple[int, int] = (144, 96)
    turn: int = 0  # degrees counter-clockwise by which players turn what is stored
    aspect: Fraction | None = None

    @property
    def stamps(self) -> list[int]:
        """Milliseconds of the frames, 25 a second where none are given."""
        return list(self.milliseconds or [40 * at for at in range(self.frames)])


def make(of: Making) -> bytes:
    """Return the file; frame n carries n."""
    held = io.BytesIO()
    with av.open(held, "w", format=of.container, options=of.writing) as output:
        stream = output.add_stream(of.codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        pictures = [np.rot90(numbered(at, *of.size), -of.turn // 90) for at in range(len(of.stamps))]
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = of.pixels
        if of.codec in ("libx264", "libx265"):
            stream.options = {"crf": "16", "preset": "veryfast", "bf": "3", "g": "12", **of.options}
        else:
            stream.options = {"g": "12", **of.options}
        if of.turn:
            stream.set_display_rotation(of.turn)
        if of.aspect:
            stream.codec_context.sample_aspect_ratio = of.aspect
        stream.codec_context.time_base = Fraction(1, TICKS)
        for picture, at in zip(pictures, of.stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, TICKS)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return held.getvalue()


def cut_without_decoding(data: bytes, first: int, *, container: str = "mov") -> bytes:
    """Return the video from frame `first` on as editors cut it: from the key before, the rest hidden by an edit list."""
    held = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as video, av.open(held, "w", format=container) as output:
        source = video.streams.video[0]
        target = output.add_stream_from_template(source)
        packets = [packet for packet in video.demux(source) if packet.size]
        shown = sorted(packet.pts or 0 for packet in packets)
        key = max(at for at, p in enumerate(packets) if p.is_keyframe and (p.pts or 0) <= shown[first])
        for packet in packets[key:]:
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts, packet.dts = packet.pts - shown[first], packet.dts - shown[first]
            packet.stream = target
            output.mux(packet)
    return held.getvalue()


def decoded_numbers(data: bytes) -> list[tuple[int | None, Any]]:
    """Return (timestamp, picture as stored) of each frame by one plain pass of PyAV, in the order in which it comes."""
    with av.open(io.BytesIO(data), "r") as video:
        return [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]
