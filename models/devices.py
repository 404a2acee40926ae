"""Devices by name: what was asked for, or an error; only `auto` may fall back to the CPU."""

import re
from typing import Final

import torch

from contract.errors import DeviceError

_CUDA: Final = re.compile(r"cuda(?::(\d+))?")


def resolve(device: str) -> str:
    """Return the torch device that `device` means: cpu, cuda:N, or for auto the first CUDA device if there is one.

    Raises:
        DeviceError: the word is unknown, or the CUDA device that was asked for is not present.
    """
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return "cpu"
    match = _CUDA.fullmatch(device)
    if match is None:
        raise DeviceError(f"device {device!r} is none of cpu, cuda, cuda:N, auto")
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(match[1] or 0)
    if index >= present:
        raise DeviceError(f"device {device!r} was asked for and {present} CUDA devices are present; choose cpu or auto")
    return f"cuda:{index}"
