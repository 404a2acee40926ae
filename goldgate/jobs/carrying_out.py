"""Carrying a job out: its lot is taken in if need be, then labelled by the machinery of `goldgate prelabel`."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from contract import errors
from contract.errors import InputError, SourceError, StoppedError
from contract.predictor import Predictor
from contract.tables import Kind
from contract.terms import Terms
from contract.workfolder import LotFolder
from goldgate import auditing
from goldgate.wiring import check_labels
from prelabel.plan import CHUNK_ITEMS, count_by_kind
from prelabel.run import Job, JobSummary, Progress, read_intake_receipt, read_manifest, run_job

_LOOK_S: Final = 0.25

Predictors = Callable[[Kind], Predictor | None]


@dataclass(frozen=True)
class Watch:
    """How whoever waits for a job follows it and stops it."""

    on_progress: Callable[[Progress], None]
    should_stop: Callable[[], bool]


@dataclass(frozen=True)
class Means:
    """What jobs run with: models by kind, chunks under way, and items in a chunk."""

    predictors: Predictors
    calls_in_flight: int = 1
    chunk_items: Mapping[Kind, int] = field(default_factory=lambda: CHUNK_ITEMS)


def take_in_apart(
    lot: LotFolder, contract: Path, sources: Sequence[str], *, lot_name: str, should_stop: Callable[[], bool]
) -> None:
    """Run intake in a process of its own and wait for it.

    Raises:
        GoldgateError: as intake raised it.
        StoppedError: `should_stop` said so.
        SourceError: the process died, as a decoder does on a file made to break it.
    """
    order = {"sources": list(sources), "lot": str(lot.root), "lot_name": lot_name, "contract": str(contract)}
    command = [sys.executable, "-m", "goldgate.jobs.intake_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603  ours
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            last = _last_word(process.stdin, lines, order, should_stop)
        finally:
            process.kill()
            reader.join()
    if "error" in last:
        kind = getattr(errors, last["error"], SourceError)
        raise kind(last["detail"])
    if "taken_in" not in last:
        raise SourceError(
            f"intake of lot {lot_name} died under one of its files; take it in by goldgate intake to see which"
        )
    auditing.intake(lot, read_intake_receipt(lot))


def _last_word(
    pipe: IO[bytes] | None,
    lines: "queue.SimpleQueue[bytes | None]",
    order: Mapping[str, Any],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Send the order, and return the last line that came before the process ended or said that it is done."""
    last: dict[str, Any] = {}
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):  # then it died at once, and the lines end
            pipe.write(json.dumps(order).encode() + b"\n")
            pipe.flush()
    while not last.keys() & {"taken_in", "error"}:
        if should_stop():
            raise StoppedError("stopped while the lot was taken in; the same job takes it in again")
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=_LOOK_S)
            if line is None:
                break
            last = json.loads(line)
    return last


def _read(pipe: IO[bytes] | None, lines: "queue.SimpleQueue[bytes | None]") -> None:
    for line in pipe or ():
        lines.put(line)
    lines.put(None)


def label_lot(lot: LotFolder, terms: Terms, means: Means, watch: Watch) -> JobSummary:
    """Label the lot with the service's models.

    Raises:
        InputError: a kind has no model here, or one speaks labels that the guideline does not have.
        StoppedError: `watch` said so.
        GoldgateError: what else ends a job.
    """
    counts = count_by_kind(read_manifest(lot, read_intake_receipt(lot)))
    predictors = {}
    for kind in counts:
        predictor = means.predictors(kind)
        if predictor is None:
            raise InputError(f"the lot holds {kind.value} items but this service has no model for them")
        check_labels(terms, kind, predictor)
        predictors[kind] = predictor
    job = Job(lot, terms, predictors, chunk_items=means.chunk_items, calls_in_flight=means.calls_in_flight)
    summary = run_job(job, watch.on_progress, should_stop=watch.should_stop)
    auditing.drafts(lot, summary.folder, items=summary.items, rejected=summary.rejected)
    return summary
