"""Shots at a glance: only the keyframes that the encoder set are decoded, everything else is skipped.

Encoders begin a new group of pictures at most hard cuts, so that a border between groups over which the picture changes is
taken for one. A cut within a group is found late, at the next border, and gradual changes are found as cuts or not at all.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from contract.errors import SourceError
from contract.predictor import Source
from contract.tables import Task
from contract.terms import KeyframeRule
from models.analysis import Reading
from models.features import FeatureTable
from models.frames import Frame
from models.gradual import likeness
from models.keyframes import pick_keyframes
from models.openvideo import MOST_FRAMES_PER_S, OpenVideo, too_long, words
from models.shots import Shot
from models.spool import FeatureSpool
from models.timeline import Clock, Gap, Timeline, told

MIN_CHANGE: Final = 12.0  # mean absolute difference (0 to 255) of two groups' first pictures below which nothing was cut
MAX_LIKENESS: Final = 0.75  # their correlation above which nothing was

Labels = Mapping[Task, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class KeyPictures:
    """Features of the n keyframes alone, which of all frames each is, the seconds of all frames, and what is missing.

    Damage shows where the container tells of it or a keyframe cannot be decoded; between keyframes nothing is looked at.
    """

    features: FeatureTable
    numbers: NDArray[np.intp]
    timeline: Timeline
    gaps: tuple[Gap, ...] = ()


class _Reader:
    """Takes packet after packet; from damage on, frames count again with the next keyframe that is whole."""

    def __init__(self, video: OpenVideo) -> None:
        video.stream.codec_context.skip_frame = "NONKEY"
        self.video = video
        self.spool = FeatureSpool()
        self.shown = array("d")  # seconds of the stream at which frames begin
        self.decoded = array("d")  # and keyframes
        self.gaps: list[tuple[float, float]] = []
        self.since: float | None = None  # seconds at which the last whole frame before damage ended
        self._end = 0.0
        self._begun = False

    def take(self, packet: "av.Packet[Any]") -> None:
        at = _seconds(packet, self._end)
        if packet.is_corrupt:
            self._lose()
        elif packet.is_keyframe:
            pictures = _whole(packet, self.video)
            if pictures is None:
                self._lose()
            else:
                self._regain(at)
                for picture in pictures:
                    self.spool.add(Frame(len(self.decoded), 0.0, picture))
                    self.decoded.append(picture.time if picture.time is not None else at)
        if self._begun and self.since is None and not packet.is_discard:
            self.shown.append(at)
            self._end = max(self._end, at + self.video.step)

    def _lose(self) -> None:
        if self.since is None:
            self.since = self._end

    def _regain(self, at: float) -> None:
        self._begun = True
        if self.since is not None:
            self.gaps.append((self.since, max(self.since, at)))
            self.since = None

    def times(self) -> NDArray[np.float64]:
        """Return the seconds at which frames begin, without those that need what is lost.

        Raises:
            SourceError: several frames begin at one time and none at another.
        """
        times = np.unique(np.array(self.shown, np.float64))
        if len(times) == 1 < len(self.shown):
            raise SourceError("its timestamps do not advance")
        for begin, end in self.gaps:
            times = times[(times < begin) | (times >= end)]
        return times

    def losses(self, first: float) -> tuple[Gap, ...]:
        """Return what is missing, `first` being when the first frame is shown."""
        open_ = [(self.since, max(self.since, self.video.latest_end))] if self.since is not None else []
        return tuple(Gap(max(0.0, begin - first), max(0.0, end - first)) for begin, end in [*self.gaps, *open_])


def read_key_pictures(source: Source, reading: Reading) -> KeyPictures:
    """Decode the keyframes of `source` and read over everything else.

    Raises:
        SourceError: it cannot be opened or read to its end, is cut off or too long, or no keyframe can be decoded.
        StorageError: the folder for temporary files cannot be written.
    """
    with OpenVideo(source, max_seconds=reading.max_seconds, loop_filter=False) as video:
        reader = _Reader(video)
        shown = reader.shown
        try:
            for packet in video.packets():
                if packet.size:
                    reader.take(packet)
                if len(shown) > reading.max_seconds * MOST_FRAMES_PER_S:
                    raise SourceError(too_long(shown[-1] - shown[0], reading.max_seconds))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"cannot be read after {len(shown)} frames ({words(error)})") from error
        times = reader.times()
        if not len(reader.decoded) or not len(times):
            raise SourceError("the video stream holds no keyframe that can be decoded")
        clock = Clock(video.step)
        clock.tick(float(times[0]), 0.0)
        video.check_tail(clock, video.latest_end - clock.first)
        end = max(video.latest_end if reader.since is None else 0.0, float(times[-1]) + video.step)
    numbers = np.clip(np.searchsorted(times, np.array(reader.decoded, np.float64) - 1e-6), 0, len(times) - 1)
    numbers, first = np.unique(numbers, return_index=True)
    if times[-1] - times[0] > reading.max_seconds:
        raise SourceError(too_long(float(times[-1] - times[0]), reading.max_seconds))
    features = reader.spool.features()
    if len(first) < features.frames:  # two keyframes of one time
        features = features.rows(first)
    return KeyPictures(features, numbers, Timeline(np.append(times, end) - times[0]), reader.losses(float(times[0])))


def _seconds(packet: "av.Packet[Any]", otherwise: float) -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return float(stamp * packet.time_base) if stamp is not None and packet.time_base is not None else otherwise


def _whole(packet: "av.Packet[Any]", video: OpenVideo) -> list[av.VideoFrame] | None:
    """Decode one keyframe by itself: in open groups a decoder that was not told so would wait for what lies between.

    None tells that it is damaged; a packet that only claims to be a keyframe, or is not shown, gives no picture.
    """
    codec = video.stream.codec_context
    try:
        pictures = [*codec.decode(packet), *codec.decode(None)]
    except av.error.InvalidDataError:
        return None
    finally:
        codec.flush_buffers()
    for picture in pictures:
        picture.time_base = video.stream.time_base
    return None if any(picture.is_corrupt for picture in pictures) else pictures


def changed(features: FeatureTable) -> NDArray[np.bool_]:
    """Tell of each picture whether it shows something else than the one before it; the first does not."""
    flags = np.zeros(features.frames, np.bool_)
    for at in range(1, features.frames, 512):
        rows = slice(at - 1, min(at + 512, features.frames))
        block = features.rows(rows)
        luma, vectors = block.luma.astype(np.float32), block.vectors(slice(None))
        moved = np.abs(np.diff(vectors, axis=0)).mean(axis=1) >= MIN_CHANGE
        flags[at : at + 512] = moved & (likeness(luma[:-1], luma[1:]) <= MAX_LIKENESS)
    return flags


def preview_labels(source: Source, rule: KeyframeRule, reading: Reading) -> tuple[Labels, str | None]:
    """Return shots that begin at borders between groups of pictures, keyframes out of those of the encoder, and no events.

    Beside them stands what could not be looked at.

    Raises:
        SourceError: as `read_key_pictures`.
        StorageError: as `read_key_pictures`.
    """
    found = read_key_pictures(source, reading)
    timeline, numbers = found.timeline, found.numbers
    begins = [0, *np.flatnonzero(changed(found.features)).tolist(), found.features.frames]
    kinds = ["start"] + ["cut"] * (len(begins) - 2)
    shots = [Shot(first, last, kind) for first, last, kind in zip(begins[:-1], begins[1:], kinds, strict=True)]
    edges = [0, *numbers[begins[1:-1]].tolist(), timeline.frames]
    seconds = np.append(timeline.starts[numbers], timeline.seconds(timeline.frames))
    picked = pick_keyframes(found.features, shots, Timeline(seconds), rule)
    labels = {
        Task.SHOTS: [
            {
                "start_frame": first,
                "end_frame": last,
                "start_s": timeline.seconds(first),
                "end_s": timeline.seconds(last),
                "transition": kind,
            }
            for first, last, kind in zip(edges[:-1], edges[1:], kinds, strict=True)
        ],
        Task.KEYFRAMES: [
            {"frame": int(numbers[key.frame]), "time_s": timeline.seconds(int(numbers[key.frame])), "score": key.score}
            for key in picked
        ],
    }
    return labels, told(found.gaps)
