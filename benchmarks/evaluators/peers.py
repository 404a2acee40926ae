"""The peers, each by the calls that its own manual gives, and imported only when it runs."""

import importlib
import itertools
import os
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluators.frame import Floats, Laps, Outcome, Prepared, Set, figures_of

# module of COCO, module of the evaluator, name of the evaluator
_LIKE_PYCOCOTOOLS: Final = MappingProxyType(
    {
        "ultrafast-pycocotools": ("ultrafast_pycocotools", "ultrafast_pycocotools", "COCOeval"),
        "hotcoco": ("hotcoco", "hotcoco", "COCOeval"),
        "faster-coco-eval": ("faster_coco_eval", "faster_coco_eval", "COCOeval_faster"),
        "pycocotools": ("pycocotools.coco", "pycocotools.cocoeval", "COCOeval"),
    }
)


def _classes(name: str) -> tuple[Any, Any]:
    of_gold, of_evaluator, evaluator = _LIKE_PYCOCOTOOLS[name]
    return importlib.import_module(of_gold).COCO, getattr(importlib.import_module(of_evaluator), evaluator)


def _evaluated(evaluator: Any, gold: Any, results: str | Floats, laps: Laps) -> Outcome:
    detections = gold.loadRes(results)
    laps.lap("load")
    evaluation = evaluator(gold, detections, "bbox")
    evaluation.evaluate()
    laps.lap("evaluate")
    evaluation.accumulate()
    laps.lap("accumulate")
    evaluation.summarize()
    laps.lap("summarize")
    precision, recall = (np.asarray(evaluation.eval[name]) for name in ("precision", "recall"))
    return Outcome(laps, figures_of(evaluation.stats), precision, recall)


def _from_arrays(one: Set, *, name: str) -> Prepared:
    coco, evaluator = _classes(name)
    gold, matrix = coco(str(one.folder / "gt.json")), one.matrix()
    note = "ready: COCO(gt.json); timed: loadRes of the (n, 7) matrix, evaluate, accumulate, summarize"
    return Prepared(lambda: _evaluated(evaluator, gold, matrix, Laps()), note)


def _from_json(one: Set, *, name: str) -> Prepared:
    coco, evaluator = _classes(name)
    gold, labels = (str(path) for path in one.warm("gt.json", "dt.json"))

    def run() -> Outcome:
        laps = Laps()
        truth = coco(gold)
        laps.lap("gold")
        return _evaluated(evaluator, truth, labels, laps)

    return Prepared(run, "timed: COCO(gt.json), loadRes(dt.json), evaluate, accumulate, summarize")


def _vernier(one: Set, *, files: bool) -> Prepared:
    """Vernier's own evaluator in the mode that claims pycocotools' bits, on every core."""
    vernier = importlib.import_module("vernier.instance")
    evaluator = vernier.Evaluator(iou=vernier.Bbox(), parity_mode="strict")
    threads = os.cpu_count()
    gold_file, labels_file = one.warm("gt.json", "dt.json")
    held = None if files else (vernier.CocoDataset.from_json(gold_file.read_bytes()), one.matrix())

    def run() -> Outcome:
        laps = Laps()
        gold, results = held or (vernier.CocoDataset.from_json(gold_file.read_bytes()), labels_file.read_bytes())
        laps.lap("gold")
        summary = evaluator.evaluate(gold, results, num_threads=threads)
        laps.lap("evaluate")
        return Outcome(laps, figures_of(summary.stats))

    what = "timed: CocoDataset of gt.json and evaluate of dt.json"
    if not files:
        what = "ready: CocoDataset of gt.json; timed: evaluate of the (n, 7) matrix"
    return Prepared(run, f"{what}, strict, num_threads={threads}; its summary gives no curves")


def _torchmetrics(one: Set, *, backend: str) -> Prepared:
    """MeanAveragePrecision on what a model gives: one dictionary an image, float32."""
    import torch

    metric_of = importlib.import_module("torchmetrics.detection").MeanAveragePrecision
    edges_of = np.arange(1, one.images + 2)

    def by_image(side: str, **more: NDArray[Any]) -> list[dict[str, Any]]:
        image, boxes, label = one.columns(f"{side}_img", f"{side}_box", f"{side}_cls")
        columns = {"boxes": boxes.astype(np.float32), "labels": label, **more}
        tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
        edges = np.searchsorted(image, edges_of).tolist()
        own = [slice(start, stop) for start, stop in itertools.pairwise(edges)]
        return [{name: tensor[part] for name, tensor in tensors.items()} for part in own]

    scores, area, crowd = one.columns("d_score", "g_area", "g_crowd")
    predictions = by_image("d", scores=scores.astype(np.float32))
    targets = by_image("g", area=area.astype(np.float32), iscrowd=crowd)

    def run() -> Outcome:
        laps = Laps()
        metric = metric_of(box_format="xywh", iou_type="bbox", backend=backend)
        metric.warn_on_many_detections = False
        metric.update(predictions, targets)
        laps.lap("load")
        result = metric.compute()
        laps.lap("evaluate")
        precisions = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
        recalls = ("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large")
        return Outcome(laps, figures_of(result[key] for key in (*precisions, *recalls)))

    return Prepared(run, f"ready: float32 tensors, a dictionary an image; timed: update and compute, backend {backend}")


RUNS: Final = MappingProxyType[tuple[str, str], Callable[[Set], Prepared]](
    {
        **{("arrays", name): partial(_from_arrays, name=name) for name in _LIKE_PYCOCOTOOLS},
        **{("json", name): partial(_from_json, name=name) for name in _LIKE_PYCOCOTOOLS},
        ("arrays", "vernier"): partial(_vernier, files=False),
        ("json", "vernier"): partial(_vernier, files=True),
        ("arrays", "torchmetrics, faster_coco_eval"): partial(_torchmetrics, backend="faster_coco_eval"),
        ("arrays", "torchmetrics, pycocotools"): partial(_torchmetrics, backend="pycocotools"),
    }
)
