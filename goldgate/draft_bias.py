"""Bias of pre-labels in a lot, from the drafts, the submission and the gold that stand in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from contract.errors import LabelsError, StageError
from contract.files import read_json
from contract.labelset import LabelSet
from contract.quality import BIAS_ROWS, BiasOfDrafts
from contract.sample import Sample
from contract.scores import Score
from contract.tables import State, Task
from goldgate.quality import profiles_of
from goldgate.seeds import newest_planting, read_planted
from goldgate.stages import Stage
from prelabel.handoff import Sealed, read_drafts
from qa.bias import EPSILON_PX, bias_of, bias_rows, handled
from qa.seeding import caught


@dataclass(frozen=True)
class Choice:
    """Which drafts people saw, and what is known of the gold; None leaves it to what stands in the lot."""

    run: str | None = None
    planted: int | None = None
    blind: frozenset[str] | None = None
    epsilon_px: float = EPSILON_PX


def bias_in_lot(
    stage: Stage, submission: Sealed, gold: Sealed | None, scores: Mapping[Task, Score], *, choice: Choice = Choice()
) -> BiasOfDrafts:
    """Return what became of the drafts in `submission`.

    Where wrong drafts were planted into the run, the drafts are those that people saw, the wrong ones among them.

    Raises:
        StageError: there is no finished run of drafts.
    """
    document, drafts = read_drafts(stage.lot, choice.run)
    number = newest_planting(stage, document.run) if choice.planted is None else choice.planted
    planted = None if number is None else read_planted(stage, number)
    if planted is not None:
        if planted.document.run != document.run:
            raise StageError(f"seeds {number}: were planted into run {planted.document.run}, not into {document.run}")
        drafts = planted.drafts
    blind = blind_items(stage) if choice.blind is None else choice.blind
    profiles, known = profiles_of(stage.terms), blind & _in_gold(gold.labels if gold else None)
    found, rows = [], [BIAS_ROWS.empty_table()]
    for task in (task for task in Task if task in drafts.tables and task in submission.labels.tables):
        of = handled(task, drafts, submission.labels, epsilon_px=choice.epsilon_px)
        if of.items:
            score = scores.get(task)
            found.append(bias_of(task, of, score, blind=known, profiles=profiles, epsilon_px=choice.epsilon_px))
            rows.append(bias_rows(task, of, score, blind=known))
    return BiasOfDrafts(
        run=document.run,
        submission=submission.number,
        gold=gold.number if gold else None,
        blind_items=len(known),
        planted=number,
        tasks=tuple(found),
        seeds=() if planted is None else caught(planted.seeds, submission.labels, profiles=profiles),
        rows=pa.concat_tables(rows),
    )


def _in_gold(gold: LabelSet | None) -> frozenset[str]:
    if gold is None:
        return frozenset()
    rows = zip(gold.states["item"].to_pylist(), gold.states["state"].to_pylist(), strict=True)
    return frozenset(item for item, state in rows if state in (State.LABELLED.value, State.EMPTY.value))


def blind_items(stage: Stage) -> frozenset[str]:
    """Return the items whose gold is made without sight of drafts, by the samples that stand in the lot.

    Raises:
        StageError: a sample's file is no such document.
    """
    found: set[str] = set()
    for path in sorted(stage.lot.samples.glob("*.json")):
        found |= {each.item for each in _sample(path).items if each.blind}
    return frozenset(found)


def _sample(path: Path) -> Sample:
    try:
        return Sample.model_validate(read_json(path))
    except ValidationError as error:
        raise StageError(f"{path}: not a sample as 'goldgate sample' writes it") from error


def read_blind(path: Path) -> frozenset[str]:
    """Return the items that a text file names, one a line.

    Raises:
        LabelsError: the file is absent, is not UTF-8, or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path}: cannot be read as text in UTF-8") from error
    items = frozenset(line.strip() for line in lines if line.strip())
    if not items:
        raise LabelsError(f"{path}: names no item; write one a line")
    return items


def bias_or_why_not(
    stage: Stage, submission: Sealed, gold: Sealed, scores: Mapping[Task, Score]
) -> tuple[BiasOfDrafts | None, str | None]:
    """Return the bias of the newest drafts, or why there is none although the lot has drafts."""
    if not any(stage.lot.drafts.glob("*/run.json")):
        return None, None
    try:
        return bias_in_lot(stage, submission, gold, scores), None
    except StageError as error:
        return None, str(error)
