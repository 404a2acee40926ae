"""COCO's average precision and recall as tensors: the arrays of `qa.coco.evaluation`, to the bit, on a CUDA device.

Written from the definition (see `qa.coco.evaluation`) for a machine that sorts, scans and gathers in parallel. Boxes and
scores stay in float64, and every sum, product and quotient is one tensor operation, rounded once, in pycocotools' order, so
that nothing can be fused. Every function runs on torch's CPU device as well, where the tests compare it; only the matching
has a CUDA kernel of its own (`qa.coco.cuda_kernel`) beside its rounds of tensor operations (`qa.coco.tensor_match`).

So far it has run on torch's CPU device only, the kernel compiled for the host: tests/gpu is yet to run on a GPU.

Numbers of classes and images are below 2**31; the key of a class in an image is class * 2**32 + image.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qa.coco.evaluation import RECALL_POINTS, CocoArrays, Floats
from qa.coco.match import AREAS, MAX_DETECTIONS
from qa.coco.scans import places_of, running
from qa.coco.tensor_curves import Ranked, best_precision, first_reaching
from qa.coco.tensor_match import Cells, match
from qa.pairing.boxes import BoxColumns
from qa.pairing.iou import check_device

_CLASS_SHIFT: Final = 32
_BYTES_AT_ONCE: Final = 1 << 24


@dataclass(frozen=True)
class GoldOnDevice:
    """Gold made ready once, for any number of submissions."""

    cells: Cells
    positives: Tensor  # shape (classes, sizes): gold that counts
    needed: Tensor  # shape (classes, sizes, recall points): the true positive, from 1, that first reaches the point

    @property
    def device(self) -> torch.device:
        """Where the gold lies."""
        return self.positives.device

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.positives)


@dataclass(frozen=True)
class DetectionsOnDevice:
    """Detections in the order given, all on one device."""

    scores: Tensor  # float64
    image: Tensor  # int32
    label: Tensor  # int32
    boxes: Tensor  # float64, shape (detections, 4): x, y, w, h


def index(gold: BoxColumns, *, classes: int, device: str = "cuda") -> GoldOnDevice:
    """Return `gold` ready on `device`, "cuda" or "cpu"; its `image` numbers give the order of images.

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    if device == "cuda":
        check_device("cuda")
    place = torch.device(device)
    image, label = (_sent(column, place, torch.int32) for column in (gold.image, gold.label))
    boxes, area = (_sent(column, place, torch.float64) for column in (gold.boxes, gold.area))
    crowd = _sent(gold.crowd, place, torch.bool)
    keys, order = torch.sort(_keys(label, image), stable=True)
    counted = torch.stack([~(crowd | (area < low) | (area > high)) for low, high in AREAS.tolist()])[:, order]
    edges = torch.searchsorted(keys, torch.arange(classes + 1, device=place) << _CLASS_SHIFT)
    before, rows = running(counted), torch.arange(len(AREAS), device=place)[:, None] * len(order)
    positives = (before[rows + edges[1:]] - before[rows + edges[:-1]]).T.contiguous().long()
    return GoldOnDevice(
        cells=Cells.of(keys, boxes=boxes[order], crowd=crowd[order], counted=counted),
        positives=positives,
        needed=first_reaching(positives, torch.from_numpy(RECALL_POINTS).to(place)),
    )


def upload(detections: BoxColumns, scores: Floats, *, device: torch.device) -> DetectionsOnDevice:
    """Copy detections to `device`: to CUDA by way of pinned memory, and without waiting for the end of the copies."""
    return DetectionsOnDevice(
        scores=_sent(scores, device, torch.float64),
        image=_sent(detections.image, device, torch.int32),
        label=_sent(detections.label, device, torch.int32),
        boxes=_sent(detections.boxes, device, torch.float64),
    )


def evaluate(gold: BoxColumns, detections: BoxColumns, *, scores: Floats, classes: int, device: str = "cuda") -> CocoArrays:
    """Evaluate detections against gold on `device`; arguments and result are those of `qa.coco.evaluation.evaluate`.

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    return evaluate_against(index(gold, classes=classes, device=device), detections, scores=scores)


def evaluate_against(gold: GoldOnDevice, detections: BoxColumns, *, scores: Floats) -> CocoArrays:
    """Evaluate detections in the host's memory against gold on a device, as `qa.coco.evaluation.evaluate_against`."""
    return evaluate_uploaded(gold, upload(detections, scores, device=gold.device))


def evaluate_many(gold: GoldOnDevice, submissions: Iterable[tuple[BoxColumns, Floats]]) -> Iterator[CocoArrays]:
    """Evaluate submissions (detections and their scores) one after the other, each copied while the one before is scored.

    At most two submissions are on the device at once; the iterable is drawn from in another thread.
    """
    source = iter(submissions)
    stream = torch.cuda.Stream(gold.device) if gold.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def fetch() -> DetectionsOnDevice | None:
        drawn = next(source, None)
        if drawn is None:
            return None
        with torch.cuda.stream(stream):  # with None it does nothing
            return upload(*drawn, device=gold.device)

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(fetch)
        while (here := coming.result()) is not None:
            if stream is not None:
                _hand_over(here, stream)
            coming = pool.submit(fetch)
            yield evaluate_uploaded(gold, here)


def _hand_over(detections: DetectionsOnDevice, stream: torch.cuda.Stream) -> None:
    """Let the current stream wait for what `stream` copies, and keep that memory until the current one is done with it."""
    current = torch.cuda.current_stream(detections.scores.device)
    current.wait_stream(stream)
    for field in fields(detections):
        getattr(detections, field.name).record_stream(current)


def evaluate_uploaded(gold: GoldOnDevice, detections: DetectionsOnDevice) -> CocoArrays:
    """Evaluate detections that are on the gold's device; the arrays come back to the host."""
    best, true = best_precision(_ranked(gold, detections), gold.needed)
    positives = gold.positives.T[:, None, None, :]
    # by a tensor, not by a number: torch on CUDA multiplies by a number's inverse, which rounds twice
    recall = (true.double() / positives.double()).masked_fill(positives == 0, torch.nan)
    precision = best.masked_fill((positives == 0)[..., None], torch.nan)
    # from (sizes, limits, thresholds, classes, points) to the order of CocoArrays
    return CocoArrays(precision.cpu().numpy().transpose(2, 4, 3, 0, 1), recall.cpu().numpy().transpose(2, 3, 0, 1))


def _ranked(gold: GoldOnDevice, detections: DetectionsOnDevice) -> Ranked:
    """Sort by score, then by class and image, to match; then by class and score, to draw the curves."""
    ascending, by_score = torch.sort(0.0 - detections.scores, stable=True)  # 0 - 0 is +0: there is one zero only
    level = torch.cumsum(_differs(ascending, 1), 0) - 1  # equal scores, equal levels; from 0
    keys, by_cell = torch.sort(_keys(detections.label, detections.image)[by_score], stable=True)
    order = by_score[by_cell]
    fates = match(gold.cells, keys, detections.boxes, order)
    label = keys >> _CLASS_SHIFT
    levels = len(order) + 1
    narrow = torch.int32 if gold.classes * levels < 2**31 else torch.int64  # a radix sort takes half the passes
    # ties of score stand by image, then place, as they do in `order`
    by_class = torch.sort((label * levels + level[by_cell]).to(narrow), stable=True).indices
    slots = torch.full_like(order, -1)
    slots[fates.detection] = torch.arange(len(fates.detection), device=gold.device)
    slots = slots[by_class]
    places = places_of(slots >= 0)
    near = slots[places]
    label_near = label[fates.detection[near]]
    edges = torch.arange(gold.classes + 1, device=gold.device)
    return Ranked(
        flags=(_sizes(detections.boxes)[order] | _limits(keys))[by_class],
        starts=torch.searchsorted(label, edges),
        places=places,
        label=label_near,
        near_starts=torch.searchsorted(label_near, edges),
        true=fates.true[near],
        matched=fates.matched[near],
    )


def _sizes(boxes: Tensor) -> Tensor:
    """Return in which sizes each box is, a bit a size."""
    area = boxes[:, 2] * boxes[:, 3]
    flags = torch.zeros(len(boxes), dtype=torch.uint8, device=boxes.device)
    for bit, (low, high) in enumerate(AREAS.tolist()):
        flags |= (~((area < low) | (area > high))).to(torch.uint8) << bit
    return flags


def _limits(keys: Tensor) -> Tensor:
    """Return within which limits the rank of each detection in its cell is, a bit a limit above those of the sizes."""
    flags = torch.zeros(len(keys), dtype=torch.uint8, device=keys.device)
    for bit, limit in enumerate(MAX_DETECTIONS.tolist(), start=len(AREAS)):
        flags |= _differs(keys, limit).to(torch.uint8) << bit
    return flags


def _differs(ordered: Tensor, distance: int) -> Tensor:
    """Return whether each element of a sorted tensor differs from the one `distance` before it, or has none there."""
    result = torch.ones(len(ordered), dtype=torch.bool, device=ordered.device)
    result[distance:] = ordered[distance:] != ordered[: max(0, len(ordered) - distance)]
    return result


def _keys(label: Tensor, image: Tensor) -> Tensor:
    return (label.long() << _CLASS_SHIFT) | image.long()


def _sent(array: NDArray[np.generic], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return `array` as a tensor on `device`; on its way to CUDA one piece is copied while the next one is pinned.

    The pieces are small so that little memory is pinned: torch keeps it for the next, and hands it out again once its
    copy has ended.
    """
    # torch warns of arrays that may not be written: those are copied first
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if device.type == "cpu":
        return tensor.to(dtype)
    result = torch.empty(tensor.shape, dtype=dtype, device=device)
    rows = max(1, _BYTES_AT_ONCE * len(result) // max(1, result.nbytes))
    for first in range(0, len(tensor), rows):
        piece = tensor[first : first + rows]
        pinned = torch.empty(piece.shape, dtype=dtype, pin_memory=True).copy_(piece)  # by all of torch's threads
        result[first : first + rows].copy_(pinned, non_blocking=True)
    return result
