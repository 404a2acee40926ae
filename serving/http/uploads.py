"""What callers may send, and how it becomes sources."""

import asyncio
import base64
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import unquote

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from starlette.datastructures import UploadFile

from contract.predictor import Source
from contract.tables import Kind
from serving.config import Limits, ServeSettings
from serving.http.bodies import parsed
from serving.http.fetch import fetch, is_file_uri, path_of
from serving.http.paths import allowed_path
from serving.http.problems import ProblemError, validation_sentence

_OTHER_KEYS: Final = frozenset({"url", "uris", "urls"})
_FETCHED_TOGETHER: Final = 4

_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

# For the document alone: on megabytes the decoder is the quicker judge.
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64", "pattern": _BASE64})]
ItemName = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")]
Uri = Annotated[str, Field(json_schema_extra={"format": "uri"})]
ServerPath = Annotated[str, Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})]


def one_of(types: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of a JSON schema that says: exactly one of these properties is there and not null."""
    return {"oneOf": [{"properties": {name: {"type": kind}}, "required": [name]} for name, kind in types.items()]}


class Body(BaseModel):
    """What every JSON body is held to."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _uri_by_its_name(cls, document: Any) -> Any:
        if isinstance(document, dict) and _OTHER_KEYS & document.keys():
            raise ValueError("an address is given as uri, one an item")
        return document


class EncodedImage(Body):
    """One image: its encoded file in base64, or where it is fetched from; and a word to know it by."""

    model_config = ConfigDict(json_schema_extra=one_of({"data": "string", "uri": "string"}))

    item: ItemName | None = None
    data: Base64 | None = None
    uri: Uri | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "EncodedImage":
        if (self.data is None) == (self.uri is None):
            raise ValueError("give either data or uri")
        return self


class DetectBody(Body):
    """One image or several."""

    images: Annotated[list[EncodedImage], Field(min_length=1)]


class SentimentBody(Body):
    """One text, or several; one of the two."""

    model_config = ConfigDict(json_schema_extra=one_of({"text": "string", "texts": "array"}))

    text: str | None = None
    texts: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "SentimentBody":
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self


class VideoBody(Body):
    """A video by its path on the server, under one of the folders that the service allows, or by its address."""

    model_config = ConfigDict(json_schema_extra=one_of({"path": "string", "uri": "string"}))

    path: ServerPath | None = None
    uri: Uri | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "VideoBody":
        if (self.path is None) == (self.uri is None):
            raise ValueError("give either path or uri")
        return self


AnyBody = TypeVar("AnyBody", bound=Body)


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, body: type[AnyBody]) -> AnyBody:
    """Return the JSON body of `request`.

    Raises:
        ProblemError: 415 not JSON by its header, 422 not JSON or not this body.
    """
    if media_type(request) != "application/json":
        raise ProblemError(415, f"content-type {media_type(request) or 'absent'} is not taken here; see /openapi.json")
    try:
        return await parsed(await request.body(), body.model_validate_json)
    except ValidationError as error:
        raise ProblemError(422, validation_sentence([dict(each) for each in error.errors()])) from error


async def read_files(request: Request, kind: Kind, limits: Limits) -> list[Source]:
    """Return the files of a multipart body as sources, each called by its file name.

    Raises:
        ProblemError: 422 no file in it, 413 too many files.
    """
    async with request.form(max_files=limits.max_items + 1, max_fields=limits.max_items) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise ProblemError(422, "the multipart body holds no file; send each as a part with a filename")
        check_count(len(files), limits.max_items)
        return [
            Source(item=_file_name(file.filename or str(index)), kind=kind, uri="", data=await file.read())
            for index, file in enumerate(files)
        ]


_NAMES: Final = TypeAdapter(ItemName)


def _file_name(name: str) -> str:
    try:
        return _NAMES.validate_python(name)
    except ValidationError as error:
        raise ProblemError(422, "a file's name has control characters or more than 1024 characters") from error


async def image_sources(request: Request, settings: ServeSettings) -> list[Source]:
    """Return the images of a call, multipart or JSON.

    Raises:
        ProblemError: the body is not one that is taken, or an address in it cannot be fetched.
    """
    limits = settings.limits
    if media_type(request) == "multipart/form-data":
        return await read_files(request, Kind.IMAGE, limits)
    body = await read_json(request, DetectBody)
    check_count(len(body.images), limits.max_items)
    fetched = Fetched(settings, limits.max_body_bytes)
    return await asyncio.gather(*(image_source(index, image, fetched) for index, image in enumerate(body.images)))


async def image_source(index: int, image: EncodedImage, fetched: "Fetched") -> Source:
    """Return the image `index` of a call.

    Raises:
        ProblemError: it is not base64, or its address cannot be fetched.
    """
    item = image.item or str(index)
    if image.uri is not None:
        return await fetched.source(item, Kind.IMAGE, image.uri)
    try:
        data = await parsed(image.data or "", functools.partial(base64.b64decode, validate=True))
    except ValueError as error:  # binascii's own is one; characters beyond ASCII raise the bare class
        raise ProblemError(422, f"images.{index}.data: not base64 ({error})") from error
    return Source(item=item, kind=Kind.IMAGE, uri="", data=data)


class Fetched:
    """What one call has fetched: a few at a time, and together no more than a body may hold."""

    def __init__(self, settings: ServeSettings, limit: int) -> None:
        self._settings = settings
        self._left = limit
        self._turns = asyncio.Semaphore(_FETCHED_TOGETHER)

    async def source(self, item: str, kind: Kind, uri: str) -> Source:
        """Return what `uri` holds, or, for a file URI, the file's path, which the replica opens."""
        folders = self._settings.allowed_folders
        if is_file_uri(uri):
            return _file_source(item, kind, path_of(uri), folders)
        async with self._turns:
            data = await fetch(uri, self._settings.uris, limit=self._left)
        self._left -= len(data)
        if self._left < 0:
            raise ProblemError(413, "what the addresses of the call hold is too large together; send fewer in a call")
        return Source(item=item, kind=kind, uri="", data=data)


def _file_source(item: str, kind: Kind, path: str, folders: Sequence[Path]) -> Source:
    resolved = allowed_path(path, folders)
    if not resolved.is_file():
        raise ProblemError(422, f"{path}: no such file on the server")
    return Source(item=item, kind=kind, uri=str(resolved))


async def text_sources(request: Request, settings: ServeSettings) -> list[Source]:
    """Return the texts of a call.

    Raises:
        ProblemError: the body is not one that is taken.
    """
    body = await read_json(request, SentimentBody)
    texts = body.texts if body.text is None else [body.text]
    check_count(len(texts or []), settings.limits.max_items)
    # Lone surrogates are valid JSON and invalid UTF-8; the model sees the replacement, as a text decoder would.
    contents = [text.encode("utf-8", errors="replace") for text in texts or []]
    return [Source(item=str(index), kind=Kind.TEXT, uri="", data=data) for index, data in enumerate(contents)]


async def video_sources(request: Request, settings: ServeSettings) -> list[Source]:
    """Return the videos of a call: uploaded, or one by a path under an allowed folder or by its address.

    Raises:
        ProblemError: the body is not one that is taken, or the path or the address is not allowed.
    """
    limits = settings.limits
    if media_type(request) == "multipart/form-data":
        return await read_files(request, Kind.VIDEO, limits)
    return [await video_source(await read_json(request, VideoBody), settings)]


async def video_source(body: VideoBody, settings: ServeSettings) -> Source:
    """Return the video that `body` names.

    Raises:
        ProblemError: the path or the address is not allowed.
    """
    if body.uri is not None:
        name = PurePosixPath(unquote(body.uri.partition("?")[0].partition("#")[0])).name
        item = "0" if body.uri[:5].lower() == "data:" else name or "0"
        return await Fetched(settings, settings.limits.max_video_bytes).source(item, Kind.VIDEO, body.uri)
    path = body.path or ""
    return _file_source(Path(path).name, Kind.VIDEO, path, settings.allowed_folders)


def check_count(count: int, most: int) -> None:
    """Refuse a call of too many items.

    Raises:
        ProblemError: 413.
    """
    if count > most:
        raise ProblemError(413, f"a call may carry {most} items; send the rest in further calls")
