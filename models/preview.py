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
from models.features import FeatureLog, Features
from models.frames import Frame
from models.gradual import likeness
from models.keyframes import pick_keyframes
from models.openvideo import MOST_FRAMES_PER_S, OpenVideo, too_long, words
from models.shots import Shot
from models.timeline import Clock, Timeline

MIN_CHANGE: Final = 12.0  # mean absolute difference (0 to 255) of two groups' first pictures below which nothing was cut
MAX_LIKENESS: Final = 0.75  # their correlation above which nothing was

Labels = Mapping[Task, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class KeyPictures:
    """Features of the n keyframes alone, which of all frames each is, and the seconds of all frames."""

    features: Features
    numbers: NDArray[np.intp]
    timeline: Timeline


def read_key_pictures(source: Source, reading: Reading) -> KeyPictures:
    """Decode the keyframes of `source` and read over everything else.

    Raises:
        SourceError: it cannot be opened or read to its end, is cut off or too long, or no keyframe can be decoded.
    """
    log, shown, decoded = FeatureLog(), array("d"), array("d")
    with OpenVideo(source, max_seconds=reading.max_seconds, loop_filter=False) as video:
        video.stream.codec_context.skip_frame = "NONKEY"
        try:
            for packet in video.packets():
                if packet.size and not packet.is_discard:
                    shown.append(_seconds(packet, len(shown) * video.step))
                if len(shown) > reading.max_seconds * MOST_FRAMES_PER_S:
                    raise SourceError(too_long(shown[-1] - shown[0], reading.max_seconds))
                if not packet.size or not packet.is_keyframe or packet.is_corrupt:
                    continue
                for picture in _whole(packet, video):
                    log.add(Frame(len(decoded), 0.0, picture))
                    decoded.append(picture.time if picture.time is not None else shown[-1])
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"cannot be read after {len(shown)} frames ({words(error)})") from error
        if not len(decoded):
            raise SourceError("the video stream holds no keyframe that can be decoded")
        times = np.unique(np.array(shown, np.float64))
        clock = Clock(video.step)
        clock.tick(float(times[0]), 0.0)
        video.check_tail(clock, video.latest_end - clock.first)
        end = max(video.latest_end, float(times[-1]) + video.step)
    numbers = np.clip(np.searchsorted(times, np.array(decoded, np.float64) - 1e-6), 0, len(times) - 1)
    numbers, first = np.unique(numbers, return_index=True)
    if times[-1] - times[0] > reading.max_seconds:
        raise SourceError(too_long(float(times[-1] - times[0]), reading.max_seconds))
    return KeyPictures(log.features().rows(first), numbers, Timeline(np.append(times, end) - times[0]))


def _seconds(packet: "av.Packet[Any]", otherwise: float) -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return float(stamp * packet.time_base) if stamp is not None and packet.time_base is not None else otherwise


def _whole(packet: "av.Packet[Any]", video: OpenVideo) -> list[av.VideoFrame]:
    """Decode one keyframe by itself: in open groups a decoder that was not told so would wait for what lies between."""
    codec = video.stream.codec_context
    try:
        pictures = [*codec.decode(packet), *codec.decode(None)]
    except av.error.InvalidDataError:
        return []  # a keyframe that is damaged is one picture less
    finally:
        codec.flush_buffers()
    for picture in pictures:
        picture.time_base = video.stream.time_base
    return [picture for picture in pictures if not picture.is_corrupt]


def changed(features: Features) -> NDArray[np.bool_]:
    """Tell of each picture whether it shows something else than the one before it; the first does not."""
    flags = np.zeros(features.frames, np.bool_)
    for at in range(1, features.frames, 512):
        rows = slice(at - 1, min(at + 512, features.frames))
        luma, vectors = features.luma[rows].astype(np.float32), features.vectors(rows)
        moved = np.abs(np.diff(vectors, axis=0)).mean(axis=1) >= MIN_CHANGE
        flags[at : at + 512] = moved & (likeness(luma[:-1], luma[1:]) <= MAX_LIKENESS)
    return flags


def preview_labels(source: Source, rule: KeyframeRule, reading: Reading) -> Labels:
    """Return shots that begin at borders between groups of pictures, keyframes out of those of the encoder, and no events.

    Raises:
        SourceError: as `read_key_pictures`.
    """
    found = read_key_pictures(source, reading)
    timeline, numbers = found.timeline, found.numbers
    begins = [0, *np.flatnonzero(changed(found.features)).tolist(), found.features.frames]
    kinds = ["start"] + ["cut"] * (len(begins) - 2)
    shots = [Shot(first, last, kind) for first, last, kind in zip(begins[:-1], begins[1:], kinds, strict=True)]
    edges = [0, *numbers[begins[1:-1]].tolist(), timeline.frames]
    seconds = np.append(timeline.starts[numbers], timeline.seconds(timeline.frames))
    picked = pick_keyframes(found.features, shots, Timeline(seconds), rule)
    return {
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
