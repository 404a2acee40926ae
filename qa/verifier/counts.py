"""Outcomes of the rules that count items, in plain Python: a sampling plan by AQL, and the e-process.

Sources: ISO 2859-1 / GB/T 2828.1 (acceptance numbers); Robbins 1970, Waudby-Smith and Ramdas 2020 (mixtures of likelihood
ratios, with and without replacement).
"""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from .limits import binomial_limits, incomplete_beta, lot_limits

_TIE = 1e-9


def unfounded_count(criterion: Mapping[str, Any], score: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a criterion that counted items: its counts, its estimate, or an outcome without cause."""
    seen = criterion["counted"]
    checked, nonconforming, plan = seen["checked"], seen["nonconforming"], seen["plan"]
    least, most = _nonconforming(score)
    if least is not None and most is not None and not least <= nonconforming <= most:
        yield f"counted with {nonconforming} nonconforming items, but the score has {least}"
    if checked and abs(criterion["estimate"] - (1 - nonconforming / checked)) > _TIE:
        yield f"estimated at {criterion['estimate']}, but {nonconforming} of {checked} do not conform"
    founded = {_by_plan(checked, nonconforming, plan)} if plan else _by_evidence(criterion)
    if criterion["outcome"] not in founded:
        yield f"{criterion['outcome']}, but its count says {' or '.join(sorted(founded))}"


def counted_interval(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the share of conforming items with exact one-sided limits, from the count alone."""
    checked, lot = seen["checked"], seen["lot_items"]
    right = checked - seen["nonconforming"]
    if not checked:
        return {"estimate": None, "lower": None, "upper": None, "units": 0}
    if lot is None:
        lower, upper = binomial_limits(right, checked, seen["confidence"])
    else:
        size = max(lot, checked)
        lower, upper = (count / size for count in lot_limits(right, checked, size, seen["confidence"]))
    return {"estimate": right / checked, "lower": lower, "upper": upper, "units": checked}


def _nonconforming(score: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return between what the nonconforming items lie; an image without labels and without gold fails, but is perfect."""
    if score.get("task") == "sentiments":
        return score["n"] - score["correct"], score["n"] - score["correct"]
    if score.get("task") == "boxes":
        wrong = score["contract"]["images"] - score["contract"]["perfect_images"]
        return wrong, wrong + len(score["coverage"]["incomplete"])
    return None, None


def _by_plan(checked: int, nonconforming: int, plan: Mapping[str, Any]) -> str:
    n, accept = plan["n"], plan["accept"]
    if checked < n:
        return "REJECT" if nonconforming > accept else "EXTEND"
    if checked == n:
        return "REJECT" if nonconforming > accept else "ACCEPT"
    chance = Fraction(0)
    for k in range(max(0, n - (checked - nonconforming)), min(accept, n, nonconforming) + 1):
        ways = math.comb(n, k) * math.perm(nonconforming, k) * math.perm(checked - nonconforming, n - k)
        chance += Fraction(ways, math.perm(checked, n))
    return "ACCEPT" if chance >= Fraction(1, 2) else "REJECT"


def _by_evidence(criterion: Mapping[str, Any]) -> set[str]:
    """Return the outcomes that the evidence allows; a sample smaller than the terms demand may always be extended."""
    seen, threshold = criterion["counted"], criterion["threshold"]
    wrong = seen["nonconforming"]
    right, lot, wanted = seen["checked"] - wrong, seen["lot_items"], -math.log(1 - seen["confidence"])
    if lot is None:
        favour, against = _endless(right, wrong, threshold), _endless(wrong, right, 1 - threshold)
    else:
        lot = max(lot, seen["checked"])
        needed = math.ceil(threshold * lot - _TIE)
        favour, against = _lot(right, wrong, needed, lot), _lot(wrong, right, lot - needed + 1, lot)
    allowed = {"EXTEND"}
    if favour >= wanted - _TIE:
        allowed.add("ACCEPT")
    if against >= wanted - _TIE:
        allowed.add("REJECT")
    return allowed


def _endless(hits: int, misses: int, threshold: float) -> float:
    above = incomplete_beta(misses + 1, hits + 1, 1 - threshold)
    if above <= 0:
        return -math.inf
    beta = math.lgamma(hits + 1) + math.lgamma(misses + 1) - math.lgamma(hits + misses + 2)
    rest = math.log1p(-threshold)
    return beta + math.log(above) - rest - hits * math.log(threshold) - misses * rest


def _lot(hits: int, misses: int, needed: int, lot: int) -> float:
    if hits >= needed:
        return math.inf
    if misses > lot - needed:
        return -math.inf

    def ways(of: int, drawn: int) -> float:
        return math.lgamma(of + 1) - math.lgamma(of - drawn + 1)

    logs = [ways(good, hits) + ways(lot - good, misses) for good in range(needed, lot - misses + 1)]
    top = max(logs)
    mean = top + math.log(math.fsum(math.exp(value - top) for value in logs)) - math.log(lot - needed + 1)
    return mean - ways(needed - 1, hits) - ways(lot - needed + 1, misses)
