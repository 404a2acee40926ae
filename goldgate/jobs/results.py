"""What a finished job gives back: label files, and what has no label, with reasons."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contract.errors import FormatError
from contract.files import read_parquet, write_parquet
from contract.formats.lotview import LotView
from contract.formats.registry import exchange
from contract.labelset import LabelSet
from contract.tables import KIND_OF_TASK, State, Task
from contract.terms import Terms
from contract.workfolder import LotFolder
from prelabel.handoff import read_drafts
from prelabel.run import read_intake_receipt, read_manifest, read_texts
from serving.jobs import Rejected, RejectedPage, ResultFormat

_BY_INTAKE: Final = "intake"
_BY_MODEL: Final = "model"


def result_file(folder: Path, lot: LotFolder, terms: Terms, run: str | None, task: Task, format_: ResultFormat) -> Path:
    """Return the file below `folder` that holds the labels of `task` in `run`; it is made when first asked for.

    Raises:
        FormatError: the format cannot hold the task, or has nothing to hold.
        StageError: the drafts were changed since they were written.
    """
    if format_ is ResultFormat.COCO and task is not Task.BOXES:
        raise FormatError(f"COCO holds boxes, not {task.value}; ask for parquet or jsonl")
    here = folder / f"{run}-{format_.value}"
    if format_ is ResultFormat.PARQUET:
        path = here / f"{task.value}.parquet"
        if not path.exists():
            write_parquet(path, read_drafts(lot, run)[1].table(task))
        return path
    path = here / ("instances.json" if format_ is ResultFormat.COCO else f"{task.value}.jsonl")
    if not path.exists():
        document, labels = read_drafts(lot, run)
        kind = KIND_OF_TASK[task]
        if kind not in document.descriptions:
            raise FormatError(f"the lot has no {kind.value} items that a model labelled, so there are no {task.value}")
        view = LotView(
            read_manifest(lot, read_intake_receipt(lot)),
            terms.guideline,
            read_texts(lot),
            document.descriptions[kind].source,
        )
        exchange(format_.value).write(here, LabelSet(labels.states, {task: labels.table(task)}), view)
    return path


def rejected_page(lot: LotFolder, run: str | None, *, offset: int, limit: int) -> RejectedPage:
    """Return the entries that have no label: first those that intake turned down, then those that a model did."""
    entries = list(_entries(lot, run))
    return RejectedPage(total=len(entries), offset=offset, rejects=entries[offset : offset + limit])


def _entries(lot: LotFolder, run: str | None) -> Iterator[Rejected]:
    for row in read_parquet(lot.rejects).to_pylist():
        yield Rejected(item=row["item"], by=_BY_INTAKE, reason=row["reason"], detail=row["detail"])
    for path in sorted((lot.drafts / (run or "")).glob("shard-*.parquet")):
        for row in read_parquet(path).select(["item", "state", "reason"]).to_pylist():
            if row["state"] == State.REJECTED.value:
                yield Rejected(item=row["item"], by=_BY_MODEL, reason="model", detail=row["reason"] or "")
