"""Metrics in Prometheus form, in a registry of their own, with labels that callers cannot make many of."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from contract.predictor import Description
from contract.tables import Kind
from serving.jobs import JobState
from serving.watch.calls import Call
from serving.watch.gpu import Gpu, read_gpus

OTHER: Final = "other"
"""The label of a path or a method that is none of ours."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_SHEDS: Final = frozenset({429, 503})
_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ITEM_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """All metrics of one front.

    Args:
        waiting: tells how many items wait for each model.
        read: tells of the GPUs.
    """

    def __init__(
        self,
        waiting: Callable[[], Mapping[Kind, int]] = dict,
        read: Callable[[], Sequence[Gpu]] = read_gpus,
    ) -> None:
        registry = self._registry = CollectorRegistry()
        request, place = ("door", "method", "route", "status"), ("door", "method", "route")
        self._requests = Counter("goldgate_requests", "Answered requests.", request, registry=registry)
        self._seconds = Histogram(
            *("goldgate_request_seconds", "Time until an answer is out; of an event stream until it begins.", place),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._flying = Gauge("goldgate_requests_in_flight", "Requests under way.", ("door",), registry=registry)
        self._bytes_in = Counter("goldgate_received_bytes", "Bytes of bodies that came in.", ("door",), registry=registry)
        self._bytes_out = Counter("goldgate_sent_bytes", "Bytes of bodies that went out.", ("door",), registry=registry)
        self._shed = Counter("goldgate_shed", "Requests refused with 429 or 503.", ("door", "status"), registry=registry)
        self._items = Counter("goldgate_items", "Answered items.", ("kind", "state"), registry=registry)
        self._calls = Counter("goldgate_model_calls", "Calls of a model.", ("kind", "outcome"), registry=registry)
        self._call_items = Histogram(
            *("goldgate_model_call_items", "Items of a model call: the batch.", ("kind",)),
            buckets=_ITEM_BUCKETS,
            registry=registry,
        )
        self._call_seconds = Histogram(
            *("goldgate_model_call_seconds", "Time of a model call.", ("kind",)), buckets=_REQUEST_BUCKETS, registry=registry
        )
        registry.register(_Now(waiting, read))
        ProcessCollector(registry=registry)
        self._descriptions: Mapping[Kind, Description] = {}
        self._loaded: Mapping[Kind, bool] = {}
        self._jobs: Mapping[str, int] | None = None
        registry.register(_Jobs(lambda: self._jobs))
        registry.register(_Models(lambda: (self._descriptions, self._loaded)))

    def began(self, door: str) -> None:
        """Count a request in."""
        self._flying.labels(door).inc()

    def ended(self, place: tuple[str, str, str], status: int, seconds: float) -> None:
        """Count a request out.

        Args:
            place: door, method, and the template of the route.
            status: of the answer.
            seconds: that it took.
        """
        door = place[0]
        self._flying.labels(door).dec()
        self._requests.labels(*place, str(status)).inc()
        self._seconds.labels(*place).observe(seconds)
        if status in _SHEDS:
            self._shed.labels(door, str(status)).inc()

    def carried(self, door: str, received: int, sent: int) -> None:
        """Count the bytes of a request's bodies."""
        self._bytes_in.labels(door).inc(received)
        self._bytes_out.labels(door).inc(sent)

    def called(self, call: Call) -> None:
        """Count a call of a model."""
        kind = call.kind.value
        self._calls.labels(kind, "failed" if call.states is None else "answered").inc()
        self._call_items.labels(kind).observe(call.items)
        self._call_seconds.labels(kind).observe(call.seconds)
        for state, count in (call.states or {}).items():
            self._items.labels(kind, state).inc(count)

    def models(self, descriptions: Mapping[Kind, Description], loaded: Mapping[Kind, bool]) -> None:
        """Take note of which models serve; a model that is exchanged leaves no trace here."""
        self._descriptions, self._loaded = dict(descriptions), dict(loaded)

    def jobs(self, counts: Mapping[str, int]) -> None:
        """Take note of how many jobs are in each state."""
        self._jobs = dict(counts)

    def memory(self) -> float | None:
        """Return the bytes that this process holds in memory, or None where the system does not tell."""
        return self._registry.get_sample_value("process_resident_memory_bytes")

    def page(self, accept: str | None) -> tuple[bytes, str]:
        """Return all metrics and their media type, in the form that `accept` asks for."""
        encode, media_type = choose_encoder(accept or "")
        return encode(_Lean(self._registry)), media_type


class _Lean(CollectorRegistry):
    """A registry without the times at which its series began, which double it and which nobody asks for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._whole = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._whole.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _Now(Collector):
    """What is true at the moment of asking: queues and GPUs."""

    def __init__(self, waiting: Callable[[], Mapping[Kind, int]], read: Callable[[], Sequence[Gpu]]) -> None:
        self._waiting = waiting
        self._read = read

    def collect(self) -> Iterator[Metric]:
        queue = GaugeMetricFamily("goldgate_queue_items", "Items that wait for a call of the model.", labels=["kind"])
        for kind, count in self._waiting().items():
            queue.add_metric([kind.value], count)
        yield queue
        gpus = self._read()
        if gpus:
            yield from _gpu_metrics(gpus)


def _gpu_metrics(gpus: Sequence[Gpu]) -> Iterator[Metric]:
    used = GaugeMetricFamily("goldgate_gpu_memory_used_bytes", "GPU memory in use.", labels=["gpu", "name"])
    total = GaugeMetricFamily("goldgate_gpu_memory_total_bytes", "GPU memory that there is.", labels=["gpu", "name"])
    busy = GaugeMetricFamily("goldgate_gpu_busy_ratio", "Share of time in which a kernel ran.", labels=["gpu", "name"])
    for gpu in gpus:
        for family, value in ((used, gpu.used_bytes), (total, gpu.total_bytes), (busy, gpu.busy)):
            if value is not None:
                family.add_metric([str(gpu.index), gpu.name], value)
    yield from (used, total, busy)


class _Models(Collector):
    """Which models serve, as it was last known."""

    def __init__(self, known: Callable[[], tuple[Mapping[Kind, Description], Mapping[Kind, bool]]]) -> None:
        self._known = known

    def collect(self) -> Iterator[Metric]:
        labels = ["kind", "name", "version", "weights_sha256", "runtime", "precision"]
        info = GaugeMetricFamily("goldgate_model_info", "1 for the model that serves a kind.", labels=labels)
        ready = GaugeMetricFamily("goldgate_model_loaded", "1 where the model of a kind is loaded.", labels=["kind"])
        descriptions, loaded = self._known()
        for kind, each in descriptions.items():
            values = [kind.value, each.name, each.version, each.weights_sha256 or "", each.runtime, each.precision]
            info.add_metric(values, 1)
        for kind, is_loaded in loaded.items():
            ready.add_metric([kind.value], is_loaded)
        yield from (info, ready)


class _Jobs(Collector):
    """How many jobs are in each state; nothing where the service keeps none."""

    def __init__(self, known: Callable[[], Mapping[str, int] | None]) -> None:
        self._known = known

    def collect(self) -> Iterator[Metric]:
        counts = self._known()
        if counts is not None:
            jobs = GaugeMetricFamily("goldgate_jobs", "Jobs by state.", labels=["state"])
            for state in JobState:
                jobs.add_metric([state.value], counts.get(state.value, 0))
            yield jobs
