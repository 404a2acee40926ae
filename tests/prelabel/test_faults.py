"""What can befall a job: after each of it, the same shards to the byte, and in = out + rejected."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.errors import SourceError, StageError, StorageError
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import Terms
from contract.workfolder import LotFolder
from models.fake import FakePredictor
from prelabel.guarded import ModelDiedError
from prelabel.run import Job, JobSummary, run_job

ROOT = Path(__file__).resolve().parents[2]
SIZES = {Kind.IMAGE: 3, Kind.TEXT: 2, Kind.VIDEO: 1}
KINDS = (Kind.IMAGE, Kind.TEXT)
ITEMS = 17

MakeLot = Callable[..., LotFolder]
Befall = Callable[[], None]


class Befallen(FakePredictor):
    """The fake, to which something happens as it is asked for the third time."""

    def __init__(self, kind: Kind, terms: Terms, befall: Befall) -> None:
        super().__init__(kind, guideline=terms.guideline)
        self._befall, self._calls = befall, 0

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        self._calls += 1
        if self._calls == 3:
            self._befall()
        return super().predict(sources)


def job_of(lot: LotFolder, terms: Terms, befall: Befall = lambda: None) -> Job:
    return Job(lot, terms, {kind: Befallen(kind, terms, befall) for kind in KINDS}, chunk_items=SIZES)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check(found: JobSummary, whole: JobSummary) -> None:
    assert bytes_of(found.folder) == bytes_of(whole.folder)
    assert found.items == found.labelled + found.empty + found.rejected == ITEMS
    (hidden,) = [path.name for path in found.folder.parent.iterdir() if path.name.startswith(".")]
    assert hidden.startswith(f".{found.run}.lease-")


@pytest.fixture
def whole(make_lot: MakeLot, demo_terms: Terms) -> JobSummary:
    return run_job(job_of(make_lot(work="whole"), demo_terms))


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small tmpfs at `folder`."""
    folder.mkdir()
    if os.geteuid() or mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)):
        pytest.skip("this machine does not let tests mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


def mount(*words: str) -> int:
    return subprocess.run(["mount", *words], check=False, stderr=subprocess.DEVNULL).returncode  # noqa: S603, S607


def test_files_that_may_grow_no_further(make_lot: MakeLot, demo_terms: Terms, whole: JobSummary) -> None:
    lot = make_lot()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def shrink() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))

    try:
        with pytest.raises(StorageError, match=r"shard-00002.parquet: file too large; free space"):
            run_job(job_of(lot, demo_terms, shrink))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check(run_job(job_of(lot, demo_terms)), whole)


def test_a_folder_that_turns_read_only(make_lot: MakeLot, demo_terms: Terms, whole: JobSummary) -> None:
    lot = make_lot()
    with mounted(lot.drafts):
        with pytest.raises(StorageError, match=r"cannot write .*: read-only file system; free space"):
            run_job(job_of(lot, demo_terms, lambda: check_mounted(mount("-o", "remount,ro", str(lot.drafts)))))
        with pytest.raises(StorageError, match="read-only file system"):
            run_job(job_of(lot, demo_terms))
        check_mounted(mount("-o", "remount,rw", str(lot.drafts)))
        check(run_job(job_of(lot, demo_terms)), whole)


def check_mounted(status: int) -> None:
    assert status == 0


def test_sources_whose_folder_goes_away(make_lot: MakeLot, demo_terms: Terms, whole: JobSummary, tmp_path: Path) -> None:
    lot = make_lot()
    away = tmp_path / "away"
    with pytest.raises(SourceError, match=r"006\.png: gone, as are the files beside it.*is mounted"):
        run_job(job_of(lot, demo_terms, lambda: check_moved(tmp_path / "source", away)))
    with pytest.raises(SourceError, match="gone"):
        run_job(job_of(lot, demo_terms))
    check_moved(away, tmp_path / "source")
    check(run_job(job_of(lot, demo_terms)), whole)


def check_moved(old: Path, new: Path) -> None:
    shutil.move(old, new)


def test_a_single_source_that_goes_away_is_one_reject(make_lot: MakeLot, demo_terms: Terms, tmp_path: Path) -> None:
    summary = run_job(job_of(make_lot(), demo_terms, lambda: (tmp_path / "source" / "009.png").unlink()))
    assert (summary.items, summary.rejected) == (ITEMS, 1)  # the tenth image is a chunk by itself
    (row,) = pq.read_table(summary.folder / "shard-00003.parquet").to_pylist()
    assert (row["item"], row["state"]) == ("009.png", "rejected")
    assert "cannot be read (no such file or directory)" in row["reason"]


class Blind(FakePredictor):
    """A model on a machine that does not have the sources' folder."""

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        return super().predict([Source(each.item, each.kind, "/nowhere" + each.uri, each.data) for each in sources])


def test_a_model_that_lacks_the_folder_is_told_apart(make_lot: MakeLot, demo_terms: Terms) -> None:
    blind = {kind: Blind(kind, guideline=demo_terms.guideline) for kind in KINDS}
    with pytest.raises(SourceError, match=r"cannot read it though it is here; give every node"):
        run_job(Job(make_lot(), demo_terms, blind, chunk_items=SIZES))


@pytest.mark.parametrize("jump_s", [-4e8, 4e8])
def test_clocks_that_jump(
    make_lot: MakeLot, demo_terms: Terms, whole: JobSummary, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    lot = make_lot()
    true = time.time

    def jump() -> None:
        monkeypatch.setattr(time, "time", lambda: true() + jump_s)
        for path in lot.drafts.rglob("*"):
            os.utime(path, (true() + jump_s, true() + jump_s))
        raise StageError("stopped here")

    with pytest.raises(StageError, match="stopped here"):
        run_job(job_of(lot, demo_terms, jump))
    found = run_job(job_of(lot, demo_terms))
    assert (found.resumed, found.seconds >= 0) == (6, True)
    check(found, whole)


DRIVER = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from contract.tables import Kind
from contract.terms import load_terms
from contract.workfolder import LotFolder
from models.fake import FakePredictor
from prelabel.run import Job, run_job

class Hanging(FakePredictor):
    def predict(self, sources):
        if sources[0].item == "006.png":
            print("hanging", flush=True)
            time.sleep(600)
        return super().predict(sources)

terms = load_terms(Path(sys.argv[2]))
predictors = {kind: Hanging(kind, guideline=terms.guideline) for kind in (Kind.IMAGE, Kind.TEXT)}
sizes = {Kind.IMAGE: 3, Kind.TEXT: 2, Kind.VIDEO: 1}
run_job(Job(LotFolder(Path(sys.argv[3])), terms, predictors, chunk_items=sizes))
"""


def test_two_drivers_on_one_lot(make_lot: MakeLot, demo_terms: Terms, whole: JobSummary) -> None:
    lot = make_lot()
    command = [sys.executable, "-c", DRIVER, str(ROOT), str(ROOT / "configs/demo.yaml"), str(lot.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:  # noqa: S603 - our own script
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == "hanging\n"
            with pytest.raises(StageError, match=f"under way in process {first.pid} on"):
                run_job(job_of(lot, demo_terms))
        finally:
            first.kill()
    found = run_job(job_of(lot, demo_terms))
    assert found.resumed == 6
    check(found, whole)


POISONED = """
import functools, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from contract.tables import Kind
from contract.terms import load_terms
from contract.workfolder import LotFolder
from models.fake import FakePredictor
from prelabel.guarded import GuardedPredictor
from prelabel.run import Job, run_job

class Crashing(FakePredictor):
    def predict(self, sources):
        for source in sources:
            content = source.data or Path(source.uri).read_bytes()
            if content == b"this is no picture 4":
                os.kill(os.getpid(), signal.SIGSEGV)
            if content == b"this is no picture 5":
                raise ZeroDivisionError("by itself")
        return super().predict(sources)

if __name__ == "__main__":
    terms = load_terms(Path(sys.argv[2]))
    make = lambda kind: functools.partial(Crashing, kind, guideline=terms.guideline)
    predictors = {kind: make(kind)() for kind in (Kind.IMAGE, Kind.TEXT)}
    sizes = {Kind.IMAGE: 3, Kind.TEXT: 2, Kind.VIDEO: 1}
    guard = lambda kind: GuardedPredictor(make(kind), predictors[kind].describe())
    lot = LotFolder(Path(sys.argv[3]))
    run_job(Job(lot, terms, predictors, chunk_items=sizes, calls_in_flight=2, guard=guard))
"""


class Raising(FakePredictor):
    """The fake that says of poisoned images what a guarded predictor says whose child died, or whose model raised."""

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        for source in sources:
            content = source.data or Path(source.uri).read_bytes()
            if content == b"this is no picture 4":
                raise ModelDiedError("signal SIGSEGV")
            if content == b"this is no picture 5":
                raise ZeroDivisionError("by itself")
        return super().predict(sources)


def test_an_image_that_crashes_its_decoder(make_lot: MakeLot, demo_terms: Terms, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(POISONED, encoding="utf-8")
    lot = make_lot(broken=(4, 5))
    command = [sys.executable, str(script), str(ROOT), str(ROOT / "configs/demo.yaml"), str(lot.root)]
    crashed = subprocess.run(command, check=False)  # noqa: S603 - our own script
    assert crashed.returncode == -signal.SIGSEGV
    subprocess.run(command, check=True)  # noqa: S603 - our own script
    raising = {kind: Raising(kind, guideline=demo_terms.guideline) for kind in KINDS}
    whole = run_job(Job(make_lot(broken=(4, 5), work="whole"), demo_terms, raising, chunk_items=SIZES))
    assert whole.rejected == 2
    found = run_job(job_of(lot, demo_terms))
    assert found.resumed == ITEMS
    check(found, whole)
    (row,) = [row for row in pq.read_table(found.folder / "shard-00001.parquet").to_pylist() if row["item"] == "004.png"]
    assert row["reason"] == "the predictor failed: ModelDiedError: signal SIGSEGV"
