"""Errors over HTTP: problem+json (RFC 9457) with one sentence of detail."""

from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.lines import MEDIA_TYPE as LINES_MEDIA_TYPE
from serving.watch.requests import REQUEST_ID

MEDIA_TYPE: Final = "application/problem+json"

REPLICA_DIED: Final = "urn:goldgate:replica-died"
"""The `type` of the 503 that says: this very call's replica died while it ran."""


MODEL_RAISED: Final = "urn:goldgate:model-raised"
"""The `type` of the 500 that says: the model raised on what this call carried."""


class Problem(BaseModel):
    """The body of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None
    """Tells the service's operators which request it was."""


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str, *, kind: str = "about:blank", retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.retry_after_s = retry_after_s

    def response(self) -> Response:
        """Return the problem as a response."""
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        body = Problem(
            type=self.kind,
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            request_id=REQUEST_ID.get(),
        )
        return JSONResponse(
            body.model_dump(exclude_none=True), status_code=self.status, media_type=MEDIA_TYPE, headers=headers
        )


def validation_sentence(errors: "list[dict[str, object]]") -> str:
    """Return pydantic's findings as one sentence that names every field."""
    return "; ".join(f"{_place(error['loc'])}: {str(error['msg']).removeprefix('Value error, ')}" for error in errors)


def _place(location: object) -> str:
    parts = [str(part) for part in location] if isinstance(location, tuple) else [str(location)]
    return ".".join(parts) or "body"


async def _on_problem(_: Request, error: Exception) -> Response:
    return error.response() if isinstance(error, ProblemError) else ProblemError(500, "an internal fault").response()


async def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else "an internal fault"
    response = ProblemError(status, detail).response()
    response.headers.update(getattr(error, "headers", None) or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["allow"] = ", ".join(sorted(_methods(request)))  # the router names those of one route alone
    return response


def _methods(request: Request) -> set[str]:
    routes = getattr(request.app, "routes", ())
    here = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in here for method in getattr(route, "methods", None) or ()}


async def _on_validation(_: Request, error: Exception) -> Response:
    found = list(error.errors()) if isinstance(error, RequestValidationError) else []
    return ProblemError(422, validation_sentence(found) or "the request is not valid").response()


def install(api: FastAPI) -> None:
    """Make `api` answer every error as a problem."""
    api.add_exception_handler(ProblemError, _on_problem)
    api.add_exception_handler(HTTPException, _on_http)
    api.add_exception_handler(RequestValidationError, _on_validation)
    # Starlette sends this answer and raises on, so that the server still logs the traceback.
    api.add_exception_handler(Exception, _on_problem)


def is_lines(scope: Scope) -> bool:
    """Tell whether the body of a request is newline-delimited JSON, which some calls read line by line."""
    media: bytes = dict(scope["headers"]).get(b"content-type", b"")
    return media.partition(b";")[0].strip().lower() == LINES_MEDIA_TYPE.encode()


class BodyLimit:
    """ASGI middleware that refuses a body as soon as it is known to be too large, before it is held in memory.

    Args:
        app: what it guards.
        limits: most bytes by path; the path "" holds for all others.
        apart: beginnings of paths that lead to other doors, which limit their bodies themselves.
        streams: paths at which a body of lines is read as it comes, with a limit of each line instead.
    """

    def __init__(
        self, app: ASGIApp, limits: dict[str, int], apart: tuple[str, ...] = (), streams: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._limits = limits
        self._apart = apart
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Behind a route prefix the path is the whole one (ASGI), so the end of it decides.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path.startswith(self._apart) or (path in self._streams and is_lines(scope)):
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(path, self._limits[""])
        refusal = ProblemError(413, f"the body is larger than {limit} bytes; send fewer or smaller items in a call")
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            await refusal.response()(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise refusal
            return message

        await self._app(scope, counted, send)
