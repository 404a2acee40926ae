"""A small S3 on the loopback: what Arrow's client asks of one for listing and reading, and nothing of its signatures.

Written after the Amazon S3 API Reference (ListObjectsV2, GetObject with Range, HeadObject, PutObject); it speaks real HTTP.
"""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 3  # keys of an answer to a listing: small, so that lists are read on


class Store:
    """The objects, path of bucket and key to content, and the requests that came."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.url = ""
        self.down = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        address = urlsplit(self.path)
        path, query = unquote(address.path).strip("/"), parse_qs(address.query, keep_blank_values=True)
        self.store.requests.append((self.command, path))
        if self.store.down:
            self._send(403, _error("AccessDenied"), body=body)
        elif "/" not in path and "list-type" in query:
            self._send(200, self._listing(path, query), body=body)
        elif path in self.store.objects:
            self._object(self.store.objects[path], body=body)
        else:
            self._send(404, _error("NoSuchKey"), body=body)

    def _object(self, content: bytes, *, body: bool) -> None:
        wanted = self.headers.get("Range")
        if wanted is None:
            self._send(200, content, body=body)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        piece = content[int(first) : int(last) + 1 if last else None]
        span = f"bytes {first}-{int(first) + len(piece) - 1}/{len(content)}"
        self._send(206, piece, body=body, headers={"Content-Range": span})

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        keys = sorted(path[len(bucket) + 1 :] for path in self.store.objects if path.startswith(f"{bucket}/{prefix}"))
        names: dict[str, bool] = {}
        for key in keys:
            rest = key[len(prefix) :]
            folder = bool(delimiter) and delimiter in rest
            names[prefix + rest.partition(delimiter)[0] + delimiter if folder else key] = folder
        left = [name for name in names if name > after]
        most = min(PAGE, int(query.get("max-keys", [str(PAGE)])[0]))
        page, more = left[:most], len(left) > most
        rows = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            if names[name]
            else f"<Contents><Key>{escape(name)}</Key><Size>{len(self.store.objects[f'{bucket}/{name}'])}</Size>"
            "<LastModified>2025-01-01T00:00:00.000Z</LastModified></Contents>"
            for name in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            f'<?xml version="1.0"?><ListBucketResult><Name>{escape(bucket)}</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{rows}"
            "</ListBucketResult>"
        ).encode()

    def _send(self, status: int, content: bytes, *, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        known = {"Content-Length": str(len(content)), "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT", "ETag": '"0"'}
        for name, value in (known | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{quote(code)}</Message></Error>'.encode()


@contextlib.contextmanager
def running() -> Iterator[Store]:
    """Run the store on a free port of the loopback."""
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        store.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()
