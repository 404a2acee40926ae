"""Jobs as the front doors see them: what may be ordered, how far a job is, and who keeps them.

The service itself runs no job; whoever wires it hands in a `JobBoard`.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from contract.errors import InputError
from contract.tables import Task
from serving.settings import MIB, Positive, Seconds, Settings


class JobSettings(Settings):
    """How many jobs run, and how much one order may hand over."""

    at_once: Positive = 1
    """Jobs that run together; the others are queued."""
    max_queued: Positive = 100
    """Jobs that may wait; more are refused with 503."""
    calls_in_flight: Positive = 4
    """Chunks of one job on their way to the models."""
    max_body_bytes: Positive = 2048 * MIB
    """Body of an order that comes with its files."""
    max_contents: Positive = 20_000
    """Files, images and texts that an order may carry."""
    heartbeat_s: Seconds = 15.0
    """A stream of events that has nothing to tell says so, this often."""


class JobState(str, Enum):
    """Where a job is; the last three are final, though a cancelled or failed job may be ordered anew."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


Count = Annotated[int, Field(ge=0)]


class JobStatus(BaseModel):
    """How far a job is. Once it is done, items = labelled + empty + rejected.

    What is not known is null: `items` until the lot is taken in, the rate until a chunk is done.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    contract: str
    lot: str
    state: JobState
    stage: str
    """waiting, intake, prelabel or ended."""
    revision: Count
    """Grows with every change."""
    cancel_requested: bool = False
    items: Count | None = None
    done: Count = 0
    labelled: Count = 0
    empty: Count = 0
    rejected: Count = 0
    refused_at_intake: dict[str, Count] = {}
    """Reason -> entries that are not in the lot."""
    items_per_s: float | None = None
    seconds_left: float | None = None
    due: datetime.date
    """The contract's last day."""
    in_time: bool | None = None
    """Whether the present rate, or the end that was reached, meets `due`."""
    run: str | None = None
    """Folder of the drafts, once they are whole."""
    reason: str | None = None
    """Why it failed."""
    created: datetime.datetime
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None


class Rejected(BaseModel):
    """An entry without a label: turned down at intake, or by a model."""

    item: str
    by: str
    """intake or model."""
    reason: str
    detail: str


class RejectedPage(BaseModel):
    """Some of a job's rejected entries."""

    total: Count
    offset: Count
    rejects: list[Rejected]


@dataclass(frozen=True)
class Content:
    """A file that a caller hands over: its path below the lot's sources, and its bytes, read once from the front."""

    name: str
    file: IO[bytes]


@dataclass(frozen=True)
class JobOrder:
    """What a caller asks for.

    Args:
        contract: id of a contract in the work folder, or its document.
        lot: a plain name.
        sources: absolute files and folders of this machine, which the caller may name.
        contents: files that came along.
        idempotency_key: word of the caller for this very order.
    """

    contract: str | dict[str, Any]
    lot: str
    sources: Sequence[str] = ()
    contents: Sequence[Content] = ()
    idempotency_key: str | None = None


class ResultFormat(str, Enum):
    """How labels come back: the flat table of `contract.tables`, or an exchange format."""

    PARQUET = "parquet"
    COCO = "coco"
    JSONL = "jsonl"


class NoSuchJobError(InputError):
    """There is no job of this id."""


class JobConflictError(InputError):
    """The job's state, or what stands in the work folder, does not allow it."""


class OrderMismatchError(InputError):
    """An idempotency key came with another order than the first time."""


class BoardFullError(InputError):
    """No further job may wait."""


class JobBoard(Protocol):
    """Keeps jobs and runs them; safe to call from any thread.

    `submit`, `results` and `rejected` read and write files and may take their time; the others answer at once.
    """

    def submit(self, order: JobOrder) -> tuple[JobStatus, bool]:
        """Take an order on, and tell whether anything new will be done for it.

        Raises:
            InputError: the order is not one that can be carried out, with a sentence for the caller.
            OrderMismatchError, JobConflictError, BoardFullError: as they say.
        """
        ...

    def jobs(self) -> list[JobStatus]:
        """Return all jobs, the newest first."""
        ...

    def status(self, job: str) -> JobStatus:
        """Return how far `job` is.

        Raises:
            NoSuchJobError: there is none.
        """
        ...

    def cancel(self, job: str) -> JobStatus:
        """Stop `job` after the chunks under way; what is finished stays.

        Raises:
            NoSuchJobError: there is none.
            JobConflictError: it is over.
        """
        ...

    def results(self, job: str, task: Task, format_: ResultFormat) -> Path:
        """Return a file with the labels of `task`.

        Raises:
            NoSuchJobError: there is no such job.
            JobConflictError: it is not done.
            InputError: the format cannot hold this task.
        """
        ...

    def rejected(self, job: str, *, offset: int, limit: int) -> RejectedPage:
        """Return entries without labels, in the order of the lot.

        Raises:
            NoSuchJobError: there is no such job.
            JobConflictError: it is not done.
        """
        ...
