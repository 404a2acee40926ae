"""Label Studio's tasks as sources: their texts, and the images and videos that they name."""

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from contract.errors import SourceError
from contract.formats.labelstudiotags import ObjectTag, value_at
from contract.tables import Kind
from serving.config import Limits
from serving.doors.labelstudiohosts import TrustedHosts
from serving.http.problems import ProblemError

_LARGE: Final = 1 << 20
_DATA_URI: Final = re.compile(r"data:(?P<type>[^,]*),(?P<content>.*)", re.DOTALL | re.IGNORECASE)


class Fetch(Protocol):
    """Gets what lies at an address, under the service's rules of which addresses may be asked."""

    async def __call__(self, uri: str, *, limit: int, headers: Mapping[str, str]) -> bytes:
        """Return the content at `uri`.

        Raises:
            ProblemError: the address is not allowed, does not answer, or holds more than `limit` bytes.
        """
        ...


@dataclass(frozen=True)
class Asked:
    """Tasks of one request, and what the request says of where they come from.

    Args:
        tasks: each task's data, in order.
        project: the project as Label Studio calls it.
        hostname: the server that the request names, if it does.
    """

    tasks: Sequence[Mapping[str, Any]]
    project: str
    hostname: Any = None


@dataclass(frozen=True)
class Content:
    """What one object tag shows of one task, or why it cannot be had."""

    task: int
    target: ObjectTag
    data: bytes | None
    reason: str | None = None


class Contents:
    """Reads what tasks hold.

    Args:
        hosts: the Label Studio servers that are trusted.
        fetch: gets what lies at an address.
        limits: of the service.
    """

    def __init__(self, hosts: TrustedHosts, fetch: Fetch, limits: Limits) -> None:
        self._hosts = hosts
        self._fetch = fetch
        self._limits = limits

    async def of(self, asked: Asked, task: int, target: ObjectTag) -> Content:
        """Return what `target` shows of a task; what is wrong with it is the content's reason."""
        try:
            data = await self._read(value_at(asked.tasks[task], target.key), target, asked)
        except (SourceError, ProblemError) as error:
            return Content(task, target, None, str(error))
        return Content(task, target, data)

    async def _read(self, value: Any, target: ObjectTag, asked: Asked) -> bytes:
        if value is None or isinstance(value, (bool, list, dict)):
            raise SourceError(f"the task's data has no {target.kind.value} under {target.key!r}")
        text = str(value)
        if not target.is_url:
            return _utf8(text)
        limit = self._limits.max_video_bytes if target.kind is Kind.VIDEO else self._limits.max_body_bytes
        if text[:5].lower() == "data:":
            decode = _decoded(text, limit) if len(text) < _LARGE else asyncio.to_thread(_decoded, text, limit)
            return decode if isinstance(decode, bytes) else await decode
        address, headers = await self._hosts.locate(text.strip(), asked.project, asked.hostname)
        return await self._fetch(address, limit=limit, headers=headers)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise SourceError("the text holds half a surrogate pair, so it is no Unicode") from error


def _decoded(uri: str, limit: int) -> bytes:
    """Return the content of a data: address (RFC 2397)."""
    found = _DATA_URI.fullmatch(uri)
    if found is None:
        raise SourceError("the data: address has no comma, so no content")
    content = found["content"]
    if len(content) > limit * 4 // 3 + 4:
        raise SourceError(f"the data: address holds more than the limit of {limit} bytes")
    if not found["type"].lower().endswith(";base64"):
        return unquote_to_bytes(content)
    try:
        return base64.b64decode("".join(unquote_to_bytes(content).decode("ascii").split()), validate=True)
    except (binascii.Error, UnicodeDecodeError) as error:
        raise SourceError("the data: address is not base64") from error
