"""The stratified draw: how many items of each stratum, which ones, and which of them are blind or labelled twice.

Allocation is proportional by the largest remainder (Hamilton's method), with at least one item of every stratum. Shares
stay close to those of the lot, so that the plain estimate of the sample serves; a stratum far smaller than its one item is
a little over-represented. Extending allots only the difference to what is already drawn, so that nothing is taken back,
which the method by itself would not promise (the Alabama paradox).
"""

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

from qa.sampling.draw import draw_order

BLIND = "blind"
DOUBLE = "double"


def allocate(sizes: Mapping[str, int], n: int, *, already: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """Return stratum -> items for a sample of `n` out of strata of `sizes`, never fewer than `already`.

    Ties of remainders go to the first name in alphabetical order.

    Raises:
        ValueError: n is less than the strata, or than what is already drawn, or more than there is.
    """
    total, drawn = sum(sizes.values()), sum(already.values())
    present = sorted(name for name, size in sizes.items() if size)
    if not max(len(present), drawn) <= n <= total:
        raise ValueError(f"{n} items cannot be drawn from {len(present)} strata of {total} items, {drawn} of them drawn")
    quotas = {name: Fraction(n * sizes[name], total) for name in present}
    # What each still lacks; where a stratum has more than its quota, the others share what is left in proportion.
    lacks = {name: max(quotas[name] - already.get(name, 0), Fraction(0)) for name in present}
    free, wanted = n - drawn, sum(lacks.values(), Fraction(0))
    shares = {name: lacks[name] * free / wanted if wanted else Fraction(0) for name in present}
    result = {name: already.get(name, 0) + math.floor(shares[name]) for name in present}
    by_remainder = sorted(present, key=lambda name: (math.floor(shares[name]) - shares[name], name))
    for name in by_remainder[: n - sum(result.values())]:
        result[name] += 1
    return _with_one_each(result, quotas, already)


def _with_one_each(result: dict[str, int], quotas: Mapping[str, Fraction], already: Mapping[str, int]) -> dict[str, int]:
    """Give every stratum without an item one, from the stratum that is furthest above its quota."""
    for name in sorted(result):
        while not result[name]:
            spare = [other for other in result if result[other] > max(1, already.get(other, 0))]
            giver = max(spare, key=lambda other: (result[other] - quotas[other], other))
            result[giver] -= 1
            result[name] += 1
    return result


def draw_strata(strata: Mapping[str, Sequence[str]], counts: Mapping[str, int], *, key: bytes) -> dict[str, list[str]]:
    """Return stratum -> the first items of the draw's order, as many as `counts` says."""
    return {name: draw_order(items, key=key)[: counts.get(name, 0)] for name, items in strata.items()}


def marked(
    new: Iterable[str], share: float, *, key: bytes, label: str, earlier: int = 0, earlier_marked: int = 0
) -> frozenset[str]:
    """Return which of the `new` items of a sample get the mark `label`.

    They are the first of a second order, by HMAC-SHA256(key, label ":" item), so many that `share` of the whole sample,
    rounded up, has the mark. What an earlier, smaller sample marked stays as it is.

    Args:
        new: items that this draw adds.
        share: of the whole sample, 0 to 1.
        key: of the draw.
        label: what the mark is called; other labels give other orders.
        earlier: items of the sample that is extended.
        earlier_marked: those of them that have the mark.
    """
    order = sorted(new, key=lambda item: (hmac.new(key, f"{label}:{item}".encode(), hashlib.sha256).digest(), item))
    wanted = math.ceil(Fraction(str(share)) * (len(order) + earlier)) - earlier_marked
    return frozenset(order[: max(wanted, 0)])
