"""The whole service behind Serve's own proxy, as `serve deploy configs/serve.yaml` runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray import serve

from contract.tables import Kind
from goldgate.application import build
from serving.access.settings import AccessSettings
from serving.config import ModelSettings, ServeSettings

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def contract() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["deadline"]["start"] = str(document["deadline"]["start"])
    assert isinstance(document, dict)
    return document


@pytest.fixture
def url(ray_address: tuple[str, int], tmp_path: Path) -> Iterator[str]:
    model = ModelSettings(name="fake", device="cpu", num_cpus=0.1)
    settings = ServeSettings(
        models={Kind.IMAGE: model, Kind.TEXT: model},
        terms=contract(),
        work=tmp_path / "work",
        access=AccessSettings(auth="none"),
    )
    serve.run(build(settings), name="whole", route_prefix="/whole")
    yield "http://{}:{}/whole".format(*ray_address)
    serve.delete("whole")


def test_doors_and_jobs_stand_behind_the_proxy(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/labelstudio/health").json()["status"] == "UP"
        functions = client.get("/cvat/api/functions").json()
        assert [each["metadata"]["name"] for each in functions.values()] == ["goldgate-fake"]
        assert "fake" in client.get("/xanylabeling/v1/models").json()["data"]
        assert "goldgate_requests" in client.get("/metrics").text

        texts = ["good", "bad", "so so"]
        order = {"contract": contract(), "lot": "week-1", "texts": texts}
        job = client.post("/v1/jobs", json=order)
        assert job.status_code == 202, job.text
        client.get(f"/v1/jobs/{job.json()['id']}/events", timeout=120)  # ends with the job
        status = client.get(f"/v1/jobs/{job.json()['id']}").json()
        assert (status["state"], status["labelled"]) == ("done", 3), status
