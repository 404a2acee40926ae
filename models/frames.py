"""Video decoding: one streaming pass in presentation order, with seconds from presentation timestamps."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import av
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from contract.errors import SourceError
from contract.predictor import Source
from models.openvideo import CONTAINERS, MOST_FRAMES_PER_S, OpenVideo, length_of, too_long, words
from models.timeline import EDGE_S, MAX_SECONDS, Clock, Gap, Timeline

__all__ = ["CONTAINERS", "EDGE_S", "MAX_SECONDS", "Frame", "Plane", "Planes", "Timeline", "VideoReader"]

# Layouts whose planes are read as they are: Y, Cb and Cr apart, or luma alone, a pixel in one or two bytes.
PLANAR: Final = re.compile(r"(yuvj?4(20|22|44|40|11|10)p|gray)((9|10|12|14)le)?")


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


class VideoReader:
    """Reads one video once, frame by frame; use as a context manager.

    A timestamp that is absent or does not ascend is replaced by the previous one plus the nominal duration of a frame.

    What is damaged is left out up to the next keyframe, which needs nothing before it, and stands in `gaps`.
    """

    def __init__(
        self, source: Source, *, threads: int = 1, max_seconds: float = MAX_SECONDS, loop_filter: bool = True
    ) -> None:
        """Open `source` from its bytes or its path.

        Args:
            source: the video.
            threads: of the decoder.
            max_seconds: longer videos are refused.
            loop_filter: whether pictures are as the encoder meant them; without, edges of blocks show, which thumbnails do
                not see, and decoding is faster by 5 to 30 %.

        Raises:
            SourceError: it cannot be opened, holds no video stream, is longer than `max_seconds`, or its pictures have more
                pixels than an image may have.
        """
        self._opened = OpenVideo(source, threads=threads, max_seconds=max_seconds, loop_filter=loop_filter)
        self._max_seconds = max_seconds
        self.clock = Clock(self._opened.step)
        self.gaps: list[Gap] = []
        self._damage = _Damage()

    def __enter__(self) -> "VideoReader":
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Release the decoder and the file."""
        self._opened.close()

    def frames(self) -> Iterator[Frame]:
        """Decode every frame in presentation order; call once.

        Raises:
            SourceError: the file is cut off, its packets cannot be read on, or there is no whole frame.
        """
        clock = self.clock
        try:
            for packet in self._opened.packets():
                for picture in self._decoded(packet):
                    time_s = clock.tick(picture.time, length_of(picture))
                    if time_s > self._max_seconds or clock.frames > self._max_seconds * MOST_FRAMES_PER_S:
                        raise SourceError(too_long(time_s, self._max_seconds))  # whatever its header declares
                    yield Frame(clock.frames - 1, time_s, picture)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"cannot be decoded after {clock.reached} ({words(error)})") from error
        if self._damage.since is not None and clock.frames:
            self.gaps.append(Gap(self._damage.since, max(clock.end, self._opened.latest_end - clock.first)))
        if not clock.frames:
            raise SourceError("the data is damaged throughout" if self._damage.found else "the video stream holds no frames")
        self._opened.check_tail(clock, self.gaps[-1].end_s if self.gaps else 0.0)

    def _decoded(self, packet: "av.Packet[Any]") -> Iterator[av.VideoFrame]:
        """Yield the pictures that `packet` completes, as far as nothing that they need is damaged."""
        damage = self._damage
        if packet.is_corrupt:
            damage.begin(self.clock)
            return
        if damage.since is not None and packet.is_keyframe:
            damage.keys.add(packet.pts)
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            damage.begin(self.clock)
            return
        for picture in pictures:
            assert isinstance(picture, av.VideoFrame)  # noqa: S101  a video stream decodes to nothing else
            if picture.is_corrupt:
                damage.begin(self.clock)
            elif damage.since is None:
                yield picture
            elif picture.key_frame and picture.pts in damage.keys:
                self.gaps.append(damage.ended(self.clock, picture.time))
                yield picture

    def timeline(self) -> Timeline:
        """Return the seconds of all frames read so far."""
        return self.clock.timeline()


class _Damage:
    """Whether pictures may lack something: from damage on until a keyframe that was stored after it is shown."""

    def __init__(self) -> None:
        self.found = False
        self.since: float | None = None  # seconds at which the last whole picture ended
        self.keys: set[int | None] = set()  # timestamps of the keyframes that came since

    def begin(self, clock: Clock) -> None:
        """Note damage in what follows the last picture."""
        self.found = True
        self.keys = set()
        if self.since is None:
            self.since = clock.end

    def ended(self, clock: Clock, shown: float | None) -> Gap:
        """Note that the picture shown at second `shown` of the stream is whole; return what was lost."""
        since = self.since or 0.0
        self.since = None
        return Gap(since, max(since, shown - clock.first) if shown is not None and clock.frames else since)
