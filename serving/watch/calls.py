"""Calls of models, told to whoever watches: how many items, how long, what became of them."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from contract.predictor import Description, Source
from contract.tables import Kind
from serving.watch.requests import carried


class Lane(Protocol):
    """The way to one model, as `serving.gather.Lane`."""

    async def describe(self) -> Description:
        """Tell which model this is."""
        ...

    async def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in one call of the model."""
        ...

    async def ready(self) -> bool:
        """Tell whether the model is loaded."""
        ...

    async def replicas(self) -> int:
        """Return how many copies of the model run."""
        ...


@dataclass
class Call:
    """One call of a model.

    Args:
        kind: what the model labels.
        items: how many went along.
        requests: ids of those for whom it is made.
        seconds: how long it took; 0 while it runs.
        states: items by their state in the answer; None where there was none.
    """

    kind: Kind
    items: int
    requests: tuple[str, ...]
    seconds: float = 0.0
    states: Mapping[str, int] | None = field(default=None)


class Observer(Protocol):
    """Somebody who watches the calls; fails never and waits for nothing."""

    def during(self, call: Call) -> contextlib.AbstractContextManager[None]:
        """Watch `call`, which is complete when the context ends."""
        ...


class ObservedLane:
    """A lane whose calls are watched.

    Args:
        kind: what the model labels.
        lane: leads to it.
        observers: who watches; the list may grow.
    """

    def __init__(self, kind: Kind, lane: Lane, observers: Sequence[Observer]) -> None:
        self._kind = kind
        self._lane = lane
        self._observers = observers

    async def describe(self) -> Description:
        """Tell which model this is."""
        return await self._lane.describe()

    async def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in one call of the model, and tell of it."""
        with self._observed(Call(self._kind, len(sources), carried())) as call:
            answer = await self._lane.predict(sources)
            call.states = Counter(answer.column("state").to_pylist())
        return answer

    @contextlib.contextmanager
    def _observed(self, call: Call) -> Iterator[Call]:
        started_s = time.perf_counter()
        with contextlib.ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.during(call))
            try:
                yield call
            finally:
                call.seconds = time.perf_counter() - started_s

    async def ready(self) -> bool:
        """Tell whether the model is loaded."""
        return await self._lane.ready()

    async def replicas(self) -> int:
        """Return how many copies of the model run."""
        return await self._lane.replicas()
