"""Operating characteristics: what a rule makes of each true quality, before anyone signs it.

Everything here is exact under one assumption: the units that are checked are right or wrong independently, each with the
same probability. Ratios over boxes or events of one image or video are read as if an image or video were one unit.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qa.bounds import clopper_pearson, jeffreys, wilson
from qa.sampling.eprocess import e_lines
from qa.sampling.plans import errors_allowed
from qa.sampling.sequential import Course, course

Shares = NDArray[np.float64]
Method = Literal["clopper_pearson", "wilson", "jeffreys"]


class Numbers(NamedTuple):
    """Errors up to which a sample passes, and from which it fails."""

    accept: int | None
    reject: int | None


class Curve(NamedTuple):
    """Chances over `share`, the true share of correct units; the three chances of a share add up to 1."""

    share: Shares
    accept: Shares
    reject: Shares
    extend: Shares
    mean_items: Shares

    def at(self, share: float) -> tuple[float, float, float]:
        """Return the chances to accept, reject and extend at `share`, between the points of the curve linearly."""
        return (
            float(np.interp(share, self.share, self.accept)),
            float(np.interp(share, self.share, self.reject)),
            float(np.interp(share, self.share, self.extend)),
        )


def around(threshold: float, *, low: float = 1.0, points: int = 201, also: Sequence[float] = ()) -> Shares:
    """Return true shares to draw a curve over: evenly from below `threshold`, or `low` if that is less, to 1.

    The threshold itself and `also` are among them.
    """
    low = max(0.0, min(low, 1 - 2.5 * (1 - threshold)))
    return np.unique(np.concatenate([np.linspace(low, 1.0, points), [threshold, *also]]))


def fixed_curve(share: Shares, n: int, *, accept: int | None, reject: int | None) -> Curve:
    """Return the curve of one sample of `n` that passes with up to `accept` errors and fails with `reject` or more.

    None stands for a decision that the sample cannot reach.
    """
    wrong = 1 - share
    accepted = special.bdtr(min(accept, n), n, wrong) if accept is not None and accept >= 0 else np.zeros_like(share)
    rejected = np.zeros_like(share) if reject is None or reject > n else np.ones_like(share)
    if reject is not None and 0 < reject <= n:
        rejected = special.bdtrc(reject - 1, n, wrong)
    return Curve(share, accepted, rejected, np.clip(1 - accepted - rejected, 0.0, 1.0), np.full_like(share, n))


def point_curve(share: Shares, n: int, *, threshold: float) -> Curve:
    """Return the curve of the rule that compares the estimate of `n` units with the threshold."""
    accept = errors_allowed("point", n, threshold=threshold)
    return fixed_curve(share, n, accept=accept, reject=None if accept is None else accept + 1)


def limits_allow(n: int, *, threshold: float, confidence: float, method: Method = "clopper_pearson") -> Numbers:
    """Return with how many errors of `n` the lower limit still reaches the threshold, and from how many the upper is below.

    None stands for a decision that `n` units cannot reach.
    """
    limits = {"clopper_pearson": clopper_pearson, "wilson": wilson, "jeffreys": jeffreys}[method]
    passing = _first(n + 1, lambda errors: limits(n - errors, n, confidence=confidence)[0] < threshold)
    failing = _first(n + 1, lambda errors: limits(n - errors, n, confidence=confidence)[1] < threshold)
    return Numbers(passing - 1 if passing else None, failing if failing <= n else None)


def _first(end: int, holds: Callable[[int], bool]) -> int:
    """Return the smallest number below `end` for which the monotone `holds` is true, else `end`."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def bound_curve(share: Shares, n: int, *, threshold: float, confidence: float, method: Method = "clopper_pearson") -> Curve:
    """Return the curve of the rule that accepts by the lower limit of `n` units and rejects by the upper one."""
    at = limits_allow(n, threshold=threshold, confidence=confidence, method=method)
    return fixed_curve(share, n, accept=at.accept, reject=at.reject)


def extended_curve(share: Shares, looks: tuple[int, int], *, first: Numbers, last: Numbers) -> Curve:
    """Return the curve of a sample that is extended once where it proves neither: a look after `looks[0]`, then `looks[1]`.

    Extending gives the rule another chance: together the looks exceed the risk of one.
    """
    n, rest, wrong = looks[0], looks[1] - looks[0], (1 - share)[:, None]
    once = fixed_curve(share, n, accept=first.accept, reject=first.reject)
    low = -1 if first.accept is None else first.accept
    errors = np.arange(low + 1, n + 1 if first.reject is None else first.reject)[None, :]
    going_on = _binomial(errors, n, wrong)
    accepted, rejected = np.zeros_like(going_on), np.zeros_like(going_on)
    if last.accept is not None:
        left = np.broadcast_to(last.accept - errors, going_on.shape)
        accepted = np.where(left >= 0, special.bdtr(np.clip(left, 0, rest), rest, wrong), 0.0)
    if last.reject is not None:
        left = np.broadcast_to(last.reject - errors - 1, going_on.shape)
        beyond = special.bdtrc(np.clip(left, 0, rest), rest, wrong)
        rejected = np.where(left < 0, 1.0, np.where(left >= rest, 0.0, beyond))
    accept = once.accept + (going_on * accepted).sum(axis=1)
    reject = once.reject + (going_on * rejected).sum(axis=1)
    extend = np.clip(1 - accept - reject, 0.0, 1.0)
    return Curve(share, accept, reject, extend, n + rest * once.extend)


def _binomial(errors: NDArray[np.int64], n: int, wrong: Shares) -> Shares:
    ways = special.gammaln(n + 1) - special.gammaln(errors + 1) - special.gammaln(n - errors + 1)
    return np.asarray(np.exp(ways + special.xlogy(errors, wrong) + special.xlog1py(n - errors, -wrong)))


def e_curve(share: Shares, most: int, *, threshold: float, confidence: float) -> Curve:
    """Return the curve of the e-process that is looked at after each of up to `most` units."""
    return _of_course(share, course(e_lines(threshold, confidence=confidence, most=most), 1 - share))


def _of_course(share: Shares, found: Course) -> Curve:
    return Curve(share, found.accepted, found.rejected, found.undecided, found.mean_items)


def joint_chance(chances: Sequence[float]) -> tuple[float, float]:
    """Return the smallest and the largest probability that all of several criteria are met.

    Fréchet's limits, whatever the dependence: at least 1 - the sum of the misses, at most the smallest chance. The
    client's risk of a joint acceptance is the smallest of the risks; the vendor's misses add up in the worst case.
    """
    if not chances:
        return 1.0, 1.0
    return max(0.0, 1 - sum(1 - chance for chance in chances)), min(chances)
