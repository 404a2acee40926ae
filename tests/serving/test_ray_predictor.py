"""A real deployment of a predictor that can be told to misbehave, reached over a handle and over HTTP."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.errors import EndpointError
from contract.predictor import Predictor, Source
from contract.tables import Kind, State
from models.fake import FakePredictor
from serving.http.wire import encode_answer
from serving.isolation import Patience
from serving.predictors import HttpPredictor, RayPredictor

pytestmark = pytest.mark.e2e

HASTY = Patience(attempts=1, first_pause_s=0.1, longest_pause_s=0.5, unavailable_s=120)


def address(service: Any) -> str:
    return str(service.url)


@pytest.fixture
def predictor(service: Any) -> RayPredictor:
    predictor = service.predictor(Kind.TEXT, patience=HASTY)
    assert isinstance(predictor, RayPredictor)
    return predictor


def texts(*contents: str) -> list[Source]:
    return [
        Source(item=f"t{index}", kind=Kind.TEXT, uri="", data=content.encode()) for index, content in enumerate(contents)
    ]


def test_chunk_over_the_handle_equals_local(predictor: RayPredictor) -> None:
    assert isinstance(predictor, Predictor)
    predictor.load("cpu")
    sources = texts(*(f"text {index}" for index in range(300)), "", " ")
    local = FakePredictor(Kind.TEXT).predict(sources)
    remote = predictor.predict(sources)
    assert remote.equals(local)
    assert encode_answer(remote) == encode_answer(local)
    assert predictor.predict([]).equals(FakePredictor(Kind.TEXT).predict([]))


def test_a_file_is_opened_by_the_replica(predictor: RayPredictor, orders: Path) -> None:
    (orders / "text.txt").write_text("by its path", encoding="utf-8")
    source = Source(item="a", kind=Kind.TEXT, uri=str(orders / "text.txt"))
    assert predictor.predict([source]).equals(FakePredictor(Kind.TEXT).predict([source]))


def test_one_item_calls_share_a_model_call(service: Any, orders: Path) -> None:
    (orders / "sizes").write_text("")
    with httpx.Client(base_url=address(service), timeout=120) as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: client.post("/v1/sentiment", json={"text": text}).json(), "abcd"))
    sizes = [int(line) for line in (orders / "sizes").read_text().split()]
    assert sum(sizes) == 4
    assert max(sizes) > 1
    local = FakePredictor(Kind.TEXT).predict(texts(*"abcd")).to_pylist()
    for answer, row in zip(answers, local, strict=True):
        (result,) = answer["results"]
        assert result["sentiments"][0]["probabilities"] == dict(row["sentiments"][0]["probabilities"])


def test_what_the_model_raises_is_one_sentence(predictor: RayPredictor, service: Any) -> None:
    with pytest.raises(EndpointError, match="the text model raised ZeroDivisionError: told to"):
        predictor.predict(texts("a", "raise"))
    reply = httpx.post(f"{address(service)}/v1/sentiment", json={"text": "raise"}, timeout=60)
    assert reply.status_code == 500
    assert reply.json()["detail"] == "the text model raised ZeroDivisionError; the service's log has the rest"


def test_killed_replica_costs_no_item(service: Any, orders: Path) -> None:
    predictor = service.predictor(Kind.TEXT, patience=Patience(first_pause_s=0.1))
    pid = predictor.describe().settings["pid"]
    assert isinstance(pid, int)
    chunks = [texts("hang once", "a", "b"), texts("c", "d"), texts("e")]
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(predictor.predict, chunk) for chunk in chunks]
        while not (orders / "hanging").exists():
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        assert [answer.result() for answer in answers] == [FakePredictor(Kind.TEXT).predict(chunk) for chunk in chunks]
    assert predictor.describe().settings["pid"] != pid


def test_item_that_kills_is_found_over_the_handle(predictor: RayPredictor) -> None:
    check_isolated(predictor)


def test_item_that_kills_is_found_over_http(service: Any) -> None:
    predictor = HttpPredictor(address(service), Kind.TEXT, patience=HASTY)
    check_isolated(predictor)
    predictor.close()
    service.predictor(Kind.TEXT).load("cpu")  # wait for the replica that takes the last one's place


def check_isolated(predictor: Predictor) -> None:
    sources = texts("innocent", "die")
    first, second = predictor.predict(sources).to_pylist()
    assert first == FakePredictor(Kind.TEXT).predict(sources).to_pylist()[0]
    assert second["state"] == State.REJECTED.value
    assert "the model's process died on this item" in second["reason"]


def test_absent_application_is_named(ray_address: tuple[str, int]) -> None:
    with pytest.raises(EndpointError, match="no application absent with a model of kind image"):
        RayPredictor.of("absent", Kind.IMAGE)
