import numpy as np
import pytest
import torch
from hypothesis import given, settings

from contract.errors import DeviceError
from qa.coco import device as coco_device
from qa.coco import evaluation as coco
from qa.coco import tensor_curves as coco_torch_curves
from qa.coco import tensor_match as coco_torch_match
from qa.coco import tensors as coco_torch
from qa.coco.evaluation import CocoArrays
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


def on_torch(case: CocoSet) -> CocoArrays:
    return coco_torch.evaluate(case.gold, case.detections, scores=case.scores, classes=case.classes, device="cpu")


def on_numpy(case: CocoSet) -> CocoArrays:
    return coco.evaluate(case.gold, case.detections, scores=case.scores, classes=case.classes)


@given(coco_sets())
@settings(max_examples=100)
def test_arrays_are_those_of_pycocotools_to_the_bit(case: CocoSet) -> None:
    arrays = on_torch(case)
    assert_same(arrays, on_numpy(case))
    if len(case.detections):  # pycocotools refuses to load none
        assert_same(arrays, pycocotools_arrays(case))


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_images_as_pycocotools_has_them(seed: int) -> None:
    case = drawn(seed, images=100)
    arrays = on_torch(case)
    assert_same(arrays, pycocotools_arrays(case))
    assert_same(arrays, on_numpy(case))
    assert np.nanmean(arrays.precision) > 0.1


@pytest.mark.parametrize("later_first", [False, True])
def test_the_later_gold_of_a_tie_is_taken(later_first: bool) -> None:
    case = ties_of_overlap(later_first=later_first)
    arrays = on_torch(case)
    assert_same(arrays, pycocotools_arrays(case))
    assert arrays.recall[0, 0, 0, 2] == (1.0 if later_first else 0.5)


def test_an_overlap_at_the_threshold_reaches_it() -> None:
    case = overlaps_at_the_thresholds()
    assert_same(on_torch(case), pycocotools_arrays(case))


def test_more_detections_than_the_largest_limit() -> None:
    case = drawn(4, images=3, classes=2, per_image=20, noise=400)
    assert_same(on_torch(case), pycocotools_arrays(case))


def test_the_demo_set_of_pycocotools() -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    case = demo_set()
    assert_same(on_torch(case), pycocotools_arrays(case))


def test_parts_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = drawn(5, images=20)
    whole = on_torch(case)
    monkeypatch.setattr(coco_torch_match, "_PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(coco_torch_curves, "_MARKS_AT_ONCE", 50)
    assert_same(on_torch(case), whole)


def test_one_gold_serves_many_submissions() -> None:
    cases = [drawn(seed, images=20) for seed in range(4)]
    gold = coco_torch.index(cases[0].gold, classes=5, device="cpu")
    many = list(coco_torch.evaluate_many(gold, ((case.detections, case.scores) for case in cases)))
    assert len(many) == len(cases)
    for arrays, case in zip(many, cases, strict=True):
        assert_same(arrays, on_numpy(case._replace(gold=cases[0].gold)))
    assert list(coco_torch.evaluate_many(gold, [])) == []


def test_the_callers_arrays_are_left_alone_and_may_be_read_only() -> None:
    case = drawn(6, images=10)
    expected, before = on_torch(case), case.detections.boxes.copy()
    for array in (case.scores, case.gold.boxes, case.detections.boxes, case.detections.label):
        array.setflags(write=False)
    assert_same(on_torch(case), expected)
    assert np.array_equal(case.detections.boxes, before)


def test_no_tensor_is_made_on_another_device() -> None:
    """On CUDA a tensor left on the default device would fail or wait for a copy; here it would hold no data."""
    case = drawn(7, images=10)
    with torch.device("meta"):
        arrays = on_torch(case)
    assert_same(arrays, on_numpy(case))


def test_the_hit_that_first_reaches_a_recall_point() -> None:
    positives = torch.tensor([0, *range(1, 400), 12_345, 262_144, 999_983, 2**31 + 1])
    needed = coco_torch_curves.first_reaching(positives, torch.from_numpy(coco.RECALL_POINTS)).numpy()
    for count, row in zip(positives[1:400].tolist(), needed[1:400], strict=True):
        recall = np.arange(1, count + 1) / count
        assert np.array_equal(row, np.searchsorted(recall, coco.RECALL_POINTS, side="left") + 1)
    for count, row in zip(positives[400:].tolist(), needed[400:], strict=True):
        assert (row / count >= coco.RECALL_POINTS).all()
        assert ((row - 1) / count < coco.RECALL_POINTS)[1:].all()
    assert (needed[0] == 1).all()


def test_cuda_that_is_absent_is_a_clear_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    case = drawn(8, images=2)
    with pytest.raises(DeviceError, match="no CUDA device"):
        coco_torch.evaluate(case.gold, case.detections, scores=case.scores, classes=5)
    with pytest.raises(DeviceError, match="no CUDA device"):
        coco_device.evaluate(case.gold, case.detections, scores=case.scores, classes=5, device="cuda")
    arrays = coco_device.evaluate(case.gold, case.detections, scores=case.scores, classes=5, device="auto")
    assert_same(arrays, on_numpy(case))
