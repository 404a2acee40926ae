"""goldgate as an evaluator: from arrays, from files, many vendors against one gold, and the contract's reading."""

import dataclasses
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.evaluators.frame import Laps, Outcome, Prepared, Set
from contract.formats.loose import read_pair
from contract.labelset import LabelSet, read_labels, write_labels
from contract.tables import SCHEMAS, STATES, Kind, State, Task
from qa.coco import evaluation as coco
from qa.defaults import IMAGE
from qa.pairing.boxes import BoxColumns
from qa.pairing.boxgold import compare, prepare_gold
from qa.score_boxes import score_boxes

_SENT_FROM: Final = 0.3  # the score from which a vendor would leave a box of the set in a submission
_VENDORS: Final = 5


def _places(values: NDArray[Any], known: list[int]) -> NDArray[np.int64]:
    """Return the place of each of `values` among the ids `known`."""
    table = np.full(max(known) + 1, -1, dtype=np.int64)
    table[known] = np.arange(len(known))
    return np.asarray(table[values], dtype=np.int64)


def _gold(one: Set) -> BoxColumns:
    image, label, boxes, area, crowd = one.columns("g_img", "g_cls", "g_box", "g_area", "g_crowd")
    columns = _detections(one, image, label, boxes)
    return dataclasses.replace(columns, area=area, crowd=crowd.astype(np.bool_))


def _detections(one: Set, image: NDArray[Any], label: NDArray[Any], boxes: NDArray[np.float64]) -> BoxColumns:
    return BoxColumns(
        image=_places(image, list(range(1, one.images + 1))),
        label=_places(label, one.classes),
        boxes=boxes,
        area=boxes[:, 2] * boxes[:, 3],
        crowd=np.zeros(len(boxes), dtype=np.bool_),
        row=np.arange(len(boxes)),
    )


def _outcome(laps: Laps, arrays: coco.CocoArrays) -> Outcome:
    figures = list(coco.figures(arrays).model_dump().values())
    laps.lap("summarize")
    return Outcome(laps, figures, arrays.precision, arrays.recall)


def arrays(one: Set) -> Prepared:
    """Boxes as qa holds them, both sides."""
    gold, detections = _gold(one), _detections(one, *one.columns("d_img", "d_cls", "d_box"))
    (scores,) = one.columns("d_score")

    def run() -> Outcome:
        laps = Laps()
        curves = coco.evaluate(gold, detections, scores=scores, classes=len(one.classes))
        laps.lap("evaluate")
        return _outcome(laps, curves)

    return Prepared(run, "ready: BoxColumns of both sides; timed: from these to the figures, the gold's index included")


def ids(one: Set) -> Prepared:
    """Detections with the ids of images and categories, as the peers take them; the gold stands ready as theirs does."""
    index = coco.index(_gold(one), classes=len(one.classes))
    image, label, boxes, scores = one.columns("d_img", "d_cls", "d_box", "d_score")

    def run() -> Outcome:
        laps = Laps()
        detections = _detections(one, image, label, boxes)
        laps.lap("load")
        curves = coco.evaluate_against(index, detections, scores=scores)
        laps.lap("evaluate")
        return _outcome(laps, curves)

    return Prepared(run, "ready: the gold's index; timed: ids of images and categories to codes, evaluation, figures")


def vendors(one: Set) -> Prepared:
    """Several submissions against one gold that is indexed once."""
    gold, base = _gold(one), _detections(one, *one.columns("d_img", "d_cls", "d_box"))
    (scores,) = one.columns("d_score")

    def jittered(seed: int) -> BoxColumns:
        boxes = base.boxes + np.random.default_rng(seed).normal(0.0, 1.0, base.boxes.shape)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], 1.0)
        return dataclasses.replace(base, boxes=boxes, area=boxes[:, 2] * boxes[:, 3])

    def run() -> Outcome:
        laps = Laps()
        index = coco.index(gold, classes=len(one.classes))
        laps.lap("index")
        for vendor in range(_VENDORS):
            detections = jittered(vendor)
            laps.skip()
            figures = coco.figures(coco.evaluate_against(index, detections, scores=scores))
            laps.lap(f"vendor {vendor + 1}")
        alone = coco.figures(coco.evaluate(gold, detections, scores=scores, classes=len(one.classes)))
        each = statistics.median(seconds for part, seconds in laps.parts.items() if part != "index")
        more = {
            "vendors": _VENDORS,
            "seconds_a_vendor": round(each, 4),
            "seconds_of_50_by_that": round(laps.parts["index"] + 50 * each, 2),
            "last_vendor_as_if_alone": alone == figures,
        }
        return Outcome(laps, list(figures.model_dump().values()), more=more)

    return Prepared(
        run, f"timed: index of the gold, then {_VENDORS} vendors: copies of the detections, each side moved by a pixel"
    )


def _of_tables(labels: LabelSet, gold: LabelSet, laps: Laps) -> coco.CocoArrays:
    """Evaluate two label sets, ties of score broken as the scorer breaks them: images in the order of the gold's states."""
    sides = compare(labels, prepare_gold(gold))
    place = sides.scored.place_in_states
    scores = labels.table(Task.BOXES)["score"].to_numpy()[sides.labels.row]
    truth, submitted = (dataclasses.replace(side, image=place[side.image]) for side in (sides.gold, sides.labels))
    laps.lap("columns")
    return coco.evaluate(truth, submitted, scores=scores, classes=len(sides.names))


def _files(labels: Path, gold: Path, what: str) -> Prepared:
    def run() -> Outcome:
        laps = Laps()
        pair = read_pair(labels, gold, Task.BOXES)
        laps.lap("load")
        curves = _of_tables(*pair, laps)
        laps.lap("evaluate")
        outcome = _outcome(laps, curves)
        outcome.precision = outcome.recall = None  # classes stand in the order of their names here
        return outcome

    return Prepared(run, f"timed: {what} read and every value checked, joined by item, the figures")


def json_files(one: Set) -> Prepared:
    """COCO JSON, read as `goldgate score` reads it."""
    gold, labels = one.warm("gt.json", "dt.json")
    return _files(labels, gold, "gt.json and dt.json")


def parquet(one: Set) -> Prepared:
    """Our own tables on disk."""
    one.warm(*(f"parquet/{side}/{name}.parquet" for side in ("gold", "labels") for name in ("items", "boxes")))
    return _files(one.folder / "parquet" / "labels", one.folder / "parquet" / "gold", "two folders of Parquet")


def contract_reading(one: Set, *, floor: float) -> Prepared:
    """Matching, defects, rates and bounds of the contract, of the boxes with a score from `floor`."""
    gold, drafts = (read_labels(one.folder / "parquet" / side) for side in ("gold", "labels"))
    boxes = drafts.table(Task.BOXES).filter(pc.greater_equal(drafts.table(Task.BOXES)["score"], floor))
    place = boxes.schema.get_field_index("score")
    # without scores nothing is ranked, so that COCO's reading stays out
    boxes = boxes.set_column(place, boxes.schema.field(place), pa.nulls(len(boxes), pa.float64()))
    labels = LabelSet(drafts.states, {Task.BOXES: boxes})

    def run() -> Outcome:
        laps = Laps()
        score = score_boxes(labels, gold, IMAGE).contract
        laps.lap("score")
        return Outcome(laps, [], more={"boxes": len(boxes), "tp": score.tp, "fp": score.fp, "fn": score.fn})

    return Prepared(run, "ready: tables in memory; timed: score_boxes: matching, defects, rates by class and size, bounds")


def write_tables(one: Set) -> None:
    """Write both sides of the set as our Parquet files."""
    items = pa.array([f"{number:012d}.jpg" for number in range(1, one.images + 1)])
    names = pa.array([f"c{number}" for number in one.classes])
    for side, folder in (("g", "gold"), ("d", "labels")):
        image, label, boxes = one.columns(f"{side}_img", f"{side}_cls", f"{side}_box")
        columns = {"item": items.take(pa.array(image - 1)), "label": names.take(pa.array(_places(label, one.classes)))}
        columns |= {edge: pa.array(boxes[:, number]) for number, edge in enumerate("xywh")}
        if side == "g":
            area, crowd = one.columns("g_area", "g_crowd")
            columns |= {"area": pa.array(area), "crowd": pa.array(crowd.astype(np.bool_))}
        else:
            columns |= {"score": pa.array(one.columns("d_score")[0])}
        absent = {field.name: pa.nulls(len(image), field.type) for field in SCHEMAS[Task.BOXES]}
        table = pa.table({**absent, **columns}, schema=SCHEMAS[Task.BOXES])
        has = np.bincount(image - 1, minlength=one.images) > 0
        state = np.where(has, State.LABELLED.value, State.EMPTY.value)
        states = pa.table({"item": items, "kind": [Kind.IMAGE.value] * one.images, "state": state}, schema=STATES)
        write_labels(one.folder / "parquet" / folder, LabelSet(states, {Task.BOXES: table}))


RUNS: Final = MappingProxyType[tuple[str, str], Callable[[Set], Prepared]](
    {
        ("arrays", "goldgate"): arrays,
        ("arrays", "goldgate, from ids"): ids,
        ("json", "goldgate"): json_files,
        ("parquet", "goldgate"): parquet,
        ("vendors", "goldgate"): vendors,
        ("contract", "goldgate, every box"): partial(contract_reading, floor=0.0),
        ("contract", f"goldgate, score >= {_SENT_FROM}"): partial(contract_reading, floor=_SENT_FROM),
    }
)
