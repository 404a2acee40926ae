"""The verdict: ACCEPT what is proven good, REJECT what is proven bad, EXTEND the sample for the rest.

Every criterion must be met (an intersection-union test: the client's risk stays that of one criterion).
Nothing undefined, unchecked or checked on too few items is ever accepted.

lower_bound and point compare limits or the estimate with the threshold; aql and e_process (`qa.counting`) count items.

A floor on the recall of each class cannot be proven with fewer units of sampling than `provable_from` says
(29 for 90 % at 95 %), not even if all are right. Such a class yields no criterion and only a remark,
unless its estimate is below the floor: then it asks for a larger sample. Where the limits decide all the same
(a wholly checked lot, or a class plainly bad), they do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from contract.inspection import Severity
from contract.ruleterms import COUNTING_RULES, applied, first_severity
from contract.scores import Interval, Score
from contract.tables import TASKS_OF_KIND, Kind, Task
from contract.terms import Terms
from contract.verdict import Criterion, ItemCount, Outcome, Pins, Verdict
from qa.conformity import conforming_interval, counted
from qa.counting import evidence_of, lot_of, outcome_by_evidence, outcome_by_plan, plan_for
from qa.criteria import CONFORMING, Demand, best_case, confidence, demands, due_in_whole, measured
from qa.sampling.draw import provable_from
from qa.words import sentences
from qa.words.sentences import Sentence

_COMPLETE: Final = ".complete"
_SAME_CONFIDENCE: Final = 1e-12
_WARNED: Final = {"point": sentences.point_rule, "aql": sentences.aql_rule}
_GRAVEST_FIRST: Final = (Outcome.REJECT, Outcome.EXTEND, Outcome.ACCEPT)


@dataclass(frozen=True)
class Case:
    """What is judged: the terms, the scores, and how many items of each kind the lot holds."""

    terms: Terms
    scores: Mapping[Task, Score]
    lot_items: Mapping[Kind, int]


@dataclass
class _Findings:
    """Criteria with the sentence of each, and remarks that decide nothing."""

    criteria: list[tuple[Criterion, Sentence]] = field(default_factory=list)
    remarks: list[Sentence] = field(default_factory=list)


def judge(
    terms: Terms,
    scores: Mapping[Task, Score],
    *,
    lot_items: Mapping[Kind, int],
    pins: Pins,
    unlabelled: Mapping[Kind, Sequence[str]] = MappingProxyType({}),
    severity: Severity | None = None,
) -> Verdict:
    """Judge the scores of a submission by the terms.

    Args:
        terms: the contract.
        scores: one score for each task that was checked against gold.
        lot_items: items of each kind in the lot's manifest; kinds that are absent or 0 are not judged.
        pins: what was judged, by digest and number.
        unlabelled: items of the whole lot, in the sample or not, that the submission neither labels nor calls empty and
            the gold does not excuse. A lot that is not complete is not accepted; it is to be completed, not reworked.
        severity: of the inspection; without it, that of a first submission. What it changes says
            `contract.ruleterms.applied`, by whose terms the scores must have been made.

    Returns:
        REJECT if any criterion is rejected, else EXTEND if any asks for it or none applies, else ACCEPT.

    Raises:
        TermsError: reduced inspection under a rule that knows none.
        ValueError: the scores were made by the terms of another severity.
    """
    severity = severity or first_severity(terms)
    case = Case(applied(terms, severity), scores, lot_items)
    terms = case.terms
    kinds = [kind for kind in Kind if lot_items.get(kind, 0) > 0]
    findings = _Findings()
    for demand in demands(terms, kinds):
        _judge_one(demand, case, findings)
    findings.criteria += [_incomplete(kind, lot_items[kind], unlabelled[kind]) for kind in kinds if unlabelled.get(kind)]
    for kind in kinds:
        _remark_on(kind, case, findings)
    findings.remarks += [sentences.not_in_lot(kind) for kind in _ordered(terms) if kind not in kinds]
    if terms.acceptance.rule in _WARNED:
        findings.remarks.append(_WARNED[terms.acceptance.rule]())
    outcomes = {criterion.outcome for criterion, _ in findings.criteria}
    if all(criterion.name.endswith(_COMPLETE) for criterion, _ in findings.criteria):
        outcomes = {Outcome.EXTEND}
        findings.remarks.insert(0, sentences.nothing_judged())
    by_gravity = sorted(findings.criteria, key=lambda entry: _GRAVEST_FIRST.index(entry[0].outcome))
    reasons = [*(sentence for _, sentence in by_gravity), *findings.remarks]
    return Verdict(
        verdict=next(outcome for outcome in _GRAVEST_FIRST if outcome in outcomes),
        rule=terms.acceptance.rule,
        severity=severity,
        reasons=tuple(sentence.english for sentence in reasons),
        reasons_zh=tuple(sentence.chinese for sentence in reasons),
        criteria=tuple(criterion for criterion, _ in findings.criteria),
        pins=pins,
    )


def _incomplete(kind: Kind, items: int, unlabelled: Sequence[str]) -> tuple[Criterion, Sentence]:
    """Return the criterion that only an incomplete lot has."""
    criterion = due_in_whole(kind, "complete", share=1 - len(unlabelled) / items, units=items)
    return criterion, sentences.to_complete(kind, items, unlabelled)


def _ordered(terms: Terms) -> list[Kind]:
    return [kind for kind in Kind if kind.value in terms.acceptance.profiles]


def _judge_one(demand: Demand, case: Case, findings: _Findings) -> None:
    """Add the criterion of `demand`, or the remark that its class cannot be proven."""
    if case.terms.acceptance.rule in COUNTING_RULES:
        _judge_by_count(demand, case, findings)
        return
    of = _measured(demand, case)
    if demand.label is not None and demand.task in case.scores and _is_unprovable(demand, of, case):
        _add_rare_class(demand, of, case, findings)
        return
    outcome, sentence = _outcome(demand, of, case)
    criterion = _criterion(demand, of, outcome)
    by_point = case.terms.acceptance.rule == "point"
    findings.criteria.append((criterion, sentence or sentences.judged(criterion, by_point=by_point)))


def _measured(demand: Demand, case: Case) -> Interval | None:
    """Return the figure of a demand with its limits, made at the confidence that the severity asks for."""
    wanted = confidence(demand, case.terms)
    if demand.metric == CONFORMING:
        lot = lot_of(demand, case.terms, _lot_size(demand, case))
        return conforming_interval(counted(demand.task, case.scores), confidence=wanted, lot=lot)
    of = measured(demand, case.scores)
    if of is not None and abs(of.confidence - wanted) > _SAME_CONFIDENCE:
        raise ValueError(f"{demand.name} was scored at confidence {of.confidence:g}, but is judged at {wanted:g}")
    return of


def _lot_size(demand: Demand, case: Case) -> int:
    """Return how many items of the demand's kind the lot holds, less those that are excused."""
    score = case.scores.get(demand.task)
    return case.lot_items[demand.kind] - (len(score.coverage.excused) if score else 0)


def _judge_by_count(demand: Demand, case: Case, findings: _Findings) -> None:
    found, lot = counted(demand.task, case.scores), _lot_size(demand, case)
    aql, finite = case.terms.acceptance.sampling.aql, lot_of(demand, case.terms, lot)
    plan = plan_for(aql, lot) if aql else None
    of = conforming_interval(found, confidence=confidence(demand, case.terms), lot=finite)
    sentence: Sentence
    if found is None or of is None or not found.checked:
        outcome = Outcome.EXTEND
        sentence = sentences.no_gold(demand.name)
    elif plan:
        outcome = outcome_by_plan(found, plan)
        sentence = sentences.by_plan(demand.name, demand.kind, found=found, plan=plan, outcome=outcome)
    elif found.checked < (wanted := _items_wanted(demand, case)):
        outcome = Outcome.EXTEND
        sentence = sentences.too_small(demand.name, demand.kind, items=found.checked, wanted=wanted)
    else:
        evidence = evidence_of(found, demand, case.terms, lot=finite)
        outcome = outcome_by_evidence(evidence)
        sentence = sentences.by_evidence(
            demand.name, demand.kind, found=found, evidence=evidence, threshold=demand.threshold
        )
    criterion = _criterion(demand, of, outcome)
    if of is not None and found is not None:
        seen = ItemCount(**found._asdict(), lot_items=finite, confidence=of.confidence, plan=plan)
        criterion = criterion.model_copy(update={"counted": seen})
    findings.criteria.append((criterion, sentence))


def _criterion(demand: Demand, of: Interval | None, outcome: Outcome) -> Criterion:
    return Criterion(
        name=demand.name,
        kind=demand.kind,
        estimate=of.estimate if of else None,
        lower_bound=of.lower if of else None,
        upper_bound=of.upper if of else None,
        threshold=demand.threshold,
        outcome=outcome,
        units=of.units if of else 0,
    )


def _outcome(demand: Demand, of: Interval | None, case: Case) -> tuple[Outcome, Sentence | None]:
    """Return the outcome, and its sentence where it is not simply that of estimate and limits."""
    score = case.scores.get(demand.task)
    if score is None:
        return Outcome.EXTEND, sentences.no_gold(demand.name)
    best = best_case(demand, case.scores)
    if best is not None and best < demand.threshold:
        items = score.coverage.incomplete
        return Outcome.REJECT, sentences.unreachable(demand.name, best=best, threshold=demand.threshold, items=items)
    wanted = _items_wanted(demand, case)
    if score.coverage.items < wanted:
        sentence = sentences.too_small(demand.name, demand.kind, items=score.coverage.items, wanted=wanted)
        return Outcome.EXTEND, sentence
    if of is None or of.estimate is None:
        return Outcome.EXTEND, sentences.undefined(demand.name, of.reason if of else None)
    if case.terms.acceptance.rule == "point":
        return (Outcome.ACCEPT if of.estimate >= demand.threshold else Outcome.REJECT), None
    if of.lower is None or of.upper is None:
        return Outcome.EXTEND, sentences.undefined(f"the limit of {demand.name}", of.reason)
    return _by_limits(of.lower, of.upper, demand.threshold), None


def _by_limits(lower: float, upper: float, threshold: float) -> Outcome:
    if lower >= threshold:
        return Outcome.ACCEPT
    return Outcome.REJECT if upper < threshold else Outcome.EXTEND


def _items_wanted(demand: Demand, case: Case) -> int:
    """Return the smallest sample that the terms allow; of a lot that is smaller, all that is not excused."""
    return min(case.terms.acceptance.sampling.min_items, _lot_size(demand, case))


def _is_unprovable(demand: Demand, of: Interval | None, case: Case) -> bool:
    if of is None:
        return True
    if case.terms.acceptance.rule == "point" or of.units >= _units_wanted(demand, case):
        return False
    if of.lower is None or of.upper is None:
        return True
    return _by_limits(of.lower, of.upper, demand.threshold) is Outcome.EXTEND


def _units_wanted(demand: Demand, case: Case) -> int:
    return provable_from(demand.threshold, confidence=confidence(demand, case.terms))


def _add_rare_class(demand: Demand, of: Interval | None, case: Case, findings: _Findings) -> None:
    estimate = of.estimate if of else None
    low = estimate is not None and estimate < demand.threshold
    units, wanted = (of.units if of else 0), _units_wanted(demand, case)
    sentence = sentences.rare_class(demand.name, units=units, wanted=wanted, estimate=estimate, low=low)
    if low:
        findings.criteria.append((_criterion(demand, of, Outcome.EXTEND), sentence))
    else:
        findings.remarks.append(sentence)


def _remark_on(kind: Kind, case: Case, findings: _Findings) -> None:
    scores = [case.scores[task] for task in TASKS_OF_KIND[kind] if task in case.scores]
    incomplete = sorted({item for score in scores for item in score.coverage.incomplete})
    excused = sorted({item for score in scores for item in score.coverage.excused})
    if incomplete:
        findings.remarks.append(sentences.incomplete(kind, incomplete))
    if excused:
        findings.remarks.append(sentences.excused(kind, excused))
    own = [each for each, _ in findings.criteria if each.kind is kind and not each.name.endswith(_COMPLETE)]
    if not own:
        findings.remarks.append(sentences.nothing_demanded(kind))
    if case.terms.acceptance.rule == "aql":
        return  # the plan says how many items it takes
    extend_to = case.terms.acceptance.sampling.extend_to
    checked = max((score.coverage.items for score in scores), default=0)
    if checked >= extend_to and any(criterion.outcome is Outcome.EXTEND for criterion in own):
        findings.remarks.append(sentences.exhausted(kind, extend_to=extend_to))
