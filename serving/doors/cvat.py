"""The CVAT door: what CVAT's automatic annotation asks of a Nuclio dashboard, over a `serving.backend.Backend`.

Each image model is a function of type detector. CVAT keeps no confidence of a shape, so that every box carries its score
as a text attribute, too. Sources: cvat/apps/lambda_manager of CVAT 2.x and serverless/, docs.cvat.ai "Serverless tutorial".
"""

import importlib.metadata
import json
import logging
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError

from contract.predictor import Description, Source
from contract.tables import Kind, State, Task
from serving.backend import Backend
from serving.config import Door, ServeSettings
from serving.doors.patience import PatientCalls, model_id
from serving.http.bodies import encoded_image, parsed
from serving.http.problems import BodyLimit, ProblemError, validation_sentence
from serving.http.shapes import install_shape, shaped

logger = logging.getLogger(__name__)

SCORE: Final = "score"
"""The attribute that carries a box's score. Text, for CVAT takes digits alone for a number."""

DEADLINE_S: Final = 100.0
"""How long a call may take by default: CVAT itself gives up after 120 s (CVAT_NUCLIO_DEFAULT_TIMEOUT)."""

_NAME_HEADER: Final = "x-nuclio-function-name"
_TIMEOUT_HEADER: Final = "x-nuclio-invoke-timeout"
_SECONDS: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")
_PATIENT_SHARE: Final = 0.85


class FunctionError(BaseModel):
    """The body of every error."""

    error: str


class Metadata(BaseModel):
    """A function's name, and what CVAT reads of its annotations: all text, `spec` a JSON document in a string."""

    name: str
    annotations: dict[str, str]


class Spec(BaseModel):
    """What people read of a function."""

    description: str


class Status(BaseModel):
    """A function's state, and the port for calls without the dashboard; 0 where the door has none of its own."""

    state: str
    httpPort: int  # noqa: N815 - the protocol's own word


class Function(BaseModel):
    """A function as the dashboard lists it."""

    metadata: Metadata
    spec: Spec
    status: Status


class Invocation(BaseModel):
    """A detector's call: one encoded image in base64; no threshold leaves the model's own."""

    image: str
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None


class Attribute(BaseModel):
    """An attribute of a shape; every value is text."""

    name: str
    value: str


class Rectangle(BaseModel):
    """A box: `points` are x1, y1, x2, y2 in pixels."""

    confidence: str | None = None
    label: str
    points: list[float]
    type: str = "rectangle"
    attributes: list[Attribute]


def cvat_door(backend: Backend, settings: ServeSettings, *, deadline_s: float | None = None) -> FastAPI:
    """Return the CVAT door of `backend`; models of other kinds than images have no place in CVAT and are not listed.

    Args:
        backend: the models.
        settings: of the service.
        deadline_s: how long a call may take; the settings' or DEADLINE_S if left out.
    """
    api = FastAPI(
        title="goldgate for CVAT",
        version=importlib.metadata.version("goldgate"),
        summary="Image models as functions of CVAT's automatic annotation",
        docs_url=None,
        redoc_url=None,
    )
    install_shape(api, lambda _, problem: shaped(problem, {"error": problem.detail}))
    api.add_middleware(BodyLimit, limits={"": settings.limits.max_body_bytes})
    mine = settings.doors[Door.CVAT]
    functions = _Functions(backend, port=mine.port or 0)
    patience = PatientCalls(backend, deadline_s=deadline_s or mine.deadline_s or DEADLINE_S)
    _add_list(api, functions)
    _add_calls(api, functions, patience)
    return api


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": FunctionError, "description": "One sentence of what is wrong"} for status in statuses}


def _add_list(api: FastAPI, functions: "_Functions") -> None:
    @api.get(
        "/api/functions",
        response_model=dict[str, Function],
        responses=_errors(503, 504),
        summary="The functions by name: one for each image model",
    )
    async def list_functions() -> dict[str, Function]:
        return {each.metadata.name: each for each in await functions.all()}

    @api.get(
        "/api/functions/{name}",
        response_model=Function,
        responses=_errors(404, 503, 504),
        summary="One function by its name",
    )
    async def get_function(name: str) -> Function:
        return await functions.get(name)


_REQUEST: Final = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Invocation.model_json_schema()}}}
}
_CALL_ERRORS: Final = (404, 413, 422, 500, 503, 504)


def _add_calls(api: FastAPI, functions: "_Functions", patience: PatientCalls) -> None:
    header = {"name": _NAME_HEADER, "in": "header", "required": True, "schema": {"type": "string"}}

    @api.post(
        "/api/function_invocations",
        response_model=list[Rectangle],
        openapi_extra={**_REQUEST, "parameters": [header]},
        responses=_errors(400, *_CALL_ERRORS),
        summary="Call a function by its name in the header x-nuclio-function-name",
    )
    async def invoke(request: Request) -> Response:
        name = request.headers.get(_NAME_HEADER)
        if not name:
            raise ProblemError(400, f"the header {_NAME_HEADER} must name a function; GET /api/functions lists them")
        await functions.get(name)
        return await _call(request, patience)

    @api.post(
        "/",
        response_model=list[Rectangle],
        openapi_extra=_REQUEST,
        responses=_errors(*_CALL_ERRORS),
        summary="Call the one function, as CVAT does without the dashboard on the port of its own",
    )
    async def invoke_directly(request: Request) -> Response:
        return await _call(request, patience)


async def _call(request: Request, patience: PatientCalls) -> Response:
    threshold, content = await parsed(await request.body(), _invocation)
    source = Source(item="frame", kind=Kind.IMAGE, uri="", data=content)
    _, row = await patience.label(source, deadline_s=_told_deadline(request))
    if row["state"] == State.REJECTED.value:
        # An error would end CVAT's job with all frames that are still to come; this one stays without a draft.
        logger.warning("CVAT sent a frame that is answered without shapes: %s", row["reason"])
    shapes = [rectangle(box) for box in row[Task.BOXES.value] if _reaches(box, threshold)]
    return JSONResponse([shape.model_dump(exclude_none=True) for shape in shapes])


def _invocation(body: bytes) -> tuple[float | None, bytes]:
    """Return threshold and image of a call's body."""
    try:
        call = Invocation.model_validate_json(body)
    except ValidationError as error:
        raise ProblemError(422, validation_sentence([dict(each) for each in error.errors()])) from error
    return call.threshold, encoded_image(call.image)


def _told_deadline(request: Request) -> float | None:
    """Return the time that CVAT says it waits, less what the way back takes; None where it does not say."""
    found = _SECONDS.fullmatch(request.headers.get(_TIMEOUT_HEADER, ""))
    seconds = float(found[1]) if found else 0.0
    return _PATIENT_SHARE * seconds if seconds else None


def _reaches(box: Mapping[str, Any], threshold: float | None) -> bool:
    return not threshold or box["score"] is None or bool(box["score"] >= threshold)


def rectangle(box: Mapping[str, Any]) -> Rectangle:
    """Return a row of `Task.BOXES` as CVAT's shape; its score to four places, as text."""
    score = None if box["score"] is None else f"{box['score']:.4f}"
    return Rectangle(
        confidence=score,
        label=box["label"],
        points=[box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]],
        attributes=[] if score is None else [Attribute(name=SCORE, value=score)],
    )


class _Functions:
    """The functions of the door: today one, for a service has one model a kind."""

    def __init__(self, backend: Backend, *, port: int) -> None:
        self._backend = backend
        self._port = port

    async def all(self) -> list[Function]:
        if Kind.IMAGE not in self._backend.kinds:
            return []
        return [function(await self._backend.describe(Kind.IMAGE), port=self._port)]

    async def get(self, name: str) -> Function:
        found = next((each for each in await self.all() if each.metadata.name == name), None)
        if found is None:
            raise ProblemError(404, "Function not found")
        return found


def function(model: Description, *, port: int) -> Function:
    """Return the function of an image model; its name holds no version, so that a newer one takes its place in CVAT."""
    labels = [
        {
            "id": index,
            "name": name,
            "type": "rectangle",
            "attributes": [{"name": SCORE, "input_type": "text", "values": []}],
        }
        for index, name in enumerate(dict.fromkeys(model.classes))
    ]
    annotations = {
        "name": f"{model.name} (goldgate)",
        "type": "detector",
        "framework": model.runtime,
        "version": "1",  # CVAT reads a whole number; the model's own version stands in the description
        "help_message": f"{model.source}; every box carries its score as the text attribute '{SCORE}'",
        "spec": json.dumps(labels, ensure_ascii=False),
    }
    return Function(
        metadata=Metadata(name=f"goldgate-{model_id(model.name)}", annotations=annotations),
        spec=Spec(description=f"{model.source}, {len(labels)} classes"),
        status=Status(state="ready", httpPort=port),
    )
