"""Which models serve and whether they are loaded, asked now and then so that nobody who looks waits for a model."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contract.predictor import Description
from contract.tables import Kind
from serving.backend import Backend
from serving.http.problems import ProblemError

_FRESH_S: Final = 5.0
_PATIENCE_S: Final = 0.5


@dataclass(frozen=True)
class Serving:
    """One model as it was last seen.

    Args:
        kind: what it labels.
        description: what it is; None as long as it has not told.
        loaded: whether it is loaded; None where the cluster does not tell.
    """

    kind: Kind
    description: Description | None
    loaded: bool | None


class Roster:
    """The models of a backend, as last seen.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Kind, Serving] = {}
        self._looked_s = float("-inf")
        self._look: asyncio.Task[None] | None = None

    async def models(self, backend: Backend) -> list[Serving]:
        """Return the models: asked again where the answer is some seconds old, and the old answer where that takes long."""
        if self._clock() - self._looked_s >= _FRESH_S:
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._ask(backend))
            await asyncio.wait([self._look], timeout=_PATIENCE_S)
            if self._look.done():
                self._look.result()
        return [self._seen.get(kind, Serving(kind, None, None)) for kind in backend.kinds]

    async def _ask(self, backend: Backend) -> None:
        kinds = backend.kinds
        describing = asyncio.gather(*(_description(backend, kind) for kind in kinds))
        waiting = await _waiting(backend)
        found = await describing
        self._looked_s = self._clock()
        for kind, description in zip(kinds, found, strict=True):
            loaded = None if waiting is None else kind.value not in waiting
            self._seen[kind] = Serving(kind, description, loaded)


async def _waiting(backend: Backend) -> list[str] | None:
    try:
        return await backend.waiting()
    except ProblemError:
        return None


async def _description(backend: Backend, kind: Kind) -> Description | None:
    try:
        return await backend.describe(kind)
    except ProblemError:
        return None
