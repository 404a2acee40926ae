"""Fetching from real servers on the loopback, which `private_hosts` opens here as an operator would."""

import asyncio
import base64
import contextlib
import gzip
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serving.http import fetch as fetching
from serving.http.fetch import UriRules, decode_data_uri, fetch
from serving.http.problems import ProblemError

CONTENT = b"content of the file" * 50


class Host:
    """A server that remembers who asked."""

    def __init__(self, listen: Callable[[Any], str]) -> None:
        self.seen: list[Request] = []
        self.url = listen(Starlette(routes=[Route("/{name:path}", self._answer)]))
        self.port = int(self.url.rpartition(":")[2])
        self.rules = rules(f"127.0.0.1:{self.port}")

    async def _answer(self, request: Request) -> Response:
        self.seen.append(request)
        name = request.path_params["name"]
        if name == "circle":
            return Response(status_code=302, headers={"location": "circle"})
        if name.isdigit() and 300 <= int(name) < 600:
            return Response(status_code=int(name), headers=dict(request.query_params))
        if name == "gzip":
            return Response(gzip.compress(b"0" * 1_000_000), headers={"content-encoding": "gzip"})
        return PlainTextResponse(CONTENT)


def rules(*hosts: str, **other: Any) -> UriRules:
    return UriRules(**{"schemes": ("http", "https"), "hosts": hosts, "private_hosts": hosts, "timeout_s": 20.0, **other})


def fetched(uri: str, allowed: UriRules, **other: Any) -> bytes:
    return asyncio.run(fetch(uri, allowed, **{"limit": 1_000_000, **other}))


def refused(status: int, uri: str, allowed: UriRules, **other: Any) -> ProblemError:
    with pytest.raises(ProblemError) as refusal:
        fetched(uri, allowed, **other)
    assert refusal.value.status == status, refusal.value.detail
    assert "secret" not in refusal.value.detail
    return refusal.value


@pytest.fixture
def host(listen: Callable[[Any], str]) -> Host:
    return Host(listen)


def test_content_comes_as_it_is(host: Host) -> None:
    assert fetched(f"{host.url}/图/a.jpg?x=1", host.rules, headers={"Authorization": "Token t", "Host": "evil"}) == CONTENT
    (request,) = host.seen
    assert request.url.path == "/图/a.jpg"
    assert request.url.query == "x=1"
    assert request.headers["host"] == f"127.0.0.1:{host.port}"
    assert request.headers["authorization"] == "Token t"
    assert request.headers["accept-encoding"] == "identity"


def test_private_addresses_need_their_permission(host: Host) -> None:
    open_to = UriRules(schemes=("http",), hosts=(f"127.0.0.1:{host.port}", f"localhost:{host.port}"))
    for name in ("127.0.0.1", "localhost"):
        assert "private_hosts" in refused(403, f"http://{name}:{host.port}/a", open_to).detail
    assert host.seen == []


def answers_of_dns(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names resolve to these addresses, one answer after the other; return what was asked."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(name: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if not str(name).endswith(".example.org"):
            return real(name, port, *rest, **options)
        asked.append(str(name))
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fd00::1",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "224.0.0.1",
        "64:ff9b::7f00:1",
    ],
)
def test_a_name_that_leads_inside(monkeypatch: pytest.MonkeyPatch, host: Host, address: str) -> None:
    name = f"rebind.example.org:{host.port}"
    answers_of_dns(monkeypatch, [address], ["8.8.8.8", address])
    for _ in range(2):
        refused(403, f"http://{name}/?secret", rules(name, private_hosts=()))
    assert host.seen == []


def test_no_private_host_opens_the_metadata_service(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_of_dns(monkeypatch, ["169.254.169.254"])
    refused(403, "http://a.example.org/", rules("a.example.org"))


def test_the_name_is_asked_once_and_the_checked_address_connected(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    name = f"rebind.example.org:{host.port}"
    asked = answers_of_dns(monkeypatch, ["127.0.0.1"], ["192.0.2.1"])
    assert fetched(f"http://{name}/a", rules(name)) == CONTENT
    assert asked == ["rebind.example.org"]
    assert host.seen[0].headers["host"] == name


def test_of_several_addresses_the_one_that_answers(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    name = f"two.example.org:{host.port}"
    answers_of_dns(monkeypatch, ["127.0.0.2", "127.0.0.1"])  # nobody listens at the first
    assert fetched(f"http://{name}/a", rules(name)) == CONTENT


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetched(f"{host.url}/a", host.rules) == CONTENT


def test_the_certificate_is_that_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ask_for = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout {key} -out {certificate}"
    ask_for += " -subj /CN=media -addext subjectAltName=DNS:media.example.org"
    subprocess.run(["openssl", *ask_for.split()], check=True, capture_output=True)  # noqa: S603, S607
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate, key)
    asked: list[str | None] = []
    own.sni_callback = lambda _, name, __: asked.append(name)
    monkeypatch.setattr(fetching, "_tls", lambda: ssl.create_default_context(cafile=certificate))
    answers_of_dns(monkeypatch, ["127.0.0.1"])
    content = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with raw_server(content, tls=own) as port:
        name = f"media.example.org:{port}"
        assert fetched(f"https://{name}/", rules(name)) == b"ok"
    with raw_server(content, tls=own) as port:
        other = f"other.example.org:{port}"
        assert "certificate" in refused(502, f"https://{other}/?secret", rules(other)).detail
    assert asked == ["media.example.org", "other.example.org"]
    monkeypatch.undo()
    answers_of_dns(monkeypatch, ["127.0.0.1"])
    with raw_server(content, tls=own) as port:  # an authority that nobody trusts
        name = f"media.example.org:{port}"
        assert "certificate" in refused(502, f"https://{name}/", rules(name)).detail


def test_redirects_are_followed_a_few_times(host: Host) -> None:
    assert fetched(f"{host.url}/302?location=/a", host.rules, headers={"authorization": "t"}) == CONTENT
    assert [request.headers.get("authorization") for request in host.seen] == ["t", "t"]
    twice = f"/307?location={host.url}/301?location%3D/a"
    assert fetched(f"{host.url}{twice}", host.rules) == CONTENT
    host.seen.clear()
    assert "redirected more than 3 times" in refused(502, f"{host.url}/circle", host.rules).detail
    assert len(host.seen) == 4


@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("http://169.254.169.254/latest/meta-data", 403),
        ("http://127.0.0.1:1/?secret", 403),
        ("http://[::1]/", 403),
        ("file:///etc/passwd", 403),
        ("//evil.example.org/", 403),
        ("http://user:secret@127.0.0.1/", 422),
        ("gopher://127.0.0.1/", 403),
        ("http://2130706433/", 422),
        ("http://[", 422),
    ],
)
def test_a_redirect_is_judged_like_an_address(host: Host, location: str, status: int) -> None:
    refused(status, f"{host.url}/302?location={location}", host.rules)
    assert len(host.seen) == 1


def test_credentials_stay_with_their_host(host: Host, listen: Callable[[Any], str]) -> None:
    other = Host(listen)
    both = rules(f"127.0.0.1:{host.port}", f"127.0.0.1:{other.port}")
    there_and_back = f"{host.url}/302?location={other.url}/302?location%3D{host.url}/a"
    assert (
        fetched(there_and_back, both, headers={"Authorization": "secret", "X-Key": "secret", "Cookie": "secret"}) == CONTENT
    )
    assert [("secret" in request.headers.values()) for request in [*host.seen, *other.seen]] == [True, False, False]


def test_size_is_cut_off(host: Host) -> None:
    size = len(CONTENT)
    assert fetched(f"{host.url}/a", host.rules, limit=size) == CONTENT
    refused(413, f"{host.url}/a?secret", host.rules, limit=size - 1)


def test_an_endless_answer_is_left() -> None:
    sent: list[int] = []
    with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 10_000, sent=sent) as port:
        refused(413, f"http://127.0.0.1:{port}/a", rules(f"127.0.0.1:{port}"), limit=1_000_000)
    assert sum(sent) < 50_000_000


def test_what_is_compressed_is_not_unfolded(host: Host) -> None:
    assert "compresses" in refused(502, f"{host.url}/gzip", host.rules).detail


@pytest.mark.parametrize(
    ("status", "ours", "later"),
    [
        ("404", 422, None),
        ("401", 422, None),
        ("429", 502, 7),
        ("503", 502, 7),
        ("500", 502, 7),
        ("304", 502, None),
        ("408", 502, 7),
    ],
)
def test_answers_that_are_no_content(host: Host, status: str, ours: int, later: int | None) -> None:
    refusal = refused(ours, f"{host.url}/{status}?retry-after=7&secret=1", host.rules)
    assert f"answered {status}" in refusal.detail
    assert refusal.retry_after_s == later
    assert (refused(502, f"{host.url}/503?retry-after=soon", host.rules)).retry_after_s == 5


@contextlib.contextmanager
def raw_server(*pieces: bytes, sent: list[int] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers one connection with `pieces`, and then says nothing until it is left; notes what it `sent`."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection = connection if tls is None else tls.wrap_socket(connection, server_side=True)
                with connection:
                    connection.recv(65536)
                    for piece in pieces:
                        connection.sendall(piece)
                        if sent is not None:
                            sent.append(len(piece))
                    if pieces[-1:] != (b"",):
                        done.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("pieces", [[b"HTTP/1.1 200 OK\r\n"], [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"], []])
def test_one_timeout_for_everything(pieces: list[bytes]) -> None:
    with raw_server(*pieces) as port:
        allowed = rules(f"127.0.0.1:{port}", timeout_s=0.2)
        assert refused(504, f"http://127.0.0.1:{port}/a", allowed).retry_after_s is not None


@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", b"\x00" * 100])
def test_a_host_that_breaks_off(answer: bytes) -> None:
    with raw_server(answer, b"") as port:
        refusal = refused(502, f"http://127.0.0.1:{port}/a", rules(f"127.0.0.1:{port}"))
    assert refusal.retry_after_s is not None


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers_of_dns(monkeypatch, [])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused(502, f"http://127.0.0.1:{port}/a", rules(f"127.0.0.1:{port}"))
    refused(502, "http://no-such-name.invalid/a", rules("no-such-name.invalid"))


@given(content=st.binary(max_size=200), coded=st.booleans())
@settings(max_examples=60)
def test_data_uris_hold_their_content(content: bytes, coded: bool) -> None:
    text = base64.b64encode(content).decode() if coded else "".join(f"%{byte:02x}" for byte in content)
    uri = f"data:image/png{';base64' if coded else ''},{text}"
    assert fetched(uri, UriRules(), limit=200) == content
    if content:
        with pytest.raises(ProblemError) as refusal:
            decode_data_uri(uri, limit=len(content) - 1)
        assert refusal.value.status == 413


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("data:image/png;base64", 422),
        ("data:;base64,a", 422),
        ("data:;base64,\ud800", 422),
        ("data:," + "a" * 5_000_000, 413),
    ],
)
def test_broken_data_uris(uri: str, status: int) -> None:
    refused(status, uri, UriRules(), limit=1000)


def test_files_under_an_allowed_folder(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "ä b.jpg").write_bytes(CONTENT)
    (tmp_path / "closed.jpg").write_bytes(CONTENT)
    (folder / "link.jpg").symlink_to(tmp_path / "closed.jpg")
    os.mkfifo(folder / "pipe")
    here = {"folders": [folder]}
    assert fetched(f"file://{folder}/%C3%A4%20b.jpg", UriRules(), **here) == CONTENT
    assert fetched(f"file://localhost{folder}/ä b.jpg", UriRules(), **here) == CONTENT
    refused(413, f"file://{folder}/%C3%A4%20b.jpg", UriRules(), **here, limit=10)
    for name in ("absent", "pipe", ""):
        refused(422, f"file://{folder}/{name}", UriRules(), **here)
    for path in ("/link.jpg", "/../closed.jpg", "/%2e%2e/closed.jpg"):
        refused(403, f"file://{folder}{path}", UriRules(), **here)
    refused(403, f"file://{folder}/%C3%A4%20b.jpg", UriRules())
    for uri in (f"file://elsewhere{folder}/a", "file:a", "file:///a%00", "file://[/a"):
        refused(422, uri, UriRules(), **here)
