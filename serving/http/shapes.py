"""Errors in the shape of another protocol than ours: the same sentence, in the body that its clients know."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from serving.http.problems import ProblemError, validation_sentence

Respond = Callable[[Request, ProblemError], Response]


def as_problem(error: Exception) -> ProblemError:
    """Return whatever ended a request as a problem, without a word of what the request held."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        return ProblemError(error.status_code, str(error.detail))
    if isinstance(error, RequestValidationError):
        return ProblemError(422, validation_sentence(list(error.errors())) or "the request is not valid")
    return ProblemError(500, f"an internal fault ({type(error).__name__}); the service's log has the rest")


def shaped(problem: ProblemError, body: Any) -> Response:
    """Return `body` as the answer of a problem, with its status and when to come again."""
    headers = {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}
    return JSONResponse(body, status_code=problem.status, headers=headers)


def install_shape(api: FastAPI, respond: Respond) -> None:
    """Make `api` answer every error as `respond` says; of a fault the server still logs the traceback."""

    async def answer(request: Request, error: Exception) -> Response:
        response = respond(request, as_problem(error))
        response.headers.update(getattr(error, "headers", None) or {})  # Allow beside a 405, for one
        return response

    for kind in (ProblemError, HTTPException, RequestValidationError, Exception):
        api.add_exception_handler(kind, answer)
