"""Devices: what was asked for, or an error."""

import pytest
import torch

from contract.errors import DeviceError
from models.devices import resolve


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
