"""A lot goes into projects of a real Label Studio over its API and comes back, whatever interrupts it."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contract.tables import Kind, Task
from contract.workfolder import lot_folder
from goldgate.cli import run
from prelabel.handoff import read_drafts, read_sealed
from tests.conftest import listening
from tests.labelstudio.server import LabelStudio, personal_token

pytestmark = [pytest.mark.labelstudio, pytest.mark.slow, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "configs" / "demo.yaml"
FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]
VARIABLE = "GOLDGATE_TEST_TOKEN"
MANY = 1100


class Lot:
    """A lot that was taken in and pre-labelled with the fakes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.options = ["-c", str(CONTRACT), "--lot", name, "--work", str(folder / "work")]
        self.folder = lot_folder(folder / "work", "DEMO-2025", name)

    def __call__(self, command: str, *words: Any) -> int:
        return run([command, *map(str, words), *self.options])

    def words(self, server: str, project: int) -> list[str]:
        return ["--format", "labelstudio", "--project", str(project), "--token-env", VARIABLE, "--to-url", server]

    def back(self, server: str, project: int) -> list[str]:
        return ["--format", "labelstudio", "--project", str(project), "--token-env", VARIABLE, "--from-url", server]


@pytest.fixture
def images(tmp_path: Path) -> Lot:
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = np.random.default_rng(1)
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(raw / f"No {number:02d} 图.png")
    lot = Lot(tmp_path, "images")
    assert lot("intake", raw) == 0
    assert lot("prelabel", *FAKES) == 0
    return lot


@pytest.fixture
def texts(tmp_path: Path) -> Lot:
    table = tmp_path / "texts.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([f"第 {number} 条评论, 不错"] for number in range(MANY))])
    lot = Lot(tmp_path, "texts")
    assert lot("intake", table) == 0
    assert lot("prelabel", *FAKES) == 0
    return lot


@pytest.fixture(autouse=True)
def token(labelstudio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, labelstudio.token)


def empty_project(labelstudio: LabelStudio, title: str) -> int:
    return labelstudio.create_project(title, "<View></View>")


def tasks_of(labelstudio: LabelStudio, project: int) -> list[dict[str, Any]]:
    """Return all tasks with their predictions, by an export of another route than ours."""
    query = {"exportType": "JSON", "download_all_tasks": "true"}
    answer = labelstudio.api.get(f"/api/projects/{project}/export", params=query)
    assert answer.status_code == 200
    return [labelstudio.task(task["id"]) for task in answer.json()]


def predictions_of(labelstudio: LabelStudio, project: int) -> list[dict[str, Any]]:
    answer = labelstudio.api.get("/api/predictions/", params={"project": project})
    assert answer.status_code == 200
    return list(answer.json())


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_drafts_go_out_and_come_back(labelstudio: LabelStudio, images: Lot, capsys: pytest.CaptureFixture[str]) -> None:
    project = empty_project(labelstudio, "images there and back")
    words = [*images.words(labelstudio.url, project), "--media", "/data/local-files/?d=lot/", "--json"]
    assert images("export", *words) == 0
    first = printed(capsys)
    assert (first["kind"], first["items"], first["tasks_added"], first["predictions_added"]) == ("image", 12, 12, 12)

    _, drafts = read_drafts(images.folder)
    boxes = Counter(row["item"] for row in drafts.table(Task.BOXES).to_pylist())
    assert boxes
    shown = {task["data"]["item"]: task for task in tasks_of(labelstudio, project)}
    assert {item: len(task["predictions"][0]["result"]) for item, task in shown.items()} == {
        item: boxes[item] for item in drafts.states["item"].to_pylist()
    }
    assert all(task["data"]["image"].startswith("/data/local-files/?d=lot/No%20") for task in shown.values())

    assert images("export", *words) == 0
    again = printed(capsys)
    assert (again["tasks_added"], again["predictions_added"], again["duplicates_removed"]) == (0, 0, 0)
    assert len(predictions_of(labelstudio, project)) == 12
    record = json.loads(next(images.folder.reviews.glob("labelstudio-*.json")).read_text(encoding="utf-8"))
    assert record["items"] == {item: {"task": task["id"], "predictions": ["fake@1"]} for item, task in shown.items()}

    for task in shown.values():  # everyone agrees with the drafts
        body = {"result": task["predictions"][0]["result"], "lead_time": 1}
        assert labelstudio.api.post(f"/api/tasks/{task['id']}/annotations/", json=body).status_code == 201
    assert images("import", *images.back(labelstudio.url, project), "--as", "submission") == 0
    sealed = read_sealed(images.folder, "submission")
    assert sealed.labels.states.num_rows == 12
    columns = ["item", "label", "x", "y", "w", "h"]
    ours, theirs = (labels.table(Task.BOXES).select(columns).to_pylist() for labels in (drafts, sealed.labels))
    assert sorted(map(str, theirs)) == sorted(map(str, ours))
    (origin,) = sealed.receipt.origins
    assert Path(origin).is_relative_to(images.folder.reviews)
    assert "reviewer@" not in Path(origin).read_text(encoding="utf-8")
    exports = labelstudio.api.get(f"/api/projects/{project}/exports/").json()
    assert exports == []  # the snapshot is cleared away


def test_a_personal_access_token_does(
    labelstudio: LabelStudio, images: Lot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, personal_token(labelstudio))
    project = empty_project(labelstudio, "personal token")
    assert images("export", *images.words(labelstudio.url, project)) == 0
    assert "12 tasks and 12 predictions are new" in capsys.readouterr().out


def test_what_is_wrong_is_told_in_a_sentence(
    labelstudio: LabelStudio, images: Lot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = '<View><Image name="image" value="$image"/><RectangleLabels name="cars" toName="image"><Label value="a"/>'
    wrong = labelstudio.create_project("another control", other + "</RectangleLabels></View>")
    few = labelstudio.create_project("too few labels", other.replace("cars", "boxes") + "</RectangleLabels></View>")
    text = '<View><Text name="t" value="$text"/><Choices name="c" toName="t"><Choice value="a"/></Choices></View>'
    cases = [
        (images.words(labelstudio.url, wrong), "has no control 'boxes' on 'image'"),
        (images.words(labelstudio.url, few), "in its control 'boxes', so that it would drop the prediction"),
        (
            images.words(labelstudio.url, labelstudio.create_project("of texts", text)),
            "labels $text, and the items are $image",
        ),
        (images.words(labelstudio.url, 999_999), "there is no project 999999"),
    ]
    for words, sentence in cases:
        assert images("export", *words) == 2
        assert sentence in capsys.readouterr().err
    assert not predictions_of(labelstudio, wrong)
    monkeypatch.setenv(VARIABLE, "0" * 40)
    assert images("export", *images.words(labelstudio.url, wrong)) == 2
    assert "the token is not taken (HTTP 401" in capsys.readouterr().err


class Killer:
    """A proxy before Label Studio that kills the caller when a call it waits for has been carried out, unanswered."""

    def __init__(self, url: str, path: str, nth: int) -> None:
        self._url, self._path, self._left = url, path, nth
        self.victim: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        headers = [(name, value) for name, value in request.headers.items() if name not in ("host", "content-length")]
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
            target = f"{self._url}{scope['path']}?{scope['query_string'].decode()}"
            answer = await client.request(scope["method"], target, content=body, headers=headers)
        if scope["method"] == "POST" and scope["path"].endswith(self._path):
            self._left -= 1
            if self._left == 0:
                self.victim()
        kept = {name: answer.headers[name] for name in ("content-type",) if name in answer.headers}
        await Response(answer.content, answer.status_code, kept)(scope, receive, send)


@pytest.mark.parametrize(("path", "nth"), [("/import", 2), ("/import/predictions", 2)])
def test_killed_half_way_and_run_again(
    labelstudio: LabelStudio, texts: Lot, capsys: pytest.CaptureFixture[str], path: str, nth: int
) -> None:
    project = empty_project(labelstudio, f"killed at {path}")
    killer = Killer(labelstudio.url, path, nth)
    with listening(killer) as url:
        program = "import sys; from goldgate.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "export", *texts.words(url, project), *texts.options]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603
            killer.victim = process.kill
            _, said = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, said.decode()
    half = len(predictions_of(labelstudio, project))
    assert half == (1000 if path == "/import/predictions" else 0)
    assert labelstudio.api.get(f"/api/projects/{project}/").json()["task_number"] == (1000 if half == 0 else MANY)

    for added in (MANY - half, 0):
        assert texts("export", *texts.words(labelstudio.url, project), "--json") == 0
        done = printed(capsys)
        assert (done["predictions_added"], done["duplicates_removed"]) == (added, 0)
    found = predictions_of(labelstudio, project)
    assert Counter(Counter(each["task"] for each in found).values()) == {1: MANY}
    assert labelstudio.api.get(f"/api/projects/{project}/").json()["task_number"] == MANY
    _, drafts = read_drafts(texts.folder)
    record = json.loads(next(texts.folder.reviews.glob(f"labelstudio-*-{project}.json")).read_text(encoding="utf-8"))
    wanted = {row["item"]: row["label"] for row in drafts.table(Task.SENTIMENTS).to_pylist()}
    item_of = {each["task"]: item for item, each in record["items"].items()}
    assert {item_of[each["task"]]: each["result"][0]["value"]["choices"] for each in found} == {
        item: [label] for item, label in wanted.items()
    }


def test_a_lot_of_several_kinds_needs_an_interface(
    labelstudio: LabelStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "texts.csv").write_text("text\nfine\nbad\n", encoding="utf-8")
    Image.new("RGB", (64, 48)).save(raw / "a.png")
    lot = Lot(tmp_path, "mixed")
    assert lot("intake", raw) == 0
    assert lot("prelabel", *FAKES) == 0
    project = empty_project(labelstudio, "mixed")
    capsys.readouterr()
    assert lot("export", *lot.words(labelstudio.url, project)) == 2
    assert "has no labelling interface, and there are image and text items" in capsys.readouterr().err
    assert lot("export", "--format", "labelstudio", "--out", tmp_path / "out") == 0
    config = (tmp_path / "out" / Kind.TEXT.value / "label_config.xml").read_text(encoding="utf-8")
    assert labelstudio.api.patch(f"/api/projects/{project}/", json={"label_config": config}).status_code == 200
    assert lot("export", *lot.words(labelstudio.url, project), "--json") == 0
    done = printed(capsys)
    assert (done["kind"], done["tasks_added"], done["left_out"]) == ("text", 2, {"image": 1})


def test_without_a_token(images: Lot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(VARIABLE)
    assert images("export", *images.words("http://127.0.0.1:9", 1)) == 2
    assert f"the environment variable {VARIABLE} is not set" in capsys.readouterr().err
    assert os.environ.get(VARIABLE) is None
