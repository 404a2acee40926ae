"""kill -9 of a server in the middle of a job: the next one goes on, and no byte tells that anything happened."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contract.files import read_json
from contract.tables import Kind
from contract.terms import load_terms
from contract.workfolder import LotFolder, lot_folder
from models.fake import FakePredictor
from prelabel.intake import take_in
from prelabel.run import Job, run_job
from tests.conftest import free_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
TEXTS = 2048 * 20


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "raw" / "texts.csv"
    path.parent.mkdir()
    path.write_text("text\n" + "".join(f"text number {number}\n" for number in range(TEXTS)), encoding="utf-8")
    return path


@contextlib.contextmanager
def served(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`goldgate serve` with fakes in its own process; whoever enters may kill it."""
    args = {
        "models": {"text": {"name": "fake", "device": "cpu"}},
        "work": str(tmp_path / "work"),
        "allowed_folders": [str(tmp_path / "raw")],
        "jobs": {"calls_in_flight": 1},
        "access": {"auth": "none"},
    }
    config = tmp_path / "serve.yaml"
    config.write_text(yaml.safe_dump({"applications": [{"args": args}]}), encoding="utf-8")
    start = "from goldgate.cli import main; main()"
    command = [sys.executable, "-c", start, "serve", "--address", "local", "--port", str(port)]
    command += ["--config", str(config), "-c", str(ROOT / "configs" / "demo.yaml")]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=60)


def until(find: Callable[[], Any], *, seconds: float = 120) -> Any:
    """Return the first truth that `find` finds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if found := find():
                return found
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def test_a_killed_server_goes_on_with_its_jobs(tmp_path: Path, texts: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30) as client:
        with served(tmp_path, port) as process:
            until(lambda: client.get("/readyz").status_code == 200)
            document = load_terms(ROOT / "configs" / "demo.yaml").model_dump(mode="json")
            order = {"contract": document, "lot": "week-1", "sources": [str(texts)]}
            location = client.post("/v1/jobs", json=order).headers["location"]
            until(lambda: client.get(location).json()["done"] > 2048)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
        job = location.rpartition("/")[2]
        killed = read_json(tmp_path / "work" / "_jobs" / job / "job.json")["status"]
        assert killed["state"] == "running"
        assert killed["done"] < TEXTS
        with served(tmp_path, port):
            done = until(lambda: over(client, location))
            assert (done["state"], done["items"]) == ("done", TEXTS)
            again = client.post("/v1/jobs", json=order)
            assert (again.status_code, again.json()["id"]) == (200, job)
    lot = lot_folder(tmp_path / "work", "DEMO-2025", "week-1")
    assert bytes_of(lot, done["run"]) == uninterrupted(tmp_path, texts)


def over(client: httpx.Client, location: str) -> dict[str, Any] | None:
    status: dict[str, Any] = client.get(location).json()
    return status if status["state"] in {"done", "failed"} else None


def bytes_of(lot: LotFolder, run: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (lot.drafts / run).iterdir()}


def uninterrupted(tmp_path: Path, texts: Path) -> dict[str, bytes]:
    terms = load_terms(ROOT / "configs" / "demo.yaml")
    lot = lot_folder(tmp_path / "other", terms.contract, "week-1")
    take_in([str(texts)], lot=lot, terms=terms, lot_name="week-1")
    predictors = {Kind.TEXT: FakePredictor(Kind.TEXT, guideline=terms.guideline)}
    return bytes_of(lot, run_job(Job(lot, terms, predictors)).run)
