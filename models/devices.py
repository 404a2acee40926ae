"""Devices by name: what was asked for, or an error; only `auto` may fall back to the CPU. And how exactly CUDA computes."""

import contextlib
import re
import threading
from collections.abc import Iterator
from typing import Any, Final

import torch

from contract.errors import DeviceError

_CUDA: Final = re.compile(r"cuda(?::(\d+))?")

# TF32, which convolutions take by default on CUDA, keeps 10 of 23 bits; and cuDNN may choose another algorithm on each run.
_EXACT: Final[tuple[tuple[Any, str, bool], ...]] = (
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cudnn, "benchmark", False),
    (torch.backends.cudnn, "deterministic", True),
    (torch.backends.cuda.matmul, "allow_tf32", False),
)
_ALONE: Final = threading.Lock()  # the settings are the process's own


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


@contextlib.contextmanager
def in_full_precision(device: str) -> Iterator[None]:
    """Let CUDA compute in whole float32 and by the same algorithms each time; what was set before is set again afterwards.

    One thread of a process at a time, for PyTorch keeps these settings by process. On the CPU nothing needs to be set.
    """
    if not device.startswith("cuda"):
        yield
        return
    with _ALONE:
        before = [getattr(where, name) for where, name, _ in _EXACT]
        try:
            for where, name, exact in _EXACT:
                setattr(where, name, exact)
            yield
        finally:
            for (where, name, _), value in zip(_EXACT, before, strict=True):
                setattr(where, name, value)
