"""The calls of the REST door without any sending: what goes out, and how the answer is read.

Both shells (`serving.client.shells`) send these, so that they cannot differ.
"""

import base64
import datetime
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from contract.errors import InputError, LabelsError
from contract.predictor import Description, Source
from contract.tables import Kind, Task
from serving.client.errors import ForeignAnswerError
from serving.client.files import UnreadFile
from serving.http.documents import DetectAnswer, SentimentAnswer, VideoAnswer
from serving.http.jobdocuments import JobList
from serving.http.wire import MEDIA_TYPE as ARROW
from serving.http.wire import decode_answer, encode_sources
from serving.jobs import JobStatus, RejectedPage, ResultFormat

Answer = TypeVar("Answer")
Document = TypeVar("Document", bound=BaseModel)

Media = bytes | Path | str
"""An item: its content, a file here, or an address that the service fetches itself (where its operator allows it)."""


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """A request, and how its answer is read.

    Args:
        method: of HTTP.
        path: below the service's address.
        read: makes the answer of a good response; raises ForeignAnswerError.
        arguments: the rest, as httpx takes it.
        again: whether the call may be sent once more after a 429 or 503.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], Answer]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    again: bool = True


def _document(model: type[Document]) -> Callable[[httpx.Response], Document]:
    def read(response: httpx.Response) -> Document:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ForeignAnswerError(
                f"{response.url}: not the answer of a goldgate service; check that client and server are of one version"
            ) from error

    return read


def json_bytes(document: Any) -> bytes:
    """Return `document` as the body of a call; half of a surrogate pair, which UTF-8 cannot hold, becomes a question mark.

    Raises:
        InputError: it holds what JSON cannot.
    """
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False, default=_plain).encode("utf-8", errors="replace")
    except (ValueError, TypeError) as error:
        raise InputError(f"the call holds what JSON cannot ({error})") from error


def _plain(value: object) -> str:
    if isinstance(value, datetime.date):  # YAML has dates of its own, and contracts are YAML
        return value.isoformat()
    raise InputError(f"the call holds what JSON cannot ({type(value).__name__})")


def _json(document: Any) -> dict[str, Any]:
    return {"content": json_bytes(document), "headers": {"content-type": "application/json"}}


def healthy() -> Call[bool]:
    """Whether every model is loaded; a service that says no is not asked again."""
    return Call("GET", "/readyz", lambda response: response.is_success, again=False)


class _Models(BaseModel):
    models: list[Description]


def models() -> Call[list[Description]]:
    """The models of the service."""

    def read(response: httpx.Response) -> list[Description]:
        try:
            return _Models.model_validate_json(response.content).models
        except ValidationError as error:
            address = str(response.url).removesuffix("/v1/models")
            raise ForeignAnswerError(
                f"{address}: GET /v1/models is not that of a goldgate service; check the address"
            ) from error

    return Call("GET", "/v1/models", read)


def detect(images: Sequence[Media]) -> Call[DetectAnswer]:
    """Boxes on images."""
    return Call(
        "POST", "/v1/detect", _document(DetectAnswer), _json({"images": [image_document(*each) for each in _named(images)]})
    )


def image_document(item: str, media: Media) -> dict[str, str]:
    """Return an image as calls and lines have it.

    Raises:
        InputError: its file cannot be read.
    """
    if isinstance(media, str):
        return {"item": item, "uri": media}
    return {"item": item, "data": base64.b64encode(content_of(media)).decode()}


def _named(media: Sequence[Media]) -> list[tuple[str, Media]]:
    return [(name_of(index, each), each) for index, each in enumerate(media)]


def name_of(index: int, media: Media) -> str:
    """Return what the item `index` of a call is known by."""
    return media.name if isinstance(media, Path) else str(index)


def content_of(media: bytes | Path) -> bytes:
    """Return the content of an item.

    Raises:
        InputError: its file cannot be read.
    """
    if isinstance(media, bytes):
        return media
    try:
        return media.read_bytes()
    except OSError as error:
        raise InputError(f"{media}: cannot be read ({error.strerror})") from error


def sentiment(texts: Sequence[str]) -> Call[SentimentAnswer]:
    """Sentiment of texts."""
    return Call("POST", "/v1/sentiment", _document(SentimentAnswer), _json({"texts": list(texts)}))


def video(media: Media) -> Call[VideoAnswer]:
    """Shots, keyframes and events of a video."""
    if isinstance(media, str):
        return Call("POST", "/v1/video", _document(VideoAnswer), _json({"uri": media}))
    return Call("POST", "/v1/video", _document(VideoAnswer), {"files": [_part(name_of(0, media), media)]})


def _part(name: str, media: bytes | Path) -> tuple[str, tuple[str, Any]]:
    """Return a file of a form; those here are read as they are sent."""
    name = name.encode("utf-8", errors="replace").decode()
    return "file", (name, media if isinstance(media, bytes) else UnreadFile(media))


def label_chunk(kind: Kind, sources: Sequence[Source]) -> Call[pa.Table]:
    """Answer rows for a job's chunk, as `contract.answers` has them."""

    def read(response: httpx.Response) -> pa.Table:
        try:
            return decode_answer(response.content, kind)
        except LabelsError as error:
            raise ForeignAnswerError(f"{response.url}: {error}; check that client and server are of one version") from error

    arguments = {"content": encode_sources(sources), "headers": {"content-type": ARROW}}
    return Call("POST", f"/v1/predict/{kind.value}", read, arguments, again=False)  # a job has a patience of its own


@dataclass(frozen=True)
class Order:
    """What a job is to label.

    Args:
        contract: id of a contract in the service's work folder, or its document.
        lot: a plain name.
        sources: files and folders of the service's machine.
        texts: contents, in order.
        images: files here or contents, each called by its name or number; together no more than a body of JSON may hold.
        files: images, videos and texts here, each called by its name; sent as they are read, so that there may be many.
        idempotency_key: word for this very order; sent again, it gives the same job.
    """

    contract: str | Mapping[str, Any]
    lot: str
    sources: Sequence[str] = ()
    texts: Sequence[str] = ()
    images: Sequence[bytes | Path] = ()
    files: Sequence[Path] = ()
    idempotency_key: str | None = None


def submit(order: Order) -> Call[JobStatus]:
    """Order a job."""
    contract = order.contract if isinstance(order.contract, str) else dict(order.contract)
    body: dict[str, Any] = {"contract": contract, "lot": order.lot}
    if order.sources:
        body["sources"] = list(order.sources)
    if order.texts:
        body["texts"] = list(order.texts)
    if order.images:
        body["images"] = [image_document(*each) for each in _named(order.images)]
    arguments = _form(body, order.files) if order.files else _json(body)
    if order.idempotency_key is not None:
        arguments["headers"] |= {"idempotency-key": _checked(order.idempotency_key)}
    return Call("POST", "/v1/jobs", _document(JobStatus), arguments)


def _form(body: Mapping[str, Any], files: Sequence[Path]) -> dict[str, Any]:
    """Return an order with its files; what is no plain word in `body` stands in its field as JSON."""
    for path in files:
        if '"' in path.name or not path.name.isprintable():
            raise InputError(f"{str(path)!r}: a form cannot hold this name; rename it, or send it among the images")
    fields = {name: value if isinstance(value, str) else json_bytes(value).decode() for name, value in body.items()}
    return {"data": fields, "files": [_part(path.name, path) for path in files], "headers": {}}


def _checked(idempotency_key: str) -> str:
    if not (idempotency_key.isascii() and idempotency_key.isprintable() and idempotency_key.strip() == idempotency_key):
        raise InputError(f"idempotency_key {idempotency_key!r}: write it in printable ASCII, without blanks around it")
    return idempotency_key


def jobs() -> Call[list[JobStatus]]:
    """All jobs, the newest first."""
    read = _document(JobList)
    return Call("GET", "/v1/jobs", lambda response: read(response).jobs)


def job(job_id: str) -> Call[JobStatus]:
    """How far a job is."""
    return Call("GET", _job_path(job_id), _document(JobStatus))


def cancel(job_id: str) -> Call[JobStatus]:
    """Stop a job after the chunks under way."""
    return Call("POST", f"{_job_path(job_id)}/cancel", _document(JobStatus))


def events_path(job_id: str) -> str:
    """Return where a job's events stream."""
    return f"{_job_path(job_id)}/events"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def results(job_id: str, task: Task) -> Call[pa.Table]:
    """The labels of a finished job as the flat table of `contract.tables`."""

    def read(response: httpx.Response) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(response.content))
        except (pa.ArrowInvalid, OSError) as error:
            raise ForeignAnswerError(f"{response.url}: the answer is no Parquet file") from error

    return _results(job_id, task, ResultFormat.PARQUET, read)


def coco(job_id: str) -> Call[dict[str, Any]]:
    """The boxes of a finished job as a COCO document."""

    def read(response: httpx.Response) -> dict[str, Any]:
        try:
            document = response.json()
        except ValueError as error:
            raise ForeignAnswerError(f"{response.url}: the answer is no JSON document") from error
        if not isinstance(document, dict):
            raise ForeignAnswerError(f"{response.url}: the answer is no COCO document")
        return document

    return _results(job_id, Task.BOXES, ResultFormat.COCO, read)


def _results(job_id: str, task: Task, form: ResultFormat, read: Callable[[httpx.Response], Answer]) -> Call[Answer]:
    return Call("GET", f"{_job_path(job_id)}/results", read, {"params": {"task": task.value, "format": form.value}})


def rejects(job_id: str, *, offset: int, limit: int) -> Call[RejectedPage]:
    """Some of a finished job's entries without labels, with their reasons."""
    arguments = {"params": {"offset": offset, "limit": limit}}
    return Call("GET", f"{_job_path(job_id)}/rejects", _document(RejectedPage), arguments)
