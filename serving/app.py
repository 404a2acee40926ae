"""The Ray Serve application: models as deployments, and the front doors before them.

`goldgate.application` puts the whole service together from here for ``serve deploy``; there Serve's own proxies listen.
`serving.running` runs the models alone, for a job or for `goldgate serve`, which listens by itself (`serving.listen`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import ray
from ray import serve
from starlette.types import ASGIApp

from contract.predictor import Predictor
from contract.tables import Kind
from serving.backend import Backend, LaneBackend
from serving.config import ModelSettings, ServeSettings
from serving.deployment import ModelDeployment, build_model
from serving.front import Front, open_front
from serving.lanes import HandleLane

_GPU_SHARE: Final = 0.25
_LOAD_ATTEMPTS: Final = 2
_FRONT_DOOR: Final = "front_door"
_FRONT_DOOR_REQUESTS: Final = 1000

Application: TypeAlias = serve.Application
MakeFront = Callable[[Backend, ServeSettings, str], Front]


def named_model(kind: Kind, settings: ServeSettings) -> Application:
    """Return the deployment of the model that `settings` name for `kind`."""
    model = settings.models[kind]
    return model_application(kind, model, functools.partial(build_model, kind, model, settings.terms))


def with_front_door(args: ServeSettings, models: Sequence[Application], make_front: MakeFront | None = None) -> Application:
    """Return the HTTP front door before `models`, the deployments of the kinds that `args` name.

    Args:
        args: settings of the service.
        models: its deployments.
        make_front: gives what the doors stand on, by backend, settings and the application's name; called in the front
            door's replica. Without it the doors stand on the models alone.
    """

    def front_door() -> ASGIApp:
        application = serve.get_replica_context().app_name
        backend = LaneBackend({kind: HandleLane(kind, application) for kind in args.models}, args)
        front = Front(backend, args) if make_front is None else make_front(backend, args, application)
        return open_front(front, says_id=False)  # Serve's proxy does

    deployment = serve.deployment(serve.ingress(front_door)()).options(
        name=_FRONT_DOOR, ray_actor_options={"num_cpus": args.num_cpus}, max_ongoing_requests=_FRONT_DOOR_REQUESTS
    )
    return deployment.bind(*models)


def model_application(kind: Kind, settings: ModelSettings, make: Callable[[], Predictor]) -> Application:
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
