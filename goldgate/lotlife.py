"""The life of the lot that a command is about: what may follow, and what is written down."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from contract.errors import StageError
from contract.files import sha256_file
from contract.inspection import Severity
from contract.labelset import LabelSet
from contract.life.events import Checked, Drawn, Event, Extended
from contract.life.files import History, append, read_history
from contract.life.rules import blocked, refusal
from contract.life.state import Phase, rules_of
from contract.tables import STATES
from contract.workfolder import numbers
from goldgate import auditing
from goldgate.stages import Stage
from prelabel.handoff import Sealed, read_sealed, unlabelled_items
from prelabel.run import read_intake_receipt, read_manifest

_DIGESTS: Final = ("commitment", "seal", "receipt_sha256", "sample_sha256", "verdict_sha256", "statement_sha256")


def now() -> datetime.datetime:
    """Return the time with the offset of this place, whose calendar the working days are counted by."""
    return datetime.datetime.now().astimezone()


def history_of(stage: Stage) -> History:
    """Replay the life of the stage's lot."""
    return read_history(stage.lot, rules_of(stage.terms))


def record(stage: Stage, kind: str, who: str, details: Mapping[str, Any]) -> History:
    """Write the next event of the lot."""
    history = append(stage.lot, kind, details, who=who, rules=rules_of(stage.terms), at=now())
    event, sha256 = history.events[-1]
    named = {
        name.removesuffix("_sha256"): value
        for name, value in event.model_dump().items()
        if name in _DIGESTS and value is not None
    }
    auditing.of_lot(stage.lot, kind, f"by the {who}, event {event.number}", digests={"event": sha256, **named})
    return history


def refused(stage: Stage, kind: str) -> StageError | None:
    """Return the error of a step that may not follow now, or None."""
    life, rules = history_of(stage).life, rules_of(stage.terms)
    why = blocked(kind, life, rules, at=now())
    return StageError(refusal(stage.lot_name, life, rules, why)) if why else None


def require(stage: Stage, kind: str) -> None:
    """Refuse a step that may not follow now.

    Raises:
        StageError: names the state and what is possible.
    """
    error = refused(stage, kind)
    if error:
        raise error


def record_submission(stage: Stage, sealed: Sealed) -> None:
    """Write down that a submission was sealed, and its automatic checks."""
    life = history_of(stage).life
    round_ = life.round + (life.phase is Phase.REJECTED)
    details = {
        "submission": sealed.number,
        "seal": sealed.receipt.labels_sha256,
        "receipt_sha256": sha256_file(sealed.folder / "receipt.json"),
        "round": round_,
    }
    record(stage, "sealed", "vendor", details)
    newest = max(life.golds, default=None)
    gold = read_sealed(stage.lot, "gold", newest).labels if newest else LabelSet(STATES.empty_table())
    _record_checks(stage, sealed, gold)


def record_gold(stage: Stage, sealed: Sealed) -> None:
    """Write down a version of the gold; what it excuses may complete a submission that was returned."""
    disputed = history_of(stage).life.phase is Phase.DISPUTED
    details = {
        "gold": sealed.number,
        "seal": sealed.receipt.labels_sha256,
        "receipt_sha256": sha256_file(sealed.folder / "receipt.json"),
    }
    history = record(stage, "gold", "arbiter" if disputed else "client", details)
    if history.life.phase is not Phase.RETURNED:
        return
    submission = read_sealed(stage.lot, "submission", history.life.submission)
    if not unlabelled_items(items_of(stage), submission.labels, sealed.labels):
        _record_checks(stage, submission, sealed.labels)


def _record_checks(stage: Stage, submission: Sealed, gold: LabelSet) -> None:
    left = unlabelled_items(items_of(stage), submission.labels, gold)
    counts = {kind.value: len(items) for kind, items in left.items()}
    record(stage, "checked", "goldgate", {"submission": submission.number, "unlabelled": counts})


def items_of(stage: Stage) -> pa.Table:
    """Return the lot's manifest."""
    return read_manifest(stage.lot, read_intake_receipt(stage.lot))


def severity_of(stage: Stage, round_: int) -> Severity | None:
    """Return how strictly a round is judged: tightened from the first rework on, where the terms say so."""
    tightened = stage.terms.acceptance.rework.severity_after_reject == "tightened"
    return "tightened" if tightened and round_ else None


def sample_of(history: History, submission: int) -> int | None:
    """Return the sample by which `submission` was or is to be judged, or None where no draw is on record."""
    samples: dict[int, int] = {}
    present: int | None = None
    for event, _ in history.events:
        if isinstance(event, Checked):
            present = event.submission
        elif isinstance(event, Drawn):
            samples[event.submission] = event.sample
        elif isinstance(event, Extended) and present is not None:
            samples[present] = event.sample
    if submission == history.life.submission:
        return history.life.sample
    return samples.get(submission)


def strays(stage: Stage, history: History) -> list[Path]:
    """Return the numbered documents of the lot that no event speaks of: a stopped command left them, or events are gone."""
    known: dict[str, set[int]] = {"submission": set(), "gold": set(), "sample": set(), "verdict": set()}
    for event, _ in history.events:
        for name, number in _documents(event):
            known[name].add(number)
    lot = stage.lot
    places = (("submission", lot.submissions), ("gold", lot.gold), ("sample", lot.samples), ("verdict", lot.verdicts))
    return [folder / str(number) for name, folder in places for number in numbers(folder) if number not in known[name]]


def _documents(event: Event) -> list[tuple[str, int]]:
    values = event.model_dump()
    pairs = [(name, values.get(name)) for name in ("submission", "gold", "sample", "verdict")]
    pairs.append(("verdict", values.get("new_verdict")))
    return [(name, number) for name, number in pairs if number is not None]
