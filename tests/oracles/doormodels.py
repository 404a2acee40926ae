"""Predictors for tests of doors: the fake with orders that are given to it from outside, and pictures to send."""

import io
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from PIL import Image

from contract.answers import build_answer
from contract.guideline import Guideline, LabelDefinition
from contract.predictor import Description, Source
from contract.tables import Kind
from models.fake import FakePredictor

CLASSES = ("汽车", "person", "traffic light")


def guideline() -> Guideline:
    """Return a guideline of three classes."""
    return Guideline(version="1", classes=tuple(LabelDefinition(name=name, definition="-") for name in CLASSES))


def picture(seed: int) -> bytes:
    """Return a PNG of 64 x 48 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Obedient:
    """The fake of images, which raises while `raises` is set and holds its answers back while `held` is."""

    def __init__(self) -> None:
        self._fake = FakePredictor(Kind.IMAGE, guideline=guideline())
        self.raises = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.entered = threading.Semaphore(0)
        self.answers: list[dict[str, object]] | None = None

    def describe(self) -> Description:
        return self._fake.describe().model_copy(update={"name": "Scene Detector", "settings": {"conf": 0.25}})

    def load(self, device: str) -> None:
        self._fake.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        self.entered.release()
        self.go_on.wait()
        if self.raises.is_set():
            raise ZeroDivisionError("told to")
        if self.answers is None:
            return self._fake.predict(sources)
        rows = [{**row, "item": source.item} for row, source in zip(self.answers, sources, strict=True)]
        return build_answer(Kind.IMAGE, rows)
