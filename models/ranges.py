"""A long video as ranges that begin at keyframes and are decoded apart, side by side or on different days.

The features are those of decoding from the beginning, byte for byte. In an open group of pictures some are stored behind the
keyframe and shown before it; they need the group before, so that a range reads on until it has them. Whether the seams hold
is not taken on trust: the pictures must have the timestamps that the packets announced, and the first pictures of each range
are decoded by the range before it as well and must be the same. Where anything differs (no index, timestamps that are absent
or doubled, keyframes that are none, damage), the video is one range and decoded from its beginning.
"""

import hashlib
import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from contract.predictor import Source
from models.features import FeatureLog, Features
from models.frames import Frame
from models.openvideo import OpenVideo, length_of

RANGE_FRAMES: Final = 3000  # of a range, about: two minutes
OVERLAP: Final = 4  # packets from the next keyframe on that a range decodes as well, beside those shown before it
_TRIES: Final = 3  # places to seek to
_UNKNOWN: Final = -(2**63)  # a decoding timestamp that is absent

Numbers = NDArray[np.int64]


class InexactError(Exception):
    """What was decoded is not what the packets announced, so that the video must be decoded from its beginning."""


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """Columns over a video's packets as they are stored, and the timestamps of its pictures as they are shown."""

    pts: Numbers
    dts: Numbers
    size: Numbers
    key: NDArray[np.bool_]
    shown: Numbers  # ascending; packets that an edit list hides are left out
    digest: str | None  # SHA-256 of timestamps and contents

    def number_of(self, pts: int) -> int:
        """Return how many pictures are shown before `pts`."""
        return int(np.searchsorted(self.shown, pts))


@dataclass(frozen=True, slots=True)
class Range:
    """Pictures [start, end) by number as shown; packets [first, last) as stored, of which the last ones overlap the next."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Part:
    """What was decoded of a range: features, seconds of the stream and lengths of pictures, the next range's first."""

    features: Features
    times: NDArray[np.float64]
    lengths: NDArray[np.float64]
    next_numbers: Numbers
    next_features: Features


def read_index(video: OpenVideo, *, digest: bool = False) -> PacketIndex | None:
    """Read every packet without decoding; None where timestamps do not tell the pictures apart or a packet is damaged.

    Raises:
        FFmpegError: the packets cannot be read on.
    """
    stamps, decoding, sizes = array("q"), array("q"), array("q")
    keys, hidden = bytearray(), bytearray()
    hashed = hashlib.sha256()
    for packet in video.packets():
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt:
            return None
        stamps.append(packet.pts)
        decoding.append(_UNKNOWN if packet.dts is None else packet.dts)
        sizes.append(packet.size)
        keys.append(packet.is_keyframe)
        hidden.append(packet.is_discard)
        if digest:
            hashed.update(b"%d %d " % (stamps[-1], decoding[-1]))
            hashed.update(packet)
    pts, dts, size = (np.array(column, np.int64) for column in (stamps, decoding, sizes))
    key = np.frombuffer(keys, np.bool_)
    shown = np.sort(pts[~np.frombuffer(hidden, np.bool_)])
    if not len(shown) or (np.diff(shown) == 0).any() or not key[0]:
        return None
    return PacketIndex(pts, dts, size, key, shown, hashed.hexdigest() if digest else None)


def cut(index: PacketIndex, *, frames: int = RANGE_FRAMES) -> list[Range]:
    """Return ranges of about `frames` pictures each; their pictures follow each other without a gap."""
    begins = [0]
    firsts = [(0, 0)]  # of each range its first packet, and the first behind it that is shown after it
    for at, behind in _clean_keys(index):
        number = index.number_of(int(index.pts[at]))
        if number - begins[-1] >= frames and len(index.shown) - number >= frames // 2:
            begins.append(number)
            firsts.append((at, behind))
    ends = [*begins[1:], len(index.shown)]
    lasts = [min(behind + OVERLAP, len(index.pts)) for _, behind in firsts[1:]] + [len(index.pts)]
    return [Range(start, end, first, last) for start, end, (first, _), last in zip(begins, ends, firsts, lasts, strict=True)]


def _clean_keys(index: PacketIndex) -> Iterator[tuple[int, int]]:
    """Yield each keyframe after which everything shown before it is stored at once, with the packet behind all that."""
    pts = index.pts
    before = np.maximum.accumulate(pts)
    from_here = np.minimum.accumulate(pts[::-1])[::-1]
    for at in np.flatnonzero(index.key[1:]) + 1:
        if before[at - 1] >= pts[at]:
            continue
        behind = at + 1
        while behind < len(pts) and pts[behind] < pts[at]:
            behind += 1
        if behind == len(pts) or from_here[behind] > pts[at]:
            yield int(at), int(behind)


def decode_range(source: Source, index: PacketIndex, of: Range, *, loop_filter: bool = False) -> Part:
    """Decode the pictures of one range, in a container of its own.

    Raises:
        InexactError: something else was found than the index says.
        SourceError: the video cannot be opened.
    """
    with OpenVideo(source, loop_filter=loop_filter) as video:
        taker = _Taker(index, of)
        try:
            for packet in itertools.islice(_from_packet(video, index, of.first), of.last - of.first):
                taker.check(packet)
                taker.take(packet.decode())
            last = video.stream.codec_context.decode(None)
            for picture in last:
                picture.time_base = video.stream.time_base  # without a packet it is not told
            taker.take(last)
        except (av.error.FFmpegError, OSError) as error:
            raise InexactError(f"packet {taker.packet}: {error}") from error
    return taker.part()


def _from_packet(video: OpenVideo, index: PacketIndex, first: int) -> "Iterator[av.Packet[Any]]":
    """Yield the packets of the video from number `first` on."""
    if first == 0:
        return video.packets()
    pts = int(index.pts[first])
    earlier = np.flatnonzero(index.key[: first + 1])[::-1]
    for at in earlier[:_TRIES].tolist():  # some containers seek to a place a little behind
        target = int(index.pts[at]) if index.dts[at] == _UNKNOWN else min(int(index.pts[at]), int(index.dts[at]))
        video.container.seek(target, stream=video.stream)
        packets = video.packets()
        for packet in packets:
            if packet.pts == pts and packet.is_keyframe:
                return itertools.chain([packet], packets)
            if not packet.size or packet.pts is None or (packet.is_keyframe and packet.pts > pts):
                break
    raise InexactError(f"packet {first} is not reached by seeking")


class _Taker:
    """Takes packets and pictures of one range as they come, and looks that they are the expected ones."""

    def __init__(self, index: PacketIndex, of: Range) -> None:
        self._index, self._range = index, of
        self.packet = of.first
        self._logs = (FeatureLog(), FeatureLog())
        self._pts: tuple[list[int], list[int]] = ([], [])
        self._times: list[float] = []
        self._lengths: list[float] = []
        self._begin = int(index.shown[of.start])
        self._end = int(index.shown[of.end]) if of.end < len(index.shown) else None

    def check(self, packet: "av.Packet[Any]") -> None:
        index, at = self._index, self.packet
        dts = _UNKNOWN if packet.dts is None else packet.dts
        if (packet.pts, dts, packet.size) != (index.pts[at], index.dts[at], index.size[at]) or packet.is_corrupt:
            raise InexactError(f"packet {at} is another than before")
        self.packet += 1

    def take(self, pictures: "list[av.VideoFrame]") -> None:
        for picture in pictures:
            if picture.pts is None or picture.time is None or picture.is_corrupt:
                if picture.pts is not None and picture.pts < self._begin:
                    continue  # it needs what lies before the range
                raise InexactError(f"packet {self.packet}: a picture without timestamp, or damaged")
            if picture.pts < self._begin:
                continue
            later = self._end is not None and picture.pts >= self._end
            self._logs[later].add(Frame(len(self._pts[later]), 0.0, picture))
            self._pts[later].append(picture.pts)
            if not later:
                self._times.append(picture.time)
                self._lengths.append(length_of(picture))

    def part(self) -> Part:
        index, of = self._index, self._range
        if not np.array_equal(self._pts[0], index.shown[of.start : of.end]):
            raise InexactError(f"pictures {of.start} to {of.end} have other timestamps than their packets")
        following = index.shown[np.isin(index.shown, index.pts[of.first : of.last]) & (index.shown >= self._limit)]
        if not np.array_equal(self._pts[1], following):
            raise InexactError(f"pictures from {of.end} on have other timestamps than their packets")
        numbers = np.searchsorted(index.shown, np.array(self._pts[1], np.int64))
        times, lengths = np.array(self._times, np.float64), np.array(self._lengths, np.float64)
        return Part(self._logs[0].features(), times, lengths, numbers, self._logs[1].features())

    @property
    def _limit(self) -> int:
        return int(self._index.shown[-1]) + 1 if self._end is None else self._end
