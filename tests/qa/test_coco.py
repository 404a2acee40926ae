import contextlib
import io
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from contract.labelset import LabelSet
from contract.tables import Task
from qa import defaults
from qa.coco import evaluation as coco
from qa.pairing.boxes import BoxColumns
from qa.score import score_boxes
from tests.oracles import coco as plain
from tests.oracles.labelsets import label_set

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_eval"
KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
Rows = list[dict[str, Any]]


def reference(gold: dict[str, Any], detections: Rows) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = gold
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def columns(rows: Rows, images: list[int], classes: list[int]) -> BoxColumns:
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    area = np.array([row.get("area", row["bbox"][2] * row["bbox"][3]) for row in rows], dtype=np.float64)
    return BoxColumns(
        image=np.searchsorted(images, np.array([row["image_id"] for row in rows], dtype=np.int64)),
        label=np.searchsorted(classes, np.array([row["category_id"] for row in rows], dtype=np.int64)),
        boxes=boxes,
        area=area,
        crowd=np.array([bool(row.get("iscrowd", 0)) for row in rows], dtype=np.bool_),
        row=np.arange(len(rows)),
    )


def compare(gold: dict[str, Any], detections: Rows) -> None:
    expected = reference(gold, detections)
    images = sorted(image["id"] for image in gold["images"])
    classes = sorted(category["id"] for category in gold["categories"])
    arrays = coco.evaluate(
        columns(gold["annotations"], images, classes),
        columns(detections, images, classes),
        scores=np.array([row["score"] for row in detections], dtype=np.float64),
        classes=len(classes),
    )
    # pycocotools writes -1 where ours is undefined
    assert np.array_equal(np.nan_to_num(arrays.precision, nan=-1.0), expected.eval["precision"])
    assert np.array_equal(np.nan_to_num(arrays.recall, nan=-1.0), expected.eval["recall"])
    for key, value in zip(KEYS, expected.stats, strict=True):
        ours = getattr(coco.figures(arrays), key)
        assert ours == (None if value == -1 else value)  # to the last digit
    by_class = coco.figures_by_class(arrays, [str(number) for number in classes])
    with_gold = [code for code in range(len(classes)) if expected.eval["recall"][0, code, 0, 2] > -1]
    assert [each.label for each in by_class] == [str(classes[code]) for code in with_gold]
    for each, code in zip(by_class, with_gold, strict=True):
        assert pytest.approx(expected.eval["precision"][:, :, code, 0, 2].mean(), abs=1e-12) == each.AP
        assert pytest.approx(expected.eval["recall"][:, code, 0, 1].mean(), abs=1e-12) == each.AR10
        small = expected.eval["precision"][:, :, code, 1, 2]
        assert each.APs == (None if (small == -1).all() else pytest.approx(small.mean(), abs=1e-12))


def test_the_demo_set_of_pycocotools() -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    gold = json.loads((DATA / "instances_val2014_100.json").read_text())
    detections = json.loads((DATA / "instances_val2014_fakebbox100_results.json").read_text())
    compare(gold, detections)


@pytest.mark.slow
def test_five_thousand_made_images() -> None:
    generator = DATA.parents[1] / "tools" / "synth_coco.py"
    if not generator.is_file():
        pytest.skip(f"{generator} is absent (it lies in shared)")
    made = runpy.run_path(str(generator))["make"](5000)
    images = [{"id": number} for number in range(1, 5001)]
    categories = [{"id": int(number), "name": str(number)} for number in np.unique([made["g_cls"].tolist()])]
    gold = [
        {"id": at, "image_id": image, "category_id": label, "bbox": bbox, "area": area, "iscrowd": crowd}
        for at, (image, label, bbox, area, crowd) in enumerate(
            zip(*(made[f"g_{name}"].tolist() for name in ("img", "cls", "box", "area", "crowd")), strict=True), start=1
        )
    ]
    known = {category["id"] for category in categories}
    detections = [
        {"image_id": image, "category_id": label, "bbox": bbox, "score": score}
        for image, label, bbox, score in zip(
            *(made[f"d_{name}"].tolist() for name in ("img", "cls", "box", "score")), strict=True
        )
        if label in known
    ]
    compare({"info": {}, "images": images, "categories": categories, "annotations": gold}, detections)


def dataset(annotations: Rows, images: int = 4, classes: int = 3) -> dict[str, Any]:
    return {
        "info": {},
        "images": [{"id": number} for number in range(1, images + 1)],
        "categories": [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
        "annotations": [{"id": number, **row} for number, row in enumerate(annotations, start=1)],
    }


SIDE = st.sampled_from([4, 8, 20, 32, 40, 96, 120])
BBOX = st.tuples(st.integers(0, 10), st.integers(0, 10), SIDE, SIDE).map(list)
PLACE = {"image_id": st.integers(1, 4), "category_id": st.integers(1, 3), "bbox": BBOX}
SCORE = st.sampled_from([0.1, 0.5, 0.5, 0.9])
GOLD = st.lists(
    st.fixed_dictionaries(
        {**PLACE, "iscrowd": st.sampled_from([0, 0, 0, 1]), "area": st.sampled_from([16, 1024, 1600, 9216, 14400])}
    ),
    max_size=14,
)
DETECTIONS = st.lists(st.fixed_dictionaries({**PLACE, "score": SCORE}), min_size=1, max_size=20)


@given(GOLD, DETECTIONS)
@settings(deadline=None, max_examples=60)
def test_arrays_are_those_of_pycocotools_to_the_bit(gold: Rows, detections: Rows) -> None:
    compare(dataset(gold), detections)


def drawn_columns(seed: int, count: int, *, images: int, classes: int) -> BoxColumns:
    generator = np.random.default_rng(seed)
    boxes = np.concatenate([generator.integers(0, 40, (count, 2)), generator.integers(0, 60, (count, 2))], axis=1)
    return BoxColumns(
        image=generator.integers(0, images, count),
        label=generator.integers(0, classes, count),
        boxes=boxes.astype(np.float64),
        area=generator.choice([4.0, 1024.0, 2000.0, 9216.0, 20000.0], count),
        crowd=generator.random(count) < 0.1,
        row=np.arange(count),
    )


SCORES: dict[str, Callable[[np.random.Generator, int], NDArray[Any]]] = {
    "few values": lambda generator, count: generator.choice([0.25, 0.5, 0.75], count),
    "all equal": lambda generator, count: np.full(count, 0.5),
    "both zeros and below": lambda generator, count: generator.choice([0.0, -0.0, -1.5, 2.0], count),
    "alike in their leading bits": lambda generator, count: 0.5 + generator.integers(0, 4, count) * 2.0**-52,
    "of all magnitudes": lambda generator, count: 10.0 ** generator.integers(-300, 300, count),
}


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("seed", range(3))
def test_the_compiled_version_equals_the_plain_one(scores: str, seed: int) -> None:
    gold = drawn_columns(seed, 300, images=6, classes=4)
    detections = drawn_columns(seed + 100, 3000, images=9, classes=4)  # in no order, and on images without gold
    values = np.asarray(SCORES[scores](np.random.default_rng(seed), 3000), dtype=np.float64)
    expected = plain.evaluate(gold, detections, scores=values, classes=4)
    for arrays in (
        coco.evaluate(gold, detections, scores=values, classes=4),
        coco.evaluate_against(coco.index(gold, classes=4), detections, scores=values, threads=1),
    ):
        assert np.array_equal(arrays.precision, expected.precision, equal_nan=True)
        assert np.array_equal(arrays.recall, expected.recall, equal_nan=True)


@pytest.mark.parametrize("empty", ["gold", "detections", "both"])
def test_empty_sides(empty: str) -> None:
    some, none = drawn_columns(1, 20, images=3, classes=2), drawn_columns(1, 0, images=3, classes=2)
    gold, detections = (none if empty in {side, "both"} else some for side in ("gold", "detections"))
    scores = np.linspace(0, 1, len(detections))
    arrays = coco.evaluate(gold, detections, scores=scores, classes=2)
    expected = plain.evaluate(gold, detections, scores=scores, classes=2)
    assert np.array_equal(arrays.precision, expected.precision, equal_nan=True)
    assert np.array_equal(arrays.recall, expected.recall, equal_nan=True)


@pytest.mark.parametrize("seed", range(3))
def test_many_boxes_beyond_the_limit_of_detections(seed: int) -> None:
    generator = np.random.default_rng(seed)

    def draw(count: int, **more: NDArray[Any]) -> Rows:
        sides = generator.uniform(2, 150, size=(count, 2))
        corner = generator.uniform(0, 60, size=(count, 2))
        boxes = np.concatenate([corner, sides], axis=1).round(1)
        return [
            {
                "image_id": int(generator.integers(1, 5)),
                "category_id": int(generator.integers(1, 4)),
                "bbox": bbox,
                **{name: values[index].item() for name, values in more.items()},
            }
            for index, bbox in enumerate(boxes.tolist())
        ]

    annotations = draw(80, iscrowd=(generator.random(80) < 0.1).astype(int), area=generator.uniform(10, 12000, 80))
    compare(dataset(annotations), draw(2000, score=generator.random(2000).round(2)))


def labels_of(rows: Rows, states: dict[str, str]) -> LabelSet:
    fields = [dict(zip("xywh", map(float, row["bbox"]), strict=True)) for row in rows]
    flat = [
        {
            "item": f"{row['image_id']:03d}",
            "label": str(row["category_id"]),
            "score": row.get("score"),
            "crowd": bool(row.get("iscrowd", 0)),
            "area": row.get("area"),
            **place,
        }
        for row, place in zip(rows, fields, strict=True)
    ]
    return label_set(Task.BOXES, flat, states)


@given(GOLD, DETECTIONS)
@settings(deadline=None, max_examples=25)
def test_the_score_carries_the_figures_of_pycocotools(gold: Rows, detections: Rows) -> None:
    expected = reference(dataset(gold), detections)
    states = {f"{number:03d}": "labelled" for number in range(1, 5)}
    result = score_boxes(labels_of(detections, states), labels_of(gold, states), defaults.IMAGE)
    assert result.coco is not None
    for key, value in zip(KEYS, expected.stats, strict=True):
        assert getattr(result.coco, key) == (None if value == -1 else pytest.approx(value, abs=1e-12))


@given(GOLD, DETECTIONS, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_without_ties_of_score_no_order_matters(gold: Rows, detections: Rows, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ranked = [{**row, "score": 1 / (place + 2)} for place, row in enumerate(detections)]
    items = [f"{number:03d}" for number in range(1, 5)]
    results = []
    for _ in range(2):
        states = {items[index]: "labelled" for index in generator.permutation(4).tolist()}
        order = generator.permutation(len(ranked)).tolist()
        shuffled = [ranked[index] for index in order]
        results.append(score_boxes(labels_of(shuffled, states), labels_of(gold, states), defaults.IMAGE))
    assert results[0].coco == results[1].coco
    assert results[0].coco_curves == results[1].coco_curves


def test_curves_are_the_mean_precision_at_the_recall_points() -> None:
    gold = dataset([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500, "iscrowd": 0}])
    detections = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 35], "score": 0.5}]  # IoU .7
    states = {"001": "labelled"}
    curves = score_boxes(labels_of(detections, states), labels_of(gold["annotations"], states), defaults.IMAGE).coco_curves
    assert curves is not None
    assert curves.precision_iou_50 == pytest.approx([1.0] * 101)
    assert set(curves.precision_iou_75) == {0.0}
    assert curves.recall[0] == 0
    assert curves.recall[-1] == 1


def test_partly_scored_labels_have_no_average_precision() -> None:
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5},
        {"image_id": 1, "category_id": 1, "bbox": [9, 0, 5, 5]},
    ]
    states = {"001": "labelled"}
    result = score_boxes(labels_of(rows, states), labels_of(rows, states), defaults.IMAGE)
    assert result.coco is None
    assert result.coco_reason == "1 of 2 boxes carry no score; average precision ranks by score"
