"""Files of a Label Studio server, which the door fetches with that server's token."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from contract.tables import Kind
from serving.doors.labelstudio.settings import LabelStudioHost, LabelStudioSettings
from serving.http.addresses import UriRules
from tests.serving.doors.labelstudio.asking import CONFIGS, Door, asked, inline, picture, results, task

PICTURE = picture(3)
OPENS = "Token secret"
VARIABLE = "LS_TOKEN"


def file_server(seen: list[dict[str, str]], token: str = OPENS) -> FastAPI:
    """A server of files that shows them only to who brings `token`."""
    app = FastAPI()

    @app.post("/api/token/refresh/")
    async def refresh(request: Request) -> Response:
        known = (await request.json())["refresh"] == PERSONAL
        return JSONResponse({"access": "short"} if known else {}, status_code=200 if known else 401)

    @app.get("/{path:path}")
    async def file(path: str, request: Request) -> Response:
        seen.append({"path": f"/{path}?{request.url.query}", "token": request.headers.get("authorization", "")})
        allowed = request.headers.get("authorization") == token or path == "open.jpg"
        return Response(PICTURE if allowed else b"", status_code=200 if allowed else 401, media_type="image/jpeg")

    return app


PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJyZWZyZXNoIn0.c2lnbmVk"


@pytest.mark.parametrize("path", ["/data/upload/7/a.jpg", "/data/local-files/?d=in/a%20b.jpg"])
def test_files_of_the_server_are_fetched_with_its_token(
    door: Door, listen: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    seen: list[dict[str, str]] = []
    server = listen(file_server(seen))
    monkeypatch.setenv(VARIABLE, "secret")
    client = door(hosts=[LabelStudioHost(url=server, token_env=VARIABLE)])
    relative, absolute = results(client, asked(Kind.IMAGE, [task(1, image=path), task(2, image=server + path)]))
    assert relative == absolute
    assert relative["result"] == results(client, asked(Kind.IMAGE, [task(1, image=inline(PICTURE))]))[0]["result"] != []
    assert seen == [{"path": path if "?" in path else f"{path}?", "token": "Token secret"}] * 2


def test_a_personal_token_is_exchanged(door: Door, listen: Callable[[Any], str], tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    (tmp_path / "token").write_text(f"{PERSONAL}\n")
    server = LabelStudioHost(url=listen(file_server(seen, "Bearer short")), token_file=tmp_path / "token")
    entries = results(
        door(hosts=[server]), asked(Kind.IMAGE, [task(index, image="/data/upload/a.jpg") for index in range(3)])
    )
    assert all(entry["result"] for entry in entries)
    (tmp_path / "token").write_text(PERSONAL.replace("c2", "d2"))
    (refused,) = results(door(hosts=[server]), asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")]))
    assert "make a new one" in refused["error"]


def test_a_missing_token_is_named(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    client = door(hosts=[LabelStudioHost(url="http://127.0.0.1:9", token_env=VARIABLE)])
    (entry,) = results(client, asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")]))
    assert "LS_TOKEN" in entry["error"]


def test_no_other_host_sees_the_token(door: Door, listen: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    ours, foreign = listen(file_server(seen)), listen(file_server(seen))
    monkeypatch.setenv(VARIABLE, "secret")
    elsewhere = urlsplit(foreign).netloc
    uris = UriRules(schemes=("http",), hosts=(elsewhere,), private_hosts=(elsewhere,))
    client = door(uris=uris, hosts=[LabelStudioHost(url=ours, token_env=VARIABLE)])
    body = asked(
        Kind.IMAGE, [task(1, image=f"{foreign}/open.jpg"), task(2, image=ours.replace("127.0.0.1", "localhost") + "/a")]
    )
    assert results(client, body)[0]["result"]
    assert {each["token"] for each in seen} == {""}


def test_a_server_is_believed_only_if_it_is_one_of_ours(door: Door, listen: Callable[[Any], str]) -> None:
    seen: list[dict[str, str]] = []
    ours, foreign = listen(file_server(seen)), listen(file_server(seen))
    client = door(hosts=[LabelStudioHost(url=ours), LabelStudioHost(url="http://127.0.0.1:9")])
    body = asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")])
    setup = {"project": "7.1712345678", "schema": CONFIGS[Kind.IMAGE], "access_token": "secret"}
    client.post("/setup", json={**setup, "hostname": foreign})
    assert "labelstudio.hosts" in results(client, body)[0]["error"]
    assert "labelstudio.hosts" in results(client, {**body, "params": {"hostname": foreign}})[0]["error"]
    assert seen == []
    client.post("/setup", json={**setup, "hostname": f"{ours}/"})
    assert results(client, body)[0]["result"]
    assert seen == [{"path": "/data/upload/a.jpg?", "token": "Token secret"}]


def test_a_configured_token_is_not_replaced_by_a_told_one(
    door: Door, listen: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setenv(VARIABLE, "secret")
    ours = listen(file_server(seen))
    client = door(hosts=[LabelStudioHost(url=ours, token_env=VARIABLE)])
    client.post("/setup", json={"project": "7.1", "schema": "<View/>", "hostname": ours, "access_token": "stolen"})
    assert results(client, asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")]))[0]["result"]


@pytest.mark.parametrize(
    "host",
    [
        {"url": "ftp://ls.example.org"}, {"url": "ls.example.org"}, {"url": "http://user:pass@ls.example.org"}, {"url": "http://ls/?a=1"},
        {"url": "http://ls", "token_env": "A", "token_file": "b"}, {"url": "http://ls", "token": "secret"},
    ],
)  # fmt: skip
def test_settings_of_hosts(host: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"address|not both|Extra inputs"):
        LabelStudioSettings.model_validate({"hosts": [host]})
