"""What the models are called, told at once: Label Studio waits three seconds for it, a model may take minutes to load."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from contract.predictor import Description
from contract.tables import Kind
from serving.backend import Backend
from serving.http.problems import ProblemError

logger = logging.getLogger(__name__)

UNKNOWN: Final = "goldgate"
"""The version of models that have not told theirs yet."""

_LOOK_S: Final = 0.25


class Versions:
    """The newest descriptions that are known.

    Args:
        backend: the models.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._sources: dict[Kind, str] = {}
        self._looks: dict[Kind, asyncio.Task[None]] = {}

    def learn(self, description: Description) -> None:
        """Keep what a model said of itself."""
        self._sources[description.kind] = description.source

    def known(self, kinds: Sequence[Kind]) -> str:
        """Return the models of `kinds`, or of all kinds where none is given, in one word each."""
        wanted = [kind for kind in kinds if kind in self._backend.kinds] or list(self._backend.kinds)
        return " ".join(self._sources.get(kind, UNKNOWN) for kind in wanted)

    async def newest(self, kinds: Sequence[Kind]) -> str:
        """Return the same after a short look whether it has changed; a model that keeps silent is not waited for."""
        wanted = [kind for kind in kinds if kind in self._backend.kinds] or list(self._backend.kinds)
        looks = [self._look(kind) for kind in wanted]
        if looks:
            await asyncio.wait(looks, timeout=_LOOK_S)
        return self.known(kinds)

    def _look(self, kind: Kind) -> "asyncio.Task[None]":
        """Return the look at `kind` that is under way, or begin one."""
        task = self._looks.get(kind)
        if task is None or task.done():
            task = self._looks[kind] = asyncio.create_task(self._ask(kind))
        return task

    async def _ask(self, kind: Kind) -> None:
        try:
            self.learn(await self._backend.describe(kind))
        except ProblemError as problem:
            logger.info("the %s model does not say yet which it is: %s", kind.value, problem.detail)
