"""The job loses nothing: resume, kill -9, rejects, and books that balance."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.errors import InputError, StageError, StoppedError, StorageError
from contract.predictor import Description, Source
from contract.tables import Kind
from contract.terms import Terms
from contract.workfolder import LotFolder
from models.fake import FakePredictor
from prelabel.run import Job, Progress, run_job

ROOT = Path(__file__).resolve().parents[2]
SIZES = {Kind.IMAGE: 3, Kind.TEXT: 2, Kind.VIDEO: 1}


def make_job(lot: LotFolder, terms: Terms, *, in_flight: int = 1) -> Job:
    predictors = {kind: FakePredictor(kind, guideline=terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
    return Job(lot, terms, predictors, chunk_items=SIZES, calls_in_flight=in_flight)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_books_balance_and_progress_is_told(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    told: list[Progress] = []
    summary = run_job(make_job(make_lot(broken=(4,)), demo_terms), told.append)
    assert summary.items == 17 == summary.labelled + summary.empty + summary.rejected
    assert summary.rejected == 1
    assert told[-1].done == 17
    assert told[-1].seconds_left == 0
    states = [s for path in summary.folder.glob("shard-*") for s in pq.read_table(path)["state"].to_pylist()]
    assert states.count("rejected") == 1
    assert len(states) == 17


def test_a_second_call_finds_everything_done(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    job = make_job(make_lot(), demo_terms)
    first = run_job(job)
    before = bytes_of(first.folder)

    class Dead(FakePredictor):
        def predict(self, sources: Sequence[Source]) -> pa.Table:
            raise AssertionError("nothing was left to predict")

    predictors = {kind: Dead(kind, guideline=demo_terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
    second = run_job(Job(job.lot, job.terms, predictors, chunk_items=SIZES))
    assert (second.run, second.resumed, second.items) == (first.run, 17, 17)
    assert bytes_of(second.folder) == before


def test_calls_in_flight_do_not_change_a_byte(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    one = run_job(make_job(make_lot(work="one"), demo_terms))
    many = run_job(make_job(make_lot(work="many"), demo_terms, in_flight=5))
    assert bytes_of(one.folder) == bytes_of(many.folder)


def test_calls_in_flight_are_bounded(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    lock = threading.Lock()
    seen = {"now": 0, "most": 0}

    class Counting(FakePredictor):
        def predict(self, sources: Sequence[Source]) -> pa.Table:
            with lock:
                seen["now"] += 1
                seen["most"] = max(seen["most"], seen["now"])
            try:
                return super().predict(sources)
            finally:
                with lock:
                    seen["now"] -= 1

    predictors = {kind: Counting(kind, guideline=demo_terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
    run_job(Job(make_lot(images=30), demo_terms, predictors, chunk_items=dict.fromkeys(Kind, 1), calls_in_flight=3))
    assert 1 <= seen["most"] <= 3


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_job_that_is_stopped_goes_on_later(make_lot: Callable[..., LotFolder], demo_terms: Terms, in_flight: int) -> None:
    whole = run_job(make_job(make_lot(work="whole"), demo_terms))
    job = make_job(make_lot(), demo_terms, in_flight=in_flight)
    told: list[Progress] = []
    with pytest.raises(StoppedError, match=r"stopped with \d+ items to go"):
        run_job(job, told.append, should_stop=lambda: len(told) >= 2)
    assert 2 <= len(told) < 2 + in_flight
    assert 0 < told[-1].done < 17
    assert told[-1].labelled + told[-1].empty + told[-1].rejected == told[-1].done
    with pytest.raises(StoppedError):
        run_job(job, should_stop=lambda: True)
    summary = run_job(job)
    assert summary.resumed == told[-1].done
    assert bytes_of(summary.folder) == bytes_of(whole.folder)
    assert run_job(job, should_stop=lambda: True).resumed == 17  # nothing was left to be stopped


@pytest.mark.parametrize("damage", ["shard", "receipt", "bad receipt"])
def test_damage_is_made_good(make_lot: Callable[..., LotFolder], demo_terms: Terms, damage: str) -> None:
    job = make_job(make_lot(), demo_terms)
    first = run_job(job)
    before = bytes_of(first.folder)
    if damage == "shard":
        (first.folder / "shard-00001.parquet").write_bytes(b"cut")
    elif damage == "receipt":
        (first.folder / "receipt-00001.json").unlink()
    else:
        (first.folder / "receipt-00001.json").write_text("{}")
    second = run_job(job)
    assert second.resumed == 14
    assert bytes_of(second.folder) == before


def test_other_weights_are_another_run(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    class Newer(FakePredictor):
        def describe(self) -> Description:
            return super().describe().model_copy(update={"version": "2"})

    lot = make_lot()
    first = run_job(make_job(lot, demo_terms))
    newer = {kind: Newer(kind, guideline=demo_terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
    second = run_job(Job(lot, demo_terms, newer, chunk_items=SIZES))
    assert first.run != second.run
    assert second.resumed == 0


KILLED_AT_A_RENAME = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from contract.tables import Kind
from contract.terms import load_terms
from contract.workfolder import LotFolder
from models.fake import FakePredictor
from prelabel.run import Job, run_job

stop, when = int(sys.argv[4]), sys.argv[5]
renames = 0
replace = Path.replace

def dying_replace(self, target):
    global renames
    renames += 1
    if renames == stop and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = replace(self, target)
    if renames == stop:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

Path.replace = dying_replace
terms = load_terms(Path(sys.argv[2]))
predictors = {kind: FakePredictor(kind, guideline=terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
run_job(Job(LotFolder(Path(sys.argv[3])), terms, predictors, chunk_items={Kind.IMAGE: 3, Kind.TEXT: 2, Kind.VIDEO: 1}))
"""


@pytest.mark.parametrize(
    ("rename", "when"), [(1, "after"), (2, "before"), (2, "after"), (3, "before"), (8, "after"), (17, "before")]
)
def test_kill_and_resume_equals_an_uninterrupted_run(
    make_lot: Callable[..., LotFolder], demo_terms: Terms, rename: int, when: str
) -> None:
    whole = run_job(make_job(make_lot(work="whole"), demo_terms))
    lot = make_lot(work="killed")
    command = [
        sys.executable,
        "-c",
        KILLED_AT_A_RENAME,
        str(ROOT),
        str(ROOT / "configs/demo.yaml"),
        str(lot.root),
        str(rename),
        when,
    ]
    killed = subprocess.run(command, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})  # noqa: S603 - our own script
    assert killed.returncode == -signal.SIGKILL
    resumed = run_job(make_job(lot, demo_terms))
    assert bytes_of(resumed.folder) == bytes_of(whole.folder)


def test_a_manifest_changed_after_intake_is_refused(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    lot = make_lot()
    lot.manifest.write_bytes(lot.manifest.read_bytes() + b"x")
    with pytest.raises(StageError, match="changed since intake"):
        run_job(make_job(lot, demo_terms))


def test_a_kind_without_a_model_is_refused(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    predictors = {Kind.IMAGE: FakePredictor(Kind.IMAGE, guideline=demo_terms.guideline)}
    with pytest.raises(InputError, match="text items but no model"):
        run_job(Job(make_lot(), demo_terms, predictors))


def test_a_missing_lot_is_named(tmp_path: Path, demo_terms: Terms) -> None:
    with pytest.raises(StageError, match="no such lot"):
        run_job(make_job(LotFolder(tmp_path / "none"), demo_terms))


def test_two_calls_of_one_run_do_not_interleave(make_lot: Callable[..., LotFolder], demo_terms: Terms) -> None:
    job = make_job(make_lot(), demo_terms)
    reached, go_on = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    class Waiting(FakePredictor):
        def predict(self, sources: Sequence[Source]) -> pa.Table:
            reached.set()
            assert go_on.wait(30)
            return super().predict(sources)

    predictors = {kind: Waiting(kind, guideline=demo_terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
    first = threading.Thread(target=lambda: run_job(Job(job.lot, job.terms, predictors, chunk_items=SIZES)))
    first.start()
    try:
        assert reached.wait(30)
        with pytest.raises(StageError, match="under way"):
            run_job(job)
    finally:
        go_on.set()
        first.join()
    assert not failures
    assert run_job(job).resumed == 17


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_one_sentence_and_the_job_goes_on_later(
    make_lot: Callable[..., LotFolder], demo_terms: Terms, tmp_path: Path
) -> None:
    lot = make_lot(images=120)
    lot.drafts.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(lot.drafts)], check=False)  # noqa: S603, S607
    if mounted.returncode:
        pytest.skip("this machine does not let tests mount a tmpfs")
    try:
        with pytest.raises(StorageError, match="no space left"):
            run_job(make_job(lot, demo_terms))
        assert not list(lot.drafts.rglob(".*.tmp"))
        for path in lot.drafts.rglob("receipt-*.json"):
            assert json.loads(path.read_text())["items"]
        subprocess.run(["mount", "-o", "remount,size=10m", str(lot.drafts)], check=True)  # noqa: S603, S607
        assert run_job(make_job(lot, demo_terms)).items == 127
    finally:
        subprocess.run(["umount", str(lot.drafts)], check=True)  # noqa: S603, S607
