"""A predictor without weights: its answers are drawn from the SHA-256 of each item's content.

Everything above the predictors (jobs, serving, scoring) is tested with it: equal content gives equal
labels on every machine, whatever the order, the chunks or the process.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.error
import pyarrow as pa

from contract.answers import build_answer, labelled, rejected
from contract.errors import SourceError
from contract.guideline import Guideline
from contract.predictor import Description, Source
from contract.tables import Kind, Task
from contract.terms import Terms
from models.content import read_content
from models.images import image_size
from models.registry import ModelEntry

_CLASSES = ("object",)
_SENTIMENTS = ("positive", "negative")


class _Draws:
    """Numbers drawn from a digest, the same on every machine and in every version of Python."""

    def __init__(self, content: bytes) -> None:
        self._digest = hashlib.sha256(content).digest()
        self._count = 0

    def below(self, stop: int) -> int:
        """Return an integer in [0, stop)."""
        self._count += 1
        piece = hashlib.sha256(self._digest + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(piece[:8], "big") % stop

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high) on a grid of 1/4096 of the range."""
        return low + (high - low) * self.below(4096) / 4096


class _Clip(NamedTuple):
    frames: int
    rate: Fraction


def _probe(content: bytes) -> _Clip:
    with av.open(io.BytesIO(content), mode="r") as container:
        if not container.streams.video:
            raise SourceError("the file has no video stream")
        stream = container.streams.video[0]
        frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size > 0)
        rate = stream.average_rate
    if not frames or not rate:
        raise SourceError("the video has no frames")
    return _Clip(frames, rate)


class FakePredictor:
    """Labels of the right form from no model at all; see the module's page for what it promises."""

    def __init__(self, kind: Kind, *, guideline: Guideline | None = None) -> None:
        self._kind = kind
        self._classes = guideline.class_names if guideline else _CLASSES
        self._sentiments = guideline.sentiment_names if guideline else _SENTIMENTS
        self._events = guideline.event_names if guideline else ()

    def describe(self) -> Description:
        """Tell that this is the fake, and which labels it draws from."""
        classes = {Kind.IMAGE: self._classes, Kind.TEXT: self._sentiments, Kind.VIDEO: self._events}[self._kind]
        return Description(
            name="fake", version="1", kind=self._kind, classes=classes, weights_sha256=None, runtime="none", precision="none"
        )

    def load(self, device: str) -> None:
        """Do nothing: there are no weights, and every device gives the same answer."""

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`; content that cannot be decoded is a rejected row."""
        return build_answer(self._kind, [self._row(source) for source in sources])

    def _row(self, source: Source) -> dict[str, Any]:
        answer = {Kind.IMAGE: self._boxes, Kind.TEXT: self._sentiment, Kind.VIDEO: self._video}[self._kind]
        try:
            labels = answer(read_content(source))
        except UnicodeDecodeError:
            return rejected(source.item, self._kind, "it is not UTF-8")
        except (SourceError, av.error.FFmpegError) as error:
            reason = str(error) if isinstance(error, SourceError) else f"it is no video ({error.strerror})"
            return rejected(source.item, self._kind, reason)
        return labelled(source.item, self._kind, labels)

    def _boxes(self, content: bytes) -> Mapping[Task, list[dict[str, Any]]]:
        width, height = image_size(content)
        draws = _Draws(content)
        boxes = []
        for _ in range(draws.below(6) if self._classes else 0):
            w, h = draws.between(1 / 16, 1 / 2) * width, draws.between(1 / 16, 1 / 2) * height
            x, y = draws.between(0, 1) * (width - w), draws.between(0, 1) * (height - h)
            label = self._classes[draws.below(len(self._classes))]
            boxes.append({"label": label, "x": x, "y": y, "w": w, "h": h, "score": draws.between(0.3, 1)})
        return {Task.BOXES: sorted(boxes, key=lambda box: -box["score"])}

    def _sentiment(self, content: bytes) -> Mapping[Task, list[dict[str, Any]]]:
        if not content.decode("utf-8").strip():
            raise SourceError("the text is empty")
        if not self._sentiments:
            return {}
        draws = _Draws(content)
        weights = [1 + draws.below(1000) for _ in self._sentiments]
        probabilities = {name: weight / sum(weights) for name, weight in zip(self._sentiments, weights, strict=True)}
        label = max(self._sentiments, key=lambda name: probabilities[name])
        row = {"label": label, "score": probabilities[label], "probabilities": list(probabilities.items())}
        return {Task.SENTIMENTS: [row]}

    def _video(self, content: bytes) -> Mapping[Task, list[dict[str, Any]]]:
        clip = _probe(content)
        draws = _Draws(content)
        starts = sorted({0, *(draws.below(clip.frames) for _ in range(draws.below(4)))})
        spans = list(zip(starts, [*starts[1:], clip.frames], strict=True))
        shots = [{**_span(start, end, clip), "transition": "cut" if start else "start"} for start, end in spans]
        keyframes = [
            {"frame": middle, "time_s": float(middle / clip.rate), "score": draws.between(0.3, 1)}
            for middle in ((start + end - 1) // 2 for start, end in spans)
        ]
        events = []
        for _ in range(draws.below(3) if self._events else 0):
            label = self._events[draws.below(len(self._events))]
            start = draws.below(clip.frames)
            end = start + 1 + draws.below(clip.frames - start)
            events.append({"label": label, **_span(start, end, clip), "score": draws.between(0.3, 1)})
        events.sort(key=lambda event: (event["start_frame"], event["end_frame"], event["label"]))
        return {Task.SHOTS: shots, Task.KEYFRAMES: keyframes, Task.EVENTS: events}


def _span(start: int, end: int, clip: _Clip) -> dict[str, Any]:
    seconds = {"start_s": float(start / clip.rate), "end_s": float(end / clip.rate)}
    return {"start_frame": start, "end_frame": end, **seconds}


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> FakePredictor:
    """Return the fake for `entry`, with the guideline of `terms`."""
    return FakePredictor(entry.kind, guideline=terms.guideline if terms else None)
