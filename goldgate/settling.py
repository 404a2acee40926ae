"""`goldgate settle`: the statement over all lots of a contract, each line citing the verdict that it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import InputError, StageError
from contract.files import json_bytes, read_json, sha256_bytes, sha256_file, write_once
from contract.life.events import Settled
from contract.life.rules import describe, workdays_after
from contract.life.state import Life, Phase, Standing, rules_of
from contract.settlement import Settlement
from contract.tables import Kind, State
from contract.terms import Terms, load_terms
from contract.workfolder import lot_names, next_number, numbers
from goldgate import lotlife
from goldgate.blockers import deadline_of
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.lotverdict import read_verdict
from goldgate.stages import Stage, open_stage, shown
from prelabel.handoff import read_sealed
from qa.settlement import AcceptedLot, Statement, statement

_WORDS: Final = {"accepted": ("验收合格", "accepted"), "deduction": ("扣减", "deduction"), "late": ("逾期违约金", "late")}
_DONE: Final = (State.LABELLED.value, State.EMPTY.value)
_HOUR_PLACES: Final = Decimal("0.000001")


@dataclass(frozen=True)
class _Account:
    """The accepted lots, those that are not to be paid with the reason, and what was paid before."""

    stages: Mapping[str, Stage]
    lots: tuple[AcceptedLot, ...]
    new: tuple[str, ...]
    unpaid: Mapping[str, str]
    paid_before: Decimal


def settle(contract: Path, work: Path, *, final: bool, as_json: bool) -> int:
    """Print what is owed; with `final` keep the statement and mark its lots settled.

    Raises:
        InputError: the terms say nothing of settlement, or nothing is new.
        StageError: there is no lot, or a paper of one was changed.
    """
    terms = load_terms(contract)
    if terms.settlement is None:
        raise InputError(f"{contract}: has no section settlement, so that no price is agreed; agree on one and add it")
    account = _account(contract, work, terms)
    ordered = {
        Kind.IMAGE: Decimal(terms.volumes.images),
        Kind.TEXT: Decimal(terms.volumes.texts),
        Kind.VIDEO: Decimal(str(terms.volumes.video_hours)),
    }
    owed = statement(account.lots, terms.settlement, ordered=ordered)
    folder = work / terms.contract / "settlements"
    document = _document(terms, terms.settlement, account, owed, number=next_number(folder))
    if final:
        _keep(folder, document, account)
    if as_json:
        emit_json(document)
    else:
        emit_text(
            "\n".join(_told(document)) + (f"\nkept as {shown(folder / str(document['number']))}.json" if final else "")
        )
    return EXIT_DONE


def _account(contract: Path, work: Path, terms: Terms) -> _Account:
    # Days on which the client held up the work are nobody's lateness.
    due_terms = terms.model_copy(update={"deadline": deadline_of(work, terms, lotlife.now().date())})
    names = lot_names(work, terms.contract)
    if not names:
        raise StageError(f"{work}: contract {terms.contract!r} has no lot there; run 'goldgate intake' first")
    stages = {name: open_stage(contract, name, work) for name in names}
    accepted: list[tuple[int, str, AcceptedLot]] = []
    unpaid: dict[str, str] = {}
    known: dict[int, str] = {}
    for name, stage in stages.items():
        history = lotlife.history_of(stage)
        life, standing = history.life, history.life.standing
        known |= {event.statement: event.statement_sha256 for event, _ in history.events if isinstance(event, Settled)}
        if standing is None or life.phase not in {Phase.ACCEPTED, Phase.SETTLED}:
            unpaid[name] = f"{describe(life, rules_of(terms))}, no accepting verdict stands"
            continue
        verdict = read_verdict(stage, history, standing.number)
        estimates = {each.name: Decimal(str(each.estimate)) for each in verdict.criteria if each.estimate is not None}
        lot = AcceptedLot(
            name, standing.number, standing.sha256, _quantities(stage, standing), estimates, late_days(life, due_terms)
        )
        # Earlier statements first, so that what they charged of the cap stays charged.
        accepted.append((life.statement or next_number(work / terms.contract / "settlements"), name, lot))
    accepted.sort(key=lambda entry: entry[:2])
    lots = tuple(lot for _, _, lot in accepted)
    new = tuple(lot.lot for lot in lots if lotlife.history_of(stages[lot.lot]).life.phase is Phase.ACCEPTED)
    return _Account(stages, lots, new, unpaid, _paid(work / terms.contract / "settlements", known))


def _quantities(stage: Stage, standing: Standing) -> dict[Kind, Decimal]:
    """Return the items of each kind that the accepted submission labels or calls empty; of videos their hours."""
    states = read_sealed(stage.lot, "submission", standing.submission).labels.states
    done = states.filter(pc.is_in(states["state"], value_set=pa.array(_DONE, pa.string())))
    manifest = lotlife.items_of(stage)
    found = manifest.filter(pc.is_in(manifest["item"], value_set=done["item"].combine_chunks()))
    counts = {kind: Decimal(pc.sum(pc.equal(found["kind"], kind.value)).as_py() or 0) for kind in Kind}
    videos = found.filter(pc.equal(found["kind"], Kind.VIDEO.value))["duration_s"].to_pylist()
    seconds = sum((Decimal(f"{duration or 0:.3f}") for duration in videos), Decimal(0))
    counts[Kind.VIDEO] = (seconds / 3600).quantize(_HOUR_PLACES, rounding=ROUND_HALF_UP)
    return counts


def late_days(life: Life, terms: Terms) -> int:
    """Return the calendar days of lateness: of the first delivery after the deadline, and of each rework after its term.

    A round of rework is due the terms' working days after the rejection, but never before the contract's deadline.
    """
    due, days = terms.deadline.due_date(), 0
    for delivery in life.deliveries:
        last = due
        if delivery.rejected is not None:
            workdays = terms.acceptance.rework.workdays
            last = max(due, workdays_after(terms.deadline, delivery.rejected.date(), workdays))
        days += max((delivery.sealed.date() - last).days, 0)
    return days


def _paid(folder: Path, known: Mapping[int, str]) -> Decimal:
    """Return what the statements on file came to; `known` are their digests by the lots that they settled."""
    total = Decimal("0.00")
    for number in sorted({*numbers(folder), *known}):
        path = folder / f"{number}.json"
        if not path.exists() or known.get(number, sha256_file(path)) != sha256_file(path):
            raise StageError(f"{path}: missing or changed since it was written; put back the file as it was written")
        total += Decimal(read_json(path)["due"])
    return total


def _document(terms: Terms, settlement: Settlement, account: _Account, owed: Statement, *, number: int) -> dict[str, Any]:
    return {
        "number": number,
        "contract": terms.contract,
        "terms_sha256": terms.sha256,
        "created": lotlife.now().isoformat(),
        "currency": settlement.currency,
        "lines": [
            {
                "lot": line.lot,
                "reason": line.reason,
                "kind": line.kind.value if line.kind else None,
                "amount": str(line.amount),
                "formula": line.formula,
                "verdict": line.verdict,
                "verdict_sha256": line.verdict_sha256,
            }
            for line in owed.lines
        ],
        "unpaid": dict(account.unpaid),
        "accepted": str(owed.accepted),
        "deducted": str(owed.deducted),
        "late": str(owed.late),
        "late_limit": str(owed.late_limit),
        "net": str(owed.net),
        "paid_before": str(account.paid_before),
        "due": str(owed.net - account.paid_before),
    }


def _keep(folder: Path, document: Mapping[str, Any], account: _Account) -> None:
    """Keep the statement and write it into the life of every lot that it is the first to pay."""
    if not account.new:
        raise InputError("no lot was accepted since the last statement, so that there is nothing new to settle")
    data = json_bytes(document)
    write_once(folder / f"{document['number']}.json", data)
    verdicts = {lot.lot: lot.verdict for lot in account.lots}
    for name in account.new:
        details = {"verdict": verdicts[name], "statement": document["number"], "statement_sha256": sha256_bytes(data)}
        lotlife.record(account.stages[name], "settled", "client", details)


def _told(document: Mapping[str, Any]) -> list[str]:
    """Return the statement as lines for people, in both languages."""
    currency = document["currency"]
    lines = [f"结算单 statement {document['number']}, 合同 contract {document['contract']} ({currency})"]
    for line in document["lines"]:
        zh, en = _WORDS[line["reason"]]
        kind = f" {line['kind']}" if line["kind"] else ""
        cited = f"verdict {line['verdict']} {line['verdict_sha256'][:12]}"
        lines.append(f"  {line['lot']}{kind} {zh} {en}: {line['amount']} ({line['formula']}; {cited})")
    lines += [f"  {lot} 不予支付 not paid: {why}" for lot, why in document["unpaid"].items()]
    lines.append(
        f"  合计 accepted {document['accepted']} - 扣减 deducted {document['deducted']} - 逾期 late {document['late']} "
        f"(上限 limit {document['late_limit']}) = {document['net']}"
    )
    lines.append(f"  已付 paid before {document['paid_before']}; 应付 due {document['due']}")
    return lines
