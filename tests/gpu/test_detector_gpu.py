"""The detector on CUDA finds what it finds on the CPU."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

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
