"""Overlap of boxes: over candidate pairs, in float64, on the CPU or, with torch, on a CUDA device.

Boxes are x, y, w, h in continuous pixels, with no "+1"; the overlap of empty boxes is 0.
The tensors do the same correctly rounded operations in the same order as the loops of qa.pairing.overlaps, so that both
agree to the bit.
"""

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from contract.errors import DeviceError
from qa.pairing.overlaps import Grouped

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "auto"]

TIE = 1e-9  # an overlap this close below the threshold reaches it: exact ties must not hang on rounding


def check_device(device: Device) -> None:
    """Refuse a device that is unknown or not there.

    Raises:
        DeviceError: CUDA was asked for and is absent, or the name is none of ours.
    """
    if device not in get_args(Device):
        raise DeviceError(f"device {device!r} is none of {', '.join(get_args(Device))}")
    if device == "cuda":
        _torch_with_cuda()


def pairs_by_tensors(
    gold: Grouped, labels: Grouped, floor: float, *, place: str = "cuda"
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return what `qa.pairing.overlaps.overlapping_pairs` returns, computed by torch at `place`.

    Raises:
        DeviceError: `place` is CUDA, and it is absent.
    """
    torch = _torch_with_cuda() if place == "cuda" else _torch()
    ours, theirs = (torch.from_numpy(np.ascontiguousarray(side.boxes)).to(place) for side in (gold, labels))
    group, other_group = (torch.from_numpy(np.ascontiguousarray(side.group)).to(place) for side in (gold, labels))
    first = torch.searchsorted(other_group, group, right=False)
    counts = torch.searchsorted(other_group, group, right=True) - first
    one = torch.repeat_interleave(torch.arange(len(group), device=place), counts)
    other = torch.arange(len(one), device=place) - (torch.cumsum(counts, 0) - counts - first)[one]
    iou = _iou_of_tensors(ours[one], theirs[other])
    near = iou >= floor
    return one[near].cpu().numpy(), other[near].cpu().numpy(), iou[near].cpu().numpy()


def _iou_of_tensors(one: "torch.Tensor", other: "torch.Tensor") -> "torch.Tensor":
    intersection = _overlap_of_tensors(one, other)
    union = one[:, 2] * one[:, 3] + other[:, 2] * other[:, 3] - intersection
    return (intersection / union).where(union > 0, 0.0)


def _overlap_of_tensors(one: "torch.Tensor", other: "torch.Tensor") -> "torch.Tensor":
    end = (one[:, :2] + one[:, 2:]).minimum(other[:, :2] + other[:, 2:])
    side = (end - one[:, :2].maximum(other[:, :2])).clamp(min=0.0)
    return side[:, 0] * side[:, 1]


def _torch() -> Any:
    import torch  # takes seconds: only those who ask for a device pay for it

    return torch


def _torch_with_cuda() -> Any:
    torch = _torch()
    if not torch.cuda.is_available():
        raise DeviceError("device cuda was asked for, but there is no CUDA device; choose cpu or auto")
    return torch
