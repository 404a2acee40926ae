"""Switching rules between the severities of inspection (ISO 2859-1 and GB/T 2828.1), as a fold over a series of lots.

normal -> tightened: two of five or fewer consecutive lots not accepted. tightened -> normal: five consecutive lots
accepted. tightened -> discontinued: five lots not accepted in all while on tightened inspection. normal -> reduced: a
switching score of 30, steady production and the authority's consent. reduced -> normal: a lot not accepted, production
that is not steady, or consent withdrawn. Lots that were handed in again after a rejection count nowhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from contract.inspection import Level
from qa.sampling.aql import plan, plan_of, tighter

Inspection = Literal["normal", "tightened", "reduced", "discontinued"]

SCORE_FOR_REDUCED: Final = 30
_WINDOW: Final = 5
_REJECTED_IN_WINDOW: Final = 2
_ACCEPTED_IN_A_ROW: Final = 5
_REJECTED_WHILE_TIGHTENED: Final = 5


@dataclass(frozen=True)
class LotResult:
    """One lot's inspection: what the switching rules need to know of it."""

    accepted: bool
    accept_number: int  # Ac of the plan that was used
    passes_tighter: bool = False  # would it have been accepted with the AQL one step tighter
    original: bool = True  # False: handed in again after a rejection
    steady: bool = True  # production is steady
    consent: bool = True  # the responsible authority agrees to reduced inspection


@dataclass(frozen=True)
class Switching:
    """Where a series of lots stands."""

    inspection: Inspection = "normal"
    score: int = 0  # the switching score; counted on normal inspection only
    recent: tuple[bool, ...] = ()  # accepted or not, the latest lots since the last switch, at most five
    rejected_while_tightened: int = 0


def result_of(lot: int, nonconforming: int, *, aql: float, level: Level, inspection: Inspection) -> LotResult:
    """Judge a lot by its plan under `inspection`, with what the switching score needs.

    Raises:
        ValueError: inspection is discontinued, or the lot is outside the tables.
    """
    if inspection == "discontinued":
        raise ValueError("inspection is discontinued; no lot is judged before the vendor has improved")
    used = plan(lot, aql=aql, level=level, severity=inspection)
    stricter = tighter(aql)
    # with Ac of 2 or more the cell beside it is never an arrow, so that the sample size is the same
    limit = plan_of(used.letter, stricter).accept if stricter is not None and used.accept >= 2 else -1
    return LotResult(nonconforming <= used.accept, used.accept, passes_tighter=nonconforming <= limit)


def follow(lots: Iterable[LotResult], start: Switching | None = None) -> list[Switching]:
    """Return the state after each lot; the severity of a lot is that of the state before it."""
    states = []
    state = start or Switching()
    for lot in lots:
        state = after(state, lot)
        states.append(state)
    return states


def after(state: Switching, lot: LotResult) -> Switching:
    """Return the state after one more lot."""
    if not lot.original or state.inspection == "discontinued":
        return state
    recent = (*state.recent, lot.accepted)[-_WINDOW:]
    if state.inspection == "reduced":
        steady = lot.accepted and lot.steady and lot.consent
        return replace(state, recent=recent) if steady else Switching()
    if state.inspection == "tightened":
        return _after_tightened(state, recent)
    if recent.count(False) >= _REJECTED_IN_WINDOW:
        return Switching("tightened")
    score = _score(state.score, lot)
    if score >= SCORE_FOR_REDUCED and lot.steady and lot.consent:
        return Switching("reduced")
    return Switching("normal", score, recent)


def resume(state: Switching) -> Switching:
    """Return the state once the vendor has improved after a discontinuation: tightened inspection.

    Raises:
        ValueError: inspection was not discontinued.
    """
    if state.inspection != "discontinued":
        raise ValueError(f"inspection is {state.inspection}, so that there is nothing to resume")
    return Switching("tightened")


def _after_tightened(state: Switching, recent: tuple[bool, ...]) -> Switching:
    rejected = state.rejected_while_tightened + (not recent[-1])
    if rejected >= _REJECTED_WHILE_TIGHTENED:
        return Switching("discontinued")
    if len(recent) == _ACCEPTED_IN_A_ROW and all(recent):
        return Switching()
    return replace(state, recent=recent, rejected_while_tightened=rejected)


def _score(score: int, lot: LotResult) -> int:
    if lot.accept_number >= 2:
        return score + 3 if lot.accepted and lot.passes_tighter else 0
    return score + 2 if lot.accepted else 0
