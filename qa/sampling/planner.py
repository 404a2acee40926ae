"""Procedures that tell good work from work at the threshold, side by side: what each costs in items, and what it risks.

All figures are exact under independent items of an endless lot, but for the smallest proving samples and the plan by
AQL, which know the lot where it is given.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from contract.inspection import AQLS
from qa.sampling.aql import plan as aql_plan
from qa.sampling.draw import estimation_size, smallest_sample
from qa.sampling.eprocess import e_lines
from qa.sampling.plans import TwoPoint, chance_to_accept, two_point_plan
from qa.sampling.sequential import Lines, course, group_lines, group_looks, sprt, sprt_lines

_ERRORS: Final = (0, 1, 2, 3, 5, 10)
_LOOKS: Final = 5
_MORE: Final = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0)
_MOST_ITEMS: Final = 20_000
_LONGEST: Final = 12  # times the single sample; a ratio test is practically always decided by then
_TIE: Final = 1e-9


@dataclass(frozen=True)
class Aim:
    """What is to be told apart, and how surely: shares of correct items."""

    threshold: float  # work at or below it is to be accepted with probability 1 - confidence at most
    good: float  # work as good as this is to be accepted with probability `vendor_confidence` at least
    confidence: float = 0.95
    vendor_confidence: float = 0.95
    lot: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < self.good < 1:
            raise ValueError(f"good work must be better than the threshold: 0 < {self.threshold:g} < {self.good:g} < 1")
        if not (0.5 < self.confidence < 1 and 0.5 < self.vendor_confidence < 1):
            raise ValueError("a confidence lies between 0.5 and 1")
        if self.lot is not None and self.lot < 2:
            raise ValueError(f"a lot of {self.lot} is too small to be sampled; it takes 2 items or more")


@dataclass(frozen=True)
class Procedure:
    """A way to sample; `detail` is short and of no language."""

    name: str  # lower_bound, looks, sprt, e_process or aql
    detail: str
    most: int | None  # items at most; None: no limit
    mean_at_good: float
    mean_at_threshold: float
    accept_at_good: float
    accept_at_threshold: float


@dataclass(frozen=True)
class Options:
    """What the planner found."""

    aim: Aim
    proving: dict[int, int | None]  # errors -> smallest sample that proves the threshold in spite of them
    estimating: int  # items that estimate a share of `good` within two points
    procedures: tuple[Procedure, ...]


def options(aim: Aim) -> Options:
    """Return the procedures that reach `aim`, the single sample first.

    Raises:
        ValueError: threshold and good are too close together for any practical sample.
    """
    found = two_point_plan(1 - aim.good, 1 - aim.threshold, alpha=1 - aim.vendor_confidence, beta=1 - aim.confidence)
    if found.n > _MOST_ITEMS:
        raise ValueError(f"to tell {aim.good:g} from {aim.threshold:g} takes {found.n:,} items; set them further apart")
    return Options(
        aim=aim,
        proving={
            errors: smallest_sample(aim.threshold, errors=errors, confidence=aim.confidence, lot=aim.lot)
            for errors in _ERRORS
        },
        estimating=estimation_size(aim.good, half_width=0.02, confidence=0.95, lot=aim.lot),
        procedures=tuple(_procedures(aim, found)),
    )


def as_document(found: Options) -> dict[str, Any]:
    """Return the options as a document for JSON."""
    return asdict(found)


def _procedures(aim: Aim, single: TwoPoint) -> Iterator[Procedure]:
    n = single.n
    yield Procedure(
        "lower_bound",
        f"n={n}, c={single.accept}",
        n,
        float(n),
        float(n),
        chance_to_accept(n, single.accept, share=aim.good),
        chance_to_accept(n, single.accept, share=aim.threshold),
    )
    yield _by_looks(aim, n)
    test = sprt(1 - aim.good, 1 - aim.threshold, alpha=1 - aim.vendor_confidence, beta=1 - aim.confidence)
    line = f"{test.slope:.6g}·n −{test.below:.4g} / +{test.above:.4g}"
    yield _walked("sprt", line, sprt_lines(test, _LONGEST * n), aim, most=None)
    yield _walked("e_process", f"n≤{2 * n}", e_lines(aim.threshold, confidence=aim.confidence, most=2 * n), aim, most=2 * n)
    if aim.lot is not None:
        yield from _by_aql(aim, aim.lot)


def _by_looks(aim: Aim, n: int) -> Procedure:
    """Return equal looks at a sample that is larger than a single one by as little as the split risk costs."""
    for more in _MORE:
        size = math.ceil(more * n / _LOOKS)
        looks = tuple(size * look for look in range(1, _LOOKS + 1))
        allowed = group_looks(looks, threshold=aim.threshold, confidence=aim.confidence)
        told = ", ".join(f"{look}/{'–' if errors is None else errors}" for look, errors in allowed.items())
        found = _walked("looks", told, group_lines(allowed), aim, most=looks[-1])
        if found.accept_at_good >= aim.vendor_confidence:
            break
    return found


def _by_aql(aim: Aim, lot: int) -> Iterator[Procedure]:
    """Yield the plan of the largest AQL that good work keeps, level II, normal inspection."""
    kept = [limit for limit in AQLS if limit <= 100 * (1 - aim.good) + _TIE]
    if not kept:
        return
    plan = aql_plan(lot, aql=kept[-1])
    at_good, at_threshold = (
        chance_to_accept(plan.n, plan.accept, share=math.floor(share * lot + _TIE) / lot, lot=lot)
        for share in (aim.good, aim.threshold)
    )
    detail = f"AQL {kept[-1]:g} %, {plan.letter}, n={plan.n}, Ac={plan.accept}"
    yield Procedure("aql", detail, plan.n, float(plan.n), float(plan.n), at_good, at_threshold)


def _walked(name: str, detail: str, lines: Lines, aim: Aim, *, most: int | None) -> Procedure:
    found = course(lines, np.array([1 - aim.good, 1 - aim.threshold]))
    accepted, items = found.accepted.tolist(), found.mean_items.tolist()
    return Procedure(name, detail, most, items[0], items[1], accepted[0], accepted[1])
