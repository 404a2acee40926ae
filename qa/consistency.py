"""Consistency and completeness (clause 4.2(2)): agreement, self-consistency on duplicates, and every item's state.

Agreement scores one labelling with the other in the gold's place: counts, F1 and IoU are the same either way round.
"""

import itertools
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.acceptance import ImageProfile, TextProfile, VideoProfile
from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.quality import Agreement, Completeness, GoldCeiling
from contract.scores import BoxScore, SentimentScore, TimelineScore
from contract.tables import KIND_OF_TASK, STATES, Kind, State, Task
from qa.agreement import cohen_kappa_interval
from qa.bounds import clopper_pearson
from qa.defaults import IMAGE, TEXT, VIDEO
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots

_SPEAKS: Final = (State.LABELLED.value, State.EMPTY.value)


@dataclass(frozen=True)
class Profiles:
    """How labels are read; the order of sentiments, where it is known, for figures that need one."""

    image: ImageProfile = IMAGE
    text: TextProfile = TEXT
    video: VideoProfile = VIDEO
    label_order: Sequence[str] = field(default=())


def agreement(task: Task, first: LabelSet, second: LabelSet, *, names: tuple[str, str], profiles: Profiles) -> Agreement:
    """Compare two labellings on the items that both label or call empty.

    Raises:
        LabelsError: a side names an item twice.
    """
    shared = _spoken_of(task, first) & _spoken_of(task, second)
    one, other = _restricted(task, first, shared), _restricted(task, second, shared)
    if task is Task.SENTIMENTS:
        text = score_sentiments(one, other, profiles.text, label_order=profiles.label_order)
        return _of_texts(text, names, confidence=profiles.text.bound.confidence)
    if task is Task.BOXES:
        boxes = score_boxes(one, other, profiles.image)
        figures = {"mean_iou": boxes.contract.mean_iou, "share_iou_075": boxes.contract.share_iou_075}
        return _of_matches(task, boxes, names, figures)
    return _of_videos(task, one, other, names, profiles.video)


def _of_videos(task: Task, one: LabelSet, other: LabelSet, names: tuple[str, str], profile: VideoProfile) -> Agreement:
    if task is Task.SHOTS:
        shots = score_shots(one, other, profile)
        return _of_matches(task, shots, names, {"mean_offset_frames": shots.mean_offset_frames})
    if task is Task.KEYFRAMES:
        keyframes = score_keyframes(one, other, profile)
        return _of_matches(task, keyframes, names, {"mean_offset_s": keyframes.mean_offset_s})
    events = score_events(one, other, profile)
    return _of_matches(task, events, names, {"mean_tiou": events.mean_tiou})


def _spoken_of(task: Task, labels: LabelSet) -> set[str]:
    """Return the items of the task's kind that `labels` has an answer for; a text needs a label to be one."""
    rows = labels.states.filter(pc.equal(labels.states["kind"], KIND_OF_TASK[task].value))
    spoken = set(rows.filter(pc.is_in(rows["state"], value_set=pa.array(_SPEAKS)))["item"].to_pylist())
    if task not in labels.tables:
        return set()
    return spoken & set(labels.table(task)["item"].to_pylist()) if task is Task.SENTIMENTS else spoken


def _restricted(task: Task, labels: LabelSet, items: set[str]) -> LabelSet:
    wanted = pa.array(sorted(items), pa.string())
    states = labels.states.filter(pc.is_in(labels.states["item"], value_set=wanted))
    table = labels.table(task)
    return LabelSet(states, {task: table.filter(pc.is_in(table["item"], value_set=wanted))})


def _of_texts(score: SentimentScore, names: tuple[str, str], *, confidence: float) -> Agreement:
    limits = cohen_kappa_interval(
        np.array(score.confusion.rows, dtype=np.int64).reshape(-1, len(score.confusion.labels)), confidence=confidence
    )
    named = ("kappa", "kappa_quadratic", "alpha_nominal", "alpha_ordinal")
    figures = {name: getattr(score, name) for name in named}
    figures |= {"kappa_lower": limits.lower if limits else None, "kappa_upper": limits.upper if limits else None}
    return Agreement(
        task=Task.SENTIMENTS,
        first=names[0],
        second=names[1],
        items=score.n,
        counts={"agreeing": score.correct, "disagreeing": score.n - score.correct},
        figures=figures,
        bound=score.bounds["accuracy"],
        reasons={name: why for name, why in score.reasons.items() if name in named},
    )


def _of_matches(
    task: Task,
    score: BoxScore | TimelineScore,
    names: tuple[str, str],
    figures: dict[str, float | None],
) -> Agreement:
    rates = score.contract if isinstance(score, BoxScore) else score
    return Agreement(
        task=task,
        first=names[0],
        second=names[1],
        items=score.coverage.items,
        counts={"matched": rates.tp, "only_first": rates.fp, "only_second": rates.fn},
        figures={"f1": rates.f1, **figures},
        bound=score.bounds["f1"],
        reasons={name: why for name, why in rates.reasons.items() if name in {"f1", *figures}},
    )


def by_source(labels: LabelSet, task: Task) -> dict[str, LabelSet]:
    """Return source -> its labels of `task`, for tables that hold the work of several people on the same items.

    An item belongs to a source if the source has a row on it, since a state names nobody.
    """
    table = labels.table(task)
    parts = {}
    for source in sorted(value for value in pc.unique(table["source"]).to_pylist() if value is not None):
        rows = table.filter(pc.equal(table["source"], source))
        states = labels.states.filter(pc.is_in(labels.states["item"], value_set=pc.unique(rows["item"])))
        parts[source] = LabelSet(states, {task: rows})
    return parts


def agreement_of_sources(labels: LabelSet, *, profiles: Profiles) -> list[Agreement]:
    """Compare every two sources of `labels` that share items."""
    found = []
    for task in sorted(labels.tables):
        for one, other in itertools.combinations(by_source(labels, task).items(), 2):
            compared = agreement(task, one[1], other[1], names=(one[0], other[0]), profiles=profiles)
            if compared.items:
                found.append(compared)
    return found


def duplicate_pairs(items: pa.Table, texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return pairs of items with the same content: the first of each group with every other one, by name.

    The same content is the same digest of the file, or the same text once case, width and white space are ignored.

    Args:
        items: the lot (columns item, kind, sha256).
        texts: item -> its text.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in items.select(["item", "kind", "sha256"]).to_pylist():
        text = texts.get(row["item"])
        groups[row["kind"], row["sha256"] if text is None else normal_text(text)].append(row["item"])
    return sorted((group[0], other) for members in groups.values() for group in [sorted(members)] for other in group[1:])


def normal_text(text: str) -> str:
    """Return `text` as it is compared: NFKC, folded case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def self_consistency(
    labels: LabelSet, pairs: Sequence[tuple[str, str]], *, name: str, profiles: Profiles
) -> list[Agreement]:
    """Compare a labelling with itself on pairs of items with the same content: the first of each with the second.

    An item that stands in several pairs is compared in each. Pairs of images must have the same pixels' grid.

    Raises:
        LabelsError: a pair names one item twice.
    """
    same = next((one for one, other in pairs if one == other), None)
    if same is not None:
        raise LabelsError(f"the pair {same!r}, {same!r} is one item; name two items with the same content")
    sides = [_renamed(labels, {place: pair[side] for place, pair in enumerate(pairs)}) for side in (0, 1)]
    names = (f"{name}, first of pair", f"{name}, second of pair")
    compared = [agreement(task, sides[0], sides[1], names=names, profiles=profiles) for task in sorted(labels.tables)]
    return [each for each in compared if each.items]


def _renamed(labels: LabelSet, member: Mapping[int, str]) -> LabelSet:
    """Return the labels of the members under the number of their pair."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, item in member.items():
        places[item].append(place)

    def take(table: pa.Table) -> pa.Table:
        rows, names = [], []
        for row, item in enumerate(table["item"].to_pylist()):
            for place in places.get(item, ()):
                rows.append(row)
                names.append(f"pair {place}")
        taken = table.take(pa.array(rows, pa.int64()))
        return taken.set_column(taken.column_names.index("item"), table.schema.field("item"), pa.array(names, pa.string()))

    return LabelSet(take(labels.states), {task: take(table) for task, table in labels.tables.items()})


def completeness(items: pa.Table, labels: LabelSet, gold: LabelSet | None) -> tuple[Completeness, ...]:
    """Return what became of every item of the lot, kind by kind.

    Args:
        items: the lot (columns item, kind).
        labels: the submission.
        gold: whose word excuses items; None if there is none yet, and then no item is excused.
    """
    said = _states(labels.states)
    pardoned = {
        item
        for item, state in _states(gold.states if gold else STATES.empty_table()).items()
        if state == State.EXCUSED.value
    }
    groups: dict[Kind, list[str]] = {}
    for row in items.select(["item", "kind"]).to_pylist():
        groups.setdefault(Kind(row["kind"]), []).append(row["item"])
    found = []
    for kind in (kind for kind in Kind if kind in groups):
        fate = {item: _fate(said.get(item), excused=item in pardoned) for item in groups[kind]}
        counts = Counter(fate.values())
        found.append(
            Completeness(
                kind=kind,
                items=len(fate),
                labelled=counts[State.LABELLED],
                empty=counts[State.EMPTY],
                excused=counts[State.EXCUSED],
                missing=counts[State.MISSING],
                missing_items=_named(fate, State.MISSING),
                excused_items=_named(fate, State.EXCUSED),
            )
        )
    return tuple(found)


def _states(states: pa.Table) -> dict[str, str]:
    return dict(zip(states["item"].to_pylist(), states["state"].to_pylist(), strict=True))


def _fate(said: str | None, *, excused: bool) -> State:
    if said in _SPEAKS:
        return State(said)
    return State.EXCUSED if excused else State.MISSING


def _named(fate: Mapping[str, State], state: State) -> tuple[str, ...]:
    return tuple(sorted(item for item, of in fate.items() if of is state))


def label_error(disagreement: float, labels: int) -> float | None:
    """Return e, the chance of one person to err, from the share on which two who err independently disagree.

    The inverse of d = 2e - e**2 K / (K - 1); None where d is as large as guessing makes it, or there is one label only.
    """
    if labels < 2 or disagreement >= (labels - 1) / labels:
        return None
    spread = labels / (labels - 1)
    return (1 - math.sqrt(1 - disagreement * spread)) / spread


def observed_accuracy(true: float, *, error: float, labels: int) -> float:
    """Return the accuracy that gold with errors shows of a vendor whose true accuracy is `true` (notes, 3.7)."""
    return true * (1 - error) + (1 - true) * error / (labels - 1)


def gold_ceiling(double: Agreement, *, labels: int, confidence: float) -> GoldCeiling:
    """Return what a faultless vendor can reach at most, from gold texts that two people labelled.

    Args:
        double: the agreement of the two on sentiments.
        labels: how many labels they chose from.
        confidence: of the one-sided limits.
    """
    texts, disagreeing = double.items, double.counts["disagreeing"]
    error = label_error(disagreeing / texts, labels) if texts else None
    upper = label_error(clopper_pearson(disagreeing, texts, confidence=confidence)[1], labels) if texts else None
    reason = None
    if error is None or upper is None:
        reason = (
            "no text has gold of two people"
            if not texts
            else "the two disagree no less than by guessing, as far as is known"
        )
    return GoldCeiling(
        texts=texts,
        disagreeing=disagreeing,
        labels=labels,
        error=error,
        error_upper=upper,
        ceiling=None if error is None else 1 - error,
        ceiling_lower=None if upper is None else 1 - upper,
        confidence=confidence,
        reason=reason,
    )
