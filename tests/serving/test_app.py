import pytest
from ray import serve

from contract.tables import Kind
from models.fake import FakePredictor
from serving.app import model_application
from serving.config import ModelSettings, Scaling


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
