"""X-AnyLabeling's side of a remote server, as far as labels can be lost by it; written from how it behaves.

It never looks at `success`. Whatever goes wrong (a timeout, a status of 4xx or 5xx, a field that is not there) becomes
"no shapes" under the person's own replace setting, which is on by default; the batch writer then writes them down.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

CORNERS_OF_A_RECTANGLE = 4


@dataclass
class Result:
    """What a prediction comes to: `replace` decides whether the file's own shapes go."""

    shapes: list[dict[str, Any]]
    replace: bool
    description: str = ""


@dataclass
class RemoteServer:
    """The client at `url`, with the settings that a person has made in the program."""

    url: str
    key: str = ""
    timeout_s: float = 30.0
    replace: bool = True
    model: str = ""
    params: dict[str, Any] = field(
        default_factory=lambda: {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001}
    )
    failures: list[str] = field(default_factory=list)

    def models(self) -> dict[str, Any]:
        try:
            answer = httpx.get(f"{self.url}/v1/models", headers=self._headers, timeout=self.timeout_s)
            answer.raise_for_status()
            return dict(answer.json().get("data", {}))
        except (httpx.HTTPError, ValueError) as error:
            self.failures.append(repr(error))
            return {}

    def predict(self, image: Path) -> Result:
        encoded = base64.b64encode(image.read_bytes()).decode()
        body = {"model": self.model, "image": f"data:image/png;base64,{encoded}", "params": self.params}
        try:
            answer = httpx.post(f"{self.url}/v1/predict", json=body, headers=self._headers, timeout=self.timeout_s)
            answer.raise_for_status()
            data = answer.json().get("data", {})
            shapes = [_read(each) for each in data.get("shapes", [])]
            replace = data.get("replace")
            return Result(shapes, self.replace if replace is None else replace, data.get("description", ""))
        except (httpx.HTTPError, ValueError, KeyError, AttributeError) as error:
            self.failures.append(repr(error))
            return Result([], self.replace)

    def run_all(self, images: list[Path]) -> None:
        """Predict on each image and write its label file, as the batch does."""
        for image in images:
            _write(image.with_suffix(".json"), image, self.predict(image))

    @property
    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", "Token": self.key}


def _read(shape: dict[str, Any]) -> dict[str, Any]:
    points = [[float(point[0]), float(point[1])] for point in shape["points"]]
    if shape["shape_type"] == "rectangle":
        assert len(points) == CORNERS_OF_A_RECTANGLE, "a rectangle of this program has four corners"
    return {
        "label": shape["label"],
        "shape_type": shape["shape_type"],
        "points": points,
        "score": shape.get("score"),
        "attributes": shape.get("attributes", {}),
        "description": shape.get("description"),
        "difficult": shape.get("difficult", False),
        "group_id": shape.get("group_id"),
        "flags": shape.get("flags"),
        "kie_linking": shape.get("kie_linking", []),
    }


def _write(file: Path, image: Path, result: Result) -> None:
    if not file.exists():
        document: dict[str, Any] = {
            "version": "3",
            "flags": {},
            "shapes": result.shapes,
            "imagePath": image.name,
            "imageData": None,
        }
        file.write_text(json.dumps({**document, "description": result.description}), encoding="utf-8")
        return
    document = json.loads(file.read_text(encoding="utf-8"))
    if result.replace:
        document["shapes"], document["description"] = result.shapes, result.description
    else:
        document["shapes"] += result.shapes
        document["description"] = document.get("description", "") + result.description
    file.write_text(json.dumps(document), encoding="utf-8")
