"""`goldgate deliver`: accepted lots into one encrypted, signed package, with statistics and the acceptance certificate."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import StageError
from contract.files import json_bytes, sha256_file, storage_errors, write_bytes, write_once
from contract.life.state import Phase, Standing
from contract.statistics import Statistics
from contract.terms import Terms, load_terms
from contract.verdict import Outcome, Verdict
from contract.workfolder import lot_names, next_number
from delivery.auditlog import keep_checkpoint, log_path, origin_of
from delivery.keys import PublicKey, Signer, read_recipient, read_signer
from delivery.manifest import DOCUMENT, DeliveredLot, Manifest, PackageDocument, Totals, manifest_bytes
from delivery.objects import Content
from delivery.package import Plan, Progress, finish, open_plan, write_objects
from goldgate import auditing, lotlife
from goldgate.console import EXIT_DONE, emit_json, emit_text, progress_of_files
from goldgate.delivery_files import media_contents, staged_contents, write_lot
from goldgate.delivery_statistics import lot_statistics, statistics_of
from goldgate.lotverdict import read_verdict
from goldgate.stages import Stage, open_stage, shown
from prelabel.handoff import Sealed, read_sealed
from prelabel.run import read_intake_receipt
from qa.report.delivery_pages import render_delivery
from qa.verifier.report import verify

_DELIVERED: Final = frozenset({Phase.ACCEPTED, Phase.SETTLED})


@dataclass(frozen=True)
class Parcel:
    """What is asked for: the keys' files, where the package goes, and whether the media go with the labels."""

    key: Path
    recipient: Path
    out: Path
    media: bool


@dataclass(frozen=True)
class Accepted:
    """A lot whose accepting verdict stands, with the labels that it is about."""

    stage: Stage
    standing: Standing
    verdict: Verdict
    submission: Sealed

    @property
    def report(self) -> Path:
        """The folder of the verdict's report."""
        return self.stage.lot.scores / str(self.standing.number)


def deliver(contract: Path, work: Path, lots: Sequence[str], parcel: Parcel, *, as_json: bool) -> int:
    """Write the package, keep a record of it, and print what it holds.

    Raises:
        StageError: a lot has no accepting verdict whose digests match its labels.
        DeliveryError: a key is over, a file has changed, or the folder holds something else.
        StorageError: the disk is full; the same command goes on from there.
    """
    terms = load_terms(contract)
    signer, recipient = read_signer(parcel.key), read_recipient(parcel.recipient)
    names = list(dict.fromkeys(lots)) or lot_names(work, terms.contract)
    if not names:
        raise StageError(f"{work}: contract {terms.contract!r} has no lot there; run 'goldgate intake' first")
    accepted = [accepted_lot(open_stage(contract, name, work)) for name in names]
    records = work / terms.contract / "deliveries"
    plan = open_plan(parcel.out, terms.contract, next_number(records), signer=signer, recipients=[recipient])
    document = _write(terms, work, accepted, parcel, _Signed(plan, signer))
    record = _record(document, accepted, recipient, sha256_file(parcel.out / DOCUMENT))
    write_once(records / f"{plan.number}.json", json_bytes(record))
    counts = {"objects": len(document.objects), "bytes": sum(each.bytes for each in document.objects)}
    digests = {"package": str(record["package_sha256"])}
    auditing.write_down(
        work, terms.contract, "deliver", f"package {plan.number} to {recipient.name}", digests=digests, counts=counts
    )
    if as_json:
        emit_json({**record, **counts, "folder": str(parcel.out)})
    else:
        emit_text(f"package {plan.number} of {terms.contract}: lots {', '.join(names)}, in {shown(parcel.out)}")
        emit_text(
            f"  {counts['objects']} objects, {counts['bytes']} bytes, for {recipient.name}, signed by {signer.public.name}"
        )
    return EXIT_DONE


def accepted_lot(stage: Stage) -> Accepted:
    """Return the lot if a verdict that accepts it stands, and every digest that the verdict pins is that of its labels.

    Raises:
        StageError: there is none, or something was changed since.
    """
    stage.lot.require()
    history = lotlife.history_of(stage)
    life, standing = history.life, history.life.standing
    if standing is None or life.phase not in _DELIVERED or standing.outcome is not Outcome.ACCEPT:
        said = "no verdict stands" if standing is None else f"verdict {standing.number} is {standing.outcome.value}"
        raise StageError(
            f"lot {stage.lot_name!r} is {life.phase.value} and {said}: only accepted lots are delivered; "
            "name those by --lot, or reach a verdict by 'goldgate accept'"
        )
    verdict = read_verdict(stage, history, standing.number)
    submission = read_sealed(stage.lot, "submission", standing.submission)
    receipt = read_intake_receipt(stage.lot)
    pinned = {
        "labels": (dict(verdict.pins.submission_sha256), dict(submission.receipt.files)),
        "manifest": (verdict.pins.manifest_sha256, receipt.manifest_sha256),
        "terms": (verdict.pins.terms_sha256, stage.terms.sha256),
        "guideline": (verdict.pins.guideline_sha256, stage.terms.guideline.sha256),
    }
    for name, (judged, present) in pinned.items():
        if judged != present:
            raise StageError(
                f"lot {stage.lot_name!r}: verdict {standing.number} was reached on other {name} than are there now "
                "(their SHA-256 differ); put back the files, or judge again by 'goldgate accept'"
            )
    found = Accepted(stage, standing, verdict, submission)
    wrong = verify(found.report).disagreements
    if wrong:
        raise StageError(f"{found.report}: the report does not agree with its verdict: {wrong[0]}")
    return found


@dataclass(frozen=True)
class _Signed:
    plan: Plan
    signer: Signer


def _write(terms: Terms, work: Path, accepted: Sequence[Accepted], parcel: Parcel, signed: _Signed) -> PackageDocument:
    plan = signed.plan
    verdicts = {each.stage.lot_name: each.standing.sha256 for each in accepted}
    auditing.write_down(work, terms.contract, "deliver.begin", f"package {plan.number}", digests=verdicts)
    _, note = keep_checkpoint(log_path(work, terms.contract), origin_of(terms.contract), signed.signer)
    with _staging(work / terms.contract) as staging:
        statistics = _stage_all(staging, terms, work, accepted, plan)
        write_bytes(staging / "audit" / "checkpoint.txt", note.encode())
        contents: list[Content] = []
        if parcel.media:
            for each in accepted:
                contents += media_contents(each.stage)
        contents += staged_contents(staging)
        with progress_of_files(f"deliver {plan.number}") as tell:

            def on_progress(now: Progress) -> None:
                tell(now.done, now.objects)

            stored, files = write_objects(parcel.out, plan, contents, on_progress=on_progress)
    manifest = Manifest(
        contract=terms.contract,
        purpose=terms.purpose,
        number=plan.number,
        created=plan.created,
        signer=plan.signer,
        terms_sha256=terms.sha256,
        guideline_version=terms.guideline.version,
        guideline_sha256=terms.guideline.sha256,
        formats=terms.formats,
        lots=tuple(_delivered(each, statistics) for each in accepted),
        files=tuple(files),
        checkpoint=note,
    )
    return finish(parcel.out, plan, stored, manifest_bytes(manifest), signed.signer)


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """Make a folder for the label files, which the vendor's disk holds anyway, and take it away at the end."""
    with storage_errors(home), tempfile.TemporaryDirectory(dir=home, prefix=".delivery-") as folder:
        yield Path(folder)


def _stage_all(staging: Path, terms: Terms, work: Path, accepted: Sequence[Accepted], plan: Plan) -> Statistics:
    """Write labels, reports, statistics and certificate into `staging`."""
    lots = []
    for each in accepted:
        labels, names = write_lot(staging / "lots" / each.stage.lot_name, each.stage, each.submission, each.report)
        lots.append(lot_statistics(each.stage, each.standing, each.verdict, labels, models=names, report=each.report))
    statistics = statistics_of(terms, work, lots, number=plan.number, created=plan.created)
    document = statistics.model_dump(mode="json")
    certificate = {
        "document": "acceptance certificate",
        "contract": terms.contract,
        "client": terms.parties.client.name,
        "vendor": terms.parties.vendor.name,
        "purpose": terms.purpose,
        "package": plan.number,
        "lots": [
            {
                "lot": each.stage.lot_name,
                "verdict_sha256": each.standing.sha256,
                "verdict": each.verdict.model_dump(mode="json"),
            }
            for each in accepted
        ],
    }
    write_bytes(staging / "statistics.json", json_bytes(document))
    write_bytes(staging / "statistics.html", render_delivery("statistics", statistics).encode())
    write_bytes(staging / "certificate.json", json_bytes(certificate))
    write_bytes(staging / "certificate.html", render_delivery("certificate", statistics).encode())
    return statistics


def _delivered(each: Accepted, statistics: Statistics) -> DeliveredLot:
    of = next(lot for lot in statistics.lots if lot.lot == each.stage.lot_name)
    return DeliveredLot(
        lot=each.stage.lot_name,
        submission=each.standing.submission,
        seal=each.submission.receipt.labels_sha256,
        verdict=each.standing.number,
        verdict_sha256=each.standing.sha256,
        manifest_sha256=each.submission.receipt.manifest_sha256,
        totals=Totals(
            items={kind: dict(states) for kind, states in of.items.items()},
            labels={task: dict(counts) for task, counts in of.labels.items()},
        ),
    )


def _record(
    document: PackageDocument, accepted: Sequence[Accepted], recipient: PublicKey, package_sha256: str
) -> dict[str, object]:
    return {
        "number": document.number,
        "contract": document.contract,
        "created": document.created.isoformat(),
        "package_sha256": package_sha256,
        "signer": document.signer,
        "recipient": {"name": recipient.name, "key": recipient.key},
        "lots": {each.stage.lot_name: each.standing.number for each in accepted},
    }
