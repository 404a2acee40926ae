import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray

pytestmark = pytest.mark.e2e


def test_a_replicas_log_names_the_requests_and_nothing_of_their_items(service: Any) -> None:
    headers = {"x-request-id": "watched-7"}
    answer = httpx.post(f"{service.url}/v1/sentiment", json={"text": "CANARY-8"}, headers=headers, timeout=60)
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, "watched-7")
    logs = Path(ray._private.worker._global_node.get_logs_dir_path()) / "serve"
    until = time.monotonic() + 30
    while not (lines := lines_with(logs, "watched-7")):
        assert time.monotonic() < until, "no replica has written of the request"
        time.sleep(0.1)
    assert any("1 items in" in line for line in lines)
    assert not lines_with(logs, "CANARY-8")


def lines_with(logs: Path, word: str) -> list[str]:
    return [line for path in logs.glob("replica_*.log") for line in path.read_text().splitlines() if word in line]
