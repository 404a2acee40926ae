"""`goldgate dispute`: the vendor contests gold, the arbiter rules, and both verdicts are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import FormatError, InputError, StageError
from contract.files import sha256_file
from contract.formats.registry import exchange
from contract.labelchanges import changed_items
from contract.labelset import LabelSet, merge
from contract.life.state import Standing
from contract.verdict import Verdict
from goldgate import lotlife
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.exchange import Base, bring_in, lot_view
from goldgate.judging import EXIT_OF, keep_verdict
from goldgate.lotverdict import inquire, read_verdict, verdict_path
from goldgate.stages import Stage
from prelabel.handoff import Sealed, read_sealed
from qa.report.figures import share
from qa.words import lifewords


@dataclass(frozen=True)
class Ruling:
    """What the arbiter hands in: files with the contested items' gold, a version of the gold, or that the gold stands."""

    format_name: str | None
    paths: Sequence[Path]
    gold: int | None
    upheld: bool


def open_dispute(stage: Stage, items: Sequence[str], reason: str, *, as_json: bool) -> int:
    """Write down that the vendor contests the gold of `items`.

    Raises:
        InputError: no item is named, or one on which the verdict does not stand.
        StageError: no verdict stands, or the days to contest it are over.
    """
    if not items:
        raise InputError("name the contested items by --item")
    lotlife.require(stage, "disputed")
    standing = _standing(stage)
    gold = read_sealed(stage.lot, "gold", standing.gold)
    scored = set(
        inquire(stage, read_sealed(stage.lot, "submission", standing.submission), gold).gold.states["item"].to_pylist()
    )
    foreign = [item for item in items if item not in scored]
    if foreign:
        raise InputError(f"item {foreign[0]!r}: verdict {standing.number} does not stand on its gold; name checked items")
    named = list(dict.fromkeys(items))
    lotlife.record(stage, "disputed", "vendor", {"verdict": standing.number, "items": named, "reason": reason})
    if as_json:
        emit_json({"verdict": standing.number, "gold": standing.gold, "items": named})
    else:
        emit_text(f"verdict {standing.number} is contested over the gold of {len(named)} items: {', '.join(named)}")
    return EXIT_DONE


def resolve(stage: Stage, ruling: Ruling, *, device: str, as_json: bool) -> int:
    """Write down the arbiter's ruling; with new gold judge again. The exit status is that of the verdict that stands now.

    Raises:
        InputError: the ruling is not one of the three, or changes the gold of an item that nobody contests.
        StageError: there is no dispute.
    """
    if sum((bool(ruling.paths), ruling.gold is not None, ruling.upheld)) != 1:
        raise InputError("say one of: the files with the new gold (and --format), --gold V, or --upheld")
    lotlife.require(stage, "resolved")
    standing = _standing(stage)
    contested = sorted(lotlife.history_of(stage).life.contested)
    before = read_verdict(stage, lotlife.history_of(stage), standing.number)
    if ruling.upheld:
        _record(stage, standing, gold=standing.gold, new=None, verdict=before)
        _tell(standing, before, None, [], as_json=as_json)
        return EXIT_OF[before.verdict]
    old = read_sealed(stage.lot, "gold", standing.gold)
    new = _new_gold(stage, ruling, standing, contested)
    changed = _checked_changes(old, new, contested)
    submission = read_sealed(stage.lot, "submission", standing.submission)
    remark = lifewords.rescored(contested, verdict=standing.number, gold=standing.gold)
    number, verdict = keep_verdict(stage, inquire(stage, submission, new, ruling=True), device=device, remarks=[remark])
    _record(stage, standing, gold=new.number, new=number, verdict=verdict)
    _tell(standing, before, (number, verdict), changed, as_json=as_json)
    return EXIT_OF[verdict.verdict]


def _standing(stage: Stage) -> Standing:
    standing = lotlife.history_of(stage).life.standing
    if standing is None:
        raise StageError(f"lot {stage.lot_name!r} has no verdict that stands; reach one by 'goldgate accept'")
    return standing


def _new_gold(stage: Stage, ruling: Ruling, standing: Standing, contested: Sequence[str]) -> Sealed:
    """Return the gold that the ruling points to, or bring its files in as the next version."""
    if ruling.gold is not None:
        return read_sealed(stage.lot, "gold", ruling.gold)
    if ruling.format_name is None:
        raise InputError("say the --format of the files with the new gold")
    for path in ruling.paths:
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder")
    view = lot_view(stage)
    given: LabelSet = merge([exchange(ruling.format_name).read(path, view) for path in ruling.paths])
    foreign = sorted(set(given.states["item"].to_pylist()) - set(contested))
    if foreign:
        named = ", ".join(map(str, ruling.paths))
        raise InputError(f"{named}: item {foreign[0]!r} is not contested; the ruling holds contested items only")
    return bring_in(stage, ruling.format_name, ruling.paths, role="gold", base=Base(standing.gold, replace=True))


def _checked_changes(old: Sealed, new: Sealed, contested: Sequence[str]) -> list[str]:
    changed = changed_items(old.labels, new.labels)
    foreign = sorted(changed - set(contested))
    if foreign:
        raise InputError(
            f"gold {new.number} differs from gold {old.number} in item {foreign[0]!r}, which is not contested; "
            "change contested items only"
        )
    return sorted(changed)


def _record(stage: Stage, standing: Standing, *, gold: int, new: int | None, verdict: Verdict) -> None:
    details = {
        "verdict": standing.number,
        "gold": gold,
        "new_verdict": new,
        "outcome": verdict.verdict.value,
        "verdict_sha256": sha256_file(verdict_path(stage, standing.number if new is None else new)),
    }
    lotlife.record(stage, "resolved", "arbiter", details)


def _tell(
    standing: Standing, before: Verdict, after: tuple[int, Verdict] | None, changed: list[str], *, as_json: bool
) -> None:
    """Print both verdicts and what moved between them."""
    number, now = after or (standing.number, before)
    earlier = {each.name: each.estimate for each in before.criteria}
    moves = [(each.name, earlier.get(each.name), each.estimate) for each in now.criteria]
    moved = [move for move in moves if move[1] != move[2]]
    if as_json:
        document: dict[str, Any] = {
            "before": {"verdict": standing.number, "outcome": before.verdict.value, "gold": standing.gold},
            "after": {"verdict": number, "outcome": now.verdict.value, "gold": now.pins.gold},
            "gold_changed": changed,
            "criteria": [{"name": name, "before": old, "after": new} for name, old, new in moved],
            "report": now.report,
        }
        emit_json(document)
        return
    if after is None:
        emit_text(f"the gold stands, and so does verdict {number}: {now.verdict.value}")
        return
    lines = [
        f"{before.verdict.value} (verdict {standing.number}, gold {standing.gold}) -> {now.verdict.value} "
        f"(verdict {number}, gold {now.pins.gold}); both are kept",
        f"  gold changed in {len(changed)} items: {', '.join(changed) or 'none'}",
    ]
    lines += [f"  {name}: {share(old)} -> {share(new)}" for name, old, new in moved]
    emit_text("\n".join(lines))
