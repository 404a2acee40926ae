"""`goldgate consistency`: agreement on items labelled twice, self-consistency, and completeness."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.errors import InputError
from contract.quality import Agreement, Completeness, Consistency, GoldCeiling
from contract.workfolder import numbers
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.quality import Doubles, consistency_of, double_gold, keep, read_pairs
from goldgate.stages import Stage, shown
from prelabel.handoff import Sealed, read_sealed
from qa.report.figures import share

_NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Asked:
    """What the command line asks to be compared."""

    submission: int | None = None
    other: int | None = None
    by_source: bool = False
    pairs: Path | None = None
    gold: int | None = None
    other_gold: int | None = None


def tell_consistency(stage: Stage, asked: Asked, *, as_json: bool) -> int:
    """Compare, keep what was found in the lot, and print it.

    Raises:
        InputError: one of two versions of the gold is named, or a submission is compared with itself.
    """
    submission = read_sealed(stage.lot, "submission", asked.submission)
    other = None if asked.other is None else read_sealed(stage.lot, "submission", asked.other)
    if other is not None and other.number == submission.number:
        raise InputError(f"--other {other.number}: is the submission itself; name another one")
    doubles = Doubles(other, asked.by_source, read_pairs(asked.pairs) if asked.pairs else ())
    gold = _gold(stage, asked.gold)
    found = consistency_of(stage, submission, gold.labels if gold else None, doubles=doubles)
    path = keep(stage, found)
    lines, document = describe_consistency(found), {"consistency": found.model_dump(mode="json")}
    if asked.other_gold is not None:
        if gold is None or asked.gold is None or asked.gold == asked.other_gold:
            raise InputError("--other-gold needs --gold with another version: two people's gold of the same items")
        twice = double_gold(stage, gold, read_sealed(stage.lot, "gold", asked.other_gold))
        keep(stage, twice)
        lines += [*map(_agreement, twice.agreement), *describe_ceiling(twice.ceiling)]
        document["gold"] = twice.model_dump(mode="json")
    if as_json:
        emit_json(document)
    else:
        emit_text("\n".join([*lines, f"kept in {shown(path)}, for the report of 'goldgate accept'"]))
    return EXIT_DONE


def _gold(stage: Stage, number: int | None) -> Sealed | None:
    return read_sealed(stage.lot, "gold", number) if number is not None or numbers(stage.lot.gold) else None


def describe_consistency(found: Consistency) -> list[str]:
    """Return what was found as lines for people."""
    lines = [f"submission {found.submission}"]
    lines += map(_completeness, found.completeness)
    lines += map(_agreement, found.agreement)
    lines.append(f"  {found.duplicates} pairs of items with the same content")
    lines += map(_agreement, found.self_consistency)
    return lines


def _completeness(of: Completeness) -> str:
    named = f": {_cut(of.missing_items)}" if of.missing else ""
    states = f"{of.labelled} labelled, {of.empty} empty, {of.excused} excused, {of.missing} missing"
    return f"  {of.kind.value}: {of.items} items = {states}{named}"


def _cut(items: Sequence[str]) -> str:
    left = len(items) - _NAMED_AT_MOST
    return ", ".join(items[:_NAMED_AT_MOST]) + (f", ... ({left} more)" if left > 0 else "")


def _agreement(of: Agreement) -> str:
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in of.counts.items())
    figures = ", ".join(f"{name} {share(value)}" for name, value in of.figures.items())
    agreed = f"{share(of.bound.estimate)} [{share(of.bound.lower)}, {share(of.bound.upper)}]"
    return f"  {of.task.value}, {of.first} and {of.second}, {of.items} items: {counts}; {agreed}; {figures}"


def describe_ceiling(of: GoldCeiling | None) -> list[str]:
    """Return the ceiling of the gold as a line for people; none where no text has gold of two people."""
    if of is None:
        return []
    if of.ceiling is None:
        return [f"  gold ceiling: undefined ({of.reason})"]
    return [
        f"  gold ceiling: {share(of.ceiling)} (at least {share(of.ceiling_lower)}): two people's gold differs on "
        f"{of.disagreeing} of {of.texts} texts, so that one errs on {share(of.error)} of them"
    ]
