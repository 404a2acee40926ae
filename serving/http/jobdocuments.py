"""What the calls about jobs look like in the OpenAPI document."""

from typing import Any, Final

from pydantic import BaseModel

from serving.http.orders import OrderBody
from serving.jobs import JobStatus


class JobList(BaseModel):
    """Answer of GET /v1/jobs."""

    jobs: list[JobStatus]


_ID: Final = "5f2b8c1de0a94b7d8f6a3c2b1e0d9f87"

_STATUS: Final[dict[str, Any]] = {
    "id": _ID,
    "contract": "DEMO-2025",
    "lot": "week-1",
    "state": "running",
    "stage": "prelabel",
    "revision": 17,
    "cancel_requested": False,
    "items": 100000,
    "done": 25600,
    "labelled": 24012,
    "empty": 1570,
    "rejected": 18,
    "refused_at_intake": {"corrupt": 3},
    "items_per_s": 28.0,
    "seconds_left": 2657.1,
    "due": "2030-01-15",
    "in_time": True,
    "run": None,
    "reason": None,
    "created": "2030-01-02T08:00:00Z",
    "started": "2030-01-02T08:00:01Z",
    "ended": None,
}


def _example(value: object, description: str) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}, "description": description}


JOB: Final = _example(_STATUS, "The job")
JOBS: Final = _example({"jobs": [_STATUS]}, "All jobs")
REJECTS: Final = _example(
    {
        "total": 2,
        "offset": 0,
        "rejects": [
            {"item": "a.jpg", "by": "intake", "reason": "truncated", "detail": "the image ends before its last row"},
            {"item": "b.jpg", "by": "model", "reason": "model", "detail": "cannot be decoded"},
        ],
    },
    "A page of them",
)


def order_request() -> dict[str, Any]:
    """Return the request body of POST /v1/jobs for OpenAPI."""
    schema = OrderBody.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")
    properties = schema["properties"]
    # A body's own definitions would be references into the document, so what they stand for is in their place.
    properties["images"]["items"] = parts["OrderedImage"]
    properties["texts"]["items"] = {"anyOf": [{"type": "string"}, parts["OrderedText"]]}
    examples = {
        "paths": {"contract": "DEMO-2025", "lot": "week-1", "sources": ["/data/week-1/images"]},
        "inline": {
            "contract": "DEMO-2025",
            "lot": "talk",
            "texts": ["很好用", {"item": "r2", "text": "Broke after a week."}],
        },
    }
    multipart = {
        "schema": {
            "type": "object",
            "properties": {
                "contract": {"type": "string", "description": "Id, or the document as JSON"},
                "lot": {"type": "string"},
                "file": {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}},
            },
            "required": ["contract", "lot"],
        }
    }
    json_body = {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}
    return {"requestBody": {"required": True, "content": {"application/json": json_body, "multipart/form-data": multipart}}}
