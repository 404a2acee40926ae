"""Gold and detections for COCO's evaluators, drawn at random, and what pycocotools makes of them."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from qa.coco.evaluation import CocoArrays
from qa.pairing.boxes import BoxColumns

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_eval"
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class CocoSet(NamedTuple):
    """Gold and detections as the evaluators take them."""

    gold: BoxColumns
    detections: BoxColumns
    scores: Floats
    classes: int


def box_set(image: Ints, label: Ints, boxes: Floats, *, area: Floats | None = None, crowd: Any = None) -> BoxColumns:
    """Return columns of boxes; area is w * h and nothing a crowd where left out."""
    return BoxColumns(
        image=image.astype(np.int64),
        label=label.astype(np.int64),
        boxes=boxes,
        area=boxes[:, 2] * boxes[:, 3] if area is None else area,
        crowd=np.zeros(len(image), dtype=np.bool_) if crowd is None else np.asarray(crowd, dtype=np.bool_),
        row=np.arange(len(image)),
    )


def drawn(seed: int, *, images: int, classes: int = 5, per_image: int = 7, noise: int = 30) -> CocoSet:
    """Return gold with jittered, doubled and confused detections of it, and noise; in no order, with ties of score."""
    generator = np.random.default_rng(seed)
    count = images * per_image
    image, label = generator.integers(0, images, count), generator.integers(0, classes, count)
    sides = np.exp(generator.normal(3.7, 1.0, (count, 2))).clip(4, 400)
    boxes = np.concatenate([generator.uniform(0, 400, (count, 2)), sides], axis=1).round(2)
    area = boxes[:, 2] * boxes[:, 3] * generator.uniform(0.4, 1.0, count)
    gold = box_set(image, label, boxes, area=area, crowd=generator.random(count) < 0.05)
    pick = generator.integers(0, count, 3 * count)
    stray = generator.integers(0, count, noise * images)
    near = boxes[pick] + generator.normal(0, 0.07, (len(pick), 4)) * np.tile(boxes[pick, 2:], 2)
    far = boxes[stray] + generator.normal(0, 40, (len(stray), 4))
    far[:, 2:] = np.abs(far[:, 2:]) + 1
    guessed = np.where(generator.random(len(pick)) < 0.1, generator.integers(0, classes, len(pick)), label[pick])
    detections = box_set(
        np.concatenate([image[pick], generator.integers(0, images, len(stray))]),
        np.concatenate([guessed, label[stray]]),
        np.concatenate([near, far]).round(3),
    )
    return CocoSet(gold, detections, generator.beta(1, 3, len(detections)).round(3), classes)


SIDE = st.sampled_from([4, 8, 20, 32, 40, 96, 120])
CORNER = st.sampled_from([0, 0, 0, 5, 10])
BOX = st.tuples(st.integers(0, 2), st.integers(0, 1), st.tuples(CORNER, CORNER, SIDE, SIDE))
GOLD = st.lists(st.tuples(BOX, st.sampled_from([16, 1024, 1600, 9216, 14400]), st.sampled_from([0, 0, 0, 1])), max_size=14)
DETECTIONS = st.lists(st.tuples(BOX, st.sampled_from([0.0, -0.0, 0.1, 0.5, 0.9])), max_size=24)


@st.composite
def coco_sets(draw: st.DrawFn) -> CocoSet:
    """Small sets full of ties, crowds and empty sides; some draw the same few boxes a hundred times over."""
    gold, found = draw(GOLD), draw(DETECTIONS)
    found = found * draw(st.sampled_from([1, 1, 1, 30]))
    area = np.array([area for _, area, _ in gold], dtype=np.float64)
    crowd = np.array([crowd for _, _, crowd in gold], dtype=np.bool_)
    scores = np.array([score for _, score in found], dtype=np.float64)
    return CocoSet(_stacked([one[0] for one in gold], area, crowd), _stacked([one[0] for one in found]), scores, 2)


def _stacked(boxes: list[Any], area: Floats | None = None, crowd: Any = None) -> BoxColumns:
    image, label = (np.array([box[field] for box in boxes], dtype=np.int64) for field in (0, 1))
    return box_set(
        image, label, np.array([box[2] for box in boxes], dtype=np.float64).reshape(-1, 4), area=area, crowd=crowd
    )


def ties_of_overlap(*, later_first: bool) -> CocoSet:
    """Return a detection halfway between two golds, and one that is near the gold on the right alone.

    Which gold the first takes of the tie decides whether the second finds any.
    """
    golds = [(0, 0, (0, 0, 40, 40)), (0, 0, (20, 0, 40, 40))]
    area, crowd = np.array([1600.0, 1600.0]), np.zeros(2, dtype=np.bool_)
    gold = _stacked(golds[::-1] if later_first else golds, area, crowd)
    return CocoSet(gold, _stacked([(0, 0, (10, 0, 40, 40)), (0, 0, (22, 0, 40, 40))]), np.array([0.9, 0.8]), 1)


def overlaps_at_the_thresholds() -> CocoSet:
    """Return detections whose overlaps are 0.5, 0.55 and so on to 0.95, one an image; those are the thresholds."""
    place = [(image, 0) for image in range(10)]
    gold = _stacked([(*at, (0, 0, 20, 20)) for at in place], np.full(10, 400.0), np.zeros(10, dtype=np.bool_))
    return CocoSet(gold, _stacked([(*at, (0, 0, 20, 10 + at[0])) for at in place]), np.linspace(0.9, 0.1, 10), 1)


def demo_set() -> CocoSet:
    """Return pycocotools' demo set, which must lie in `DATA`."""
    truth = json.loads((DATA / "instances_val2014_100.json").read_text())
    found = json.loads((DATA / "instances_val2014_fakebbox100_results.json").read_text())
    images = sorted(image["id"] for image in truth["images"])
    classes = sorted(category["id"] for category in truth["categories"])
    sides = []
    for rows in (truth["annotations"], found):
        image = np.searchsorted(images, [row["image_id"] for row in rows])
        label = np.searchsorted(classes, [row["category_id"] for row in rows])
        sides.append((image, label, np.array([row["bbox"] for row in rows], dtype=np.float64)))
    area = np.array([row["area"] for row in truth["annotations"]], dtype=np.float64)
    crowd = [bool(row["iscrowd"]) for row in truth["annotations"]]
    scores = np.array([row["score"] for row in found], dtype=np.float64)
    return CocoSet(box_set(*sides[0], area=area, crowd=crowd), box_set(*sides[1]), scores, len(classes))


def pycocotools_arrays(case: CocoSet) -> CocoArrays:
    """Return what pycocotools says of `case`, which must have a detection; its -1 is our NaN."""
    gold, detections = case.gold, case.detections
    images = int(max(gold.image.max(initial=0), detections.image.max(initial=0))) + 1
    truth = {
        "info": {},
        "images": [{"id": number + 1} for number in range(images)],
        "categories": [{"id": number + 1, "name": str(number)} for number in range(case.classes)],
        "annotations": [
            {"id": row + 1, "area": area, "iscrowd": int(crowd), **common}
            for row, (common, area, crowd) in enumerate(zip(_rows(gold), gold.area.tolist(), gold.crowd, strict=True))
        ],
    }
    found = [{**common, "score": score} for common, score in zip(_rows(detections), case.scores.tolist(), strict=True)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = (
        np.where(evaluation.eval[name] == -1, np.nan, evaluation.eval[name]) for name in ("precision", "recall")
    )
    return CocoArrays(precision, recall)


def _rows(columns: BoxColumns) -> list[dict[str, Any]]:
    places = zip(columns.image.tolist(), columns.label.tolist(), columns.boxes.tolist(), strict=True)
    return [{"image_id": image + 1, "category_id": label + 1, "bbox": box} for image, label, box in places]


def assert_same(ours: CocoArrays, expected: CocoArrays) -> None:
    """Compare to the bit."""
    assert np.array_equal(ours.precision, expected.precision, equal_nan=True)
    assert np.array_equal(ours.recall, expected.recall, equal_nan=True)
