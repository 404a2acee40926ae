"""The outermost layer of every port: the id of a request, and what is known of it when it ends."""

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.watch.metrics import METHODS, OTHER
from serving.watch.requests import REQUEST_ID, TALLY, request_id, trace_parent
from serving.watch.watching import Exchange, Watch

_GONE: Final = 499
_FAULT: Final = 500
_EVENT_STREAM: Final = b"text/event-stream"


class Watched:
    """ASGI middleware that names each request and tells a `Watch` of it.

    A sane X-Request-ID is kept, else the trace of a W3C traceparent or a new id takes its place; the answer carries it.

    Args:
        app: what is watched.
        watch: is told.
        prefixes: prefix -> door that stands there; "" for what stands at the root.
        says_id: whether answers carry the id; a proxy before this may do so by itself.
    """

    def __init__(self, app: ASGIApp, watch: Watch, prefixes: Mapping[str, str], *, says_id: bool = True) -> None:
        self._app = app
        self._watch = watch
        self._says_id = says_id
        self._root = prefixes.get("", OTHER)
        self._prefixes = sorted(
            ((prefix, door) for prefix, door in prefixes.items() if prefix), key=lambda each: -len(each[0])
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = self._exchange(scope)
        # Not put back: the server's own line about a failure comes after this, in the same context.
        REQUEST_ID.set(exchange.id)
        TALLY.set(exchange.tally)

        async def received() -> Message:
            message = await receive()
            exchange.received += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                if self._says_id:
                    headers = [*message.get("headers", ()), (b"x-request-id", exchange.id.encode())]
                    message = {**message, "headers": headers}
            await send(message)
            exchange.sent += len(message.get("body", b""))
            if message["type"] == "http.response.start" and _is_event_stream(message):
                exchange.begun()

        with self._watch.serving(exchange):
            failed = True
            try:
                await self._app(scope, received, sent)
                failed = False
            finally:
                exchange.status = exchange.status or (_FAULT if failed else _GONE)
                exchange.route = _template(scope)

    def _exchange(self, scope: Scope) -> Exchange:
        headers = dict(scope["headers"])
        trace = trace_parent(headers.get(b"traceparent", b"").decode("latin-1"))
        sent_id = headers.get(b"x-request-id")
        method = scope["method"] if scope["method"] in METHODS else OTHER
        own_id = request_id(None if sent_id is None else sent_id.decode("latin-1"), trace)
        return Exchange(own_id, self._door(scope), method, trace)

    def _door(self, scope: Scope) -> str:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        for prefix, door in self._prefixes:
            if path == prefix or path.startswith(f"{prefix}/"):
                return door
        return self._root


def watched(app: ASGIApp, watch: Watch, prefixes: Mapping[str, str], *, says_id: bool = True) -> ASGIApp:
    """Return `app` with `watch` outermost; arguments as of `Watched`."""
    return Watched(app, watch, prefixes, says_id=says_id)


def _template(scope: Scope) -> str:
    """Return the template of the route that was taken: the router leaves it in the scope."""
    template = getattr(scope.get("route"), "path", None)
    return template if isinstance(template, str) and template else OTHER


def _is_event_stream(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(_EVENT_STREAM) for name, value in message.get("headers", ())
    )
