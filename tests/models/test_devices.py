"""Devices: what was asked for, or an error."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
import torch

from contract.errors import DeviceError
from models.devices import in_full_precision, resolve


def test_cpu_is_always_there() -> None:
    assert resolve("cpu") == "cpu"


@pytest.mark.parametrize("word", ["gpu", "", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "mps"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(DeviceError, match="none of cpu, cuda, cuda:N, auto"):
        resolve(word)


@pytest.mark.parametrize(
    ("present", "asked", "got"), [(0, "auto", "cpu"), (2, "auto", "cuda:0"), (2, "cuda", "cuda:0"), (2, "cuda:1", "cuda:1")]
)
def test_devices_that_are_present(monkeypatch: pytest.MonkeyPatch, present: int, asked: str, got: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: present)
    assert resolve(asked) == got


@pytest.mark.parametrize(("present", "asked"), [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2")])
def test_an_absent_device_never_becomes_another(monkeypatch: pytest.MonkeyPatch, present: int, asked: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: present)
    with pytest.raises(DeviceError, match=f"'{asked}' was asked for and {present} CUDA"):
        resolve(asked)


def how_exactly() -> tuple[bool, bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(params=[(True, True, False, True), (False, False, True, False)])
def set_before(request: pytest.FixtureRequest) -> Iterator[tuple[bool, bool, bool, bool]]:
    cudnn, matmul, held = torch.backends.cudnn, torch.backends.cuda.matmul, how_exactly()
    for values in (request.param, held):
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32 = values
        if values is request.param:
            yield request.param


def test_cuda_is_exact_for_a_while_alone(set_before: tuple[bool, bool, bool, bool]) -> None:
    with in_full_precision("cuda:0"):
        assert how_exactly() == (False, False, True, False)
    assert how_exactly() == set_before
    with contextlib.suppress(KeyError), in_full_precision("cuda:0"):
        raise KeyError
    assert how_exactly() == set_before


def test_threads_do_not_end_each_others_exactness(set_before: tuple[bool, bool, bool, bool]) -> None:
    seen = []

    def compute() -> None:
        for _ in range(200):
            with in_full_precision("cuda:0"):
                seen.append(how_exactly())

    threads = [threading.Thread(target=compute) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {(False, False, True, False)}
    assert len(seen) == 800
    assert how_exactly() == set_before


def test_the_cpu_needs_nothing_set(set_before: tuple[bool, bool, bool, bool]) -> None:
    with in_full_precision("cpu"):
        assert how_exactly() == set_before
