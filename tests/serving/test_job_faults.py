"""A whole job on Ray, whose replica is killed, and whose items kill replicas: nothing is lost, and no byte tells of it."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contract.predictor import Predictor
from contract.tables import Kind
from contract.terms import Terms, load_terms
from contract.workfolder import LotFolder, lot_folder
from models.fake import FakePredictor
from prelabel.intake import take_in
from prelabel.run import Job, JobSummary, run_job
from serving.isolation import Patience

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SIZES = {Kind.IMAGE: 4, Kind.TEXT: 4, Kind.VIDEO: 1}


@pytest.fixture
def terms() -> Terms:
    return load_terms(ROOT / "configs" / "demo.yaml")


@pytest.fixture
def hanging(orders: Path) -> Iterator[Path]:
    """The mark by which a replica tells that it hangs; gone before and after, since others wait for it as well."""
    mark = orders / "hanging"
    mark.unlink(missing_ok=True)
    yield mark
    mark.unlink(missing_ok=True)


def lot_of(texts: list[str], tmp_path: Path, terms: Terms) -> LotFolder:
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "".join(f"{text}\n" for text in texts), encoding="utf-8")
    lot = lot_folder(tmp_path / "work", terms.contract, "made")
    take_in([str(table)], lot=lot, terms=terms, lot_name="made")
    return lot


def shards(summary: JobSummary) -> list[bytes]:
    return [path.read_bytes() for path in sorted(summary.folder.glob("shard-*"))]


def job_of(lot: LotFolder, terms: Terms, predictor: Predictor) -> Job:
    return Job(lot, terms, {Kind.TEXT: predictor}, chunk_items=SIZES, calls_in_flight=3)


def test_a_job_whose_replica_is_killed(service: Any, hanging: Path, tmp_path: Path, terms: Terms) -> None:
    texts = [f"text {number}" for number in range(30)]
    lot = lot_of([*texts[:9], "hang once", *texts[9:]], tmp_path, terms)
    predictor = service.predictor(Kind.TEXT, patience=Patience(first_pause_s=0.1))
    pid = predictor.describe().settings["pid"]
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(run_job, job_of(lot, terms, predictor))
        while not hanging.exists():
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        found = job.result(timeout=300)
    assert (found.items, found.rejected) == (31, 0)
    assert shards(found) == shards(run_job(job_of(lot, terms, FakePredictor(Kind.TEXT))))


def test_a_job_with_an_item_that_kills(service: Any, tmp_path: Path, terms: Terms) -> None:
    lot = lot_of([*(f"text {number}" for number in range(9)), "die", "text 9"], tmp_path, terms)
    hasty = Patience(attempts=1, first_pause_s=0.1, longest_pause_s=0.5, unavailable_s=120)
    found = run_job(job_of(lot, terms, service.predictor(Kind.TEXT, patience=hasty)))
    assert (found.items, found.labelled + found.empty, found.rejected) == (11, 10, 1)
    usual = run_job(job_of(lot, terms, FakePredictor(Kind.TEXT)))
    assert shards(found)[:2] == shards(usual)[:2]
    rows, wanted = (pq.read_table(each.folder / "shard-00002.parquet").to_pylist() for each in (found, usual))
    assert [row["state"] for row in rows] == ["labelled", "rejected", "labelled"]
    assert "the model's process died on this item" in rows[1]["reason"]
    assert (rows[0], rows[2]) == (wanted[0], wanted[2])
    service.predictor(Kind.TEXT).load("cpu")  # wait for the replica that takes the last one's place
