"""What the doors are asked under load: whole requests, the same texts and images for every server."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MULTIPART: Final = "multipart/form-data; boundary=goldgate"
JSON: Final = "application/json"
TURN: Final = "--turn--"  # stands in a body for the number of the request
IMAGE_CONFIG: Final = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">{labels}'
    "</RectangleLabels></View>"
)
TEXT_CONFIG: Final = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text"><Choice value="positive"/>'
    '<Choice value="negative"/></Choices></View>'
)


@dataclass(frozen=True)
class Call:
    """A request in as many variants as there are items; clients take them in turn.

    Args:
        name: door and call.
        path: under the server's address.
        bodies: the variants.
        content_type: of the bodies.
        headers: further ones.
        items: texts or images of one request.
    """

    name: str
    path: str
    bodies: Sequence[bytes]
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    items: int = 1


@dataclass(frozen=True)
class Material:
    """What is labelled.

    Args:
        texts: short reviews.
        images: encoded files.
        hosted: where the images lie for Label Studio, an address for each.
        classes: of the image model.
    """

    texts: Sequence[str]
    images: Sequence[bytes]
    hosted: Sequence[str]
    classes: Sequence[str]


def numbered(body: bytes, number: int) -> bytes:
    """Return the body of a request that names other tasks than every other number does."""
    return body.replace(TURN.encode(), b"%08d" % number)


def read_texts(folder: Path, count: int) -> list[str]:
    """Return reviews, Chinese and English in turn."""
    files = [(folder / name).read_text(encoding="utf-8").splitlines()[1:] for name in ("zh_hotel.csv", "en_phrases.csv")]
    pairs = zip(*files, strict=False)
    return [line.rpartition(",")[0].strip('"') for pair in pairs for line in pair][:count]


def sentiment(material: Material) -> Call:
    """REST: a text a request."""
    bodies = [_json({"text": text}) for text in material.texts]
    return Call("REST /v1/sentiment", "/v1/sentiment", bodies)


def detect(material: Material) -> Call:
    """REST: an image a request, as a file."""
    bodies = [
        b'--goldgate\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + image + b"\r\n--goldgate--\r\n"
        for image in material.images
    ]
    return Call("REST /v1/detect", "/v1/detect", bodies, MULTIPART)


def labelstudio_texts(material: Material, *, prefix: str = "/labelstudio") -> Call:
    """Label Studio: a task with a text a request."""
    bodies = [_tasks([{"text": text}], index, TEXT_CONFIG) for index, text in enumerate(material.texts)]
    return Call("Label Studio /predict, text", f"{prefix}/predict", bodies)


def labelstudio_images(material: Material, *, tasks: int, prefix: str = "/labelstudio") -> Call:
    """Label Studio: tasks whose images lie on its server, each asked for once in a project's life."""
    config = image_config(material.classes)
    addresses = [f"{address}?task={TURN}" for address in material.hosted]
    groups = [addresses[start : start + tasks] for start in range(0, len(addresses) - tasks + 1, tasks)]
    bodies = [_tasks([{"image": address} for address in group], index * tasks, config) for index, group in enumerate(groups)]
    return Call(f"Label Studio /predict, {tasks} image(s)", f"{prefix}/predict", bodies, items=tasks)


def cvat(material: Material, *, function: str) -> Call:
    """CVAT: a frame a request, by the dashboard's address."""
    bodies = [_json({"image": base64.b64encode(image).decode(), "threshold": 0.3}) for image in material.images]
    headers = (("x-nuclio-function-name", function), ("x-nuclio-path", "/"))
    return Call("CVAT function_invocations", "/cvat/api/function_invocations", bodies, headers=headers)


def xanylabeling(material: Material, *, model: str) -> Call:
    """X-AnyLabeling: an image a request."""
    bodies = [
        _json({"model": model, "image": f"data:image/jpeg;base64,{base64.b64encode(image).decode()}", "params": {}})
        for image in material.images
    ]
    return Call("X-AnyLabeling /v1/predict", "/xanylabeling/v1/predict", bodies)


def image_config(classes: Sequence[str]) -> str:
    """Return a labelling interface with the classes."""
    return IMAGE_CONFIG.format(labels="".join(f'<Label value="{name}"/>' for name in classes))


def plain_texts(material: Material) -> Call:
    """Return the call of the peers' servers that label a text."""
    return Call("/predict, text", "/predict", [_json({"text": text}) for text in material.texts])


def plain_images(material: Material) -> Call:
    """Return the call of the peers' servers that label an image, in base64."""
    bodies = [_json({"image": base64.b64encode(image).decode()}) for image in material.images]
    return Call("/predict, image", "/predict", bodies)


def _tasks(data: Sequence[dict[str, str]], first: int, config: str) -> bytes:
    tasks = [{"id": first + index, "data": each} for index, each in enumerate(data)]
    params = {"login": None, "password": None, "context": None}
    return _json({"tasks": tasks, "project": "1.1700000000", "label_config": config, "params": params})


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
