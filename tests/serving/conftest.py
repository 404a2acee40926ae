"""One application for all tests of the service, whose text model can be told to misbehave."""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from ray import cloudpickle, serve

from contract.predictor import Description, Predictor, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.app import model_application, with_front_door
from serving.config import Batching, Limits, ModelSettings, ServeSettings
from serving.isolation import Patience
from serving.predictors import RayPredictor


@dataclass(frozen=True)
class Service:
    """The application as Serve's own proxy shows it."""

    url: str
    application: str = "tested"

    def predictor(self, kind: Kind, *, patience: Patience | None = None) -> RayPredictor:
        return RayPredictor.of(self.application, kind, patience=patience)


class Misbehaving:
    """The fake, with orders in its texts, that writes down the sizes of its calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fake = FakePredictor(Kind.TEXT)

    def describe(self) -> Description:
        return self._fake.describe().model_copy(update={"settings": {"pid": os.getpid()}})

    def load(self, device: str) -> None:
        self._fake.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        with (self._folder / "sizes").open("a") as file:
            file.write(f"{len(sources)}\n")
        for source in sources:
            self._obey(source.data)
        return self._fake.predict(sources)

    def _obey(self, order: bytes | None) -> None:
        if order == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == b"raise":
            raise ZeroDivisionError("told to")
        if order == b"hang once":
            with contextlib.suppress(FileExistsError):
                (self._folder / "hanging").touch(exist_ok=False)
                threading.Event().wait()


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the text model writes down what it was asked."""
    return tmp_path_factory.mktemp("orders")


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that callers may name paths in."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def service(ray_address: tuple[str, int], orders: Path, videos: Path) -> Iterator[Service]:
    """The running application, with small limits."""
    # One small call at a time, so that those made meanwhile are seen to share the next.
    company = Batching(max_batch_size=4, calls_in_flight=1)
    model = ModelSettings(name="fake", device="cpu", num_cpus=0.1, health_check_period_s=0.5)
    settings = ServeSettings(
        models={Kind.IMAGE: model, Kind.TEXT: model.model_copy(update={"batching": company}), Kind.VIDEO: model},
        limits=Limits(max_body_bytes=200_000, max_video_bytes=300_000, max_items=4, max_job_items=8),
        allowed_folders=(videos,),
    )
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # replicas cannot import a test
    makers: dict[Kind, Callable[[], Predictor]] = {
        Kind.IMAGE: functools.partial(FakePredictor, Kind.IMAGE),
        Kind.TEXT: functools.partial(Misbehaving, orders),
        Kind.VIDEO: functools.partial(FakePredictor, Kind.VIDEO),
    }
    models = [model_application(kind, settings.models[kind], make) for kind, make in makers.items()]
    serve.run(with_front_door(settings, models), name="tested", route_prefix="/tested")
    yield Service("http://{}:{}/tested".format(*ray_address))
    serve.delete("tested")
