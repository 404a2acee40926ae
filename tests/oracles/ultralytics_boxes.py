"""Boxes by Ultralytics' own prediction in torch, with its own letterbox and suppression."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contract.predictor import Source
from models.yolo import quiet_ultralytics


class Ultralytics:
    """The same weights in torch by Ultralytics' own prediction, one picture at a time, padded as `rect` says."""

    def __init__(self, weights: Path, settings: Mapping[str, Any], *, rect: bool) -> None:
        self._model = quiet_ultralytics().YOLO(str(weights), task="detect")
        fixed = {"rect": rect, "iou": 0.7, "verbose": False, "device": "cpu"}
        self._options = {"imgsz": 64, **settings, **fixed}

    def predict(self, asked: Sequence[Source]) -> list[list[list[float]]]:
        """Return x, y, w, h, score, class of each box."""
        found = []
        for source in asked:
            bgr = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(source.data or b"")).convert("RGB"))[..., ::-1])
            (result,) = self._model.predict(bgr, **self._options)
            rows = result.boxes.data.double().tolist()
            found.append([[x1, y1, x2 - x1, y2 - y1, score, kind] for x1, y1, x2, y2, score, kind in rows])
        return found


def assert_same(ours: list[dict[str, Any]], theirs: list[list[list[float]]], names: Mapping[int, str]) -> None:
    assert sum(map(len, theirs)) > 10
    for row, boxes in zip(ours, theirs, strict=True):
        assert len(row["boxes"]) == len(boxes)
        for box, wanted in zip(row["boxes"], boxes, strict=True):
            assert box["label"] == names[int(wanted[5])]
            assert [box[key] for key in "xywh"] == pytest.approx(wanted[:4], abs=2e-2)
            assert box["score"] == pytest.approx(wanted[4], abs=1e-5)
