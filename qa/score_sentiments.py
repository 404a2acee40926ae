"""Sentiments against gold, as one document."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from contract.acceptance import TextProfile
from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.scores import TEXT_PAIRS, ClassRates, Confusion, SentimentScore
from contract.tables import Task
from qa.agreement import cohen_kappa, coincidences, krippendorff_alpha, matthews
from qa.coverage import Scored, scored_items
from qa.rates import rates, share
from qa.sentiment import Answers, balanced_accuracy, macro_f1, macro_f1_interval, share_interval, weighted_f1

_ONE_LABEL: Final = "one label is all that both sides use, so that agreement beyond chance is undefined"
_NO_ORDER: Final = "the order of the labels is not given"
_NO_TEXT: Final = "there is no text to count"
_ORDERED: Final = ("kappa_linear", "kappa_quadratic", "alpha_ordinal", "alpha_interval")


def score_sentiments(
    labels: LabelSet,
    gold: LabelSet,
    profile: TextProfile,
    *,
    label_order: Sequence[str] = (),
    lot_items: int | None = None,
) -> SentimentScore:
    """Score the sentiments of `labels` against those of `gold` by `profile`.

    A text without a submitted label is an error in every share; agreement figures (kappa, alpha, MCC)
    speak of the texts that both sides labelled. Texts that the gold gives no label are not scored.

    Args:
        labels: the submission.
        gold: what is true.
        profile: the reading.
        label_order: the guideline's labels in their order, for example from negative to positive; figures
            that need an order are None without it. Other labels that occur follow it by name.
        lot_items: size of the lot that the gold's texts were drawn from.

    Raises:
        LabelsError: the gold holds no sentiments, or an item is named or labelled twice.
    """
    scored = scored_items(Task.SENTIMENTS, labels, gold)
    truth, answered = _by_item(gold, scored, "gold"), _by_item(labels, scored, "submission")
    present = {*truth.values(), *(answered[item] for item in truth if item in answered)}
    names = [*label_order, *sorted(present - set(label_order))]
    answers = _count(truth, answered, names)
    accuracy = share_interval(answers.correct, answers.n, bound=profile.bound, lot_items=lot_items)
    macro = macro_f1_interval(answers, bound=profile.bound)
    incomplete = tuple(item for item in sorted(truth) if item not in answered)
    figures, reasons = _figures(answers, ordered=bool(label_order) and present <= set(label_order))
    gold_sizes = answers.table.sum(axis=1) + answers.missing
    return SentimentScore(
        n=answers.n,
        correct=answers.correct,
        accuracy=accuracy.estimate,
        lower_bound=accuracy.lower,
        upper_bound=accuracy.upper,
        **figures,
        majority_share=share(int(gold_sizes.max(initial=0)), answers.n),
        majority_trap=len(present) > 1 and int((answers.table.sum(axis=0) > 0).sum()) == 1,
        confusion=Confusion(
            labels=tuple(names),
            rows=tuple(tuple(row) for row in answers.table.tolist()),
            missing=tuple(answers.missing.tolist()),
        ),
        per_class=_per_class(answers, names=names, profile=profile),
        bounds={"accuracy": accuracy, "macro_f1": macro},
        coverage=scored.coverage.model_copy(update={"items": answers.n, "incomplete": incomplete}),
        reading=profile.model_dump(mode="json", exclude={"metrics"}),
        reasons=reasons,
        pairs=_pairs(truth, answered),
    )


def _by_item(of: LabelSet, scored: Scored, side: str) -> dict[str, str]:
    table = of.table(Task.SENTIMENTS)
    wanted = set(scored.items)
    result: dict[str, str] = {}
    for item, label in zip(table["item"].to_pylist(), table["label"].to_pylist(), strict=True):
        if item in result:
            raise LabelsError(f"the {side} labels text {item!r} twice; keep one of them")
        if item in wanted:
            result[item] = label
    return result


def _count(truth: dict[str, str], answered: dict[str, str], names: list[str]) -> Answers:
    code = {name: index for index, name in enumerate(names)}
    table, missing = np.zeros((len(names), len(names)), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for item, label in truth.items():
        if item in answered:
            table[code[label], code[answered[item]]] += 1
        else:
            missing[code[label]] += 1
    return Answers(table, missing)


def _figures(answers: Answers, *, ordered: bool) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return the figures and why those that are None are."""
    table, matrix = answers.table, coincidences(answers.table)
    figures = {
        "macro_f1": macro_f1(answers),
        "weighted_f1": weighted_f1(answers),
        "balanced_accuracy": balanced_accuracy(answers),
        "mcc": matthews(table),
        "kappa": cohen_kappa(table),
        "kappa_linear": cohen_kappa(table, weights="linear") if ordered else None,
        "kappa_quadratic": cohen_kappa(table, weights="quadratic") if ordered else None,
        "alpha_nominal": krippendorff_alpha(matrix, level="nominal"),
        "alpha_ordinal": krippendorff_alpha(matrix, level="ordinal") if ordered else None,
        "alpha_interval": krippendorff_alpha(matrix, level="interval") if ordered else None,
    }
    reasons = {}
    for name in (name for name, value in figures.items() if value is None):
        reasons[name] = _NO_ORDER if name in _ORDERED and not ordered else _ONE_LABEL
        if name == "mcc":
            reasons[name] = "one side uses one label only"
        if not table.any():
            reasons[name] = _NO_TEXT
    if not answers.n:
        reasons["accuracy"] = reasons["lower_bound"] = reasons["majority_share"] = _NO_TEXT
    return figures, reasons


def _per_class(answers: Answers, *, names: list[str], profile: TextProfile) -> tuple[ClassRates, ...]:
    """Rates of each label; the lot's size by label is unknown, so that their limits are those of an endless lot."""
    endless = profile.bound.model_copy(update={"finite_lot": False})
    counts = zip(names, *(column.tolist() for column in answers.class_counts()), strict=True)
    return tuple(
        ClassRates(label=name, recall_bound=share_interval(tp, tp + fn, bound=endless), **rates(tp, fp, fn))
        for name, tp, fp, fn in counts
    )


def _pairs(truth: dict[str, str], answered: dict[str, str]) -> pa.Table:
    items = sorted(truth)
    columns: dict[str, list[Any]] = {
        "item": items,
        "gold_label": [truth[item] for item in items],
        "label": [answered.get(item) for item in items],
    }
    return pa.table(columns, schema=TEXT_PAIRS)
