"""What the terms make of work of each true quality, before anyone signs: the operating characteristic of every demand.

The sample sizes are those of the terms, under an AQL those of the plan for the ordered volume as one lot. Where the
contract orders hours of video, whose number of videos no one knows beforehand, a lot is taken as large as the largest
sample. Lots are taken as endless but for the plan, which errs on the side of caution.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from contract.inspection import Severity
from contract.ruleterms import applied, first_severity
from contract.tables import Kind
from contract.terms import Terms
from contract.verdict import CountingPlan
from qa.counting import plan_for
from qa.criteria import CONFORMING, Demand, confidence, demands
from qa.sampling.operating import (
    Curve,
    Method,
    Shares,
    around,
    bound_curve,
    e_curve,
    extended_curve,
    fixed_curve,
    joint_chance,
    limits_allow,
    point_curve,
)
from qa.sampling.plans import chance_within, wrong_share_accepted

_POINTS: Final = 121
_EVERY_CLASS: Final = "*"
_CLIENT_RISK_OF_PLAN: Final = 0.10  # custom of acceptance sampling: the consumer's risk quality


@dataclass(frozen=True)
class Branch:
    """A curve under one sample size; `label` is short and of no language."""

    label: str
    curve: Curve


@dataclass(frozen=True)
class Chances:
    """One demand of the terms; the last branch is how the whole procedure ends."""

    name: str  # floors on the recall of each class are one demand, named with *
    kind: Kind
    threshold: float
    rule: str
    severity: Severity
    confidence: float
    most: int  # units that are checked at most
    branches: tuple[Branch, ...]
    plan: CountingPlan | None = None
    repeated_client_risk: float | None = None  # over the first submission and all rounds of rework

    @property
    def client_at(self) -> float:
        """Where the client's risk is told: exactly at the threshold; by a plan, where it accepts one lot in ten."""
        if self.plan:
            return 1 - wrong_share_accepted(self.plan.n, self.plan.accept, chance=_CLIENT_RISK_OF_PLAN)
        return self.threshold

    @property
    def vendor_at(self) -> float:
        """Where the vendor's risk is told: half-way from the threshold to perfect; by a plan, at the AQL."""
        return self.threshold if self.plan else (1 + self.threshold) / 2

    @property
    def final(self) -> Curve:
        """How the whole procedure ends."""
        return self.branches[-1].curve

    @property
    def client_risk(self) -> float:
        """Return the probability to accept work of `client_at`."""
        return self.final.at(self.client_at)[0]

    @property
    def vendor_risk(self) -> float:
        """Return the probability not to accept work of `vendor_at`."""
        return 1 - self.final.at(self.vendor_at)[0]


def chances_of(terms: Terms, *, severity: Severity | None = None) -> list[Chances]:
    """Return the chances of every demand of `terms`, as inspected by `severity`; without it, as a first submission is."""
    if severity is None:
        return _with_rework(terms)
    terms = applied(terms, severity)
    kinds = [kind for kind in Kind if kind.value in terms.acceptance.profiles]
    found: dict[str, Demand] = {}
    for demand in demands(terms, kinds):
        found.setdefault(_name(demand), demand)
    return [_chances(name, demand, terms, severity=severity) for name, demand in found.items()]


def _with_rework(terms: Terms) -> list[Chances]:
    """Add what remains of the client's risk where work at the threshold is handed in again and again, unchanged."""
    first, rework = first_severity(terms), terms.acceptance.rework
    found = chances_of(terms, severity=first)
    if not rework.max_rounds or not rework.fresh_sample:
        return found
    tightened = rework.severity_after_reject == "tightened"
    later = chances_of(terms, severity="tightened") if tightened and first != "tightened" else found
    again = [after.final.at(each.client_at)[0] for each, after in zip(found, later, strict=True)]
    reworked = [chance_within(rework.max_rounds, chance) for chance in again]
    return [
        replace(each, repeated_client_risk=1 - (1 - each.client_risk) * (1 - chance))
        for each, chance in zip(found, reworked, strict=True)
    ]


def joint_chances(found: Sequence[Chances]) -> tuple[float, float]:
    """Return between what the probability lies that all demands are met where each quality is at its `vendor_at`."""
    return joint_chance([1 - each.vendor_risk for each in found])


def _name(demand: Demand) -> str:
    return demand.name if demand.label is None else f"{demand.kind.value}.class_recall.{_EVERY_CLASS}"


def _chances(name: str, demand: Demand, terms: Terms, *, severity: Severity) -> Chances:
    sampling, rule = terms.acceptance.sampling, terms.acceptance.rule
    plan = plan_for(sampling.aql, _lot(demand.kind, terms)) if sampling.aql else None
    low, also = 1.0, (1 + demand.threshold) / 2
    if plan:
        low, also = (1 - wrong_share_accepted(plan.n, plan.accept, chance=chance) for chance in (0.01, _CLIENT_RISK_OF_PLAN))
    share = around(demand.threshold, low=low, points=_POINTS, also=[also])
    makers: Mapping[str, Callable[[Shares, Demand, Terms], list[Branch]]] = {
        "point": _by_point,
        "lower_bound": _by_bound,
        "e_process": _by_evidence,
    }
    if plan:
        curve = fixed_curve(share, plan.n, accept=plan.accept, reject=plan.reject)
        branches = [Branch(f"n={plan.n}, Ac={plan.accept}", curve)]
    else:
        branches = makers[rule](share, demand, terms)
    return Chances(
        name=name,
        kind=demand.kind,
        threshold=demand.threshold,
        rule=rule,
        severity=severity,
        confidence=confidence(demand, terms),
        most=plan.n if plan else sampling.min_items if rule == "point" else sampling.extend_to,
        branches=tuple(branches),
        plan=plan,
    )


def _lot(kind: Kind, terms: Terms) -> int:
    volumes = {Kind.IMAGE: terms.volumes.images, Kind.TEXT: terms.volumes.texts, Kind.VIDEO: 0}
    return volumes[kind] or terms.acceptance.sampling.extend_to


def _by_point(share: Shares, demand: Demand, terms: Terms) -> list[Branch]:
    n = terms.acceptance.sampling.min_items
    return [Branch(f"n={n}", point_curve(share, n, threshold=demand.threshold))]


def _by_bound(share: Shares, demand: Demand, terms: Terms) -> list[Branch]:
    sampling = terms.acceptance.sampling
    method, wanted = _method(demand, terms), confidence(demand, terms)
    once = bound_curve(share, sampling.min_items, threshold=demand.threshold, confidence=wanted, method=method)
    branches = [Branch(f"n={sampling.min_items}", once)]
    if sampling.extend_to > sampling.min_items:
        looks = (sampling.min_items, sampling.extend_to)
        first, last = (limits_allow(n, threshold=demand.threshold, confidence=wanted, method=method) for n in looks)
        branches.append(Branch(f"n={looks[0]}→{looks[1]}", extended_curve(share, looks, first=first, last=last)))
    return branches


def _by_evidence(share: Shares, demand: Demand, terms: Terms) -> list[Branch]:
    most = terms.acceptance.sampling.extend_to
    curve = e_curve(share, most, threshold=demand.threshold, confidence=confidence(demand, terms))
    return [Branch(f"n≤{most}", curve)]


def _method(demand: Demand, terms: Terms) -> Method:
    """Return the limits of a share; those of ratios over clusters are exact ones of an effective sample."""
    method = terms.acceptance.profiles[demand.kind.value].bound.method
    if demand.metric == CONFORMING or method not in {"wilson", "jeffreys"}:
        return "clopper_pearson"
    return "wilson" if method == "wilson" else "jeffreys"


def as_document(found: list[Chances]) -> dict[str, Any]:
    """Return the chances as a document for JSON: every point of every curve, to six decimals."""
    low, high = joint_chances(found)
    return {
        "assumes": "units are right or wrong independently, each with the same probability",
        "demands": [_entry(each) for each in found],
        "all_demands_met_at_vendor_shares": {"at_least": round(low, 6), "at_most": round(high, 6)},
    }


def _entry(each: Chances) -> dict[str, Any]:
    return {
        "name": each.name,
        "threshold": each.threshold,
        "rule": each.rule,
        "severity": each.severity,
        "confidence": each.confidence,
        "most_units": each.most,
        "plan": each.plan.model_dump(mode="json") if each.plan else None,
        "client_share": each.client_at,
        "client_risk": round(each.client_risk, 6),
        "vendor_share": each.vendor_at,
        "vendor_risk": round(each.vendor_risk, 6),
        "repeated_client_risk": None if each.repeated_client_risk is None else round(each.repeated_client_risk, 6),
        "curves": [
            {"sample": branch.label, **{key: np.round(values, 6).tolist() for key, values in branch.curve._asdict().items()}}
            for branch in each.branches
        ],
    }
