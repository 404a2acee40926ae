"""The log of `goldgate serve`, from outside: a JSON object a line from start to end, and nothing that callers sent."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image

from contract.formats.labelstudio.config import label_config
from contract.tables import Kind
from serving.access.keys import Scope, add_key
from tests.conftest import free_port
from tests.oracles.lots import GUIDELINE

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (9, 9, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def wait_for(url: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url)
            return
        time.sleep(0.1)
    raise AssertionError("the service did not start")


def calls(url: str, tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return calls through every door that hold the word CANARY wherever a caller can put one."""
    config = label_config(Kind.TEXT, GUIDELINE).decode()
    task = {"id": 7, "data": {"text": "CANARY of a task", "CANARY": "CANARY"}}
    jobs = {"contract": "CANARY", "lot": "CANARY", "sources": [{"path": str(tmp_path / "CANARY")}]}
    return [
        ("/v1/sentiment", {"json": {"texts": ["CANARY text", " "]}}),
        ("/v1/sentiment?CANARY=CANARY", {"content": b"CANARY", "headers": {"content-type": "application/json"}}),
        ("/v1/detect", {"files": {"file": ("CANARY.png", picture())}}),
        ("/v1/detect", {"files": {"file": ("CANARY.png", b"CANARY")}}),
        ("/v1/detect", {"json": {"images": [{"item": "CANARY", "uri": "https://canary.example/CANARY.png?key=CANARY"}]}}),
        ("/v1/video", {"json": {"path": "/CANARY/film.mp4"}}),
        ("/v1/predict/CANARY", {"content": b"CANARY"}),
        ("/v1/jobs", {"json": jobs}),
        ("/labelstudio/predict", {"json": {"tasks": [task], "label_config": config, "project": "CANARY.1"}}),
        ("/labelstudio/webhook", {"json": {"action": "CANARY", "annotation": {"result": "CANARY"}, "task": task}}),
        ("/cvat/api/function_invocations", {"json": {"image": "CANARY"}, "headers": {"x-nuclio-function-name": "CANARY"}}),
        ("/xanylabeling/v1/predict", {"json": {"model": "CANARY", "image": "data:image/png;base64,CANARY"}}),
        ("/CANARY", {"content": b"CANARY"}),
        ("/", {"files": {"text": (None, "CANARY text")}, "headers": {"origin": url}}),
        ("/", {"files": {"text": (None, "CANARY text")}, "headers": {"origin": "https://CANARY.example"}}),
    ]


def test_the_log_is_json_and_holds_nothing_of_any_item(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    keys = tmp_path / "keys.json"
    _, token = add_key(keys, "canteen", [Scope.ADMIN])
    args = {
        "models": {kind.value: {"name": "fake", "device": "cpu"} for kind in Kind},
        "work": str(tmp_path / "work"),
        "access": {"auth": "keys", "keys_file": str(keys)},
        "watch": {"log": "json"},
    }
    config = tmp_path / "serve.yaml"
    config.write_text(yaml.safe_dump({"applications": [{"args": args}]}), encoding="utf-8")
    start = "from goldgate.cli import main; main()"
    command = [sys.executable, "-c", start, "serve", "--address", "local", "--port", str(port), "--config", str(config)]
    with subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            wait_for(f"{url}/healthz")
            statuses = []
            for path, call in calls(url, tmp_path):
                own = call.pop("headers", {})
                for key in (token, "gg_CANARY"):
                    headers = {**own, "authorization": f"Bearer {key}", "x-request-id": "CANARY CANARY"}
                    statuses.append(httpx.post(f"{url}{path}", headers=headers, **call, timeout=60).status_code)
        finally:
            process.send_signal(signal.SIGTERM)
            output, log = process.communicate(timeout=60)
    assert output == b""
    assert b"canary" not in log.lower()
    lines = [json.loads(line) for line in log.decode().splitlines()]
    events = [line["event"] for line in lines]
    assert events[0].startswith("serving image, text, video on port")
    assert any(event.startswith("draining on SIGTERM") for event in events)
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == statuses
    assert {line["door"] for line in requests} == {"rest", "labelstudio", "cvat", "xanylabeling"}
    assert {line.get("caller") for line in requests} == {"canteen", None}
    assert statuses.count(200) >= 4
    assert {401, 403, 404, 422} <= set(statuses)
    sentiment = requests[0]
    assert (sentiment["route"], sentiment["items"], sentiment["caller"]) == ("/v1/sentiment", 2, "canteen")
