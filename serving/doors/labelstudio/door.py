"""The Label Studio door: the protocol of its ML backends, over a `serving.backend.Backend`.

Source: labelstud.io, "Write your own ML backend", and what Label Studio 1.23 sends. /health and /setup ask no model.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from contract.errors import FormatError
from contract.formats.labelstudio.tags import LabelInterface, read_label_config
from serving.backend import Backend
from serving.config import Door, ServeSettings
from serving.doors.labelstudio.hosts import TrustedHosts
from serving.doors.labelstudio.predict import Predictions
from serving.doors.labelstudio.tasks import Asked, Contents
from serving.doors.labelstudio.versions import Versions
from serving.doors.labelstudio.webhook import receive
from serving.http.problems import MEDIA_TYPE, BodyLimit, Problem, ProblemError
from serving.inbox import Inbox

MODEL_CLASS: Final = "Goldgate"
DEADLINE_S: Final = 90.0
"""Label Studio itself gives up after 100 s (ML_TIMEOUT_PREDICT)."""

_PROJECTS: Final = 256
_LARGE: Final = 1 << 20


def labelstudio_door(backend: Backend, settings: ServeSettings, inbox: Inbox | None = None) -> FastAPI:
    """Return the Label Studio door of `backend`.

    Args:
        backend: the models.
        settings: of the service.
        inbox: keeps the annotations that webhooks bring; None keeps none.
    """
    api = FastAPI(title="goldgate for Label Studio", docs_url=None, redoc_url=None, openapi_url=None)
    _install_errors(api)
    api.add_middleware(BodyLimit, limits={"": settings.limits.max_body_bytes})
    door = _Door(backend, settings)
    api.add_api_route("/", _health, methods=["GET"])
    api.add_api_route("/health", _health, methods=["GET"])
    api.add_api_route("/metrics", _metrics, methods=["GET"])
    api.add_api_route("/setup", door.setup, methods=["POST"])
    api.add_api_route("/predict", door.predict, methods=["POST"])

    @api.post("/webhook")
    async def webhook(request: Request) -> Response:
        status, body = await receive(await _document(request), inbox, settings.labelstudio)
        return JSONResponse(body, status_code=status)

    return api


async def _health() -> dict[str, str]:
    return {"status": "UP", "model_class": MODEL_CLASS}


async def _metrics() -> dict[str, Any]:
    """Answer as ML backends do that have no metrics of their training; the service's own stand elsewhere."""
    return {}


class _Door:
    """What /setup tells stays here for /predict: the newest projects' interfaces and servers."""

    def __init__(self, backend: Backend, settings: ServeSettings) -> None:
        self._versions = Versions(backend)
        self._hosts = TrustedHosts(settings.labelstudio, settings.uris)
        self._interfaces: OrderedDict[str, LabelInterface] = OrderedDict()
        self._predictions = Predictions(
            backend,
            Contents(self._hosts, settings.limits),
            self._versions,
            max_bytes=settings.limits.max_body_bytes,
            deadline_s=settings.doors[Door.LABELSTUDIO].deadline_s or DEADLINE_S,
        )

    async def setup(self, request: Request) -> Response:
        """Take note of a project and say which models would label it."""
        document = await _document(request)
        project = str(document.get("project", ""))
        interface = await self._interface(document.get("schema"), project)
        self._hosts.learn(project, document.get("hostname"), document.get("access_token"))
        return JSONResponse({"model_version": await self._versions.newest(interface.kinds)})

    async def predict(self, request: Request) -> Response:
        """Label tasks: one entry each, in order."""
        document = await _document(request)
        tasks = document.get("tasks")
        if not isinstance(tasks, list):
            raise ProblemError(422, "tasks: give a list of tasks, each with its data")
        project = str(document.get("project", ""))
        interface = await self._interface(document.get("label_config"), project)
        params = document.get("params")
        hostname = params.get("hostname") if isinstance(params, Mapping) else None
        asked = Asked([_data(task) for task in tasks], project, hostname)
        results = await self._predictions.of(asked, interface)
        return Response(await asyncio.to_thread(_rendered, results), media_type="application/json")

    async def _interface(self, config: Any, project: str) -> LabelInterface:
        """Read the interface that comes with a request, or return the one that /setup told of."""
        if config is None and project in self._interfaces:
            return self._interfaces[project]
        if not isinstance(config, str):
            raise ProblemError(422, "the label config is missing; Label Studio sends it as schema or label_config")
        try:
            interface = read_label_config(config)
        except FormatError as error:
            raise ProblemError(422, str(error)) from error
        self._interfaces[project] = interface
        self._interfaces.move_to_end(project)
        while len(self._interfaces) > _PROJECTS:
            self._interfaces.popitem(last=False)
        return interface


def _data(task: Any) -> Mapping[str, Any]:
    """Return a task's data; of what is no task, none, so that it still has its entry in the answer."""
    data = task.get("data") if isinstance(task, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _rendered(results: list[Any]) -> bytes:
    # One by one: a single call of the encoder would keep every other thread of this process waiting until it is through.
    return b'{"results":[' + b",".join(_entry(each) for each in results) + b"]}"


def _entry(entry: Any) -> bytes:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def _document(request: Request) -> Mapping[str, Any]:
    """Return the JSON object in the body.

    Raises:
        ProblemError: 422 it is not one.
    """
    body = await request.body()
    try:
        document = await asyncio.to_thread(_parsed, body) if len(body) > _LARGE else _parsed(body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(422, "the body is not JSON as Label Studio sends it") from error
    if not isinstance(document, dict):
        raise ProblemError(422, "the body must be a JSON object")
    return document


def _parsed(body: bytes) -> Any:
    return json.loads(body, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _install_errors(api: FastAPI) -> None:
    """Make `api` answer errors as ML backends do, which is a problem with two members more."""

    async def on_problem(_: Request, error: Exception) -> Response:
        return _refusal(error if isinstance(error, ProblemError) else ProblemError(500, "an internal fault"))

    async def on_http(_: Request, error: Exception) -> Response:
        status, detail = (
            (error.status_code, str(error.detail)) if isinstance(error, HTTPException) else (500, "an internal fault")
        )
        return _refusal(ProblemError(status, detail))

    api.add_exception_handler(ProblemError, on_problem)
    api.add_exception_handler(HTTPException, on_http)
    api.add_exception_handler(Exception, on_problem)


def _refusal(problem: ProblemError) -> Response:
    said = Problem(type=problem.kind, title=HTTPStatus(problem.status).phrase, status=problem.status, detail=problem.detail)
    headers = {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}
    body = {**said.model_dump(), "request": {}, "result": {}}
    return JSONResponse(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
