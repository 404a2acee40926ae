"""`goldgate serve` as an operator starts it, between a real Label Studio and a lot on disk."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contract.formats.labelstudio.config import label_config
from contract.tables import Kind
from goldgate.cli import run
from serving.access.keys import Scope, add_key
from tests.conftest import free_port
from tests.labelstudio.server import LabelStudio
from tests.oracles.lots import GUIDELINE

pytestmark = [pytest.mark.labelstudio, pytest.mark.slow, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["fine", "bad", "well made", "broke at once"]


def goldgate(*words: Any) -> list[str]:
    return [sys.executable, "-c", "import sys; from goldgate.cli import main; sys.exit(main())", *map(str, words)]


@contextlib.contextmanager
def serving(folder: Path, args: dict[str, Any], port: int, **environment: str) -> Iterator[str]:
    """Run the service as a process of its own and end it as an operator does."""
    config = folder / "serve.yaml"
    document = {"http_options": {"port": port}, "applications": [{"name": "goldgate", "args": args}]}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    words = ("serve", "--config", config, "--contract", ROOT / "configs" / "demo.yaml", "--address", "local")
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(goldgate(*words), stdout=log, stderr=log, env={**os.environ, **environment}, cwd=ROOT)  # noqa: S603
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                assert process.poll() is None, (folder / "serve.log").read_text()
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"{url}/healthz", trust_env=False)
                    break
                time.sleep(0.1)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, (folder / "serve.log").read_text()


def test_from_drafts_to_a_submission(labelstudio: LabelStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = tmp_path / "work"
    (tmp_path / "texts.csv").write_text("\n".join(["text", *TEXTS]), encoding="utf-8")
    lot = ("-c", str(ROOT / "configs" / "demo.yaml"), "--lot", "one", "--work", str(work))
    assert run(["intake", str(tmp_path / "texts.csv"), *lot]) == 0
    project = labelstudio.create_project("serve", label_config(Kind.TEXT, GUIDELINE).decode())
    tasks = labelstudio.import_tasks(project, [{"data": {"text": text}} for text in TEXTS])
    args = {
        "models": {"text": {"name": "review-sentiment", "device": "cpu"}},
        "labelstudio": {
            "hosts": [{"url": labelstudio.url, "token_env": "LABEL_STUDIO_TOKEN"}],
            "lots": [{"project": project, "contract": "DEMO-2025", "lot": "one", "as": "submission"}],
        },
        "work": str(work),
        "access": {"keys_file": str(tmp_path / "keys.json")},
    }
    _, key = add_key(tmp_path / "keys.json", "studio", [Scope.PREDICT, Scope.SCORE])
    with serving(tmp_path, args, free_port(), LABEL_STUDIO_TOKEN=labelstudio.token) as url:
        backend = {"project": project, "url": f"{url}/labelstudio", "title": "goldgate"}
        assert labelstudio.api.post("/api/ml/", json=backend).status_code != 201  # it brings no key
        backend |= {"auth_method": "BASIC_AUTH", "basic_auth_user": "studio", "basic_auth_pass": key}
        answer = labelstudio.api.post("/api/ml/", json=backend)
        assert answer.status_code == 201, answer.text
        version = answer.json()["model_version"]
        assert version.startswith("review-sentiment@")
        # The webhook that connecting makes carries no password, so the operator adds the header.
        (webhook,) = labelstudio.api.get("/api/webhooks/", params={"project": project}).json()
        headers = {"headers": {"Authorization": f"Bearer {key}"}}
        assert labelstudio.api.patch(f"/api/webhooks/{webhook['id']}/", json=headers).status_code == 200
        labelstudio.act(project, "retrieve_tasks_predictions")
        labels = []
        for task in tasks:
            (prediction,) = labelstudio.task(task)["predictions"]
            assert prediction["model_version"] == version
            labels.append(prediction["result"][0]["value"]["choices"])
        labelstudio.act(project, "predictions_to_annotations")
        assert len(list(work.rglob("inbox/submission/*.json"))) == len(TEXTS)
    capsys.readouterr()
    assert run(["import", "--format", "labelstudio", "--as", "submission", "--from-inbox", *lot, "--json"]) == 0
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["items"], receipt["labels"]) == (len(TEXTS), {"sentiments": len(TEXTS)})
    out = tmp_path / "out"
    assert run(["export", "--format", "jsonl", "--from", "submission", "--out", str(out), *lot]) == 0
    sealed = [json.loads(line)["label"] for line in (out / "sentiments.jsonl").read_text().splitlines()]
    assert [[label] for label in sealed] == labels


def test_a_token_that_is_not_there_is_named_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    host = {"url": "http://127.0.0.1:9", "token_env": "GOLDGATE_TEST_NO_TOKEN"}
    args = {"models": {"text": {"name": "fake"}}, "labelstudio": {"hosts": [host]}}
    config.write_text(yaml.safe_dump({"applications": [{"args": args}]}), encoding="utf-8")
    command = goldgate("serve", "--config", config, "--address", "local")
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
    assert (done.returncode, "GOLDGATE_TEST_NO_TOKEN" in done.stderr) == (2, True)
