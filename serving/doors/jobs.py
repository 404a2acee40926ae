"""Jobs of the REST door: ordered, followed, cancelled and fetched under /v1/jobs."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Annotated, Final

from fastapi import FastAPI, Header, Path, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from contract.errors import InputError, StageError, StorageError
from contract.tables import Task
from serving.config import ServeSettings
from serving.http.documents import responses
from serving.http.events import HEADERS, MEDIA_TYPE, job_events
from serving.http.jobdocuments import JOB, JOBS, REJECTS, JobList, order_request
from serving.http.orders import read_order
from serving.http.problems import ProblemError
from serving.jobs import (
    BoardFullError,
    JobBoard,
    JobConflictError,
    JobStatus,
    NoSuchJobError,
    OrderMismatchError,
    RejectedPage,
    ResultFormat,
)

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Kept = Callable[[], JobBoard]

_RETRY_AFTER_S: Final = 30
_MEDIA: Final = {
    ResultFormat.PARQUET: "application/vnd.apache.parquet",
    ResultFormat.COCO: "application/json",
    ResultFormat.JSONL: "application/x-ndjson",
}


def add_jobs(api: FastAPI, board: JobBoard | None, settings: ServeSettings) -> None:
    """Add the calls about jobs to `api`; without a board each of them says that there are none."""

    def kept() -> JobBoard:
        if board is None:
            raise ProblemError(404, "this service keeps no jobs: its settings name no work folder (work)")
        return board

    _add_orders(api, kept, settings)
    _add_following(api, kept, settings)
    _add_results(api, kept)


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Turn what a board raises into problems."""
    try:
        yield
    except NoSuchJobError as error:
        raise ProblemError(404, str(error)) from error
    except (JobConflictError, StageError) as error:
        raise ProblemError(409, str(error)) from error
    except BoardFullError as error:
        raise ProblemError(503, str(error), retry_after_s=_RETRY_AFTER_S) from error
    except StorageError as error:
        raise ProblemError(507, str(error)) from error
    except (OrderMismatchError, InputError) as error:
        raise ProblemError(422, str(error)) from error


def _add_orders(api: FastAPI, kept: Kept, settings: ServeSettings) -> None:
    @api.post(
        "/v1/jobs",
        status_code=202,
        response_model=JobStatus,
        openapi_extra=order_request(),
        responses=responses((400, 403, 404, 409, 413, 415, 422, 503, 507)) | {202: JOB, 200: JOB},
        summary="Order a job: take in a lot and label it; the same order again is the same job",
    )
    async def order(
        request: Request, idempotency_key: Annotated[str | None, Header(description="A word for this very order")] = None
    ) -> Response:
        jobs = kept()
        async with read_order(request, settings) as ordered:
            with _problems():
                status, new = await asyncio.to_thread(jobs.submit, ordered)
        location = f"{request.scope.get('root_path', '')}/v1/jobs/{status.id}"
        return JSONResponse(status.model_dump(mode="json"), status_code=202 if new else 200, headers={"location": location})

    @api.post(
        "/v1/jobs/{job}/cancel",
        response_model=JobStatus,
        responses=responses((404, 409, 422)) | {200: JOB},
        summary="Stop a job after the chunks under way; what is finished stays, and the same order goes on from there",
    )
    async def cancel(job: JobId) -> JobStatus:
        with _problems():
            return await asyncio.to_thread(kept().cancel, job)

    @api.delete(
        "/v1/jobs/{job}",
        response_model=JobStatus,
        responses=responses((404, 409, 422)) | {200: JOB},
        summary="The same as cancel",
    )
    async def delete(job: JobId) -> JobStatus:
        with _problems():
            return await asyncio.to_thread(kept().cancel, job)


def _add_following(api: FastAPI, kept: Kept, settings: ServeSettings) -> None:
    @api.get("/v1/jobs", response_model=JobList, responses=responses([404]) | {200: JOBS}, summary="All jobs, newest first")
    async def list_jobs() -> JobList:
        return JobList(jobs=kept().jobs())

    @api.get(
        "/v1/jobs/{job}", response_model=JobStatus, responses=responses((404, 422)) | {200: JOB}, summary="How far a job is"
    )
    async def status(job: JobId) -> JobStatus:
        with _problems():
            return kept().status(job)

    @api.get(
        "/v1/jobs/{job}/events",
        response_class=Response,
        responses=responses((404, 422))
        | {200: {"content": {MEDIA_TYPE: {}}, "description": "Events progress, and at last end"}},
        summary="Server-sent events: the status as it changes, until the job is over",
    )
    async def events(job: JobId, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        jobs = kept()
        with _problems():
            jobs.status(job)
        stream = job_events(lambda: jobs.status(job), last_id=last_event_id, heartbeat_s=settings.jobs.heartbeat_s)
        return StreamingResponse(stream, media_type=MEDIA_TYPE, headers=HEADERS)


def _add_results(api: FastAPI, kept: Kept) -> None:
    @api.get(
        "/v1/jobs/{job}/results",
        response_class=Response,
        responses=responses((404, 409, 422, 507)) | {200: {"content": {media: {} for media in _MEDIA.values()}}},
        summary="The labels of a task, as a file: the flat table, COCO, or JSON Lines",
    )
    async def results(
        job: JobId, task: Task, format_: Annotated[ResultFormat, Query(alias="format")] = ResultFormat.PARQUET
    ) -> Response:
        with _problems():
            path = await asyncio.to_thread(kept().results, job, task, format_)
        return FileResponse(path, media_type=_MEDIA[format_], filename=path.name)

    @api.get(
        "/v1/jobs/{job}/rejects",
        response_model=RejectedPage,
        responses=responses((404, 409, 422)) | {200: REJECTS},
        summary="Entries without labels, with reasons: turned down at intake, or by a model",
    )
    async def rejects(
        job: JobId, offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000
    ) -> RejectedPage:
        with _problems():
            return await asyncio.to_thread(lambda: kept().rejected(job, offset=offset, limit=limit))
