"""Opening videos.

Only local content is opened, through a file object and a closed list of containers, because playlists and
some protocols of FFmpeg would make it open other files and addresses.
"""

from collections.abc import Iterator
from typing import Any, Final

import av
from av.stream import Disposition

from contract.errors import SourceError
from contract.predictor import UNREADABLE, Source
from models.content import open_content
from models.images import MAX_PIXELS
from models.timeline import DEFAULT_RATE, MAX_SECONDS, Clock

CONTAINERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,ogg,asf,h264,hevc,ivf,mxf,nut,gif,"
    "dv,obu,m4v"
)
MISSING_TAIL_S: Final = 1.0  # a video that ends earlier than its container declares, by more than this, is cut off
MOST_FRAMES_PER_S: Final = 240  # on the average of a whole video


class OpenVideo:
    """An open container and its first stream of pictures that is no cover."""

    def __init__(
        self, source: Source, *, threads: int = 1, max_seconds: float = MAX_SECONDS, loop_filter: bool = True
    ) -> None:
        """Open `source` from its bytes or its path.

        Raises:
            SourceError: it cannot be opened, holds no video stream, is longer than `max_seconds`, or its pictures have more
                pixels than an image may have.
        """
        if source.data is not None and not source.data:
            raise SourceError("the file is empty")
        try:
            self._file = open_content(source)
        except OSError as error:
            raise SourceError(f"{source.uri} {UNREADABLE}{error.strerror})") from error
        try:
            self.container = av.open(self._file, mode="r", options={"format_whitelist": CONTAINERS})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._file.close()
            raise SourceError(f"not a video that can be opened ({words(error)})") from error
        pictures = (s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic)
        stream = next(pictures, None)
        wrong = (
            f"holds no video stream, only {self._other_streams()}" if stream is None else self._unfit(stream, max_seconds)
        )
        if stream is None or wrong is not None:
            self.close()
            raise SourceError(wrong or "")
        self.stream = stream
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        if not loop_filter:
            stream.codec_context.options = {"skip_loop_filter": "all"}
        self.step = 1.0 / float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
        self.latest_end = 0.0  # seconds of the stream at which the latest packet so far ends

    def __enter__(self) -> "OpenVideo":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Release the decoder and the file."""
        self.container.close()
        self._file.close()

    @property
    def frames_about(self) -> float:
        """How many frames the header lets one expect, 0 where it is silent."""
        return self.stream.frames or (self.container.duration or 0) / av.time_base / self.step

    def packets(self) -> "Iterator[av.Packet[Any]]":
        """Yield the packets of the pictures as they are stored, at the end an empty one.

        Raises:
            FFmpegError: they cannot be read on.
        """
        for packet in self.container.demux(self.stream):
            if packet.pts is not None and packet.time_base is not None:
                length = float((packet.duration or 0) * packet.time_base) or self.step
                self.latest_end = max(self.latest_end, float(packet.pts * packet.time_base) + length)
            yield packet

    def check_tail(self, clock: Clock, seen_s: float = 0.0) -> None:
        """Compare the end of what was decoded, or seen as far as second `seen_s`, with what the container declares.

        Raises:
            SourceError: the file is cut off, or no time passes in it.
        """
        if clock.stands_still:
            raise SourceError("its timestamps do not advance")
        stream, declared = self.stream, 0.0
        if stream.duration is not None and stream.time_base is not None:
            declared = float(stream.duration * stream.time_base)
        elif self.container.duration is not None and len(self.container.streams) == 1:
            declared = self.container.duration / av.time_base
        ends = clock.first + max(clock.end, seen_s)  # some containers declare the end, not the length
        if declared - ends > max(MISSING_TAIL_S, 2 * self.step):
            raise SourceError(f"cut off after {clock.reached}, where {declared:.3f} s are declared")

    def _other_streams(self) -> str:
        return ", ".join(sorted({stream.type for stream in self.container.streams})) or "nothing"

    def _unfit(self, stream: av.VideoStream, max_seconds: float) -> str | None:
        """Say what of the header alone keeps anyone from decoding."""
        if stream.codec_context is None:  # PyAV's own type says that this cannot be, and it is so for unknown codecs
            return "its pictures are in an unknown codec"
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            return f"its pictures have {width} x {height} pixels, more than the limit of {MAX_PIXELS}"
        declared = (self.container.duration or 0) / av.time_base
        return too_long(declared, max_seconds) if declared > max_seconds else None


def too_long(seconds: float, limit: float) -> str:
    """Say that a video is beyond `limit` seconds."""
    return f"it lasts {seconds:.0f} s, more than the limit of {limit:.0f} s"


def length_of(picture: av.VideoFrame) -> float:
    """Return the seconds for which `picture` is shown by its own word, 0 where it has none."""
    return float(picture.duration * picture.time_base) if picture.duration and picture.time_base else 0.0


def words(error: Exception) -> str:
    """Return what FFmpeg or the system says of `error`, on one line."""
    text = error.strerror if isinstance(error, OSError | av.error.FFmpegError) else str(error)
    return " ".join(str(text or error).split())
