"""Boxes against gold, as one document: the contract's reading, its limits, the defects, and COCO's reading."""

from dataclasses import replace
from typing import Any, Final, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.acceptance import ImageProfile
from contract.labelset import LabelSet
from contract.scores import (
    BOX_MATCHES,
    ITEM_COUNTS,
    BoxContract,
    BoxDefects,
    BoxScore,
    ClassRates,
    Interval,
    SizeRates,
)
from contract.tables import Task
from qa.coco import device as coco_device
from qa.coco import evaluation as coco
from qa.columns import taken
from qa.pairing.boxes import BoxColumns, Reading, read_boxes
from qa.pairing.boxgold import BoxGold, BoxSides, compare, prepare_gold
from qa.pairing.defects import defect_table, find_defects
from qa.pairing.iou import TIE, Device, check_device
from qa.pairing.matching import Indices
from qa.rates import Sums, interval, rates, share, three_intervals

_SIZES: Final[tuple[Literal["small", "medium", "large"], ...]] = ("small", "medium", "large")
_SIZE_LIMITS: Final = (32.0**2, 96.0**2)
_HISTOGRAM_BINS: Final = 20


def score_boxes(
    labels: LabelSet,
    gold: LabelSet | BoxGold,
    profile: ImageProfile,
    *,
    device: Device = "cpu",
    lot_items: int | None = None,
) -> BoxScore:
    """Score the boxes of `labels` against those of `gold` by `profile`.

    Counts add over any split of the items, and no order of rows or items matters, but for COCO's figures:
    there a tie of scores within an image is broken by the order of rows and across images by the order of
    items in the gold's states, as pycocotools breaks it by the file's order and by the image id.

    Args:
        labels: the submission (or drafts: with scores on every box COCO's figures are given too).
        gold: what is true; its states say which images are scored. For many submissions prepare it once
            (`qa.pairing.boxgold.prepare_gold`).
        profile: the reading.
        device: where overlaps and COCO's figures are computed; the result is the same. "auto" leaves overlaps to the
            CPU, whose compiled loops are done before the boxes of a lot have been copied to a device.
        lot_items: size of the lot that the gold's images were drawn from, for limits of a finite lot.

    Raises:
        LabelsError: the gold holds no boxes table, or an item is named twice.
        DeviceError: CUDA was asked for and is absent.
    """
    check_device(device)
    sides = compare(labels, gold if isinstance(gold, BoxGold) else prepare_gold(gold))
    scored, names, items = sides.scored, sides.names, sides.scored.ordered
    reading = read_boxes(sides.gold_ordered, sides.labels_ordered, profile=profile, device=device)
    sums = _sums_by_image(reading, len(items))
    bounds = three_intervals(sums, bound=profile.bound, lot_items=lot_items)
    defects = find_defects(reading, profile)
    model_reading = _coco_reading(sides, labels.table(Task.BOXES)["score"], device=device)
    return BoxScore(
        contract=_contract(reading, sums, bounds=bounds, incomplete=scored.incomplete),
        defects=BoxDefects(**{defect.kind: int(defect.gold.size) for defect in defects}),
        per_class=_per_class(reading, names=names, images=len(items), profile=profile, lot_items=lot_items),
        per_size=_per_size(reading),
        iou_histogram=tuple(np.histogram(reading.matched.iou, bins=_HISTOGRAM_BINS, range=(0, 1))[0].tolist()),
        **model_reading,
        bounds=cast(Any, bounds),
        coverage=scored.coverage,
        reading={**profile.model_dump(mode="json", exclude={"metrics"}), "iou_tie": TIE},
        matches=_match_table(reading, items=items, names=names),
        defect_rows=defect_table(defects, reading=reading, items=items, names=names),
        items=pa.table({"item": items, "tp": sums.tp, "fp": sums.fp, "fn": sums.fn}, schema=ITEM_COUNTS),
    )


def _sums_by_image(reading: Reading, images: int) -> Sums:
    return Sums(
        tp=np.bincount(reading.gold.image[reading.matched.gold], minlength=images),
        fp=np.bincount(reading.labels.image[reading.labels_left], minlength=images),
        fn=np.bincount(reading.gold.image[reading.gold_left], minlength=images),
    )


def _contract(reading: Reading, sums: Sums, *, bounds: dict[str, Interval], incomplete: NDArray[np.bool_]) -> BoxContract:
    tp, fp, fn = sums.totals()
    fields = rates(tp, fp, fn)
    iou = np.sort(reading.matched.iou)
    if not iou.size:
        fields["reasons"] |= dict.fromkeys(("mean_iou", "p5_iou", "share_iou_075"), "no pair matches")
    if not tp + fp + fn:
        fields["reasons"]["jaccard"] = "neither side has a box"
    for name, limit in (("lower_bound", "f1"), ("precision_lower_bound", "precision"), ("recall_lower_bound", "recall")):
        if bounds[limit].reason:
            fields["reasons"][name] = bounds[limit].reason
    perfect = (sums.fp + sums.fn == 0) & ~incomplete
    return BoxContract(
        **fields,
        jaccard=share(tp, tp + fp + fn),
        mean_iou=float(iou.mean()) if iou.size else None,
        p5_iou=float(np.quantile(iou, 0.05)) if iou.size else None,
        share_iou_075=share(int((iou >= 0.75 - TIE).sum()), iou.size),
        lower_bound=bounds["f1"].lower,
        upper_bound=bounds["f1"].upper,
        precision_lower_bound=bounds["precision"].lower,
        recall_lower_bound=bounds["recall"].lower,
        images=sums.tp.size,
        perfect_images=int(perfect.sum()),
        ignored_gold=reading.ignored_gold,
        ignored_labels=reading.ignored_labels,
    )


def _per_class(
    reading: Reading, *, names: tuple[str, ...], images: int, profile: ImageProfile, lot_items: int | None
) -> tuple[ClassRates, ...]:
    """Rates of each class that occurs: matches and misses by the gold's class, false positives by the label's."""
    label, good, total = _cells(reading)
    fp = np.bincount(reading.labels.label[reading.labels_left], minlength=len(names))
    starts = np.searchsorted(label, np.arange(len(names) + 1))
    result = []
    for code, name in enumerate(names):
        own = slice(starts[code], starts[code + 1])
        tp, whole = int(good[own].sum()), int(total[own].sum())
        if whole or fp[code]:
            bound = interval(good[own], total[own], bound=profile.bound, lot_items=lot_items, sampled=images)
            result.append(ClassRates(label=name, recall_bound=bound, **rates(tp, int(fp[code]), whole - tp)))
    return tuple(result)


def _cells(reading: Reading) -> tuple[Indices, Indices, Indices]:
    """Return class, matched gold and all gold of each image and class that has gold, sorted by class."""
    gold = reading.gold
    new = np.ones(len(gold), dtype=np.bool_)  # gold is in the order of content: by image, then class
    new[1:] = (np.diff(gold.image) != 0) | (np.diff(gold.label) != 0)
    cell, label = np.cumsum(new) - 1, gold.label[new]
    order = np.argsort(label, kind="stable")
    good = np.bincount(cell[reading.matched.gold], minlength=label.size)
    return label[order], good[order], np.bincount(cell, minlength=label.size)[order]


def _per_size(reading: Reading) -> tuple[SizeRates, ...]:
    """Rates by size: of the gold box, or of the submission's where there is no gold."""
    gold_size = np.digitize(reading.gold.area, _SIZE_LIMITS)
    label_size = np.digitize(reading.labels.boxes[:, 2] * reading.labels.boxes[:, 3], _SIZE_LIMITS)
    tp = np.bincount(gold_size[reading.matched.gold], minlength=3)
    fn = np.bincount(gold_size[reading.gold_left], minlength=3)
    fp = np.bincount(label_size[reading.labels_left], minlength=3)
    return tuple(SizeRates(size=size, **rates(int(tp[i]), int(fp[i]), int(fn[i]))) for i, size in enumerate(_SIZES))


def _match_table(reading: Reading, *, items: pa.Array, names: tuple[str, ...]) -> pa.Table:
    gold, label, matched = reading.gold, reading.labels, reading.matched
    columns = {
        "item": taken(items, gold.image[matched.gold]),
        "gold_row": gold.row[matched.gold],
        "label_row": label.row[matched.label],
        "gold_label": taken(names, gold.label[matched.gold]),
        "label": taken(names, label.label[matched.label]),
        "iou": matched.iou,
    }
    return pa.table(columns, schema=BOX_MATCHES)


def _coco_reading(sides: BoxSides, scores: pa.ChunkedArray, *, device: Device) -> dict[str, Any]:
    """Return the score's fields that hold COCO's figures, or why there are none."""
    gold, labels, names = sides.gold, sides.labels, sides.names
    if not len(labels):
        return {"coco": None, "coco_reason": "the submission has no boxes, so that there are no scores to rank by"}
    own = scores if len(labels) == len(scores) else scores.take(pa.array(labels.row))
    if own.null_count:
        reason = f"{own.null_count} of {len(labels)} boxes carry no score; average precision ranks by score"
        return {"coco": None, "coco_reason": reason}
    place = sides.scored.place_in_states
    theirs, ours = _placed(gold, place), _placed(labels, place)
    arrays = coco_device.evaluate(theirs, ours, scores=_floats(own), classes=len(names), device=device)
    return {
        "coco": coco.figures(arrays),
        "coco_reason": None,
        "coco_curves": coco.curves(arrays),
        "coco_per_class": coco.figures_by_class(arrays, names),
    }


def _placed(columns: BoxColumns, place: Indices) -> BoxColumns:
    return replace(columns, image=place[columns.image])


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)
