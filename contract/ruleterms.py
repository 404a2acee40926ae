"""What each rule of the verdict demands of the other terms, and what tightened inspection makes of it.

lower_bound, point: any metric. aql, e_process: metrics that are a share of items, each right or wrong as a whole, since
both count items; boxes of one image, and events of one video, are right or wrong together and are no such items.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from contract.errors import TermsError
from contract.inspection import Severity

if TYPE_CHECKING:
    from contract.acceptance import Acceptance
    from contract.terms import Terms

COUNTING_RULES: Final = frozenset({"aql", "e_process"})
CONFORMING: Final = frozenset({"conforming", "keyframe_conforming", "event_conforming", "shot_conforming"})
ITEM_METRICS: Final = CONFORMING | {"accuracy"}

_INSTEAD: Final = {
    "image": "metrics.conforming, the share of images without any defect",
    "text": "metrics.accuracy",
    "video": "metrics.keyframe_conforming, event_conforming or shot_conforming, shares of videos without any such defect",
}
_MOST_ITEMS: Final = 1_000_000


def rule_problems(acceptance: "Acceptance") -> Iterator[str]:
    """Yield what the rule contradicts, one clause each."""
    rule, sampling = acceptance.rule, acceptance.sampling
    mode = rule if rule in COUNTING_RULES else "lower_bound"
    if sampling.mode != mode:
        yield f"acceptance.sampling.mode is {sampling.mode}, but acceptance.rule {rule} needs {mode}"
    if rule == "aql" and sampling.aql is None:
        yield (
            "acceptance.sampling.aql is left open; rule aql needs it, for example "
            "aql: {limit: 6.5, level: II, severity: normal}"
        )
    if rule != "aql" and sampling.aql is not None:
        yield f"acceptance.sampling.aql decides nothing under rule {rule}; take it out or choose rule aql"
    if rule in COUNTING_RULES:
        yield from _metric_problems(acceptance)


def _metric_problems(acceptance: "Acceptance") -> Iterator[str]:
    rule, aql = acceptance.rule, acceptance.sampling.aql
    for kind, profile in acceptance.profiles.items():
        for metric, threshold in profile.metrics.demanded.items():
            where = f"acceptance.{kind}.metrics.{metric}"
            if metric not in ITEM_METRICS:
                yield (
                    f"{where} is no share of {kind} items that are right or wrong as a whole, so that rule {rule} cannot "
                    f"count it; set it to null and demand {_INSTEAD[kind]}"
                )
            elif aql is not None and abs(threshold - aql.conforming_share) > 1e-9:
                yield (
                    f"{where} is {threshold:g}, but acceptance.sampling.aql.limit of {aql.limit:g} % stands for "
                    f"{aql.conforming_share:g}; let them agree"
                )


def proof_method(rule: str, metric: str, bound_method: str) -> str:
    """Return how `metric` is proven under `rule`: shares of items exactly, whatever the bound of ratios over them."""
    if rule == "e_process":
        return rule
    return "clopper_pearson" if metric in CONFORMING else bound_method


def items_to_prove(threshold: float, confidence: float, *, method: str = "clopper_pearson") -> int:
    """Return the smallest sample that, without one error, proves `threshold` by `method`.

    Clopper-Pearson, and Korn-Graubard where nothing is wrong: the smallest n with threshold**n <= 1 - confidence.
    Wilson: the smallest n with n / (n + z**2) >= threshold. The e-process: the smallest n whose evidence reaches
    1 / (1 - confidence). Other methods promise no closed form and give 1.
    """
    if method in {"clopper_pearson", "korn_graubard"}:
        exact = math.log(1 - confidence) / math.log(threshold)
    elif method == "wilson":
        exact = NormalDist().inv_cdf(confidence) ** 2 * threshold / (1 - threshold)
    elif method == "e_process":
        exact = float(_items_of_e_process(threshold, confidence))
    else:
        return 1
    return max(1, math.ceil(exact - 1e-9))


def _items_of_e_process(threshold: float, confidence: float) -> int:
    """Return the smallest n with (1 - p**(n + 1)) / ((n + 1) (1 - p) p**n) >= 1 / alpha; it grows with n."""

    def proves(n: int) -> bool:
        logarithm = math.log1p(-(threshold ** (n + 1))) - math.log((n + 1) * (1 - threshold)) - n * math.log(threshold)
        return logarithm >= -math.log(1 - confidence)

    low, high = 1, 1
    while not proves(high) and high < _MOST_ITEMS:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle + 1, high)
    return low


def tightened_confidence(confidence: float) -> float:
    """Return the confidence of tightened inspection: half the client's risk."""
    return (1 + confidence) / 2


def first_severity(terms: "Terms") -> Severity:
    """Return the severity by which a first submission is judged."""
    aql = terms.acceptance.sampling.aql
    return "normal" if aql is None else aql.severity


def applied(terms: "Terms", severity: Severity | None) -> "Terms":
    """Return the terms as they are applied under `severity`; score and judge by these, and pin the signed ones.

    tightened: lower_bound and e_process at half the client's risk, confidence (1 + c) / 2; point gives way to lower_bound
    at the terms' own confidence; aql by the table of tightened inspection. reduced: aql only. None: as a first submission.

    Raises:
        TermsError: reduced inspection under a rule that knows none.
    """
    acceptance = terms.acceptance
    severity = severity or first_severity(terms)
    if acceptance.sampling.aql is not None:
        sampling = acceptance.sampling.model_copy(
            update={"aql": acceptance.sampling.aql.model_copy(update={"severity": severity})}
        )
        return terms.model_copy(update={"acceptance": acceptance.model_copy(update={"sampling": sampling})})
    if severity == "normal":
        return terms
    if severity == "reduced":
        raise TermsError(
            f"contract {terms.contract}: rule {acceptance.rule} knows no reduced inspection; only rule aql does"
        )
    if acceptance.rule == "point":
        return terms.model_copy(update={"acceptance": acceptance.model_copy(update={"rule": "lower_bound"})})
    stricter = {}
    for kind, profile in acceptance.profiles.items():
        bound = profile.bound.model_copy(update={"confidence": tightened_confidence(profile.bound.confidence)})
        stricter[kind] = profile.model_copy(update={"bound": bound})
    return terms.model_copy(update={"acceptance": acceptance.model_copy(update=stricter)})
