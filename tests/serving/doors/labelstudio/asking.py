"""What Label Studio asks its backend, what is asked about, and what the fakes say of it."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import av
import httpx
import numpy as np
from PIL import Image

from contract.formats.labelstudio.config import label_config
from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.config import ModelSettings, ServeSettings
from tests.oracles.lots import GUIDELINE

CONFIGS = {kind: label_config(kind, GUIDELINE).decode() for kind in Kind}
SETTINGS = ServeSettings(models={kind: ModelSettings(name="fake") for kind in Kind})
FAKES = {kind: FakePredictor(kind, guideline=GUIDELINE) for kind in Kind}


def picture(seed: int, *, size: tuple[int, int] = (64, 48), orientation: int | None = None) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    exif = image.getexif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def film(frames: int = 20, rate: int = 10) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade * 9 % 256, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def inline(content: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def faked(kind: Kind, content: bytes) -> dict[str, Any]:
    """Return what the fake says of `content`, asked without any server."""
    (row,) = FAKES[kind].predict([Source("", kind, "", content)]).to_pylist()
    return cast("dict[str, Any]", row)


Door = Callable[..., httpx.Client]


def asked(kind: Kind, tasks: Sequence[Any], **more: Any) -> dict[str, Any]:
    params = {"login": None, "password": None, "context": None}
    return {"tasks": tasks, "project": "7.1712345678", "label_config": CONFIGS[kind], "params": params, **more}


def task(number: int, **data: Any) -> dict[str, Any]:
    return {"id": number, "data": data, "project": 7, "is_labeled": False}


def results(client: httpx.Client, body: Mapping[str, Any]) -> list[Any]:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["results"]
    return list(answer.json()["results"])
