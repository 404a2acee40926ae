"""What callers may send, and how it becomes sources."""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import UploadFile

from contract.predictor import Source
from contract.tables import Kind
from serving.config import Limits
from serving.http.problems import ProblemError, validation_sentence

_REMOTE_KEYS: Final = frozenset({"uri", "url", "uris", "urls"})
_NO_FETCHING: Final = "this service fetches nothing by URI; send the content itself"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _no_fetching(cls, document: Any) -> Any:
        if isinstance(document, dict) and _REMOTE_KEYS & document.keys():
            raise ValueError(_NO_FETCHING)
        return document


class EncodedImage(_Body):
    """One image: its encoded file in base64, and a word to know it by."""

    item: str | None = None
    data: str


class DetectBody(_Body):
    """One image or several."""

    images: Annotated[list[EncodedImage], Field(min_length=1)]


class SentimentBody(_Body):
    """One text, or several; one of the two."""

    text: str | None = None
    texts: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "SentimentBody":
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self


class VideoBody(_Body):
    """A video by its path on the server, under one of the folders that the service allows."""

    path: str


AnyBody = TypeVar("AnyBody", bound=_Body)


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
        return body.model_validate_json(await request.body())
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
            Source(item=file.filename or str(index), kind=kind, uri="", data=await file.read())
            for index, file in enumerate(files)
        ]


async def image_sources(request: Request, limits: Limits) -> list[Source]:
    """Return the images of a call, multipart or JSON.

    Raises:
        ProblemError: the body is not one that is taken.
    """
    if media_type(request) == "multipart/form-data":
        return await read_files(request, Kind.IMAGE, limits)
    body = await read_json(request, DetectBody)
    check_count(len(body.images), limits.max_items)
    return [_image(index, image) for index, image in enumerate(body.images)]


def _image(index: int, image: EncodedImage) -> Source:
    try:
        data = base64.b64decode(image.data, validate=True)
    except binascii.Error as error:
        raise ProblemError(422, f"images.{index}.data: not base64 ({error})") from error
    return Source(item=image.item or str(index), kind=Kind.IMAGE, uri="", data=data)


async def text_sources(request: Request, limits: Limits) -> list[Source]:
    """Return the texts of a call.

    Raises:
        ProblemError: the body is not one that is taken.
    """
    body = await read_json(request, SentimentBody)
    texts = body.texts if body.text is None else [body.text]
    check_count(len(texts or []), limits.max_items)
    # Lone surrogates are valid JSON and invalid UTF-8; the model sees the replacement, as a text decoder would.
    contents = [text.encode("utf-8", errors="replace") for text in texts or []]
    return [Source(item=str(index), kind=Kind.TEXT, uri="", data=data) for index, data in enumerate(contents)]


async def video_sources(request: Request, limits: Limits, folders: Sequence[Path]) -> list[Source]:
    """Return the videos of a call: uploaded, or one by a path under an allowed folder.

    Raises:
        ProblemError: the body is not one that is taken, or the path is not allowed.
    """
    if media_type(request) == "multipart/form-data":
        return await read_files(request, Kind.VIDEO, limits)
    body = await read_json(request, VideoBody)
    path = allowed_path(body.path, folders)
    if not path.is_file():
        raise ProblemError(422, f"{body.path}: no such file on the server")
    return [Source(item=path.name, kind=Kind.VIDEO, uri=str(path))]


def allowed_path(path: str, folders: Sequence[Path]) -> Path:
    """Return `path` with its links resolved if it lies under one of `folders`.

    Raises:
        ProblemError: 403 it does not.
    """
    try:
        resolved = Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ProblemError(422, f"{path!r} is not a path") from error
    if Path(path).is_absolute() and any(resolved.is_relative_to(folder.resolve()) for folder in folders):
        return resolved
    raise ProblemError(
        403, f"{path}: not under a folder that this service may read; upload the file, or set allowed_folders"
    )


def check_count(count: int, most: int) -> None:
    """Refuse a call of too many items.

    Raises:
        ProblemError: 413.
    """
    if count > most:
        raise ProblemError(413, f"a call may carry {most} items; send the rest in further calls")
