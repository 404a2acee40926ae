"""The models as the front doors see them: calls gathered into batches, failures as problems.

A `Lane` leads to one model; `LaneBackend` puts a `Gather` before each, so that calls of one item that come together,
through whichever door, share a model call.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from contract.predictor import Description, Source
from contract.tables import Kind
from serving.config import Batching, Limits, ServeSettings
from serving.gather import Gather, Lane
from serving.http.problems import ProblemError
from serving.watch.calls import ObservedLane, Observer
from serving.watch.requests import count_items

Row = dict[str, Any]


class Backend(Protocol):
    """What the front doors need of the models; every failure is a ProblemError."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that have a model."""
        ...

    async def describe(self, kind: Kind) -> Description:
        """Tell which model labels `kind`."""
        ...

    async def label(self, kind: Kind, sources: Sequence[Source]) -> tuple[Description, list[Row]]:
        """Label the few items of a person's call, each in a batch with its contemporaries.

        Returns:
            The model, and a row of `contract.answers` for every source, in their order.
        """
        ...

    async def label_many(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Label a job's chunk in a call of its own."""
        ...

    async def waiting(self) -> list[str]:
        """Return the kinds whose model is not loaded yet."""
        ...


@dataclass
class _Track:
    """A lane in service, and the gather before it."""

    lane: Lane
    gather: Gather


class LaneBackend:
    """A `Backend` of one lane a kind.

    Args:
        lanes: kind -> the way to its model.
        settings: of the service; batching by kind, limits of calls.
    """

    def __init__(self, lanes: Mapping[Kind, Lane], settings: ServeSettings) -> None:
        self._limits: Limits = settings.limits
        self._observers: list[Observer] = []
        self._tracks = {kind: self._track(kind, lane, settings.models[kind].batching) for kind, lane in lanes.items()}

    def _track(self, kind: Kind, lane: Lane, batching: Batching) -> _Track:
        observed = ObservedLane(kind, lane, self._observers)
        return _Track(observed, Gather(kind, observed, batching=batching, limits=self._limits))

    def tell(self, observer: Observer) -> None:
        """Tell `observer` of every model call from now on."""
        if observer not in self._observers:
            self._observers.append(observer)

    async def change(self, kind: Kind, lane: Lane, batching: Batching) -> None:
        """Send what comes from now on through `lane`, and return when the last call on the old lane is answered."""
        old = self._tracks.get(kind)
        self._tracks[kind] = self._track(kind, lane, batching)
        if old is not None:
            await old.gather.drained()

    async def drained(self) -> None:
        """Return when no call is under way."""
        await asyncio.gather(*(track.gather.drained() for track in self._tracks.values()))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that have a model."""
        return tuple(self._tracks)

    async def describe(self, kind: Kind) -> Description:
        """Tell which model labels `kind`."""
        return await self._of(kind).lane.describe()

    async def label(self, kind: Kind, sources: Sequence[Source]) -> tuple[Description, list[Row]]:
        """Label the few items of a person's call, each in a batch with its contemporaries."""
        count_items(len(sources))
        return await self._of(kind).gather.label(sources)

    async def label_many(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Label a job's chunk in a call of its own."""
        count_items(len(sources))
        return await self._of(kind).gather.label_chunk(sources)

    async def waiting(self) -> list[str]:
        """Return the kinds whose model is not loaded yet."""
        tracks = list(self._tracks.items())
        loaded = await asyncio.gather(*(track.lane.ready() for _, track in tracks))
        return [kind.value for (kind, _), ready in zip(tracks, loaded, strict=True) if not ready]

    def waiting_items(self) -> dict[Kind, int]:
        """Return how many items wait for a call of each model."""
        return {kind: track.gather.waiting for kind, track in self._tracks.items()}

    def refusal(self, kind: Kind) -> ProblemError | None:
        """Return why the model of `kind` can take no further item now; None where it can, or there is none."""
        track = self._tracks.get(kind)
        return None if track is None else track.gather.refusal()

    def _of(self, kind: Kind) -> _Track:
        track = self._tracks.get(kind)
        if track is None:
            raise ProblemError(404, f"this service has no {kind.value} model; GET /v1/models lists those it has")
        return track
