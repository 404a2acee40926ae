"""How long /healthz takes while the models are saturated.

    python benchmarks/serving/health_latency.py [--run-on local ray] [--rounds 3] > benchmarks/results/health_latency.json

Starts `goldgate serve` with one image model and keeps it busy: each client sends an image of about 1 MiB to /v1/detect and
the next as soon as it has its answer, 503 included; half of them by multipart, half as base64 in JSON. Beside them /healthz
is asked 20 times a second on a connection of its own. The clients are one process of raw sockets, so that they take as
little as can be from the processors that the service needs; what the poller waits for its own turn is in its figures.
"""

import argparse
import asyncio
import base64
import contextlib
import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PERIOD_S = 0.05
START_S = 180.0


def image(seed: int) -> bytes:
    """Return a JPEG of about 1 MiB."""
    pixels = np.random.default_rng(seed).integers(0, 256, (1024, 1350, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def request(path: str, content_type: str, body: bytes) -> bytes:
    """Return a whole HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def multipart(data: bytes) -> bytes:
    """Return a call with the image as a file."""
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return request("/v1/detect", "multipart/form-data; boundary=b", head + data + b"\r\n--b--\r\n")


def in_json(data: bytes) -> bytes:
    """Return a call with the image in base64."""
    document = json.dumps({"images": [{"data": base64.b64encode(data).decode()}]})
    return request("/v1/detect", "application/json", document.encode())


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> int:
    """Send a request and return the status of its answer, which is read to its end."""
    writer.write(sent)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
    return int(head.split(" ", 2)[1])


async def client(port: int, sent: bytes, until_s: float, statuses: Counter[int]) -> None:
    """Send again and again, and count the answers."""
    while time.monotonic() < until_s:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while time.monotonic() < until_s:
                status = await exchange(reader, writer, sent)
                statuses[status] += 1
                if status == 503:
                    await asyncio.sleep(0.05)
        writer.close()


async def load(port: int, clients: int, seconds: float) -> Counter[int]:
    """Return the statuses of all answers that the clients got."""
    requests = [build(image(seed)) for seed in range(4) for build in (multipart, in_json)]
    statuses: Counter[int] = Counter()
    until_s = time.monotonic() + seconds
    await asyncio.gather(*(client(port, requests[each % len(requests)], until_s, statuses) for each in range(clients)))
    return statuses


def poll(port: int, seconds: float) -> list[float]:
    """Return how long each /healthz took, in milliseconds."""
    took: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            started_s = time.perf_counter()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while b'"up"' not in answer:
                answer += connection.recv(4096)
            took.append(1000 * (time.perf_counter() - started_s))
            time.sleep(PERIOD_S)
    return took


@contextlib.contextmanager
def served(run_on: str, model: str) -> Iterator[int]:
    """Run the service and give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    settings = {"models": {"image": {"name": model, "device": "cpu", "num_cpus": 1}}, "access": {"auth": "none"}}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "serve.yaml")
        config.write_text(yaml.safe_dump({"applications": [{"args": settings}]}), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("goldgate")), "serve", "--config", str(config), "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--address", run_on],
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise TimeoutError(f"the service did not start in {START_S:.0f} s")


def summary(took: list[float]) -> dict[str, float]:
    """Return quantiles of latencies."""
    ordered = sorted(took)
    at = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in (("p50", 0.5), ("p99", 0.99))}
    figures = {**at, "max": ordered[-1], "mean": statistics.fmean(ordered)}
    return {f"{name}_ms": round(value, 2) for name, value in figures.items()} | {"polls": len(ordered)}


def measured(run_on: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Start the service, saturate it once a round, and return what /healthz took meanwhile."""
    rounds, statuses = [], Counter[str]()
    with served(run_on, arguments.model) as port:
        idle = poll(port, 3)
        for _ in range(arguments.rounds):
            command = [sys.executable, __file__, "--load", str(port), "--clients", str(arguments.clients)]
            sender = subprocess.Popen([*command, "--seconds", str(arguments.seconds + 5)], stdout=subprocess.PIPE)
            time.sleep(4)  # its images are made and its clients are under way
            rounds.append(summary(poll(port, arguments.seconds)))
            answers, _ = sender.communicate()
            statuses.update(json.loads(answers))
    return {"run_on": run_on, "idle": summary(idle), "saturated": rounds, "statuses": statuses}


def main() -> None:
    """Measure, and print one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-on", nargs="+", choices=["local", "ray"], default=["local", "ray"])
    parser.add_argument("--model", default="scene-detector")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", type=int, metavar="PORT", help="only send, as the benchmark's own second process does")
    arguments = parser.parse_args()
    if arguments.load is not None:
        print(json.dumps(asyncio.run(load(arguments.load, arguments.clients, arguments.seconds))))
        return
    machine = {"cores": os.cpu_count(), "platform": platform.platform(), "load_before": os.getloadavg()}
    versions = {name: version(name) for name in ("uvicorn", "fastapi", "ray", "torch")}
    setting = {
        "model": arguments.model,
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "image_bytes": len(image(0)),
    }
    runs = [measured(run_on, arguments) for run_on in arguments.run_on]
    print(json.dumps({**setting, "machine": machine, "versions": versions, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
