"""Items of a stream: a line of JSON each, by the same rules as in a call of one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from pydantic import ValidationError

from contract.predictor import Source
from contract.tables import Kind
from serving.config import ServeSettings
from serving.http.bodies import parsed
from serving.http.problems import ProblemError, validation_sentence
from serving.http.uploads import Body, EncodedImage, Fetched, ItemName, VideoBody, image_source, video_source

AnyItem = TypeVar("AnyItem", bound=Body)


class TextLine(Body):
    """One text, and a word to know it by."""

    item: ItemName | None = None
    text: str


class VideoLine(VideoBody):
    """One video, and a word to know it by."""

    item: ItemName | None = None


class Fetching:
    """What a stream fetches by address: one item at a time, so that it holds no more than a call of one would."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings = settings
        self.turn = asyncio.Lock()


@contextlib.asynccontextmanager
async def read_item(kind: Kind, number: int, data: bytes, fetching: Fetching) -> AsyncIterator[Source]:
    """Give the item in a line; without a word of its own it is called by the line's number.

    Raises:
        ProblemError: the line is no such item, or its address cannot be fetched.
    """
    settings = fetching.settings
    if kind is Kind.TEXT:
        text = await _item(data, TextLine)
        # As in a call of one: halves of characters become the replacement.
        yield Source(item=text.item or str(number), kind=kind, uri="", data=text.text.encode("utf-8", errors="replace"))
        return
    if kind is Kind.IMAGE:
        image = await _item(data, EncodedImage)
        async with fetching.turn if image.uri is not None else contextlib.nullcontext():
            yield await image_source(number, image, Fetched(settings, settings.limits.max_body_bytes))
        return
    video = await _item(data, VideoLine)
    async with fetching.turn if video.uri is not None else contextlib.nullcontext():
        source = await video_source(video, settings)
        yield source if video.item is None else Source(item=video.item, kind=kind, uri=source.uri, data=source.data)


async def _item(data: bytes, model: type[AnyItem]) -> AnyItem:
    try:
        return await parsed(data, model.model_validate_json)
    except ValidationError as error:
        raise ProblemError(422, validation_sentence([dict(each) for each in error.errors()])) from error
