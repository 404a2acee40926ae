from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from contract.errors import InputError
from contract.tables import Kind
from serving.config import ModelSettings, Scaling, ServeSettings, load_settings

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "serve.yaml"


def test_shipped_config_is_valid_for_serve_and_for_us() -> None:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    assert [application.import_path for application in schema.applications] == ["goldgate.application:build"]
    settings, address = load_settings(CONFIG)
    assert set(settings.models) == set(Kind)
    assert address.host == "127.0.0.1"
    assert sum(model.num_cpus for model in settings.models.values()) + settings.num_cpus <= 2


def test_every_wrong_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    args = {"models": {"image": {"name": "fake", "gpus": 1}, "sound": {"name": "fake"}}, "allowed_folders": ["relative"]}
    path.write_text(yaml.safe_dump({"applications": [{"args": args}]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"serve.yaml: 2 problem.*models.image.gpus.*models.sound"):
        load_settings(path)


@pytest.mark.parametrize("text", ["applications: []", "[]", "a", "applications: [{}]", "applications: 3", ""])
def test_foreign_documents_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a Serve config"):
        load_settings(path)


def test_absent_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent.yaml: cannot be read"):
        load_settings(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken.yaml: not a YAML document"):
        load_settings(tmp_path / "broken.yaml")


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValidationError, match="device cuda needs num_gpus"):
        ModelSettings(name="fake", device="cuda:0", num_gpus=0)
    with pytest.raises(ValidationError, match="min_replicas 3 is above max_replicas 2"):
        Scaling(min_replicas=3, max_replicas=2)
    with pytest.raises(ValidationError, match="relative is not absolute"):
        ServeSettings(models={Kind.TEXT: ModelSettings(name="fake")}, allowed_folders=(Path("relative"),))
    with pytest.raises(ValidationError, match="at least 1 item"):
        ServeSettings(models={})


def test_settings_of_names() -> None:
    settings = ServeSettings.of({Kind.TEXT: "fake"}, device="cpu")
    assert settings.models[Kind.TEXT] == ModelSettings(name="fake", device="cpu")
