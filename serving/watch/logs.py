"""The service's log: a line an event, as JSON or as text, on standard error.

No line holds content of an item, a file name, a key or a query: what a request was is told by its route's template, and
what failed by the class of the exception and where it was raised, never by its message, which may quote what was sent.
"""

import datetime
import json
import logging
import sys
import traceback
from typing import Any, Final, Literal, TextIO

from serving.watch.requests import REQUEST_ID

LogForm = Literal["json", "text"]

_OURS: Final = ("contract", "models", "serving", "prelabel", "qa", "delivery", "goldgate")
_FRAMES: Final = 12


def log_service(form: LogForm, *, stream: TextIO | None = None) -> None:
    """Send records to `stream`, standard error if None: our own from INFO on, of all others warnings.

    For the command line alone: it takes the place of what the root logger had.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG if logger.level == logging.DEBUG else logging.INFO)


class JsonLines(logging.Formatter):
    """A record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        document: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        document.update(fields if fields is not None else {"request_id": REQUEST_ID.get()})
        document.update(_error(record))
        return json.dumps({key: value for key, value in document.items() if value is not None}, default=str)


class TextLines(logging.Formatter):
    """A record as one line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = getattr(record, "fields", None)
        pairs = {**(fields if fields is not None else {"request_id": REQUEST_ID.get()}), **_error(record)}
        rest = "".join(f" {key}={value}" for key, value in pairs.items() if value is not None)
        # What a message quotes may hold ends of lines, and nobody is to write lines of their own.
        message = " ".join(record.getMessage().split())
        return f"{_time(record)} {record.levelname} {record.name}: {message}{rest}"


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, tz=datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(record: logging.LogRecord) -> dict[str, Any]:
    """Return the class of a record's exception and the places it came through, innermost last."""
    if record.exc_info is None or record.exc_info[1] is None:
        return {}
    error = record.exc_info[1]
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return {"error": type(error).__name__, "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}
