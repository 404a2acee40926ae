"""Label Studio's tasks as sources: their texts, and the images and videos that they name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.errors import SourceError
from contract.formats.labelstudio.tags import ObjectTag, value_at
from contract.tables import Kind
from serving.config import Limits
from serving.doors.labelstudio.hosts import TrustedHosts
from serving.http.problems import ProblemError


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
        limits: of the service.
    """

    def __init__(self, hosts: TrustedHosts, limits: Limits) -> None:
        self._hosts = hosts
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
        return await self._hosts.fetch(text.strip(), project=asked.project, hostname=asked.hostname, limit=limit)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise SourceError("the text holds half a surrogate pair, so it is no Unicode") from error
