"""The servers under load, each a process of its own: ours in its ways to run, and its peers."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.serving.processes import free_port, stopped, wait_until_up

ROOT: Final = Path(__file__).resolve().parents[2]
OPTIMIZED: Final = "RAY_SERVE_THROUGHPUT_OPTIMIZED"
IMAGE_BATCH: Final = 16
TEXT_BATCH: Final = 64


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Args:
        url: its address.
        process: its first process, for memory and processor time.
    """

    url: str
    process: "subprocess.Popen[bytes]"

    def get(self, path: str) -> Any:
        """Return the JSON document at `path`."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as reply:  # noqa: S310 - an own address
            return json.loads(reply.read())

    def batches(self) -> dict[str, tuple[float, float]]:
        """Return how many items and calls each kind's model has had, by /metrics; ours alone."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as reply:  # noqa: S310 - an own address
            lines = reply.read().decode().splitlines()
        found = {}
        for kind in ("image", "text"):
            label = f'kind="{kind}"'
            sums = [float(line.split()[-1]) for line in lines if line.startswith(f"goldgate_model_call_items_sum{{{label}")]
            counts = [
                float(line.split()[-1]) for line in lines if line.startswith(f"goldgate_model_call_items_count{{{label}")
            ]
            if sums and counts:
                found[kind] = sums[0], counts[0]
        return found


@contextlib.contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], *, url: str, up: str, log: Path) -> Iterator[Running]:
    """Run `command` until the block ends; it is up when `up` answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            list(command),
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            start_new_session=True,
        )
    try:
        wait_until_up(up, process)
        yield Running(url, process)
    finally:
        stopped(process)


@contextlib.contextmanager
def goldgate(folder: Path, *, image: str, host: str, address: str, optimized: bool = False) -> Iterator[Running]:
    """Run `goldgate serve` with the image model `image` and the text model without weights.

    Args:
        folder: for its settings and its log.
        image: name of the image model.
        host: address of the server with Label Studio's images.
        address: ray or local.
        optimized: whether Ray Serve is told to go for throughput.
    """
    batching = {  # of configs/serve.yaml
        "image": {"max_batch_size": IMAGE_BATCH},
        "text": {"max_batch_size": TEXT_BATCH, "full_calls_in_flight": 6},
    }
    models = {
        kind: {"name": name, "device": "cpu", "num_cpus": 0.5, "batching": batching[kind]}
        for kind, name in {"image": image, "text": "fake"}.items()
    }
    models["image"]["threads"] = os.cpu_count() or 1
    settings = {"models": models, "labelstudio": {"hosts": [{"url": host}]}, "watch": {"log": "text"}}
    application = {"name": "goldgate", "import_path": "goldgate.application:build", "args": settings}
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump({"applications": [application]}), encoding="utf-8")
    port = free_port()
    program = str(Path(sys.executable).with_name("goldgate"))
    command = [program, "serve", "--config", str(path), "--port", str(port), "--address", address, "--no-auth"]
    url = f"http://127.0.0.1:{port}"
    environment = {OPTIMIZED: "1"} if optimized else {}
    with running(command, environment, url=url, up=f"{url}/readyz", log=folder / f"goldgate-{address}.log") as server:
        yield server


@contextlib.contextmanager
def labelstudioml(python: Path, folder: Path, model: str) -> Iterator[Running]:
    """Run label-studio-ml's server as its image does: gunicorn, one worker, eight threads; and set a project up."""
    port = free_port()
    options = ["--workers", "1", "--threads", "8", "--timeout", "0", "--bind", f"127.0.0.1:{port}"]
    command = [str(python), "-m", "gunicorn", *options, "benchmarks.serving.peers.labelstudioml:app"]
    url = f"http://127.0.0.1:{port}"
    with running(command, {"MODEL": model}, url=url, up=f"{url}/health", log=folder / "labelstudioml.log") as server:
        body = json.dumps({"project": "1.1700000000", "schema": "<View/>"}).encode()
        setup = urllib.request.Request(f"{url}/setup", body, {"content-type": "application/json"})  # noqa: S310
        urllib.request.urlopen(setup, timeout=60).close()  # noqa: S310 - an own address
        yield server


@contextlib.contextmanager
def litserve(python: Path, folder: Path, model: str, *, batch: int) -> Iterator[Running]:
    """Run LitServe, with its own batching where `batch` is above 1."""
    port = free_port()
    command = [str(python), "-m", "benchmarks.serving.peers.litserver", str(port), model, str(batch)]
    url = f"http://127.0.0.1:{port}"
    with running(command, {}, url=url, up=f"{url}/health", log=folder / "litserve.log") as server:
        yield server


@contextlib.contextmanager
def plain(folder: Path, model: str) -> Iterator[Running]:
    """Run plain FastAPI on uvicorn, with a model in a thread."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.peers.plain", str(port), model]
    url = f"http://127.0.0.1:{port}"
    with running(command, {}, url=url, up=f"{url}/health", log=folder / "plain.log") as server:
        yield server


@contextlib.contextmanager
def image_host(images: Path) -> Iterator[str]:
    """Serve a folder as Label Studio's server does its files, and yield the address."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.imagehost", str(port), str(images)]
    url = f"http://127.0.0.1:{port}"
    with running(command, {}, url=url, up=f"{url}/", log=Path(os.devnull)):
        yield url
