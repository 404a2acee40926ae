"""Lanes to models: over the handle of a Serve deployment, or to a predictor in this process."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

import pyarrow as pa
from ray import exceptions as ray_errors
from ray import serve
from ray.serve import exceptions as serve_errors

from contract.answers import check_answer
from contract.errors import GoldgateError, LabelsError
from contract.predictor import Description, Predictor, Source, calls_at_once
from contract.tables import Kind
from serving.backend import LaneBackend
from serving.config import ServeSettings
from serving.http.problems import MODEL_RAISED, REPLICA_DIED, ProblemError
from serving.http.wire import decode_answer
from serving.watch.requests import carried

_DESCRIBE_TIMEOUT_S: Final = 10.0
_STATUS_TIMEOUT_S: Final = 5.0
_RETRY_AFTER_S: Final = 5


class HandleLane:
    """A `serving.gather.Lane` to a deployment of `serving.deployment.ModelDeployment`.

    Args:
        kind: what the model labels; also the deployment's name.
        application: the Serve application that the deployment belongs to.
    """

    def __init__(self, kind: Kind, application: str) -> None:
        self._kind = kind
        self.application = application
        self._handle = serve.get_deployment_handle(kind.value, app_name=application)
        self._description: Description | None = None

    async def describe(self) -> Description:
        """Tell which model this is; asked once, for a deployment never changes its model."""
        if self._description is None:
            async with _problems(self._kind):
                found = await asyncio.wait_for(self._handle.describe.remote(), _DESCRIBE_TIMEOUT_S)
                self._description = cast("Description", found)
        return self._description

    async def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` in one call of a replica."""
        columns = (
            [source.item for source in sources],
            [source.uri for source in sources],
            [source.data for source in sources],
        )
        async with _problems(self._kind):
            return decode_answer(await self._handle.predict_many.remote(*columns, carried()), self._kind)

    async def ready(self) -> bool:
        """Tell whether the model is loaded: a replica runs only once it has loaded it.

        Raises:
            ProblemError: 503 the cluster does not answer.
        """
        deployment = await self._deployment()
        # A deployment that is healthy with no replica has scaled to zero and wakes on a call.
        return deployment is not None and (deployment.status == "HEALTHY" or _running(deployment) > 0)

    async def replicas(self) -> int:
        """Return how many replicas run; 0 where the cluster does not tell."""
        try:
            return _running(await self._deployment())
        except ProblemError:
            return 0

    async def _deployment(self) -> Any:
        try:
            status = await asyncio.wait_for(asyncio.to_thread(serve.status), _STATUS_TIMEOUT_S)
        except (asyncio.TimeoutError, ray_errors.RayError) as error:
            raise ProblemError(503, "the cluster does not tell its state", retry_after_s=_RETRY_AFTER_S) from error
        application = status.applications.get(self.application)
        return None if application is None else application.deployments.get(self._kind.value)


def _running(deployment: Any) -> int:
    return 0 if deployment is None else int(deployment.replica_states.get("RUNNING", 0))


@contextlib.asynccontextmanager
async def _problems(kind: Kind) -> AsyncIterator[None]:
    """Turn the failures of Ray into problems."""
    try:
        yield
    except ray_errors.RayTaskError as error:  # first, for it is an instance of what the model raised, too
        raise _raised(kind, error.cause) from error
    except LabelsError as error:
        raise ProblemError(500, f"the {kind.value} model's answer is not this version's; deploy both again") from error
    except asyncio.TimeoutError as error:
        raise ProblemError(504, f"the {kind.value} model does not say which it is", retry_after_s=_RETRY_AFTER_S) from error
    except (ray_errors.RayActorError, ray_errors.WorkerCrashedError) as error:
        sentence = f"the {kind.value} model's process died under this call; send it again"
        raise ProblemError(503, sentence, kind=REPLICA_DIED, retry_after_s=_RETRY_AFTER_S) from error
    except (ray_errors.RayError, serve_errors.RayServeException) as error:
        sentence = f"the {kind.value} model takes no calls now ({type(error).__name__})"
        raise ProblemError(503, sentence, retry_after_s=_RETRY_AFTER_S) from error


def _raised(kind: Kind, cause: BaseException) -> ProblemError:
    sentence = f"the {kind.value} model raised {type(cause).__name__}; the service's log has the rest"
    return ProblemError(500, sentence, kind=MODEL_RAISED)


class TakingTurns:
    """A predictor that is called by as many threads at a time as it takes, most of them one: jobs share it with calls."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.calls_at_once = calls_at_once(predictor)
        self._turn = threading.Semaphore(self.calls_at_once)

    def describe(self) -> Description:
        """Tell which model this is."""
        return self._predictor.describe()

    def load(self, device: str) -> None:
        """Load the model."""
        self._predictor.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources` when it is their turn."""
        with self._turn:
            return self._predictor.predict(sources)


class LocalLane:
    """A `serving.gather.Lane` to a loaded predictor, which threads of this process run; no Ray needed."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._kind = predictor.describe().kind
        self._threads = ThreadPoolExecutor(calls_at_once(predictor), thread_name_prefix="model")

    async def describe(self) -> Description:
        """Tell which model this is."""
        return self._predictor.describe()

    async def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`."""
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._predictor.predict, sources)
            return check_answer(self._kind, sources, answer)
        except (GoldgateError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise _raised(self._kind, error) from error

    async def ready(self) -> bool:
        """Tell whether the model is loaded: it was, before the lane was made."""
        return True

    async def replicas(self) -> int:
        """Return 1: it has the one thread."""
        return 1


def local_backend(predictors: Mapping[Kind, Predictor], settings: ServeSettings) -> LaneBackend:
    """Return a backend on loaded predictors of this process."""
    return LaneBackend({kind: LocalLane(predictor) for kind, predictor in predictors.items()}, settings)
