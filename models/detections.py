"""What a detector saw on the sampled frames of one video, in shares of the upright picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.errors import SourceError
from models.frames import Frame

ABSENT: Final = -np.inf  # the score of what was not detected

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float64]  # n x 5: x, y, w, h as shares of width and height, and the score
Seen = Mapping[str, Boxes]  # the boxes of each class on one picture; a class without boxes may be left out

NOTHING: Final[Boxes] = np.zeros((0, 5), np.float64)


@dataclass(frozen=True, slots=True)
class Samples:
    """Detections on sampled frames: ascending seconds of n samples, the end of the video, the best score of a class on each.

    A class that was not detected on a sample has the score -inf there; a class that is absent was never detected. `boxes`
    holds n arrays of boxes for each class that some rule counts or follows.
    """

    times: NDArray[np.float64]
    end: float
    scores: Mapping[str, NDArray[np.float64]]
    boxes: Mapping[str, Sequence[Boxes]] = field(default_factory=dict)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The n + 1 seconds at which a sample begins to stand; the last is the end of the video."""
        return np.append(self.times, self.end)

    def seen(self, sample: int) -> Seen:
        """Return the boxes of one sample."""
        return {label: boxes[sample] for label, boxes in self.boxes.items()}


def seen_on(picture: Picture, detections: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Seen:
    """Return the boxes that a detector gave for `picture` (pixels), in its order."""
    height, width = picture.shape[:2]
    seen: dict[str, Boxes] = {}
    for label in classes:
        rows = [
            (box["x"] / width, box["y"] / height, box["w"] / width, box["h"] / height, box["score"])
            for box in detections
            if box["label"] == label
        ]
        seen[label] = np.array(rows, np.float64) if rows else NOTHING
    return seen


def best_score(boxes: Boxes) -> float:
    """Return the best score of `boxes`, -inf where there are none."""
    return float(boxes[:, 4].max()) if len(boxes) else ABSENT


class Sampler:
    """Chooses the frames that the detector sees and keeps its answers for the classes of the events."""

    def __init__(self, per_second: float, classes: set[str]) -> None:
        self._step = 1.0 / per_second if per_second else None
        self._next = 0
        self._times: list[float] = []
        self._boxes: dict[str, list[Boxes]] = {label: [] for label in sorted(classes)}
        self.pictures: list[Picture] = []

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are kept, in order of name."""
        return tuple(self._boxes)

    @property
    def waiting(self) -> int:
        """How many pictures have not been looked at."""
        return len(self.pictures)

    def wants(self, frame: Frame) -> bool:
        """Tell whether `frame` is the first at or after the next multiple of the sampling step."""
        return self._step is not None and frame.time_s >= self._next * self._step - 1e-6

    def lacks(self, frame: Frame) -> bool:
        """Tell whether `frame`, the last of the video, has not been taken, so that the end of an event would be unseen."""
        return self._step is not None and (not self._times or frame.time_s > self._times[-1])

    def add(self, seconds: float, picture: Picture) -> None:
        """Take a picture; steps that no frame fell into are left out."""
        assert self._step is not None  # noqa: S101  nothing is wanted without a step
        self._next = int((seconds + 1e-6) / self._step) + 1
        self._times.append(seconds)
        self.pictures.append(picture)

    def answer(self, detections: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Take the boxes of the pictures that wait.

        Raises:
            SourceError: there are more or fewer answers than pictures.
        """
        if len(detections) != len(self.pictures):
            raise SourceError(f"the detector answered {len(detections)} pictures of {len(self.pictures)}")
        for picture, found in zip(self.pictures, detections, strict=True):
            seen = seen_on(picture, found, self.classes)
            for label, kept in self._boxes.items():
                kept.append(seen[label])
        self.pictures = []

    def samples(self, end: float) -> Samples:
        """Return what was seen, up to the end of the video at `end` seconds."""
        scores = {label: np.array([best_score(boxes) for boxes in kept], np.float64) for label, kept in self._boxes.items()}
        return Samples(np.array(self._times, np.float64), end, scores, self._boxes)
