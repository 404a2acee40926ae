"""GET /metrics."""

import asyncio
from collections import Counter

from fastapi import FastAPI, Request
from fastapi.responses import Response

from serving.backend import Backend
from serving.jobs import JobBoard
from serving.watch.watching import Watch


def add_metrics(api: FastAPI, backend: Backend, watch: Watch, jobs: JobBoard | None = None) -> None:
    """Let `api` answer Prometheus at /metrics, in its text form or in that of OpenMetrics."""

    @api.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        models = await watch.roster.models(backend)
        watch.metrics.models(
            {each.kind: each.description for each in models if each.description is not None},
            {each.kind: each.loaded for each in models if each.loaded is not None},
        )
        if jobs is not None:
            watch.metrics.jobs(Counter(job.state.value for job in await asyncio.to_thread(jobs.jobs)))
        # In a thread: the driver of a GPU takes its time to answer.
        page, media_type = await asyncio.to_thread(watch.metrics.page, request.headers.get("accept"))
        return Response(page, headers={"content-type": media_type})
