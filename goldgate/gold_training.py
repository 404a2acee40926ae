"""`goldgate models train sentiment --from gold`: fine-tuning on corrected texts, and promotion by a paired test.

Clause 5.2 keeps the client's data from any other use than the contract's: without `training: allowed` in the terms nothing
is read. Gold is split by groups of near duplicates: texts to train on, texts to stop and calibrate on, and texts held
back, on which base and challenger meet.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from contract.errors import InputError, StageError, TermsError
from contract.files import sha256_json
from contract.tables import Kind, Task
from contract.terms import Terms
from goldgate.console import EXIT_DONE, emit_json, emit_text, say
from goldgate.stages import Stage, open_stage, shown
from goldgate.training import Abstain
from models.calibrating import calibrate_folder
from models.promotion import keep_both
from models.registry import ModelEntry, Weights, default_model, find_entry, load_registry, weights_of
from models.review_texts import Review, put_aside, split_reviews
from models.sentiment import from_entry
from models.textfolder import read_config
from models.textlabels import map_labels
from models.tune_sentiment import TuneSettings, tune_sentiment
from prelabel.handoff import Sealed, read_sealed
from prelabel.run import read_texts
from qa.paired import McNemar, mcnemar

HELD_BACK_PERCENT: Final = 30
VALIDATION_PERCENT: Final = 20
_FITTED: Final = ("temperature", "neutral_band")  # of the base: the challenger has its own, beside its weights


@dataclasses.dataclass(frozen=True)
class FromGold:
    """What to learn from, and from which model on; None leaves the base to the terms, else to the models file."""

    contract: Path
    lots: tuple[str, ...]
    work: Path
    base: str | None = None
    models_file: Path | None = None


def stages_to_learn_from(asked: FromGold) -> list[Stage]:
    """Return the lots that are asked for, none of which was looked into yet.

    Raises:
        InputError: no lot is named.
        TermsError: the terms do not allow training.
    """
    if not asked.lots:
        raise InputError("--from gold needs --lot with the name of a lot, once or several times")
    stages = [open_stage(asked.contract, lot, asked.work) for lot in dict.fromkeys(asked.lots)]
    if stages[0].terms.training != "allowed":
        raise TermsError(
            f"{asked.contract}: clause 5.2 keeps the client's data and what was made of it from other use, and the terms do "
            "not allow training on it (training: forbidden); agree on 'training: allowed' in new terms first"
        )
    return stages


def provenance_of(stages: Sequence[Stage], golds: Sequence[Sealed], base: Weights) -> dict[str, Any]:
    """Return what made a challenger: terms, gold and base, by their digests."""
    return {
        "contract": stages[0].terms.contract,
        "terms_sha256": stages[0].terms.sha256,
        "training": stages[0].terms.training,
        "lots": {
            stage.lot_name: {"gold": gold.number, "labels_sha256": gold.receipt.labels_sha256}
            for stage, gold in zip(stages, golds, strict=True)
        },
        "base_sha256": base.sha256,
    }


def challenger_name(base: str, golds: Sequence[Sealed]) -> str:
    """Return a name for what was learnt from `golds` on top of `base`."""
    return f"{base[:80]}-gold-{sha256_json([gold.receipt.labels_sha256 for gold in golds])[:8]}"


def train_sentiment_from_gold(asked: FromGold, out: Path, *, settings: TuneSettings, accuracy: float, as_json: bool) -> int:
    """Fine-tune on the newest gold of `asked.lots`, compare on gold held back, and keep both models in out/models.yaml.

    `accuracy` is that from which on people need not look at a text.

    Raises:
        TermsError: the terms do not allow training.
        StageError: a lot has no gold, or its gold holds no texts.
        InputError: the base is no text classifier of a folder, or no lot is named.
    """
    stages = stages_to_learn_from(asked)
    terms = stages[0].terms
    golds = [read_sealed(stage.lot, "gold") for stage in stages]
    reviews = _reviews(stages, golds)
    entry, base = _base(asked, terms)
    split = split_reviews(reviews, test_percent=HELD_BACK_PERCENT)
    aside, train = put_aside(split.train, VALIDATION_PERCENT)
    say(f"{len(train)} texts to train on, {len(aside)} to stop and calibrate on, {len(split.test)} held back")
    named = _named_by_model(base.path, terms)
    folder = out / "model"
    own = [[_renamed(each, named) for each in part if each.label in named] for part in (train, aside)]
    tuned = tune_sentiment(base.path, folder, train=own[0], validation=own[1], settings=settings, tell=say)
    calibrate_folder(folder, [_renamed(each, named) for each in aside], abstain=Abstain(accuracy))
    kept = {key: value for key, value in entry.settings.items() if key not in _FITTED}
    name = challenger_name(entry.name, golds)
    challenger = ModelEntry(name=name, kind=Kind.TEXT, loader="transformers", path=folder, settings=kept)
    found = _compare((entry, challenger), split.test, terms)
    provenance = {
        **provenance_of(stages, golds, base),
        "base": entry.name,
        "settings": dataclasses.asdict(settings),
        "texts": {"train": len(own[0]), "validation": len(own[1]), "held_back": len(split.test)},
        "tuned": tuned,
        "test": found.model_dump(mode="json"),
    }
    registry = load_registry(asked.models_file)
    page = keep_both(out, registry, challenger, provenance=provenance, promoted=found.better)
    if as_json:
        emit_json({**provenance, "model": challenger.name, "promoted": found.better, "models_file": str(page)})
    else:
        emit_text(_told(challenger.name, entry.name, found, page))
    return EXIT_DONE


def _reviews(stages: Sequence[Stage], golds: Sequence[Sealed]) -> list[Review]:
    reviews = []
    for stage, gold in zip(stages, golds, strict=True):
        if Task.SENTIMENTS not in gold.labels.tables or not gold.labels.table(Task.SENTIMENTS).num_rows:
            raise StageError(f"{gold.folder}: holds no labels of texts; bring gold of texts in first")
        texts = read_texts(stage.lot)
        rows = gold.labels.table(Task.SENTIMENTS).to_pylist()
        reviews += [Review(texts[row["item"]], row["label"], stage.lot_name) for row in rows]
    return reviews


def _base(asked: FromGold, terms: Terms) -> tuple[ModelEntry, Weights]:
    name = asked.base or terms.prelabel.sentiment or default_model(Kind.TEXT, models_file=asked.models_file)
    entry = find_entry(name, Kind.TEXT, models_file=asked.models_file)
    if entry.loader != "transformers":
        raise InputError(f"model {name!r} has no weights to fine-tune; name another by --base")
    return entry, weights_of(entry)


def _named_by_model(folder: Path, terms: Terms) -> dict[str, str]:
    """Return what the model calls each label of the guideline that it has."""
    config = read_config(folder)
    own = [str(config.id2label[index]) for index in range(config.num_labels)]
    joined = map_labels(own, terms.guideline, origin=str(folder))
    found: dict[str, str] = {}
    for label, target in zip(own, joined.target, strict=True):
        if target is not None:
            found.setdefault(joined.labels[target], label)
    return found


def _renamed(review: Review, names: dict[str, str]) -> Review:
    return dataclasses.replace(review, label=names.get(review.label, review.label))


def _compare(entries: tuple[ModelEntry, ModelEntry], held_back: Sequence[Review], terms: Terms) -> McNemar:
    texts, gold = [review.text for review in held_back], np.array([review.label for review in held_back])
    marks = []
    for entry in entries:
        classifier = from_entry(entry, terms=terms)
        labels = np.array(classifier.describe().classes)
        shares = classifier.probabilities(texts) if texts else np.zeros((0, len(labels)))
        known = np.asarray(~np.isnan(shares).any(axis=1), np.bool_)
        answered = labels[np.where(known[:, None], shares, 0.0).argmax(axis=1)]
        marks.append(np.asarray(known & (answered == gold), np.bool_))
    return mcnemar(marks[0], marks[1])


def _told(name: str, base: str, found: McNemar, page: Path) -> str:
    counts = f"{found.only_candidate} texts only it has right, {found.only_base} only {base!r}"
    verdict = "promoted: it is the default" if found.better else f"not promoted: {base!r} stays the default"
    return (
        f"{name}: on {found.texts} texts held back {counts}, McNemar p = {found.p:.4g}; {verdict}\n"
        f"both are kept in {shown(page)}; use it by --models-file"
    )
