"""Consistency and completeness of a lot's submission, from what stands in the work folder.

work/<contract>/lots/<lot>/consistency/<submission>.json   agreement and self-consistency that somebody asked for
                                      .../gold.json        agreement of two versions of the gold that two people made
`goldgate consistency` writes them, and the report of `accept` takes them in where they speak of the same labels.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from contract.errors import LabelsError, StageError
from contract.files import read_json, write_json
from contract.labelset import LabelSet
from contract.quality import Agreement, Consistency, GoldCeiling
from contract.scores import Document
from contract.tables import Kind, Task
from contract.terms import Terms
from goldgate.stages import Stage
from prelabel.handoff import Sealed
from prelabel.run import read_intake_receipt, read_manifest, read_texts
from qa import defaults
from qa.consistency import (
    Profiles,
    agreement,
    agreement_of_sources,
    completeness,
    duplicate_pairs,
    gold_ceiling,
    self_consistency,
)


class DoubleGold(Document):
    """What is kept of gold that two people made."""

    gold: int
    other: int
    labels_sha256: tuple[str, str]
    agreement: tuple[Agreement, ...]
    ceiling: GoldCeiling | None


@dataclass(frozen=True)
class Doubles:
    """Where the items that were labelled twice are."""

    other: Sealed | None = None
    by_source: bool = False
    pairs: Sequence[tuple[str, str]] = ()


def profiles_of(terms: Terms) -> Profiles:
    """Return how the terms read labels, and goldgate's default for kinds that they do not order."""
    acceptance = terms.acceptance
    return Profiles(
        image=acceptance.image or defaults.IMAGE,
        text=acceptance.text or defaults.TEXT,
        video=acceptance.video or defaults.VIDEO,
        label_order=terms.guideline.sentiment_names,
    )


def consistency_of(stage: Stage, submission: Sealed, gold: LabelSet | None, *, doubles: Doubles = Doubles()) -> Consistency:
    """Return agreement on what `doubles` names, self-consistency on duplicates, and the state of every item.

    Raises:
        LabelsError: a pair names an item that the lot does not hold, or images of different sizes.
    """
    items = read_manifest(stage.lot, read_intake_receipt(stage.lot))
    profiles, labels, name = profiles_of(stage.terms), submission.labels, f"submission {submission.number}"
    agreed: list[Agreement] = []
    if doubles.other is not None:
        agreed += between(
            labels, doubles.other.labels, names=(name, f"submission {doubles.other.number}"), profiles=profiles
        )
    if doubles.by_source:
        agreed += agreement_of_sources(labels, profiles=profiles)
    pairs = sorted({*duplicate_pairs(items, read_texts(stage.lot)), *_checked(doubles.pairs, items)})
    return Consistency(
        submission=submission.number,
        labels_sha256=submission.receipt.labels_sha256,
        agreement=tuple(agreed),
        duplicates=len(pairs),
        self_consistency=tuple(self_consistency(labels, pairs, name=name, profiles=profiles)) if pairs else (),
        completeness=completeness(items, labels, gold),
    )


def between(one: LabelSet, other: LabelSet, *, names: tuple[str, str], profiles: Profiles) -> list[Agreement]:
    """Compare two label sets in every task that both hold and share items of."""
    tasks = sorted(set(one.tables) & set(other.tables))
    compared = [agreement(task, one, other, names=names, profiles=profiles) for task in tasks]
    return [each for each in compared if each.items]


def double_gold(stage: Stage, gold: Sealed, other: Sealed) -> DoubleGold:
    """Compare two versions of the gold that two people made without sight of each other."""
    names = (f"gold {gold.number}", f"gold {other.number}")
    agreed = between(gold.labels, other.labels, names=names, profiles=profiles_of(stage.terms))
    texts = next((each for each in agreed if each.task is Task.SENTIMENTS), None)
    confidence = profiles_of(stage.terms).text.bound.confidence
    labels = len(stage.terms.guideline.sentiment_names)
    return DoubleGold(
        gold=gold.number,
        other=other.number,
        labels_sha256=(gold.receipt.labels_sha256, other.receipt.labels_sha256),
        agreement=tuple(agreed),
        ceiling=gold_ceiling(texts, labels=labels, confidence=confidence) if texts else None,
    )


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Return the pairs of items in a CSV file with columns item,same_as.

    Raises:
        LabelsError: the file is absent or is no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError as error:
        raise LabelsError(f"{path}: no such file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path}: not a table in CSV and UTF-8 ({error})") from error
    if not rows or not {"item", "same_as"} <= set(rows[0]):
        raise LabelsError(f"{path}: no pairs; write a first line item,same_as and a pair of items on each line after it")
    for number, row in enumerate(rows, start=2):
        if not row["item"] or not row["same_as"]:
            raise LabelsError(f"{path}:{number}: a pair needs two items")
    return [(row["item"], row["same_as"]) for row in rows]


def _checked(pairs: Sequence[tuple[str, str]], items: pa.Table) -> list[tuple[str, str]]:
    rows = {row["item"]: row for row in items.select(["item", "kind", "width", "height"]).to_pylist()}
    for pair in pairs:
        unknown = next((item for item in pair if item not in rows), None)
        if unknown is not None:
            raise LabelsError(f"pair {pair[0]!r}, {pair[1]!r}: the lot holds no item {unknown!r}")
        one, other = (rows[item] for item in pair)
        if one["kind"] != other["kind"]:
            raise LabelsError(f"pair {pair[0]!r}, {pair[1]!r}: {one['kind']} and {other['kind']} have no common labels")
        if one["kind"] == Kind.IMAGE.value and (one["width"], one["height"]) != (other["width"], other["height"]):
            raise LabelsError(
                f"pair {pair[0]!r}, {pair[1]!r}: the images differ in size, so that their boxes do not compare"
            )
    return [(min(pair), max(pair)) for pair in pairs]


def keep(stage: Stage, found: Consistency | DoubleGold) -> Path:
    """Write what was found where the report of `accept` looks for it."""
    name = f"{found.submission}.json" if isinstance(found, Consistency) else "gold.json"
    path = stage.lot.root / "consistency" / name
    write_json(path, found.model_dump(mode="json"))
    return path


def kept_consistency(stage: Stage, submission: Sealed) -> Consistency | None:
    """Return what `goldgate consistency` found of this very submission; None if it was not asked."""
    path = stage.lot.root / "consistency" / f"{submission.number}.json"
    if not path.exists():
        return None
    try:
        found = Consistency.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not written by 'goldgate consistency'; run it again") from error
    return found if found.labels_sha256 == submission.receipt.labels_sha256 else None


def kept_ceiling(stage: Stage) -> GoldCeiling | None:
    """Return the ceiling of gold that two people made; None if `goldgate consistency` was not asked."""
    path = stage.lot.root / "consistency" / "gold.json"
    if not path.exists():
        return None
    try:
        return DoubleGold.model_validate(read_json(path)).ceiling
    except ValidationError as error:
        raise StageError(f"{path}: not written by 'goldgate consistency'; run it again") from error


def report_consistency(stage: Stage, submission: Sealed, gold: LabelSet) -> Consistency:
    """Return what the report says: completeness and duplicates as they are now, and what was asked for before."""
    now, before = consistency_of(stage, submission, gold), kept_consistency(stage, submission)
    if before is None:
        return now
    update = {"agreement": before.agreement, "self_consistency": before.self_consistency, "duplicates": before.duplicates}
    return now.model_copy(update=update)
