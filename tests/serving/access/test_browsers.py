"""Requests that a browser sends because a page elsewhere told it to."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.tables import Kind
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.keys import Scope, add_key
from serving.access.settings import AccessSettings
from serving.config import ModelSettings, ServeSettings
from serving.front import Front, open_front
from serving.lanes import local_backend

Listen = Callable[[Any], str]
SETTINGS = ServeSettings(models=dict.fromkeys(Kind, ModelSettings(name="fake")))


def opened(listen: Listen, settings: AccessSettings) -> str:
    backend = local_backend({kind: FakePredictor(kind) for kind in Kind}, SETTINGS)
    return listen(open_front(Front(backend, SETTINGS, access=Access(settings))))


def sent(url: str, path: str, headers: dict[str, str], **body: Any) -> httpx.Response:
    return httpx.post(f"{url}{path}", headers=headers, **body)


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example.org"},
    {"origin": "null"},
    {"origin": "http://["},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_elsewhere_hands_in_no_work(listen: Listen, headers: dict[str, str]) -> None:
    url = opened(listen, AccessSettings(auth="none"))
    for path in ("/labelstudio/webhook", "/v1/sentiment", "/cvat/api/function_invocations"):
        reply = sent(url, path, {**headers, "content-type": "text/plain"}, content=b"{}")
        assert (reply.status_code, "another site" in reply.json()["detail"]) == (403, True)
    # An answer of X-AnyLabeling's own keeps the label file.
    reply = sent(url, "/xanylabeling/v1/predict", headers, content=b"{}")
    assert reply.json()["data"] == {"shapes": [], "description": "", "replace": False}


def test_not_even_with_the_password_that_a_browser_keeps(tmp_path: Path, listen: Listen) -> None:
    path = tmp_path / "keys.json"
    _, token = add_key(path, "someone", [Scope.ADMIN])
    url = opened(listen, AccessSettings(keys_file=path))
    basic = {"authorization": f"Basic {base64.b64encode(f'a:{token}'.encode()).decode()}"}
    text = {"json": {"text": "good"}}
    assert sent(url, "/v1/sentiment", basic, **text).status_code == 200
    for headers in FOREIGN:
        assert sent(url, "/v1/sentiment", {**basic, **headers}, **text).status_code == 403


def test_own_pages_and_programs_pass(listen: Listen) -> None:
    url = opened(listen, AccessSettings(auth="none"))
    own: list[dict[str, str]] = [{}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": url}]
    for headers in own:
        assert sent(url, "/v1/sentiment", headers, json={"text": "good"}).status_code == 200
    assert httpx.get(f"{url}/v1/models", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link elsewhere


def test_without_keys_a_name_that_was_bent_to_the_loopback_is_refused(tmp_path: Path, listen: Listen) -> None:
    url = opened(listen, AccessSettings(auth="none"))
    port = url.rpartition(":")[2]
    for host in (
        "evil.example.org",
        f"evil.example.org:{port}",
        "localhost.evil.org",
        "127.0.0.1.evil.org",
        "a@b.org",
        "[",
        "internal.org",
    ):
        reply = httpx.get(f"{url}/v1/models", headers={"host": host})
        assert (reply.status_code, "localhost" in reply.json()["detail"]) == (403, True), host
        assert httpx.get(f"{url}/healthz", headers={"host": host}).status_code == 200
    for host in ("localhost", f"LOCALHOST:{port}", f"[::1]:{port}", "10.1.2.3", "tests.localhost", "host.docker.internal"):
        assert httpx.get(f"{url}/v1/models", headers={"host": host}).status_code == 200, host
    path = tmp_path / "keys.json"
    _, token = add_key(path, "a", [Scope.PREDICT])
    named = {"host": "goldgate.example.org", "authorization": f"Bearer {token}"}
    assert httpx.get(f"{opened(listen, AccessSettings(keys_file=path))}/v1/models", headers=named).status_code == 200
