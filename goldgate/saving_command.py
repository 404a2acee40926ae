"""`goldgate saving`: which share of a lot's texts could skip review, by its drafts and gold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.errors import InputError, LabelsError
from contract.files import json_bytes, write_together
from contract.tables import Task
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.draft_bias import blind_items
from goldgate.quality import profiles_of
from goldgate.stages import Stage, shown
from prelabel.handoff import read_drafts, read_sealed
from qa.report.saving_plot import saving_picture, saving_words
from qa.saving import saving


@dataclass(frozen=True)
class SavingAsked:
    """Which drafts and gold to look at, and how good the texts that skip must be; None leaves it to lot and terms."""

    run: str | None = None
    gold: int | None = None
    accuracy: float | None = None
    blind: bool = False


def tell_saving(stage: Stage, asked: SavingAsked, out: Path | None, *, as_json: bool) -> int:
    """Print which texts could skip review; with `out` write saving.json and saving.svg there.

    A text with gold but without a draft, or whose draft has no score, has confidence 0 and counts as wrong: it never helps.

    Raises:
        InputError: the terms demand no accuracy of texts and none is given.
        LabelsError: drafts or gold hold no sentiments.
        StageError: there are no drafts, or no gold.
    """
    profile = profiles_of(stage.terms).text
    demanded = profile.metrics.accuracy if asked.accuracy is None else asked.accuracy
    if demanded is None or not 0 < demanded < 1:
        raise InputError("the terms demand no accuracy of texts between 0 and 1; give --accuracy")
    document, drafts = read_drafts(stage.lot, asked.run)
    gold = read_sealed(stage.lot, "gold", asked.gold)
    for labels, what in ((drafts, f"run {document.run}"), (gold.labels, f"gold {gold.number}")):
        if Task.SENTIMENTS not in labels.tables:
            raise LabelsError(f"{what}: holds no sentiments; saving speaks of texts")
    truth = {row["item"]: row["label"] for row in gold.labels.table(Task.SENTIMENTS).to_pylist()}
    blind = blind_items(stage) & truth.keys()
    if asked.blind:
        truth = {item: label for item, label in truth.items() if item in blind}
    said = {row["item"]: row for row in drafts.table(Task.SENTIMENTS).to_pylist()}
    scored = [said[item] if item in said and said[item]["score"] is not None else None for item in truth]
    confidences = np.array([row["score"] if row else 0.0 for row in scored], np.float64)
    right = np.array(
        [row is not None and row["label"] == label for row, label in zip(scored, truth.values(), strict=True)], np.bool_
    )
    found = saving(confidences, right, demanded=demanded, confidence=profile.bound.confidence)
    told = {
        "contract": stage.terms.contract,
        "terms_sha256": stage.terms.sha256,
        "lot": stage.lot_name,
        "run": document.run,
        "gold": gold.number,
        "gold_sha256": gold.receipt.labels_sha256,
        "blind_texts": len(blind),
        "saving": found.model_dump(mode="json"),
    }
    if out is not None:
        write_together(out, {"saving.json": json_bytes(told), "saving.svg": saving_picture(found)})
    if as_json:
        emit_json(told)
        return EXIT_DONE
    words = saving_words(found)
    lines = [words.zh, words.en]
    if found.reason:
        lines.append(f"  {found.reason}")
    if len(blind) < len(truth):
        lines.append(
            f"  {len(blind)} of {len(truth)} texts have blind gold; corrected drafts may flatter the drafts (--blind)"
        )
    if out is not None:
        lines.append(f"kept in {shown(out)}")
    emit_text("\n".join(lines))
    return EXIT_DONE
