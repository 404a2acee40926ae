"""A second look at a video that has been decoded once: single frames for the detector."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from contract.errors import SourceError
from contract.predictor import Source
from models.detections import Picture, Seen, seen_on
from models.frames import Frame, Timeline
from models.seeking import Place, find_frames

HELD_BYTES: Final = 256 << 20  # of pictures that wait for the detector

_LOG: Final = logging.getLogger(__name__)

Detect = Callable[[Sequence[Picture]], Sequence[Sequence[Mapping[str, Any]]]]


class Revisit:
    """Shows frames of `source` again, as the first pass saw them, and asks the detector about them."""

    def __init__(
        self, source: Source, timeline: Timeline, detect: Detect, *, classes: Sequence[str], longest_side: int, batch: int
    ) -> None:
        self._source = source
        self._timeline = timeline
        self._detect = detect
        self._classes = tuple(classes)
        self._longest_side = longest_side
        self._batch = batch
        self.most_pictures = max(1, HELD_BYTES // (3 * longest_side * longest_side))

    def pictures(self, frames: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield each of `frames`, which ascend, with its picture; fewer where damage hides the rest."""
        places = [Place(frame, self._timeline.seconds(frame)) for frame in frames]
        try:
            for found in find_frames(self._source, places):
                again = Frame(found.frame, found.time_s, found.picture)
                yield found.place.frame, again.rgb(longest=self._longest_side)
        except SourceError as error:
            _LOG.info("%s is not looked at again from here on: %s", self._source.item, error)

    def detect(self, pictures: Sequence[Picture]) -> list[Seen]:
        """Return what the detector sees on each picture."""
        seen: list[Seen] = []
        for at in range(0, len(pictures), self._batch):
            part = pictures[at : at + self._batch]
            found = self._detect(part)
            seen += [seen_on(picture, boxes, self._classes) for picture, boxes in zip(part, found, strict=True)]
        return seen
