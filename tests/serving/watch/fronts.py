"""Fronts on the fake models, without Ray, for the tests of this room."""

import io

import numpy as np
from PIL import Image

from contract.tables import Kind
from models.fake import FakePredictor
from serving.backend import LaneBackend
from serving.config import Limits, ServeSettings
from serving.lanes import local_backend


def settings(**limits: int) -> ServeSettings:
    plain = ServeSettings.of(dict.fromkeys(Kind, "fake"), device="cpu")
    return plain.model_copy(update={"limits": Limits(**limits)})


def fakes(**limits: int) -> LaneBackend:
    return local_backend({kind: FakePredictor(kind) for kind in Kind}, settings(**limits))


def picture(seed: int, width: int = 64, height: int = 48) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
