"""A second look at a video that has been decoded once: single frames for the detector."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from contract.predictor import Source
from models.detections import Picture, Seen, seen_on
from models.frames import VideoReader

HELD_BYTES: Final = 256 << 20  # of pictures that wait for the detector

Detect = Callable[[Sequence[Picture]], Sequence[Sequence[Mapping[str, Any]]]]


class Revisit:
    """Shows frames of `source` again, as the first pass saw them, and asks the detector about them."""

    def __init__(self, source: Source, detect: Detect, classes: Sequence[str], *, longest_side: int, batch: int) -> None:
        self._source = source
        self._detect = detect
        self._classes = tuple(classes)
        self._longest_side = longest_side
        self._batch = batch
        self.most_pictures = max(1, HELD_BYTES // (3 * longest_side * longest_side))

    def pictures(self, frames: Sequence[int]) -> Iterator[tuple[int, Picture]]:
        """Yield each of `frames`, which ascend, with its picture."""
        wanted = set(frames)
        if not wanted:
            return
        with VideoReader(self._source) as reader:
            for frame in reader.frames():
                if frame.index in wanted:
                    yield frame.index, frame.rgb(longest=self._longest_side)
                    if frame.index == frames[-1]:
                        return

    def detect(self, pictures: Sequence[Picture]) -> list[Seen]:
        """Return what the detector sees on each picture."""
        seen: list[Seen] = []
        for at in range(0, len(pictures), self._batch):
            part = pictures[at : at + self._batch]
            found = self._detect(part)
            seen += [seen_on(picture, boxes, self._classes) for picture, boxes in zip(part, found, strict=True)]
        return seen
