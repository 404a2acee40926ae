"""The status page in headless Chromium: it is drawn, its script runs, and its policy forbids nothing that it needs."""

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from numpy.typing import NDArray
from PIL import Image
from starlette.types import Receive, Scope, Send

from contract.predictor import Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.front import PREFIXES
from serving.lanes import local_backend
from serving.watch.page import Shown, add_page
from serving.watch.pagewords import spoken
from serving.watch.watching import Watch
from tests.serving.watch.fronts import settings
from tests.serving.watch.test_page import BOARD

BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        if (found := shutil.which(name))
    ),
    None,
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--hide-scrollbars"),
)
WIDTH, HEIGHT = 1200, 2400

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(BROWSER is None, reason="no Chromium to look with")]


def photograph() -> bytes:
    """Return a picture of one colour that the page itself has nowhere, on which the fake finds something."""
    for shade in range(256):
        buffer = io.BytesIO()
        Image.new("RGB", (320, 200), (255, 0, shade)).save(buffer, "PNG")
        answer = FakePredictor(Kind.IMAGE).predict([Source(item="", kind=Kind.IMAGE, uri="", data=buffer.getvalue())])
        if answer.column("boxes")[0].as_py():
            return buffer.getvalue()
    raise AssertionError("the fake finds nothing on any of them")


@pytest.fixture
def refreshed() -> list[str]:
    """The queries of the page's own script."""
    return []


@pytest.fixture
def url(listen: Callable[[Any], str], refreshed: list[str]) -> str:
    """The page with jobs; at /tried/LANGUAGE it answers a form to a browser that can only look."""
    api = FastAPI()
    backend = local_backend({kind: FakePredictor(kind) for kind in Kind}, settings())
    add_page(api, Shown(backend, settings(), Watch(), PREFIXES, BOARD))

    @api.get("/tried/{language}/{what}")
    async def tried(language: str, what: str, request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        if "part" in request.query_params:  # its script asks the page that it is on, which is / elsewhere
            return RedirectResponse(f"/?{request.url.query}")
        files: dict[str, Any] = (
            {"image": ("a.png", photograph())} if what == "image" else {"text": (None, "很好 <b>good</b>")}
        )
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{base}/?lang={language}", files=files, headers={"origin": base})
        kept = ("content-type", "content-security-policy")
        return Response(answer.content, answer.status_code, {name: answer.headers[name] for name in kept})

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode()
        if "part=live" in query:
            refreshed.append(query)
        await api(scope, receive, send)

    return listen(noting)


def looked_at(url: str, folder: Path) -> tuple[NDArray[np.uint8], str, str]:
    """Return the screenshot of a page, its document after 7 s of its own time, and what the browser complained of."""
    shot = folder / "shot.png"
    place = (f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=7000")
    results = [
        subprocess.run([str(BROWSER), *FLAGS, *place, what, url], check=True, capture_output=True, timeout=120)  # noqa: S603
        for what in (f"--screenshot={shot}", "--dump-dom")
    ]
    complaints = [line for each in results for line in each.stderr.decode().splitlines() if "CONSOLE" in line]
    return np.asarray(Image.open(shot).convert("RGB")), results[1].stdout.decode(), "\n".join(complaints)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_is_drawn_and_refreshes_itself(url: str, refreshed: list[str], tmp_path: Path, language: Any) -> None:
    pixels, document, complaints = looked_at(f"{url}/?lang={language}", tmp_path)
    assert complaints == ""
    assert f"part=live&lang={language}" in refreshed
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    # The style is in force: grey ground, white sheet, and bars of the jobs' progress in the page's blue.
    assert tuple(pixels[5, 5]) == (0xE4, 0xE7, 0xEB)
    assert tuple(pixels[70, WIDTH // 2]) == (255, 255, 255)
    assert (pixels == (0x00, 0x72, 0xB2)).all(axis=2).sum() > 500
    for key in ("title", "models", "jobs", "late", "try", "doors"):
        assert spoken(language, key) in document
    # Its own requests for the live part are no navigation, so the sheet still has its forms.
    assert document.count("<form") == 2


@pytest.mark.parametrize("what", ["image", "text"])
def test_what_was_tried_is_drawn(url: str, tmp_path: Path, what: str) -> None:
    pixels, document, complaints = looked_at(f"{url}/tried/en/{what}", tmp_path)
    assert complaints == ""
    assert spoken("en", "result") in document
    reddish = (pixels[:, :, 0].astype(int) > 240) & (pixels[:, :, 1] < 20)
    if what == "image":
        assert reddish.sum() > 50_000, "the picture itself is not on the page"
        assert 'class="drawn"' in document
    else:
        assert not reddish.any()
        assert "&lt;b&gt;good&lt;/b&gt;" in document
