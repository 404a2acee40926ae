"""Where finished annotations go that a review tool sends: what the doors may say to whoever keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Role = Literal["submission", "gold"]


@dataclass(frozen=True)
class Place:
    """A lot of a contract, and as what the work counts there; without `lot`, a task's own data must name it."""

    contract: str
    lot: str | None
    role: Role


@dataclass(frozen=True)
class Finished:
    """An annotation that a person has finished, or has changed since.

    Args:
        project: the review tool's number of it; so `task` and `annotation`.
        task: which task.
        annotation: which annotation; never used again for another.
        data: what the task says of its item.
        document: the annotation as the tool exports it.
    """

    project: int
    task: int
    annotation: int
    data: Mapping[str, Any]
    document: Mapping[str, Any]


class Inbox(Protocol):
    """Keeps finished annotations until somebody seals them; may be called from any thread."""

    def keep(self, place: Place, finished: Finished) -> bool:
        """Put an annotation away for good before returning; the same one again changes nothing.

        Returns:
            Whether it is new.

        Raises:
            InputError: the lot does not exist, or nothing can be written.
        """
        ...

    def drop(self, place: Place, project: int, annotation: int) -> bool:
        """Note that an annotation was deleted.

        Returns:
            Whether it had been kept.

        Raises:
            InputError: the lot does not exist, or nothing can be written.
        """
        ...
