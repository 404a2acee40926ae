"""`goldgate destroy`: what a contract left in the work folder is taken away, and a signed certificate says so.

work/<contract>/destructions/<n>/begun.json, certificate.json, certificate.html, certificate.note
What was there is written down before anything is deleted, so that a stopped command goes on with the same certificate.
"""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from contract.errors import InputError, LabelsError, StageError
from contract.files import json_bytes, read_json, sha256_bytes, write_bytes, write_json
from contract.guideline import Strict
from contract.life.state import Phase
from contract.terms import Terms, load_terms
from contract.workfolder import lot_folder, lot_names, next_number, numbers
from delivery.auditlog import keep_checkpoint, log_path, origin_of
from delivery.destruction import (
    CERTIFICATE,
    KEPT,
    NOTE,
    DestroyedLot,
    DestructionCertificate,
    doomed,
    inventory,
    left_over,
    sign_certificate,
    take_away,
)
from delivery.keys import Signer, now_utc, read_signer
from goldgate import auditing, lotlife
from goldgate.console import EXIT_DONE, EXIT_FAULT, emit_json, emit_text
from goldgate.stages import open_stage, shown
from prelabel.run import read_intake_receipt
from qa.report.destruction_page import render_destruction

PAGE = "certificate.html"
_BEGUN = "begun.json"


class _Begun(Strict):
    number: int
    started: AwareDatetime
    lots: tuple[DestroyedLot, ...]
    files: int
    bytes: int
    inventory_sha256: str
    raw_places: int


@dataclass(frozen=True)
class Order:
    """What was asked for: the signing key's file, the contract's id repeated, and who looks at the result."""

    key: Path
    confirm: str
    unsettled: bool
    verifier: str | None


def destroy(contract: Path, work: Path, order: Order, *, as_json: bool) -> int:
    """Delete the contract's data, list what is left, and write the certificate.

    Raises:
        InputError: the contract's id was not repeated.
        StageError: a lot is not settled yet.
        StorageError: something could not be deleted; the same command goes on from there.
    """
    terms, signer = load_terms(contract), read_signer(order.key)
    signer.public.require(now_utc(), origin=str(order.key))
    if order.confirm != terms.contract:
        raise InputError(
            f"--confirm {order.confirm!r}: repeat the contract's id, {terms.contract!r}; what is deleted does not come back"
        )
    home = work / terms.contract
    doomed(home)
    if not order.unsettled:
        _require_settled(contract, work, terms)
    folder, begun = _begin(work, terms)
    take_away(home)
    certificate = _certificate(work, terms, begun, signer, order.verifier)
    data = json_bytes(certificate.model_dump(mode="json"))
    write_bytes(folder / PAGE, render_destruction(certificate.model_dump()).encode())
    write_bytes(folder / CERTIFICATE, data)
    write_bytes(folder / NOTE, sign_certificate(data, certificate, signer).encode())
    digests = {"certificate": sha256_bytes(data), "inventory": certificate.inventory_sha256}
    auditing.write_down(work, terms.contract, "destroy", f"certificate {certificate.number}", digests=digests)
    if as_json:
        emit_json({**certificate.model_dump(mode="json"), "folder": str(folder)})
    else:
        left = [f"  STILL THERE: {name}" for name in certificate.left] or ["  nothing of them is left"]
        emit_text(f"{certificate.files} files of {terms.contract} were deleted; certificate in {shown(folder)}")
        emit_text("\n".join(left))
    return EXIT_FAULT if certificate.left else EXIT_DONE


def _require_settled(contract: Path, work: Path, terms: Terms) -> None:
    for name in lot_names(work, terms.contract):
        phase = lotlife.history_of(open_stage(contract, name, work)).life.phase
        if phase is not Phase.SETTLED:
            raise StageError(
                f"lot {name!r} is {phase.value}, not settled: settle it first, or say --unsettled if nothing more is owed"
            )


def _begin(work: Path, terms: Terms) -> tuple[Path, _Begun]:
    """Return the certificate's folder and what was there: of a command that was stopped, or as it is now."""
    base = work / terms.contract / "destructions"
    for number in numbers(base):
        if not (base / str(number) / NOTE).exists() and (base / str(number) / _BEGUN).exists():
            return base / str(number), _read_begun(base / str(number) / _BEGUN)
    receipts = {
        name: read_intake_receipt(lot_folder(work, terms.contract, name)) for name in lot_names(work, terms.contract)
    }
    found, number = inventory(work / terms.contract), next_number(base)
    begun = _Begun(
        number=number,
        started=now_utc(),
        lots=tuple(
            DestroyedLot(
                lot=name,
                items={kind.value: count for kind, count in receipt.items_by_kind.items()},
                manifest_sha256=receipt.manifest_sha256,
            )
            for name, receipt in receipts.items()
        ),
        files=found.files,
        bytes=found.bytes,
        inventory_sha256=found.sha256,
        raw_places=len({root for receipt in receipts.values() for root in receipt.roots}),
    )
    write_json(base / str(number) / _BEGUN, begun.model_dump(mode="json"))
    counts = {"files": found.files, "bytes": found.bytes}
    auditing.write_down(
        work, terms.contract, "destroy.begin", f"certificate {number}", digests={"inventory": found.sha256}, counts=counts
    )
    return base / str(number), begun


def _read_begun(path: Path) -> _Begun:
    try:
        return _Begun.model_validate(read_json(path))
    except (ValidationError, LabelsError) as error:
        raise StageError(f"{path}: not what 'goldgate destroy' wrote; put back the file as it was written") from error


def _certificate(work: Path, terms: Terms, begun: _Begun, signer: Signer, verifier: str | None) -> DestructionCertificate:
    home = work / terms.contract
    _, note = keep_checkpoint(log_path(work, terms.contract), origin_of(terms.contract), signer)
    return DestructionCertificate(
        contract=terms.contract,
        client=terms.parties.client.name,
        vendor=terms.parties.vendor.name,
        terms_sha256=terms.sha256,
        tool=f"goldgate {importlib.metadata.version('goldgate')}",
        operator=auditing.operator(),
        verifier=verifier,
        finished=now_utc(),
        left=tuple(left_over(home)),
        kept=tuple(name for name in KEPT if (home / name).exists()),
        checkpoint=note,
        **{name: getattr(begun, name) for name in _Begun.model_fields},
    )
