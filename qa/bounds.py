"""Limits of shares: binomial, finite lot, and ratios of sums over clusters.

Every function returns (lower, upper). One-sided limits hold each with `confidence`; two-sided ones together.
Sources: Clopper and Pearson 1934; Wilson 1927; Brown, Cai and DasGupta 2001 (Jeffreys); Lancaster 1961 (mid-P);
Korn and Graubard 1998 (clustered shares); Cochran 1977, section 6 (ratio estimator) and 2.6 (finite lot).
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Sides = Literal["one", "two"]
Limits = tuple[float, float]

_TIE = 1e-9
BOOTSTRAP_RESAMPLES = 10_000
BOOTSTRAP_SEED = 20250101


def _tail(confidence: float, sides: Sides) -> float:
    return (1 - confidence) / (1 if sides == "one" else 2)


def _beta_limits(correct: float, n: float, tail: float) -> Limits:
    """Clopper-Pearson, for counts that need not be whole."""
    wrong = n - correct
    lower = float(special.betaincinv(correct, wrong + 1, tail)) if correct > 0 else 0.0
    upper = float(special.betaincinv(correct + 1, wrong, 1 - tail)) if wrong > 0 else 1.0
    return lower, upper


def clopper_pearson(correct: int, n: int, *, confidence: float, sides: Sides = "one") -> Limits:
    """Exact limits of a share of which `correct` of `n` were seen; 0 and 1 at the edges.

    Raises:
        ValueError: not 0 <= correct <= n, or n is 0.
    """
    _check_counts(correct, n)
    return _beta_limits(correct, n, _tail(confidence, sides))


def wilson(correct: int, n: int, *, confidence: float, sides: Sides = "one") -> Limits:
    """Wilson's score limits: short, but not conservative."""
    _check_counts(correct, n)
    z = float(special.ndtri(1 - _tail(confidence, sides)))
    share = correct / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == n else centre + half)


def jeffreys(correct: int, n: int, *, confidence: float, sides: Sides = "one") -> Limits:
    """Quantiles of Beta(correct + 1/2, wrong + 1/2), unmodified at the edges."""
    _check_counts(correct, n)
    tail = _tail(confidence, sides)
    shape = (correct + 0.5, n - correct + 0.5)
    return float(special.betaincinv(*shape, tail)), float(special.betaincinv(*shape, 1 - tail))


def mid_p(correct: int, n: int, *, confidence: float, sides: Sides = "one") -> Limits:
    """Limits where half the probability of what was seen counts as more extreme: shorter than the exact, not guaranteed."""
    _check_counts(correct, n)
    tail = _tail(confidence, sides)

    def more(share: float) -> float:  # P(X > correct) + P(X = correct) / 2
        at_least = float(special.bdtrc(correct - 1, n, share)) if correct else 1.0
        beyond = float(special.bdtrc(correct, n, share)) if correct < n else 0.0
        return (at_least + beyond) / 2

    lower = 0.0 if correct == 0 else optimize.brentq(lambda share: more(share) - tail, 0.0, 1.0, xtol=1e-14)
    upper = 1.0 if correct == n else optimize.brentq(lambda share: more(share) - (1 - tail), 0.0, 1.0, xtol=1e-14)
    return float(lower), float(upper)


def _check_counts(correct: int, n: int) -> None:
    if n < 1 or not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")


def finite_lot(correct: int, n: int, *, lot: int, confidence: float) -> tuple[int, int]:
    """Exact one-sided limits of the number of correct items in a lot of which `n` were drawn.

    The lower limit is the smallest M with P(X >= correct | M) > 1 - confidence, X hypergeometric;
    the upper one the largest M with P(X <= correct | M) > 1 - confidence. A probability of just 1 - confidence,
    which small lots often have, is not above it, however it is rounded.

    Raises:
        ValueError: the sample is larger than the lot, or the counts are no share.
    """
    _check_counts(correct, n)
    if n > lot:
        raise ValueError(f"a sample of {n} cannot come from a lot of {lot}")
    alpha = 1 - confidence + _TIE
    lowest, highest = correct, lot - (n - correct)  # what the sample itself rules in
    low, high = lowest, highest
    while low < high:
        middle = (low + high) // 2
        if stats.hypergeom.sf(correct - 1, lot, middle, n) > alpha:
            high = middle
        else:
            low = middle + 1
    lower = low
    low, high = lowest, highest
    while low < high:
        middle = (low + high + 1) // 2
        if stats.hypergeom.cdf(correct, lot, middle, n) > alpha:
            low = middle
        else:
            high = middle - 1
    return lower, low


class Ratio(NamedTuple):
    """A ratio of sums over clusters and what is needed to bound it.

    Only clusters with something to count (x > 0) are kept: the others say nothing about the ratio,
    and counting them would only overstate the degrees of freedom.
    """

    good: NDArray[np.float64]
    total: NDArray[np.float64]
    share: float
    variance: float | None  # None with fewer than two clusters


def ratio(good: NDArray[np.int64], total: NDArray[np.int64], *, sampled: int, lot: int | None = None) -> Ratio | None:
    """Estimate sum(good) / sum(total) over clusters, linearised variance; None where the total is 0.

    var = sum((y - R x)**2) / ((n - 1) n xbar**2), times (1 - sampled / lot) for a finite lot.
    """
    kept = np.flatnonzero(total > 0)
    # sorted by y, then x, as one number, so that rounding does not depend on the order of the clusters
    base = int(total.max(initial=0)) + 1
    y, x = (part.astype(np.float64) for part in np.divmod(np.sort(good[kept] * base + total[kept]), base))
    if not x.size:
        return None
    share = float(y.sum() / x.sum())
    if x.size < 2:
        return Ratio(y, x, share, None)
    residuals = y - share * x
    variance = float((residuals**2).sum() * x.size / (x.size - 1) / x.sum() ** 2)
    if lot is not None:
        variance *= max(0.0, 1 - sampled / lot)
    return Ratio(y, x, share, variance)


def korn_graubard(of: Ratio, *, confidence: float, cap: float | None = None) -> Limits | None:
    """One-sided limits of a clustered share: Clopper-Pearson on an effective sample size.

    n* = min(X, R (1 - R) / var * (t_{X-1}(c) / t_{n-1}(c))**2). Where all or none is right there is no
    spread to learn from, and the clusters themselves are the sample. `cap` replaces X where the units
    of x are not independent even in the best case (F1; see `f1_cap`).
    Returns None with one cluster that is partly right: its spread is unknown.
    """
    tail = 1 - confidence
    clusters = of.total.size
    if of.share in (0.0, 1.0):
        return _beta_limits(of.share * clusters, clusters, tail)
    if of.variance is None:
        return None
    most = float(of.total.sum()) if cap is None else cap
    effective = most
    if of.variance > 0:
        correction = float(special.stdtrit(most - 1, confidence) / special.stdtrit(clusters - 1, confidence)) ** 2
        effective = min(most, of.share * (1 - of.share) / of.variance * correction)
    return _beta_limits(of.share * effective, effective, tail)


def f1_cap(of: Ratio) -> float:
    """Return the largest effective sample of F1 = sum(2 TP) / sum(2 TP + FP + FN).

    F1 is bounded as the ratio that it is, with the same linearisation. But a matched pair adds two to x
    at once: with m independent pairs and leftovers, F(1 - F) / var(F) = X / (2 - F), not X.
    """
    return float(of.total.sum()) / (2 - of.share)


def cluster_bootstrap(
    of: Ratio, *, confidence: float, resamples: int = BOOTSTRAP_RESAMPLES, seed: int = BOOTSTRAP_SEED
) -> Limits | None:
    """One-sided percentile limits from resampling clusters; None with one cluster that is partly right.

    Clusters are resampled by drawing how often each distinct (y, x) occurs, so that the order of the
    input cannot matter. Where all or none is right the bootstrap would claim certainty, so that the
    clusters are counted instead, as Korn and Graubard do.
    """
    if of.share in (0.0, 1.0):
        return _beta_limits(of.share * of.total.size, of.total.size, 1 - confidence)
    if of.variance is None:
        return None
    shares = bootstrap_shares(of, resamples=resamples, seed=seed)
    lower, upper = np.quantile(shares, [1 - confidence, confidence])
    return float(lower), float(upper)


def bootstrap_shares(of: Ratio, *, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return `resamples` ratios of resampled clusters."""
    distinct, times = np.unique(np.stack([of.good, of.total], axis=1), axis=0, return_counts=True)
    clusters = int(times.sum())
    draws = np.random.default_rng(seed).multinomial(clusters, times / clusters, size=resamples)
    sums = draws @ distinct
    return np.asarray(sums[:, 0] / sums[:, 1], dtype=np.float64)
