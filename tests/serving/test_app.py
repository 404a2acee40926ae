import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from ray import serve

from contract.errors import EndpointError, GoldgateError, InputError, WeightsError
from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving import app
from serving.app import Serving, model_application, serve_forever, start_serving
from serving.config import ModelSettings, Scaling, ServeSettings

pytestmark = pytest.mark.e2e


def settings(name: str) -> ServeSettings:
    return ServeSettings(models={Kind.TEXT: ModelSettings(name=name, device="cpu", num_cpus=0.1)})


def test_serves_until_it_is_told_to_stop(ray_address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = ray_address
    monkeypatch.setattr(app, "APPLICATION", "forever")
    handler = signal.getsignal(signal.SIGTERM)
    seen: list[int] = []

    def stop_when_ready() -> None:
        while signal.getsignal(signal.SIGTERM) is handler:
            time.sleep(0.05)
        seen.append(httpx.get(f"http://{host}:{port}/readyz", timeout=60).status_code)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_when_ready, daemon=True)
    thread.start()
    serve_forever(settings("fake"), host, port)
    thread.join(timeout=60)
    assert seen == [200]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "goldgate" not in serve.status().applications


def test_a_job_needs_no_http(ray_address: tuple[str, int]) -> None:
    sources = [Source(item=str(index), kind=Kind.TEXT, uri="", data=b"x%d" % index) for index in range(9)]
    with start_serving(settings("fake"), application="job") as serving:
        assert serving.url is None
        assert serving.predictor(Kind.TEXT).predict(sources).equals(FakePredictor(Kind.TEXT).predict(sources))
        with pytest.raises(EndpointError, match="application job has no image model"):
            serving.predictor(Kind.IMAGE)
    assert "job" not in serve.status().applications


def test_what_keeps_a_model_from_loading_is_told(ray_address: tuple[str, int], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent.safetensors: no such weights"):
        start_serving(settings(str(tmp_path / "absent.safetensors")), application="wrong")
    assert "wrong" not in serve.status().applications


@pytest.mark.parametrize("name", ["absent.safetensors", "no-such-model"])
def test_wrong_names_are_refused_before_ray_starts(name: str) -> None:
    with pytest.raises(InputError, match=name):
        app._check_models(settings(name))


@pytest.mark.parametrize(
    ("message", "kind", "sentence"),
    [
        ("x\ncontract.errors.WeightsError: a: gone\n\nduring\ncontract.errors.InputError: b\n", InputError, "b"),
        ("contract.errors.NoSuchError: a", EndpointError, "a"),
        ("no  luck", EndpointError, "Serve did not deploy app: no luck"),
    ],
)
def test_the_replica_s_own_error_is_found(message: str, kind: type[GoldgateError], sentence: str) -> None:
    error = app._deploy_error(message, "app")
    assert type(error) is kind
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("model", "gpus"),
    [
        (ModelSettings(name="fake", device="cpu"), 0),
        (ModelSettings(name="fake", device="cuda"), 0.25),
        (ModelSettings(name="fake", device="cuda:1", num_gpus=2), 2),
        (ModelSettings(name="fake", device="auto", num_gpus=0.5), 0.5),
    ],
)
def test_a_replica_reserves_its_gpus(model: ModelSettings, gpus: float) -> None:
    options = deployment_of(model).ray_actor_options
    assert (options or {})["num_gpus"] == gpus


def test_scaling_becomes_serve_s_own() -> None:
    fixed = deployment_of(ModelSettings(name="fake", device="cpu", scaling=Scaling(min_replicas=2, max_replicas=2)))
    assert fixed.num_replicas == 2
    moving = deployment_of(
        ModelSettings(name="fake", device="cpu", threads=3, scaling=Scaling(min_replicas=1, max_replicas=4))
    )
    config = moving._deployment_config.autoscaling_config
    assert (config.min_replicas, config.max_replicas, config.target_ongoing_requests) == (1, 4, 1.5)
    assert moving.ray_actor_options["runtime_env"] == {"env_vars": {"OMP_NUM_THREADS": "3"}}


def deployment_of(model: ModelSettings) -> serve.Deployment:
    application = model_application(Kind.TEXT, model, lambda: FakePredictor(Kind.TEXT))
    return application._bound_deployment


def test_closing_twice_is_harmless(ray_address: tuple[str, int]) -> None:
    serving = Serving("absent", settings("fake"), url=None, owns_cluster=False)
    serving.close()
    serving.close()
