"""Spans of requests and model calls for OpenTelemetry; nothing where nobody asks for them.

A request's span goes on the trace of its W3C traceparent. A model call that one request makes is its child; one that is
gathered from several stands by itself with a link to each, as the convention for batches is. Spans carry no content.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from contract.errors import InputError
from serving.watch.calls import Call
from serving.watch.requests import TraceParent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext

    from serving.watch.watching import Exchange

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SERVICE: Final = "goldgate"


class Tracing:
    """Spans of one front.

    Args:
        provider: makes spans and sends them; none but this object uses it.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_SERVICE)
        self._flying: dict[str, SpanContext] = {}

    @contextlib.contextmanager
    def request(self, exchange: "Exchange") -> Iterator[None]:
        """Span of a request; it ends with the answer."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode, format_span_id, format_trace_id

        context = Context() if exchange.trace is None else _remote(exchange.trace)
        with self._tracer.start_as_current_span(
            exchange.method, context=context, kind=SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            own = span.get_span_context()
            exchange.trace = TraceParent(
                format_trace_id(own.trace_id), format_span_id(own.span_id), f"{own.trace_flags:02x}"
            )
            self._flying[exchange.id] = own
            try:
                yield
            finally:
                self._flying.pop(exchange.id, None)
                span.update_name(f"{exchange.method} {exchange.route}")
                span.set_attributes(_request_attributes(exchange))
                if exchange.status >= 500:
                    span.set_status(Status(StatusCode.ERROR))

    @contextlib.contextmanager
    def call(self, call: Call) -> Iterator[None]:
        """Span of a model call."""
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode

        asking = [self._flying[each] for each in call.requests if each in self._flying]
        alone = len(asking) == 1
        context = trace.set_span_in_context(NonRecordingSpan(asking[0]), Context()) if alone else Context()
        with self._tracer.start_as_current_span(
            f"predict {call.kind.value}",
            context=context,
            kind=SpanKind.CLIENT,
            links=[] if alone else [Link(each) for each in asking],
            attributes={"goldgate.kind": call.kind.value, "goldgate.items": call.items},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            finally:
                for state, count in (call.states or {}).items():
                    span.set_attribute(f"goldgate.items.{state}", count)
                if call.states is None:
                    span.set_status(Status(StatusCode.ERROR))

    def close(self) -> None:
        """Send what is left, and end."""
        self._provider.shutdown()


def start_tracing(endpoint: str | None) -> Tracing | None:
    """Send spans over OTLP/HTTP to `endpoint`, or to that of OTEL_EXPORTER_OTLP_ENDPOINT; None where neither is set.

    Raises:
        InputError: spans are asked for and the packages for them are absent.
    """
    if endpoint is None and not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        sentence = f"traces are asked for and {error.name} is not installed; pip install 'goldgate[otel]'"
        raise InputError(sentence) from error
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", _SERVICE)})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return Tracing(provider)


def _remote(parent: TraceParent) -> Any:
    """Return the context of a caller's span."""
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

    span = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, TraceFlags(int(parent.flags, 16)))
    return trace.set_span_in_context(NonRecordingSpan(span), Context())


def _request_attributes(exchange: "Exchange") -> dict[str, str | int]:
    return {
        "http.request.method": exchange.method,
        "http.route": exchange.route,
        "http.response.status_code": exchange.status,
        "http.request.body.size": exchange.received,
        "goldgate.door": exchange.door,
        "goldgate.request_id": exchange.id,
        "goldgate.items": exchange.tally.items,
    }
