"""The models as the front door sees them: calls over Serve handles, failures as problems."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Protocol, cast

import pyarrow as pa
from ray import exceptions as ray_errors
from ray import serve
from ray.serve import exceptions as serve_errors

from contract.predictor import Description, Source
from contract.tables import Kind
from serving.config import Limits, ServeSettings
from serving.problems import REPLICA_DIED, ProblemError

# A person's single call is sent again once when its replica dies; a job's client counts deaths itself.
_ATTEMPTS_ONE: Final = 2
_DESCRIBE_TIMEOUT_S: Final = 10.0
_STATUS_TIMEOUT_S: Final = 5.0
_RETRY_AFTER_S: Final = 5

Row = dict[str, Any]


class Backend(Protocol):
    """What the front door needs of the models; every failure is a ProblemError."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that have a model."""
        ...

    async def describe(self, kind: Kind) -> Description:
        """Tell which model labels `kind`."""
        ...

    async def label(self, kind: Kind, sources: Sequence[Source]) -> tuple[Description, list[Row]]:
        """Label the few items of a person's call; a single one shares a batch with its contemporaries."""
        ...

    async def label_many(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Label a job's chunk."""
        ...

    async def waiting(self) -> list[str]:
        """Return the kinds whose model is not loaded yet."""
        ...


class HandleBackend:
    """A `Backend` on the deployments of this application; built inside the front door's replica."""

    def __init__(self, settings: ServeSettings) -> None:
        self._limits: Limits = settings.limits
        self._handles = {kind: serve.get_deployment_handle(kind.value) for kind in settings.models}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds that have a model."""
        return tuple(self._handles)

    async def describe(self, kind: Kind) -> Description:
        """Tell which model labels `kind`."""
        return cast("Description", await self._call(kind, "describe", timeout_s=_DESCRIBE_TIMEOUT_S))

    async def label(self, kind: Kind, sources: Sequence[Source]) -> tuple[Description, list[Row]]:
        """Label the few items of a person's call; a single one shares a batch with its contemporaries."""
        if len(sources) > 1:
            answer = await self.label_many(kind, sources)
            return await self.describe(kind), cast("list[Row]", answer.to_pylist())
        for attempt in range(1, _ATTEMPTS_ONE + 1):
            try:
                description, row = await self._call(kind, "predict_one", sources[0], timeout_s=self._limits.call_timeout_s)
                break
            except ProblemError as problem:
                if problem.kind != REPLICA_DIED or attempt == _ATTEMPTS_ONE:
                    raise
        return description, [row]

    async def label_many(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        """Label a job's chunk."""
        columns = (
            [source.item for source in sources],
            [source.uri for source in sources],
            [source.data for source in sources],
        )
        return await self._call(kind, "predict_many", *columns, timeout_s=self._limits.call_timeout_s)

    async def waiting(self) -> list[str]:
        """Return the kinds whose model is not loaded yet: replicas run only once they have loaded it."""
        try:
            status = await asyncio.wait_for(asyncio.to_thread(serve.status), _STATUS_TIMEOUT_S)
        except (asyncio.TimeoutError, ray_errors.RayError) as error:
            raise ProblemError(503, "the cluster does not tell its state", retry_after_s=_RETRY_AFTER_S) from error
        deployments = status.applications[serve.get_replica_context().app_name].deployments
        return [kind.value for kind in self._handles if not _loaded(deployments.get(kind.value))]

    async def _call(self, kind: Kind, method: str, *arguments: Any, timeout_s: float) -> Any:
        handle = self._handles.get(kind)
        if handle is None:
            raise ProblemError(404, f"this service has no {kind.value} model; GET /v1/models lists those it has")
        async with _problems(kind, timeout_s):
            return await asyncio.wait_for(getattr(handle, method).remote(*arguments), timeout_s)


def _loaded(deployment: Any) -> bool:
    """A deployment that is healthy with no replica has scaled to zero and wakes on a call."""
    return deployment is not None and (deployment.status == "HEALTHY" or deployment.replica_states.get("RUNNING", 0) > 0)


@contextlib.asynccontextmanager
async def _problems(kind: Kind, timeout_s: float) -> AsyncIterator[None]:
    """Turn the failures of Ray into problems."""
    try:
        yield
    except ray_errors.RayTaskError as error:  # first, for it is an instance of what the model raised, too
        cause = error.cause
        sentence = f"the {kind.value} model raised {type(cause).__name__}; the service's log has the rest"
        raise ProblemError(500, sentence) from error
    except asyncio.TimeoutError as error:
        raise ProblemError(504, f"the {kind.value} model did not answer in {timeout_s:.0f} s; send fewer items") from error
    except (ray_errors.RayActorError, ray_errors.WorkerCrashedError) as error:
        sentence = f"the {kind.value} model's process died under this call; send it again"
        raise ProblemError(503, sentence, kind=REPLICA_DIED, retry_after_s=_RETRY_AFTER_S) from error
    except (ray_errors.RayError, serve_errors.RayServeException) as error:
        sentence = f"the {kind.value} model takes no calls now ({type(error).__name__})"
        raise ProblemError(503, sentence, retry_after_s=_RETRY_AFTER_S) from error
