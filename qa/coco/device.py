"""Where COCO's reading is computed: on the CPU, or as tensors on a CUDA device, with the same arrays to the bit."""

from typing import Final

from qa.coco import evaluation as coco
from qa.coco.evaluation import CocoArrays, Floats
from qa.pairing.boxes import BoxColumns
from qa.pairing.iou import Device, check_device

_DETECTIONS_WORTH_A_DEVICE: Final = 1 << 20  # below, loading torch and starting CUDA take longer than the CPU does


def evaluate(
    gold: BoxColumns, detections: BoxColumns, *, scores: Floats, classes: int, device: Device = "cpu"
) -> CocoArrays:
    """Evaluate detections against gold as `evaluation.evaluate`; "auto" takes CUDA for large input, if it is there.

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    check_device(device)
    if device == "cuda" or (device == "auto" and scores.size >= _DETECTIONS_WORTH_A_DEVICE and _cuda_is_there()):
        from qa.coco import tensors as coco_torch  # takes seconds: only those who ask for a device pay for it

        return coco_torch.evaluate(gold, detections, scores=scores, classes=classes)
    return coco.evaluate(gold, detections, scores=scores, classes=classes)


def _cuda_is_there() -> bool:
    import torch

    return torch.cuda.is_available()
