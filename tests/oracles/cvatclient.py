"""CVAT's side of its automatic annotation, as far as it reads what a Nuclio dashboard answers; written from its contract.

One frame at a time, the original file in base64; whatever is not as it must be raises, as it would fail CVAT's whole job.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

KINDS = {"detector", "interactor", "reid", "tracker"}
HEADERS = {
    "x-nuclio-project-name": "cvat",
    "x-nuclio-function-namespace": "nuclio",
    "x-nuclio-invoke-via": "domain-name",
    "x-nuclio-invoke-timeout": "120s",
}


class BadFunctionError(Exception):
    """CVAT would not list the function."""


@dataclass(frozen=True)
class TaskLabel:
    """A label of a task; attribute name -> its input type, and what it may be where that is a choice."""

    name: str
    type: str = "any"
    attributes: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """What CVAT keeps of a function."""

    name: str
    kind: str
    version: int
    description: str
    port: int | None
    labels: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, item: dict[str, Any]) -> "Listed":
        notes = item["metadata"]["annotations"]
        if notes.get("type") not in KINDS:
            raise BadFunctionError(f"type {notes.get('type')!r}")
        labels: dict[str, dict[str, Any]] = {}
        for label in json.loads(notes.get("spec") or "[]"):
            if label["name"] in labels:
                raise BadFunctionError(f"two labels {label['name']!r}")
            names = [attribute["name"] for attribute in label.get("attributes", [])]
            if len(names) != len(set(names)):
                raise BadFunctionError(f"two attributes of one name in {label['name']!r}")
            for attribute in label.get("attributes", []):
                if attribute["input_type"] not in {"text", "number", "checkbox", "select", "radio"}:
                    raise BadFunctionError(f"input type {attribute['input_type']!r}")
                if not isinstance(attribute["values"], list):
                    raise BadFunctionError("values is no list")
            labels[label["name"]] = {"type": label.get("type", "unknown"), "attributes": names}
        port = item["status"].get("httpPort")
        return cls(
            name=item["metadata"]["name"],
            kind=notes["type"],
            version=int(notes.get("version", "1")),
            description=item["spec"]["description"],
            port=port,
            labels=labels,
        )


def takes(value: str, input_type: str, choices: tuple[str, ...]) -> bool:
    """Tell whether an attribute of a task takes `value`, which CVAT asks of text alone."""
    if not isinstance(value, str):
        raise TypeError(f"an attribute's value is {value!r}, which has no isnumeric")
    if input_type == "number":
        return value.isnumeric()
    if input_type == "checkbox":
        return value in {"true", "false"}
    if input_type in {"select", "radio"}:
        return value in choices
    return input_type == "text"


class Cvat:
    """The part of a CVAT server that speaks to a dashboard at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(headers=HEADERS, timeout=60, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def functions(self) -> list[Listed]:
        answer = self._http.get(f"{self._url}/api/functions")
        answer.raise_for_status()
        document = answer.json()
        assert all(name == item["metadata"]["name"] for name, item in document.items())
        return [Listed.read(item) for item in document.values()]

    def function(self, name: str) -> Listed:
        answer = self._http.get(f"{self._url}/api/functions/{name}")
        answer.raise_for_status()
        return Listed.read(answer.json())

    def call(self, function: Listed, content: bytes, *, threshold: float | None = None, direct: str | None = None) -> Any:
        """Return what one frame is answered with; `direct` calls the function at that address, without the dashboard."""
        body: dict[str, Any] = {"image": base64.b64encode(content).decode()}
        if threshold:
            body["threshold"] = threshold
        if direct is not None:
            answer = self._http.post(direct, json=body)
        else:
            headers = {"x-nuclio-function-name": function.name, "x-nuclio-path": "/"}
            answer = self._http.post(f"{self._url}/api/function_invocations", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def annotate(
        self, function: Listed, frames: list[bytes], labels: list[TaskLabel], *, threshold: float | None = None
    ) -> list[list[dict[str, Any]]]:
        """Return the shapes that a task of `frames` gets, by CVAT's default mapping of labels and attributes."""
        by_name = {
            label.name: label
            for label in labels
            if label.name in function.labels and label.type in {"any", function.labels[label.name]["type"]}
        }
        return [
            [
                _kept(item, by_name[item["label"]])
                for item in self.call(function, frame, threshold=threshold)
                if item["label"] in by_name
            ]
            for frame in frames
        ]


def _kept(item: dict[str, Any], label: TaskLabel) -> dict[str, Any]:
    assert item["type"] == "rectangle", "a detector of boxes answers rectangles"
    points = item["points"]
    assert len(points) == 4
    assert all(isinstance(number, (int, float)) for number in points)
    attributes = {
        each["name"]: each["value"]
        for each in item.get("attributes", [])
        if each["name"] in label.attributes and takes(each["value"], *label.attributes[each["name"]])
    }
    return {"label": label.name, "points": points, "attributes": attributes, "rotation": item.get("rotation", 0)}
