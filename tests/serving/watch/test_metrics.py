import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpx
import pyarrow as pa
import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from contract.predictor import Description, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.front import Front, open_front
from serving.lanes import local_backend
from serving.watch.gpu import Gpu, read_gpus
from serving.watch.metrics import Metrics
from tests.serving.watch.fronts import fakes, picture, settings

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(client: httpx.Client) -> Samples:
    page = client.get("/metrics")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(page.text)
        for sample in family.samples
    }


def sample(samples: Samples, name: str, /, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@pytest.fixture
def front() -> Front:
    backend = fakes(max_body_bytes=100_000)
    return Front(backend, settings(max_body_bytes=100_000))


@pytest.fixture
def client(front: Front, listen: Callable[[Any], str]) -> Any:
    with httpx.Client(base_url=listen(open_front(front)), timeout=30) as client:
        yield client


def test_requests_are_counted_by_door_route_and_status(client: httpx.Client) -> None:
    for _ in range(3):
        assert client.post("/v1/sentiment", json={"text": "fine"}).status_code == 200
    assert client.post("/v1/sentiment", json={"texts": []}).status_code == 422
    assert client.get("/v1/sentiment").status_code == 405
    place = {"door": "rest", "method": "POST", "route": "/v1/sentiment"}
    samples = scraped(client)
    assert sample(samples, "goldgate_requests_total", **place, status="200") == 3
    assert sample(samples, "goldgate_requests_total", **place, status="422") == 1
    assert sample(samples, "goldgate_requests_total", **{**place, "method": "GET"}, status="405") == 1
    assert sample(samples, "goldgate_request_seconds_count", **place) == 4
    assert sample(samples, "goldgate_request_seconds_bucket", **place, le="+Inf") == 4
    assert sample(samples, "goldgate_requests_in_flight", door="rest") == 1  # the scrape itself
    assert (sample(samples, "goldgate_received_bytes_total", door="rest") or 0) >= 4 * len('{"text":""}')


def test_items_and_batches_are_counted_by_kind_and_state(client: httpx.Client) -> None:
    texts = client.post("/v1/sentiment", json={"texts": ["good", "bad", " "]}).json()["results"]
    states = [each["state"] for each in texts]
    files = [("file", (f"{seed}.png", picture(seed))) for seed in range(2)] + [("file", ("broken", b"no image"))]
    images = [each["state"] for each in client.post("/v1/detect", files=files).json()["results"]]
    samples = scraped(client)
    for kind, found in (("text", states), ("image", images)):
        assert "rejected" in found
        for state in set(found):
            assert sample(samples, "goldgate_items_total", kind=kind, state=state) == found.count(state)
        assert sample(samples, "goldgate_model_call_items_sum", kind=kind) == 3
        assert sample(samples, "goldgate_model_calls_total", kind=kind, outcome="answered") == 1
        assert sample(samples, "goldgate_queue_items", kind=kind) == 0


def test_callers_cannot_make_labels(client: httpx.Client) -> None:
    before = len(scraped(client))
    for index in range(50):
        client.get(f"/canary-{index}")
        client.post(f"/v1/predict/canary-{index}")
        client.request(f"CANARY{index}", "/v1/models")
        client.get("/healthz", headers={"x-request-id": f"canary{index}"}, params={"q": f"canary{index}"})
    samples = scraped(client)
    assert not [labels for _, labels in samples if "canary" in str(labels).lower()]
    assert sample(samples, "goldgate_requests_total", door="rest", method="GET", route="other", status="404") == 50
    # Three places and their statuses, however many calls: a histogram of each and the counts by status.
    assert len(samples) - before < 100


def test_models_are_named_and_the_process_is_measured(client: httpx.Client) -> None:
    samples = scraped(client)
    for kind in Kind:
        model = {"name": "fake", "version": "1", "weights_sha256": "", "runtime": "none", "precision": "none"}
        assert sample(samples, "goldgate_model_info", kind=kind.value, **model) == 1
        assert sample(samples, "goldgate_model_loaded", kind=kind.value) == 1
    assert (sample(samples, "process_resident_memory_bytes") or 0) > 10_000_000
    assert not [name for name, _ in samples if name.endswith("_created")]


def test_openmetrics_is_spoken_to_who_asks_for_it(client: httpx.Client) -> None:
    client.post("/v1/sentiment", json={"text": "fine"})
    page = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    parse: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families
    assert {"goldgate_requests", "goldgate_items"} <= {family.name for family in parse(page.text)}


class Waiting(FakePredictor):
    """The fake, which answers only when it may."""

    def __init__(self) -> None:
        super().__init__(Kind.TEXT)
        self.may = threading.Event()

    def describe(self) -> Description:
        return super().describe().model_copy(update={"name": 'wait"\\\nx'})

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        self.may.wait(30)
        if any(source.data == b"raise" for source in sources):
            raise ZeroDivisionError("told to")
        return super().predict(sources)


def test_the_queue_what_is_shed_and_what_fails_are_told(listen: Callable[[Any], str]) -> None:
    model = Waiting()
    limits = settings(max_items_waiting=2)
    url = listen(open_front(Front(local_backend({Kind.TEXT: model}, limits), limits)))
    statuses: list[int] = []

    def call(text: str) -> None:
        statuses.append(httpx.post(f"{url}/v1/sentiment", json={"text": text}, timeout=30).status_code)

    with httpx.Client(base_url=url, timeout=30) as client:
        threads = []
        for place, text in enumerate(("a", "b", "raise", "c"), start=1):
            threads.append(threading.Thread(target=call, args=(text,)))
            threads[-1].start()
            # One by one: two calls are in flight, then two items wait.
            while sample(scraped(client), "goldgate_requests_in_flight", door="rest") != place + 1:
                pass
        while sample(scraped(client), "goldgate_queue_items", kind="text") != 2:
            pass
        refused = client.post("/v1/sentiment", json={"text": "no room"})
        model.may.set()
        for thread in threads:
            thread.join()
        samples = scraped(client)
    assert refused.status_code == 503
    assert sorted(statuses) == [200, 200, 200, 500]
    assert sample(samples, "goldgate_shed_total", door="rest", status="503") == 1
    assert sample(samples, "goldgate_model_calls_total", kind="text", outcome="failed") == 2  # gathered, then alone
    assert sample(samples, "goldgate_queue_items", kind="text") == 0
    assert sample(samples, "goldgate_requests_in_flight", door="rest") == 1


def test_two_fronts_of_one_process_do_not_meet(listen: Callable[[Any], str]) -> None:
    urls = [listen(open_front(Front(fakes(), settings()))) for _ in range(2)]
    httpx.post(f"{urls[0]}/v1/sentiment", json={"text": "fine"})
    found = []
    for url in urls:
        with httpx.Client(base_url=url) as client:
            found.append(sample(scraped(client), "goldgate_items_total", kind="text", state="labelled"))
    assert found == [1, None]


def test_gpus_are_told_where_there_are_some() -> None:
    gpus = [Gpu(0, "H100", 5, 80, 0.5), Gpu(1, "H100", None, None, None)]
    page, _ = Metrics(read=lambda: gpus).page(None)
    samples = {
        (each.name, frozenset(each.labels.items())): each.value
        for family in parse_text(page.decode())
        for each in family.samples
    }
    assert sample(samples, "goldgate_gpu_memory_used_bytes", gpu="0", name="H100") == 5
    assert sample(samples, "goldgate_gpu_memory_total_bytes", gpu="0", name="H100") == 80
    assert sample(samples, "goldgate_gpu_busy_ratio", gpu="0", name="H100") == 0.5
    assert sample(samples, "goldgate_gpu_busy_ratio", gpu="1", name="H100") is None
    assert b"gpu" not in Metrics(read=list).page(None)[0]


@pytest.mark.gpu
@pytest.mark.skipif(not read_gpus(), reason="no GPU whose driver answers")
def test_the_driver_tells_of_its_gpus() -> None:
    gpus = read_gpus()
    assert gpus
    for gpu in gpus:
        assert gpu.name
        assert gpu.used_bytes is not None
        assert gpu.total_bytes is not None
        assert 0 <= gpu.used_bytes <= gpu.total_bytes
