"""What comes back: good, refused, or to be asked for again; and a stream of events, line by line."""

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from contract.errors import InputError
from serving.client.errors import ForeignAnswerError, RefusedError, UnreachableError
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
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an end, or a port that is none
        good = False
    if "@" in base_url:
        raise InputError("the address holds a name or a password, which messages would show; give the key apart from it")
    if not good or parts.query or parts.fragment:
        raise InputError(f"{base_url}: not an http or https address, for example http://127.0.0.1:8000")
    return base_url.rstrip("/")


def headers_with(key: str | None) -> dict[str, str]:
    """Return the headers that bring `key`, or the one in the environment; blanks around it do not count.

    Raises:
        InputError: it cannot be a key. No message shows it.
    """
    key = (key or os.environ.get(KEY_VARIABLE) or "").strip()
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError("the key is not one that goldgate makes; see 'goldgate keys add'")
    return {"authorization": f"Bearer {key}"}


def trusted(ca_file: Path | None) -> ssl.SSLContext | bool:
    """Return whose certificates are taken: those that `ca_file` vouches for, else the system's.

    Raises:
        InputError: it holds none.
    """
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # that of OpenSSL is one
        raise InputError(f"{ca_file}: no certificates (PEM) can be read from it") from error


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


def broken(url: str, error: httpx.RequestError) -> UnreachableError | ForeignAnswerError:
    """Return what went wrong on the way as an error."""
    if isinstance(error, httpx.DecodingError):
        return ForeignAnswerError(f"{url}: the answer cannot be unpacked ({error}); see what stands before the service")
    return UnreachableError(f"{url} cannot be reached ({error or type(error).__name__})")


class LineReader:
    """Cuts an answer into lines, which end with LF or CRLF.

    What Unicode has beside these (U+2028, U+0085 and others) stands within a line of JSON as it is.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, piece: bytes) -> Iterator[str]:
        """Yield the lines that `piece` completes."""
        first, *rest = piece.split(b"\n")
        self._held += first
        for start in rest:
            yield self._held.removesuffix(b"\r").decode("utf-8", errors="replace")
            self._held = bytearray(start)

    def end(self) -> Iterator[str]:
        """Yield the last line, where it does not end."""
        if self._held:
            yield self._held.decode("utf-8", errors="replace")


class EventReader:
    """Reads server-sent events (WHATWG HTML, 9.2.6) of a job from their lines."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._id: str | None = None
        self.last_id: str | None = None
        """Of the latest whole event; sent as Last-Event-ID, it goes on from there."""

    def begin(self) -> None:
        """Forget what a connection that broke has left of an event."""
        self._data, self._id = [], self.last_id

    def take(self, line: str) -> JobStatus | None:
        """Take a line, and return the status that it completes.

        Raises:
            ForeignAnswerError: an event holds no status.
        """
        if not line:
            data, self._data = "\n".join(self._data), []
            self.last_id = self._id
            return _status(data) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None


class Following:
    """Follows a job's events over as many connections as it takes.

    Args:
        url: of the service.
        retries: how many connections may end one after the other without any event.
    """

    def __init__(self, url: str, retries: Retries) -> None:
        self._url = url
        self._retries = retries
        self._reader = EventReader()
        self._attempt = 0

    def headers(self) -> dict[str, str]:
        """Return the headers of the next connection."""
        self._reader.begin()
        return {} if self._reader.last_id is None else {"last-event-id": self._reader.last_id}

    def take(self, line: str) -> JobStatus | None:
        """Take a line, and return the status that it completes.

        Raises:
            ForeignAnswerError: an event holds no status.
        """
        status = self._reader.take(line)
        if status is not None:
            self._attempt = 0
        return status

    def pause_refused(self, response: httpx.Response) -> float:
        """Return the seconds to wait after a bad response, whose body is read.

        Raises:
            RefusedError: it is the last word.
        """
        pause_s = self._retries.pause_before(self._attempt, response)
        if pause_s is None:
            raise refused(self._url, response)
        self._attempt += 1
        return pause_s

    def pause_ended(self, error: httpx.RequestError | None) -> float:
        """Return the seconds to wait after a connection that ended before the job did, by `error` or by itself.

        Raises:
            EndpointError: there were too many of them.
        """
        if self._attempt >= self._retries.times:
            if error is not None:
                raise broken(self._url, error) from error
            raise UnreachableError(
                f"{self._url}: the events of the job end before it does; see what stands before the service"
            )
        self._attempt += 1
        return min(self._retries.pause_s * 2.0 ** (self._attempt - 1), self._retries.longest_pause_s)


def _status(data: str) -> JobStatus:
    try:
        return JobStatus.model_validate_json(data)
    except ValidationError as error:
        raise ForeignAnswerError("an event of the job is not one that this version knows") from error
