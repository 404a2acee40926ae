"""The status page: GET and POST /. Rendered here, whole without scripts, and with nothing from elsewhere."""

import asyncio
import datetime
import importlib.metadata
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import jinja2
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from serving.backend import Backend
from serving.config import Door, ServeSettings
from serving.http.problems import ProblemError
from serving.jobs import JobBoard
from serving.watch import pageview
from serving.watch.gpu import read_gpus
from serving.watch.pagewords import Language, language_of, spoken
from serving.watch.tryit import Bench, Tried
from serving.watch.watching import Watch

_REFRESH_MS: Final = 5000


@dataclass(frozen=True)
class Shown:
    """What the page shows.

    Args:
        backend: the models.
        settings: of the service.
        watch: tells of the last minutes.
        prefixes: where each door stands on the shared port.
        jobs: tells of the jobs; None where the service keeps none.
    """

    backend: Backend
    settings: ServeSettings
    watch: Watch
    prefixes: Mapping[Door, str]
    jobs: JobBoard | None = None


def add_page(api: FastAPI, shown: Shown) -> None:
    """Let `api` answer people at /."""
    environment = _environment()
    bench = Bench(shown.backend)

    @api.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await _answer(environment, shown, request, None)

    @api.post("/", include_in_schema=False)
    async def tried(request: Request) -> Response:
        _check_origin(request)
        return await _answer(environment, shown, request, await bench.tried(request))


async def _answer(environment: jinja2.Environment, shown: Shown, request: Request, tried: Tried | None) -> Response:
    language = language_of(request.query_params.get("lang"), request.headers.get("accept-language", ""))
    nonce = secrets.token_urlsafe(16)
    values = await _values(shown, language)
    if request.query_params.get("part") == "live":
        html = environment.get_template("live.html.j2").render(t=_translator(language), **values)
        return HTMLResponse(html, headers=_headers(nonce, language))
    base = str(request.base_url).rstrip("/")
    html = await asyncio.to_thread(
        environment.get_template("page.html.j2").render,
        t=_translator(language),
        language=language,
        nonce=nonce,
        refresh_ms=_REFRESH_MS,
        base=base,
        kinds=[kind.value for kind in shown.backend.kinds],
        doors=pageview.door_rows(language, shown.settings, shown.prefixes, base),
        tried=tried,
        **values,
    )
    return HTMLResponse(html, status_code=200 if tried is None else tried.status, headers=_headers(nonce, language))


async def _values(shown: Shown, language: Language) -> dict[str, Any]:
    watch, kinds = shown.watch, shown.backend.kinds
    models = await watch.roster.models(shown.backend)
    gpus = await asyncio.to_thread(read_gpus)
    waiting, figures = watch.waiting_items(), watch.rates.figures()
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    known = [] if shown.jobs is None else await asyncio.to_thread(shown.jobs.jobs)
    jobs, jobs_left = pageview.job_rows(language, known, now.date())
    return {
        "version": importlib.metadata.version("goldgate"),
        "now": now.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC"),
        "models": pageview.model_rows(language, models, shown.settings),
        "tiles": pageview.tiles(language, figures, waiting, watch.metrics.memory(), gpus),
        "flows": pageview.flow_rows(language, kinds, figures, waiting),
        "course": pageview.course(watch.rates.course),
        "jobs": jobs,
        "jobs_left": jobs_left,
        "has_jobs": shown.jobs is not None,
    }


def _translator(language: Language) -> Any:
    def translate(key: str, **values: object) -> str:
        return spoken(language, key, **values)

    return translate


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("serving.watch"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _headers(nonce: str, language: Language) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "content-language": language,
        "x-content-type-options": "nosniff",
        # Stricter policies hide the origin of the page's own forms, too.
        "referrer-policy": "same-origin",
        "cache-control": "no-store",
        "vary": "accept-language",
    }


def _check_origin(request: Request) -> None:
    """Let only the page's own forms in: a page elsewhere must not spend a visitor's rights here.

    Raises:
        ProblemError: 403 the form is not known to be the page's own.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        own = site == "same-origin"
    else:
        own = urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host")
    if not own:
        raise ProblemError(403, "this form is for the page itself; programs send to /v1/detect and /v1/sentiment")
