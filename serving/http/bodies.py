"""Bodies that are read whole, off the event loop where they are large; and pictures in base64."""

import asyncio
import base64
import binascii
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from serving.http.problems import ProblemError

_LARGE_BYTES: Final = 1 << 17
_DATA_URI: Final = "data:"

Parsed = TypeVar("Parsed")


AnyText = TypeVar("AnyText", bytes, str)


async def parsed(body: AnyText, parse: Callable[[AnyText], Parsed]) -> Parsed:
    """Return `parse(body)`, in a thread where it may take long."""
    if len(body) <= _LARGE_BYTES:
        return parse(body)
    return await asyncio.get_running_loop().run_in_executor(_parsers(), parse, body)


@functools.cache
def _parsers() -> ThreadPoolExecutor:
    # One alone: parsers hold the interpreter while they work, and the event loop has to wait for all that do.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="parsing")


async def read_to_the_end(request: Request, limit: int) -> bytes:
    """Return the body of `request`; one that is too large is taken to its end and dropped.

    A client that is answered while it still sends sees a broken connection in place of the answer.

    Raises:
        ProblemError: 413 it is larger than `limit` bytes, 400 the caller went away.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                pieces.clear()
            else:
                pieces.append(piece)
    except ClientDisconnect as error:
        raise ProblemError(400, "the caller went away before all of the body was here") from error
    if size > limit:
        raise ProblemError(413, f"the body is larger than {limit} bytes")
    return b"".join(pieces)


def encoded_image(text: str) -> bytes:
    """Return the encoded image that stands in `text` as base64, bare or as a data: URI.

    Raises:
        ProblemError: 422 it is not base64.
    """
    if text[: len(_DATA_URI)].lower() == _DATA_URI:
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ProblemError(422, "image: a data: URI without base64 content")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProblemError(422, f"image: not base64 ({error})") from error
