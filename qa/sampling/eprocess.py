"""The e-process: evidence for or against a threshold that may be looked at after every item, with no planned looks.

The evidence is a mixture of likelihood ratios, uniform over the shares on one side of the threshold, against the
threshold itself. While the other side is true it is a nonnegative supermartingale that starts at 1, so that it ever
reaches 1 / alpha with probability alpha at most, however often one looks and whenever one stops. For a lot of known
size the ratios are those of drawing without replacement: a lot that is checked whole is decided for certain.
Sources: Ville 1939; Robbins 1970; Waudby-Smith and Ramdas 2020 (without replacement).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qa.sampling.sequential import Lines

_TIE = 1e-9  # .9 * 200 is no whole number as a float
_LARGEST = 709.0  # whose exponential is still a float


def log_e(correct: int, wrong: int, *, threshold: float, lot: int | None = None) -> float:
    """Return the natural logarithm of the evidence that the true share reaches `threshold`.

    Args:
        correct: items that were right.
        wrong: items that were not.
        threshold: the share that is to be reached.
        lot: items of the lot that they were drawn from; without it, the lot is endless and the share must be exceeded.

    Returns:
        Minus infinity where the evidence is 0, infinity where the items leave no doubt.

    Raises:
        ValueError: more items than the lot holds.
    """
    if lot is None:
        return _log_e_endless(correct, wrong, threshold)
    return _log_e_lot(correct, wrong, needed=_needed(threshold, lot), lot=lot)


def log_e_against(correct: int, wrong: int, *, threshold: float, lot: int | None = None) -> float:
    """Return the natural logarithm of the evidence that the true share lies below `threshold`: the mirror image."""
    if lot is None:
        return _log_e_endless(wrong, correct, 1 - threshold)
    return _log_e_lot(wrong, correct, needed=lot - _needed(threshold, lot) + 1, lot=lot)


def e_value(correct: int, wrong: int, *, threshold: float, lot: int | None = None) -> float:
    """Return the evidence itself; infinite where it is too large for a float."""
    logarithm = log_e(correct, wrong, threshold=threshold, lot=lot)
    return math.exp(logarithm) if logarithm < _LARGEST else math.inf


def _needed(threshold: float, lot: int) -> int:
    """Return the fewest correct items with which a lot reaches the threshold."""
    return math.ceil(threshold * lot - _TIE)


def _log_e_endless(correct: int, wrong: int, threshold: float) -> float:
    above = float(special.betainc(wrong + 1, correct + 1, 1 - threshold))  # the Beta's mass over the threshold
    if above <= 0:
        return -math.inf
    mixture = float(special.betaln(correct + 1, wrong + 1)) + math.log(above) - math.log1p(-threshold)
    return mixture - correct * math.log(threshold) - wrong * math.log1p(-threshold)


def _log_e_lot(hits: int, misses: int, *, needed: int, lot: int) -> float:
    """Weigh "the lot holds at least `needed` hits", each number equally likely, against one hit fewer."""
    if hits + misses > lot:
        raise ValueError(f"{hits + misses} items cannot come from a lot of {lot}")
    if hits >= needed:
        return math.inf
    if misses > lot - needed:
        return -math.inf
    numbers = np.arange(needed, lot - misses + 1, dtype=np.float64)
    mixture = special.logsumexp(_ways(numbers, hits) + _ways(lot - numbers, misses)) - math.log(lot - needed + 1)
    null = np.array([needed - 1.0])
    return float(mixture - (_ways(null, hits) + _ways(lot - null, misses))[0])


def _ways(of: NDArray[np.float64], drawn: int) -> NDArray[np.float64]:
    """Return the logarithm of of! / (of - drawn)!."""
    return np.asarray(special.gammaln(of + 1) - special.gammaln(of - drawn + 1), dtype=np.float64)


def e_lines(threshold: float, *, confidence: float, most: int, rejecting: bool = True) -> Lines:
    """Return where the e-process stops over n = 0 ... most items of an endless lot; without `rejecting` it only accepts."""
    wanted = evidence_wanted(confidence)
    accept, reject = np.full(most + 1, -1, dtype=np.int64), np.full(most + 1, most + 1, dtype=np.int64)
    allowed, failing = -1, 0
    for n in range(1, most + 1):
        while allowed < n and log_e(n - allowed - 1, allowed + 1, threshold=threshold) >= wanted:
            allowed += 1  # the line never falls
        accept[n] = allowed
        if rejecting:
            while failing <= n and log_e_against(n - failing, failing, threshold=threshold) < wanted:
                failing += 1  # nor does this one
            reject[n] = failing if failing <= n else most + 1
    return Lines(accept, reject)


def evidence_wanted(confidence: float) -> float:
    """Return the logarithm of 1 / alpha, which the evidence must reach."""
    return -math.log(1 - confidence)


def e_smallest_sample(errors: int, *, threshold: float, confidence: float) -> int:
    """Return from how many items on the e-process accepts although `errors` of them are wrong."""
    n = errors + 1
    while log_e(n - errors, errors, threshold=threshold) < evidence_wanted(confidence):
        n += 1
    return n
