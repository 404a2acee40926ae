"""COCO's reading on CUDA has the arrays of the CPU and of pycocotools, to the bit."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from contract.tables import Task
from qa import defaults
from qa.coco import cuda_kernel as coco_cuda
from qa.coco import device as coco_device
from qa.coco import evaluation as coco
from qa.coco import tensor_curves as coco_torch_curves
from qa.coco import tensor_match as coco_torch_match
from qa.coco import tensors as coco_torch
from qa.pairing.boxes import BoxColumns
from qa.pairing.iou import Device
from qa.score_boxes import score_boxes
from tests.oracles.cocosets import (
    DATA,
    CocoSet,
    assert_same,
    coco_sets,
    demo_set,
    drawn,
    overlaps_at_the_thresholds,
    pycocotools_arrays,
    ties_of_overlap,
)
from tests.oracles.labelsets import box, label_set

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def on_cuda(case: CocoSet) -> coco.CocoArrays:
    return coco_torch.evaluate(case.gold, case.detections, scores=case.scores, classes=case.classes)


def on_cpu(case: CocoSet) -> coco.CocoArrays:
    return coco.evaluate(case.gold, case.detections, scores=case.scores, classes=case.classes)


@pytest.mark.parametrize("seed", range(4))
def test_arrays_are_those_of_pycocotools_to_the_bit(seed: int) -> None:
    case = drawn(seed, images=100)
    assert_same(on_cuda(case), pycocotools_arrays(case))


@given(coco_sets())
@settings(max_examples=50)
def test_ties_crowds_and_empty_sides(case: CocoSet) -> None:
    assert_same(on_cuda(case), on_cpu(case))


def test_ties_and_thresholds_of_overlap() -> None:
    for case in (ties_of_overlap(later_first=False), ties_of_overlap(later_first=True), overlaps_at_the_thresholds()):
        assert_same(on_cuda(case), pycocotools_arrays(case))


@pytest.mark.parametrize("images", [1, 2, 1_000, 5_000])
def test_arrays_are_those_of_the_cpu(images: int) -> None:
    case = drawn(images, images=images, classes=80, noise=80)
    assert_same(on_cuda(case), on_cpu(case))


def test_more_detections_than_the_largest_limit() -> None:
    case = drawn(4, images=3, classes=2, per_image=20, noise=400)
    assert_same(on_cuda(case), pycocotools_arrays(case))


def test_the_demo_set_of_pycocotools() -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    case = demo_set()
    assert_same(on_cuda(case), pycocotools_arrays(case))


@pytest.mark.parametrize("empty", ["gold", "detections", "both"])
def test_empty_sides(empty: str) -> None:
    case, none = drawn(1, images=3), np.empty(0, dtype=np.int64)
    if empty != "gold":
        case = case._replace(detections=case.detections.take(none), scores=case.scores[none])
    if empty != "detections":
        case = case._replace(gold=case.gold.take(none))
    assert_same(on_cuda(case), on_cpu(case))


def test_the_kernel_is_there_and_the_rounds_settle_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coco_cuda.kernel_is_there()
    case = drawn(2, images=200)
    by_kernel = on_cuda(case)
    monkeypatch.setattr(coco_torch_match, "match_on_cuda", lambda *_, **__: None)
    assert_same(on_cuda(case), by_kernel)


def test_parts_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = drawn(5, images=50)
    whole = on_cuda(case)
    monkeypatch.setattr(coco_torch_match, "_PAIRS_AT_ONCE", 500)
    monkeypatch.setattr(coco_torch_curves, "_MARKS_AT_ONCE", 500)
    monkeypatch.setattr(coco_torch, "_BYTES_AT_ONCE", 1_000)
    assert_same(on_cuda(case), whole)


def test_one_gold_serves_many_submissions() -> None:
    cases = [drawn(seed, images=300) for seed in range(6)]
    gold = coco_torch.index(cases[0].gold, classes=5)
    for _ in range(3):  # buffers are used again
        many = coco_torch.evaluate_many(gold, ((case.detections, case.scores) for case in cases))
        for arrays, case in zip(many, cases, strict=True):
            assert_same(arrays, on_cpu(case._replace(gold=cases[0].gold)))


def test_the_device_is_used_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    case = drawn(3, images=20)
    monkeypatch.setattr(coco_device, "_DETECTIONS_WORTH_A_DEVICE", 1)
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.max_memory_allocated()
    device: Device
    for device in ("cuda", "auto"):
        arrays = coco_device.evaluate(case.gold, case.detections, scores=case.scores, classes=5, device=device)
        assert_same(arrays, on_cpu(case))
        assert torch.cuda.max_memory_allocated() > held
        torch.cuda.reset_peak_memory_stats()


def test_the_score_on_cuda_is_that_of_the_cpu() -> None:
    case = drawn(9, images=30)
    items = [f"{number:03d}" for number in range(30)]
    states = dict.fromkeys(items, "labelled")

    def rows(columns: BoxColumns, scores: Sequence[float | None]) -> list[dict[str, object]]:
        corners = np.concatenate([columns.boxes[:, :2], columns.boxes[:, :2] + columns.boxes[:, 2:]], axis=1)
        places = zip(columns.image.tolist(), columns.label.tolist(), map(tuple, corners.tolist()), scores, strict=True)
        return [box(items[image], str(label), corner, score=score) for image, label, corner, score in places]

    gold = label_set(Task.BOXES, rows(case.gold, [None] * len(case.gold)), states)
    labels = label_set(Task.BOXES, rows(case.detections, case.scores.tolist()), states)
    on_device, on_host = score_boxes(labels, gold, defaults.IMAGE, device="cuda"), score_boxes(labels, gold, defaults.IMAGE)
    assert on_device.coco == on_host.coco
    assert on_device.coco_curves == on_host.coco_curves
    assert on_device.contract == on_host.contract
