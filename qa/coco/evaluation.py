"""The model's reading of boxes: average precision and recall as COCO's detection challenge defines them.

Written from the definition (cocodataset.org, detection evaluation; semantics as in pycocotools' COCOeval,
whose precision and recall arrays it equals to the bit): an image's detections are taken by descending
score, ties in the order given; each takes the free gold of its class with the highest IoU, the later one
on a tie; crowd and out-of-size gold only where no other will do, and such matches count for nothing;
crowd gold takes any number and is measured by the share of the detection inside it.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.scores import ClassCoco, CocoCurves, CocoFigures
from qa.coco.curves import draw_curves
from qa.coco.match import AREAS, IOU_THRESHOLDS, MAX_DETECTIONS, Detections, Fates, Gold, count_labels, match_images
from qa.pairing.boxes import BoxColumns
from qa.pairing.stable_sort import ascends, descending_keys, order_of_groups

RECALL_POINTS: Final = np.linspace(0.0, 1.0, 101)
_CHUNKS_A_THREAD: Final = 4
_DETECTIONS_WORTH_A_THREAD: Final = 20_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CocoArrays:
    """NaN marks a class without gold of that size.

    precision: shape (10 IoU thresholds, 101 recall points, classes, 4 sizes, 3 limits of detections);
    recall: the same without the recall points.
    """

    precision: Floats
    recall: Floats


@dataclass(frozen=True)
class GoldIndex:
    """Gold made ready once, for any number of submissions.

    columns: the gold by image and class; positives: gold that counts, shape (classes, sizes).
    """

    columns: Gold
    positives: Ints


def index(gold: BoxColumns, *, classes: int) -> GoldIndex:
    """Return `gold` ready to be evaluated against; its `image` numbers give the order of images."""
    order = np.lexsort((gold.label, gold.image))
    ignored = np.stack([gold.crowd | (gold.area < low) | (gold.area > high) for low, high in AREAS])
    positives = np.stack([np.bincount(gold.label[~each], minlength=classes) for each in ignored], axis=1)
    columns = Gold(
        boxes=np.ascontiguousarray(gold.boxes[order]),
        labels=gold.label[order],
        crowd=gold.crowd[order],
        ignored=(ignored[:, order] << np.arange(len(AREAS))[:, None]).sum(axis=0, dtype=np.uint8),
        starts=_starts(gold.image, images=0),
    )
    return GoldIndex(columns, positives)


def _starts(image: Ints, *, images: int) -> Ints:
    """Return where each image starts among elements grouped by image, and the end; for `images` or more."""
    return np.concatenate([[0], np.cumsum(np.bincount(image, minlength=images))]).astype(np.int64)


def evaluate(gold: BoxColumns, detections: BoxColumns, *, scores: Floats, classes: int) -> CocoArrays:
    """Evaluate detections against gold; see `evaluate_against`.

    Args:
        gold: its `image` numbers give the order of images, in which ties of score across images stand.
        detections: in the order in which ties of score within an image stand; their crowd and area are not used.
        scores: of each detection.
        classes: number of classes; labels are below it.
    """
    return evaluate_against(index(gold, classes=classes), detections, scores=scores)


def evaluate_against(gold: GoldIndex, detections: BoxColumns, *, scores: Floats, threads: int | None = None) -> CocoArrays:
    """Evaluate detections against gold that was made ready; the number of threads does not matter to the result.

    Args:
        gold: what is true.
        detections: in the order in which ties of score within an image stand; their crowd and area are not used.
        scores: of each detection, finite.
        threads: how many to use; as many as this process may run on where left out.
    """
    workers = max(1, min(threads or len(os.sched_getaffinity(0)), -(-scores.size // _DETECTIONS_WORTH_A_THREAD)))
    with ThreadPoolExecutor(workers) as pool:
        fates, starts = _match(gold, _detections(detections, scores), pool, chunks=workers * _CHUNKS_A_THREAD)
        return _draw(gold.positives, fates, starts, pool)


def _detections(columns: BoxColumns, scores: Floats) -> Detections:
    starts = _starts(columns.image, images=0)
    keys = (scores + 0.0).view(np.uint64)  # + 0.0: minus zero equals zero
    descending_keys(keys)
    return Detections(
        boxes=np.ascontiguousarray(columns.boxes),
        labels=columns.label,
        keys=keys,
        order=np.empty(0, dtype=np.int64) if ascends(columns.image) else order_of_groups(columns.image, starts),
        starts=starts,
    )


def _match(gold: GoldIndex, detections: Detections, pool: ThreadPoolExecutor, *, chunks: int) -> tuple[Fates, Ints]:
    """Return what became of each detection, and where each class starts."""
    images = max(detections.starts.size, gold.columns.starts.size) - 1
    detections = detections._replace(starts=_padded(detections.starts, images))
    columns = gold.columns._replace(starts=_padded(gold.columns.starts, images))
    total = detections.keys.size
    cuts = np.searchsorted(detections.starts, np.linspace(0, total, chunks + 1)).clip(0, images)
    cuts[0], cuts[-1] = 0, images
    spans = list(itertools.pairwise(cuts.tolist()))
    counts = np.zeros((len(spans), len(gold.positives)), dtype=np.int64)

    def count(chunk: int) -> None:
        first, last = (int(detections.starts[image]) for image in spans[chunk])
        count_labels(detections, first, last, counts[chunk])

    _each(pool, count, range(len(spans)))
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=0))]).astype(np.int64)
    places = starts[:-1] + np.cumsum(counts, axis=0) - counts
    fates = Fates(*(np.empty(total, dtype=np.uint64) for _ in Fates._fields))
    _each(
        pool,
        lambda chunk: match_images(detections, columns, spans[chunk], places[chunk], fates),
        range(len(spans)),
    )
    return fates, starts


def _padded(starts: Ints, images: int) -> Ints:
    """Return `starts` for as many images; the further ones have nothing."""
    return np.concatenate([starts, np.full(images + 1 - starts.size, starts[-1])])


def _draw(positives: Ints, fates: Fates, starts: Ints, pool: ThreadPoolExecutor) -> CocoArrays:
    shape = (len(positives), len(AREAS), len(MAX_DETECTIONS), len(IOU_THRESHOLDS))
    precision, recall = np.zeros((*shape, len(RECALL_POINTS))), np.zeros(shape)
    precision[positives == 0], recall[positives == 0] = np.nan, np.nan

    def draw(label: int) -> None:
        own = Fates(*(column[starts[label] : starts[label + 1]] for column in fates))
        draw_curves(own, positives[label], RECALL_POINTS, precision[label], recall[label])

    known = np.flatnonzero(positives.any(axis=1))
    largest_first = known[np.argsort(-np.diff(starts)[known], kind="stable")]
    _each(pool, draw, largest_first.tolist())
    return CocoArrays(precision.transpose(3, 4, 0, 1, 2), recall.transpose(3, 0, 1, 2))


def _each(pool: ThreadPoolExecutor, work: Callable[[int], None], numbers: Iterable[int]) -> None:
    """Do `work` for all `numbers` and raise what it raises."""
    for _ in pool.map(work, numbers):
        pass


def figures(arrays: CocoArrays) -> CocoFigures:
    """Return the twelve figures; None where no class has gold of that size."""
    precision, recall = arrays.precision[..., 2], arrays.recall
    return CocoFigures(
        AP=_mean(precision[..., 0]),
        AP50=_mean(precision[0, ..., 0]),
        AP75=_mean(precision[5, ..., 0]),
        APs=_mean(precision[..., 1]),
        APm=_mean(precision[..., 2]),
        APl=_mean(precision[..., 3]),
        AR1=_mean(recall[..., 0, 0]),
        AR10=_mean(recall[..., 0, 1]),
        AR100=_mean(recall[..., 0, 2]),
        ARs=_mean(recall[..., 1, 2]),
        ARm=_mean(recall[..., 2, 2]),
        ARl=_mean(recall[..., 3, 2]),
    )


def figures_by_class(arrays: CocoArrays, names: Sequence[str]) -> tuple[ClassCoco, ...]:
    """Return the twelve figures of each class that has gold; `names` are those of the classes."""
    defined = np.flatnonzero(~np.isnan(arrays.recall[0, :, 0, -1])).tolist()
    parts = {code: CocoArrays(arrays.precision[:, :, [code]], arrays.recall[:, [code]]) for code in defined}
    return tuple(ClassCoco(label=names[code], **figures(part).model_dump()) for code, part in parts.items())


def _mean(values: Floats) -> float | None:
    """Return the mean of the classes that are defined, shape (..., classes).

    Summed in pycocotools' order, the classes innermost, so that with its order of classes its last digit comes out too.
    """
    flat = values.reshape(-1, values.shape[-1])
    defined = flat[:, ~np.isnan(flat[0])].ravel()
    return float(defined.mean()) if defined.size else None


def curves(arrays: CocoArrays) -> CocoCurves | None:
    """Return precision over recall, averaged over the classes with gold; None without any."""
    precision = arrays.precision[:, :, :, 0, 2]
    defined = precision[:, :, ~np.isnan(precision[0, 0])]
    if not defined.shape[2]:
        return None
    by_threshold = defined.mean(axis=2)
    return CocoCurves(
        recall=tuple(RECALL_POINTS.tolist()),
        precision_iou_50=tuple(by_threshold[0].tolist()),
        precision_iou_75=tuple(by_threshold[5].tolist()),
        precision_iou_50_95=tuple(by_threshold.mean(axis=0).tolist()),
    )
