"""The REST door: FastAPI over a `serving.backend.Backend`. OpenAPI 3.1 stands at /openapi.json."""

import importlib.metadata
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from contract.errors import SourceError
from contract.predictor import Source
from contract.tables import Kind
from serving.backend import Backend
from serving.config import Limits, ServeSettings
from serving.doors.jobs import add_jobs
from serving.doors.streaming import Streams, wants_lines
from serving.http.documents import (
    EXAMPLES,
    DetectAnswer,
    Health,
    ModelList,
    SentimentAnswer,
    VideoAnswer,
    answer_document,
    detect_request,
    predict_request,
    responses,
    sentiment_request,
    video_request,
)
from serving.http.paths import allowed_path
from serving.http.problems import BodyLimit, ProblemError, install, is_lines
from serving.http.uploads import (
    check_count,
    image_sources,
    media_type,
    text_sources,
    video_sources,
)
from serving.http.wire import MEDIA_TYPE, decode_sources, encode_answer
from serving.jobs import JobBoard

Read = Callable[[Request, ServeSettings], Awaitable[list[Source]]]

_REFUSALS = (400, 404, 413, 415, 422, 500, 503, 504)
_OF_FETCHING = (403, 502)
_STREAMS = frozenset({"/v1/detect", "/v1/sentiment", "/v1/video"})


def rest_door(
    backend: Backend, settings: ServeSettings, board: JobBoard | None = None, *, apart: tuple[str, ...] = ()
) -> FastAPI:
    """Return the REST door of `backend`; nothing is loaded or called until a request comes.

    Args:
        backend: the models.
        settings: of the service.
        board: what keeps the jobs.
        apart: beginnings of the paths under which other doors will be mounted.
    """
    api = FastAPI(
        title="goldgate",
        version=importlib.metadata.version("goldgate"),
        summary="Draft labels for images, texts and videos",
        # Their pages load scripts from elsewhere; the document itself is enough for any viewer.
        docs_url=None,
        redoc_url=None,
    )
    install(api)
    limits = settings.limits
    sizes = {"": limits.max_body_bytes, "/v1/video": limits.max_video_bytes, "/v1/jobs": settings.jobs.max_body_bytes}
    api.add_middleware(BodyLimit, limits=sizes, apart=apart, streams=_STREAMS)
    _add_health(api, backend)
    _add_labelling(api, backend, settings)
    _add_chunks(api, backend, settings)
    add_jobs(api, board, settings)
    return api


def _add_health(api: FastAPI, backend: Backend) -> None:
    @api.get("/healthz", response_model=Health, summary="This process answers; no model is asked")
    async def healthz() -> dict[str, str]:
        return {"status": "up"}

    @api.get("/readyz", response_model=Health, responses=responses([503]), summary="Every model is loaded")
    async def readyz() -> dict[str, str]:
        waiting = await backend.waiting()
        if waiting:
            raise ProblemError(503, f"models not loaded yet: {', '.join(waiting)}", retry_after_s=5)
        return {"status": "ready"}

    @api.get("/v1/models", response_model=ModelList, responses=responses([503, 504]), summary="The models of this service")
    async def list_models() -> dict[str, Any]:
        return {"models": [await backend.describe(kind) for kind in backend.kinds]}


def _add_labelling(api: FastAPI, backend: Backend, settings: ServeSettings) -> None:
    streams = Streams(backend, settings)

    async def answer(
        request: Request, kind: Kind, read: Callable[[Request, ServeSettings], Awaitable[list[Source]]]
    ) -> Response:
        if is_lines(request.scope):
            return await streams.of_lines(kind)
        sources = await read(request, settings)
        if wants_lines(request):
            return await streams.of_sources(kind, sources)
        model, rows = await backend.label(kind, sources)
        return JSONResponse(answer_document(kind, model, rows))

    @api.post(
        "/v1/detect",
        response_model=DetectAnswer,
        openapi_extra=detect_request(),
        responses=responses((*_OF_FETCHING, *_REFUSALS), EXAMPLES["detect"]),
        summary="Boxes on one image or several",
    )
    async def detect(request: Request) -> Response:
        return await answer(request, Kind.IMAGE, image_sources)

    @api.post(
        "/v1/sentiment",
        response_model=SentimentAnswer,
        openapi_extra=sentiment_request(),
        responses=responses(_REFUSALS, EXAMPLES["sentiment"]),
        summary="Sentiment of one text or several",
    )
    async def sentiment(request: Request) -> Response:
        return await answer(request, Kind.TEXT, text_sources)

    @api.post(
        "/v1/video",
        response_model=VideoAnswer,
        openapi_extra=video_request(),
        responses=responses((*_OF_FETCHING, *_REFUSALS), EXAMPLES["video"]),
        summary="Shots, keyframes and events of a video",
    )
    async def video(request: Request) -> Response:
        return await answer(request, Kind.VIDEO, video_sources)


def _add_chunks(api: FastAPI, backend: Backend, settings: ServeSettings) -> None:
    limits: Limits = settings.limits

    @api.post(
        "/v1/predict/{kind}",
        response_class=Response,
        openapi_extra=predict_request(),
        responses={**responses((403, *_REFUSALS)), 200: {"content": {MEDIA_TYPE: {}}, "description": "Rows of answers"}},
        summary="A job's chunk: Arrow IPC stream of item, uri, data in, one row an item out",
    )
    async def predict(kind: Kind, request: Request) -> Response:
        if media_type(request) != MEDIA_TYPE:
            raise ProblemError(415, f"the body must be {MEDIA_TYPE}")
        try:
            sources = decode_sources(await request.body(), kind)
        except SourceError as error:
            raise ProblemError(422, str(error)) from error
        check_count(len(sources), limits.max_job_items)
        answer = await backend.label_many(kind, _readable(sources, settings.allowed_folders))
        return Response(encode_answer(answer), media_type=MEDIA_TYPE)


def _readable(sources: Sequence[Source], folders: Sequence[Path]) -> list[Source]:
    """Let content pass, and paths only under an allowed folder; a caller names no other file of the server."""
    return [
        source
        if source.data is not None
        else Source(item=source.item, kind=source.kind, uri=str(allowed_path(source.uri, folders)))
        for source in sources
    ]
