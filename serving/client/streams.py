"""Many items as streams of lines, without any sending: what goes out in each call, and how each line is read.

A client that does not read while it writes may send a service no more lines in a call than that has under way at a time
(`limits.max_items`): both sides would wait for each other. So a stream is cut into calls that are smaller.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from pydantic import ValidationError

from serving.client.calls import Media, image_document, json_bytes, name_of
from serving.client.errors import ForeignAnswerError, RefusedError
from serving.http.documents import ImageResult, Result, TextResult
from serving.http.lines import MEDIA_TYPE

Row = TypeVar("Row", bound=Result)

HEADERS: Final[Mapping[str, str]] = {"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE}
_MOST_LINES: Final = 32
_MOST_BYTES: Final = 8 << 20


class LinesCall(Generic[Row]):
    """A call of some lines, and the rows that come back.

    Args:
        path: below the service's address.
        model: of a row.
        lines: the body.
    """

    def __init__(self, path: str, model: type[Row], lines: list[bytes]) -> None:
        self.path = path
        self.content = b"".join(lines)
        self._model = model
        self._left = len(lines)

    def take(self, line: str, url: str) -> Row | None:
        """Return the row in `line`; None where it only says that an item is worked on.

        Raises:
            RefusedError: the service, not the item, is to blame; it may be sent again.
            ForeignAnswerError: the line is no row of this version.
        """
        try:
            document = json.loads(line)
            if document["state"] == "working":
                return None
            if document["state"] == "failed":
                raise RefusedError(url, document["status"], detail=document["reason"], kind=None)
            row = self._model.model_validate(document)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise ForeignAnswerError(f"{url}: a line of the answer is not one that this version knows") from error
        self._left -= 1
        return row

    def check_whole(self, url: str) -> None:
        """Refuse an answer that left lines out.

        Raises:
            ForeignAnswerError: it did.
        """
        if self._left:
            raise ForeignAnswerError(f"{url}: the answer ended {self._left} lines early; send the items again")


def detect(images: Iterable[Media]) -> Iterator[LinesCall[ImageResult]]:
    """Boxes on images."""
    return _calls(
        "/v1/detect", ImageResult, (image_document(name_of(number, each), each) for number, each in enumerate(images))
    )


def sentiment(texts: Iterable[str]) -> Iterator[LinesCall[TextResult]]:
    """Sentiment of texts."""
    return _calls("/v1/sentiment", TextResult, ({"item": str(number), "text": each} for number, each in enumerate(texts)))


def _calls(path: str, model: type[Row], items: Iterable[Mapping[str, str]]) -> Iterator[LinesCall[Row]]:
    lines: list[bytes] = []
    size = 0
    for item in items:
        line = json_bytes(item) + b"\n"
        if lines and (len(lines) >= _MOST_LINES or size + len(line) > _MOST_BYTES):
            yield LinesCall(path, model, lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield LinesCall(path, model, lines)
