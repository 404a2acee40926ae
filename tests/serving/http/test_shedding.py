import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa
import pytest

from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.backend import LaneBackend
from serving.config import Batching, Limits, ModelSettings, ServeSettings
from serving.front import Front, open_front
from serving.lanes import local_backend

WAITING = 3
JSON = {"content-type": "application/json"}


class Held(FakePredictor):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__(Kind.TEXT)
        self.go = threading.Event()

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        assert self.go.wait(60)
        return super().predict(sources)


@dataclass(frozen=True)
class Service:
    url: str
    model: Held
    backend: LaneBackend

    def ask(self, text: str = "good") -> httpx.Response:
        return httpx.post(f"{self.url}/v1/sentiment", json={"text": text}, timeout=60, trust_env=False)

    def fill(self, pool: ThreadPoolExecutor) -> list[Any]:
        """Have one item with the model and as many as may wait, and return their calls."""
        calls = []
        for number in range(WAITING + 1):
            calls.append(pool.submit(self.ask, f"text {number}"))
            while self.backend.waiting_items()[Kind.TEXT] < number:
                time.sleep(0.01)
            time.sleep(0.1 if number == 0 else 0)  # the first one is on its way to the model
        return calls


@pytest.fixture
def service(listen: Callable[[Any], str]) -> Iterator[Service]:
    model = Held()
    batching = Batching(max_batch_size=1, calls_in_flight=1)
    models = {kind: ModelSettings(name="fake", batching=batching) for kind in (Kind.TEXT, Kind.IMAGE)}
    settings = ServeSettings(models=models, limits=Limits(max_items_waiting=WAITING))
    backend = local_backend({Kind.TEXT: model, Kind.IMAGE: FakePredictor(Kind.IMAGE)}, settings)
    yield Service(listen(open_front(Front(backend, settings))), model, backend)
    model.go.set()


def test_what_a_full_model_cannot_take_is_refused_before_its_body_is_read(service: Service) -> None:
    with ThreadPoolExecutor(WAITING + 2) as pool:
        calls = service.fill(pool)
        refused = service.ask()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["content-type"] == "application/problem+json"
        assert "3 items wait for it already" in refused.json()["detail"]
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        # Not even whether the body is one is looked at, and a large one is not waited for.
        nonsense = httpx.post(f"{service.url}/v1/sentiment", content=b"x" * 100_000, headers=JSON, trust_env=False)
        assert (nonsense.status_code, nonsense.headers["connection"]) == (503, "close")
        service.model.go.set()
        assert [call.result().status_code for call in calls] == [200] * (WAITING + 1)
        assert service.ask().status_code == 200


def test_others_pass_while_one_model_is_full(service: Service) -> None:
    with ThreadPoolExecutor(WAITING + 2) as pool:
        calls = service.fill(pool)
        for path in ("/healthz", "/v1/models", "/labelstudio/health"):
            assert httpx.get(f"{service.url}{path}", trust_env=False).status_code == 200
        images = {"images": [{"data": ""}]}
        assert httpx.post(f"{service.url}/v1/detect", json=images, trust_env=False).status_code == 200
        lines = {"content-type": "application/x-ndjson"}
        body = json.dumps({"text": "late"}).encode()
        stream = pool.submit(
            httpx.post, f"{service.url}/v1/sentiment", content=body, headers=lines, timeout=60, trust_env=False
        )
        time.sleep(0.2)
        assert not stream.done()
        service.model.go.set()
        assert stream.result().status_code == 200
        assert all(call.result().status_code == 200 for call in calls)


def test_a_refusal_is_counted_under_its_route(service: Service) -> None:
    with ThreadPoolExecutor(WAITING + 2) as pool:
        service.fill(pool)
        service.ask()
        service.model.go.set()
    page = httpx.get(f"{service.url}/metrics", trust_env=False).text
    assert 'goldgate_requests_total{door="rest",method="POST",route="/v1/sentiment",status="503"} 1.0' in page
    assert 'goldgate_shed_total{door="rest",status="503"} 1.0' in page
