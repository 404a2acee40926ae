"""Which detections on sampled frames are one object: ByteTrack (Zhang et al., 2022), as Ultralytics has it.

Samples are far apart, so that an object may hardly overlap where it was a sample before. Boxes are therefore matched after
they have been enlarged about their centre (Yang et al., 2023, "buffered IoU").
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.detections import Boxes
from models.yolo import quiet_ultralytics

ENLARGED: Final = 2.0  # sides of a box, for matching
WEAKEST: Final = 0.1  # score from which a detection can continue a track; it takes the rule's own to begin one
UNLIKE: Final = 0.8  # 1 - IoU of enlarged boxes beyond which a detection is another object
_SCALE: Final = 1000.0  # shares of the picture become units in which single precision is fine


@dataclass(frozen=True, slots=True)
class Track:
    """One object: the ascending samples on which it was seen, and its box on each (n x 5, as detected)."""

    samples: NDArray[np.intp]
    boxes: Boxes


def tracks_of(seen: Sequence[Boxes], *, min_score: float, patience: int, cuts: Collection[int] = ()) -> list[Track]:
    """Return the objects of one class, by first sample, then by place in its detections.

    Args:
        seen: the class's boxes on each sample.
        min_score: the score that a detection needs to begin a track.
        patience: samples on which an object may go unseen and still be the same.
        cuts: samples before which the picture changed, so that no object goes on.
    """
    _, results = _byte_track()
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    tracker, since = _tracker(min_score, patience), 0
    for at, boxes in enumerate(seen):
        if at in cuts:
            tracker, since = _tracker(min_score, patience), at
        tracker.update(results(_enlarged(boxes), (1, 1)))
        for track in tracker.tracked_stracks:
            if track.frame_id == tracker.frame_id:
                found.setdefault((since, int(track.track_id)), []).append((at, int(track.idx)))
    tracks = sorted(found.values(), key=lambda places: places[0])
    return [
        Track(np.array([at for at, _ in places], np.intp), np.array([seen[at][row] for at, row in places], np.float64))
        for places in tracks
    ]


def alike(boxes: Boxes, box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each of `boxes` with `box` after both are enlarged, as tracks are matched."""
    many, one = _corners(boxes), _corners(box[None, :])
    sides = np.minimum(many[:, 2:], one[:, 2:]) - np.maximum(many[:, :2], one[:, :2])
    shared = np.prod(np.clip(sides, 0.0, None), axis=1)
    areas = np.prod(many[:, 2:] - many[:, :2], axis=1) + np.prod(one[:, 2:] - one[:, :2], axis=1)
    both = areas - shared
    shares: NDArray[np.float64] = np.divide(shared, both, out=np.zeros(len(boxes)), where=both > 0)
    return shares


def _corners(boxes: Boxes) -> NDArray[np.float64]:
    middle, half = boxes[:, :2] + boxes[:, 2:4] / 2, boxes[:, 2:4] / 2 * ENLARGED
    return np.concatenate([middle - half, middle + half], axis=1)


def _enlarged(boxes: Boxes) -> NDArray[np.float64]:
    """Return n x 6 as Ultralytics has it: corners, score, class."""
    return np.concatenate([_corners(boxes) * _SCALE, boxes[:, 4:5], np.zeros((len(boxes), 1))], axis=1)


def _byte_track() -> tuple[Any, Any]:
    quiet_ultralytics()
    from ultralytics.engine.results import Boxes as Results
    from ultralytics.trackers.byte_tracker import BYTETracker

    return BYTETracker, Results


def _tracker(min_score: float, patience: int) -> Any:
    tracker, _ = _byte_track()
    return tracker(
        SimpleNamespace(
            track_high_thresh=min_score,
            track_low_thresh=min(WEAKEST, min_score),
            new_track_thresh=min_score,
            track_buffer=patience - 1,  # it forgets when more samples than this have gone by, and looks after matching
            match_thresh=UNLIKE,
            fuse_score=False,
        )
    )
