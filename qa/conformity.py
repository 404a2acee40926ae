"""Items that are right or wrong as a whole: texts by their label, images and videos by having any defect."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from contract.scores import Interval, Score, SentimentScore
from contract.tables import Task
from qa.bounds import clopper_pearson, finite_lot
from qa.rates import share


class Counted(NamedTuple):
    """How many items were checked, and how many of them do not conform."""

    checked: int
    nonconforming: int


def counted(task: Task, scores: Mapping[Task, Score]) -> Counted | None:
    """Count the items of `task`; None where it was not scored.

    A text conforms if it bears the gold's label. An image or a video conforms if nothing of its gold is missed and
    nothing is spurious. An item of the gold without labels never conforms, even where the gold has nothing of it.
    """
    score = scores.get(task)
    if score is None:
        return None
    if isinstance(score, SentimentScore):
        return Counted(score.n, score.n - score.correct)
    items = score.items
    wrong = pc.greater(pc.add(items["fp"], items["fn"]), 0)
    missing = pc.is_in(items["item"], value_set=pa.array(score.coverage.incomplete, pa.string()))
    return Counted(items.num_rows, int(pc.sum(pc.or_(wrong, missing)).as_py() or 0))


def conforming_interval(of: Counted | None, *, confidence: float, lot: int | None) -> Interval | None:
    """Return the share of conforming items with exact one-sided limits: of the lot where its size is known."""
    if of is None:
        return None
    correct, limits = of.checked - of.nonconforming, None
    if of.checked and lot is not None:
        size = max(lot, of.checked)
        low, high = finite_lot(correct, of.checked, lot=size, confidence=confidence)
        limits = (low / size, high / size)
    elif of.checked:
        limits = clopper_pearson(correct, of.checked, confidence=confidence)
    return Interval(
        estimate=share(correct, of.checked),
        lower=limits[0] if limits else None,
        upper=limits[1] if limits else None,
        method="clopper_pearson" if lot is None else "hypergeometric",
        confidence=confidence,
        units=of.checked,
        lot_items=lot,
        reason=None if of.checked else "no item was checked",
    )
