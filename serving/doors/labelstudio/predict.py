"""A request for predictions, answered in calls that fit into memory, before Label Studio loses its patience."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from contract.formats.labelstudio.tags import LabelInterface, ObjectTag
from contract.predictor import Description, Source
from contract.tables import Kind
from serving.backend import Backend, Row
from serving.doors.labelstudio.answers import Outcome, outcome_of, prediction
from serving.doors.labelstudio.tasks import Asked, Content, Contents
from serving.doors.labelstudio.versions import Versions
from serving.http.problems import MODEL_RAISED, ProblemError

logger = logging.getLogger(__name__)

_TASKS_OF_CALL: Final = MappingProxyType({Kind.IMAGE: 32, Kind.TEXT: 128, Kind.VIDEO: 1})
_FETCHES: Final = MappingProxyType({Kind.IMAGE: 8, Kind.TEXT: 128, Kind.VIDEO: 1})
"""Tasks whose contents are read at the same time."""


@dataclass
class _Chunk:
    """Tasks that are labelled in one call of each model: the contents of tasks `start` up to before `stop`."""

    start: int
    stop: int
    contents: list[Content] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(len(each.data) for each in self.contents if each.data is not None)


class Predictions:
    """Labels the tasks of requests.

    Args:
        backend: the models.
        contents: reads what tasks hold.
        versions: which models there are.
        max_bytes: most bytes of contents that a call of a model carries, unless a single task has more.
        deadline_s: how long a request may take.
    """

    def __init__(
        self, backend: Backend, contents: Contents, versions: Versions, *, max_bytes: int, deadline_s: float
    ) -> None:
        self._backend = backend
        self._contents = contents
        self._versions = versions
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s

    async def of(self, asked: Asked, interface: LabelInterface) -> list[Any]:
        """Return an entry for each task, in order.

        A task that could not be reached in time has an empty list, of which Label Studio keeps nothing, so that its next
        request goes on from there; one that cannot be labelled has a prediction without regions.

        Raises:
            ProblemError: no task at all could be labelled, through no fault of theirs.
        """
        entries: list[Any] = [[] for _ in asked.tasks]
        reached = 0
        try:
            async for chunk, made in self._chunks(asked, interface):
                entries[chunk.start : chunk.stop] = made
                reached = chunk.stop
        except ProblemError as problem:
            if not reached:
                raise
            logger.warning("%d of %d tasks were labelled: %s", reached, len(entries), problem.detail)
        return entries

    async def _chunks(
        self, asked: Asked, interface: LabelInterface
    ) -> AsyncGenerator[tuple[_Chunk, list[dict[str, Any]]], None]:
        """Yield chunks with their entries; the contents of the next are read while a model works on one."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._deadline_s
        ahead: asyncio.Task[_Chunk] | None = asyncio.create_task(self._read(asked, interface, 0))
        try:
            while ahead is not None:
                chunk = await self._in_time(ahead, end)
                more = chunk.stop < len(asked.tasks)
                ahead = asyncio.create_task(self._read(asked, interface, chunk.stop)) if more else None
                yield chunk, await self._in_time(self._label(chunk, asked, interface), end)
        finally:
            if ahead is not None:
                ahead.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ahead

    async def _in_time(self, work: Awaitable[Any], end: float) -> Any:
        try:
            return await asyncio.wait_for(work, end - asyncio.get_running_loop().time())
        except asyncio.TimeoutError as error:
            sentence = f"the tasks could not be labelled in {self._deadline_s:.0f} s; ask for fewer"
            raise ProblemError(504, sentence) from error

    async def _read(self, asked: Asked, interface: LabelInterface, start: int) -> _Chunk:
        """Read tasks from `start` on, until they are enough for a call."""
        kinds = [kind for kind in interface.kinds if kind in self._backend.kinds] or [Kind.TEXT]
        most = min(_TASKS_OF_CALL[kind] for kind in kinds)
        together = min(_FETCHES[kind] for kind in kinds)
        stop, chunk = min(start + most, len(asked.tasks)), _Chunk(start, start)
        while chunk.stop < stop and (chunk.stop == start or chunk.size < self._max_bytes):
            tasks = range(chunk.stop, min(chunk.stop + together, stop))
            pairs = [(task, target) for task in tasks for target in interface.targets]
            chunk.contents += await asyncio.gather(*(self._content(asked, task, target) for task, target in pairs))
            chunk.stop = tasks.stop
        return chunk

    async def _content(self, asked: Asked, task: int, target: ObjectTag) -> Content:
        if target.kind not in self._backend.kinds:
            return Content(task, target, None, f"this service has no {target.kind.value} model")
        return await self._contents.of(asked, task, target)

    async def _label(self, chunk: _Chunk, asked: Asked, interface: LabelInterface) -> list[dict[str, Any]]:
        outcomes: list[dict[ObjectTag, Outcome]] = [{} for _ in range(chunk.start, chunk.stop)]
        by_kind: dict[Kind, list[Content]] = {}
        for each in chunk.contents:
            if each.data is None:
                outcomes[each.task - chunk.start][each.target] = Outcome(None, None, reason=each.reason)
            else:
                by_kind.setdefault(each.target.kind, []).append(each)
        patient = len(asked.tasks) > 1
        found = await asyncio.gather(*(self._ask(kind, each, patient=patient) for kind, each in by_kind.items()))
        for contents, made in zip(by_kind.values(), found, strict=True):
            for each, outcome in zip(contents, made, strict=True):
                outcomes[each.task - chunk.start][each.target] = outcome
        version = self._versions.known(interface.kinds)
        tasks = asked.tasks[chunk.start : chunk.stop]
        return await asyncio.to_thread(_predictions, interface, tasks, outcomes, version)

    async def _ask(self, kind: Kind, contents: Sequence[Content], *, patient: bool) -> list[Outcome]:
        """Label contents of one kind in one call."""
        sources = [Source(item=str(index), kind=kind, uri="", data=each.data) for index, each in enumerate(contents)]
        try:
            description, rows = await self._call(kind, sources, patient=patient)
        except ProblemError as problem:
            # Where a model fails on each of several items, that is not the items' fault.
            if problem.kind != MODEL_RAISED or not patient or len(contents) > 1:
                raise
            return [Outcome(None, None, reason=problem.detail)]
        self._versions.learn(description)
        pairs = zip(rows, contents, strict=True)
        return [outcome_of(kind, description.source, row, each.data or b"") for row, each in pairs]

    async def _call(self, kind: Kind, sources: Sequence[Source], *, patient: bool) -> tuple[Description, list[Row]]:
        """Call the model; whoever asks for many tasks waits while it is busy, for Label Studio would not ask again."""
        while True:
            try:
                return await self._backend.label(kind, sources)
            except ProblemError as problem:
                if problem.status != HTTPStatus.SERVICE_UNAVAILABLE or problem.retry_after_s is None or not patient:
                    raise
                pause_s = problem.retry_after_s
            await asyncio.sleep(pause_s)


def _predictions(
    interface: LabelInterface,
    tasks: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Mapping[ObjectTag, Outcome]],
    version: str,
) -> list[dict[str, Any]]:
    pairs = zip(tasks, outcomes, strict=True)
    return [prediction(interface, data, each, version=version) for data, each in pairs]
