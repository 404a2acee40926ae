"""The rules that count items: a plan by AQL, and the e-process."""

import math
from typing import NamedTuple

from contract.acceptance import TextProfile
from contract.inspection import AqlSampling
from contract.terms import Terms
from contract.verdict import CountingPlan, Outcome
from qa.conformity import Counted
from qa.criteria import Demand, confidence
from qa.sampling.aql import plan, plan_of, tighter
from qa.sampling.eprocess import evidence_wanted, log_e, log_e_against
from qa.sampling.switching import LotResult


class Evidence(NamedTuple):
    """Natural logarithms of the evidence for and against the threshold, and of what either must reach."""

    favour: float
    against: float
    wanted: float


def plan_for(aql: AqlSampling, lot_items: int) -> CountingPlan:
    """Return the plan by which a lot of so many items is judged; a single item is inspected itself."""
    found = plan(max(lot_items, 2), aql=aql.limit, level=aql.level, severity=aql.severity)
    return CountingPlan(
        aql=aql.limit,
        level=aql.level,
        severity=aql.severity,
        letter=found.letter,
        n=min(found.n, max(lot_items, 1)),
        accept=found.accept,
        reject=found.reject,
    )


def outcome_by_plan(of: Counted, by: CountingPlan) -> Outcome:
    """Judge a count by a plan.

    As many nonconforming items as reject the lot do so at once, since more items can only add to them. Where more items
    than the plan's n were checked, none of them is chosen: the lot is accepted if n of those items, drawn at random,
    would more likely than not be accepted.
    """
    if of.checked < by.n:
        return Outcome.REJECT if of.nonconforming >= by.reject else Outcome.EXTEND
    conforming = of.checked - of.nonconforming
    # whole numbers, since a tie of one half is common: hypergeometric draws of n with up to Ac nonconforming ones
    passing = sum(math.comb(of.nonconforming, k) * math.comb(conforming, by.n - k) for k in range(min(by.accept, by.n) + 1))
    return Outcome.ACCEPT if 2 * passing >= math.comb(of.checked, by.n) else Outcome.REJECT


def result_by_plan(of: Counted, by: CountingPlan) -> LotResult:
    """Return what the switching rules need to know of a lot that a plan decided; consent to reduced inspection is not given.

    Raises:
        ValueError: the plan asks for more items.
    """
    outcome = outcome_by_plan(of, by)
    if outcome is Outcome.EXTEND:
        raise ValueError(f"{of.checked} of {by.n} items were checked, so that the lot is not decided")
    stricter = tighter(by.aql)
    passes = False
    if by.severity == "normal" and by.accept >= 2 and stricter is not None:
        limit = plan_of(by.letter, stricter).accept  # beside an Ac of 2 or more stands no arrow: the sample is the same
        passes = outcome_by_plan(of, by.model_copy(update={"accept": limit, "reject": limit + 1})) is Outcome.ACCEPT
    return LotResult(outcome is Outcome.ACCEPT, by.accept, passes_tighter=passes, consent=False)


def evidence_of(of: Counted, demand: Demand, terms: Terms, *, lot: int | None) -> Evidence:
    """Return the evidence of an e-process; where the lot's size is known, that of drawing from it."""
    correct, wrong = of.checked - of.nonconforming, of.nonconforming
    size = None if lot is None else max(lot, of.checked)
    return Evidence(
        log_e(correct, wrong, threshold=demand.threshold, lot=size),
        log_e_against(correct, wrong, threshold=demand.threshold, lot=size),
        evidence_wanted(confidence(demand, terms)),
    )


def outcome_by_evidence(of: Evidence) -> Outcome:
    """Accept on evidence for the threshold, reject on evidence against it; either party's risk is the same."""
    if of.favour >= of.wanted:
        return Outcome.ACCEPT
    return Outcome.REJECT if of.against >= of.wanted else Outcome.EXTEND


def lot_of(demand: Demand, terms: Terms, lot_items: int) -> int | None:
    """Return the size of the lot if the limits are to know it; texts may be taken as a sample of all deliveries."""
    profile = terms.acceptance.profiles[demand.kind.value]
    return None if isinstance(profile, TextProfile) and not profile.bound.finite_lot else lot_items
