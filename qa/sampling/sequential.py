"""Sequential tests: items are counted one by one, or in looks, until a line is crossed.

Sources: Wald 1947 and Duncan 1986 (SPRT and its average sample number). What becomes of a test is computed by exact
dynamic programming over the number of errors, not simulated.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa.sampling.draw import max_errors

Shares = NDArray[np.float64]
Counts = NDArray[np.int64]

_TIE = 1e-12  # a line that meets a whole number counts as reached


class Lines(NamedTuple):
    """Where a test stops after n = 0, 1, ..., N items: at most accept[n] errors, or at least reject[n]."""

    accept: Counts  # -1: no acceptance at n
    reject: Counts  # N + 1: no rejection at n


class Course(NamedTuple):
    """What becomes of a test, for each share of wrong items: probabilities, and the mean number of items checked."""

    accepted: Shares
    rejected: Shares
    undecided: Shares
    mean_items: Shares


def course(lines: Lines, wrong: Shares) -> Course:
    """Follow the number of errors exactly, item by item, to the end of the lines.

    Args:
        lines: N + 1 places to stop at.
        wrong: K true shares of wrong items.

    Returns:
        K probabilities each; the items of a test that is never decided are counted to the end.
    """
    shares = np.asarray(wrong, dtype=np.float64).reshape(-1, 1)
    steps = lines.accept.size - 1
    mass = np.zeros((shares.size, steps + 2))  # one column an error; the tests that still run
    mass[:, 0] = 1.0
    accepted, rejected, items = (np.zeros(shares.size) for _ in range(3))
    low, high = 0, 1  # columns that may hold something
    for n in range(1, steps + 1):
        running = mass[:, low:high]
        items += running.sum(axis=1)
        moved = running * shares
        running *= 1 - shares
        mass[:, low + 1 : high + 1] += moved
        high += 1
        first, last = min(int(lines.accept[n]) + 1, high), max(int(lines.reject[n]), low)
        if first > low:
            accepted += mass[:, low:first].sum(axis=1)
            mass[:, low:first] = 0.0
            low = first
        if last < high:
            rejected += mass[:, last:high].sum(axis=1)
            mass[:, last:high] = 0.0
            high = last
        if low >= high:
            break
    return Course(accepted, rejected, np.clip(mass[:, low:high].sum(axis=1), 0.0, 1.0), items)


class Sprt(NamedTuple):
    """Wald's two lines: accept with errors <= slope n - below, reject with errors >= slope n + above."""

    slope: float  # s
    below: float  # h1
    above: float  # h2


def sprt(good: float, bad: float, *, alpha: float, beta: float) -> Sprt:
    """Return the lines of the sequential probability ratio test of two shares of wrong items.

    Raises:
        ValueError: not 0 < good < bad < 1.
    """
    if not 0 < good < bad < 1:
        raise ValueError(f"a test tells {good:g} from {bad:g} only where 0 < good < bad < 1")
    wrong, right = math.log(bad / good), math.log((1 - good) / (1 - bad))
    return Sprt(
        slope=right / (wrong + right),
        below=math.log((1 - alpha) / beta) / (wrong + right),
        above=math.log((1 - beta) / alpha) / (wrong + right),
    )


def sprt_lines(test: Sprt, most: int) -> Lines:
    """Return the lines of a test over n = 0 ... most items."""
    n = np.arange(most + 1)
    accept = np.floor(test.slope * n - test.below + _TIE).astype(np.int64)
    reject = np.ceil(test.slope * n + test.above - _TIE).astype(np.int64)
    return Lines(np.maximum(accept, -1), np.minimum(reject, most + 1))


def sprt_mean_items(test: Sprt, *, good: float, bad: float, alpha: float, beta: float) -> dict[str, float]:
    """Return Wald's approximate average sample numbers at five shares of wrong items: 0, good, slope, bad and 1."""
    slope, below, above = test
    return {
        "none": below / slope,
        "good": ((1 - alpha) * below - alpha * above) / (slope - good),
        "slope": below * above / (slope * (1 - slope)),
        "bad": ((1 - beta) * above - beta * below) / (bad - slope),
        "all": above / (1 - slope),
    }


def group_lines(accept: Mapping[int, int | None]) -> Lines:
    """Return lines that accept at planned looks only: items checked -> errors allowed there, None for no acceptance."""
    most = max(accept)
    line = np.full(most + 1, -1, dtype=np.int64)
    for n, errors in accept.items():
        line[n] = -1 if errors is None else errors
    return Lines(line, np.full(most + 1, most + 1, dtype=np.int64))


def group_looks(
    looks: tuple[int, ...], *, threshold: float, confidence: float, bonferroni: bool = True
) -> dict[int, int | None]:
    """Return the errors allowed by the exact lower limit at each look.

    With `bonferroni` the client's risk is split evenly over the looks, so that all of them together keep it; without,
    each look takes the whole risk, and together they exceed it.
    """
    risk = (1 - confidence) / (len(looks) if bonferroni else 1)
    return {n: max_errors(n, threshold=threshold, confidence=1 - risk) for n in looks}
