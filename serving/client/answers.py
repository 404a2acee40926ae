"""What comes back: good, refused, or to be asked for again; and a stream of events, line by line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from contract.errors import InputError
from serving.client.errors import ForeignAnswerError, RefusedError
from serving.jobs import JobStatus

KEY_VARIABLE: Final = "GOLDGATE_KEY"
_BUSY: Final = frozenset({429, 503})
_CONNECT_S: Final = 10.0


@dataclass(frozen=True)
class Retries:
    """How often a busy service is asked again, and how long to wait where it does not say."""

    times: int = 4
    pause_s: float = 1.0
    longest_pause_s: float = 30.0

    def pause_before(self, attempt: int, response: httpx.Response) -> float | None:
        """Return the seconds to wait after `response` to attempt number `attempt`; None where it is the last word."""
        if response.status_code not in _BUSY or attempt >= self.times:
            return None
        told = response.headers.get("retry-after", "")
        pause_s = float(told) if told.isascii() and told.isdigit() else self.pause_s * 2**attempt
        return min(pause_s, self.longest_pause_s)


def service_address(base_url: str) -> str:
    """Return the address of a service without a slash at its end.

    Raises:
        InputError: it is not one.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"{base_url}: not an http or https address, for example http://127.0.0.1:8000")
    return base_url.rstrip("/")


def headers_with(key: str | None) -> dict[str, str]:
    """Return the headers that bring `key`, or the one in the environment."""
    key = key or os.environ.get(KEY_VARIABLE)
    if key is None:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise InputError("the key is not one that goldgate makes; see 'goldgate keys add'")
    return {"authorization": f"Bearer {key}"}


def timeouts(timeout_s: float) -> httpx.Timeout:
    """Return how long a call may take; nobody waits that long for a connection."""
    return httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))


def refused(url: str, response: httpx.Response) -> RefusedError:
    """Return the problem in `response` as an error."""
    problem = _problem(response)
    detail, kind = problem.get("detail"), problem.get("type")
    return RefusedError(
        url,
        response.status_code,
        detail=detail if isinstance(detail, str) else None,
        kind=kind if isinstance(kind, str) else None,
    )


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


class EventReader:
    """Reads server-sent events (WHATWG HTML, 9.2.6) of a job from their lines."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self.last_id: str | None = None
        """Of the latest event; sent as Last-Event-ID, it goes on from there."""

    def take(self, line: str) -> JobStatus | None:
        """Take a line, and return the status that it completes.

        Raises:
            ForeignAnswerError: an event holds no status.
        """
        if not line:
            data, self._data = "\n".join(self._data), []
            return _status(data) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self.last_id = value
        return None


def _status(data: str) -> JobStatus:
    try:
        return JobStatus.model_validate_json(data)
    except ValidationError as error:
        raise ForeignAnswerError("an event of the job is not one that this version knows") from error
