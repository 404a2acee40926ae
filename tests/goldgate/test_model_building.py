"""Engines made ahead: what they are worth is measured, they are kept by what they are, and refused beyond the limit."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from PIL import Image

import goldgate.model_building
from contract.errors import DeviceError, InputError, WeightsError
from contract.predictor import Source
from contract.tables import Kind
from goldgate.model_building import Order, build_model, judge, read_calibration, read_order
from models.detector import from_entry
from models.engines import find_engine, plan_engine, read_receipt, side_of
from models.registry import ModelEntry, find_entry, weights_of
from models.scenes import CLASSES, render_scene

SCENES = range(3_000_000, 3_000_016)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered scenes with their gold as COCO instances."""
    folder = tmp_path_factory.mktemp("calibration")
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, seed in enumerate(SCENES):
        picture, boxes = render_scene(seed)
        name = f"{number:02}.png"
        Image.fromarray(picture).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": picture.shape[1], "height": picture.shape[0]})
        for box in boxes:
            sides = [float(box[key]) for key in "xywh"]
            annotation = {"image_id": number, "category_id": CLASSES.index(box["label"]), "bbox": sides, "iscrowd": 0}
            annotations.append({"id": len(annotations), "area": sides[2] * sides[3], **annotation})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
    page = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(page), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def scene_detector() -> ModelEntry:
    return find_entry("scene-detector", Kind.IMAGE)


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "engines").glob("*")) + sorted(
        path.name for path in (cache / "engines").glob(".*")
    )


@pytest.mark.filterwarnings("ignore")  # the exporters' own, of many kinds
def test_an_engine_is_made_judged_kept_and_used(
    cache: Path, calibration: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    order = Order("openvino", "fp32", "cpu", calibration)
    assert build_model("scene-detector", order, None) == 0
    printed = capsys.readouterr().out.splitlines()
    weights = weights_of(scene_detector())
    path = find_engine(weights, "openvino-fp32", "cpu")
    assert printed[0] == str(path)
    receipt = read_receipt(path.parent)
    assert receipt is not None
    assert (receipt.weights_sha256, receipt.guard.gold, receipt.guard.figure) == (weights.sha256, "labels", "AP")
    assert receipt.guard.images == len(SCENES)
    assert receipt.guard.torch > 0.5
    assert receipt.guard.change_points <= 0.1

    entry = scene_detector()
    engine = from_entry(entry.model_copy(update={"settings": {**entry.settings, "engine": "openvino-fp32"}}))
    engine.load("cpu")
    described, plain = engine.describe(), from_entry(entry).describe()
    assert (described.runtime, described.precision, described.weights_sha256) == ("openvino", "fp32", plain.weights_sha256)
    assert described.source == f"{plain.source}-openvino-fp32"
    sources = [Source(path.name, Kind.IMAGE, str(path)) for path in sorted((calibration / "images").iterdir())]
    assert any(row["boxes"] for row in engine.predict(sources[:2]).to_pylist())

    agreement = judge(
        plan_engine(weights, runtime="openvino", precision="fp32", device="cpu"),
        path,
        read_calibration(calibration / "images"),
        side=side_of(weights),
    )
    assert (agreement.gold, agreement.figure) == ("agreement", "AP50")
    assert agreement.torch == pytest.approx(1.0, abs=0.02)
    assert agreement.change_points < 1

    before = kept(cache)
    monkeypatch.setattr(goldgate.model_building, "LIMITS", MappingProxyType({"fp32": -1.0}))
    with pytest.raises(WeightsError, match=r"AP of openvino-fp32 is .* on 16 images with labels: .* nothing was kept"):
        build_model("scene-detector", order, None)
    assert kept(cache) == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_int8_is_calibrated(calibration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nncf")
    monkeypatch.setattr(goldgate.model_building, "LIMITS", MappingProxyType({"int8": 5.0}))  # sixteen pictures are few
    build_model("scene-detector", Order("openvino", "int8", "cpu", calibration), None)
    path = find_engine(weights_of(scene_detector()), "openvino-int8", "cpu")
    found = from_entry(ModelEntry(name="eight", kind=Kind.IMAGE, loader="ultralytics", path=path))
    assert found.describe().precision == "int8"
    assert "FakeQuantize" in next(path.glob("*.xml")).read_text(encoding="utf-8")


def test_what_cannot_be_built_is_said_at_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(scene_detector())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="fp16 is not built for cpu; choose one of openvino fp32/bf16/int8"):
        plan_engine(weights, runtime="openvino", precision="fp16", device="cpu")
    with pytest.raises(InputError, match="tensorrt"):
        plan_engine(weights, runtime="tensorrt", precision="fp16", device="cpu")
    with pytest.raises(DeviceError, match="0 CUDA devices"):
        plan_engine(weights, runtime=None, precision=None, device="cuda")
    with pytest.raises(WeightsError, match=r"no openvino-fp32 engine of it .* run `goldgate models build`"):
        find_engine(weights, "openvino-fp32", "cpu")
    entry = scene_detector()
    with pytest.raises(InputError, match="engine"):
        from_entry(entry.model_copy(update={"settings": {"engine": "abacus-fp32"}}))
    with pytest.raises(InputError, match="--runtime abacus is none of"):
        read_order("abacus", None, "cpu", tmp_path)
    with pytest.raises(InputError, match="--precision fp8 is none of"):
        read_order(None, "fp8", "cpu", tmp_path)
    assert not (cache / "engines").exists()


def test_a_calibration_folder_is_read_or_refused(tmp_path: Path, calibration: Path) -> None:
    found = read_calibration(calibration)
    assert len(found.pictures) == len(SCENES)
    assert found.gold is not None
    assert found.classes == CLASSES
    assert read_calibration(calibration / "images").gold is None
    with pytest.raises(InputError, match="no such folder"):
        read_calibration(tmp_path / "none")
    with pytest.raises(InputError, match="holds no pictures"):
        read_calibration(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    page = {"images": [{"id": 1, "file_name": "two.png"}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "gold.json").write_text(json.dumps(page), encoding="utf-8")
    with pytest.raises(InputError, match=r"gold\.json: 1 of its images are not in .*'two\.png'"):
        read_calibration(tmp_path)
    (tmp_path / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="holds 2 JSON files"):
        read_calibration(tmp_path)
