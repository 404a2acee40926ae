"""What commands write into the audit log of their contract, and `goldgate keys` into one beside its file."""

import datetime
import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from contract.files import sha256_file
from contract.receipts import IntakeReceipt
from contract.workfolder import LotFolder
from delivery.auditlog import Deed, append, log_path, origin_of
from goldgate.console import say

OPERATOR_ENV: Final = "GOLDGATE_OPERATOR"
_MOST_NAME: Final = 200


def operator() -> str:
    """Return who runs the command: the name in GOLDGATE_OPERATOR, or that of the account."""
    named = os.environ.get(OPERATOR_ENV, "").strip()
    if named:
        return named[:_MOST_NAME]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        return f"account {os.getuid()}"


def write_down(
    work: Path,
    contract: str,
    action: str,
    subject: str,
    *,
    digests: Mapping[str, str],
    counts: Mapping[str, int] | None = None,
) -> None:
    """Append to the log of `contract` that the operator did `action` to `subject`."""
    _append(log_path(work, contract), origin_of(contract), Deed(action, subject[:_MOST_NAME], digests, counts or {}))


def of_lot(
    lot: LotFolder, action: str, subject: str, *, digests: Mapping[str, str], counts: Mapping[str, int] | None = None
) -> None:
    """Append to the log of the contract that `lot` is of; `subject` says what of the lot."""
    home = lot.root.parent.parent
    write_down(home.parent, home.name, action, f"lot {lot.root.name} {subject}".strip(), digests=digests, counts=counts)


def of_keys(file: Path, action: str, name: str, key_id: str) -> None:
    """Append to the log beside a file of keys what became of the key called `name`."""
    digests = {"keys": sha256_file(file)}
    path = file.with_name(f"{file.stem}.audit.jsonl")
    _append(path, f"goldgate/keys/{file.name}", Deed(action, f"{name} ({key_id})", digests, {}))


def intake(lot: LotFolder, receipt: IntakeReceipt) -> None:
    """Append that `lot` was taken in."""
    of_lot(
        lot,
        "intake",
        "",
        digests={
            "manifest": receipt.manifest_sha256,
            "rejects": receipt.rejects_sha256,
            "receipt": sha256_file(lot.receipt),
            "terms": receipt.terms_sha256,
        },
        counts={
            **{kind.value: count for kind, count in receipt.items_by_kind.items()},
            "rejected": sum(receipt.rejects_by_reason.values()),
        },
    )


def drafts(lot: LotFolder, folder: Path, *, items: int, rejected: int) -> None:
    """Append that a run of drafts was finished; the run's document names models, inputs and configuration."""
    counts = {"items": items, "rejected": rejected}
    of_lot(lot, "prelabel", f"run {folder.name}", digests={"run": sha256_file(folder / "run.json")}, counts=counts)


def _append(path: Path, origin: str, deed: Deed) -> None:
    now = datetime.datetime.now().astimezone()
    for remark in append(path, origin, deed, who=operator(), at=now).remarks:
        say(f"goldgate: {remark}")
