"""Videos: every packet demuxed for its time stamp, the first and the last group of pictures decoded."""

import contextlib
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from contract.terms import Limits
from prelabel.refusal import Reason, RefusedError

# Naming the demuxer keeps FFmpeg from guessing a playlist, which could open other files.
MEDIA: Final = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/x-matroska": "matroska",
    "video/webm": "matroska",
    "video/x-msvideo": "avi",
    "video/mp2t": "mpegts",
    "video/mpeg": "mpeg",
    "video/x-flv": "flv",
    "video/x-ms-asf": "asf",
}

_GROUP_BYTES: Final = 32 << 20
_GROUP_PACKETS: Final = 300
_SLACK_S: Final = 0.5
_SLACK_SHARE: Final = 0.02


@dataclass(frozen=True)
class VideoFacts:
    """Pixels after rotation; seconds from the first picture's start to the last one's end; `fps` = frames / seconds."""

    width: int
    height: int
    duration_s: float
    fps: float
    frames: int


@dataclass
class _Group:
    """The packets from a key frame on, as many as memory allows."""

    packets: "list[Packet[Any]]" = field(default_factory=list)
    size: int = 0
    ended: bool = False

    def add(self, packet: "Packet[Any]") -> None:
        self.ended = self.ended or packet.is_corrupt  # what follows damage shows it until the next key frame
        if not self.ended and len(self.packets) < _GROUP_PACKETS and self.size + packet.size <= _GROUP_BYTES:
            self.packets.append(packet)
            self.size += packet.size


@dataclass
class _Track:
    """What the packets of the picture track said."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    latest: int | None = None
    last_duration: int = 0
    end_s: float = 0.0
    first: _Group = field(default_factory=_Group)
    last: _Group = field(default_factory=_Group)
    keys: int = 0

    def add(self, packet: "Packet[Any]") -> None:
        if packet.is_keyframe:
            self.keys += 1
            self.last = _Group()
        if self.keys <= 1:
            self.first.add(packet)
        self.last.add(packet)
        time = packet.pts if packet.pts is not None else packet.dts
        if packet.is_discard or time is None:
            return
        if self.latest is None or time > self.latest:
            self.latest, self.last_duration = time, packet.duration or 0
        self.times.append(time)


def probe_video(path: Path, media: str, *, limits: Limits) -> VideoFacts:
    """Demux the whole of the video at `path`, decode its first and last group of pictures, and measure it.

    The rate is the real average, from the pictures' own time stamps, so that a variable rate and a wrong header do no harm.

    Raises:
        RefusedError: corrupt, truncated, without pictures, or beyond `limits`.
        OSError: the file cannot be read.
    """
    with _refusals(), av.open(str(path), format=MEDIA[media], metadata_errors="replace") as container:
        stream = _pictures(container)
        _check_declared(container, stream, limits)
        track = _demux(container, stream, limits)
        if len(track.times) == 0:
            raise RefusedError(Reason.CORRUPT, "the video track holds no pictures")
        frame = _decode_group(stream, track.first)
        if track.keys > 1:
            _decode_group(stream, track.last)
        _check_end(container, track)
        return _facts(frame, track, stream)


def _pictures(container: InputContainer) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        what = "sound only" if container.streams.audio else "no picture track"
        raise RefusedError(Reason.NO_VIDEO, f"the file holds {what}; a video needs pictures")
    if streams[0].codec_context is None:  # PyAV's own type says that this cannot be, and it is so for unknown codecs
        raise RefusedError(Reason.UNSUPPORTED, "the pictures are in an unknown codec; convert the video to H.264")
    return streams[0]


def _check_declared(container: InputContainer, stream: VideoStream, limits: Limits) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > limits.max_image_pixels:
        raise RefusedError(
            Reason.OVERSIZED,
            f"frames of {width} x {height} pixels exceed limits.max_image_pixels = {limits.max_image_pixels}",
        )
    if container.duration is not None:
        _check_seconds(container.duration / av.time_base, limits)


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.max_video_seconds:
        raise RefusedError(
            Reason.OVERSIZED,
            f"the video of {seconds:.1f} s exceeds limits.max_video_seconds = {limits.max_video_seconds:g}",
        )


def _demux(container: InputContainer, stream: VideoStream, limits: Limits) -> _Track:
    track = _Track()
    start: float | None = None
    torn: set[int] = set()  # tracks whose latest packet is not whole; followed by others, it is damage in the middle
    for packet in container.demux():
        if not packet.size:
            continue
        (torn.add if packet.is_corrupt else torn.discard)(packet.stream_index)
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base:
            end = float((time + (packet.duration or 0)) * packet.time_base)
            start = end if start is None else start
            track.end_s = max(track.end_s, end)
            _check_seconds(end - start, limits)
        if packet.stream_index == stream.index:
            track.add(packet)
    if torn:
        raise RefusedError(Reason.TRUNCATED, "the video ends within a packet: the end of the file is missing")
    return track


def _decode_group(stream: VideoStream, group: _Group) -> VideoFrame:
    first: VideoFrame | None = None
    stream.codec_context.flush_buffers()
    for packet in [*group.packets, None]:
        for frame in stream.codec_context.decode(packet):
            if frame.is_corrupt:
                raise RefusedError(Reason.CORRUPT, "a picture at the video's beginning or end is damaged")
            first = first or frame
    if first is None:
        raise RefusedError(Reason.CORRUPT, "the video's beginning or end holds no picture that can be decoded")
    return first


def _check_end(container: InputContainer, track: _Track) -> None:
    """The header's duration is a promise that a cut file does not keep."""
    if container.duration is None:
        return
    declared = container.duration / av.time_base
    reached = track.end_s - (container.start_time or 0) / av.time_base
    if reached < declared - max(_SLACK_S, _SLACK_SHARE * declared):
        raise RefusedError(
            Reason.TRUNCATED, f"the video ends after {reached:.1f} s of {declared:.1f} s: the end of the file is missing"
        )


def _facts(frame: VideoFrame, track: _Track, stream: VideoStream) -> VideoFacts:
    base = stream.time_base
    if base is None:
        raise RefusedError(Reason.CORRUPT, "the video track has no time base")
    frames, first, last = len(track.times), min(track.times), max(track.times)
    rate = stream.average_rate or stream.guessed_rate
    usual = Fraction(last - first, frames - 1) if frames > 1 else (1 / (rate * base) if rate else Fraction(0))
    seconds = float((last - first + (Fraction(track.last_duration) or usual)) * base)
    if not math.isfinite(seconds) or seconds <= 0:
        raise RefusedError(Reason.CORRUPT, "the video's time stamps do not advance")
    width, height = (frame.height, frame.width) if frame.rotation % 180 else (frame.width, frame.height)
    return VideoFacts(width, height, seconds, frames / seconds, frames)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (av.error.PermissionError, av.error.FileNotFoundError) as error:
        raise RefusedError(Reason.UNREADABLE, f"the file cannot be read ({error.strerror})") from error
    except av.error.MemoryError as error:
        raise RefusedError(Reason.CORRUPT, "the video asks for more memory than there is") from error
    except (av.error.FFmpegError, OverflowError) as error:
        sentence = getattr(error, "strerror", None) or str(error)
        raise RefusedError(Reason.CORRUPT, f"the video cannot be read: {sentence}") from error
