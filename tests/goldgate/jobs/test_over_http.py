"""The calls about jobs on real sockets, with the real board behind them."""

import base64
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from contract.tables import Kind
from goldgate.jobs.board import Board
from models.fake import FakePredictor
from serving.config import Limits, ModelSettings, ServeSettings
from serving.front import Front, build_front
from serving.jobs import JobSettings, JobStatus
from serving.lanes import local_backend

Wait = Callable[..., JobStatus]
Listen = Callable[[Any], str]


def service(board: Board | None, raw: Path) -> Any:
    model = ModelSettings(name="fake")
    settings = ServeSettings(
        models=dict.fromkeys(Kind, model),
        limits=Limits(max_body_bytes=20_000),
        allowed_folders=(raw,),
        jobs=JobSettings(max_body_bytes=100_000, max_contents=8, heartbeat_s=0.3),
    )
    backend = local_backend({kind: FakePredictor(kind) for kind in Kind}, settings)
    return build_front(Front(backend, settings, jobs=board))


@pytest.fixture
def board(board_on: Callable[..., Any]) -> Iterator[Board]:
    with board_on(max_queued=3) as opened:
        yield opened


@pytest.fixture
def client(board: Board, raw: Path, listen: Listen) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=listen(service(board, raw)), timeout=30) as opened:
        yield opened


def events(text: str) -> list[tuple[str, str, str]]:
    """Read a stream of events as the standard says, apart from the code under test: (id, name, data) of each."""
    found, last_id = [], ""
    for block in re.split(r"\r\n\r\n|\n\n|\r\r", text):
        name, data = "message", []
        for line in re.split(r"\r\n|\n|\r", block):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "id":
                last_id = value
            elif field == "data":
                data.append(value)
        if data:
            found.append((last_id, name, "\n".join(data)))
    return found


def test_the_whole_way(client: httpx.Client, document: dict[str, Any], raw: Path) -> None:
    ordered = client.post("/v1/jobs", json={"contract": document, "lot": "week-1", "sources": [str(raw)]})
    assert ordered.status_code == 202
    location = ordered.headers["location"]
    assert location == f"/v1/jobs/{ordered.json()['id']}"
    stream = client.get(f"{location}/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    told = events(stream.text)
    assert [name for _, name, _ in told][-1:] == ["end"]
    assert {name for _, name, _ in told[:-1]} <= {"progress"}
    last = json.loads(told[-1][2])
    assert (last["state"], last["items"], last["done"]) == ("done", 15, 15)
    assert last == client.get(location).json() == client.get("/v1/jobs").json()["jobs"][0]
    revisions = [int(number) for number, _, _ in told]
    assert revisions == sorted(set(revisions))
    reply = client.get(f"{location}/results", params={"task": "boxes"})
    assert 'filename="boxes.parquet"' in reply.headers["content-disposition"]
    table = pq.read_table(io.BytesIO(reply.content))
    coco = client.get(f"{location}/results", params={"task": "boxes", "format": "coco"}).json()
    assert len(coco["annotations"]) == table.num_rows > 0
    sentiments = client.get(f"{location}/results", params={"task": "sentiments", "format": "jsonl"}).text.splitlines()
    assert len(sentiments) == 8
    (reject,) = client.get(f"{location}/rejects").json()["rejects"]
    assert (reject["item"], reject["by"]) == ("broken.png", "intake")
    again = client.post("/v1/jobs", json={"contract": "DEMO-2025", "lot": "week-1", "sources": [f"file://{raw}"]})
    assert (again.status_code, again.json()["id"]) == (200, last["id"])


def test_items_may_come_along(client: httpx.Client, board: Board, document: dict[str, Any], raw: Path, wait: Wait) -> None:
    picture = (raw / "1.png").read_bytes()
    order = {
        "contract": document,
        "lot": "inline",
        "texts": ["很好用", {"item": "r2", "text": "Broke after a week."}, " "],
        "images": [{"item": "photos/1.png", "data": base64.b64encode(picture).decode()}],
    }
    inline = client.post("/v1/jobs", json=order)
    assert inline.status_code == 202, inline.text
    files = [("file", ("photos/1.png", picture)), ("file", ("reviews.csv", b"text\nfine\n"))]
    form = {"contract": json.dumps(document), "lot": "uploaded"}
    uploaded = client.post("/v1/jobs", data=form, files=files)
    assert uploaded.status_code == 202, uploaded.text
    first, second = (wait(board, reply.json()["id"]) for reply in (inline, uploaded))
    assert (first.state.value, first.items) == ("done", 3), first
    assert sum(first.refused_at_intake.values()) == 1
    assert (second.state.value, second.items) == ("done", 2), second
    repeated = client.post("/v1/jobs", data={"contract": "DEMO-2025", "lot": "uploaded"}, files=files)
    assert (repeated.status_code, repeated.json()["id"]) == (200, second.id)
    rows = pq.read_table(io.BytesIO(client.get(f"/v1/jobs/{first.id}/results?task=sentiments").content))["item"].to_pylist()
    assert rows == ["text-0", "r2"]


def test_an_idempotency_key_is_one_order(client: httpx.Client, document: dict[str, Any], raw: Path) -> None:
    order = {"contract": document, "lot": "a", "sources": [str(raw)]}
    key = {"idempotency-key": "abc"}
    first, second = (client.post("/v1/jobs", json=order, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    other = client.post("/v1/jobs", json={**order, "lot": "b"}, headers=key)
    check_problem(other, 422, "Idempotency-Key came with another order")
    check_problem(client.post("/v1/jobs", json=order, headers={"idempotency-key": "x" * 201}), 422, "1 to 200 characters")
    conflict = client.post("/v1/jobs", json={**order, "texts": ["x"]})
    check_problem(conflict, 409, "belongs to a job with other sources")
    check_problem(client.get(f"/v1/jobs/{'0' * 32}"), 404, "no such job")
    reply = client.post(f"/v1/jobs/{first.json()['id']}/cancel")
    assert reply.status_code == 200
    ended = client.get(f"/v1/jobs/{first.json()['id']}/events").text
    assert json.loads(events(ended)[-1][2])["state"] == "cancelled"
    check_problem(client.get(f"/v1/jobs/{first.json()['id']}/results?task=boxes"), 409, "is cancelled; its results")
    assert client.delete(f"/v1/jobs/{first.json()['id']}").status_code == 200


def check_problem(reply: httpx.Response, status: int, sentence: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert sentence in reply.json()["detail"]


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"json": {}}, 422, "contract: Field required"),
    ({"json": {"contract": "A", "lot": "../x"}}, 422, "lot: String should match"),
    ({"json": {"contract": "A", "lot": ".."}}, 422, "lot: String should match"),
    ({"json": {"contract": "A", "lot": "a", "more": 1}}, 422, "more: Extra inputs"),
    ({"json": {"contract": "../../etc", "lot": "a", "texts": ["x"]}}, 422, "is not in the work folder"),
    ({"json": {"contract": "A", "lot": "a", "sources": ["/etc"]}}, 403, "not under a folder"),
    ({"json": {"contract": "A", "lot": "a", "sources": ["{raw}/../work"]}}, 403, "not under a folder"),
    ({"json": {"contract": "A", "lot": "a", "sources": ["file:///etc"]}}, 403, "not under a folder"),
    ({"json": {"contract": "A", "lot": "a", "sources": ["http://x/a"]}}, 422, "fetch nothing"),
    ({"json": {"contract": "A", "lot": "a", "sources": ["{raw}/*.png"]}}, 422, "patterns are not taken"),
    ({"json": {"contract": "A", "lot": "a", "sources": ["{raw}/absent"]}}, 422, "no such file"),
    ({"json": {"contract": "A", "lot": "a", "images": [{"data": "!"}]}}, 422, "images.0.data: not base64"),
    ({"json": {"contract": "A", "lot": "a", "texts": ["x"] * 9}}, 413, "an order may carry 8"),
    ({"json": {"contract": "A", "lot": "a", "texts": ["x" * 20_001]}}, 413, "a JSON order may have 20000 bytes"),
    ({"content": b'["\\ud800"]', "headers": {"content-type": "application/json"}}, 422, "Invalid JSON"),
    ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "Invalid JSON"),
    ({"content": b"x"}, 415, "content-type absent"),
    ({"content": b"x" * 100_001}, 413, "larger than 100000 bytes"),
    ({"data": {"contract": "{", "lot": "a"}, "files": {"file": ("a", b"x")}}, 422, "begins like JSON"),
    ({"data": {"contract": "A", "lot": "a"}, "files": {"file": ("../a", b"x")}}, 422, "is not in the work folder"),
]


@pytest.mark.parametrize(("request_", "status", "sentence"), BAD)
def test_bad_orders_get_one_sentence(
    client: httpx.Client, raw: Path, request_: dict[str, Any], status: int, sentence: str
) -> None:
    if "json" in request_:
        request_ = {"json": json.loads(json.dumps(request_["json"]).replace("{raw}", str(raw)))}
    check_problem(client.post("/v1/jobs", **request_), status, sentence)
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_file_names_cannot_leave_their_folder(client: httpx.Client, document: dict[str, Any], tmp_path: Path) -> None:
    for name in ("../a.png", "/etc/a.png", "a/../../b", ".hidden", "a//b", "a\\b"):
        form = {"contract": json.dumps(document), "lot": "a"}
        check_problem(client.post("/v1/jobs", data=form, files={"file": (name, b"x")}), 422, "not a plain relative path")
    assert [path.name for path in (tmp_path / "work" / "_jobs").iterdir()] == [".lock"]


def test_a_service_without_a_work_folder_has_no_jobs(raw: Path, listen: Listen) -> None:
    url = listen(service(None, raw))
    job = f"/{'0' * 32}"
    for method, path in (("POST", ""), ("GET", ""), ("GET", job), ("GET", f"{job}/events"), ("DELETE", job)):
        check_problem(httpx.request(method, f"{url}/v1/jobs{path}"), 404, "keeps no jobs")


def test_events_while_it_runs_and_after_a_caller_has_gone(
    board_on: Callable[..., Any],
    document: dict[str, Any],
    raw: Path,
    listen: Listen,
    allowed: threading.Semaphore,
    wait: Wait,
) -> None:
    looks: list[str] = []
    with board_on(gated=True) as board:
        status: Callable[[str], JobStatus] = board.status

        def look(job: str) -> JobStatus:
            looks.append(job)
            return status(job)

        board.status = look
        url = listen(service(board, raw))
        job = httpx.post(f"{url}/v1/jobs", json={"contract": document, "lot": "a", "sources": [str(raw)]}, timeout=30).json()
        board_status = wait(board, job["id"], lambda now: now.stage == "prelabel" and now.items is None)
        assert board_status.in_time is None
        address = f"{url}/v1/jobs/{job['id']}/events"
        with httpx.stream("GET", address, timeout=30) as stream:
            pieces = stream.iter_text()
            seen = next(pieces)
            while ": still here" not in seen:
                seen += next(pieces)
            assert [name for _, name, _ in events(seen)] == ["progress"]
        wait(board, job["id"], lambda now: quiet(looks))
        last = events(seen)[-1][0]
        with httpx.stream("GET", address, headers={"last-event-id": last}, timeout=30) as stream:
            pieces = stream.iter_text()
            first = next(pieces)
            while ": still here" not in first:
                first += next(pieces)
            assert events(first) == []  # what was seen is not told again
            allowed.release(100)
            rest = "".join(pieces)
        assert [name for _, name, _ in events(rest)][-1] == "end"
        for odd in ("no number", "9" * 5000):
            strange = httpx.get(address, headers={"last-event-id": odd}, timeout=30).text
            assert [name for _, name, _ in events(strange)] == ["end"]


def quiet(looks: list[str]) -> bool:
    """Tell whether nobody but this test looks at the job any more."""
    before = len(looks)
    threading.Event().wait(0.5)
    return len(looks) == before


def test_openapi_examples_are_orders_and_statuses(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    call = paths["/v1/jobs"]["post"]
    for example in call["requestBody"]["content"]["application/json"]["examples"].values():
        assert client.post("/v1/jobs", json=example["value"]).status_code in {403, 422}
    for path, method in (("/v1/jobs", "post"), ("/v1/jobs/{job}", "get"), ("/v1/jobs/{job}/cancel", "post")):
        answers = paths[path][method]["responses"]
        good = answers["202" if path == "/v1/jobs" else "200"]
        JobStatus.model_validate(good["content"]["application/json"]["example"])
