import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.front import Front, open_front
from serving.lanes import local_backend
from serving.watch.settings import WatchSettings
from serving.watch.tracing import Tracing, start_tracing
from serving.watch.watching import Watch, watching
from tests.serving.watch.fronts import fakes, settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


class Slow(FakePredictor):
    """The fake, which answers when it may and fails on one text."""

    def __init__(self) -> None:
        super().__init__(Kind.TEXT)
        self.may = threading.Event()
        self.asked = threading.Event()

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        self.asked.set()
        self.may.wait(30)
        if any(source.data == b"CANARY" for source in sources):
            raise ValueError("CANARY")
        return super().predict(sources)


@pytest.fixture
def model() -> Slow:
    return Slow()


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def url(listen: Callable[[Any], str], spans: InMemorySpanExporter, model: Slow) -> Iterator[str]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracing = Tracing(provider)
    limits = settings()
    one_call = limits.models[Kind.TEXT].batching.model_copy(update={"calls_in_flight": 1})
    text = limits.models[Kind.TEXT].model_copy(update={"batching": one_call})
    limits = limits.model_copy(update={"models": {**limits.models, Kind.TEXT: text}})
    front = Front(local_backend({Kind.TEXT: model}, limits), limits, watch=Watch(tracing=tracing))
    yield listen(open_front(front))
    tracing.close()


def found(spans: InMemorySpanExporter, name: str, count: int = 1) -> list[ReadableSpan]:
    until = time.monotonic() + 10
    while True:  # a request's span ends after its answer is sent
        ended = [span for span in spans.get_finished_spans() if span.name == name]
        if len(ended) >= count or time.monotonic() > until:
            break
        time.sleep(0.01)
    assert len(ended) == count
    return ended


def test_a_request_continues_its_callers_trace_and_a_lone_call_is_its_child(
    url: str, spans: InMemorySpanExporter, model: Slow
) -> None:
    model.may.set()
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "x-request-id": "mine-1"}
    assert httpx.post(f"{url}/v1/sentiment", json={"texts": ["a", "b"]}, headers=headers).status_code == 200
    (request,) = found(spans, "POST /v1/sentiment")
    (call,) = found(spans, "predict text")
    assert request.context is not None
    assert request.parent is not None
    assert call.parent is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == SPAN
    assert call.parent.span_id == request.context.span_id
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["goldgate.request_id"] == "mine-1"
    assert request.attributes["goldgate.items"] == 2
    assert call.attributes is not None
    assert call.attributes["goldgate.items"] == call.attributes["goldgate.items.labelled"] == 2


def test_a_gathered_call_is_linked_to_each_of_its_requests(url: str, spans: InMemorySpanExporter, model: Slow) -> None:
    texts = ["first", "second", "third"]
    threads = [
        threading.Thread(target=httpx.post, args=(f"{url}/v1/sentiment",), kwargs={"json": {"text": text}}) for text in texts
    ]
    threads[0].start()
    model.asked.wait(30)
    for thread in threads[1:]:
        thread.start()
    with httpx.Client(base_url=url) as client:
        while 'goldgate_queue_items{kind="text"} 2.0' not in client.get("/metrics").text:
            pass
    model.may.set()
    for thread in threads:
        thread.join()
    requests = {span.context.span_id for span in found(spans, "POST /v1/sentiment", 3) if span.context is not None}
    alone, gathered = found(spans, "predict text", 2)
    assert alone.parent is not None
    assert not alone.links
    assert gathered.parent is None
    linked = {link.context.span_id for link in gathered.links}
    assert linked == requests - {alone.parent.span_id}


def test_spans_of_failures_say_so_and_hold_no_content(url: str, spans: InMemorySpanExporter, model: Slow) -> None:
    model.may.set()
    assert httpx.post(f"{url}/v1/sentiment?q=CANARY", json={"text": "CANARY"}).status_code == 500
    httpx.get(f"{url}/CANARY")
    (request,), (call,) = found(spans, "POST /v1/sentiment"), found(spans, "predict text")
    assert request.status.status_code is call.status.status_code is StatusCode.ERROR
    assert found(spans, "GET other")[0].status.status_code is StatusCode.UNSET
    assert "CANARY" not in "".join(span.to_json() for span in spans.get_finished_spans())


def test_nothing_is_traced_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert start_tracing(None) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    tracing = start_tracing(None)
    assert tracing is not None
    tracing.close()


def test_spans_reach_a_collector(listen: Callable[[Any], str]) -> None:
    bodies: list[bytes] = []
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with watching(WatchSettings(otlp_endpoint=f"http://127.0.0.1:{server.server_port}")) as watch:
            url = listen(open_front(Front(fakes(), settings(), watch=watch)))
            httpx.post(f"{url}/v1/sentiment", json={"text": "fine"})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert set(paths) == {"/v1/traces"}
    resources = [each for body in bodies for each in ExportTraceServiceRequest.FromString(body).resource_spans]
    names = {span.name for each in resources for scope in each.scope_spans for span in scope.spans}
    assert names == {"POST /v1/sentiment", "predict text"}
    services = {
        each.value.string_value for some in resources for each in some.resource.attributes if each.key == "service.name"
    }
    assert services == {"goldgate"}
