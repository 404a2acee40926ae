"""label-studio-ml's own server with a model that does what its YOLO example does: a call of the model for each task.

MODEL=weights gunicorn --workers 1 --threads 8 --timeout 0 benchmarks.serving.peers.labelstudioml:app
"""

import os
import tempfile
from typing import Any

from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase

from benchmarks.serving.peers.yolo import Yolo, build

MODEL = build(os.environ["MODEL"])


class Backend(LabelStudioMLBase):  # type: ignore[misc]
    """Labels tasks one by one; files come by `get_local_path`, which keeps what it has fetched."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_version = "1"

    def predict(self, tasks: list[dict[str, Any]], **_: Any) -> list[dict[str, Any]]:
        """Return a prediction for each task."""
        return [{"model_version": self.model_version, "result": self._regions(task)} for task in tasks]

    def _regions(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        if "text" in task["data"]:
            (row,) = MODEL.label_encoded([task["data"]["text"].encode()])
            return [
                {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [each["label"]]}}
                for each in row["sentiments"]
            ]
        path = self.get_local_path(task["data"]["image"], project_dir=tempfile.gettempdir())
        if isinstance(MODEL, Yolo):
            (boxes,) = MODEL.predict(path)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - as the example does
                boxes = MODEL.label_encoded([file.read()])[0]["boxes"]
        return [
            {
                "from_name": "label",
                "to_name": "image",
                "type": "rectanglelabels",
                "score": box["score"],
                "value": {"rectanglelabels": [box["label"]], **_percent(box)},
            }
            for box in boxes
        ]


def _percent(box: dict[str, Any]) -> dict[str, float]:
    points = box.get("points") or [box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]
    left, top, right, bottom = points
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


app = init_app(Backend, model_dir=tempfile.mkdtemp())
