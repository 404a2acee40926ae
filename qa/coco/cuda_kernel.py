"""COCO's matching as one CUDA kernel: a thread a cell, all sizes and thresholds at once in a word of 40 bits.

Cells do not meet, and a cell's detections take one after the other: what would be a hundred rounds of tensor
operations is one launch. It compares and takes, and does no arithmetic, so that there is nothing to round. The kernel is
compiled at its first use by NVRTC, through the bindings that torch's CUDA build brings along; no compiler is needed.
"""

import ctypes
import functools
import logging
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from qa.coco.tensor_match import Queue

_LOG = logging.getLogger(__name__)
_THREADS: Final = 128
_NAME: Final = "match_cells"

SOURCE: Final = """
typedef long long word;

extern "C" __global__ void match_cells(
    const word* cell_starts, const word* pair_starts, const word* gold, const word* reach,
    const word* counted, const word* spent, word* open, word* matched, word* taken_true, word cells, word every)
{
    word step = (word)gridDim.x * blockDim.x;
    for (word cell = (word)blockIdx.x * blockDim.x + threadIdx.x; cell < cells; cell += step) {
        for (word one = cell_starts[cell]; one < cell_starts[cell + 1]; one++) {
            word first = pair_starts[one], end = pair_starts[one + 1];
            word need = every;
            for (word pair = first; pair < end && need; pair++) {
                word target = gold[pair];
                word take = need & reach[pair] & open[target] & counted[target];
                need &= ~take;
                open[target] &= ~(take & spent[target]);
            }
            taken_true[one] = every & ~need;
            for (word pair = first; pair < end && need; pair++) {
                word target = gold[pair];
                word take = need & reach[pair] & open[target] & ~counted[target];
                need &= ~take;
                open[target] &= ~(take & spent[target]);
            }
            matched[one] = every & ~need;
        }
    }
}
"""


def match_on_cuda(queue: "Queue", counted: Tensor, spent: Tensor, *, every: int) -> tuple[Tensor, Tensor] | None:
    """Return the words matched and true of each detection, or None where the kernel cannot be compiled.

    The arguments are those of `coco_torch_match.match_in_rounds`; `every` is the word whose bits are all set.
    """
    device = counted.device
    with torch.cuda.device(device):
        free = torch.full_like(counted, every)  # torch's first work in a thread makes the context current there
        kernel = _kernel(torch.cuda.current_device())
        if kernel is None:
            return None
        cells, detections = len(queue.cell_starts) - 1, len(queue.pair_starts) - 1
        matched, true = (torch.empty(detections, dtype=torch.int64, device=device) for _ in range(2))
        tensors = (*(each.contiguous() for each in (*queue, counted, spent)), free, matched, true)
        _launch(kernel, tensors, (cells, every), blocks=-(-cells // _THREADS))
        return matched, true


def kernel_is_there() -> bool:
    """Return whether the current CUDA device has the kernel: without it the same is done in rounds, which takes longer."""
    torch.zeros(1, device="cuda")  # makes the context current
    return _kernel(torch.cuda.current_device()) is not None


@functools.cache
def _kernel(device: int) -> Any | None:
    """Return the kernel in the context of `device`, which is the current one; None where it cannot be had."""
    try:
        from cuda.bindings import driver
    except ImportError:
        _LOG.warning("COCO's matching runs in rounds, which takes longer: cuda.bindings is absent")
        return None
    major, minor = torch.cuda.get_device_capability(device)
    code = compile_for(f"sm_{major}{minor}")
    if code is None:
        return None
    return _checked(driver.cuModuleGetFunction(_checked(driver.cuModuleLoadData(code)), _NAME.encode()))


def compile_for(architecture: str) -> bytes | None:
    """Return the kernel's machine code for e.g. "sm_90", or None where NVRTC does not know that architecture."""
    from cuda.bindings import nvrtc

    program = _checked(nvrtc.nvrtcCreateProgram(SOURCE.encode(), b"match_cells.cu", 0, [], []))
    option = f"--gpu-architecture={architecture}".encode()
    (status,) = nvrtc.nvrtcCompileProgram(program, 1, [option])
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = b" " * _checked(nvrtc.nvrtcGetProgramLogSize(program))
        nvrtc.nvrtcGetProgramLog(program, log)
        text = log.decode(errors="replace").strip("\0 \n")
        _LOG.warning("COCO's matching runs in rounds, as its kernel was not compiled for %s: %s", architecture, text)
        return None
    code: bytes = b" " * _checked(nvrtc.nvrtcGetCUBINSize(program))
    _checked(nvrtc.nvrtcGetCUBIN(program, code))
    _checked(nvrtc.nvrtcDestroyProgram(program))
    return code


def _launch(kernel: Any, tensors: tuple[Tensor, ...], numbers: tuple[int, ...], *, blocks: int) -> None:
    from cuda.bindings import driver

    values = (*(each.data_ptr() for each in tensors), *numbers)
    kinds = (*(ctypes.c_void_p for _ in tensors), *(ctypes.c_longlong for _ in numbers))
    stream = torch.cuda.current_stream().cuda_stream
    _checked(driver.cuLaunchKernel(kernel, blocks, 1, 1, _THREADS, 1, 1, 0, stream, (values, kinds), 0))


def _checked(answer: tuple[Any, ...]) -> Any:
    """Return what a call of the bindings gave besides its status."""
    status, *rest = answer
    if int(status):
        raise RuntimeError(f"CUDA answered {status!r}")
    return rest[0] if rest else None
