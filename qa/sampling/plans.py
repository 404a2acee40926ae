"""Plans of one fixed sample: how many errors they allow, and how likely they accept a delivery of a true quality.

Sources: Clopper and Pearson 1934 (the exact rules); Schilling and Neubauer, Acceptance Sampling in Quality Control
(two-point plans). Shares are of correct items unless a name says wrong.
"""

import math
from typing import Literal, NamedTuple

from scipy import special, stats

from qa.sampling.draw import max_errors, min_errors_to_reject

FixedRule = Literal["point", "lower_bound", "upper_bound"]

_TIE = 1e-9  # .9 * 200 is no whole number as a float
_MOST_ITEMS = 100_000


class TwoPoint(NamedTuple):
    """A sample of n items that passes with up to `accept` wrong ones."""

    n: int
    accept: int


def errors_allowed(rule: FixedRule, n: int, *, threshold: float, confidence: float = 0.95) -> int | None:
    """Return how many of `n` items may be wrong for `rule` to accept; None: not even 0.

    point: the estimate reaches the threshold. lower_bound: the exact lower limit does.
    upper_bound: the exact upper limit is not below it, so that the fault is not proven (the vendor's rule).
    """
    if rule == "point":
        return n - math.ceil(threshold * n - _TIE)
    if rule == "lower_bound":
        return max_errors(n, threshold=threshold, confidence=confidence)
    rejecting = min_errors_to_reject(n, threshold=threshold, confidence=confidence)
    return n if rejecting is None else rejecting - 1


def chance_to_accept(n: int, accept: int | None, *, share: float, lot: int | None = None) -> float:
    """Return the probability of at most `accept` errors among `n` items of which a share is correct.

    With `lot`, the items come without replacement from one whose number of wrong items is (1 - share) lot, rounded.
    """
    if accept is None or accept < 0:
        return 0.0
    if lot is None:
        return float(special.bdtr(min(accept, n), n, 1 - share))
    return float(stats.hypergeom.cdf(accept, lot, round((1 - share) * lot), n))


def wrong_share_accepted(n: int, accept: int, *, chance: float) -> float:
    """Return the share of wrong items at which a plan accepts with probability `chance`."""
    return float(special.betaincinv(accept + 1, n - accept, 1 - chance)) if accept < n else 1.0


def chance_within(rounds: int, chance: float) -> float:
    """Return the probability to pass at least once in `rounds` submissions of unchanged quality, each on a fresh sample."""
    return 1 - (1 - chance) ** rounds


def two_point_plan(good: float, bad: float, *, alpha: float, beta: float, lot: int | None = None) -> TwoPoint:
    """Return the plan of the smallest acceptance number, then of the smallest sample, that keeps both risks.

    Args:
        good: share of wrong items that is to be accepted with probability 1 - alpha at least.
        bad: share of wrong items that is to be accepted with probability beta at most.
        alpha: the vendor's risk at `good`.
        beta: the client's risk at `bad`.
        lot: size of a finite lot, of which the whole tells any two qualities apart; without it, the lot is endless
            (binomial).

    Raises:
        ValueError: not 0 < good < bad < 1, or so close together that no sample of a practical size tells them apart.
    """
    if not 0 < good < bad < 1:
        raise ValueError(f"a plan tells {good:g} from {bad:g} only where 0 < good < bad < 1")
    if lot is None and _rough_size(good, bad, alpha=alpha, beta=beta) > _MOST_ITEMS:
        raise ValueError(f"to tell {good:g} from {bad:g} takes more than {_MOST_ITEMS:,} items; set them further apart")
    at_good = _Tail(good if lot is None else math.floor(good * lot + _TIE), lot)
    at_bad = _Tail(bad if lot is None else math.ceil(bad * lot - _TIE), lot)
    n, accept = _smallest_n(at_bad, 0, 1, beta=beta), 0
    while at_good.chance(n, accept) < 1 - alpha:
        accept += 1
        n = _smallest_n(at_bad, accept, n, beta=beta)
    return TwoPoint(n, accept)


def _rough_size(good: float, bad: float, *, alpha: float, beta: float) -> float:
    """Return the sample by the normal approximation."""
    z_good, z_bad = float(special.ndtri(1 - alpha)), float(special.ndtri(1 - beta))
    return ((z_good * math.sqrt(good * (1 - good)) + z_bad * math.sqrt(bad * (1 - bad))) / (bad - good)) ** 2


class _Tail(NamedTuple):
    """The number of wrong items in a sample: of a share, or of a lot that holds so many."""

    wrong: float
    lot: int | None

    def chance(self, n: int, accept: int) -> float:
        if self.lot is None:
            return float(special.bdtr(min(accept, n), n, self.wrong))
        return float(stats.hypergeom.cdf(accept, self.lot, self.wrong, n))


def _smallest_n(tail: _Tail, accept: int, start: int, *, beta: float) -> int:
    """Return the smallest sample from `start` on that accepts with probability `beta` at most."""
    low = high = max(start, accept + 1)
    while tail.chance(high, accept) > beta:
        low, high = high + 1, 2 * high if tail.lot is None else min(2 * high, tail.lot)
    while low < high:
        middle = (low + high) // 2
        if tail.chance(middle, accept) <= beta:
            high = middle
        else:
            low = middle + 1
    return low
