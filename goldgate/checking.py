"""`goldgate check` and `goldgate intake`: the terms in words, and what came in."""

from collections.abc import Sequence
from pathlib import Path

from contract.errors import InputError
from contract.reading import reading
from contract.receipts import IntakeReceipt
from contract.terms import load_terms
from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text, progress_of_files
from goldgate.stages import Stage, shown, sign
from prelabel.intake import take_in
from prelabel.verify import verify


def check_terms(contract: Path, *, as_json: bool) -> int:
    """Validate the terms and print their reading in Chinese and English."""
    terms = load_terms(contract)
    words = {"zh": reading(terms, "zh"), "en": reading(terms, "en")}
    if as_json:
        emit_json(
            {"contract": terms.contract, "terms_sha256": terms.sha256, "guideline_sha256": terms.guideline.sha256, **words}
        )
    else:
        emit_text(f"{words['zh']}\n\n{words['en']}")
    return EXIT_DONE


def take_in_lot(stage: Stage, contract: Path, paths: Sequence[str], *, as_json: bool) -> int:
    """Take in the lot, keep the terms as signed, and print the receipt."""
    if not paths:
        raise InputError("name the files, folders, text tables or the manifest to take in")
    with progress_of_files(f"intake {stage.lot_name}") as progress:
        receipt = take_in(paths, lot=stage.lot, terms=stage.terms, lot_name=stage.lot_name, progress=progress)
    sign(stage, contract)
    if as_json:
        emit_json(receipt.model_dump(mode="json"))
    else:
        emit_text(describe_receipt(stage, receipt))
    return EXIT_DONE


def describe_receipt(stage: Stage, receipt: IntakeReceipt) -> str:
    """Return the receipt as lines for people."""
    volumes = stage.terms.volumes
    ordered = {"image": volumes.images, "text": volumes.texts, "video": f"{volumes.video_hours:g} h"}
    lines = [f"lot {receipt.lot} of contract {receipt.contract}, manifest {receipt.manifest_sha256[:12]}"]
    for kind, count in receipt.items_by_kind.items():
        hours = f" ({receipt.video_seconds / 3600:.3f} h)" if kind.value == "video" else ""
        lines.append(f"  {kind.value}: {count} items{hours}; the contract orders {ordered[kind.value]}")
    rejects = ", ".join(f"{count} {reason}" for reason, count in sorted(receipt.rejects_by_reason.items()))
    lines.append(f"  rejected: {rejects or 'none'}" + (f" (see {shown(stage.lot.rejects)})" if rejects else ""))
    return "\n".join(lines)


def verify_lot(stage: Stage, *, as_json: bool) -> int:
    """Compare the lot with the files on disk and print every difference."""
    findings = verify(stage.lot.require())
    if as_json:
        emit_json({"lot": stage.lot_name, "findings": [vars(finding) for finding in findings]})
    else:
        lines = [f"{finding.kind}: {finding.item} ({finding.uri}): {finding.detail}" for finding in findings]
        emit_text("\n".join(lines) if lines else f"lot {stage.lot_name}: every file is as it was signed off")
    return EXIT_BAD_INPUT if findings else EXIT_DONE
