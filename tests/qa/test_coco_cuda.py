"""The CUDA kernel's source without a CUDA device: compiled for the host it must settle what the rounds settle."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from qa.coco import cuda_kernel as coco_cuda
from qa.coco import tensor_match as coco_torch_match
from qa.coco import tensors as coco_torch
from qa.coco.tensor_match import EVERY, Queue
from tests.oracles.cocosets import drawn

HOST = """
#define __global__
struct Place { int x; };
static Place gridDim, blockDim, blockIdx, threadIdx;
%s
typedef word* words;
extern "C" void run(int blocks, int threads, words a, words b, words c, words d, words e, words f, words g, words h, words i,
                    word cells, word every) {
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
            match_cells(a, b, c, d, e, f, g, h, i, cells, every);
}
"""
Matcher = Callable[[Queue, Tensor, Tensor], tuple[Tensor, Tensor]]


def compiled_for_the_host(folder: Path) -> Matcher:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    source, library = folder / "kernel.cpp", folder / "kernel.so"
    source.write_text(HOST % coco_cuda.SOURCE)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)  # noqa: S603
    function = ctypes.CDLL(str(library)).run
    function.argtypes = [ctypes.c_int] * 2 + [ctypes.c_void_p] * 9 + [ctypes.c_longlong] * 2

    def match(queue: Queue, counted: Tensor, spent: Tensor) -> tuple[Tensor, Tensor]:
        free = torch.full_like(counted, EVERY)
        matched, true = (torch.full((len(queue.pair_starts) - 1,), -1) for _ in range(2))
        tensors = [each.contiguous() for each in (*queue, counted, spent, free, matched, true)]
        function(3, 4, *(each.data_ptr() for each in tensors), len(queue.cell_starts) - 1, EVERY)
        return matched, true

    return match


@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_settles_what_the_rounds_settle(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, rounds = compiled_for_the_host(tmp_path), coco_torch_match.match_in_rounds
    queues = []

    def both(queue: Queue, counted: Tensor, spent: Tensor) -> tuple[Tensor, Tensor]:
        expected, ours = rounds(queue, counted, spent), kernel(queue, counted, spent)
        assert all(torch.equal(one, other) for one, other in zip(ours, expected, strict=True))
        queues.append(queue)
        return ours

    monkeypatch.setattr(coco_torch_match, "match_in_rounds", both)
    case = drawn(seed, images=40, classes=2, per_image=15)
    coco_torch.evaluate(case.gold, case.detections, scores=case.scores, classes=2, device="cpu")
    assert len(queues[0].cell_starts) > 3 * 4  # more cells than threads
    assert len(queues[0].gold) > len(queues[0].pair_starts)  # some detections have a choice


def test_nvrtc_compiles_the_kernel(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("cuda.bindings.nvrtc")
    code = coco_cuda.compile_for("sm_90")
    assert code is not None
    assert code.startswith(b"\x7fELF")
    assert b"match_cells" in code
    assert coco_cuda.compile_for("sm_10") is None
    assert "sm_10" in caplog.text
