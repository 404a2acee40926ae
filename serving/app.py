"""The one Ray Serve application, and how to run it: from a config file, on a command line, inside a process.

``serve run serving.app:build`` and ``serve deploy configs/serve.yaml`` call `build`; `start_serving` runs the
same application in a cluster of this process or of RAY_ADDRESS; `serve_forever` does so until it is told to stop.
"""

import functools
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final

import ray
from fastapi import FastAPI
from ray import exceptions as ray_errors
from ray import serve

from contract import errors
from contract.predictor import Predictor
from contract.tables import Kind
from models.registry import find_entry, weights_of
from serving.backend import LaneBackend
from serving.client import RayPredictor
from serving.config import MIB, Address, ModelSettings, ServeSettings
from serving.deployment import ModelDeployment, build_model
from serving.front import Front, build_front
from serving.isolation import Patience
from serving.lanes import HandleLane

logger = logging.getLogger(__name__)

APPLICATION: Final = "goldgate"

# Paths, answers and uploads pass through Ray's store, never the pixels of a file that a replica can open.
_OBJECT_STORE_BYTES: Final = 512 * MIB
_GPU_SHARE: Final = 0.25
_LOAD_ATTEMPTS: Final = 2
_RAY_ATTEMPTS: Final = 3
_FRONT_DOOR: Final = "front_door"
_FRONT_DOOR_REQUESTS: Final = 1000

_REPLICA_ERROR: Final = re.compile(r"contract\.errors\.(\w+): (.+)")


def build(args: ServeSettings) -> serve.Application:
    """Return the application: one deployment a model, and the HTTP front door before them."""
    models = [
        model_application(kind, settings, functools.partial(build_model, kind, settings, args.terms))
        for kind, settings in args.models.items()
    ]
    return with_front_door(args, models)


def with_front_door(args: ServeSettings, models: Sequence[serve.Application]) -> serve.Application:
    """Return the HTTP front door before `models`, the deployments of the kinds that `args` name."""

    def front_door() -> FastAPI:
        application = serve.get_replica_context().app_name
        return build_front(Front(LaneBackend({kind: HandleLane(kind, application) for kind in args.models}, args), args))

    deployment = serve.deployment(serve.ingress(front_door)()).options(
        name=_FRONT_DOOR, ray_actor_options={"num_cpus": args.num_cpus}, max_ongoing_requests=_FRONT_DOOR_REQUESTS
    )
    return deployment.bind(*models)


def model_application(kind: Kind, settings: ModelSettings, make: Callable[[], Predictor]) -> serve.Application:
    """Return the deployment of the predictor that `make` builds, called by its kind's name."""
    actor: dict[str, Any] = {"num_cpus": settings.num_cpus, "num_gpus": _gpus(settings)}
    if settings.threads is not None:
        actor["runtime_env"] = {"env_vars": {"OMP_NUM_THREADS": str(settings.threads)}}
    deployment = serve.deployment(ModelDeployment).options(
        name=kind.value,
        ray_actor_options=actor,
        max_ongoing_requests=settings.max_ongoing_requests,
        max_constructor_retry_count=_LOAD_ATTEMPTS,
        health_check_period_s=settings.health_check_period_s,
        health_check_timeout_s=settings.health_check_timeout_s,
        **_replicas(settings),
    )
    return deployment.bind(kind, make, settings.device)


def _gpus(settings: ModelSettings) -> float:
    if settings.num_gpus is not None:
        return settings.num_gpus
    if settings.device == "auto":
        present = ray.is_initialized() and ray.cluster_resources().get("GPU", 0) > 0
        return _GPU_SHARE if present else 0.0
    return _GPU_SHARE if settings.device.startswith("cuda") else 0.0


def _replicas(settings: ModelSettings) -> dict[str, Any]:
    scaling = settings.scaling
    if scaling.min_replicas == scaling.max_replicas:
        return {"num_replicas": scaling.min_replicas}
    return {"autoscaling_config": scaling.model_dump()}


class Serving:
    """A running application; closes what it started and nothing else."""

    def __init__(self, application: str, settings: ServeSettings, *, url: str | None, owns_cluster: bool) -> None:
        self._application = application
        self._kinds = tuple(settings.models)
        self._owns_cluster = owns_cluster
        self.url = url

    def predictor(self, kind: Kind, *, patience: Patience | None = None) -> RayPredictor:
        """Return a predictor on the deployment of `kind`.

        Raises:
            EndpointError: the application has no model of this kind.
        """
        if kind not in self._kinds:
            raise errors.EndpointError(f"application {self._application} has no {kind.value} model; add one to its settings")
        return RayPredictor.of(self._application, kind, patience=patience)

    def close(self) -> None:
        """Stop the application; Serve and Ray too, if this process started them."""
        if ray.is_initialized():
            serve.delete(self._application)
        if self._owns_cluster:
            ray.shutdown()  # takes Serve along; shutting Serve down first makes Ray report the killed controller

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def start_serving(
    settings: ServeSettings, *, address: Address | None = None, application: str = APPLICATION, route_prefix: str = "/"
) -> Serving:
    """Run the application and wait until its models are loaded.

    A Ray that this process has joined is used as it is; else the cluster of RAY_ADDRESS is joined; else a local
    one starts, without dashboard or telemetry. HTTP opens only where `address` is given; in a cluster whose
    Serve already runs, that Serve's own address stays.

    Raises:
        GoldgateError: what kept a model from loading, or the front door from opening.
    """
    if not ray.is_initialized() and not os.environ.get("RAY_ADDRESS"):
        _check_models(settings)
    owns_cluster = _join_ray()
    serving = Serving(application, settings, url=_url(address, route_prefix), owns_cluster=owns_cluster)
    started = False
    try:
        if address is None:
            serve.start(proxy_location="Disabled")
        else:
            serve.start(proxy_location="HeadOnly", http_options=address.model_dump())
        serve.run(build(settings), name=application, route_prefix=route_prefix if address else None)
        started = True
    except RuntimeError as error:
        raise _deploy_error(_failure(application) or str(error), application) from error
    except ray_errors.RayError as error:
        raise errors.EndpointError(f"Ray did not start {application} ({type(error).__name__}); see its logs") from error
    finally:
        if not started:
            serving.close()
    return serving


def serve_forever(settings: ServeSettings, host: str, port: int) -> None:
    """Serve over HTTP until SIGINT or SIGTERM, then stop cleanly; nothing is printed.

    Raises:
        GoldgateError: what kept the service from starting.
    """
    with start_serving(settings, address=Address(host=host, port=port)) as serving:
        # Set only now: Ray, too, sets a handler for SIGTERM when it starts.
        before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
        logger.info("serving %s at %s", ", ".join(kind.value for kind in settings.models), serving.url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            logger.info("stopping on a signal")
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def _check_models(settings: ServeSettings) -> None:
    """Refuse wrong names and absent weights at once, where replicas will see the files that this process sees."""
    for kind, model in settings.models.items():
        entry = find_entry(model.name, kind, models_file=model.models_file)
        if entry.path is not None or entry.hub is not None:
            weights_of(entry)


def _join_ray() -> bool:
    """Join or start Ray; tell whether this process started it."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # Serve tells every step on standard error
    if ray.is_initialized():
        return False
    if not os.environ.get("RAY_ADDRESS"):
        start_local_ray()
        return True
    try:
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError) as error:
        raise errors.EndpointError(f"RAY_ADDRESS {os.environ['RAY_ADDRESS']}: no Ray cluster answers there") from error
    return False


def start_local_ray(*, num_cpus: int | None = None, object_store_bytes: int = _OBJECT_STORE_BYTES) -> None:
    """Start a Ray of this process alone, without dashboard or telemetry.

    Ray gives its own node 30 s to start, which a machine at full load may need more than once.

    Raises:
        EndpointError: it did not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)  # it warns that its default is in force
    for attempt in range(1, _RAY_ATTEMPTS + 1):
        if _init_ray(num_cpus, object_store_bytes):
            return
        logger.warning("Ray did not start in its 30 s (%d of %d)", attempt, _RAY_ATTEMPTS)
        ray.shutdown()
    raise errors.EndpointError("Ray did not start on this machine; it may be overloaded, try again or with --address local")


def _init_ray(num_cpus: int | None, object_store_bytes: int) -> bool:
    """Start a local Ray; tell whether it started in time."""
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            object_store_memory=object_store_bytes,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except Exception as error:
        # Ray raises the bare class here, so only its words tell this failure from others.
        if "timed out during startup" not in str(error):
            raise
        return False
    return True


def _url(address: Address | None, route_prefix: str) -> str | None:
    return None if address is None else f"http://{address.host}:{address.port}{route_prefix.rstrip('/')}"


def _failure(application: str) -> str:
    """Return what Serve says of the deployments that failed."""
    status = serve.status().applications.get(application)
    if status is None:
        return ""
    return "\n".join(deployment.message for deployment in status.deployments.values() if "FAILED" in deployment.status)


def _deploy_error(message: str, application: str) -> errors.GoldgateError:
    """Return the replica's own error, which Serve reports as the text of its traceback."""
    found = _REPLICA_ERROR.findall(message)
    if not found:
        return errors.EndpointError(f"Serve did not deploy {application}: {' '.join(message.split())[-300:]}")
    name, sentence = found[-1]
    kind = getattr(errors, name, errors.EndpointError)
    return kind(sentence) if issubclass(kind, errors.GoldgateError) else errors.EndpointError(sentence)
