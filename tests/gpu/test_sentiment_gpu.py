"""The bundled sentiment classifier on CUDA beside the same on the CPU."""

from pathlib import Path

import pytest
import torch

from contract.predictor import Source
from contract.tables import Kind
from models.sentiment import SentimentClassifier, SentimentSettings
from models.textfolder import read_model
from models.textpacked import PackedEngine
from models.textruntime import TorchEngine, open_cuda
from tests.oracles.tinytexts import ARCHITECTURES, save

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "bundled" / "review-sentiment"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is present"),
]

TEXTS = ["房间很干净，服务热情", "太失望了，再也不会来", "I loved this film", "A dull, lifeless mess", "一般吧，" * 400]
SOURCES = [Source(str(index), Kind.TEXT, "", content.encode()) for index, content in enumerate(TEXTS * 20)]


def shares(device: str, precision: str, folder: Path = BUNDLED, **more: bool) -> torch.Tensor:
    settings = SentimentSettings.model_validate({"precision": precision, **more})
    predictor = SentimentClassifier(folder, settings=settings)
    predictor.load(device)
    rows = predictor.predict(SOURCES)["sentiments"].to_pylist()
    return torch.tensor([[share for _, share in row[0]["probabilities"]] for row in rows])


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 5e-2)])
def test_cuda_answers_as_the_cpu_does(precision: str, tolerance: float) -> None:
    assert torch.allclose(shares("cuda", precision), shares("cpu", "float32"), atol=tolerance)


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_packed_windows_answer_as_padded_ones_and_as_the_cpu(architecture: str, tmp_path: Path) -> None:
    folder = save(tmp_path, ARCHITECTURES[architecture])
    model, device = read_model(folder, torch.bfloat16), torch.device("cuda")
    assert isinstance(open_cuda(model, device, typed=False), PackedEngine)
    packed = shares("cuda", "bfloat16", folder)
    assert torch.allclose(packed, shares("cuda", "bfloat16", folder, packed=False), atol=5e-2)
    assert torch.allclose(packed, shares("cpu", "float32", folder), atol=5e-2)


def test_in_float32_windows_are_padded() -> None:
    model = read_model(BUNDLED, torch.float32)
    assert isinstance(open_cuda(model, torch.device("cuda"), typed=False), TorchEngine)


def test_precision_is_told_as_used() -> None:
    predictor = SentimentClassifier(BUNDLED, settings=SentimentSettings(precision="bfloat16", runtime="torch"))
    predictor.load("cuda")
    assert predictor.describe().precision == "bfloat16"
    predictor.load("cpu")
    assert predictor.describe().precision == "float32"
