"""The detector: safe weights, the guideline's classes, honest rejects, the same bytes for the same chunk."""

import io
import json
import logging
import zipfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import models.yolo
from contract.answers import check_answer
from contract.errors import DeviceError, InputError, WeightsError
from contract.guideline import Guideline, LabelDefinition
from contract.predictor import Predictor, Source
from contract.tables import Kind, State
from models.detector import Detector, from_entry
from models.exports import read_facts
from models.registry import ModelEntry, build_predictor
from models.scenes import CLASSES, render_scene
from models.train_detector import write_architecture
from models.yolo import quiet_ultralytics

LOW = {"conf": 0.0001, "max_det": 20, "imgsz": 64}  # random weights are sure of nothing


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a detector with random weights in Ultralytics' own form."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(7)
    module = quiet_ultralytics()
    model = module.YOLO(str(write_architecture(folder)), task="detect")
    model.model.names = dict(enumerate(CLASSES))
    model.save(str(folder / "tiny.pt"))
    return folder / "tiny.pt"


def entry_of(path: Path, **settings: Any) -> ModelEntry:
    return ModelEntry(name="tiny", kind=Kind.IMAGE, loader="ultralytics", path=path, settings={**LOW, **settings})


@pytest.fixture(scope="module")
def detector(weights: Path) -> Detector:
    found = from_entry(entry_of(weights))
    found.load("cpu")
    return found


def png(picture: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", **options)
    return file.getvalue()


def scenes(count: int, *, width: int = 96, height: int = 80) -> list[Source]:
    pictures = [render_scene(seed, width=width + 8 * (seed % 3), height=height)[0] for seed in range(count)]
    return [Source(f"s{seed}", Kind.IMAGE, f"s{seed}.png", png(picture)) for seed, picture in enumerate(pictures)]


def test_boxes_lie_within_the_image_and_fall_by_score(detector: Detector) -> None:
    assert isinstance(detector, Predictor)
    sources = scenes(5)
    answer = check_answer(Kind.IMAGE, sources, detector.predict(sources))
    rows = answer.to_pylist()
    assert any(row["boxes"] for row in rows)
    for seed, row in enumerate(rows):
        scores = [box["score"] for box in row["boxes"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= 20
        for box in row["boxes"]:
            assert box["label"] in CLASSES
            assert box["w"] > 0
            assert box["h"] > 0
            assert 0 <= box["x"] <= box["x"] + box["w"] <= 96 + 8 * (seed % 3)
            assert 0 <= box["y"] <= box["y"] + box["h"] <= 80


def test_the_same_chunk_gives_the_same_bytes(detector: Detector, weights: Path) -> None:
    sources = scenes(6)
    first = detector.predict(sources)
    assert detector.predict(sources).equals(first)
    another = from_entry(entry_of(weights))
    another.load("cpu")
    assert another.predict(sources).equals(first)
    assert another.describe() == detector.describe()


def test_what_cannot_be_decoded_never_fails_its_neighbours(detector: Detector, tmp_path: Path) -> None:
    good = scenes(4)
    (tmp_path / "cut.png").write_bytes((good[0].data or b"")[:200])
    bad = [
        Source("junk", Kind.IMAGE, "junk", b"junk"),
        Source("cut", Kind.IMAGE, str(tmp_path / "cut.png")),
        Source("none", Kind.IMAGE, str(tmp_path / "none.png")),
        Source("far", Kind.IMAGE, "s3://bucket/a.png"),
    ]
    mixed = [good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[3], good[3]]
    rows = {row["item"]: row for row in check_answer(Kind.IMAGE, mixed, detector.predict(mixed)).to_pylist()}
    assert [rows[source.item]["state"] for source in bad] == [State.REJECTED.value] * 4
    assert all(rows[source.item]["reason"] and not rows[source.item]["boxes"] for source in bad)
    clean = detector.predict(good).to_pylist()
    assert [rows[source.item] for source in good] == clean
    assert detector.predict(bad[:1]).num_rows == 1
    assert detector.predict([]).num_rows == 0


def test_boxes_are_those_of_the_upright_picture(detector: Detector) -> None:
    picture = render_scene(4, width=96, height=64)[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = Source("a", Kind.IMAGE, "a", png(np.rot90(picture), exif=exif))
    upright = Source("a", Kind.IMAGE, "a", png(picture))
    assert detector.predict([sideways]).equals(detector.predict([upright]))
    assert detector.detect([picture])[0] == detector.predict([upright]).to_pylist()[0]["boxes"]


def test_batches_do_not_show_in_the_answer(detector: Detector, weights: Path) -> None:
    sources = scenes(7)
    narrow = from_entry(entry_of(weights, batch=2, decode_threads=1))
    narrow.load("cpu")
    for one, two in zip(detector.predict(sources).to_pylist(), narrow.predict(sources).to_pylist(), strict=True):
        assert [box["label"] for box in one["boxes"]] == [box["label"] for box in two["boxes"]]
        for a, b in zip(one["boxes"], two["boxes"], strict=True):
            assert [a[key] for key in "xywh"] == pytest.approx([b[key] for key in "xywh"], abs=1e-2)


def with_guideline(weights: Path, *definitions: LabelDefinition) -> Detector:
    found = Detector(entry_of(weights))
    found._guideline = Guideline(version="1", classes=definitions)
    return found


def test_the_guidelines_classes_are_joined_by_name(weights: Path) -> None:
    found = with_guideline(
        weights,
        LabelDefinition(name="round", definition="a circle", model_names=("circle",)),
        LabelDefinition(name="Star", definition="a star"),
        LabelDefinition(name="moon", definition="no class of the model"),
    )
    found.load("cpu")
    described = found.describe()
    assert described.classes == ("round", "Star")
    assert described.settings["model_classes_dropped"] == "square, triangle"
    assert described.settings["guideline_classes_uncovered"] == "moon"
    labels = {box["label"] for row in found.predict(scenes(4)).to_pylist() for box in row["boxes"]}
    assert labels
    assert labels <= {"round", "Star"}


def test_a_detector_that_shares_no_class_is_refused(weights: Path) -> None:
    found = with_guideline(weights, LabelDefinition(name="moon", definition="no class of the model"))
    with pytest.raises(WeightsError, match="none of its 4 classes is in the guideline"):
        found.load("cpu")


def test_settings_are_checked_and_used(weights: Path) -> None:
    with pytest.raises(InputError, match="confidence"):
        from_entry(entry_of(weights, confidence=0.5))
    strict = from_entry(entry_of(weights, conf=0.99))
    with pytest.raises(InputError, match="not loaded"):
        strict.detect([np.zeros((8, 8, 3), np.uint8)])
    strict.load("cpu")
    assert [row["state"] for row in strict.predict(scenes(2)).to_pylist()] == [State.EMPTY.value] * 2


def test_changed_weights_are_seen_at_load(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(weights.read_bytes())
    pinned = entry_of(path).model_copy(update={"sha256": from_entry(entry_of(path)).describe().weights_sha256})
    found = from_entry(pinned)
    path.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="differs"):
        found.load("cpu")


# What must not be loaded


class _Runs:
    """A pickle that would write a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


def test_a_pickle_that_runs_code_is_refused_before_it_runs(tmp_path: Path) -> None:
    torch.save({"model": _Runs(tmp_path / "ran")}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=r"bad\.pt: its pickle would import .*touch|would import"):
        build_predictor(str(tmp_path / "bad.pt"), Kind.IMAGE).load("cpu")
    assert not (tmp_path / "ran").exists()


def test_a_yolov5_pickle_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yolov5 = type("DetectionModel", (nn.Module,), {"__module__": "models.yolo"})
    monkeypatch.setattr(models.yolo, "DetectionModel", yolov5, raising=False)
    torch.save({"model": yolov5()}, tmp_path / "five.pt")
    with pytest.raises(WeightsError, match="YOLOv5-family pickle"):
        build_predictor(str(tmp_path / "five.pt"), Kind.IMAGE).load("cpu")


def test_damaged_and_foreign_files_are_refused(tmp_path: Path, weights: Path) -> None:
    cases: dict[str, tuple[bytes, str]] = {
        "text.pt": (b"hello", "no PyTorch checkpoint"),
        "empty.pt": (b"", "no PyTorch checkpoint"),
        "cut.pt": (weights.read_bytes()[:5000], "no PyTorch checkpoint"),
        "junk.onnx": (b"junk", "not a loadable ONNX model"),
        "junk.engine": (b"junk", "no header"),
        "model.h5": (b"junk", "is a .pt, .onnx or .engine file"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=words):
            from_entry(entry_of(tmp_path / name)).load("cpu")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(WeightsError, match="damaged"):
        from_entry(entry_of(tmp_path / "zip.pt")).load("cpu")
    torch.save({"state": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match="holds no Ultralytics model"):
        from_entry(entry_of(tmp_path / "state.pt")).load("cpu")


def test_an_engine_needs_cuda(tmp_path: Path) -> None:
    header = json.dumps({"names": {"0": "cat"}, "task": "detect", "args": {"half": True}}).encode()
    path = tmp_path / "a.engine"
    path.write_bytes(len(header).to_bytes(4, "little") + header + b"engine")
    found = from_entry(entry_of(path))
    assert (found.describe().runtime, found.describe().precision, found.describe().classes) == ("tensorrt", "fp16", ("cat",))
    with pytest.raises(DeviceError, match="needs CUDA"):
        found.load("cpu")


def test_cuda_asked_for_and_absent_is_an_error(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="0 CUDA devices are present"):
        from_entry(entry_of(weights)).load("cuda")


# Exported forms


@pytest.mark.filterwarnings("ignore")  # the exporters' own, of many kinds
@pytest.mark.parametrize(("form", "runtime"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_exported_weights_give_the_same_boxes(
    weights: Path, detector: Detector, form: str, runtime: str, tmp_path: Path
) -> None:
    pytest.importorskip(runtime)
    copy = tmp_path / "tiny.pt"
    copy.write_bytes(weights.read_bytes())
    exported = Path(quiet_ultralytics().YOLO(str(copy)).export(format=form, imgsz=64, dynamic=False))
    facts = read_facts(exported)
    assert (facts.runtime, dict(facts.names)) == (runtime, dict(enumerate(CLASSES)))
    found = from_entry(entry_of(exported))
    found.load("auto" if form == "openvino" else "cpu")
    pictures = [render_scene(seed, width=64, height=64)[0] for seed in range(3)]
    for ours, theirs in zip(found.detect(pictures), detector.detect(pictures), strict=True):
        assert best_scores(ours) == pytest.approx(best_scores(theirs), abs=2e-3)
    if form == "openvino":
        with pytest.raises(DeviceError):
            from_entry(entry_of(exported)).load("cuda")


def best_scores(boxes: Sequence[dict[str, Any]]) -> list[float]:
    return [box["score"] for box in boxes[:5]]


def test_a_busy_machine_loses_no_boxes(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.utils import nms

    sources = scenes(6)
    calm = detector.predict(sources)
    hours = count(0, 3600)
    monkeypatch.setattr(nms, "time", SimpleNamespace(time=lambda: next(hours)))
    assert detector.predict(sources).equals(calm)
    assert next(hours) > 6 * 3600


def test_ultralytics_stays_quiet_and_leaves_pillow_alone(detector: Detector) -> None:
    from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS

    assert not SETTINGS["sync"]
    assert not AUTOINSTALL
    assert not ONLINE
    assert logging.getLogger("ultralytics").getEffectiveLevel() >= logging.ERROR
    assert Image.open.__module__ == "PIL.Image"
