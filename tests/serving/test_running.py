"""Models on Ray, each an application of its own: started, exchanged, stopped."""

from pathlib import Path

import pytest
from ray import serve

from contract.errors import EndpointError, GoldgateError, InputError, WeightsError
from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving import running
from serving.config import ModelSettings, ServeSettings
from serving.running import LocalModels, Serving, changed_models, start_serving

pytestmark = pytest.mark.e2e


def settings(name: str) -> ServeSettings:
    return ServeSettings(models={Kind.TEXT: ModelSettings(name=name, device="cpu", num_cpus=0.1)})


def applications(prefix: str) -> list[str]:
    return [name for name in serve.status().applications if name.startswith(prefix)]


def test_a_job_needs_no_http(ray_address: tuple[str, int]) -> None:
    sources = [Source(item=str(index), kind=Kind.TEXT, uri="", data=b"x%d" % index) for index in range(9)]
    with start_serving(settings("fake"), application="job") as serving:
        assert serving.predictor(Kind.TEXT).predict(sources).equals(FakePredictor(Kind.TEXT).predict(sources))
        with pytest.raises(EndpointError, match="application job has no image model"):
            serving.predictor(Kind.IMAGE)
    assert not applications("job")


def test_what_keeps_a_model_from_loading_is_told(ray_address: tuple[str, int], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent.safetensors: no such weights"):
        start_serving(settings(str(tmp_path / "absent.safetensors")), application="wrong")
    assert not applications("wrong")


def test_a_model_that_cannot_load_leaves_the_old_one(ray_address: tuple[str, int], tmp_path: Path) -> None:
    sources = [Source(item="a", kind=Kind.TEXT, uri="", data=b"a")]
    with start_serving(settings("fake"), application="stays") as serving:
        before = applications("stays")
        with pytest.raises(WeightsError, match="no such weights"):
            next(serving.change(settings(str(tmp_path / "absent.safetensors"))))
        assert applications("stays") == before
        assert serving.settings == settings("fake")
        assert serving.predictor(Kind.TEXT).predict(sources).num_rows == 1


@pytest.mark.parametrize("name", ["absent.safetensors", "no-such-model"])
def test_wrong_names_are_refused_before_ray_starts(name: str) -> None:
    with pytest.raises(InputError, match=name):
        running._check_models(settings(name))
    with pytest.raises(InputError, match=name):
        LocalModels(settings(name))


def test_only_what_changes_is_exchanged() -> None:
    model = ModelSettings(name="fake", device="cpu")
    old = ServeSettings(models={Kind.TEXT: model, Kind.IMAGE: model})
    other = model.model_copy(update={"threads": 2})
    assert changed_models(old, old) == []
    assert changed_models(old, old.model_copy(update={"models": {Kind.TEXT: model, Kind.IMAGE: other}})) == [Kind.IMAGE]
    assert changed_models(old, old.model_copy(update={"models": {Kind.TEXT: model, Kind.VIDEO: model}})) == [Kind.VIDEO]
    assert changed_models(old, old.model_copy(update={"models": {Kind.TEXT: model}})) == []
    assert changed_models(old, old.model_copy(update={"terms": {"contract": "a"}})) == [Kind.TEXT, Kind.IMAGE]


@pytest.mark.parametrize(
    ("message", "kind", "sentence"),
    [
        ("x\ncontract.errors.WeightsError: a: gone\n\nduring\ncontract.errors.InputError: b\n", InputError, "b"),
        ("contract.errors.NoSuchError: a", EndpointError, "a"),
        ("no  luck", EndpointError, "Serve did not deploy app: no luck"),
    ],
)
def test_the_replica_s_own_error_is_found(message: str, kind: type[GoldgateError], sentence: str) -> None:
    error = running._deploy_error(message, "app")
    assert type(error) is kind
    assert str(error) == sentence


def test_closing_twice_is_harmless(ray_address: tuple[str, int]) -> None:
    serving = Serving("absent", settings("fake"), owns_cluster=False)
    serving.close()
    serving.close()
