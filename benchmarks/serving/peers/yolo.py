"""The peers' models: what their own examples and documents do with Ultralytics, or our predictor without weights."""

import base64
import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

CONF: Final = 0.25
IOU: Final = 0.7


class Yolo:
    """Ultralytics' own interface on the weights."""

    def __init__(self, weights: str) -> None:
        from ultralytics import YOLO

        self._model = YOLO(weights, task="detect")

    def predict(self, sources: Any) -> list[list[dict[str, Any]]]:
        """Return the boxes of a file, or of several images as arrays, in pixels."""
        results = self._model.predict(sources, conf=CONF, iou=IOU, verbose=False, device="cpu")
        return [_boxes(result) for result in results]

    def label_encoded(self, contents: Sequence[bytes]) -> list[Any]:
        """Return the boxes of encoded images, in one call of the model."""
        from PIL import Image

        pictures = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[:, :, ::-1] for content in contents]
        return list(self.predict(pictures))


class Fake:
    """The predictor without weights."""

    def __init__(self, kind: str) -> None:
        from contract.tables import Kind
        from models.fake import FakePredictor

        self._kind = Kind(kind)
        self._predictor = FakePredictor(self._kind)

    def label_encoded(self, contents: Sequence[bytes]) -> list[Any]:
        """Return the rows of texts or encoded images, in one call of the predictor."""
        from contract.predictor import Source

        sources = [Source(item=str(index), kind=self._kind, uri="", data=content) for index, content in enumerate(contents)]
        return list(self._predictor.predict(sources).to_pylist())


def content_of(document: dict[str, Any]) -> bytes:
    """Return what a request of the plain servers carries: a text, or an image in base64."""
    return document["text"].encode() if "text" in document else base64.b64decode(document["image"])


def build(model: str) -> Any:
    """Return the model that a word names: fake-image, fake-text or a folder of weights."""
    return Fake(model.removeprefix("fake-")) if model.startswith("fake-") else Yolo(model)


def _boxes(result: Any) -> list[dict[str, Any]]:
    names = result.names
    rows = zip(result.boxes.xyxy.tolist(), result.boxes.cls.tolist(), result.boxes.conf.tolist(), strict=True)
    return [{"label": names[int(label)], "points": points, "score": score} for points, label, score in rows]
