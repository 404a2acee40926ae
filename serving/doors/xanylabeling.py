"""The X-AnyLabeling door: the protocol of X-AnyLabeling-Server, over a `serving.backend.Backend`.

X-AnyLabeling takes every refusal, whatever its status, for "no shapes", and then empties the label file that it is about to
write. A call that fails is therefore answered as a good one that finds nothing and replaces nothing; what went wrong stands
in the log. Sources: the routes of X-AnyLabeling-Server (docs/router.md) and what its client reads of the answers.
"""

import asyncio
import contextlib
import datetime
import importlib.metadata
import logging
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError, field_validator
from starlette.types import Receive, Scope, Send

from contract.predictor import Description, Source
from contract.tables import Kind, State, Task
from serving.backend import Backend
from serving.config import Door, ServeSettings
from serving.doors.patience import PatientCalls, model_id
from serving.http.bodies import encoded_image, parsed, read_to_the_end
from serving.http.problems import ProblemError, validation_sentence
from serving.http.shapes import install_shape, shaped

logger = logging.getLogger(__name__)

PREDICT: Final = "/v1/predict"
DEADLINE_S: Final = 25.0
"""How long a call may take by default: X-AnyLabeling itself gives up after 30 s, and empties the file."""

_SLACK_S: Final = 2.0
_HEALTH_S: Final = 2.0
_LEAST_SCORE: Final = "conf"  # as detectors describe their own threshold
_CODES: Final = {401: "UNAUTHORIZED", 403: "UNAUTHORIZED", 404: "MODEL_NOT_FOUND", 422: "INVALID_IMAGE"}


class Parameters(BaseModel):
    """What a call may ask of a detector; everything else that X-AnyLabeling sends is for other kinds of models."""

    conf_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Least score; 0 and below it leave the model's own, which is the least that there is."""
    iou_threshold: float | None = None
    """Not honoured: boxes that the model's own suppression took away cannot come back."""
    filter_classes: list[str] | None = None
    """Only boxes of these classes; none named, none left out."""


class Call(BaseModel):
    """The body of /v1/predict: the image as a data: URI or as bare base64."""

    model: str
    image: str
    params: Parameters = Parameters()

    @field_validator("params", mode="before")
    @classmethod
    def _may_be_null(cls, value: Any) -> Any:
        return {} if value is None else value


class Shape(BaseModel):
    """A rectangle: four corners in pixels, clockwise from the top left."""

    label: str
    shape_type: str = "rectangle"
    points: list[list[float]]
    score: float | None
    attributes: dict[str, Any] = {}
    description: str | None = None
    difficult: bool = False
    direction: float = 0
    flags: dict[str, bool] | None = None
    group_id: int | None = None
    kie_linking: list[Any] = []


class Shapes(BaseModel):
    """What a call found; `replace` false keeps what the label file holds, null leaves it to the person's own setting."""

    shapes: list[Shape]
    description: str = ""
    replace: bool | None = None


class PredictAnswer(BaseModel):
    """The answer of /v1/predict, always with status 200."""

    success: bool = True
    data: Shapes


class Widget(BaseModel):
    """A control that X-AnyLabeling shows while the model is chosen."""

    name: str
    value: float | bool | None = None


class ModelInfo(BaseModel):
    """A model as /v1/models tells it."""

    display_name: str
    widgets: list[Widget]
    params: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    batch_processing_mode: str | None = "default"
    classes: list[str]


class ModelDetail(ModelInfo):
    """A model as /v1/models/{id}/info tells it."""

    model_id: str


class ModelsAnswer(BaseModel):
    """The models by their ids."""

    success: bool = True
    data: dict[str, ModelInfo]


class ModelAnswer(BaseModel):
    """One model."""

    success: bool = True
    data: ModelDetail


class ErrorBody(BaseModel):
    """What went wrong, by the protocol's own codes."""

    code: str
    message: str


class Refusal(BaseModel):
    """The answer to a question that has none; the protocol says so with status 200."""

    success: bool = False
    error: ErrorBody


class Health(BaseModel):
    """The answer of /health."""

    status: str
    models_loaded: int
    timestamp: str


def xanylabeling_door(backend: Backend, settings: ServeSettings, *, deadline_s: float | None = None) -> FastAPI:
    """Return the X-AnyLabeling door of `backend`; it lists image models alone.

    Args:
        backend: the models.
        settings: of the service.
        deadline_s: how long a call may take; the settings' or DEADLINE_S if left out.
    """
    api = FastAPI(
        title="goldgate for X-AnyLabeling",
        version=importlib.metadata.version("goldgate"),
        summary="Image models as a remote server of X-AnyLabeling",
        docs_url=None,
        redoc_url=None,
    )
    install_shape(api, _respond)
    patience = PatientCalls(backend, deadline_s=deadline_s or settings.doors[Door.XANYLABELING].deadline_s or DEADLINE_S)
    _add_health(api, backend)
    _add_models(api, backend)
    _add_predict(api, backend, patience, settings.limits.max_body_bytes)
    return api


def _respond(request: Request, problem: ProblemError) -> Response:
    if _asks_for_shapes(request.scope):
        return nothing_lost(problem)
    return shaped(problem, _error(problem))


def _asks_for_shapes(scope: Scope) -> bool:
    # Behind a route prefix the path is the whole one (ASGI), so the end of it decides.
    return str(scope["path"]).endswith(PREDICT)


def _error(problem: ProblemError) -> dict[str, Any]:
    code = _CODES.get(problem.status, "INFERENCE_ERROR")
    return {"success": False, "error": {"code": code, "message": problem.detail}}


def nothing_lost(problem: ProblemError) -> Response:
    """Return the answer of /v1/predict that leaves a label file as it is, and log what it stands for."""
    logger.warning("X-AnyLabeling's call is answered without shapes: %s", problem.detail)
    return JSONResponse(PredictAnswer(data=Shapes(shapes=[], replace=False)).model_dump())


async def refuse(problem: ProblemError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that may not pass, such as one without a key, for whatever stands before this door.

    Where it asks for shapes, its body is taken to the end first, and the answer leaves the label file as it is: a key
    that runs out in the middle of a folder must not empty the files that are still to come.
    """
    request = Request(scope, receive)
    if _asks_for_shapes(scope):
        with contextlib.suppress(ProblemError):  # of a body that is not kept, any size is too large
            await read_to_the_end(request, 0)
    await _respond(request, problem)(scope, receive, send)


def _add_health(api: FastAPI, backend: Backend) -> None:
    @api.get("/health", response_model=Health, summary="This process answers; a cluster that does not tell counts as none")
    async def health() -> dict[str, Any]:
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        timestamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"status": "healthy", "models_loaded": await _loaded(backend), "timestamp": timestamp}


async def _loaded(backend: Backend) -> int:
    """Return how many of the models that this door lists are loaded."""
    if Kind.IMAGE not in backend.kinds:
        return 0
    try:
        waiting = await asyncio.wait_for(backend.waiting(), _HEALTH_S)
    except (ProblemError, asyncio.TimeoutError):
        return 0
    return 0 if Kind.IMAGE.value in waiting else 1


def _add_models(api: FastAPI, backend: Backend) -> None:
    @api.get("/v1/models", response_model=ModelsAnswer, summary="The image models by their ids")
    async def list_models() -> ModelsAnswer:
        if Kind.IMAGE not in backend.kinds:
            return ModelsAnswer(data={})
        model = await backend.describe(Kind.IMAGE)
        return ModelsAnswer(data={model_id(model.name): _info(model)})

    @api.get(
        "/v1/models/{name}/info",
        response_model=ModelAnswer | Refusal,
        summary="One model; success is false where there is no such one",
    )
    async def get_model(name: str) -> Response:
        model = await backend.describe(Kind.IMAGE) if Kind.IMAGE in backend.kinds else None
        if model is None or not _is_called(model, name):
            return JSONResponse(_error(_unknown(name)))
        detail = ModelDetail(model_id=model_id(model.name), **_info(model).model_dump())
        return JSONResponse(ModelAnswer(data=detail).model_dump())


def _info(model: Description) -> ModelInfo:
    least = model.settings.get(_LEAST_SCORE)
    widgets = [
        Widget(name="button_run"),
        Widget(name="input_conf"),
        Widget(name="edit_conf", value=least if isinstance(least, float) else 0.0),
        Widget(name="toggle_preserve_existing_annotations", value=False),
    ]
    return ModelInfo(display_name=f"{model.name} (goldgate)", widgets=widgets, classes=list(model.classes))


def _is_called(model: Description, name: str) -> bool:
    return name in (model.name, model_id(model.name))


def _unknown(name: str) -> ProblemError:
    return ProblemError(404, f"model {name[:100]!r} is not loaded; GET /v1/models lists those that are")


def _add_predict(api: FastAPI, backend: Backend, patience: PatientCalls, limit: int) -> None:
    body = {"required": True, "content": {"application/json": {"schema": _inline_schema()}}}

    @api.post(
        PREDICT,
        response_model=PredictAnswer,
        openapi_extra={"requestBody": body},
        summary="Rectangles on one image; what fails is answered as finding nothing and replacing nothing",
    )
    async def predict(request: Request) -> Response:
        content = await read_to_the_end(request, limit)
        try:
            found = await asyncio.wait_for(_shapes(content, backend, patience), patience.deadline_s + _SLACK_S)
        except asyncio.TimeoutError as error:
            raise ProblemError(504, "the answer took too long") from error
        return JSONResponse(PredictAnswer(data=found).model_dump())


def _inline_schema() -> dict[str, Any]:
    schema = Call.model_json_schema()
    schema["properties"]["params"] = schema.pop("$defs")["Parameters"]
    return schema


async def _shapes(body: bytes, backend: Backend, patience: PatientCalls) -> Shapes:
    """Return what the model finds for a call.

    Raises:
        ProblemError: the body, the image or the model is not one that can be answered.
    """
    call, content = await parsed(body, _call)
    if not _is_called(await backend.describe(Kind.IMAGE), call.model):
        raise _unknown(call.model)
    _, row = await patience.label(Source(item="image", kind=Kind.IMAGE, uri="", data=content))
    if row["state"] == State.REJECTED.value:
        raise ProblemError(422, f"the image is rejected: {row['reason']}")
    return Shapes(shapes=[shape(box) for box in row[Task.BOXES.value] if _is_wanted(box, call.params)])


def _call(body: bytes) -> tuple[Call, bytes]:
    try:
        call = Call.model_validate_json(body)
    except ValidationError as error:
        raise ProblemError(422, validation_sentence([dict(each) for each in error.errors()])) from error
    return call, encoded_image(call.image)


def _is_wanted(box: Mapping[str, Any], asked: Parameters) -> bool:
    if asked.filter_classes and box["label"] not in asked.filter_classes:
        return False
    return not asked.conf_threshold or box["score"] is None or bool(box["score"] >= asked.conf_threshold)


def shape(box: Mapping[str, Any]) -> Shape:
    """Return a row of `Task.BOXES` as a rectangle of this protocol."""
    left, top, right, bottom = box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return Shape(label=box["label"], points=points, score=box["score"])
