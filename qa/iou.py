"""Overlap of boxes: elementwise over candidate pairs, in float64, on the CPU or on a CUDA device.

Boxes are x, y, w, h in continuous pixels, with no "+1"; the overlap of empty boxes is 0.
Both paths do the same correctly rounded operations in the same order, so that they agree to the bit.
"""

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from contract.errors import DeviceError

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "auto"]
Boxes = NDArray[np.float64]

TIE = 1e-9  # an overlap this close below the threshold reaches it: exact ties must not hang on rounding
_PAIRS_WORTH_A_DEVICE = 1 << 20


def check_device(device: Device) -> None:
    """Refuse a device that is unknown or not there.

    Raises:
        DeviceError: CUDA was asked for and is absent, or the name is none of ours.
    """
    if device not in get_args(Device):
        raise DeviceError(f"device {device!r} is none of {', '.join(get_args(Device))}")
    if device == "cuda":
        _torch_with_cuda()


def iou_of_pairs(one: Boxes, other: Boxes, *, device: Device = "cpu") -> NDArray[np.float64]:
    """Return intersection over union of each pair: two arrays of shape (pairs, 4) give shape (pairs,).

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    intersection = _intersection(one, other, device)
    union = one[:, 2] * one[:, 3] + other[:, 2] * other[:, 3] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def share_inside(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Return the share of each box of `one` that lies inside the box of `other` beside it."""
    area = one[:, 2] * one[:, 3]
    return np.divide(_overlap(one, other), area, out=np.zeros_like(area), where=area > 0)


def _overlap(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    width = np.minimum(one[:, 0] + one[:, 2], other[:, 0] + other[:, 2]) - np.maximum(one[:, 0], other[:, 0])
    height = np.minimum(one[:, 1] + one[:, 3], other[:, 1] + other[:, 3]) - np.maximum(one[:, 1], other[:, 1])
    return np.asarray(np.maximum(width, 0.0) * np.maximum(height, 0.0), dtype=np.float64)


def _intersection(one: Boxes, other: Boxes, device: Device) -> NDArray[np.float64]:
    if device == "cpu" or (device == "auto" and len(one) < _PAIRS_WORTH_A_DEVICE):
        return _overlap(one, other)
    if device == "auto":
        import torch

        if not torch.cuda.is_available():
            return _overlap(one, other)
    return _overlap_on_cuda(one, other)


def _overlap_on_cuda(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    torch = _torch_with_cuda()
    a = torch.from_numpy(np.ascontiguousarray(one)).to("cuda")
    b = torch.from_numpy(np.ascontiguousarray(other)).to("cuda")
    return _overlap_of_tensors(a, b)


def _overlap_of_tensors(one: "torch.Tensor", other: "torch.Tensor") -> NDArray[np.float64]:
    end = (one[:, :2] + one[:, 2:]).minimum(other[:, :2] + other[:, 2:])
    side = (end - one[:, :2].maximum(other[:, :2])).clamp(min=0.0)
    return np.asarray((side[:, 0] * side[:, 1]).cpu().numpy(), dtype=np.float64)


def _torch_with_cuda() -> Any:
    import torch  # takes seconds: only those who ask for a device pay for it

    if not torch.cuda.is_available():
        raise DeviceError("device cuda was asked for, but there is no CUDA device; choose cpu or auto")
    return torch
