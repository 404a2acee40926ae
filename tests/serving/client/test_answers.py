"""Lines, events, keys, addresses and certificates as the client takes them, against real sockets where there is one."""

import asyncio
import gzip
import http.server
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.errors import InputError
from contract.tables import Task
from goldgate import AsyncClient, Client, Order
from serving.client import calls
from serving.client.answers import LineReader, Retries, headers_with, service_address
from serving.client.errors import ForeignAnswerError, RefusedError, UnreachableError
from serving.http.events import event
from serving.jobs import JobState, JobStatus

Listen = Callable[[Any], str]
QUICK = Retries(times=2, pause_s=0.01)
JOB = JobStatus.model_validate(
    {
        "id": "a",
        "contract": "c",
        "lot": "l",
        "stage": "ended",
        "state": "done",
        "revision": 7,
        "due": "2030-01-01",
        "created": "2029-01-01T00:00:00Z",
    }
)
SCRAPS = st.sampled_from([b"a", b"\n", b"\r", b"\r\n", "é\u2028\u0085".encode(), b"\x0c", b"\xff", b""])


@given(st.lists(st.lists(SCRAPS, max_size=5).map(b"".join), max_size=8))
@example([b"a\r", b"\nb"])
@example(["\u2028".encode()[:1], "\u2028".encode()[1:] + b"\n"])
def test_lines_end_where_the_whole_answer_s_do(pieces: list[bytes]) -> None:
    reader = LineReader()
    lines = [line for piece in pieces for line in reader.take(piece)] + list(reader.end())
    *whole, last = re.split(rb"\r?\n", b"".join(pieces))
    assert lines == [line.decode("utf-8", "replace") for line in [*whole, *([last] if last else [])]]


class Answers:
    """An application that answers each call by the next of some answers, the last one for ever."""

    def __init__(self, answers: Sequence[tuple[int, bytes]], *, ends: bool = True, packed: bool = False) -> None:
        self.answers = list(answers)
        self.ends = ends
        self.packed = packed
        self.last_ids: list[bytes | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.last_ids.append(dict(scope["headers"]).get(b"last-event-id"))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = [(b"retry-after", b"0")] + [(b"content-encoding", b"gzip")] * self.packed
        headers += [] if self.ends else [(b"content-length", b"99999")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": not self.ends})


def followed(url: str) -> list[list[int]]:
    """Revisions that either shell sees."""

    async def by_loop() -> list[int]:
        async with AsyncClient(url, retries=QUICK) as client:
            return [status.revision async for status in client.events("a")]

    with Client(url, retries=QUICK) as client:
        return [[status.revision for status in client.events("a")], asyncio.run(by_loop())]


def test_what_a_broken_connection_leaves_of_an_event_is_forgotten(listen: Listen) -> None:
    begun = event(JOB.model_copy(update={"state": JobState.RUNNING, "revision": 3})) + b'id: 5\ndata: {"id": "a",\n'
    breaks = Answers([(200, begun), (200, event(JOB)), (200, begun), (200, event(JOB))], ends=False)
    assert followed(listen(breaks)) == [[3, 7], [3, 7]]
    assert breaks.last_ids == [None, b"3", None, b"3"]


def test_events_of_a_busy_service_are_asked_for_again(listen: Listen) -> None:
    busy = [(503, b""), (429, b""), (200, event(JOB))]
    assert followed(listen(Answers(busy * 2))) == [[7], [7]]
    stays = Answers([(503, b"")])
    with pytest.raises(RefusedError, match="HTTP 503"):
        followed(listen(stays))
    assert len(stays.last_ids) == QUICK.times + 1


def test_a_stream_without_events_is_given_up(listen: Listen) -> None:
    silent = Answers([(200, b": hello\n\n")])
    with pytest.raises(UnreachableError, match="end before it does"):
        followed(listen(silent))
    assert len(silent.last_ids) == QUICK.times + 1
    with Client("http://127.0.0.1:1", retries=QUICK) as client, pytest.raises(UnreachableError, match="cannot be reached"):
        client.wait("a")


NAME = "a\u2028b\u0085c\x1ed.png"


def test_rows_and_events_may_hold_what_unicode_calls_a_line_s_end(listen: Listen) -> None:
    row = {"line": 1, "item": NAME, "state": "labelled", "sentiments": []}
    url = listen(Answers([(200, json.dumps(row, ensure_ascii=False).encode() + b"\n")]))
    with Client(url) as client:
        assert [each.item for each in client.sentiment_stream(["a"])] == [NAME]

    async def by_loop() -> list[str]:
        async with AsyncClient(url) as client:
            return [each.item async for each in client.sentiment_stream(["a"])]

    assert asyncio.run(by_loop()) == [NAME]
    failed = JOB.model_copy(update={"state": JobState.FAILED, "reason": f"{NAME}: gone"})
    with Client(listen(Answers([(200, event(failed))]))) as client:
        assert client.wait("a").reason == f"{NAME}: gone"


def test_a_foreign_answer_is_one_sentence(listen: Listen) -> None:
    with Client(listen(Answers([(200, b"[1]")]))) as client:
        with pytest.raises(ForeignAnswerError, match="no COCO document"):
            client.coco("a")
        with pytest.raises(ForeignAnswerError, match="no Parquet file"):
            client.results("a", Task.BOXES)
    with (
        Client(listen(Answers([(200, b"[1]")], packed=True))) as client,
        pytest.raises(ForeignAnswerError, match="unpacked"),
    ):
        client.models()
    with Client(listen(Answers([(200, gzip.compress(b'{"models": []}'))], packed=True))) as client:
        assert client.models() == []


def test_no_message_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDGATE_KEY", " gg_a\n")
    assert headers_with(None) == {"authorization": "Bearer gg_a"}
    assert headers_with("gg_b ") == {"authorization": "Bearer gg_b"}
    for nothing in ("", " \n"):
        monkeypatch.setenv("GOLDGATE_KEY", nothing)
        assert headers_with(None) == {}
    for wrong in ("gg_se cret", "gg_se\ncret", "gg_secrét", "gg_se\tcret"):
        with pytest.raises(InputError, match="not one that goldgate makes") as refused:
            headers_with(wrong)
        assert wrong not in str(refused.value)
    with pytest.raises(InputError, match="holds a name or a password") as refused:
        service_address("http://me:secret@gpu1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://h:99999", "http://h:x", "http://h:0", "http://h?a=b", "http://h#a"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not an http or https address"):
        service_address(address)


def test_bodies_hold_what_utf8_can() -> None:
    assert calls.json_bytes({"text": "好\ud800"}) == '{"text": "好?"}'.encode()
    order = calls.submit(Order({"start": JOB.due}, "l", idempotency_key="once"))
    assert json.loads(order.arguments["content"])["contract"] == {"start": "2030-01-01"}
    assert order.arguments["headers"]["idempotency-key"] == "once"
    for contract in ({"x": {1, 2}}, {"x": float("nan")}, {(1, 2): "x"}):
        with pytest.raises(InputError, match="what JSON cannot"):
            calls.submit(Order(contract, "l"))  # type: ignore[arg-type]
    for key in ("ключ", "a\nb", " a"):
        with pytest.raises(InputError, match="printable ASCII"):
            calls.submit(Order("c", "l", idempotency_key=key))


class Models(http.server.BaseHTTPRequestHandler):
    """Has no models."""

    def do_GET(self) -> None:
        body = b'{"models": []}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
        """Keep standard error quiet."""


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and certificate of a server that speaks HTTPS."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ask_for = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout {key} -out {certificate}"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *ask_for.split(), *names], check=True, capture_output=True)  # noqa: S603, S607
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Models)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", certificate
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_of_one_s_own_is_trusted_where_it_is_named(secure: tuple[str, Path], tmp_path: Path) -> None:
    url, certificate = secure

    async def by_loop() -> list[Any]:
        async with AsyncClient(url, ca_file=certificate) as client:
            return await client.models()

    with Client(url, ca_file=certificate) as client:
        assert client.models() == asyncio.run(by_loop()) == []
    with Client(url) as client, pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        client.models()
    (tmp_path / "none.pem").write_text("no certificate", encoding="utf-8")
    for path in (tmp_path / "none.pem", tmp_path / "absent.pem"):
        with pytest.raises(InputError, match=rf"{path.name}: no certificates"):
            Client(url, ca_file=path)
