"""A real Label Studio from PyPI in an environment of its own, started on the loopback."""

import contextlib
import functools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.oracles.environments import installed

VERSION: Final = "1.23.2"
TOKEN: Final = "0123456789abcdef0123456789abcdef01234567"  # noqa: S105 - of a server that lives as long as its tests
EMAIL: Final = "reviewer@example.org"
PASSWORD: Final = "of a server on the loopback"  # noqa: S105
_DATABASE: Final = "label_studio.sqlite3"
_START_TIMEOUT_S: Final = 240
# No word to anyone outside, and addresses of the loopback allowed, which Label Studio refuses by default.
_SETTINGS: Final = {
    "COLLECT_ANALYTICS": "False",
    "LATEST_VERSION_CHECK": "False",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "SSRF_PROTECTION_ENABLED": "False",
    "ML_BLOCK_LOCAL_IP": "False",
    "WEBHOOK_TIMEOUT": "10",
    "ML_TIMEOUT_HEALTH": "10",
    "ML_TIMEOUT_SETUP": "10",
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
}


@dataclass(frozen=True)
class LabelStudio:
    """A running server: `api` is a client with the token of its one user; `files` lies under /data/local-files/?d=."""

    url: str
    token: str
    api: httpx.Client
    files: Path
    python: Path
    """The interpreter of its environment, which has label-studio-sdk, too."""

    def create_project(self, title: str, label_config: str) -> int:
        """Create a project and return its number."""
        answer = self.api.post("/api/projects/", json={"title": title, "label_config": label_config})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def import_tasks(self, project: int, tasks: list[dict[str, Any]]) -> list[int]:
        """Import `tasks` and return their numbers, in order."""
        answer = self.api.post(f"/api/projects/{project}/import", params={"return_task_ids": "true"}, json=tasks)
        assert answer.status_code == 201, answer.text
        return [int(task) for task in answer.json()["task_ids"]]

    def task(self, number: int) -> dict[str, Any]:
        """Return a task with its predictions and annotations."""
        answer = self.api.get(f"/api/tasks/{number}/")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def act(self, project: int, action: str) -> dict[str, Any]:
        """Do one of the Data Manager's actions on all tasks, such as retrieve_tasks_predictions."""
        body = {"selectedItems": {"all": True, "excluded": []}, "project": project}
        answer = self.api.post("/api/dm/actions", params={"id": action, "project": project}, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@functools.cache
def personal_token(server: LabelStudio) -> str:
    """Return the personal access token of the server's user, who can make only one."""
    answer = server.api.post("/api/token/")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


@contextlib.contextmanager
def running(folder: Path, port: int) -> Iterator[LabelStudio]:
    """Run a server with its data under `folder` until the end of the block.

    Raises:
        CannotInstallError: it is not installed and cannot be.
    """
    python = installed("label-studio", VERSION)
    data, files, log = folder / "data", folder / "files", folder / "server.log"
    for each in (data, files):
        each.mkdir(parents=True)
    migrated = python.parents[2] / _DATABASE
    if migrated.exists():  # its migrations take half a minute, and end in the same empty tables each time
        shutil.copyfile(migrated, data / _DATABASE)
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LABEL_STUDIO_HOST": url,
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files),
        **_SETTINGS,
    }
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), "--data-dir", str(data)]
    words += ["--username", EMAIL, "--password", PASSWORD, "--user-token", TOKEN, "--enable-legacy-api-token"]
    command = [str(python), str(python.with_name("label-studio")), *words]
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            with httpx.Client(
                base_url=url, headers={"Authorization": f"Token {TOKEN}"}, timeout=120, trust_env=False
            ) as api:
                _wait(api, process, log)
                _keep(data / _DATABASE, migrated)
                yield LabelStudio(url, TOKEN, api, files, python)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(api: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if api.get("/health").status_code == 200:
                assert api.get("/api/current-user/whoami").status_code == 200, "the token is not taken"
                return
        time.sleep(0.2)
    raise AssertionError(f"Label Studio did not start: {log.read_text(errors='replace')[-2000:]}")


def _keep(database: Path, migrated: Path) -> None:
    """Keep the tables for the next start, as they are before any test; its user and token are always the same."""
    if not migrated.exists():
        copy = migrated.with_suffix(f".{os.getpid()}")
        shutil.copyfile(database, copy)
        copy.replace(migrated)
