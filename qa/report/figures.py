"""How figures are written in the report: never rounded across a threshold, never a number for what is undefined."""

import math
from dataclasses import dataclass
from typing import Final

from contract.verdict import Criterion

DASH: Final = "–"
_DECIMALS: Final = 4
_MOST_DECIMALS: Final = 12
_LEFT: Final = 6.0
_WIDTH: Final = 208.0


def share(value: float | None, against: float | None = None) -> str:
    """Return a share with four decimals, or with as many as it takes to lie on the same side of `against` as it does."""
    if value is None:
        return DASH
    decimals = _DECIMALS
    while against is not None and decimals < _MOST_DECIMALS and not _same_side(value, against, decimals):
        decimals += 1
    written = f"{value:.{decimals}f}"
    return written.removeprefix("-") if float(written) == 0 else written


def _same_side(value: float, against: float, decimals: int) -> bool:
    written = float(f"{value:.{decimals}f}")
    return (written < against) == (value < against) and (written > against) == (value > against)


def plain(value: float | None) -> str:
    """Return a number as people write it: whole numbers without decimals, others with up to four."""
    if value is None:
        return DASH
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Bullet:
    """Where a criterion's estimate, limits and threshold lie on a line of 220 x 34 units; None is undefined."""

    low: float
    estimate: float | None
    lower: float
    upper: float
    open_lower: bool
    open_upper: bool
    threshold: float
    left: float = _LEFT
    right: float = _LEFT + _WIDTH


def bullet(criterion: Criterion) -> Bullet | None:
    """Return the drawing of a criterion, None where it has neither estimate nor limit."""
    known = [value for value in (criterion.estimate, criterion.lower_bound, criterion.upper_bound) if value is not None]
    if not known:
        return None
    low = max(math.floor((min(*known, criterion.threshold) - 0.05) * 10) / 10, 0.0)

    def place(value: float) -> float:
        return round(_LEFT + _WIDTH * (value - low) / (1 - low), 2)

    lower, upper = criterion.lower_bound, criterion.upper_bound
    return Bullet(
        low=low,
        estimate=None if criterion.estimate is None else place(criterion.estimate),
        lower=place(low if lower is None else lower),
        upper=place(1.0 if upper is None else upper),
        open_lower=lower is None,
        open_upper=upper is None,
        threshold=place(criterion.threshold),
    )
