"""Video decoding: one streaming pass in presentation order, with seconds from presentation timestamps.

Only local content is opened, through a file object and a closed list of containers, because playlists and
some protocols of FFmpeg would make it open other files and addresses.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from contract.errors import SourceError
from contract.predictor import Source
from models.content import local_path
from models.images import MAX_PIXELS

CONTAINERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,asf,h264,hevc,ivf,mxf,nut,gif,"
    "dv,obu,m4v"
)
# Layouts whose planes are read as they are: Y, Cb and Cr apart, or luma alone, a pixel in one or two bytes.
PLANAR: Final = re.compile(r"(yuvj?4(20|22|44|40|11|10)p|gray)((9|10|12|14)le)?")
DEFAULT_RATE: Final = 25.0  # frames a second where neither timestamps nor the container tell
MISSING_TAIL_S: Final = 1.0  # a video that ends earlier than its container declares, by more than this, is cut off
MAX_SECONDS: Final = 86_400.0
_MOST_FRAMES_PER_S: Final = 240  # on the average of a whole video
EDGE_S: Final = 1e-6  # seconds this near to a frame's edge are that edge


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of a picture: `pixels` is the decoder's buffer, rows x at least `width`, uint8 or uint16 of `bits` bits."""

    pixels: NDArray[Any]
    width: int
    bits: int

    @property
    def shown(self) -> NDArray[Any]:
        """The part of the buffer that is the picture."""
        return self.pixels[:, : self.width]


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of one picture: luma, then Cb and Cr or nothing; luma runs from 0 to 255, or from 16 to 235 of 8 bits."""

    luma: Plane
    chroma: tuple[Plane, ...]
    full_range: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame: its number from 0, its seconds since the first presented frame, and the picture."""

    index: int
    time_s: float
    picture: av.VideoFrame

    def planes(self, *, width: int, height: int) -> Planes:
        """Return the picture as stored (not rotated).

        Planar pictures are views of the decoder's buffers at full size; any other is converted by swscale to 8-bit 4:2:0
        at `width` x `height`.
        """
        picture, name = self.picture, self.picture.format.name
        full = name.startswith(("yuvj", "gray")) or picture.color_range == ColorRange.JPEG
        if PLANAR.fullmatch(name) is None or any(plane.line_size <= 0 for plane in picture.planes):
            picture = picture.reformat(width=width, height=height, format="yuv420p", dst_color_range=ColorRange.MPEG)
            full = False
        luma, *chroma = (_view(plane, picture.format.components[0].bits) for plane in picture.planes)
        return Planes(luma, tuple(chroma), full)

    def rgb(self, *, longest: int) -> NDArray[np.uint8]:
        """Return the upright picture as H x W x 3, shrunk so that neither side is beyond `longest`."""
        scale = min(1.0, longest / max(self.picture.width, self.picture.height))
        width, height = max(1, round(self.picture.width * scale)), max(1, round(self.picture.height * scale))
        stored = self.picture.reformat(width=width, height=height, format="rgb24").to_ndarray()
        quarter_turns = round(self.picture.rotation / 90) % 4  # counter-clockwise, as np.rot90 counts
        return np.ascontiguousarray(np.rot90(stored, quarter_turns), dtype=np.uint8)


def _view(plane: av.video.plane.VideoPlane, bits: int) -> Plane:
    kind = np.dtype(np.uint8 if bits <= 8 else np.uint16)
    pixels = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    return Plane(pixels, plane.width, bits)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Frame number <-> seconds: `edges` holds n + 1 ascending float64 values; frame i shows in [edges[i], edges[i + 1])."""

    edges: NDArray[np.float64]

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.edges) - 1

    @property
    def starts(self) -> NDArray[np.float64]:
        """Seconds at which each frame appears."""
        return self.edges[:-1]

    @property
    def rate(self) -> float:
        """Frames a second in the middle of the video's distribution, between 1 and 240."""
        return float(np.clip(1.0 / np.median(np.diff(self.edges)), 1.0, 240.0)) if self.frames else DEFAULT_RATE

    def seconds(self, frame: int) -> float:
        """Return when `frame` appears; the number of frames gives the end of the video."""
        return float(self.edges[frame])

    def frame_at(self, seconds: float) -> int:
        """Return the frame on show at `seconds`, the nearest end where that is outside the video."""
        found = int(np.searchsorted(self.edges, seconds + EDGE_S, side="right")) - 1
        return min(max(found, 0), self.frames - 1)

    def first_from(self, seconds: float) -> int:
        """Return the first frame edge at or after `seconds`: the exclusive end of what ends then, at most `frames`."""
        return min(int(np.searchsorted(self.edges, seconds - EDGE_S, side="left")), self.frames)


class VideoReader:
    """Reads one video once, frame by frame; use as a context manager.

    A timestamp that is absent or does not ascend is replaced by the previous one plus the nominal duration of a frame.
    """

    def __init__(self, source: Source, *, threads: int = 1, max_seconds: float = MAX_SECONDS) -> None:
        """Open `source` from its bytes or its path.

        Raises:
            SourceError: it cannot be opened, holds no video stream, is longer than `max_seconds`, or its pictures have more
                pixels than an image may have.
        """
        self._max_seconds = max_seconds
        self._times: list[float] = []
        self._first = 0.0
        self._last_duration = 0.0
        if source.data is not None and not source.data:
            raise SourceError("the file is empty")
        try:
            self._file = io.BytesIO(source.data) if source.data is not None else local_path(source.uri).open("rb")
        except OSError as error:
            raise SourceError(f"{source.uri} cannot be read ({error.strerror})") from error
        try:
            self._container = av.open(self._file, mode="r", options={"format_whitelist": CONTAINERS})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._file.close()
            raise SourceError(f"not a video that can be opened ({_words(error)})") from error
        pictures = (s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic)
        stream = next(pictures, None)
        if stream is None:
            others = self._other_streams()
            self.close()
            raise SourceError(f"holds no video stream, only {others}")
        self._stream = stream
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        self._step = 1.0 / float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
        too_much = self._too_much()
        if too_much is not None:
            self.close()
            raise SourceError(too_much)

    def __enter__(self) -> "VideoReader":
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Release the decoder and the file."""
        self._container.close()
        self._file.close()

    def _other_streams(self) -> str:
        return ", ".join(sorted({stream.type for stream in self._container.streams})) or "nothing"

    def _too_much(self) -> str | None:
        """Say what is too much for anyone to decode, by the header alone."""
        width, height = self._stream.codec_context.width, self._stream.codec_context.height
        if width * height > MAX_PIXELS:
            return f"its pictures have {width} x {height} pixels, more than the limit of {MAX_PIXELS}"
        declared = (self._container.duration or 0) / av.time_base
        return self._too_long(declared) if declared > self._max_seconds else None

    def _too_long(self, seconds: float) -> str:
        return f"it lasts {seconds:.0f} s, more than the limit of {self._max_seconds:.0f} s"

    def frames(self) -> Iterator[Frame]:
        """Decode every frame in presentation order; call once.

        Raises:
            SourceError: decoding failed, the data is damaged or cut off, or there is no frame; the message names the time.
        """
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    raise SourceError(f"the data is damaged after {self._reached()}")
                for picture in packet.decode():
                    assert isinstance(picture, av.VideoFrame)  # noqa: S101  a video stream decodes to nothing else
                    if picture.is_corrupt:
                        raise SourceError(f"the picture is damaged after {self._reached()}")
                    time_s = self._tick(picture)
                    if time_s > self._max_seconds or len(self._times) > self._max_seconds * _MOST_FRAMES_PER_S:
                        raise SourceError(self._too_long(time_s))  # whatever its header declares
                    yield Frame(len(self._times) - 1, time_s, picture)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"cannot be decoded after {self._reached()} ({_words(error)})") from error
        if not self._times:
            raise SourceError("the video stream holds no frames")
        self._check_tail()

    def _tick(self, picture: av.VideoFrame) -> float:
        shown = picture.time
        if not self._times:
            self._first = shown or 0.0
            self._times.append(0.0)
        elif shown is not None and shown - self._first > self._times[-1]:
            self._times.append(shown - self._first)
        else:
            self._times.append(self._times[-1] + self._step)
        duration = float(picture.duration * picture.time_base) if picture.duration and picture.time_base else 0.0
        self._last_duration = duration if duration > 0 else self._step
        return self._times[-1]

    def _reached(self) -> str:
        return f"{self._times[-1]:.3f} s (frame {len(self._times) - 1})" if self._times else "no frame"

    def _check_tail(self) -> None:
        stream, declared = self._stream, 0.0
        if stream.duration is not None and stream.time_base is not None:
            declared = float(stream.duration * stream.time_base)
        elif self._container.duration is not None and len(self._container.streams) == 1:
            declared = self._container.duration / av.time_base
        ends = self._first + self._times[-1] + self._last_duration  # some containers declare the end, not the length
        if declared - ends > max(MISSING_TAIL_S, 2 * self._step):
            raise SourceError(f"cut off after {self._reached()}, where {declared:.3f} s are declared")

    def timeline(self) -> Timeline:
        """Return the seconds of all frames read so far."""
        ends = self._times[-1] + self._last_duration if self._times else 0.0
        return Timeline(np.array([*self._times, ends], np.float64))


def _words(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError | av.error.FFmpegError) else str(error)
    return " ".join(str(text or error).split())
