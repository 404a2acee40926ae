"""Label Studio's ML backend protocol as an OpenAPI document, from the shapes that Label Studio sends and reads."""

from typing import Any, Final

_CONFIGS: Final = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image"><Label value="object"/>'
    "</RectangleLabels></View>",
    '<View><Text name="text" value="$text"/><Choices name="s" toName="text"><Choice value="positive"/></Choices></View>',
    '<View><Video name="v" value="$video"/><TimelineLabels name="t" toName="v"><Label value="cut"/></TimelineLabels></View>',
    "<View>",
    "",
)
_ANY_JSON: Final = {"type": ["null", "boolean", "number", "string", "array", "object"]}
_PICTURE: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
_ADDRESS: Final = {
    "anyOf": [
        {"type": "string", "format": "uri"},
        {"type": "string"},
        {"enum": [_PICTURE, "/data/upload/1/a.png", "/data/local-files/?d=a.png", "s3://bucket/a.png"]},
    ]
}
_TASK: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "data": {"type": "object", "properties": {"image": _ADDRESS, "text": {"type": "string"}, "video": _ADDRESS}},
    },
    "required": ["id", "data"],
}
_CONFIG: Final = {"anyOf": [{"enum": list(_CONFIGS)}, {"type": "string"}]}
_PREDICT: Final = {
    "type": "object",
    "properties": {
        "tasks": {"type": "array", "items": _TASK, "maxItems": 6},
        "project": {"type": "string"},
        "label_config": _CONFIG,
        "params": {"type": "object", "properties": {"context": _ANY_JSON, "hostname": {"type": "string"}}},
    },
    "required": ["tasks"],
}
_SETUP: Final = {
    "type": "object",
    "properties": {
        "project": {"type": "string"},
        "schema": _CONFIG,
        "hostname": {"type": "string"},
        "access_token": {"type": "string"},
        "extra_params": _ANY_JSON,
    },
    "required": ["project", "schema"],
}
_WEBHOOK: Final = {
    "type": "object",
    "properties": {
        "action": {
            "anyOf": [{"enum": ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED"]}, {"type": "string"}]
        },
        "project": {"type": "object", "properties": {"id": {"type": "integer"}, "label_config": _CONFIG}},
        "task": _TASK,
        "annotation": {"type": "object", "properties": {"id": {"type": "integer"}, "result": {"type": "array"}}},
    },
    "required": ["action"],
}


def _post(schema: dict[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"post": {"requestBody": body, "responses": {"default": {"description": "whatever is no 5xx"}}}}


def document(server: str) -> dict[str, Any]:
    """Return the document of the door that stands at the URL `server`."""
    got = {"get": {"responses": {"200": {"description": "it is up"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Label Studio ML backend", "version": "1"},
        "servers": [{"url": server}],
        "paths": {
            "/health": got,
            "/metrics": got,
            "/setup": _post(_SETUP),
            "/predict": _post(_PREDICT),
            "/webhook": _post(_WEBHOOK),
        },
    }
