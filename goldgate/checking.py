"""`goldgate check` and `goldgate intake`: the terms in words, and what came in."""

from collections.abc import Sequence
from pathlib import Path

from contract.errors import InputError
from contract.files import write_bytes
from contract.reading import reading
from contract.receipts import IntakeReceipt
from contract.terms import load_terms
from goldgate import auditing
from goldgate.console import EXIT_BAD_INPUT, EXIT_DONE, emit_json, emit_text, progress_of_files
from goldgate.stages import Stage, shown, sign
from prelabel.intake import take_in
from prelabel.verify import verify
from qa.report.operating_plot import Media, operating_picture
from qa.sampling.chances import as_document, chances_of
from qa.words.chancewords import captions, chances_in_words


def check_terms(contract: Path, *, picture: Path | None, as_json: bool) -> int:
    """Validate the terms; print their reading and what they make of good and bad work, in Chinese and English.

    With `picture` the chances are drawn there, too.

    Raises:
        InputError: the picture is neither .svg nor .png.
    """
    terms = load_terms(contract)
    found = chances_of(terms)
    if picture is not None:
        write_bytes(picture, operating_picture(found, captions(found), media=media_of(picture)))
    told = chances_in_words(found)
    words = {"zh": f"{reading(terms, 'zh')}\n{told.zh}", "en": f"{reading(terms, 'en')}\n{told.en}"}
    if as_json:
        digests = {"terms_sha256": terms.sha256, "guideline_sha256": terms.guideline.sha256}
        emit_json({"contract": terms.contract, **digests, **words, "chances": as_document(found)})
    else:
        drawn = f"\n\npicture: {shown(picture)}" if picture is not None else ""
        emit_text(f"{words['zh']}\n\n{words['en']}{drawn}")
    return EXIT_DONE


def media_of(picture: Path) -> Media:
    """Return the form of a picture by its ending.

    Raises:
        InputError: the ending is neither .svg nor .png.
    """
    media: dict[str, Media] = {".svg": "svg", ".png": "png"}
    if picture.suffix.lower() not in media:
        raise InputError(f"{picture}: a picture is written as .svg or .png; give the file one of these endings")
    return media[picture.suffix.lower()]


def take_in_lot(stage: Stage, contract: Path, paths: Sequence[str], *, as_json: bool) -> int:
    """Take in the lot, keep the terms as signed, and print the receipt."""
    if not paths:
        raise InputError("name the files, folders, text tables or the manifest to take in")
    with progress_of_files(f"intake {stage.lot_name}") as progress:
        receipt = take_in(paths, lot=stage.lot, terms=stage.terms, lot_name=stage.lot_name, progress=progress)
    sign(stage, contract)
    auditing.intake(stage.lot, receipt)
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
