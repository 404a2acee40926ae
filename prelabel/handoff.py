"""Hand-off to review and back: drafts out of a lot, submissions and gold into it, each sealed by hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import ValidationError

from contract.answers import flatten
from contract.errors import LabelsError, StageError
from contract.files import read_json, read_parquet, sha256_file, sha256_json, write_json
from contract.labelset import LabelSet, read_labels, write_labels
from contract.receipts import LabelsReceipt, RunDocument, ShardReceipt
from contract.tables import STATES, TASKS_OF_KIND, Kind, State, Task
from contract.terms import Terms
from contract.validate import validate_labels
from contract.workfolder import LotFolder, next_number, numbers
from prelabel.run import read_intake_receipt, read_manifest

Role = Literal["submission", "gold"]


@dataclass(frozen=True)
class Sealed:
    """Labels that stand in a lot under a number, with the digest that seals them."""

    number: int
    folder: Path
    labels: LabelSet
    receipt: LabelsReceipt


def read_drafts(lot: LotFolder, run: str | None = None) -> tuple[RunDocument, LabelSet]:
    """Return the drafts of `run`, or of the newest finished run of the lot.

    Rejected items have state missing: a model has no label for them and a person must look.

    Raises:
        StageError: there is no such run, or it is unfinished.
    """
    folder = lot.drafts / run if run else _newest_run(lot)
    if not (folder / "run.json").exists():
        raise StageError(f"{folder}: there is no such run; run 'goldgate prelabel' first")
    document = RunDocument.model_validate(read_json(folder / "run.json"))
    states: list[pa.Table] = []
    tables: dict[Task, list[pa.Table]] = {}
    for receipt in _shard_receipts(folder, document):
        answer = read_parquet(folder / f"shard-{receipt.chunk:05d}.parquet")
        states.append(_states(answer, receipt.kind.value))
        for task in TASKS_OF_KIND[receipt.kind]:
            tables.setdefault(task, []).append(flatten(task, answer, document.descriptions[receipt.kind].source))
    joined = {task: pa.concat_tables(parts) for task, parts in tables.items()}
    return document, LabelSet(pa.concat_tables(states) if states else STATES.empty_table(), joined)


def runs_of(lot: LotFolder) -> list[str]:
    """Return the ids of the finished runs of the lot, the newest first."""
    finished = [run for run in (path.parent for path in lot.drafts.glob("*/run.json")) if _is_finished(run)]
    newest = {run.name: max(path.stat().st_mtime_ns for path in run.iterdir()) for run in finished}
    return sorted(newest, key=lambda name: (newest[name], name), reverse=True)


def _newest_run(lot: LotFolder) -> Path:
    finished = runs_of(lot)
    if not finished:
        raise StageError(f"{lot.drafts}: no finished run of drafts; run 'goldgate prelabel' first")
    return lot.drafts / finished[0]


def _is_finished(folder: Path) -> bool:
    document = RunDocument.model_validate(read_json(folder / "run.json"))
    return all((folder / f"receipt-{index:05d}.json").exists() for index in range(document.chunks))


def _shard_receipts(folder: Path, document: RunDocument) -> list[ShardReceipt]:
    receipts = []
    for index in range(document.chunks):
        path = folder / f"receipt-{index:05d}.json"
        if not path.exists():
            raise StageError(
                f"{folder}: chunk {index} of {document.chunks} is not done; run the same 'goldgate prelabel' again"
            )
        receipt = ShardReceipt.model_validate(read_json(path))
        shard = folder / f"shard-{index:05d}.parquet"
        if not shard.exists() or sha256_file(shard) != receipt.shard_sha256:
            raise StageError(f"{shard}: missing or changed since it was written; run the same 'goldgate prelabel' again")
        receipts.append(receipt)
    return receipts


def _states(answer: pa.Table, kind: str) -> pa.Table:
    states = [State.MISSING.value if state == State.REJECTED.value else state for state in answer["state"].to_pylist()]
    return pa.table({"item": answer["item"], "kind": [kind] * len(states), "state": states}, schema=STATES)


def seal(lot: LotFolder, labels: LabelSet, *, terms: Terms, role: Role, origins: Sequence[Path], format_name: str) -> Sealed:
    """Validate `labels` against the lot and the guideline and store them as the next submission or gold.

    Raises:
        LabelsError: an item, class or value does not fit; nothing is stored.
        StageError: the lot is not there or was changed.
    """
    intake = read_intake_receipt(lot)
    items = read_manifest(lot, intake)
    named = ", ".join(map(str, origins))
    validate_labels(labels, items=items, guideline=terms.guideline, origin=named)
    if not labels.states.num_rows:
        raise LabelsError(f"{named}: no item of the lot is in it")
    base = lot.submissions if role == "submission" else lot.gold
    number = next_number(base)
    folder = base / str(number)
    digests = write_labels(folder, labels)
    receipt = LabelsReceipt(
        role=role,
        number=number,
        contract=terms.contract,
        lot=intake.lot,
        manifest_sha256=intake.manifest_sha256,
        terms_sha256=terms.sha256,
        guideline_sha256=terms.guideline.sha256,
        origins={str(origin): sha256_file(origin) if origin.is_file() else None for origin in origins},
        format=format_name,
        files=digests,
        items=labels.states.num_rows,
        labels={task.value: table.num_rows for task, table in sorted(labels.tables.items())},
        labels_sha256=sha256_json(digests),
    )
    write_json(folder / "receipt.json", receipt.model_dump(mode="json"))
    return Sealed(number, folder, labels, receipt)


def read_sealed(lot: LotFolder, role: Role, number: int | None = None) -> Sealed:
    """Return submission or gold `number`, or the newest, if its files are those that were sealed.

    Raises:
        StageError: there is none, it belongs to another lot, or a file was changed.
    """
    base = lot.submissions if role == "submission" else lot.gold
    known = [n for n in numbers(base) if (base / str(n) / "receipt.json").exists()]
    if not known or (number is not None and number not in known):
        wanted = f"{role} {number}" if number is not None else role
        raise StageError(f"{base}: there is no {wanted}; bring it in by 'goldgate import --as {role}'")
    chosen = known[-1] if number is None else number
    folder = base / str(chosen)
    receipt = _labels_receipt(folder / "receipt.json")
    if receipt.manifest_sha256 != read_intake_receipt(lot).manifest_sha256:
        raise StageError(f"{folder}: belongs to lot {receipt.lot!r} with another manifest, not to this one")
    for name, digest in receipt.files.items():
        if not (folder / name).exists() or sha256_file(folder / name) != digest:
            raise StageError(f"{folder / name}: missing or changed since it was sealed; import it again")
    return Sealed(chosen, folder, read_labels(folder), receipt)


def _labels_receipt(path: Path) -> LabelsReceipt:
    try:
        return LabelsReceipt.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not a receipt of labels; import them again") from error


def unlabelled_items(items: pa.Table, submission: LabelSet, gold: LabelSet) -> dict[Kind, list[str]]:
    """Return the items of each kind that `submission` neither labels nor calls empty and `gold` does not excuse."""
    done = {State.LABELLED.value, State.EMPTY.value}
    known = {row["item"] for row in submission.states.to_pylist() if row["state"] in done}
    known |= {row["item"] for row in gold.states.to_pylist() if row["state"] == State.EXCUSED.value}
    left: dict[Kind, list[str]] = {}
    for row in items.select(["item", "kind"]).to_pylist():
        if row["item"] not in known:
            left.setdefault(Kind(row["kind"]), []).append(row["item"])
    return left
