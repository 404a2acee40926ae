"""Newline-delimited JSON (https://github.com/ndjson/ndjson-spec) as a stream: one line at a time, in bounded memory."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, NamedTuple

MEDIA_TYPE: Final = "application/x-ndjson"


class Line(NamedTuple):
    """A line of a body, numbered from 1; `data` is None where it is longer than what is taken."""

    number: int
    data: bytes | None


async def split_lines(pieces: AsyncIterable[bytes], *, longest: int) -> AsyncIterator[Line]:
    """Yield the lines in `pieces` that are not blank; a line ends with LF or CRLF, and the last one need not end.

    Never holds more than `longest` bytes and a piece: of a longer line only the end is looked for.
    """
    held = bytearray()
    number = 1
    too_long = False
    async for piece in pieces:
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            too_long = too_long or len(held) + end - start > longest
            if not too_long:
                held += piece[start:end]
            if too_long or held.strip():
                yield Line(number, None if too_long else bytes(held))
            held.clear()
            number, start, too_long = number + 1, end + 1, False
        too_long = too_long or len(held) + len(piece) - start > longest
        if too_long:
            held.clear()
        else:
            held += piece[start:]
    if too_long or held.strip():
        yield Line(number, None if too_long else bytes(held))
