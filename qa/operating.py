"""Operating characteristics: what a rule makes of each true quality, before anyone signs it.

Everything here is exact under one assumption: the units that are checked are right or wrong independently, each with the
same probability. Ratios over boxes or events of one image or video are read as if an image or video were one unit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qa.eprocess import e_lines
from qa.plans import errors_allowed
from qa.sampling import min_errors_to_reject
from qa.sequential import Course, Lines, course, group_lines

Shares = NDArray[np.float64]


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


def around(threshold: float, *, points: int = 201, also: Sequence[float] = ()) -> Shares:
    """Return true shares to draw a curve over: evenly from well below `threshold` to 1; it and `also` are among them."""
    low = max(0.0, 1 - 3.5 * (1 - threshold))
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


def bound_curve(share: Shares, n: int, *, threshold: float, confidence: float) -> Curve:
    """Return the curve of the rule that accepts by the exact lower limit of `n` units and rejects by the upper one."""
    return fixed_curve(
        share,
        n,
        accept=errors_allowed("lower_bound", n, threshold=threshold, confidence=confidence),
        reject=min_errors_to_reject(n, threshold=threshold, confidence=confidence),
    )


def looks_curve(share: Shares, looks: Sequence[int], *, threshold: float, confidence: float) -> Curve:
    """Return the curve of the exact limits looked at after each of `looks` units, each time at the full confidence.

    Extending the sample gives the rule another chance: together the looks exceed the risk of one.
    """
    most = max(looks)
    lines = group_lines({n: errors_allowed("lower_bound", n, threshold=threshold, confidence=confidence) for n in looks})
    reject = np.full(most + 1, most + 1, dtype=np.int64)
    for n in looks:
        failing = min_errors_to_reject(n, threshold=threshold, confidence=confidence)
        reject[n] = most + 1 if failing is None else failing
    return _of_course(share, course(Lines(lines.accept, reject), 1 - share))


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
