"""Three Ray nodes: one is lost in the middle of a job, and then the head in the middle of another."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.tables import Kind
from contract.terms import Terms, load_terms
from contract.workfolder import LotFolder, lot_folder
from models.fake import FakePredictor
from prelabel.intake import take_in
from prelabel.run import Job, JobSummary, run_job

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
TEXTS = 1600
SIZES = {Kind.IMAGE: 4, Kind.TEXT: 16, Kind.VIDEO: 1}
HEAD_LOST_S = 60
TIMES = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "RAY_raylet_start_wait_time_s": "120"}

DRIVER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import ray
from ray.cluster_utils import Cluster
from contract.tables import Kind
from contract.terms import load_terms
from contract.workfolder import LotFolder
from prelabel.run import Job, run_job
from serving.config import ModelSettings, Scaling, ServeSettings
from serving.isolation import Patience
from serving.running import start_serving

def tell(**facts):
    print(json.dumps(facts), flush=True)

def processes(node):
    return [each.process.pid for kind in node.all_processes.values() for each in kind]

terms = load_terms(Path(sys.argv[2]))
small = {"object_store_memory": 80_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
nodes = [cluster.add_node(num_cpus=1, object_store_memory=80_000_000) for _ in range(2)]
tell(pids=[pid for node in [cluster.head_node, *nodes] for pid in processes(node)])
ray.init(address=cluster.address, log_to_driver=False)
model = ModelSettings(name="fake", device="cpu", num_cpus=1, scaling=Scaling(min_replicas=2, max_replicas=2))
settings = ServeSettings(models={Kind.TEXT: model}, terms=terms.model_dump(mode="json"))
sizes = {Kind.IMAGE: 4, Kind.TEXT: 16, Kind.VIDEO: 1}

def run(lot, befall):
    done = []
    def on_progress(progress):
        done.append(progress.done)
        if len(done) == 3:
            befall()
    job = Job(LotFolder(Path(lot)), terms, {Kind.TEXT: predictor}, chunk_items=sizes, calls_in_flight=4)
    return run_job(job, on_progress)

with start_serving(settings) as serving:
    predictor = serving.predictor(Kind.TEXT, patience=Patience(first_pause_s=0.1, longest_pause_s=1.0))
    summary = run(sys.argv[3], lambda: cluster.remove_node(nodes[0], allow_graceful=False))
    tell(run=summary.run, items=summary.items, rejected=summary.rejected, nodes=len(ray.nodes()))
    run(sys.argv[4], lambda: cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False))
"""


@pytest.fixture(scope="module")
def terms() -> Terms:
    return load_terms(ROOT / "configs" / "demo.yaml")


def lot_in(work: Path, texts: Path, terms: Terms) -> LotFolder:
    lot = lot_folder(work, terms.contract, "made")
    take_in([str(texts)], lot=lot, terms=terms, lot_name="made")
    return lot


def local(lot: LotFolder, terms: Terms) -> JobSummary:
    return run_job(Job(lot, terms, {Kind.TEXT: FakePredictor(Kind.TEXT, guideline=terms.guideline)}, chunk_items=SIZES))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def told_by(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the next document that the driver prints, past what Ray says of nodes that are gone."""
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(next(line for line in process.stdout if line.startswith("{")))
    return document


@pytest.fixture
def driver(tmp_path: Path, terms: Terms) -> Iterator["subprocess.Popen[str]"]:
    """A job on three nodes of its own, all of whose processes end with the test."""
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "".join(f"text number {number}\n" for number in range(TEXTS)), encoding="utf-8")
    lots = [str(lot_in(tmp_path / name, texts, terms).root) for name in ("node", "head", "whole")]
    command = [sys.executable, "-c", DRIVER, str(ROOT), str(ROOT / "configs" / "demo.yaml"), *lots[:2]]
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"} | TIMES
    env.pop("RAY_ADDRESS", None)
    pids: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:  # noqa: S603 - our own script
        try:
            pids = told_by(process)["pids"]
            yield process
        finally:
            process.kill()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_a_lost_node_and_a_lost_head_cost_nothing(driver: "subprocess.Popen[str]", tmp_path: Path, terms: Terms) -> None:
    whole = local(lot_folder(tmp_path / "whole", terms.contract, "made"), terms)
    told = told_by(driver)
    assert (told["run"], told["items"], told["rejected"]) == (whole.run, TEXTS, 0)
    node = lot_folder(tmp_path / "node", terms.contract, "made")
    assert bytes_of(node.drafts / whole.run) == bytes_of(whole.folder)
    try:
        assert driver.wait(timeout=HEAD_LOST_S) != 0
    except subprocess.TimeoutExpired:
        driver.kill()  # as whoever started it would: without its head it waits for replicas that nobody starts
        driver.wait(timeout=30)
    head = local(lot_folder(tmp_path / "head", terms.contract, "made"), terms)
    assert head.resumed > 0  # it may be all: calls go straight to the replicas, which outlive the head for a while
    assert bytes_of(head.folder) == bytes_of(whole.folder)
