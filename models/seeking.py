"""Exactly the stated frames of a video: what lies between two of its keyframes is decoded once at most, and only for them.

What counts as frame n and as second t is what one pass of decoding from the start gives (models/frames.py). Here the same
comes from the timestamps of the packets, where these tell it beyond doubt; where they do not, the video is decoded from its
start.
"""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.stream import Disposition

from contract.errors import SourceError
from contract.predictor import Source
from models.content import open_content
from models.frames import CONTAINERS, EDGE_S, Timeline, VideoReader
from models.keypackets import begins_exactly

if TYPE_CHECKING:  # generic for type checkers alone
    VideoPacket = av.Packet[av.VideoStream]


_TRIES: Final = 3  # earlier places to seek to before the video is read from its start


@dataclass(frozen=True, slots=True)
class Place:
    """A frame as labels state it: its number from 0 and its seconds since the first frame.

    Where the two are more than half a frame apart, it is the frame on show at the seconds.
    """

    frame: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """The frame on show at a place; `picture` is as stored, neither turned nor stretched.

    `pts` is in units of `time_base` seconds and None where the file gives the frame no timestamp; `aspect` is the width of
    a stored pixel over its height.
    """

    place: Place
    frame: int
    time_s: float
    pts: int | None
    time_base: Fraction
    aspect: Fraction
    picture: av.VideoFrame


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """Timestamps of a video's frames in the order in which they are shown, and those at which decoding can begin."""

    pts: tuple[int, ...]
    keys: tuple[int, ...]  # ascending; from each on, what is shown later needs nothing that was stored before
    starts: tuple[int, ...]  # of each of `keys` its decoding timestamp, or its own where that is later or absent
    timeline: Timeline

    def key_before(self, pts: int) -> int:
        """Return the number of the last key at or before `pts`; -1 where decoding must begin with the file."""
        return bisect.bisect_right(self.keys, pts) - 1


def find_frames(source: Source, places: Sequence[Place], *, threads: int = 1) -> Iterator[Found]:
    """Yield the frame at each of `places`, in ascending order, equal places once.

    Raises:
        SourceError: the video cannot be opened or decoded as far as that, or a place is beyond its end.
    """
    if not places:
        return
    with VideoReader(source, threads=threads):
        pass  # says what is wrong with a file that is none
    left = set(places)
    with _Opened(source, threads) as video:
        index = read_packets(video)
        if index is not None and all(_agrees(index.timeline, place) for place in left):
            for found in _sought(video, index, left):
                left.discard(found.place)
                yield found
    if left:
        yield from _read_through(source, left, threads)


def _agrees(timeline: Timeline, place: Place) -> bool:
    if not 0 <= place.frame < timeline.frames:
        return False
    start, end = timeline.edges[place.frame], timeline.edges[place.frame + 1]
    return bool(abs(start - place.time_s) <= (end - start) / 2 + EDGE_S)


def _by_number(timeline: Timeline, places: Iterable[Place]) -> dict[int, list[Place]]:
    """Return number of a frame, ascending -> the places that mean it."""
    end = timeline.seconds(timeline.frames)
    meant: dict[int, list[Place]] = {}
    for place in sorted(places, key=lambda place: (place.time_s, place.frame)):
        agrees = _agrees(timeline, place)
        if not agrees and place.time_s >= end - EDGE_S:
            raise SourceError(f"{place.time_s:.3f} s (frame {place.frame}) is beyond the end of the video at {end:.3f} s")
        meant.setdefault(place.frame if agrees else timeline.frame_at(place.time_s), []).append(place)
    return dict(sorted(meant.items()))


class _Opened:
    """An open container and its pictures' stream, which can be opened again from its start."""

    def __init__(self, source: Source, threads: int) -> None:
        self._source, self._threads = source, threads
        self._open()

    def _open(self) -> None:
        source = self._source
        self._file = open_content(source)
        self.container = av.open(self._file, mode="r", options={"format_whitelist": CONTAINERS})
        pictures = (s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic)
        self.stream = next(pictures)
        self.stream.codec_context.thread_count = self._threads
        self.stream.thread_type = "AUTO"

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
        self._file.close()

    def packets(self) -> "Iterator[VideoPacket]":
        """Yield the packets from here on, at the end an empty one."""
        return self.container.demux(self.stream)

    def rewind(self) -> None:
        """Go back to the first packet, as if nothing had been read."""
        self.container.close()
        self._file.close()
        self._open()


def read_packets(video: _Opened) -> PacketIndex | None:
    """Read all packets without decoding; None where their timestamps do not tell which frame is which."""
    shown: list[tuple[int, int]] = []
    keys: list[tuple[int, int]] = []
    try:
        for packet in video.packets():
            if not packet.size:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            if packet.is_keyframe and begins_exactly(packet, video.stream.codec_context):
                keys.append((packet.pts, packet.pts if packet.dts is None else min(packet.pts, packet.dts)))
            if not packet.is_discard:
                shown.append((packet.pts, packet.duration or 0))
        video.rewind()
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    shown.sort()
    pts = tuple(at for at, _ in shown)
    base = video.stream.time_base
    if not pts or base is None or any(one == two for one, two in itertools.pairwise(pts)):
        return None
    if any(one[0] >= two[0] for one, two in itertools.pairwise(keys)):
        return None  # keys that are not shown in the order in which they are stored
    step = 1.0 / float(video.stream.average_rate or video.stream.guessed_rate or 25)
    first = float(pts[0] * base)
    times = [float(at * base) - first for at in pts]
    end = times[-1] + (float(shown[-1][1] * base) or step)
    timeline = Timeline(np.array([*times, end], np.float64))
    return PacketIndex(pts, tuple(at for at, _ in keys), tuple(at for _, at in keys), timeline)


def runs_of(index: PacketIndex, numbers: Iterable[int]) -> list[tuple[int, list[int]]]:
    """Return (key to begin at, frames) for each run of decoding that gives the frames `numbers`, ascending and distinct.

    Frames whose keys are neighbours are one run: the next key is reached by reading on.
    """
    runs: list[tuple[int, list[int]]] = []
    last = -2
    for number in sorted(set(numbers)):
        key = index.key_before(index.pts[number])
        if runs and key - last <= 1:
            runs[-1][1].append(number)
        else:
            runs.append((key, [number]))
        last = key
    return runs


def _sought(video: _Opened, index: PacketIndex, places: Iterable[Place]) -> Iterator[Found]:
    """Yield what is at `places` as long as it turns up where the index says; the rest must be read through."""
    meant = _by_number(index.timeline, places)
    try:
        if not _begins_as_told(video, index):
            return
        for key, numbers in runs_of(index, meant):
            for number, picture in zip(numbers, _decoded(video, index, key, numbers), strict=True):
                yield from _found(meant[number], number, index.timeline, (picture, video.stream))
    except (av.error.FFmpegError, OSError, _AstrayError):
        return


class _AstrayError(ValueError):
    """A frame did not come where it was expected."""


def _begins_as_told(video: _Opened, index: PacketIndex) -> bool:
    """Tell whether the first frame that is decoded is the first of the index: seconds are counted from it."""
    first = next((picture for packet in video.packets() for picture in packet.decode()), None)
    return first is not None and first.pts == index.pts[0]


def _decoded(video: _Opened, index: PacketIndex, key: int, numbers: Sequence[int]) -> Iterator[av.VideoFrame]:
    """Yield the pictures of the frames `numbers`, ascending, decoding from `key` on."""
    waiting = [index.pts[number] for number in numbers]
    for packet in _packets_from(video, index, key):
        for picture in packet.decode():
            assert isinstance(picture, av.VideoFrame)  # noqa: S101  a video stream decodes to nothing else
            if picture.pts is None or picture.pts > waiting[0]:
                raise _AstrayError
            if picture.pts == waiting[0]:
                if picture.is_corrupt:
                    raise _AstrayError
                del waiting[0]
                yield picture
                if not waiting:
                    return
    raise _AstrayError


def _packets_from(video: _Opened, index: PacketIndex, key: int) -> "Iterator[VideoPacket]":
    """Yield the packets from that of `key` on; a container that seeks less exactly is read from earlier on."""
    for earlier in range(key, max(key - _TRIES, 0), -1):
        video.container.seek(index.starts[earlier], stream=video.stream)
        packets = video.packets()
        first = _skipped_to(packets, index.keys[key])
        if first is not None:
            return itertools.chain([first], packets)
    video.rewind()
    if key < 0:
        return video.packets()
    packets = video.packets()
    first = _skipped_to(packets, index.keys[key])
    if first is None:
        raise _AstrayError
    return itertools.chain([first], packets)


def _skipped_to(packets: "Iterator[VideoPacket]", pts: int) -> "VideoPacket | None":
    """Read up to the key at `pts` and return it; None where the reading began behind it."""
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None and packet.pts >= pts:
            return packet if packet.pts == pts else None
    return None


def _found(
    places: Iterable[Place], number: int, timeline: Timeline, of: tuple[av.VideoFrame, av.VideoStream]
) -> Iterator[Found]:
    picture, stream = of
    base = picture.time_base or stream.time_base or Fraction(1)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    for place in places:
        yield Found(place, number, timeline.seconds(number), picture.pts, base, aspect, picture)


def _read_through(source: Source, places: Iterable[Place], threads: int) -> Iterator[Found]:
    """Yield what is at `places` by decoding everything: once for the timeline, once for the pictures."""
    with VideoReader(source, threads=threads) as reader:
        for _ in reader.frames():
            pass
        timeline = reader.timeline()
    meant = _by_number(timeline, places)
    with _Opened(source, 1) as video, VideoReader(source, threads=threads) as reader:
        for frame in reader.frames():
            if frame.index in meant:
                yield from _found(meant.pop(frame.index), frame.index, timeline, (frame.picture, video.stream))
            if not meant:
                return
