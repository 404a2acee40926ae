"""The one deployment class behind every model: a replica holds a loaded predictor and the threads that run it.

Everything here knows the `contract.predictor` protocol only, and that some predictors spread their work. The model runs
off the event loop, so that health checks and descriptions answer while it works; a replica runs one model call at a time,
or as many as its predictor says it takes, and more replicas (or fractions of a GPU) are how to run more.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contract.answers import check_answer
from contract.predictor import Description, Predictor, Source, calls_at_once
from contract.tables import Kind
from contract.terms import parse_terms
from models.analysis import Spreading
from models.registry import build_predictor
from serving.config import ModelSettings
from serving.http.wire import encode_answer
from serving.ranges import RayRanges

# What goes here Serve writes into the replica's own log file; of any other logger it shows warnings alone.
logger = logging.getLogger("ray.serve")

# A model whose every call raises is taken for broken (a lost CUDA context, for example) and replaced.
_FAILURES_UNTIL_UNHEALTHY = 3


def build_model(kind: Kind, settings: ModelSettings, terms: Mapping[str, Any] | None) -> Predictor:
    """Build, without loading, the predictor that `settings` name; runs inside the replica.

    Raises:
        InputError: the model's name, its weights or the terms are wrong.
    """
    parsed = None if terms is None else parse_terms(dict(terms), origin="the service's terms")
    models_file: Path | None = settings.models_file
    return build_predictor(settings.name, kind, terms=parsed, models_file=models_file)


class ModelDeployment:
    """A replica of one model.

    Args:
        kind: what it labels.
        build: makes the predictor; called once, in the replica's process.
        device: where its weights go: cpu, cuda, cuda:N or auto.
    """

    def __init__(self, kind: Kind, build: Callable[[], Predictor], device: str) -> None:
        self._kind = kind
        self._predictor = build()
        self._predictor.load(device)
        if isinstance(self._predictor, Spreading) and self._predictor.spreads:
            self._predictor.spread_over(RayRanges())
        self._threads = ThreadPoolExecutor(calls_at_once(self._predictor), thread_name_prefix="model")
        self._failures = 0
        logger.info("loaded %s on %s", self._predictor.describe().source, device)

    async def check_health(self) -> None:
        """Answer Serve's probe; a replica whose model only fails is replaced.

        Raises:
            RuntimeError: the last calls all raised.
        """
        if self._failures >= _FAILURES_UNTIL_UNHEALTHY:
            raise RuntimeError(f"the model raised in each of its last {self._failures} calls")

    async def describe(self) -> Description:
        """Tell which model this is; never waits for a running call."""
        return self._predictor.describe()

    async def predict_many(
        self, items: list[str], uris: list[str], data: list[bytes | None], requests: tuple[str, ...] = ()
    ) -> bytes:
        """Label items in one call of the model and return the answer as an Arrow stream.

        The arguments are the columns of their sources, lean to pickle; Ray's own way with a table takes fifty times the
        time that a stream takes to write.

        Content travels in `data` only where a caller holds it already; paths are opened here. `requests` are the ids
        of those for whom the call is made.
        """
        sources = [
            Source(item=item, kind=self._kind, uri=uri, data=content)
            for item, uri, content in zip(items, uris, data, strict=True)
        ]
        started = time.monotonic()
        answer = await self._label(sources)
        logger.info("%d items in %.1f ms for %s", len(items), 1000 * (time.monotonic() - started), " ".join(requests) or "-")
        return answer

    async def _label(self, sources: Sequence[Source]) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, sources)

    def _run(self, sources: Sequence[Source]) -> bytes:
        answered = False
        try:
            answer = check_answer(self._kind, sources, self._predictor.predict(sources))
            answered = True
        finally:
            self._failures = 0 if answered else self._failures + 1
        # One chunk a column: equal answers then have equal bytes, wherever they were made.
        return encode_answer(answer.combine_chunks())
