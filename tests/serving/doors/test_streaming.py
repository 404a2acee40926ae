"""Many items in one call, answered line by line, on real sockets."""

import asyncio
import base64
import http.client
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contract.predictor import Description, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.access.guard import Access, Guard
from serving.access.settings import AccessSettings
from serving.config import Batching, Door, Limits, ModelSettings, ServeSettings
from serving.front import Front, build_front
from serving.http.lines import MEDIA_TYPE
from serving.lanes import local_backend
from tests.conftest import listening

LINES = {"content-type": MEDIA_TYPE}
LONGEST = 4000


class Told:
    """The fake for texts and videos, that counts what it sees and obeys what stands in its texts."""

    def __init__(self, kind: Kind) -> None:
        self._fake = FakePredictor(kind)
        self.seen = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def describe(self) -> Description:
        return self._fake.describe()

    def load(self, device: str) -> None:
        self._fake.load(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        self.seen += len(sources)
        assert self.go_on.wait(60)
        if any(source.data == b"raise" for source in sources):
            raise ZeroDivisionError("told to")
        return self._fake.predict(sources)


TEXTS, VIDEOS = Told(Kind.TEXT), Told(Kind.VIDEO)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    model = ModelSettings(name="fake", batching=Batching(max_batch_size=4, calls_in_flight=1))
    given = ServeSettings(
        models=dict.fromkeys(Kind, model),
        # Fewer may wait than a stream has under way, so that busy models are met and waited for.
        limits=Limits(max_body_bytes=LONGEST, max_items=8, max_items_waiting=4, stream_heartbeat_s=0.2),
        allowed_folders=(folder,),
        access=AccessSettings(auth="none", body_grace_s=1.5),
    )
    backend = local_backend({Kind.IMAGE: FakePredictor(Kind.IMAGE), Kind.TEXT: TEXTS, Kind.VIDEO: VIDEOS}, given)
    front = build_front(Front(backend, given))
    with listening(Guard(front, Access(given.access), {"": Door.REST})) as address:
        yield address


def post(url: str, path: str, body: bytes, headers: dict[str, str] = LINES) -> list[dict[str, Any]]:
    reply = httpx.post(f"{url}{path}", content=body, headers=headers, timeout=60)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == MEDIA_TYPE
    rows = [json.loads(line) for line in reply.text.splitlines()]
    return [row for row in rows if row["state"] != "working"]


def as_lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def one_by_one(url: str, text: str) -> dict[str, Any]:
    """What a call of its own answers for `text`."""
    (result,) = httpx.post(f"{url}/v1/sentiment", json={"text": text}, timeout=60).json()["results"]
    return {key: value for key, value in result.items() if key != "item"}


def test_a_line_an_item_in_their_order(url: str) -> None:
    texts = [f"text number {number}" for number in range(50)]
    rows = post(url, "/v1/sentiment", as_lines(*({"text": text} for text in texts)))
    assert [row.pop("line") for row in rows] == list(range(1, 51))
    assert [row.pop("item") for row in rows] == [str(number) for number in range(1, 51)]
    assert {row.pop("model") for row in rows} == {"fake@1"}
    assert rows[:3] == [one_by_one(url, text) for text in texts[:3]]
    assert {row["state"] for row in rows} == {"labelled"}


PARTS = st.sampled_from(
    [
        b'{"text": "fine", "item": "a"}\n',
        b'{"text": "fine"}\r\n',
        b"\n",
        b" \n",
        b"{\n",
        b"[]\n",
        b'{"text": 1}\n',
        b'{"text": "a", "url": "http://x"}\n',
        b'{"text": "raise"}\n',
        b"\xff\n",
        b'{"text": "' + b"x" * LONGEST + b'"}\n',
    ]
)


def plainly(body: bytes) -> list[tuple[int, str, str]]:
    """(line, item, state) of the rows to `body`, by the plain reading of it."""
    rows = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            document: Any = json.loads(line) if len(line) <= LONGEST else None
        except ValueError:
            document = None
        good = isinstance(document, dict) and isinstance(document.get("text"), str) and document.keys() <= {"text", "item"}
        item = document.get("item", str(number)) if good else str(number)
        rows.append((number, item, "labelled" if good and document["text"] != "raise" else "rejected"))
    return rows


@settings(max_examples=30)
@given(st.lists(PARTS, max_size=12).map(b"".join), st.booleans())
def test_a_bad_line_has_its_reason_and_fails_no_neighbour(url: str, body: bytes, ends: bool) -> None:
    body = body if ends else body.removesuffix(b"\n")
    rows = post(url, "/v1/sentiment", body)
    assert [(row["line"], row["item"], row["state"]) for row in rows] == plainly(body)
    assert all(row["reason"] for row in rows if row["state"] == "rejected")
    assert all(row["sentiments"] == [] for row in rows if row["state"] == "rejected")


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_by_line_and_a_call_of_several_answered_by_line(url: str) -> None:
    images = [{"item": f"{seed}.png", "data": base64.b64encode(picture(seed)).decode()} for seed in range(5)]
    whole = httpx.post(f"{url}/v1/detect", json={"images": images}, timeout=60).json()["results"]
    by_line = post(url, "/v1/detect", as_lines(*images, {"data": "!"}, {}, {"uri": "http://127.0.0.1/a"}))
    assert [{**row, "model": None} for row in by_line[:5]] == [
        {"line": number, **result, "model": None} for number, result in enumerate(whole, 1)
    ]
    assert [row["state"] for row in by_line[5:]] == ["rejected"] * 3
    assert "not base64" in by_line[5]["reason"]
    accept = {"accept": "text/html, application/x-ndjson;q=0.9", "content-type": "application/json"}
    assert post(url, "/v1/detect", json.dumps({"images": images}).encode(), accept) == by_line[:5]


def test_a_long_video_is_said_to_be_worked_on(url: str, folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"no film")
    VIDEOS.go_on.clear()
    body = json.dumps({"path": str(folder / "a.mp4")}).encode()
    headers = {"accept": MEDIA_TYPE, "content-type": "application/json"}
    with httpx.stream("POST", f"{url}/v1/video", content=body, headers=headers, timeout=60) as reply:
        lines = reply.iter_lines()
        first, second = json.loads(next(lines)), json.loads(next(lines))
        VIDEOS.go_on.set()
        *_, last = map(json.loads, lines)
    assert (first["state"], first["line"]) == ("working", 1)
    assert second["seconds"] > first["seconds"] > 0
    assert (last["line"], last["item"], last["state"]) == (1, "a.mp4", "rejected")
    named, outside = post(url, "/v1/video", as_lines({"path": str(folder / "a.mp4"), "item": "b"}, {"path": "/etc/passwd"}))
    assert named["item"] == "b"
    assert "not under a folder" in outside["reason"]


def test_answers_come_while_the_body_is_still_sent(url: str) -> None:
    with connected(url) as talk:
        for number in range(1, 4):
            talk.send(json.dumps({"text": f"number {number}"}).encode() + b"\n")
            assert json.loads(talk.line())["line"] == number
        talk.end()
        assert talk.line() == b""


def test_the_body_waits_while_the_model_works(url: str) -> None:
    before = TEXTS.seen
    TEXTS.go_on.clear()
    body = as_lines(*({"text": f"{number} {'x' * 3000}"} for number in range(20_000)))
    sent = 0
    with connected(url) as talk:
        talk.socket.settimeout(0.5)
        try:
            while sent < len(body):
                sent += talk.send(body[sent : sent + 100_000])
        except TimeoutError:
            pass
        assert sent < len(body) // 2  # of 60 MB, what the sockets hold
        assert TEXTS.seen - before <= 8
        TEXTS.go_on.set()
    settled(lambda: TEXTS.seen)
    assert TEXTS.seen - before < 10_000  # the caller has gone, and what it had sent is not labelled to the end


def test_a_body_that_stops_coming_is_given_up(url: str) -> None:
    with connected(url) as talk:
        talk.send(b'{"text": "a"}\n')
        assert json.loads(talk.line())["state"] == "labelled"
        last = json.loads(talk.line())
        assert (last["line"], last["state"], last["status"]) == (2, "failed", 408)
        assert talk.line() == b""


def test_no_model_is_a_problem_before_any_line(folder: Path, listen: Callable[[Any], str]) -> None:
    given = ServeSettings.of({Kind.TEXT: "fake"}, device="cpu")
    address = listen(build_front(Front(local_backend({Kind.TEXT: FakePredictor(Kind.TEXT)}, given), given)))
    reply = httpx.post(f"{address}/v1/detect", content=b"{}\n", headers=LINES, timeout=30)
    assert (reply.status_code, reply.headers["content-type"]) == (404, "application/problem+json")
    reply = httpx.post(f"{address}/v1/predict/text", content=b"{}\n", headers=LINES, timeout=30)
    assert reply.status_code == 415


class Talk:
    """A chunked request on a bare socket, whose answer is read while it is sent."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
        head = f"POST /v1/sentiment HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        self.socket.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        self._answer: http.client.HTTPResponse | None = None

    def send(self, data: bytes) -> int:
        self.socket.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        return len(data)

    def end(self) -> None:
        self.socket.sendall(b"0\r\n\r\n")

    def line(self) -> bytes:
        if self._answer is None:
            self._answer = http.client.HTTPResponse(self.socket)
            self._answer.begin()
        return self._answer.readline()

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        if self._answer is not None:
            self._answer.close()
        self.socket.close()


connected = Talk


def settled(look: Callable[[], int]) -> None:
    """Return when what `look` sees changes no more."""
    before = -1
    for _ in range(100):
        if look() == before:
            return
        before = look()
        asyncio.run(asyncio.sleep(0.3))
    raise AssertionError("it does not come to rest")
