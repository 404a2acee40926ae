"""The board: jobs in files, a bounded number of them under way, and none lost when the service dies."""

import contextlib
import datetime
import fcntl
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from contract.errors import GoldgateError, StageError, StoppedError, StorageError
from contract.files import sha256_bytes, storage_errors
from contract.tables import Task
from contract.workfolder import LotFolder, lot_folder
from goldgate.jobs.carrying_out import Means, Watch, label_lot, take_in_apart
from goldgate.jobs.orders import Ordered, keep_contents, order_digest, read_terms, remove_folder, resolve, sign
from goldgate.jobs.record import FOLDER, JobRecord, new_id, read_records, write_record
from goldgate.jobs.results import rejected_page, result_file
from prelabel.run import JobSummary, Progress, read_intake_receipt
from serving.jobs import (
    BoardFullError,
    JobConflictError,
    JobOrder,
    JobSettings,
    JobState,
    JobStatus,
    NoSuchJobError,
    OrderMismatchError,
    RejectedPage,
    ResultFormat,
)

logger = logging.getLogger(__name__)

_STORED_EVERY_S: Final = 1.0
_MOST_STARTS: Final = 5
"""A job that saw the service die so often without getting on is taken for the cause."""


class Board:
    """A `serving.jobs.JobBoard` on a work folder.

    Args:
        work: the work folder, which `goldgate` commands may use as well.
        means: models and chunk sizes.
        settings: bounds.
    """

    def __init__(self, work: Path, means: Means, settings: JobSettings) -> None:
        self._work = work
        self._jobs = work / FOLDER
        self._means = means
        self._settings = settings
        self._changing = threading.Lock()
        self._records: dict[str, JobRecord] = {}
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._workers: list[threading.Thread] = []

    def open(self) -> None:
        """Read the jobs that are there and go on with those that are not over."""
        records, leftovers = read_records(self._jobs)
        for folder in leftovers:
            remove_folder(folder)
        for record in records:
            job = record.status.id
            self._records[job] = record
            if record.status.cancel_requested and not record.status.state.final:
                self._change(job, items_per_s=None, seconds_left=None, **_ended(JobState.CANCELLED))
            elif not record.status.state.final:
                self._change(job, items_per_s=None, seconds_left=None, state=JobState.QUEUED, stage="waiting")
                self._waiting.put(job)
        for number in range(self._settings.at_once):
            worker = threading.Thread(target=self._work_off, name=f"job-{number}", daemon=True)
            worker.start()
            self._workers.append(worker)

    def close(self) -> None:
        """Stop after the chunks under way; jobs that are not over are queued again by the next `open`."""
        self._closing.set()
        for _ in self._workers:
            self._waiting.put(None)
        for worker in self._workers:
            worker.join()

    def jobs(self) -> list[JobStatus]:
        """Return all jobs, the newest first."""
        return [record.status for record in reversed(list(self._records.values()))]

    def status(self, job: str) -> JobStatus:
        """Return how far `job` is.

        Raises:
            NoSuchJobError: there is none.
        """
        return self._record(job).status

    def submit(self, order: JobOrder) -> tuple[JobStatus, bool]:
        """Take an order on, and tell whether anything new will be done for it.

        Raises:
            InputError: the order cannot be carried out.
        """
        ordered = resolve(self._work, order)
        job = new_id()
        folder = self._jobs / job
        key = None if order.idempotency_key is None else sha256_bytes(order.idempotency_key.encode())
        with contextlib.ExitStack() as undo:
            undo.callback(remove_folder, folder)
            with storage_errors(folder):
                folder.mkdir(parents=True)
            digests = keep_contents(folder / "sources", order.contents)
            sources = (*order.sources, *([str((folder / "sources").absolute())] if digests else []))
            digest = order_digest(ordered, order.sources, digests)
            with self._changing:
                known = self._known(ordered, digest, key, anything=bool(sources))
                if known is not None:
                    return self._again(known, key)
                record = self._new(job, ordered, digest, sources).with_key(key)
                sign(self._work, ordered.terms)
                write_record(self._jobs, record)
                self._records[job] = record
            undo.pop_all()
        self._waiting.put(job)
        return record.status, True

    def _known(self, ordered: Ordered, digest: str, key: str | None, *, anything: bool) -> JobRecord | None:
        """Return the job that this order has already made, if there is one."""
        for record in self._records.values():
            if key is not None and key in record.keys:
                if record.order_sha256 != digest:
                    raise OrderMismatchError("this Idempotency-Key came with another order before; choose another key")
                return record
        of_lot = [
            record
            for record in self._records.values()
            if (record.status.contract, record.status.lot) == (ordered.terms.contract, ordered.lot_name)
        ]
        for record in reversed(of_lot):
            if record.order_sha256 == digest or not anything:
                return record
            if not record.status.state.final or ordered.lot.receipt.exists():
                raise JobConflictError(
                    f"lot {ordered.lot_name} of contract {ordered.terms.contract} belongs to a job with other sources; "
                    "choose another lot name"
                )
        return None

    def _again(self, record: JobRecord, key: str | None) -> tuple[JobStatus, bool]:
        """Answer an order that is known: one that was cancelled or failed goes on, unless a call is merely repeated."""
        job, state = record.status.id, record.status.state
        repeated = key is not None and key in record.keys
        if repeated or state not in (JobState.CANCELLED, JobState.FAILED):
            return record.status, False
        self._admit()
        self._put(record.with_key(key).model_copy(update={"starts": 0}))
        status = self._put(
            self._records[job].changed(
                state=JobState.QUEUED, stage="waiting", cancel_requested=False, reason=None, ended=None, in_time=None
            )
        )
        self._waiting.put(job)
        return status, True

    def _admit(self) -> None:
        queued = sum(record.status.state is JobState.QUEUED for record in self._records.values())
        if queued >= self._settings.max_queued:
            raise BoardFullError(f"{queued} jobs wait already; order this one when some of them are done")

    def _new(self, job: str, ordered: Ordered, digest: str, sources: tuple[str, ...]) -> JobRecord:
        self._admit()
        status = JobStatus(
            id=job,
            contract=ordered.terms.contract,
            lot=ordered.lot_name,
            state=JobState.QUEUED,
            stage="waiting",
            revision=0,
            due=ordered.due,
            created=_now(),
        )
        return JobRecord(order_sha256=digest, terms_sha256=ordered.terms.sha256, sources=sources, status=status)

    def cancel(self, job: str) -> JobStatus:
        """Stop `job` after the chunks under way; what is finished stays.

        Raises:
            NoSuchJobError: there is none.
            JobConflictError: it is over.
        """
        with self._changing:
            status = self._record(job).status
            if status.state is JobState.CANCELLED:
                return status
            if status.state.final:
                raise JobConflictError(f"job {job} is {status.state.value}; there is nothing left to cancel")
            if status.state is JobState.QUEUED:
                return self._put(self._record(job).changed(state=JobState.CANCELLED, stage="ended", ended=_now()))
            return self._put(self._record(job).changed(cancel_requested=True))

    def results(self, job: str, task: Task, format_: ResultFormat) -> Path:
        """Return a file with the labels of `task`.

        Raises:
            JobConflictError: the job is not done.
        """
        record = self._done(job)
        terms = read_terms(self._work, record.status.contract, record.terms_sha256)
        return result_file(self._jobs / job / "results", self._lot(record), terms, record.status.run, task, format_)

    def rejected(self, job: str, *, offset: int, limit: int) -> RejectedPage:
        """Return entries without labels, in the order of the lot.

        Raises:
            JobConflictError: the job is not done.
        """
        record = self._done(job)
        return rejected_page(self._lot(record), record.status.run, offset=offset, limit=limit)

    def _done(self, job: str) -> JobRecord:
        record = self._record(job)
        if record.status.state is not JobState.DONE:
            raise JobConflictError(f"job {job} is {record.status.state.value}; its results are there once it is done")
        return record

    def _record(self, job: str) -> JobRecord:
        record = self._records.get(job)
        if record is None:
            raise NoSuchJobError("there is no such job; GET /v1/jobs lists those that there are")
        return record

    def _lot(self, record: JobRecord) -> LotFolder:
        return lot_folder(self._work, record.status.contract, record.status.lot)

    def _put(self, record: JobRecord) -> JobStatus:
        """Make `record` the truth, on disk first."""
        write_record(self._jobs, record)
        self._records[record.status.id] = record
        return record.status

    def _change(self, job: str, **values: object) -> None:
        with self._changing:
            self._put(self._records[job].changed(**values))

    def _work_off(self) -> None:
        while (job := self._waiting.get()) is not None and not self._closing.is_set():
            with self._changing:
                if self._records[job].status.state is not JobState.QUEUED:
                    continue  # cancelled while it waited
                starts = self._records[job].starts + 1
                record = self._records[job].model_copy(update={"starts": starts})
                self._put(record.changed(state=JobState.RUNNING, stage="intake", started=_now()))
            self._run(job)

    def _run(self, job: str) -> None:
        outcome: dict[str, object]
        try:
            outcome = _finished(self._carry_out(job), self._records[job].status)
        except StoppedError:
            stopped = self._records[job].status.cancel_requested
            outcome = _ended(JobState.CANCELLED) if stopped else {"state": JobState.QUEUED, "stage": "waiting"}
        except GoldgateError as error:
            outcome = _ended(JobState.FAILED, reason=str(error))
        except Exception as error:  # the outermost loop of a worker: one job's fault is not the next one's
            logger.exception("job %s failed by a fault of ours", job)
            outcome = _ended(JobState.FAILED, reason=f"a fault of goldgate ({type(error).__name__}); the log has the rest")
        try:
            self._change(job, items_per_s=None, seconds_left=None, **outcome)
        except StorageError as error:
            # It stays "running" in its file, and the next start of the service goes on with it.
            logger.error("job %s: its state cannot be kept: %s", job, error)

    def _carry_out(self, job: str) -> JobSummary:
        record = self._records[job]
        if record.starts > _MOST_STARTS:
            raise StageError(
                f"the service died {_MOST_STARTS} times while this job ran; see its log before you order it again"
            )
        lot = self._lot(record)
        terms = read_terms(self._work, record.status.contract, record.terms_sha256)
        if record.sources and not record.taken_in:
            contract = self._work / record.status.contract / "contract.yaml"
            stop = self._stop_of(job)
            take_in_apart(lot, contract, record.sources, lot_name=record.status.lot, should_stop=stop)
        refused = read_intake_receipt(lot).rejects_by_reason
        with self._changing:
            record = self._records[job].model_copy(update={"taken_in": True})
            self._put(record.changed(stage="prelabel", refused_at_intake=refused))
        follow = _Follow(self, job)
        return label_lot(lot, terms, self._means, Watch(follow.tell, self._stop_of(job)))

    def _stop_of(self, job: str) -> Callable[[], bool]:
        return lambda: self._closing.is_set() or self._records[job].status.cancel_requested

    def progressed(self, job: str, now: Progress, *, store: bool) -> None:
        """Take note of how far a job is, in memory, and on disk where `store` says so."""
        with self._changing:
            record = self._records[job].changed(**_measured(now, self._records[job].status.due))
            if now.done_here:
                record = record.model_copy(update={"starts": 0})
            if store:
                self._put(record)
            else:
                self._records[job] = record


class _Follow:
    """Passes a job's progress on, and has it stored now and then."""

    def __init__(self, board: Board, job: str) -> None:
        self._board = board
        self._job = job
        self._stored_s = float("-inf")

    def tell(self, now: Progress) -> None:
        due = time.monotonic() - self._stored_s >= _STORED_EVERY_S
        self._board.progressed(self._job, now, store=due)
        if due:
            self._stored_s = time.monotonic()


def _measured(now: Progress, due: datetime.date) -> dict[str, object]:
    left = now.seconds_left
    end = None if left is None else _now() + datetime.timedelta(seconds=left)
    return {
        "items": now.items,
        "done": now.done,
        "labelled": now.labelled,
        "empty": now.empty,
        "rejected": now.rejected,
        "items_per_s": now.items_per_s,
        "seconds_left": left,
        "in_time": None if end is None else end.date() <= due,
    }


def _finished(summary: JobSummary, status: JobStatus) -> dict[str, object]:
    counts = {name: getattr(summary, name) for name in ("items", "labelled", "empty", "rejected", "run")}
    return {**_ended(JobState.DONE), **counts, "done": summary.items, "in_time": _now().date() <= status.due}


def _ended(state: JobState, *, reason: str | None = None) -> dict[str, object]:
    return {"state": state, "stage": "ended", "reason": reason, "ended": _now(), "cancel_requested": False}


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


@contextlib.contextmanager
def open_board(work: Path, means: Means, settings: JobSettings) -> Iterator[Board]:
    """Run the jobs of `work` for as long as the context lasts; no other service may do so at the same time.

    Raises:
        StageError: another service runs them.
        StorageError: the work folder cannot be written.
    """
    lock = work / FOLDER / ".lock"
    with storage_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StageError(
                f"{lock.parent}: another service runs the jobs of this work folder; give this one its own"
            ) from error
        board = Board(work, means, settings)
        board.open()
        try:
            yield board
        finally:
            board.close()
