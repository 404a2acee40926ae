"""The pre-label job: chunks out to predictors, shards and receipts back, and nothing lost on the way.

A chunk is done when its shard and then its receipt stand under their final names. Resuming skips the
chunks whose receipts still agree with the inputs, the configuration and the shard on disk.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from contract.errors import InputError, StageError, StoppedError
from contract.files import read_json, read_parquet, sha256_file, sha256_json, write_json, write_parquet
from contract.predictor import Description, Predictor
from contract.receipts import IntakeReceipt, RunDocument, ShardReceipt
from contract.tables import Kind, State
from contract.terms import Terms
from contract.workfolder import LotFolder
from prelabel.isolate import predict_isolated
from prelabel.lease import hold
from prelabel.plan import CHUNK_ITEMS, Chunk, count_items, plan_chunks
from prelabel.underway import Guard, UnderWay
from prelabel.vanished import require_sources

_RUN_ID_LENGTH: Final = 12


@dataclass(frozen=True)
class Progress:
    """How far a job is; `seconds` and `done_here` leave out what an earlier call had finished."""

    items: int
    done: int
    done_here: int
    rejected: int
    seconds: float
    empty: int = 0

    @property
    def labelled(self) -> int:
        """Items with a label."""
        return self.done - self.empty - self.rejected

    @property
    def items_per_s(self) -> float | None:
        """Rate of this call; None until an item is done."""
        return self.done_here / self.seconds if self.done_here and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present rate; None while there is none."""
        return (self.items - self.done) / self.items_per_s if self.items_per_s else None


@dataclass(frozen=True)
class JobSummary:
    """What a job came to: items = labelled + empty + rejected."""

    run: str
    folder: Path
    items: int
    labelled: int
    empty: int
    rejected: int
    resumed: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """A lot, its terms, and a predictor for every kind of item in it."""

    lot: LotFolder
    terms: Terms
    predictors: Mapping[Kind, Predictor]
    chunk_items: Mapping[Kind, int] = field(default_factory=lambda: CHUNK_ITEMS)
    calls_in_flight: int = 1
    guard: Guard | None = None  # for models in this process: what labels a chunk under which a job died


def run_job(
    job: Job,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> JobSummary:
    """Label every item of the lot that no earlier call has labelled, and account for all of them.

    `should_stop` is asked before each chunk is sent; once it says yes, the calls under way are awaited and written.

    Raises:
        StoppedError: `should_stop` said so before the end; the next call goes on from there.
        InputError: a kind in the lot has no predictor.
        StageError: the lot is not there or was changed since intake, or the same run is under way elsewhere.
        PredictorError: a model failed on all items of a chunk.
        SourceError: the folder of the sources is gone.
        StorageError: the disk is full, or read-only.
    """
    started = time.monotonic()
    receipt = read_intake_receipt(job.lot)
    chunks = plan_chunks(read_manifest(job.lot, receipt), read_texts(job.lot), job.chunk_items)
    descriptions = _describe(job.predictors, chunks)
    document = _run_document(job, receipt, chunks, descriptions)
    folder = job.lot.drafts / document.run
    with hold(folder) as lease, UnderWay(folder, job.guard) as under_way:
        _sweep(folder)
        write_json(folder / "run.json", document.model_dump(mode="json"))
        tally = _Tally(count_items(chunks), started, on_progress)
        pending = []
        for chunk in chunks:
            standing = _standing_receipt(folder, chunk, _config_digest(document, chunk.kind))
            if standing is None:
                pending.append(chunk)
            else:
                tally.add(standing, here=False)
        for chunk, answer in _answers(job, pending, should_stop, under_way):
            require_sources(chunk, answer, chunks)
            lease.check()
            tally.add(_finish(folder, chunk, answer, document), here=True)
            under_way.end(chunk.index)
        if tally.left:
            raise StoppedError(f"{folder}: stopped with {tally.left} items to go; the same job goes on from there")
        return tally.summary(document.run, folder)


def read_intake_receipt(lot: LotFolder) -> IntakeReceipt:
    """Return the receipt of `lot`.

    Raises:
        StageError: the lot does not exist or its receipt is not one.
    """
    path = lot.require().receipt
    try:
        return IntakeReceipt.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not a receipt of intake; take the lot in again") from error


def read_manifest(lot: LotFolder, receipt: IntakeReceipt) -> pa.Table:
    """Return the manifest of `lot` if it is the one that was signed off.

    Raises:
        StageError: the manifest changed after intake.
    """
    if sha256_file(lot.manifest) != receipt.manifest_sha256:
        raise StageError(f"{lot.manifest}: changed since intake signed it off; take the lot in again under another name")
    return read_parquet(lot.manifest)


def read_texts(lot: LotFolder) -> dict[str, str]:
    """Return item -> text for the texts of `lot`."""
    if not lot.texts.exists():
        return {}
    table = read_parquet(lot.texts)
    return dict(zip(table["item"].to_pylist(), table["text"].to_pylist(), strict=True))


def _describe(predictors: Mapping[Kind, Predictor], chunks: Sequence[Chunk]) -> dict[Kind, Description]:
    kinds = {chunk.kind for chunk in chunks}
    for kind in sorted(kinds - predictors.keys()):
        raise InputError(
            f"the lot holds {kind.value} items but no model was named for them; name one under 'prelabel' or by --model"
        )
    return {kind: predictors[kind].describe() for kind in sorted(kinds)}


def _run_document(
    job: Job, receipt: IntakeReceipt, chunks: Sequence[Chunk], descriptions: Mapping[Kind, Description]
) -> RunDocument:
    facts = {
        "manifest_sha256": receipt.manifest_sha256,
        "terms_sha256": job.terms.sha256,
        "chunk_items": {kind.value: job.chunk_items[kind] for kind in Kind},
        "descriptions": {kind.value: description.model_dump(mode="json") for kind, description in descriptions.items()},
    }
    return RunDocument(
        run=sha256_json(facts)[:_RUN_ID_LENGTH],
        contract=job.terms.contract,
        lot=receipt.lot,
        manifest_sha256=receipt.manifest_sha256,
        terms_sha256=job.terms.sha256,
        guideline_sha256=job.terms.guideline.sha256,
        chunks=len(chunks),
        items=count_items(chunks),
        descriptions=dict(descriptions),
    )


def _config_digest(document: RunDocument, kind: Kind) -> str:
    return sha256_json({"terms_sha256": document.terms_sha256, "model": document.descriptions[kind].model_dump(mode="json")})


def _answers(
    job: Job, chunks: Sequence[Chunk], should_stop: Callable[[], bool], under_way: UnderWay
) -> Iterator[tuple[Chunk, pa.Table]]:
    """Yield answers as they come, never more than `calls_in_flight` calls ahead of the writer."""
    waiting = iter(chunks)
    pool = ThreadPoolExecutor(job.calls_in_flight, thread_name_prefix="prelabel")
    flying: dict[Future[pa.Table], Chunk] = {}
    try:
        while True:
            while len(flying) < job.calls_in_flight and not should_stop() and (chunk := next(waiting, None)) is not None:
                under_way.begin(chunk.index)
                predictor = under_way.predictor(chunk.kind, chunk.index, job.predictors[chunk.kind])
                flying[pool.submit(predict_isolated, predictor, chunk.kind, chunk.sources)] = chunk
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                yield flying.pop(future), future.result()
    finally:
        # Not waiting lets Ctrl-C end the job at once: a call in flight has written nothing yet.
        pool.shutdown(wait=False, cancel_futures=True)


def _finish(folder: Path, chunk: Chunk, answer: pa.Table, document: RunDocument) -> ShardReceipt:
    counts = {state: pc.sum(pc.equal(answer["state"], state.value)).as_py() or 0 for state in State}
    receipt = ShardReceipt(
        run=document.run,
        chunk=chunk.index,
        kind=chunk.kind,
        items=len(chunk.sources),
        labelled=counts[State.LABELLED],
        empty=counts[State.EMPTY],
        rejected=counts[State.REJECTED],
        inputs_sha256=chunk.inputs_sha256,
        config_sha256=_config_digest(document, chunk.kind),
        weights_sha256=document.descriptions[chunk.kind].weights_sha256,
        shard_sha256=write_parquet(folder / chunk.shard_name, answer),
    )
    write_json(folder / chunk.receipt_name, receipt.model_dump(mode="json"))
    return receipt


def _standing_receipt(folder: Path, chunk: Chunk, config_sha256: str) -> ShardReceipt | None:
    """Return the chunk's receipt if it agrees with inputs, configuration and the shard on disk."""
    path = folder / chunk.receipt_name
    shard = folder / chunk.shard_name
    if not path.exists() or not shard.exists():
        return None
    try:
        receipt = ShardReceipt.model_validate(read_json(path))
    except (ValidationError, InputError):
        return None
    agrees = (
        receipt.inputs_sha256 == chunk.inputs_sha256
        and receipt.config_sha256 == config_sha256
        and receipt.shard_sha256 == sha256_file(shard)
    )
    return receipt if agrees else None


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


class _Tally:
    """Running counts of a job."""

    def __init__(self, items: int, started: float, on_progress: Callable[[Progress], None]) -> None:
        self._items = items
        self._started = started
        self._on_progress = on_progress
        self._done = self._done_here = self._labelled = self._empty = self._rejected = 0

    def add(self, receipt: ShardReceipt, *, here: bool) -> None:
        self._done += receipt.items
        self._done_here += receipt.items if here else 0
        self._labelled += receipt.labelled
        self._empty += receipt.empty
        self._rejected += receipt.rejected
        seconds = time.monotonic() - self._started
        self._on_progress(Progress(self._items, self._done, self._done_here, self._rejected, seconds, self._empty))

    @property
    def left(self) -> int:
        """Items that no receipt accounts for yet."""
        return self._items - self._done

    def summary(self, run: str, folder: Path) -> JobSummary:
        if not self._items == self._done == self._labelled + self._empty + self._rejected:
            raise StageError(f"{folder}: the books do not balance: {self._items} items in, {self._done} accounted for")
        return JobSummary(
            run=run,
            folder=folder,
            items=self._items,
            labelled=self._labelled,
            empty=self._empty,
            rejected=self._rejected,
            resumed=self._done - self._done_here,
            seconds=time.monotonic() - self._started,
        )
