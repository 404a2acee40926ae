"""Is one model better than another on the same items: texts by McNemar's test, pictures by a paired bootstrap."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats

from contract.scores import Document
from qa.bounds import BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED


class McNemar(Document):
    """McNemar's test of two classifiers on the same texts (McNemar 1947), exact: the discordant ones by the binomial."""

    texts: int
    only_candidate: int = Field(description="texts that only the candidate has right")
    only_base: int
    p: float = Field(description="two-sided; 1 where no text tells the two apart")
    level: float
    better: bool = Field(description="the candidate has more right, and p is at most the level")


class PairedGain(Document):
    """The gain of a figure over items, candidate less base, with the limits of a paired bootstrap over the items."""

    items: int
    base: float | None
    candidate: float | None
    gain: float | None
    lower: float | None
    upper: float | None
    confidence: float = Field(description="of the interval from lower to upper")
    resamples: int
    better: bool = Field(description="the lower limit is above 0")
    reason: str | None


def mcnemar(base: NDArray[np.bool_], candidate: NDArray[np.bool_], *, level: float = 0.05) -> McNemar:
    """Compare which texts are right, shape (texts,) each.

    Raises:
        ValueError: the arrays differ in shape.
    """
    if base.shape != candidate.shape:
        raise ValueError(f"{base.shape} and {candidate.shape} marks are of different texts")
    gained, lost = int((candidate & ~base).sum()), int((base & ~candidate).sum())
    apart = gained + lost
    p = min(1.0, 2 * float(stats.binom.cdf(min(gained, lost), apart, 0.5))) if apart else 1.0
    better = gained > lost and p <= level
    return McNemar(texts=base.size, only_candidate=gained, only_base=lost, p=p, level=level, better=better)


def paired_gain(
    items: Sequence[str],
    figures: tuple[Callable[[Mapping[str, int]], float | None], Callable[[Mapping[str, int]], float | None]],
    *,
    confidence: float = 0.95,
    resamples: int = BOOTSTRAP_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> PairedGain:
    """Bound the gain of a figure by resampling items, the same for both (Efron and Tibshirani 1993, chapter 13).

    Resamples in which a figure is undefined are drawn no other time: they count as no gain, so that they never help.

    Args:
        items: what is resampled, images for example; their order does not matter.
        figures: of the base and of the candidate, each from how often every item counts.
        confidence: of the two-sided percentile interval.
        resamples: how many.
        seed: of the draws.
    """
    names = sorted(items)
    base, candidate = (figure(dict.fromkeys(names, 1)) if names else None for figure in figures)
    if base is None or candidate is None:
        reason = "there is no item" if not names else "the figure is undefined on these items"
        return _undefined(len(names), base, candidate, reason, (confidence, resamples))
    if len(names) < 2:
        return _undefined(len(names), base, candidate, "one item has no spread to learn from", (confidence, resamples))
    draws = np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names), size=resamples)
    gains = np.zeros(resamples)
    for place, times in enumerate(draws):
        drawn = dict(zip(names, times.tolist(), strict=True))
        before, after = figures[0](drawn), figures[1](drawn)
        gains[place] = after - before if before is not None and after is not None else 0.0
    lower, upper = np.quantile(gains, [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedGain(
        items=len(names),
        base=base,
        candidate=candidate,
        gain=candidate - base,
        lower=float(lower),
        upper=float(upper),
        confidence=confidence,
        resamples=resamples,
        better=bool(lower > 0),
        reason=None,
    )


def _undefined(items: int, base: float | None, candidate: float | None, reason: str, drawn: tuple[float, int]) -> PairedGain:
    return PairedGain(
        items=items,
        base=base,
        candidate=candidate,
        gain=None,
        lower=None,
        upper=None,
        confidence=drawn[0],
        resamples=drawn[1],
        better=False,
        reason=reason,
    )
