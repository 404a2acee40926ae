"""Headless Chromium, told what to do over its DevTools protocol: enough to open a page and read what stands on it."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.conftest import free_port

BROWSER: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
_PATIENCE_S: Final = 120


class Page:
    """One page of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._calls = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give an order and return its answer."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=_PATIENCE_S))
            if said.get("id") == self._calls:
                return dict(said["result"])

    def open(self, url: str, cookies: Mapping[str, str]) -> None:
        """Go to `url` with `cookies`."""
        for name, value in cookies.items():
            self.call("Network.setCookie", name=name, value=value, url=url)
        self.call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression is on the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def until(self, expression: str) -> Any:
        """Return what an expression is as soon as it is true."""
        end = time.monotonic() + _PATIENCE_S
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"the page never had {expression}: {self.value('document.body.innerText')}"
            time.sleep(0.2)
        return found


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """Run a browser with its profile in `folder`, and give its page."""
    assert BROWSER is not None
    port = free_port()
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,1000", f"--user-data-dir={folder}"]
    command = [BROWSER, *words, f"--remote-debugging-port={port}", "about:blank"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:  # noqa: S603
        try:
            with connect(_address(port), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(30)


def _address(port: int) -> str:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            pages = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
            found = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
            if found:
                return str(found[0])
        time.sleep(0.1)
    raise AssertionError("the browser did not start")
