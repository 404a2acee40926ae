"""Windows in one row without padding: the same answers as with it, for every architecture, and padding where it fails."""

from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch

from models.textbatches import Batch
from models.textfolder import read_model
from models.textpacked import PackedEngine
from models.textruntime import TorchEngine, open_cuda
from tests.oracles.tinytexts import ARCHITECTURES, VOCABULARY, bert, save

CPU = torch.device("cpu")


def plain_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: torch.Tensor, _: Any, *longest: int, **told: Any
) -> torch.Tensor:
    """What torch.nn.attention.varlen computes, a window at a time, on the CPU."""
    assert longest == (int(starts.diff().max()),) * 2
    found, (left, right) = torch.empty_like(query), told["window_size"]
    scale = told["scale"] or query.shape[-1] ** -0.5
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        scores = torch.einsum("qhw,khw->hqk", query[begin:end], key[begin:end]) * scale
        places = torch.arange(end - begin)
        distance = places[None, :] - places[:, None]
        if left >= 0:
            scores = scores.masked_fill((distance < -left) | (distance > right), -torch.inf)
        found[begin:end] = torch.einsum("hqk,khw->qhw", scores.softmax(-1), value[begin:end])
    return found


def broken(*given: Any, **told: Any) -> torch.Tensor:
    raise RuntimeError("varlen_attn needs fp16 or bf16")


def forgetful(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *given: Any, **told: Any) -> torch.Tensor:
    """One window sees all others."""
    whole = torch.tensor([0, len(query)], dtype=torch.int32)
    return plain_varlen(query, key, value, whole, whole, len(query), len(query), **told)


def batch_of(lengths: list[int], *, typed: bool = False) -> Batch:
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    rng = np.random.default_rng(sum(lengths))
    ids = np.where(real, rng.integers(1, len(VOCABULARY), real.shape), 0).astype(np.int64)
    types = (real & (np.arange(max(lengths)) >= 2)).astype(np.int64) if typed else None
    return Batch(ids, real.astype(np.int64), types)


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[TorchEngine, PackedEngine]:
    folder = save(tmp_path_factory.mktemp("model"), ARCHITECTURES[request.param])
    padded, packed = (read_model(folder, torch.float32) for _ in range(2))
    return TorchEngine(padded, CPU), PackedEngine(packed, CPU, batch_tokens=64, kernel=plain_varlen)


@hypothesis.settings(max_examples=20, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_answers_are_those_with_padding(engines: tuple[TorchEngine, PackedEngine], lengths: list[int]) -> None:
    batch = batch_of(lengths)
    assert np.allclose(engines[1].logits(batch), engines[0].logits(batch), atol=2e-5)


def test_company_does_not_matter(engines: tuple[TorchEngine, PackedEngine]) -> None:
    batch = batch_of([7, 30, 1, 12])
    together = engines[1].logits(batch)
    for place, length in enumerate([7, 30, 1, 12]):
        alone = Batch(batch.ids[[place], :length], batch.mask[[place], :length], None)
        assert np.allclose(engines[1].logits(alone)[0], together[place], atol=2e-5)


def test_token_types_are_told(tmp_path: Path) -> None:
    folder = save(tmp_path, bert)
    batch = batch_of([9, 4, 6], typed=True)
    wanted = TorchEngine(read_model(folder, torch.float32), CPU).logits(batch)
    packed = PackedEngine(read_model(folder, torch.float32), CPU, batch_tokens=64, kernel=plain_varlen)
    assert np.allclose(packed.logits(batch), wanted, atol=2e-5)
    assert not np.allclose(packed.logits(batch._replace(types=None)), wanted, atol=1e-3)


def test_it_is_chosen_where_it_agrees_and_padding_where_not(tmp_path: Path) -> None:
    folder = save(tmp_path, bert)
    batch = batch_of([9, 4, 6])
    wanted = TorchEngine(read_model(folder, torch.float32), CPU).logits(batch)
    for kernel, packed in ((plain_varlen, True), (broken, False), (forgetful, False)):
        engine = open_cuda(read_model(folder, torch.float32), CPU, typed=False, kernel=kernel)
        assert isinstance(engine, PackedEngine) == packed
        assert ("packed" in engine.runtime) == packed
        assert np.allclose(engine.logits(batch), wanted, atol=2e-5)
