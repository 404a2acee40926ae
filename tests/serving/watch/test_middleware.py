import asyncio
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.config import Address
from serving.front import Front, open_front
from serving.lanes import LocalLane, local_backend
from serving.listen import Listener
from serving.watch.logs import JsonLines, LogForm, TextLines
from serving.watch.middleware import watched
from serving.watch.requests import carried, name_caller
from serving.watch.watching import Watch
from tests.serving.watch.fronts import fakes, picture, settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Give all that was logged by anybody, at any level, as the JSON lines that it makes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    # A uvicorn of another test has set up handlers of its own, which ours never does.
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def requests_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "serving.requests"]


@pytest.fixture
def url(listen: Callable[[Any], str]) -> str:
    return listen(open_front(Front(fakes(max_body_bytes=100_000), settings(max_body_bytes=100_000))))


def test_an_answer_carries_the_id_of_its_request(url: str) -> None:
    own = httpx.get(f"{url}/healthz", headers={"x-request-id": "mine-1"})
    assert own.headers.get_list("x-request-id") == ["mine-1"]
    traced = httpx.get(f"{url}/healthz", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    assert traced.headers["x-request-id"] == TRACE
    made = [httpx.get(f"{url}/healthz", headers={"x-request-id": "two words"}).headers["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert made[0] != made[1]


@pytest.mark.parametrize("path", ["/nowhere", "/v1/sentiment", "/v1/predict/nothing"])
def test_a_problem_names_its_request(url: str, path: str) -> None:
    answer = httpx.post(f"{url}{path}", headers={"x-request-id": "mine-2"})
    assert answer.status_code in (404, 415, 422)
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-2"
    large = httpx.post(f"{url}/v1/sentiment", json={"text": "x" * 200_000}, headers={"x-request-id": "mine-3"})
    assert (large.status_code, large.json()["request_id"]) == (413, "mine-3")


def test_the_ids_go_along_to_the_models_thread(listen: Callable[[Any], str]) -> None:
    seen: list[tuple[str, ...]] = []

    class Noting(LocalLane):
        async def predict(self, sources: Sequence[Source]) -> pa.Table:
            seen.append(carried())
            return await super().predict(sources)

    backend = local_backend({Kind.TEXT: FakePredictor(Kind.TEXT)}, settings())
    front = Front(backend, settings())
    url = listen(open_front(front))
    asyncio.run(backend.change(Kind.TEXT, Noting(FakePredictor(Kind.TEXT)), settings().models[Kind.TEXT].batching))
    httpx.post(f"{url}/v1/sentiment", json={"texts": ["a", "b"]}, headers={"x-request-id": "mine-4"})
    assert seen == [("mine-4",)]


def test_a_request_is_one_line(url: str, written: Callable[[], list[dict[str, Any]]]) -> None:
    body = json.dumps({"texts": ["a", "b", "c"]})
    headers = {"x-request-id": "mine-5", "content-type": "application/json"}
    answer = httpx.post(f"{url}/v1/sentiment?q=canary", content=body, headers=headers)
    (line,) = requests_of(written())
    assert {key: line[key] for key in ("request_id", "door", "method", "route", "status", "items")} == {
        "request_id": "mine-5",
        "door": "rest",
        "method": "POST",
        "route": "/v1/sentiment",
        "status": 200,
        "items": 3,
    }
    assert (line["bytes_in"], line["bytes_out"]) == (len(body), len(answer.content))
    assert line["ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_probes_are_quiet_and_work_is_not(url: str, written: Callable[[], list[dict[str, Any]]]) -> None:
    httpx.get(f"{url}/healthz")
    httpx.get(f"{url}/metrics")
    httpx.get(f"{url}/nowhere")
    levels = {line["route"]: line["level"] for line in requests_of(written())}
    assert levels == {"/healthz": "debug", "/metrics": "debug", "other": "info"}


class Quoting(FakePredictor):
    """The fake, which fails on every text and says which."""

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        raise ValueError(f"cannot label {sources[0].data!r} of {sources[0].item!r}")


def test_no_log_holds_what_was_sent(written: Callable[[], list[dict[str, Any]]]) -> None:
    backend = local_backend({Kind.IMAGE: FakePredictor(Kind.IMAGE), Kind.TEXT: Quoting(Kind.TEXT)}, settings())
    calls: list[dict[str, Any]] = [
        {"url": "/v1/sentiment", "json": {"text": "CANARY text"}},
        {"url": "/v1/sentiment", "json": {"texts": ["CANARY text", "CANARY other"]}},
        {"url": "/v1/sentiment?CANARY=CANARY", "json": {"CANARY": "CANARY"}},
        {"url": "/v1/detect", "files": {"file": ("CANARY.png", picture(1))}},
        {"url": "/v1/detect", "files": {"file": ("CANARY.png", b"CANARY is no image")}},
        {"url": "/v1/detect", "json": {"uri": "https://CANARY.example/CANARY.png"}},
        {"url": "/v1/video", "json": {"path": "/CANARY/film.mp4"}},
        {
            "url": "/labelstudio/predict",
            "json": {"tasks": [{"id": 1, "data": {"text": "CANARY"}}], "label_config": "CANARY"},
        },
        {"url": "/CANARY/path", "content": b"CANARY"},
    ]
    with Listener([(0, open_front(Front(backend, settings())))], Address(), drain_s=5) as listener:
        for call in calls:
            call["headers"] = {"authorization": "Bearer CANARY", "x-api-key": "CANARY", "x-request-id": "CANARY ?"}
            assert httpx.post(**{**call, "url": f"http://127.0.0.1:{listener.ports[0]}{call['url']}"}).status_code != 0
    lines = written()
    assert len(requests_of(lines)) == len(calls)
    # The client of the test logs its own calls; the server is in the same process.
    served = [line for line in lines if not line["logger"].startswith(("httpx", "httpcore"))]
    assert "CANARY" not in json.dumps(served)


class BrokenError(Exception):
    """Nobody expects it."""


def broken() -> FastAPI:
    api = FastAPI()

    @api.get("/broken")
    async def broken() -> None:
        raise BrokenError("CANARY")

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def events() -> Any:
            yield b"data: 1\n\n"
            yield b"data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @api.get("/named")
    async def named() -> dict[str, str]:
        name_caller("team-a")
        return {}

    return api


def test_a_fault_is_logged_with_its_place_and_without_its_message(written: Callable[[], list[dict[str, Any]]]) -> None:
    app = watched(broken(), Watch(), {"": "rest"})
    with Listener([(0, app)], Address(), drain_s=5) as listener:
        url = f"http://127.0.0.1:{listener.ports[0]}/broken"
        assert httpx.get(url, headers={"x-request-id": "mine-6"}).status_code == 500
    lines = written()
    (line,) = requests_of(lines)
    assert (line["status"], line["route"]) == (500, "/broken")
    (fault,) = [each for each in lines if each["logger"] == "uvicorn.error" and "error" in each]
    assert (fault["error"], fault["request_id"]) == ("BrokenError", "mine-6")
    assert "test_middleware.py" in fault["where"][-1]
    assert "CANARY" not in json.dumps(lines)


def test_an_event_stream_is_timed_until_it_begins_and_a_caller_is_named(
    listen: Callable[[Any], str], written: Callable[[], list[dict[str, Any]]]
) -> None:
    url = listen(watched(broken(), Watch(), {"": "rest"}))
    assert httpx.get(f"{url}/stream").text == "data: 1\n\ndata: 2\n\n"
    httpx.get(f"{url}/named")
    stream, named = requests_of(written())
    assert stream["bytes_out"] == len("data: 1\n\ndata: 2\n\n")
    assert named["caller"] == "team-a"


@pytest.mark.parametrize(("prefix", "door"), [("", "rest"), ("/ls", "labelstudio"), ("/lsx", "rest")])
def test_a_mounted_door_is_told_by_its_prefix(
    listen: Callable[[Any], str], written: Callable[[], list[dict[str, Any]]], prefix: str, door: str
) -> None:
    root, inner = FastAPI(), FastAPI()

    @inner.get("/tasks/{task}")
    async def tasks(task: str) -> dict[str, str]:
        return {}

    root.mount("/ls", inner)
    root.get("/tasks/{task}")(tasks)
    root.get("/lsx/tasks/{task}")(tasks)
    url = listen(watched(root, Watch(), {"": "rest", "/ls": "labelstudio"}))
    assert httpx.get(f"{url}{prefix}/tasks/7").status_code == 200
    (line,) = requests_of(written())
    assert line["door"] == door
    assert line["route"].endswith("/tasks/{task}")


@pytest.mark.parametrize("form", ["json", "text"])
def test_every_record_is_one_line(form: LogForm) -> None:
    formatter = JsonLines() if form == "json" else TextLines()
    record = logging.LogRecord("serving.x", logging.INFO, "", 0, "a %s", ("b\nc",), None)
    line = formatter.format(record)
    assert "\n" not in line
    assert ("a b c" in line) == (form == "text")
