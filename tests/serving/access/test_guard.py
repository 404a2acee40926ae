"""The guard before the real doors, on real sockets."""

import base64
import datetime
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from fastapi.routing import APIRoute
from PIL import Image
from starlette.routing import Mount, Route

from contract.errors import InputError
from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.keys import Scope, add_key, now_utc, revoke_key
from serving.access.scopes import ROOTS, RULES, scope_of
from serving.access.settings import AccessSettings
from serving.config import Door, ModelSettings, ServeSettings
from serving.front import PREFIXES, Front, build_door, open_door, open_front
from serving.lanes import local_backend

Listen = Callable[[Any], str]
SETTINGS = ServeSettings(models=dict.fromkeys(Kind, ModelSettings(name="fake")))


class Held(FakePredictor):
    """The fake, that answers when it is let go."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.go = threading.Event()

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        self.go.wait(30)
        return super().predict(sources)


def front(access: Access | None, text: FakePredictor | None = None) -> Front:
    models = {kind: FakePredictor(kind) for kind in Kind} | ({} if text is None else {Kind.TEXT: text})
    return Front(local_backend(models, SETTINGS), SETTINGS, access=access)


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    """A key for each scope, by the scope's name."""
    return {scope.value: add_key(tmp_path / "keys.json", scope.value, [scope])[1] for scope in Scope}


@pytest.fixture
def access(tmp_path: Path, tokens: dict[str, str]) -> Access:
    return Access(AccessSettings(keys_file=tmp_path / "keys.json"))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def ask(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{url}/v1/sentiment", json={"text": "good"}, headers=headers)


def test_without_a_valid_key_nothing_passes(access: Access, tokens: dict[str, str], listen: Listen) -> None:
    url = listen(open_front(front(access)))
    wrong = tokens["predict"][:-4] + "AAAA"
    for headers in ({}, bearer("x"), bearer(wrong), {"authorization": "Basic !"}, {"authorization": tokens["predict"]}):
        reply = ask(url, headers)
        assert reply.status_code == 401
        assert reply.headers["content-type"] == "application/problem+json"
        assert "Basic" in reply.headers["www-authenticate"]
        assert tokens["predict"] not in reply.text
    assert httpx.get(f"{url}/healthz").status_code == httpx.get(f"{url}/readyz").status_code == 200
    assert httpx.get(f"{url}/labelstudio/health").status_code == 200


def test_each_tool_s_way_of_bringing_a_key(access: Access, tokens: dict[str, str], listen: Listen) -> None:
    url = listen(open_front(front(access)))
    key = tokens["predict"]
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    for headers in (
        bearer(key),
        {"authorization": f"bearer {key}"},
        {"authorization": f"Token {key}"},
        {"authorization": f"Basic {basic}"},
        {"token": key},
    ):
        assert ask(url, headers).status_code == 200


ROUTES = [
    ("GET", "/v1/models", "predict"),
    ("POST", "/v1/sentiment", "predict"),
    ("POST", "/v1/predict/text", "predict"),
    ("GET", "/v1/jobs", "jobs"),
    ("GET", "/metrics", "admin"),
    ("GET", "/", "admin"),
    ("GET", "/nothing", "admin"),
    ("POST", "/labelstudio/predict", "predict"),
    ("POST", "/labelstudio/webhook", "score"),
    ("GET", "/cvat/api/functions", "predict"),
    ("GET", "/xanylabeling/v1/models", "predict"),
]


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
def test_a_route_asks_for_its_scope(
    access: Access, tokens: dict[str, str], listen: Listen, method: str, path: str, needed: str
) -> None:
    url = listen(open_front(front(access)))
    for scope, token in tokens.items():
        reply = httpx.request(method, f"{url}{path}", headers=bearer(token))
        assert (reply.status_code == 403) == (scope not in (needed, "admin")), (scope, reply.text)
        if reply.status_code == 403:
            problem = reply.json()
            assert needed in json.dumps(problem)


@pytest.mark.parametrize("door", Door)
def test_every_route_of_every_door_has_a_rule(door: Door) -> None:
    def paths(routes: Sequence[Any], prefix: str = "") -> list[str]:
        found: list[str] = []
        for route in routes:
            if isinstance(route, Mount):
                continue
            assert isinstance(route, APIRoute | Route)
            found.append(prefix + route.path)
        return found

    beginnings = [beginning for beginning, _ in RULES[door]]
    for path in paths(build_door(door, front(None)).routes):
        ruled = path == "/" or any(path == each or path.startswith(f"{each}/") for each in beginnings)
        assert ruled, f"{door.value} {path}: what scope does it need?"
    assert set(ROOTS) == set(RULES) == set(PREFIXES) == set(Door)
    assert scope_of(door, "/no/such/route") is Scope.ADMIN


def test_revoked_and_expired_keys_are_out_at_once(tmp_path: Path, listen: Listen) -> None:
    path = tmp_path / "keys.json"
    _, short = add_key(path, "short", [Scope.PREDICT], expires=now_utc() + datetime.timedelta(seconds=1))
    _, gone = add_key(path, "gone", [Scope.PREDICT])
    url = listen(open_front(front(Access(AccessSettings(keys_file=path)))))
    assert ask(url, bearer(gone)).status_code == 200
    revoke_key(path, "gone")
    assert ask(url, bearer(gone)).status_code == 401
    time.sleep(1.1)
    reply = ask(url, bearer(short))
    assert (reply.status_code, "is over" in reply.json()["detail"]) == (401, True)


def test_x_anylabeling_s_labels_survive_a_lost_key(access: Access, tokens: dict[str, str], listen: Listen) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24)).save(buffer, "PNG")
    call = {"model": "fake", "image": base64.b64encode(buffer.getvalue()).decode()}
    for url in (f"{listen(open_front(front(access)))}/xanylabeling", listen(open_door(Door.XANYLABELING, front(access)))):
        reply = httpx.post(f"{url}/v1/predict", json=call)
        assert reply.status_code == 200
        assert reply.json()["data"] == {"shapes": [], "description": "", "replace": False}
        listed = httpx.get(f"{url}/v1/models")
        assert (listed.status_code, listed.json()["error"]["code"]) == (401, "UNAUTHORIZED")
        answer = httpx.post(f"{url}/v1/predict", json=call, headers={"Token": tokens["predict"]}).json()
        assert (answer["success"], answer["data"]["replace"]) == (True, None)


def test_cvat_comes_without_a_key_from_its_network_alone(tmp_path: Path, tokens: dict[str, str], listen: Listen) -> None:
    keys_file = tmp_path / "keys.json"
    inside = AccessSettings(keys_file=keys_file, cvat_networks=("127.0.0.0/8",))
    outside = AccessSettings(keys_file=keys_file, cvat_networks=("10.0.0.0/8",))
    url = listen(open_front(front(Access(inside))))
    assert httpx.get(f"{url}/cvat/api/functions").status_code == 200
    assert httpx.get(f"{url}/v1/models").status_code == 401
    assert httpx.get(f"{listen(open_front(front(Access(outside))))}/cvat/api/functions").status_code == 401


def test_without_keys_only_this_machine_is_let_in(tmp_path: Path, listen: Listen) -> None:
    app = open_front(front(Access(AccessSettings(auth="none"))))
    assert ask(listen(app)).status_code == 200

    async def from_afar(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "client": ("192.0.2.7", 1234)}, receive, send)

    reply = ask(listen(from_afar))
    assert (reply.status_code, "own machine alone" in reply.json()["detail"]) == (403, True)
    # A proxy of this machine that says for whom it asks opens nothing to him.
    assert ask(listen(app), {"x-forwarded-for": "127.0.0.1, 192.0.2.7"}).status_code == 403
    with pytest.raises(InputError, match="there are no keys"):
        Access(AccessSettings(keys_file=tmp_path / "absent.json"))


def test_a_key_has_a_rate_and_a_number_of_calls_under_way(tmp_path: Path, listen: Listen) -> None:
    path = tmp_path / "keys.json"
    _, slow = add_key(path, "slow", [Scope.PREDICT], limits={"rate_per_s": 0.05})
    _, narrow = add_key(path, "narrow", [Scope.PREDICT], limits={"concurrent": 1})
    held = Held(Kind.TEXT)
    url = listen(open_front(front(Access(AccessSettings(keys_file=path, burst=2)), held)))
    replies = [httpx.get(f"{url}/v1/models", headers=bearer(slow)) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert 1 <= int(replies[2].headers["retry-after"]) <= 20
    thread = threading.Thread(target=ask, args=(url, bearer(narrow)))
    thread.start()
    refused = None
    for _ in range(200):
        refused = httpx.get(f"{url}/v1/models", headers=bearer(narrow))
        if refused.status_code == 429:
            break
        time.sleep(0.01)
    assert refused is not None
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    held.go.set()
    thread.join(timeout=30)
    assert httpx.get(f"{url}/v1/models", headers=bearer(narrow)).status_code == 200


def test_a_body_that_trickles_is_given_up(listen: Listen) -> None:
    settings = AccessSettings(auth="none", body_grace_s=0.3, body_bytes_per_s=1000)
    url = listen(open_front(front(Access(settings))))
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /v1/sentiment HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        wire.sendall(head.encode())
        answer = b""
        wire.settimeout(0.05)
        for _ in range(200):
            try:
                wire.sendall(b" ")
                answer = wire.recv(4096)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"stopped coming" in answer
    assert b"connection: close" in answer.lower()
    # What comes in time passes, however long it is.
    assert httpx.post(f"{url}/v1/sentiment", json={"text": "long " * 20_000}).status_code == 200
