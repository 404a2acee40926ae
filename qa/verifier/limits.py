"""One-sided limits of shares in plain Python: a second implementation, independent of scipy.

Sources: regularised incomplete beta function by its continued fraction, DLMF 8.17.22; Clopper and Pearson 1934; Wilson 1927;
Brown, Cai and DasGupta 2001 (Jeffreys); Korn and Graubard 1998 (clusters); the hypergeometric distribution for finite lots.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

Counts = Mapping[Any, int]


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b), by the continued fraction of DLMF 8.17.22 in Lentz's form."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, above, result = 1e-300, 1.0, 1.0
    below = 1 / (1 - (a + b) * x / (a + 1) or tiny)
    result = below
    for m in range(1, 200_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            below = 1 / (1 + term * below or tiny)
            above = 1 + term / above or tiny
            change = above * below
            result *= change
        if abs(change - 1) < 1e-15:
            break
    return front * result


def beta_quantile(a: float, b: float, share: float) -> float:
    """Return the x with I_x(a, b) = share, by bisection down to neighbouring numbers."""
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high) or high - low < 1e-17:
            return middle
        if incomplete_beta(a, b, middle) < share:
            low = middle
        else:
            high = middle


def t_quantile(freedom: float, share: float) -> float:
    """Return Student's t of a share above one half, from t**2 / (freedom + t**2) ~ Beta(1/2, freedom / 2)."""
    y = beta_quantile(0.5, freedom / 2, 2 * share - 1)
    return math.sqrt(freedom * y / (1 - y))


def binomial_limits(correct: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the one-sided limits of Clopper and Pearson; counts need not be whole."""
    lower = beta_quantile(correct, n - correct + 1, 1 - confidence) if correct > 0 else 0.0
    return lower, beta_quantile(correct + 1, n - correct, confidence) if correct < n else 1.0


def wilson_limits(correct: int, n: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's one-sided limits."""
    z, p = NormalDist().inv_cdf(confidence), correct / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return (centre - half) / scale if correct else 0.0, (centre + half) / scale if correct < n else 1.0


def jeffreys_limits(correct: int, n: int, confidence: float) -> tuple[float, float]:
    """Return one-sided quantiles of Beta(correct + 1/2, wrong + 1/2)."""
    shape = (correct + 0.5, n - correct + 0.5)
    return beta_quantile(*shape, 1 - confidence), beta_quantile(*shape, confidence)


def lot_limits(correct: int, n: int, lot: int, confidence: float) -> tuple[int, int]:
    """Return the exact one-sided limits of the correct items in a lot of which `n` were drawn (hypergeometric)."""

    def chance(good: int, low: int, high: int) -> float:
        span = range(max(low, n - (lot - good), 0), min(high, n, good) + 1)
        return math.fsum(math.exp(_ways(good, k) + _ways(lot - good, n - k) - _ways(lot, n)) for k in span)

    def smallest(holds: Callable[[int], bool]) -> int:
        low, high = 0, lot - n
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
        return low

    alpha = 1 - confidence + 1e-9  # a probability of just alpha is not above it, however it is rounded
    lower = correct + smallest(lambda more: chance(correct + more, correct, n) > alpha)
    most = lot - (n - correct)
    return lower, most - smallest(lambda less: chance(most - less, 0, correct) > alpha)


def _ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def korn_graubard(
    pairs: Sequence[tuple[int, int]], *, confidence: float, sampled: int, lot: int | None, is_f1: bool
) -> tuple[float, float] | None:
    """Return one-sided limits of sum(good) / sum(total) over clusters; None where one cluster shows no spread."""
    clusters, whole = len(pairs), sum(total for _, total in pairs)
    share = sum(good for good, _ in pairs) / whole
    if share in (0.0, 1.0):
        return binomial_limits(share * clusters, clusters, confidence)
    if clusters < 2:
        return None
    spread = math.fsum((good - share * total) ** 2 for good, total in pairs)
    variance = spread * clusters / (clusters - 1) / whole**2 * (1 if lot is None else max(0.0, 1 - sampled / lot))
    most = whole / (2 - share) if is_f1 else float(whole)
    effective = most
    if variance > 0:
        correction = (t_quantile(most - 1, confidence) / t_quantile(clusters - 1, confidence)) ** 2
        effective = min(most, share * (1 - share) / variance * correction)
    return binomial_limits(share * effective, effective, confidence)


def clustered(good: Counts, total: Counts, *, said: Mapping[str, Any], bound: Any, sampled: int, is_f1: bool = False) -> Any:
    """Return the interval of a ratio over units of sampling: both maps are unit -> count."""
    pairs = [(good.get(unit, 0), count) for unit, count in total.items() if count > 0]
    whole, lot = sum(count for _, count in pairs), said.get("lot_items")
    result = {"estimate": sum(part for part, _ in pairs) / whole if whole else None, "units": len(pairs)}
    result |= {"method": bound["method"], "confidence": bound["confidence"]}
    if not whole:
        return result | {"lower": None, "upper": None}
    if lot is not None and sampled >= lot:
        return result | {"lower": result["estimate"], "upper": result["estimate"]}
    certain = result["estimate"] in (0.0, 1.0) or len(pairs) < 2
    if bound["method"] != "korn_graubard" and not certain:
        return result
    limits = korn_graubard(pairs, confidence=bound["confidence"], sampled=sampled, lot=lot, is_f1=is_f1) or (None, None)
    return result | dict(zip(("lower", "upper"), limits, strict=True))
