"""What no client sends on purpose, at every door: nothing of it is a fault of the service, and nothing is opened."""

import base64
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from serving.access.guard import Access
from serving.access.settings import AccessSettings
from serving.front import Front, open_front
from tests.serving.watch.fronts import fakes, picture, settings

POSTS = [
    "/v1/detect",
    "/v1/sentiment",
    "/v1/video",
    "/v1/jobs",
    "/v1/predict/image",
    "/labelstudio/predict",
    "/labelstudio/setup",
    "/labelstudio/webhook",
    "/cvat/api/function_invocations",
    "/cvat/",
    "/xanylabeling/v1/predict",
]


@pytest.fixture
def url(listen: Callable[[Any], str]) -> str:
    return listen(open_front(Front(fakes(), settings(), access=Access(AccessSettings(auth="none")))))


DEEP = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"text":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"tasks":' + b"[" * 100_000,
]


@pytest.mark.parametrize("path", POSTS)
def test_deep_json_is_refused(url: str, path: str) -> None:
    for body in [*DEEP, b"", b"null", b"[]", b"\xff\xfe", b'{"a": 1e999999}', b'{"a": ' + b"9" * 10_000 + b"}"]:
        headers = {"content-type": "application/json", "x-nuclio-function-name": "goldgate-fake"}
        reply = httpx.post(f"{url}{path}", content=body, headers=headers, timeout=60)
        if path.startswith("/xanylabeling"):
            assert (reply.status_code, reply.json()["data"]["replace"]) == (200, False)
        elif path == "/labelstudio/webhook" and reply.status_code == 200:
            assert reply.json() == {"status": "Unknown event"}
        else:
            assert 400 <= reply.status_code < 500, (body[:20], reply.text[:200])
            assert len(reply.text) < 5000
    assert httpx.get(f"{url}/healthz").status_code == 200


class Bomb:
    """Fails the test when it is loaded."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("a pickle was loaded",)


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", content)
    return file.getvalue()


def saved() -> bytes:
    file = io.BytesIO()
    np.savez(file, image=np.zeros((2, 2, 3), np.uint8))
    return file.getvalue()


def png_bomb() -> bytes:
    """A PNG of 900 million pixels in a kilobyte of header and a scrap of data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")


NO_IMAGES = [
    ("pickle", pickle.dumps(Bomb()), "a pickle"),
    ("zip", zipped(picture(1)), "an archive"),
    ("npz", saved(), "an archive"),
    ("bomb", png_bomb(), "more"),
]


@pytest.mark.parametrize(("name", "content", "reason"), NO_IMAGES, ids=[name for name, *_ in NO_IMAGES])
def test_packages_and_bombs_are_called_by_their_name(url: str, name: str, content: bytes, reason: str) -> None:
    coded = base64.b64encode(content).decode()
    files = [("file", (f"a.{name}", content)), ("file", ("good.png", picture(2)))]
    images = [{"data": coded}, {"data": base64.b64encode(picture(2)).decode()}]
    for request in ({"files": files}, {"json": {"images": images}}):
        bad, good = httpx.post(f"{url}/v1/detect", timeout=60, **request).json()["results"]
        assert bad["state"] == "rejected"
        assert reason in bad["reason"]
        assert good["state"] in ("labelled", "empty")
    call = {"model": "fake", "image": coded}
    answer = httpx.post(f"{url}/xanylabeling/v1/predict", json=call, timeout=60).json()
    assert answer["data"] == {"shapes": [], "description": "", "replace": False}
    function = {"x-nuclio-function-name": "goldgate-fake"}
    assert (
        httpx.post(f"{url}/cvat/api/function_invocations", json={"image": coded}, headers=function, timeout=60).json() == []
    )


@pytest.mark.parametrize(
    "media", ["application/zip", "application/x-pickle", "application/octet-stream", "application/x-tar"]
)
def test_packages_by_their_media_type(url: str, media: str) -> None:
    for path in ("/v1/detect", "/v1/video", "/v1/sentiment"):
        reply = httpx.post(f"{url}{path}", content=saved(), headers={"content-type": media})
        assert reply.status_code == 415, reply.text


def test_numpy_as_other_servers_take_it_is_refused(url: str) -> None:
    value = base64.b64encode(pickle.dumps(Bomb())).decode()
    for body in ({"images": [{"type": "numpy", "value": value}]}, {"image": {"type": "numpy", "value": value}}):
        assert httpx.post(f"{url}/v1/detect", json=body).status_code == 422


@pytest.mark.parametrize("name", ["a\r\nb", "a\x00", "\x1b[31m", "a" * 1025])
def test_names_that_would_break_a_log_are_refused(url: str, name: str) -> None:
    image = {"item": name, "data": base64.b64encode(picture(1)).decode()}
    reply = httpx.post(f"{url}/v1/detect", json={"images": [image]})
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    line = json.dumps({"item": name, "text": "good"}).encode()
    streamed = httpx.post(f"{url}/v1/sentiment", content=line, headers={"content-type": "application/x-ndjson"})
    assert "labelled" not in streamed.text


def test_names_are_words_and_no_paths(url: str) -> None:
    """A name comes back as it came, wherever it would lead: nothing is read or written by it."""
    for name in ("../../etc/passwd", "/etc/passwd", "图/一.png", "..\\a"):
        files = [("file", (name, picture(1)))]
        reply = httpx.post(f"{url}/v1/detect", files=files)
        assert reply.status_code == 200
        assert reply.json()["results"][0]["item"] in (name, name.rpartition("\\")[2])
    broken = httpx.post(f"{url}/v1/detect", files=[("file", ("a" * 1025, picture(1)))])
    assert broken.status_code == 422


def test_a_multipart_body_of_many_parts_is_refused(url: str) -> None:
    many = [("file", (f"{number}.png", b"x")) for number in range(2000)]
    assert httpx.post(f"{url}/v1/detect", files=many).status_code in (400, 413)
    fields = {f"f{number}": "x" for number in range(2000)}
    assert httpx.post(f"{url}/v1/detect", data=fields, files={"file": picture(1)}).status_code in (400, 413)
    head = "".join(f"x-{number}: y\r\n" for number in range(5000))
    part = f"--b\r\ncontent-disposition: form-data; name=file; filename=a\r\n{head}\r\nx\r\n--b--\r\n"
    reply = httpx.post(
        f"{url}/v1/detect", content=part.encode(), headers={"content-type": "multipart/form-data; boundary=b"}, timeout=60
    )
    assert reply.status_code < 500
