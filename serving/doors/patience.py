"""Calls of review tools that cannot take a refusal: while the model is busy, they wait at the door for their turn.

A tool that is told 503 fails its whole job or drops the picture; most of them send one picture at a time, so that a few
of them waiting cost little. How many wait is bounded, as is how long.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final

from contract.files import sha256_bytes
from contract.predictor import Description, Source
from serving.backend import Backend
from serving.http.problems import ProblemError

Row = Mapping[str, Any]

_MOST_WAITING: Final = 32
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


class PatientCalls:
    """Asks a backend for the labels of one item, and again while it is busy.

    Args:
        backend: the models.
        deadline_s: how long a call may take in all.
        most_waiting: calls that may wait for room; more are refused as the backend refuses them.
    """

    def __init__(self, backend: Backend, *, deadline_s: float, most_waiting: int = _MOST_WAITING) -> None:
        self._backend = backend
        self.deadline_s = deadline_s
        self._most_waiting = most_waiting
        self._waiting = 0

    async def label(self, source: Source, *, deadline_s: float | None = None) -> tuple[Description, Row]:
        """Return the model and its row of `contract.answers` for `source`.

        Args:
            source: the item.
            deadline_s: a shorter deadline for this call.

        Raises:
            ProblemError: 503 the model stayed busy, 504 it did not answer in time, and all else that the backend raises.
        """
        limit = self.deadline_s if deadline_s is None else min(deadline_s, self.deadline_s)
        refusals: list[ProblemError] = []
        try:
            return await asyncio.wait_for(self._until_room(source, refusals), limit)
        except asyncio.TimeoutError as error:
            if refusals:
                raise refusals[-1] from error
            raise ProblemError(504, f"the {source.kind.value} model did not answer in {limit:g} s") from error

    async def _until_room(self, source: Source, refusals: list[ProblemError]) -> tuple[Description, Row]:
        try:
            return await self._once(source)
        except ProblemError as problem:
            if not _passes(problem) or self._waiting >= self._most_waiting:
                raise
            refusals.append(problem)
        self._waiting += 1
        try:
            return await self._again(source, refusals)
        finally:
            self._waiting -= 1

    async def _again(self, source: Source, refusals: list[ProblemError]) -> tuple[Description, Row]:
        pause_s = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                return await self._once(source)
            except ProblemError as problem:
                if not _passes(problem):
                    raise
                refusals[:] = [problem]

    async def _once(self, source: Source) -> tuple[Description, Row]:
        model, (row,) = await self._backend.label(source.kind, [source])
        return model, row


def _passes(problem: ProblemError) -> bool:
    """Tell whether it may be otherwise in a moment; an item under which a replica died is not tried on the next one."""
    return problem.status == 503 and problem.kind == "about:blank"


def model_id(name: str) -> str:
    """Return `name` as review tools and paths take it: small letters, digits and dashes; the same name gives the same."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].strip("-")
    return plain or f"model-{sha256_bytes(name.encode())[:8]}"
