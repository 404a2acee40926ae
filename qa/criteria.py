"""What the contract demands of each kind, and what the scores say of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.scores import BoxScore, ClassRates, Interval, Score, SentimentScore, TimelineScore
from contract.tables import Kind, Task
from contract.terms import Terms
from contract.verdict import Criterion, Outcome

CONFORMING: Final = "conforming"


@dataclass(frozen=True)
class Demand:
    """A threshold of the terms and the task whose score must reach it."""

    name: str
    kind: Kind
    task: Task
    metric: str  # a key of the score's bounds, class_recall, or conforming: the share of items without any defect
    threshold: float
    label: str | None = None  # the class, of a class_recall demand


def demands(terms: Terms, kinds: Iterable[Kind]) -> list[Demand]:
    """Return every demand of `terms` on `kinds`, in a fixed order; a floor on classes gives one a class."""
    makers = {Kind.IMAGE: _of_images, Kind.TEXT: _of_texts, Kind.VIDEO: _of_videos}
    present = set(kinds)
    return [demand for kind in Kind if kind in present for demand in makers[kind](terms)]


def _of_images(terms: Terms) -> Iterator[Demand]:
    if (profile := terms.acceptance.image) is None:
        return
    for metric in ("f1", "precision", "recall", CONFORMING):
        threshold = getattr(profile.metrics, metric)
        if threshold is not None:
            yield Demand(f"image.{metric}", Kind.IMAGE, Task.BOXES, metric, threshold)
    yield from _floors(Kind.IMAGE, Task.BOXES, terms.guideline.class_names, profile.metrics.class_recall_min)


def _of_texts(terms: Terms) -> Iterator[Demand]:
    if (profile := terms.acceptance.text) is None:
        return
    for metric in ("accuracy", "macro_f1"):
        threshold = getattr(profile.metrics, metric)
        if threshold is not None:
            yield Demand(f"text.{metric}", Kind.TEXT, Task.SENTIMENTS, metric, threshold)
    yield from _floors(Kind.TEXT, Task.SENTIMENTS, terms.guideline.sentiment_names, profile.metrics.class_recall_min)


def _of_videos(terms: Terms) -> Iterator[Demand]:
    if (profile := terms.acceptance.video) is None:
        return
    for name, task in (("keyframe", Task.KEYFRAMES), ("event", Task.EVENTS), ("shot", Task.SHOTS)):
        for metric in ("f1", CONFORMING):
            threshold = getattr(profile.metrics, f"{name}_{metric}")
            if threshold is not None:
                yield Demand(f"video.{name}_{metric}", Kind.VIDEO, task, metric, threshold)


def _floors(kind: Kind, task: Task, names: tuple[str, ...], threshold: float | None) -> Iterator[Demand]:
    for name in names if threshold is not None else ():
        yield Demand(f"{kind.value}.class_recall.{name}", kind, task, "class_recall", threshold or 0.0, label=name)


def due_in_whole(kind: Kind, what: str, *, share: float | None, units: int) -> Criterion:
    """Return the criterion of what is due in whole and is counted, not sampled: its limits are its share.

    Only what is not whole has one, so that it asks for the rest; `share` is None where nothing could be counted.
    """
    return Criterion(
        name=f"{kind.value}.{what}",
        kind=kind,
        estimate=share,
        lower_bound=share,
        upper_bound=share,
        threshold=1.0,
        outcome=Outcome.EXTEND,
        units=units,
    )


def measured(demand: Demand, scores: Mapping[Task, Score]) -> Interval | None:
    """Return what the score of the demand's task says; None without such a score or without gold of the class."""
    score = scores.get(demand.task)
    if score is None:
        return None
    if demand.label is None:
        return next((interval for name, interval in score.bounds.items() if name == demand.metric), None)
    found = [entry for entry in score.per_class if entry.label == demand.label and entry.tp + entry.fn > 0]
    return _recall_bound(found)


def _recall_bound(found: list[ClassRates]) -> Interval | None:
    return found[0].recall_bound if found else None


def confidence(demand: Demand, terms: Terms) -> float:
    """Return the confidence that the terms ask for in the demand's kind."""
    return terms.acceptance.profiles[demand.kind.value].bound.confidence


def best_case(demand: Demand, scores: Mapping[Task, Score]) -> float | None:
    """Return what the estimate would be if nothing but the incomplete items were wrong; None if not known.

    Where even this is below the threshold, no correct label elsewhere in the sample could have reached it.
    """
    score = scores.get(demand.task)
    if score is None or demand.label is not None or not score.coverage.incomplete:
        return None
    if isinstance(score, SentimentScore):
        return 1 - len(score.coverage.incomplete) / score.n if demand.metric == "accuracy" and score.n else None
    if demand.metric == CONFORMING:
        return 1 - len(score.coverage.incomplete) / score.coverage.items
    missed = _missed_in(score)
    gold = score.contract.tp + score.contract.fn if isinstance(score, BoxScore) else score.tp + score.fn
    if not gold or demand.metric == "precision":
        return None
    found = gold - missed
    return found / gold if demand.metric == "recall" else 2 * found / (2 * found + missed)


def _missed_in(score: BoxScore | TimelineScore) -> int:
    incomplete = pa.array(score.coverage.incomplete, pa.string())
    rows = score.items.filter(pc.is_in(score.items["item"], value_set=incomplete))
    return int(pc.sum(rows["fn"]).as_py() or 0)
