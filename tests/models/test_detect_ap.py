"""COCO AP through our predictor is that of Ultralytics itself, on photographs that lie beside the checkout."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detect_ap", ROOT / "benchmarks" / "detect_ap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_ap_is_that_of_ultralytics(benchmark: ModuleType) -> None:
    pytest.importorskip("openvino")
    weights = DATA / "weights" / "yolo11n_int8_openvino_model"
    if not weights.is_dir():
        pytest.skip(f"{weights} is not there")
    document = benchmark.compare(DATA / "detection", weights)
    assert document["ap_difference"] <= 0.005
    sides = document["sides"]
    assert sides["ultralytics"]["AP"] > 0.5
    assert sides["goldgate"]["AP"] >= sides["ultralytics"]["AP"] - 0.005
