"""What callers get back, and the pages of it: response types and the examples of the OpenAPI document."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from contract.predictor import Description
from contract.tables import TASKS_OF_KIND, Kind
from serving.http.lines import MEDIA_TYPE as LINES_MEDIA_TYPE
from serving.http.problems import MEDIA_TYPE as PROBLEM_MEDIA_TYPE
from serving.http.problems import Problem
from serving.http.uploads import DetectBody, SentimentBody, VideoBody
from serving.http.wire import MEDIA_TYPE as ARROW_MEDIA_TYPE


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class Result(BaseModel):
    """One item of the call: labelled, empty, or rejected with a reason."""

    item: str
    state: str
    reason: str | None = None


class Box(BaseModel):
    """Pixels after EXIF orientation; x, y is the top-left corner."""

    label: str
    x: float
    y: float
    w: float
    h: float
    score: float | None


class ImageResult(Result):
    """Boxes of one image."""

    boxes: list[Box]


class Sentiment(BaseModel):
    """A label, its probability, and those of all labels."""

    label: str
    score: float | None
    probabilities: dict[str, float] | None


class TextResult(Result):
    """Sentiment of one text."""

    sentiments: list[Sentiment]


class Shot(BaseModel):
    """Frames from 0; `end_frame` and `end_s` are exclusive; `transition` says how the shot begins."""

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    transition: str


class Keyframe(BaseModel):
    """A frame that stands for its shot."""

    frame: int
    time_s: float
    score: float | None


class Event(BaseModel):
    """Something of the guideline that happens; ends are exclusive."""

    label: str
    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    score: float | None


class VideoResult(Result):
    """Shots, keyframes and events of one video."""

    shots: list[Shot]
    keyframes: list[Keyframe]
    events: list[Event]


class DetectAnswer(BaseModel):
    """Answer of /v1/detect."""

    model: ModelName
    results: list[ImageResult]


class SentimentAnswer(BaseModel):
    """Answer of /v1/sentiment."""

    model: ModelName
    results: list[TextResult]


class VideoAnswer(BaseModel):
    """Answer of /v1/video."""

    model: ModelName
    results: list[VideoResult]


class ModelList(BaseModel):
    """Answer of /v1/models."""

    models: list[Description]


class Health(BaseModel):
    """Answer of /healthz and /readyz."""

    status: str


def answer_document(kind: Kind, model: Description, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows of `contract.answers` as the JSON document of a call; a `reason` only where there is one."""
    return {"model": {"name": model.name, "version": model.version}, "results": [result_document(kind, row) for row in rows]}


def result_document(kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `contract.answers` as JSON has it."""
    result: dict[str, Any] = {"item": row["item"], "state": row["state"]}
    if row["reason"] is not None:
        result["reason"] = row["reason"]
    for task in TASKS_OF_KIND[kind]:
        result[task.value] = [_value(value) for value in row[task.value]]
    return result


def _value(value: Mapping[str, Any]) -> dict[str, Any]:
    """Arrow gives a map as pairs; JSON has objects."""
    pairs = value.get("probabilities")
    return {**value, "probabilities": dict(pairs)} if pairs is not None else dict(value)


_MULTIPART: Final = {
    "schema": {
        "type": "object",
        "properties": {
            "file": {
                "type": "array",
                "items": {"contentMediaType": "application/octet-stream"},  # bytes have no type in OpenAPI 3.1
                "minItems": 1,
            }
        },
        "required": ["file"],
    }
}

_IMAGE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def _json_body(body: type[BaseModel], examples: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": body.model_json_schema(), "examples": {name: {"value": value} for name, value in examples.items()}}


def _lines_body(*lines: Mapping[str, Any]) -> dict[str, Any]:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return {LINES_MEDIA_TYPE: {"example": text}}


def _request(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": dict(content)}}


def detect_request() -> dict[str, Any]:
    """Return the request body of /v1/detect for OpenAPI."""
    examples = {
        "one": {"images": [{"data": _IMAGE}]},
        "several": {"images": [{"item": "a", "data": _IMAGE}, {"data": _IMAGE}]},
        "by address": {"images": [{"uri": f"data:image/png;base64,{_IMAGE}"}]},
    }
    schema = _json_body(DetectBody, examples)
    # A body's own definitions would be references into the document, so the one there is stands in its place.
    properties = schema["schema"]["properties"]["images"]
    properties["items"] = schema["schema"].pop("$defs")["EncodedImage"]
    lines = _lines_body({"item": "a", "data": _IMAGE}, {"data": _IMAGE})
    return _request({"multipart/form-data": _MULTIPART, "application/json": schema, **lines})


def sentiment_request() -> dict[str, Any]:
    """Return the request body of /v1/sentiment for OpenAPI."""
    examples = {"one": {"text": "The battery lasts for days."}, "several": {"texts": ["很好用", "Broke after a week."]}}
    lines = _lines_body({"item": "r1", "text": "很好用"}, {"text": "Broke after a week."})
    return _request({"application/json": _json_body(SentimentBody, examples), **lines})


def video_request() -> dict[str, Any]:
    """Return the request body of /v1/video for OpenAPI."""
    examples = {"path": {"path": "/data/videos/street.mp4"}}
    lines = _lines_body({"path": "/data/videos/street.mp4"})
    return _request({"multipart/form-data": _MULTIPART, "application/json": _json_body(VideoBody, examples), **lines})


def predict_request() -> dict[str, Any]:
    """Return the request body of /v1/predict for OpenAPI."""
    return _request({ARROW_MEDIA_TYPE: {"schema": {"contentMediaType": ARROW_MEDIA_TYPE}}})


_MODEL: Final = {"name": "scene-detector", "version": "1f0c2a9b"}

EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "detect": {
        "model": _MODEL,
        "results": [
            {
                "item": "a.jpg",
                "state": "labelled",
                "boxes": [{"label": "car", "x": 12.5, "y": 40.0, "w": 64.0, "h": 31.5, "score": 0.91}],
            },
            {"item": "b.jpg", "state": "rejected", "reason": "cannot be decoded (truncated file)", "boxes": []},
        ],
    },
    "sentiment": {
        "model": {"name": "review-sentiment", "version": "77aa0d31"},
        "results": [
            {
                "item": "0",
                "state": "labelled",
                "sentiments": [
                    {
                        "label": "positive",
                        "score": 0.97,
                        "probabilities": {"positive": 0.97, "neutral": 0.02, "negative": 0.01},
                    }
                ],
            }
        ],
    },
    "video": {
        "model": {"name": "shots", "version": "1"},
        "results": [
            {
                "item": "street.mp4",
                "state": "labelled",
                "shots": [{"start_frame": 0, "end_frame": 75, "start_s": 0.0, "end_s": 3.0, "transition": "start"}],
                "keyframes": [{"frame": 31, "time_s": 1.24, "score": 0.8}],
                "events": [],
            }
        ],
    },
}


def responses(statuses: Sequence[int], example: Mapping[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses: problems at `statuses`, and an example of a good one."""
    problem = {
        "description": "One sentence of what is wrong",
        "content": {PROBLEM_MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    documented: dict[int | str, dict[str, Any]] = dict.fromkeys(statuses, problem)
    if example is not None:
        documented[200] = {"content": {"application/json": {"example": dict(example)}}}
        if "results" in example:
            lines = "".join(json.dumps({"line": n, **row}) + "\n" for n, row in enumerate(example["results"], 1))
            # OpenAPI 3.1 has no schema for a sequence of documents.
            documented[200]["content"][LINES_MEDIA_TYPE] = {"example": lines}
    return documented
