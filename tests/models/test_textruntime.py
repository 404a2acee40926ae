"""OpenVINO beside torch on tiny models of every architecture, the cache of converted networks, and what cannot be used."""

import random
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch

from contract.errors import WeightsError
from contract.predictor import Source
from contract.tables import Kind
from models import textruntime
from models.registry import ModelEntry
from models.sentiment import SentimentClassifier, SentimentSettings, from_entry
from models.textbatches import Batch
from models.textfolder import read_model
from models.textruntime import OpenVinoEngine, TorchEngine, open_openvino
from tests.oracles.tinytexts import ARCHITECTURES, WORDS, bert, save

pytest.importorskip("openvino")

TOLERANCE = 1e-5  # of a probability, whatever the batch


def shares(predictor: SentimentClassifier, texts: Sequence[str]) -> list[list[float]]:
    sources = [Source(str(index), Kind.TEXT, "", content.encode()) for index, content in enumerate(texts)]
    rows = predictor.predict(sources)["sentiments"].to_pylist()
    return [[share for _, share in row[0]["probabilities"]] if row else [] for row in rows]


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[SentimentClassifier]:
    """The same weights by torch and by OpenVINO, reading windows of 16 tokens."""
    folder = save(tmp_path_factory.mktemp("model"), ARCHITECTURES[request.param])
    predictors = []
    for runtime in ("torch", "openvino"):
        settings = SentimentSettings.model_validate({"runtime": runtime, "window_tokens": 16, "batch_tokens": 48})
        predictors.append(SentimentClassifier(folder, settings=settings))
        predictors[-1].load("cpu")
    return predictors


@hypothesis.settings(max_examples=20, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), max_size=9),
    long=st.lists(st.sampled_from(WORDS), min_size=30, max_size=90).map(" ".join),
    order=st.randoms(use_true_random=False),
)
def test_answers_do_not_depend_on_the_runtime_or_on_company(
    pair: list[SentimentClassifier], texts: list[str], long: str, order: random.Random
) -> None:
    company = [*texts, long]
    alone = [shares(pair[0], [content])[0] for content in company]
    places = list(range(len(company)))
    order.shuffle(places)
    for predictor in pair:
        found = shares(predictor, [company[place] for place in places])
        assert found == [pytest.approx(alone[place], abs=TOLERANCE) for place in places]


def test_the_runtime_is_told(pair: list[SentimentClassifier]) -> None:
    assert "openvino" in pair[1].describe().runtime
    assert "torch" in pair[0].describe().runtime
    assert pair[1].describe().precision == "float32"
    assert pair[1].calls_at_once >= 1


def test_several_threads_may_call_at_once(pair: list[SentimentClassifier]) -> None:
    calls = [[" ".join(WORDS[: 1 + (call + text) % 12]) for text in range(40)] for call in range(12)]
    for predictor in pair:
        wanted = [shares(predictor, call) for call in calls]
        with ThreadPoolExecutor(6) as callers:
            found = list(callers.map(partial(shares, predictor), calls))
        for one, other in zip(found, wanted, strict=True):
            assert one == [pytest.approx(row, abs=TOLERANCE) for row in other]


def entry(folder: Path) -> ModelEntry:
    settings = {"runtime": "openvino", "stride_tokens": 2}
    return ModelEntry(name="tiny", kind=Kind.TEXT, loader="transformers", path=folder, settings=settings)


def test_a_converted_network_is_kept_by_its_weights_and_made_again_if_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    folder = save(tmp_path / "model", bert)
    first = from_entry(entry(folder))
    first.load("cpu")
    wanted = shares(first, ["good room", "很 差"])
    (kept,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in kept.iterdir()) == ["network.bin", "network.xml"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("converted again")

    with monkeypatch.context() as patched:
        patched.setattr(textruntime, "_converted", refuse)
        again = from_entry(entry(folder))
        again.load("cpu")
        assert shares(again, ["good room", "很 差"]) == wanted
    (kept / "network.xml").write_text("<net", encoding="utf-8")
    damaged = from_entry(entry(folder))
    damaged.load("cpu")
    assert shares(damaged, ["good room", "很 差"]) == wanted
    assert (kept / "network.xml").stat().st_size > 100
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [kept.name]


def test_a_network_of_other_weights_in_the_cache_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    folder = save(tmp_path / "model", bert)
    from_entry(entry(folder)).load("cpu")
    (kept,) = (tmp_path / "cache").iterdir()
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "other"))
    torch.manual_seed(4)
    other = shutil.copytree(folder, tmp_path / "another")
    bert({0: "NEGATIVE", 1: "NEUTRAL", 2: "POSITIVE"}).save_pretrained(other)
    from_entry(entry(other)).load("cpu")
    (foreign,) = (tmp_path / "other").iterdir()
    shutil.rmtree(kept)
    shutil.copytree(foreign, kept)
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match="does not answer as torch does"):
        from_entry(entry(folder)).load("cpu")
    auto = from_entry(entry(folder).model_copy(update={"settings": {"stride_tokens": 2}}))
    auto.load("cpu")
    assert "openvino" not in auto.describe().runtime


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("GOLDGATE_CACHE", str(tmp_path / "cache"))
    predictor = from_entry(entry(save(tmp_path / "model", bert)))
    predictor.load("cpu")
    assert "openvino" in predictor.describe().runtime


def test_bfloat16_is_close(tmp_path: Path) -> None:
    model = read_model(save(tmp_path, bert), torch.float32)
    half = open_openvino(model, typed=False, precision="bfloat16", cache=None, digest=None)
    batch = Batch(np.array([[2, 5, 6, 3], [2, 7, 3, 0]]), np.array([[1, 1, 1, 1], [1, 1, 1, 0]]), None)
    assert half.precision == "bfloat16"
    wanted = TorchEngine(model, torch.device("cpu")).logits(batch)
    assert isinstance(half, OpenVinoEngine)
    assert half.logits(batch) == pytest.approx(wanted, abs=0.2)
