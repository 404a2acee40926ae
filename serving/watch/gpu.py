"""Memory and load of this machine's GPUs, as NVIDIA's management library tells them; nothing where there is none."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pynvml


@dataclass(frozen=True)
class Gpu:
    """One GPU now; what its driver does not tell is None.

    Args:
        index: its number on this machine.
        name: of the product.
        used_bytes: memory in use, by whichever process.
        total_bytes: memory that it has.
        busy: share of the last sample period in which a kernel ran.
    """

    index: int
    name: str
    used_bytes: int | None
    total_bytes: int | None
    busy: float | None


def read_gpus() -> list[Gpu]:
    """Return the GPUs of this machine; an empty list where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return list(_gpus())
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _gpus() -> Iterator[Gpu]:
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            name = pynvml.nvmlDeviceGetName(handle)
        except pynvml.NVMLError:
            continue  # lost, or not for this process
        used, total, busy = None, None, None
        with contextlib.suppress(pynvml.NVMLError):
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            used, total = int(memory.used), int(memory.total)
        with contextlib.suppress(pynvml.NVMLError):
            busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        yield Gpu(index, name, used, total, busy)
