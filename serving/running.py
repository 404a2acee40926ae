"""Models that run: on Ray Serve, each an application of its own, or in this process.

An application a model lets one be exchanged while the others serve: the new model is loaded beside the old, calls turn to
it, and the old one stops when its last call is answered.
"""

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Final, Protocol

import ray
from ray import exceptions as ray_errors
from ray import serve

from contract import errors
from contract.predictor import Predictor
from contract.tables import Kind
from models.registry import find_entry, weights_of
from serving.app import named_model
from serving.cluster import join_ray
from serving.config import ServeSettings
from serving.deployment import build_model
from serving.gather import Lane
from serving.isolation import Patience
from serving.lanes import HandleLane, LocalLane, TakingTurns
from serving.predictors import RayPredictor

logger = logging.getLogger(__name__)

APPLICATION: Final = "goldgate"

_REPLICA_ERROR: Final = re.compile(r"contract\.errors\.(\w+): (.+)")


class Models(Protocol):
    """Models that run somewhere, one a kind."""

    @property
    def settings(self) -> ServeSettings:
        """What they were started by, or changed to."""
        ...

    def lane(self, kind: Kind) -> Lane:
        """Return the way of single calls to the model of `kind`."""
        ...

    def predictor(self, kind: Kind) -> Predictor:
        """Return the model of `kind` as a job's predictor."""
        ...

    def change(self, settings: ServeSettings) -> Iterator[tuple[Kind, Lane]]:
        """Load each model that `settings` change, and give the lane to it; the old one stops at the next step.

        Raises:
            GoldgateError: what kept a new model from loading; the old one then stays.
        """
        ...

    def close(self) -> None:
        """Stop them."""
        ...


class Serving:
    """Models on Ray Serve; closes what it started and nothing else."""

    def __init__(self, application: str, settings: ServeSettings, *, owns_cluster: bool) -> None:
        self._application = application
        self._owns_cluster = owns_cluster
        self._serial = 0
        self._names: dict[Kind, str] = {}
        self.settings = settings

    def start(self) -> None:
        """Deploy all models and wait until they are loaded.

        Raises:
            GoldgateError: what kept a model from loading.
        """
        serve.start(proxy_location="Disabled")
        self._names = self._deploy(self.settings, self.settings.models)

    def _deploy(self, settings: ServeSettings, kinds: Iterable[Kind]) -> dict[Kind, str]:
        names = {kind: f"{self._application}-{kind.value}-{self._serial}" for kind in kinds}
        self._serial += 1
        targets = [serve.RunTarget(named_model(kind, settings), name, route_prefix=None) for kind, name in names.items()]
        deployed = False
        try:
            serve.run_many(targets)
            deployed = True
        except RuntimeError as error:
            raise _deploy_error(_failures(names.values()) or str(error), self._application) from error
        except ray_errors.RayError as error:
            kind = type(error).__name__
            raise errors.EndpointError(f"Ray did not start {self._application} ({kind}); see its logs") from error
        finally:
            if not deployed:
                _delete(names.values())
        return names

    def lane(self, kind: Kind) -> HandleLane:
        """Return the way of single calls to the model of `kind`."""
        return HandleLane(kind, self._name(kind))

    def predictor(self, kind: Kind, *, patience: Patience | None = None) -> RayPredictor:
        """Return a predictor on the deployment of `kind`.

        Raises:
            EndpointError: there is no model of this kind.
        """
        return RayPredictor.of(self._name(kind), kind, patience=patience)

    def _name(self, kind: Kind) -> str:
        if kind not in self._names:
            raise errors.EndpointError(f"application {self._application} has no {kind.value} model; add one to its settings")
        return self._names[kind]

    def change(self, settings: ServeSettings) -> Iterator[tuple[Kind, Lane]]:
        """Load each model that `settings` change, and give the lane to it; the old one stops at the next step."""
        for kind in changed_models(self.settings, settings):
            old = self._names.get(kind)
            self._names.update(self._deploy(settings, [kind]))
            self.settings = _with_model(self.settings, settings, kind)
            yield kind, self.lane(kind)
            if old is not None:
                serve.delete(old, _blocking=False)  # its last call is answered, so nothing need wait for its end

    def close(self) -> None:
        """Stop the models; Serve and Ray too, if this process started them."""
        if self._owns_cluster:
            ray.shutdown()  # takes Serve along; shutting Serve down first makes Ray report the killed controller
        elif ray.is_initialized():
            _delete(self._names.values())
        self._names = {}

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def start_serving(settings: ServeSettings, *, application: str = APPLICATION) -> Serving:
    """Run the models on Ray and wait until they are loaded.

    Raises:
        GoldgateError: what kept a model from loading.
    """
    if not ray.is_initialized() and not os.environ.get("RAY_ADDRESS"):
        _check_models(settings)
    serving = Serving(application, settings, owns_cluster=join_ray())
    with contextlib.ExitStack() as stack:
        stack.callback(serving.close)
        serving.start()
        stack.pop_all()
    return serving


class LocalModels:
    """Models in this process, a thread each: no Ray, and none of its restarts and replicas."""

    def __init__(self, settings: ServeSettings, make: Callable[[Kind, ServeSettings], Predictor] | None = None) -> None:
        self._make = make or _load
        self._predictors: dict[Kind, Predictor] = {kind: TakingTurns(self._make(kind, settings)) for kind in settings.models}
        self._lanes: dict[Kind, Lane] = {kind: LocalLane(each) for kind, each in self._predictors.items()}
        self.settings = settings

    def lane(self, kind: Kind) -> Lane:
        """Return the way of single calls to the model of `kind`."""
        return self._lanes[kind]

    def predictor(self, kind: Kind) -> Predictor:
        """Return the model of `kind` as a job's predictor."""
        return self._predictors[kind]

    def change(self, settings: ServeSettings) -> Iterator[tuple[Kind, Lane]]:
        """Load each model that `settings` change, and give the lane to it."""
        for kind in changed_models(self.settings, settings):
            self._predictors[kind] = TakingTurns(self._make(kind, settings))
            self._lanes[kind] = LocalLane(self._predictors[kind])
            self.settings = _with_model(self.settings, settings, kind)
            yield kind, self._lanes[kind]

    def close(self) -> None:
        """Nothing runs on its own, so nothing is stopped."""


def _load(kind: Kind, settings: ServeSettings) -> Predictor:
    predictor = build_model(kind, settings.models[kind], settings.terms)
    predictor.load(settings.models[kind].device)
    return predictor


def changed_models(old: ServeSettings, new: ServeSettings) -> list[Kind]:
    """Return the kinds whose model `new` adds or changes; one that it leaves out stays as it is."""
    if old.terms != new.terms:
        return list(new.models)
    return [kind for kind, model in new.models.items() if old.models.get(kind) != model]


def _with_model(old: ServeSettings, new: ServeSettings, kind: Kind) -> ServeSettings:
    models: Mapping[Kind, object] = {**old.models, kind: new.models[kind]}
    return old.model_copy(update={"models": models, "terms": new.terms})


def _check_models(settings: ServeSettings) -> None:
    """Refuse wrong names and absent weights at once, where replicas will see the files that this process sees."""
    for kind, model in settings.models.items():
        entry = find_entry(model.name, kind, models_file=model.models_file)
        if entry.path is not None or entry.hub is not None:
            weights_of(entry)


def _delete(applications: Iterable[str]) -> None:
    """Stop applications side by side; a replica answers what it has before it goes."""
    names = list(applications)
    for name in names:
        serve.delete(name, _blocking=False)
    for name in names:
        serve.delete(name)


def _failures(applications: Iterable[str]) -> str:
    """Return what Serve says of the deployments that failed."""
    known = serve.status().applications
    deployments = [each for name in applications if name in known for each in known[name].deployments.values()]
    return "\n".join(each.message for each in deployments if "FAILED" in each.status)


def _deploy_error(message: str, application: str) -> errors.GoldgateError:
    """Return the replica's own error, which Serve reports as the text of its traceback."""
    found = _REPLICA_ERROR.findall(message)
    if not found:
        return errors.EndpointError(f"Serve did not deploy {application}: {' '.join(message.split())[-300:]}")
    name, sentence = found[-1]
    kind = getattr(errors, name, errors.EndpointError)
    return kind(sentence) if issubclass(kind, errors.GoldgateError) else errors.EndpointError(sentence)
