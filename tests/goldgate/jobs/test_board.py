"""Jobs on a board: the same bytes as the command line's, whatever stops them in between."""

import io
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.answers import flatten
from contract.errors import FormatError, InputError, SourceError, StageError, TermsError
from contract.files import read_json
from contract.tables import Kind, Task
from contract.terms import Terms
from contract.workfolder import lot_folder
from goldgate.jobs.board import Board
from models.fake import FakePredictor
from prelabel.intake import take_in
from prelabel.run import Job, run_job
from serving.jobs import (
    BoardFullError,
    Content,
    JobConflictError,
    JobOrder,
    JobState,
    JobStatus,
    NoSuchJobError,
    OrderMismatchError,
    ResultFormat,
)

ROOT = Path(__file__).resolve().parents[3]
SIZES = {Kind.IMAGE: 2, Kind.TEXT: 3, Kind.VIDEO: 1}
MakeBoard = Callable[..., Any]
Wait = Callable[..., JobStatus]


def order(document: dict[str, Any] | str, raw: Path, lot: str = "week-1", key: str | None = None) -> JobOrder:
    return JobOrder(document, lot, [str(raw)], idempotency_key=key)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def uninterrupted(tmp_path: Path, raw: Path, terms: Terms) -> dict[str, bytes]:
    """What the machinery of the command line leaves for the same lot."""
    lot = lot_folder(tmp_path / "other", terms.contract, "week-1")
    take_in([str(raw)], lot=lot, terms=terms, lot_name="week-1")
    predictors = {kind: FakePredictor(kind, guideline=terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
    return bytes_of(run_job(Job(lot, terms, predictors, chunk_items=SIZES)).folder)


def drafts(tmp_path: Path, status: JobStatus) -> dict[str, bytes]:
    assert status.run is not None
    return bytes_of(lot_folder(tmp_path / "work", status.contract, status.lot).drafts / status.run)


def test_a_job_leaves_what_the_command_line_leaves(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, tmp_path: Path, uninterrupted: dict[str, bytes], wait: Wait
) -> None:
    with board_on() as board:
        status, new = board.submit(order(document, raw))
        assert (new, status.state, status.items) == (True, JobState.QUEUED, None)
        done = wait(board, status.id)
        assert (done.state, done.stage, done.items, done.rejected) == (JobState.DONE, "ended", 15, 0)
        assert done.done == done.items == done.labelled + done.empty
        assert done.refused_at_intake == {"corrupt": 1} or done.refused_at_intake == {"truncated": 1}
        assert (done.in_time, str(done.due)) == (True, "2030-01-15")
        assert drafts(tmp_path, done) == uninterrupted
        assert [each.id for each in board.jobs()] == [status.id]


def test_cancelled_and_ordered_again_a_job_goes_on(
    board_on: MakeBoard,
    document: dict[str, Any],
    raw: Path,
    tmp_path: Path,
    uninterrupted: dict[str, bytes],
    allowed: threading.Semaphore,
    wait: Wait,
) -> None:
    with board_on(gated=True) as board:
        job = board.submit(order(document, raw, key="first"))[0].id
        allowed.release(2)
        wait(board, job, lambda status: status.done == 4)
        assert board.cancel(job).cancel_requested
        allowed.release()  # the chunk under way is finished, and no other is begun
        cancelled = wait(board, job)
        assert (cancelled.state, cancelled.done, cancelled.cancel_requested) == (JobState.CANCELLED, 6, False)
        assert cancelled.ended is not None
        assert board.cancel(job) == cancelled
        with pytest.raises(JobConflictError, match=r"is cancelled; its results"):
            board.results(job, Task.BOXES, ResultFormat.PARQUET)
        assert board.submit(order(document, raw, key="first")) == (cancelled, False)  # a call repeated is no new order
        allowed.release(100)
        again, new = board.submit(order(document, raw, key="second"))
        assert (again.id, new) == (job, True)
        assert drafts(tmp_path, wait(board, job)) == uninterrupted
        with pytest.raises(JobConflictError, match="is done; there is nothing left to cancel"):
            board.cancel(job)


def test_a_job_outlives_the_service(
    board_on: MakeBoard,
    document: dict[str, Any],
    raw: Path,
    tmp_path: Path,
    uninterrupted: dict[str, bytes],
    allowed: threading.Semaphore,
    wait: Wait,
) -> None:
    with board_on(gated=True) as board:
        job = board.submit(order(document, raw))[0].id
        waiting = board.submit(order(document, raw, "week-2"))[0].id
        allowed.release(2)
        wait(board, job, lambda status: status.done == 4)
        with pytest.raises(StageError, match="another service runs the jobs"), board_on():
            pass
        board._closing.set()
        allowed.release()
    kept = read_json(tmp_path / "work" / "_jobs" / job / "job.json")["status"]
    assert (kept["state"], kept["done"]) == ("queued", 6)
    with board_on() as board:
        done = wait(board, job)
        assert drafts(tmp_path, done) == uninterrupted
        assert wait(board, waiting).state is JobState.DONE


def test_a_cancel_outlives_the_service_too(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, tmp_path: Path, wait: Wait
) -> None:
    with board_on() as board:
        job = board.submit(order(document, raw))[0].id
        wait(board, job)
    path = tmp_path / "work" / "_jobs" / job / "job.json"
    kept = read_json(path)
    kept["status"] |= {"state": "running", "stage": "prelabel", "cancel_requested": True, "items_per_s": 3.0}
    path.write_text(json.dumps(kept))
    with board_on() as board:
        status = board.status(job)
        assert (status.state, status.items_per_s) == (JobState.CANCELLED, None)


def test_a_job_that_kills_the_service_is_stopped(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, tmp_path: Path, wait: Wait
) -> None:
    with board_on() as board:
        job = board.submit(order(document, raw))[0].id
        wait(board, job)
    path = tmp_path / "work" / "_jobs" / job / "job.json"
    kept = read_json(path)
    kept["status"] |= {"state": "running"}
    path.write_text(json.dumps(kept | {"starts": 5}))
    with board_on() as board:
        failed = wait(board, job)
        assert failed.state is JobState.FAILED
        assert failed.reason is not None
        assert "died 5 times while this job ran" in failed.reason
        assert board.submit(order(document, raw))[1]
        assert wait(board, job).state is JobState.DONE


def test_the_same_order_is_one_job(board_on: MakeBoard, document: dict[str, Any], raw: Path, wait: Wait) -> None:
    texts = [Content("texts.csv", io.BytesIO(b"text\nanother text\n"))]
    with board_on() as board:
        first = board.submit(order(document, raw, key="k"))[0]
        wait(board, first.id)
        for same in (order("DEMO-2025", raw), order("DEMO-2025", raw, key="k"), JobOrder("DEMO-2025", "week-1")):
            status, new = board.submit(same)
            assert (status.id, status.state, new) == (first.id, JobState.DONE, False)
        with pytest.raises(OrderMismatchError, match="came with another order"):
            board.submit(order("DEMO-2025", raw, "week-2", key="k"))
        with pytest.raises(JobConflictError, match="belongs to a job with other sources"):
            board.submit(JobOrder("DEMO-2025", "week-1", (), texts))
        assert len(board.jobs()) == 1
        folders = [path for path in board._jobs.iterdir() if path.is_dir()]
        assert [folder.name for folder in folders] == [first.id]  # what was not taken on leaves nothing


def test_a_lot_of_the_command_line_needs_no_sources(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, terms: Terms, tmp_path: Path, wait: Wait
) -> None:
    lot = lot_folder(tmp_path / "work", terms.contract, "made")
    take_in([str(raw)], lot=lot, terms=terms, lot_name="made")
    with board_on() as board:
        status, _ = board.submit(JobOrder(document, "made"))
        done = wait(board, status.id)
        assert (done.state, done.items) == (JobState.DONE, 15)
        with pytest.raises(InputError, match="there is no lot absent of contract DEMO-2025 yet"):
            board.submit(JobOrder(document, "absent"))


def test_so_many_jobs_at_once_and_so_many_waiting(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, allowed: threading.Semaphore, wait: Wait
) -> None:
    with board_on(gated=True, at_once=1, max_queued=1) as board:
        first = board.submit(order(document, raw, "a"))[0].id
        wait(board, first, lambda status: status.stage == "prelabel")
        second = board.submit(order(document, raw, "b"))[0].id
        with pytest.raises(BoardFullError, match="1 jobs wait already"):
            board.submit(order(document, raw, "c"))
        assert board.status(second).state is JobState.QUEUED
        assert board.cancel(second).state is JobState.CANCELLED
        third = board.submit(order(document, raw, "c"))[0].id
        allowed.release(100)
        assert [wait(board, job).state.value for job in (first, second, third)] == ["done", "cancelled", "done"]


def test_jobs_fail_with_a_sentence(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, tmp_path: Path, wait: Wait
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"no picture")
    with board_on() as board:
        status, _ = board.submit(order(document, bad, "bad"))
        failed = wait(board, status.id)
        assert failed.state is JobState.FAILED
        assert failed.reason is not None
        assert "lot bad would be empty" in failed.reason
        # The lot was never taken in, so that other sources may be named.
        other, new = board.submit(order(document, raw, "bad"))
        assert new
        assert other.id != status.id
        assert wait(board, other.id).state is JobState.DONE


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        (JobOrder("ABSENT", "a", ["/x"]), InputError, "contract 'ABSENT' is not in the work folder"),
        (JobOrder("../DEMO-2025", "a", ["/x"]), InputError, "is not in the work folder"),
        (JobOrder("_jobs", "a", ["/x"]), InputError, "is not in the work folder"),
        (JobOrder({"contract": "X"}, "a", ["/x"]), TermsError, "problems in the terms"),
        (JobOrder("DEMO-2025", "../a", ["/x"]), InputError, "lot name"),
        (JobOrder("DEMO-2025", "..", ["/x"]), InputError, "lot name"),
        (JobOrder("DEMO-2025", "é" * 101, ["/x"]), InputError, "lot name"),
        (JobOrder("DEMO-2025", "a", (), [Content("../a.png", io.BytesIO())]), SourceError, "not a plain relative path"),
        (
            JobOrder("DEMO-2025", "a", (), [Content("a", io.BytesIO()), Content("a", io.BytesIO())]),
            SourceError,
            "two files of the order have this name",
        ),
        (
            JobOrder("DEMO-2025", "a", (), [Content("a", io.BytesIO()), Content("a/b", io.BytesIO())]),
            SourceError,
            "is the folder of another",
        ),
    ],
)
def test_orders_that_are_refused(
    board_on: MakeBoard, tmp_path: Path, given: JobOrder, error: type[InputError], sentence: str
) -> None:
    signed = tmp_path / "work" / "DEMO-2025" / "contract.yaml"
    signed.parent.mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "demo.yaml", signed)
    with board_on() as board:
        with pytest.raises(error, match=sentence):
            board.submit(given)
        assert board.jobs() == []
        assert [path.name for path in board._jobs.iterdir()] == [".lock"]


def test_other_terms_need_another_name(board_on: MakeBoard, document: dict[str, Any], raw: Path) -> None:
    with board_on() as board:
        board.submit(order(document, raw))
        with pytest.raises(JobConflictError, match="was signed with other terms"):
            board.submit(order({**document, "title": "another"}, raw, "b"))
        with pytest.raises(NoSuchJobError):
            board.status("0" * 32)


def test_results_are_the_drafts(
    board_on: MakeBoard, document: dict[str, Any], raw: Path, tmp_path: Path, wait: Wait
) -> None:
    with board_on() as board:
        job = board.submit(order(document, raw))[0].id
        done = wait(board, job)
        shards = [
            pq.read_table(io.BytesIO(data))
            for name, data in sorted(drafts(tmp_path, done).items())
            if name.endswith("parquet")
        ]
        boxes = [flatten(Task.BOXES, shard, "fake@1") for shard in shards if "boxes" in shard.schema.names]
        table = pq.read_table(board.results(job, Task.BOXES, ResultFormat.PARQUET))
        assert table.num_rows > 0
        assert table.equals(pa.concat_tables(boxes).combine_chunks())
        coco = json.loads(board.results(job, Task.BOXES, ResultFormat.COCO).read_text(encoding="utf-8"))
        assert len(coco["annotations"]) == table.num_rows
        assert {image["file_name"] for image in coco["images"]} == {f"{number}.png" for number in range(7)}
        lines = board.results(job, Task.SENTIMENTS, ResultFormat.JSONL).read_text(encoding="utf-8").splitlines()
        assert len(lines) == 8
        with pytest.raises(FormatError, match="COCO holds boxes, not sentiments"):
            board.results(job, Task.SENTIMENTS, ResultFormat.COCO)
        with pytest.raises(FormatError, match="no video items that a model labelled, so there are no shots"):
            board.results(job, Task.SHOTS, ResultFormat.JSONL)
        page = board.rejected(job, offset=0, limit=10)
        assert (page.total, page.rejects[0].item, page.rejects[0].by) == (1, "broken.png", "intake")
        assert board.rejected(job, offset=1, limit=10).rejects == []
        assert board.rejected(job, offset=2**100, limit=10).rejects == []


def test_what_a_killed_order_leaves_is_removed(board_on: MakeBoard, tmp_path: Path) -> None:
    left = tmp_path / "work" / "_jobs" / ("a" * 32)
    (left / "sources").mkdir(parents=True)
    unreadable = tmp_path / "work" / "_jobs" / ("b" * 32)
    unreadable.mkdir()
    (unreadable / "job.json").write_text("{}")
    with board_on() as board:
        assert isinstance(board, Board)
        assert board.jobs() == []
    assert not left.exists()
    assert unreadable.exists()
