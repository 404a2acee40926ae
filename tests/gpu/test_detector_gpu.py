"""The detector on CUDA finds what it finds on the CPU."""

import io
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from contract.predictor import Source
from contract.tables import Kind
from models.detector import Detector, from_entry
from models.registry import ModelEntry, find_entry
from models.scenes import render_scene

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def bundled(**settings: object) -> ModelEntry:
    entry = find_entry("scene-detector", Kind.IMAGE)
    if entry.path is None or not Path(entry.path).exists():
        pytest.skip("the bundled detector is not there")
    return entry.model_copy(update={"settings": {**entry.settings, **settings}})


def loaded(device: str, **settings: object) -> Detector:
    detector = from_entry(bundled(**settings))
    detector.load(device)
    return detector


@pytest.mark.parametrize(("half", "slack"), [(False, 0.5), (True, 2.0)])
def test_cuda_finds_what_the_cpu_finds(half: bool, slack: float) -> None:
    pictures = [render_scene(seed)[0] for seed in range(2_000_000, 2_000_032)]
    on_cpu = loaded("cpu", conf=0.5).detect(pictures)
    on_cuda = loaded("cuda", conf=0.5, half=half).detect(pictures)
    different = 0
    for ours, theirs in zip(on_cpu, on_cuda, strict=True):
        for box in ours:
            near = [o for o in theirs if o["label"] == box["label"] and all(abs(o[k] - box[k]) <= slack for k in "xywh")]
            different += not near
    total = sum(map(len, on_cpu))
    assert total > 60
    assert different <= 0.03 * total  # scores at the threshold


def test_cuda_gives_the_same_boxes_each_time() -> None:
    pictures = [render_scene(seed)[0] for seed in range(2_000_000, 2_000_016)]
    detector = loaded("cuda:0")
    assert all(one == two for one, two in pairwise([detector.detect(pictures) for _ in range(3)]))


def jpegs(count: int, **options: object) -> list[Source]:
    found = []
    for seed in range(2_000_000, 2_000_000 + count):
        file = io.BytesIO()
        Image.fromarray(render_scene(seed)[0]).save(file, "JPEG", quality=92, **options)
        found.append(Source(str(seed), Kind.IMAGE, str(seed), file.getvalue()))
    return found


@pytest.mark.parametrize(
    "settings", [{}, {"precision": "fp16"}, {"precision": "bf16"}, {"graphs": True, "batch": 8}, {"plain": True}]
)
def test_jpegs_decoded_on_cuda_give_the_boxes_of_the_cpu(settings: dict[str, object]) -> None:
    sources = jpegs(24)
    sources.insert(5, Source("junk", Kind.IMAGE, "junk", b"\xff\xd8\xffjunk"))
    sources.insert(9, Source("cut", Kind.IMAGE, "cut", (sources[0].data or b"")[:2000]))
    on_cpu = loaded("cpu", conf=0.5).predict(sources).to_pylist()
    on_cuda = loaded("cuda", conf=0.5, **settings).predict(sources).to_pylist()
    assert [row["state"] == "rejected" for row in on_cuda] == [row["state"] == "rejected" for row in on_cpu]
    different = total = 0
    for ours, theirs in zip(on_cpu, on_cuda, strict=True):
        for box in ours["boxes"]:
            close = [
                o for o in theirs["boxes"] if o["label"] == box["label"] and all(abs(o[k] - box[k]) <= 2 for k in "xywh")
            ]
            different, total = different + (not close), total + 1
    assert total > 40
    assert different <= 0.05 * total  # scores at the threshold


def test_a_tensorrt_engine_is_built_judged_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorrt")
    from goldgate.model_building import Order, build_model

    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "pictures").mkdir()
    for source in jpegs(16):
        (tmp_path / "pictures" / f"{source.item}.jpg").write_bytes(source.data or b"")
    build_model("scene-detector", Order("tensorrt", "fp16", "cuda", tmp_path / "pictures"), None)
    engine = loaded("cuda", conf=0.5, engine="tensorrt-fp16")
    assert engine.describe().runtime == "tensorrt"
    assert sum(len(row["boxes"]) for row in engine.predict(jpegs(16)).to_pylist()) > 30
