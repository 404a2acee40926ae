"""The files of deploy/ agree with the service, with the image, and with those who read them."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from ray.serve.schema import ServeDeploySchema
from typer.core import TyperGroup

from contract.tables import Kind
from goldgate.application import build
from goldgate.cli import app
from serving.app import _gpus
from serving.config import ModelSettings, ServeSettings, load_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SECONDS = {"s": 1, "m": 60}


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def kubernetes() -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / "rayservice.yaml").read_text(encoding="utf-8")))


def ray_service() -> Any:
    (found,) = [each for each in kubernetes() if each["kind"] == "RayService"]
    return found["spec"]


def serve_document() -> Any:
    return yaml.safe_load(ray_service()["serveConfigV2"])


def pods() -> Iterator[tuple[str, Any]]:
    cluster = ray_service()["rayClusterConfig"]
    yield "head", cluster["headGroupSpec"]["template"]["spec"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group["template"]["spec"]


def image() -> dict[str, str]:
    """Return the instructions of the Dockerfile that an image has once."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile.gpu").read_text(encoding="utf-8"))
    return dict(re.findall(r"^(EXPOSE|CMD|ENTRYPOINT|HEALTHCHECK|RUN apt-get update) +(.*)$", text, re.MULTILINE))


def path_of(url: str) -> str:
    return url.partition("8000")[2]


def seconds(text: str) -> int:
    return int(text[:-1]) * SECONDS[text[-1]]


def test_the_image_listens_where_the_files_say() -> None:
    assert image()["EXPOSE"] == "8000"
    assert image()["ENTRYPOINT"] == '["goldgate"]'
    assert "http://127.0.0.1:8000/healthz" in image()["HEALTHCHECK"]
    assert '"--port", "8000"' in image()["CMD"]
    assert " curl " in image()["RUN apt-get update"]  # the probes call it


def test_serve_takes_the_ray_service() -> None:
    document = serve_document()
    schema = ServeDeploySchema.model_validate(document)
    (application,) = schema.applications
    assert (application.name, application.import_path) == ("goldgate", f"{build.__module__}:{build.__name__}")
    settings = ServeSettings.model_validate(document["applications"][0]["args"])
    assert set(settings.models) == set(Kind)
    assert settings.access.auth == "keys"
    built = build(settings)._bound_deployment
    names = {built.name, *(each._bound_deployment.name for each in built.init_args)}
    assert {deployment.name for deployment in application.deployments} == names


def test_every_pod_has_room_for_its_share() -> None:
    settings = ServeSettings.model_validate(serve_document()["applications"][0]["args"])
    (group,) = ray_service()["rayClusterConfig"]["workerGroupSpecs"]
    wanted = group["template"]["spec"]["containers"][0]["resources"]["requests"]
    models = settings.models.values()
    gpus = sum((model.num_gpus or 0) * model.scaling.min_replicas for model in models)
    cpus = settings.num_cpus + sum(model.num_cpus * model.scaling.min_replicas for model in models)
    assert gpus <= group["minReplicas"] * int(wanted["nvidia.com/gpu"])
    assert cpus <= group["minReplicas"] * int(wanted["cpu"])
    most = sum((model.num_gpus or 0) * model.scaling.max_replicas for model in models)
    assert most <= group["maxReplicas"] * int(wanted["nvidia.com/gpu"])


@pytest.mark.parametrize(("name", "pod"), list(pods()))
def test_pods_mount_what_the_settings_name_and_end_in_their_own_time(name: str, pod: Any) -> None:
    (container,) = pod["containers"]
    settings = ServeSettings.model_validate(serve_document()["applications"][0]["args"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert settings.work is not None
    assert "persistentVolumeClaim" in volumes[mounts[str(settings.work)]]
    keys = volumes[mounts[str(settings.access.keys_file.parent)]]
    assert keys["secret"]["secretName"] == "goldgate-keys"
    claims = {each["metadata"]["name"] for each in kubernetes() if each["kind"] == "PersistentVolumeClaim"}
    assert {
        each["persistentVolumeClaim"]["claimName"] for each in volumes.values() if "persistentVolumeClaim" in each
    } == claims
    assert f"--uid {pod['securityContext']['runAsUser']} " in (ROOT / "Dockerfile.gpu").read_text(encoding="utf-8")
    deployments = serve_document()["applications"][0]["deployments"]
    longest = max(each["graceful_shutdown_timeout_s"] for each in deployments)
    assert name == "head" or pod["terminationGracePeriodSeconds"] > longest
    for probe in ("livenessProbe", "readinessProbe"):
        assert "curl" in container[probe]["exec"]["command"][-1]


def test_the_ray_service_names_the_ray_that_is_pinned() -> None:
    pinned = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    assert ray_service()["rayClusterConfig"]["rayVersion"] == pinned[1]


def ray_job() -> Any:
    return yaml.safe_load((DEPLOY / "rayjob.yaml").read_text(encoding="utf-8"))["spec"]


def test_the_ray_job_is_a_command_that_there_is_and_its_replicas_find_room() -> None:
    program, command, *words = shlex.split(ray_job()["entrypoint"])
    assert (program, command) == ("goldgate", "prelabel")
    known = typer.main.get_command(app)
    assert isinstance(known, TyperGroup)
    context = known.commands[command].make_context(command, words, resilient_parsing=True)
    assert (context.params["address"], context.params["device"]) == ("ray", "cuda")
    cluster = ray_job()["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    gpus = group["minReplicas"] * int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"])
    assert context.params["replicas"] * _gpus(ModelSettings(name="a", device="cuda")) == gpus
    assert cluster["rayVersion"] == ray_service()["rayClusterConfig"]["rayVersion"]


def test_the_ray_job_finds_work_and_models_where_the_service_keeps_them() -> None:
    theirs = dict(pods())["head"]
    places = {mount["name"]: mount["mountPath"] for mount in theirs["containers"][0]["volumeMounts"]}
    cluster = ray_job()["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
        assert mounts.items() <= places.items()
        assert [each for each in pod["volumes"] if "persistentVolumeClaim" in each] == [
            each for each in theirs["volumes"] if "persistentVolumeClaim" in each
        ]
        assert "curl" in container["livenessProbe"]["exec"]["command"][-1]
    assert places["work"] in ray_job()["entrypoint"]


def test_the_box_serves_by_its_own_settings() -> None:
    service = compose()["services"]["goldgate"]
    mounts = dict(volume.rsplit(":", 1)[0].rsplit(":", 1) if volume.endswith(":ro") else volume.rsplit(":", 1)
                  for volume in service["volumes"])  # fmt: skip
    assert service["command"][:2] == ["serve", "--config"]
    assert mounts["./serve.yaml"] == service["command"][2]
    settings, address = load_settings(DEPLOY / "serve.yaml")
    assert (address.host, address.port) == ("0.0.0.0", 8000)  # noqa: S104 - of the container
    assert any(port.endswith(f":{address.port}:{address.port}") for port in service["ports"])
    assert str(settings.work) in mounts.values()
    assert str(settings.access.keys_file.parent) in mounts.values()
    assert seconds(service["stop_grace_period"]) > settings.limits.drain_s
    assert sum((model.num_gpus or 0) * model.scaling.max_replicas for model in settings.models.values()) <= 1
    (host,) = settings.labelstudio.hosts
    assert host.url == "http://labelstudio:8080"
    assert [Path("/run/secrets") / name for name in service["secrets"]] == [host.token_file]


def test_neighbours_wait_for_each_other_by_health() -> None:
    services = compose()["services"]
    for service in services.values():
        assert service["healthcheck"]["test"][:2] == ["CMD", "curl"]
        assert {each["condition"] for each in service.get("depends_on", {}).values()} <= {"service_healthy"}
        assert set(service.get("depends_on", {})) <= set(services)
    used = {volume.split(":")[0] for service in services.values() for volume in service["volumes"]}
    assert set(compose()["volumes"]) == {name for name in used if name[0] not in "./$"}


def test_no_secret_stands_in_a_file() -> None:
    for path in DEPLOY.glob("*.y*ml"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"gg_[A-Za-z0-9]|(password|token|secret_key): *[\"']?[A-Za-z0-9]{8,}", text), path
    assert "/deploy/keys/" in (ROOT / ".gitignore").read_text(encoding="utf-8")


def composer() -> list[str] | None:
    """Return the command of Docker Compose on this machine, in either of its forms."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and not run([*words, "version"]).returncode:
            return words
    return None


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the machine's own program


@pytest.mark.skipif(composer() is None, reason="Docker Compose is not on this machine")
def test_docker_compose_takes_the_file() -> None:
    command = [*(composer() or []), "-f", str(DEPLOY / "compose.yaml"), "config"]
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == {"goldgate", "labelstudio"}
