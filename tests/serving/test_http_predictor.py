"""The HTTP client against a real server whose replies are written in advance."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from contract.errors import EndpointError, InputError
from contract.predictor import Predictor, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.http.problems import REPLICA_DIED
from serving.http.wire import decode_sources, encode_answer
from serving.isolation import Patience
from serving.predictors import HttpPredictor

QUICK = Patience(attempts=2, first_pause_s=0.01, longest_pause_s=0.01, unavailable_s=0.05)


class Reply(NamedTuple):
    status: int
    body: bytes


ANSWER = Reply(200, b"")  # stands for what the fake answers to the sources that came


def problem(status: int, detail: str, *, kind: str = "about:blank") -> Reply:
    return Reply(status, json.dumps({"type": kind, "detail": detail}).encode())


class Server:
    """Gives `replies` one after the other, the last one for ever; keeps what was sent."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.seen: list[list[Source]] = []
        server = self
        waiting = list(replies)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sources = decode_sources(self.rfile.read(int(self.headers["content-length"])), Kind.TEXT)
                server.seen.append(sources)
                reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                fake = FakePredictor(Kind.TEXT)
                self._send(Reply(200, encode_answer(fake.predict(sources))) if reply is ANSWER else reply)

            def do_GET(self) -> None:
                self._send(waiting[0])

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
                """Keep standard error quiet."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"


@contextmanager
def serving(*replies: Reply) -> Iterator[Server]:
    server = Server(replies)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()


@contextmanager
def client(server: Server, *, max_call_bytes: int = 1000, max_call_items: int = 100) -> Iterator[HttpPredictor]:
    predictor = HttpPredictor(
        server.url, Kind.TEXT, patience=QUICK, max_call_bytes=max_call_bytes, max_call_items=max_call_items
    )
    try:
        yield predictor
    finally:
        predictor.close()


def texts(*contents: str) -> list[Source]:
    return [
        Source(item=f"t{index}", kind=Kind.TEXT, uri="/home/me/secret.txt", data=content.encode())
        for index, content in enumerate(contents)
    ]


def test_answer_equals_local_and_no_path_leaves(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("in a file", encoding="utf-8")
    file = Source(item="file", kind=Kind.TEXT, uri=str(tmp_path / "a.txt"))
    absent = Source(item="absent", kind=Kind.TEXT, uri=str(tmp_path / "absent.txt"))
    sources = [*texts("a", ""), absent, file]
    with serving(ANSWER) as server, client(server) as predictor:
        assert isinstance(predictor, Predictor)
        assert predictor.predict(sources).equals(FakePredictor(Kind.TEXT).predict(sources))
    assert {source.uri for call in server.seen for source in call} == {""}


def test_calls_are_cut_by_bytes_and_by_items() -> None:
    sources = texts(*("x" * size for size in (400, 400, 400, 2000, 1, 1, 1, 1)))
    with serving(ANSWER) as server, client(server, max_call_bytes=1000, max_call_items=3) as predictor:
        assert predictor.predict(sources).equals(FakePredictor(Kind.TEXT).predict(sources))
    assert [len(call) for call in server.seen] == [2, 1, 1, 3, 1]


def test_no_sources_need_no_server() -> None:
    predictor = HttpPredictor("http://127.0.0.1:1", Kind.TEXT, patience=QUICK)
    assert predictor.predict([]).num_rows == 0
    predictor.close()


@pytest.mark.parametrize("reply", [problem(503, "busy"), problem(502, "bad gateway"), Reply(503, b"<html>")])
def test_a_busy_server_is_asked_again(reply: Reply) -> None:
    sources = texts("a", "b")
    with serving(reply, reply, ANSWER) as server, client(server) as predictor:
        assert predictor.predict(sources).equals(FakePredictor(Kind.TEXT).predict(sources))
    assert len(server.seen) == 3


def test_a_server_that_stays_busy_is_named() -> None:
    with (
        serving(problem(503, "the text model takes no calls now")) as server,
        client(server) as predictor,
        pytest.raises(
            EndpointError, match=rf"{server.url}: the text model takes no calls now \(HTTP 503\); it took no call"
        ),
    ):
        predictor.predict(texts("a"))


def test_an_item_that_kills_is_rejected() -> None:
    died = problem(503, "the text model's process died", kind=REPLICA_DIED)
    with serving(died, died, ANSWER, died, died, died, ANSWER) as server, client(server) as predictor:
        rows = predictor.predict(texts("a", "die", "c")).to_pylist()
    assert [row["state"] for row in rows] == ["labelled", "rejected", "labelled"]
    assert [len(call) for call in server.seen] == [3, 3, 1, 2, 1, 1, 1]


def test_an_item_too_large_for_the_server_is_rejected() -> None:
    with serving(problem(413, "the body is larger than 9 bytes")) as server, client(server) as predictor:
        (row,) = predictor.predict(texts("a" * 5000)).to_pylist()
    assert (row["state"], row["reason"]) == ("rejected", "its 5000 bytes are more than the server takes in one call")


def test_a_chunk_too_large_for_the_server_is_an_error() -> None:
    with (
        serving(problem(413, "the body is larger than 9 bytes")) as server,
        client(server) as predictor,
        pytest.raises(EndpointError, match=r"the body is larger than 9 bytes \(HTTP 413\)"),
    ):
        predictor.predict(texts("a", "b"))


@pytest.mark.parametrize("reply", [Reply(200, b"hello"), Reply(200, b"")])
def test_a_foreign_answer_is_an_error(reply: Reply) -> None:
    with (
        serving(reply) as server,
        client(server) as predictor,
        pytest.raises(EndpointError, match="check that client and server are of one version"),
    ):
        predictor.predict(texts("a"))


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(200, b"{}"), "not that of a goldgate service"),
        (Reply(200, b"[]"), "not that of a goldgate service"),
        (Reply(200, b"hello"), "not that of a goldgate service"),
        (Reply(200, b'{"models": [{"name": "x"}]}'), "not that of a goldgate service"),
        (Reply(200, b'{"models": []}'), "serves no model of kind text"),
        (Reply(404, b""), "answered HTTP 404"),
    ],
)
def test_a_foreign_service_is_named(reply: Reply, sentence: str) -> None:
    with serving(reply) as server, client(server) as predictor, pytest.raises(EndpointError, match=sentence):
        predictor.load("auto")


def test_nobody_there_is_one_sentence() -> None:
    predictor = HttpPredictor("http://127.0.0.1:1", Kind.TEXT, patience=QUICK)
    with pytest.raises(EndpointError, match=r"http://127.0.0.1:1 cannot be reached .*see that the service runs there"):
        predictor.describe()
    with pytest.raises(EndpointError, match=r"http://127.0.0.1:1 cannot be reached .*it took no call"):
        predictor.predict(texts("a"))
    predictor.close()


@pytest.mark.parametrize("address", ["gpu1:8000", "ftp://gpu1", "http://", "ray"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not an http or https address"):
        HttpPredictor(address, Kind.TEXT)
