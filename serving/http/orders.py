"""Orders of jobs as they come over HTTP: JSON, or multipart with files."""

import asyncio
import base64
import binascii
import contextlib
import glob
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Final, cast

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from serving.config import Limits, ServeSettings
from serving.http.fetch import is_file_uri, path_of
from serving.http.paths import allowed_path
from serving.http.problems import ProblemError, validation_sentence
from serving.http.uploads import media_type
from serving.jobs import Content, JobOrder

TEXTS_FILE: Final = "texts.jsonl"
_LOT: Final = r"^[\w-][\w.-]{0,59}$"
_LONGEST_KEY: Final = 200
_FIELDS: Final = 8


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OrderedText(_Body):
    """A text and a word to know it by."""

    item: str | None = None
    text: str


class OrderedImage(_Body):
    """An image: its encoded file in base64, and the name of its file."""

    item: str | None = None
    data: str


class OrderBody(_Body):
    """An order: the contract's id or its document, the lot's name, and what is in the lot.

    `sources` are files and folders of the server; a lot that stands in the work folder already needs none.
    """

    contract: str | dict[str, Any]
    lot: Annotated[str, Field(pattern=_LOT)]
    sources: list[str] = []
    texts: list[str | OrderedText] = []
    images: list[OrderedImage] = []


@contextlib.asynccontextmanager
async def read_order(request: Request, settings: ServeSettings) -> AsyncIterator[JobOrder]:
    """Give the order in `request`; its files are there for as long as the context lasts.

    Raises:
        ProblemError: 403 a source that the service may not read, 413 too much, 415 and 422 not an order.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise ProblemError(422, f"Idempotency-Key must have 1 to {_LONGEST_KEY} characters")
    if media_type(request) != "multipart/form-data":
        body = _parsed(await _json_bytes(request, settings.limits))
        contents = await asyncio.to_thread(lambda: list(_inline(body)))
        yield _order(body, contents, key, settings)
        return
    most = settings.jobs.max_contents
    async with request.form(max_files=most, max_fields=_FIELDS, max_part_size=settings.limits.max_body_bytes) as form:
        files: list[Content] = []
        fields: dict[str, Any] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.append(Content(value.filename or name, cast("IO[bytes]", value.file)))
            else:
                fields[name] = value
        body = _parsed(json.dumps(_decoded_fields(fields)).encode())
        yield _order(body, [*files, *_inline(body)], key, settings)


def _decoded_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the form's fields, each as JSON where it is a JSON object or list."""
    decoded: dict[str, Any] = {}
    for name, value in fields.items():
        decoded[name] = value
        if value.lstrip().startswith(("{", "[")):
            try:
                decoded[name] = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ProblemError(422, f"{name}: begins like JSON and is none") from error
    return decoded


async def _json_bytes(request: Request, limits: Limits) -> bytes:
    if media_type(request) != "application/json":
        raise ProblemError(415, f"content-type {media_type(request) or 'absent'} is not taken here; see /openapi.json")
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > limits.max_body_bytes:
            raise ProblemError(
                413, f"a JSON order may have {limits.max_body_bytes} bytes; send files as multipart/form-data"
            )
        pieces.append(piece)
    return b"".join(pieces)


def _parsed(data: bytes) -> OrderBody:
    try:
        return OrderBody.model_validate_json(data)
    except ValidationError as error:
        raise ProblemError(422, validation_sentence([dict(each) for each in error.errors()])) from error


def _order(body: OrderBody, contents: Sequence[Content], key: str | None, settings: ServeSettings) -> JobOrder:
    if len(contents) + len(body.texts) > settings.jobs.max_contents:
        raise ProblemError(413, f"an order may carry {settings.jobs.max_contents} files, images and texts; name a folder")
    sources = [str(_source(each, settings.allowed_folders)) for each in body.sources]
    return JobOrder(body.contract, body.lot, sources, contents, key)


def _source(source: str, folders: Sequence[Path]) -> Path:
    if is_file_uri(source):
        source = path_of(source)
    elif "://" in source:
        raise ProblemError(422, f"{source[:80]}: jobs read files of the server and fetch nothing; send the content itself")
    path = allowed_path(source, folders)
    if not path.exists():
        what = "patterns are not taken; name the folder" if glob.has_magic(source) else "no such file on the server"
        raise ProblemError(422, f"{source}: {what}")
    return path


def _inline(body: OrderBody) -> Iterator[Content]:
    if body.texts:
        lines = (
            {"item": f"text-{number}", "text": each}
            if isinstance(each, str)
            else {"item": each.item or f"text-{number}", "text": each.text}
            for number, each in enumerate(body.texts)
        )
        yield Content(TEXTS_FILE, io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode()))
    for number, image in enumerate(body.images):
        try:
            data = base64.b64decode(image.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ProblemError(422, f"images.{number}.data: not base64 ({error})") from error
        yield Content(image.item or f"image-{number}", io.BytesIO(data))
