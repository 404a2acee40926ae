"""Everything that watches one front: metrics, the rates of the last minutes, the log of requests, traces."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from contract.tables import Kind
from serving.backend import Backend, LaneBackend
from serving.watch.calls import Call
from serving.watch.metrics import Metrics
from serving.watch.rates import Rates
from serving.watch.requests import Tally, TraceParent
from serving.watch.roster import Roster
from serving.watch.settings import WatchSettings
from serving.watch.tracing import Tracing, start_tracing

requests_logger = logging.getLogger("serving.requests")
"""Where each request has its line; `extra` carries the fields."""

QUIET: Final = frozenset({"/healthz", "/readyz", "/health", "/metrics", "/"})
"""What probes and people look at again and again: no work, so not in the rates, and logged only where it fails."""


@dataclass
class Exchange:
    """A request and what became of it.

    Args:
        id: of the request.
        door: through which it came.
        method: of HTTP, or `metrics.OTHER`.
        trace: of the caller.
        started_s: by time.perf_counter.
        tally: what those who served it say.
        route: template of the route, or `metrics.OTHER`.
        status: of the answer; 499 where the caller was gone before there was one.
        received: bytes of its body.
        sent: bytes of the answer's body.
        seconds: until the answer was out; of an event stream until it began.
    """

    id: str
    door: str
    method: str
    trace: TraceParent | None
    started_s: float = field(default_factory=time.perf_counter)
    tally: Tally = field(default_factory=Tally)
    route: str = ""
    status: int = 0
    received: int = 0
    sent: int = 0
    seconds: float | None = None

    def begun(self) -> None:
        """Take the time now, for an answer that ends when the caller has heard enough."""
        self.seconds = time.perf_counter() - self.started_s

    def fields(self) -> Mapping[str, str | int | float | None]:
        """Return what may be written down of it: no content, no name, no path as it came."""
        return {
            "request_id": self.id,
            "trace_id": None if self.trace is None else self.trace.trace_id,
            "door": self.door,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "ms": round(1000 * (self.seconds or 0.0), 2),
            "bytes_in": self.received,
            "bytes_out": self.sent,
            "items": self.tally.items,
            "caller": self.tally.caller,
        }


class Watch:
    """What watches a front; two fronts in one process have one each.

    Args:
        tracing: where spans go; None where nobody wants them.
    """

    def __init__(self, *, tracing: Tracing | None = None) -> None:
        self._waiting: Callable[[], Mapping[Kind, int]] = dict
        self._tracing = tracing
        self.metrics = Metrics(lambda: self._waiting())
        self.rates = Rates()
        self.roster = Roster()

    def attach(self, backend: Backend) -> None:
        """Watch the model calls of `backend` and its queues, if it tells of them."""
        if isinstance(backend, LaneBackend):
            self._waiting = backend.waiting_items
            backend.tell(self)

    def waiting_items(self) -> Mapping[Kind, int]:
        """Return how many items wait for a call of each model."""
        return self._waiting()

    @contextlib.contextmanager
    def during(self, call: Call) -> Iterator[None]:
        """Watch a call of a model."""
        with contextlib.nullcontext() if self._tracing is None else self._tracing.call(call):
            try:
                yield
            finally:
                self.metrics.called(call)
                if call.states is not None:
                    self.rates.call(call.kind, call.items, call.states.get("rejected", 0))

    @contextlib.contextmanager
    def serving(self, exchange: Exchange) -> Iterator[None]:
        """Watch a request, from its head to the end of its answer."""
        self.metrics.began(exchange.door)
        with contextlib.nullcontext() if self._tracing is None else self._tracing.request(exchange):
            try:
                yield
            finally:
                self._ended(exchange)

    def _ended(self, exchange: Exchange) -> None:
        seconds = exchange.seconds = exchange.seconds or time.perf_counter() - exchange.started_s
        self.metrics.ended((exchange.door, exchange.method, exchange.route), exchange.status, seconds)
        self.metrics.carried(exchange.door, exchange.received, exchange.sent)
        quiet = exchange.method == "GET" and exchange.route in QUIET
        if not quiet:
            self.rates.request(exchange.status, seconds)
        level = logging.DEBUG if quiet and exchange.status < 500 else logging.INFO
        if requests_logger.isEnabledFor(level):
            requests_logger.log(level, "request", extra={"fields": exchange.fields()})


@contextlib.contextmanager
def watching(settings: WatchSettings) -> Iterator[Watch]:
    """Give what watches a front by `settings`; at the end what is left of the traces is sent.

    Raises:
        InputError: traces are asked for and the packages for them are absent.
    """
    tracing = start_tracing(settings.otlp_endpoint)
    try:
        yield Watch(tracing=tracing)
    finally:
        if tracing is not None:
            tracing.close()
