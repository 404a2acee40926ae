"""The life of a lot: a state machine whose state is nothing but what its events add up to.

    open -> sealed -> checked (or returned) -> sampled -> gold_check -> accepted, rejected or extended
    extended -> (sample extended, more gold) -> verdict     rejected -> sealed: rework k of K, with a fresh sample
    accepted, rejected, extended -> disputed -> verdict     accepted -> settled
    where nothing was drawn on record: gold_check, extended, accepted -> sealed

What does not follow is refused in one sentence. A verdict on an earlier submission, or one reached again after the lot was
accepted or rejected, is kept on record and moves nothing: only a dispute changes the verdict that stands.
"""

from collections.abc import Iterable
from dataclasses import replace

from contract.errors import StageError
from contract.life.events import (
    Checked,
    Committed,
    Disputed,
    Drawn,
    Event,
    Extended,
    GoldSealed,
    Judged,
    Resolved,
    Returned,
    Sealed,
    Settled,
)
from contract.life.rules import blocked, refusal
from contract.life.state import UNDER_JUDGEMENT, Delivery, Life, Phase, Rules, Standing
from contract.verdict import Outcome


def replay(events: Iterable[tuple[Event, str]], rules: Rules, *, lot: str) -> Life:
    """Return the state that `events`, each with its digest, add up to.

    Raises:
        StageError: an event could not follow the ones before it.
    """
    life = Life()
    for event, sha256 in events:
        life = step(life, event, sha256, rules=rules, lot=lot)
    return life


def step(life: Life, event: Event, sha256: str, *, rules: Rules, lot: str) -> Life:
    """Return the state after `event`, whose digest is `sha256`.

    Raises:
        StageError: it may not follow; the sentence names the state and what is possible.
    """
    why = _chain_problem(life, event) or blocked(event.event, life, rules, at=event.time) or _detail_problem(event, life)
    if why:
        raise StageError(refusal(lot, life, rules, why))
    return replace(_moved(life, event, rules), events=life.events + 1, head=sha256)


def _chain_problem(life: Life, event: Event) -> str | None:
    if event.number != life.events + 1:
        return f"event {event.number} stands where event {life.events + 1} is due: one is missing or out of order"
    if event.previous_sha256 != life.head:
        return f"event {event.number} does not follow the event before it: one of them was changed"
    return None


def _detail_problem(event: Event, life: Life) -> str | None:
    """Return what of the event itself does not fit, or None."""
    if isinstance(event, Committed):
        if event.party in life.commitments:
            return f"the {event.party} has published its commitment"
        if event.commitment in life.spent:
            return "that nonce was shown in an earlier draw, so that a sample made with it could be foreseen; make a new one"
        return "both commitments are the same" if event.commitment in life.commitments.values() else None
    if isinstance(event, Sealed):
        return _seal_problem(event, life)
    if isinstance(event, GoldSealed):
        return f"gold {event.gold} is on record" if event.gold in life.golds else None
    if isinstance(event, Checked | Drawn) and event.submission != life.submission:
        return f"submission {event.submission} is not the present one, which is {life.submission}"
    if isinstance(event, Extended) and event.extends != life.sample:
        return f"sample {event.extends} is not the one in force, which is {life.sample}"
    if isinstance(event, Judged):
        return _verdict_problem(event, life)
    return _dispute_problem(event, life)


def _seal_problem(event: Sealed, life: Life) -> str | None:
    if event.submission in life.submissions:
        return f"submission {event.submission} is on record"
    due = life.round + (life.phase is Phase.REJECTED)
    return f"round {due} is due, not {event.round}" if event.round != due else None


def _verdict_problem(event: Judged, life: Life) -> str | None:
    if event.submission not in life.submissions:
        return f"submission {event.submission} was not sealed on record; import it again"
    if event.gold not in life.golds:
        return f"gold {event.gold} was not sealed on record; import it again"
    return None


def _dispute_problem(event: Event, life: Life) -> str | None:
    standing = life.standing
    if isinstance(event, Disputed | Resolved | Settled) and (standing is None or event.verdict != standing.number):
        return f"verdict {event.verdict} is not the one that stands, which is {standing.number if standing else 'none'}"
    if isinstance(event, Disputed) and (again := sorted(life.ruled & set(event.items))):
        return f"the arbiter has ruled on {', '.join(again[:3])}"
    if isinstance(event, Resolved) and standing:
        if event.gold not in life.golds:
            return f"gold {event.gold} was not sealed on record; import it again"
        if event.new_verdict is None and (event.outcome, event.gold) != (standing.outcome, standing.gold):
            return "gold and outcome cannot change without a new verdict"
    return None


def _moved(life: Life, event: Event, rules: Rules) -> Life:
    """Return the state after a legal event."""
    if isinstance(event, Committed):
        return replace(life, commitments={**life.commitments, event.party: event.commitment})
    if isinstance(event, Sealed):
        return _after_seal(life, event, rules)
    if isinstance(event, Checked):
        complete = Phase.SAMPLED if life.sample is not None else Phase.CHECKED
        return replace(life, phase=Phase.RETURNED if event.unlabelled else complete)
    if isinstance(event, Returned):
        return replace(life, returns=life.returns + 1)
    if isinstance(event, GoldSealed):
        awaited = life.phase in {Phase.CHECKED, Phase.SAMPLED, Phase.EXTENDED}
        return replace(life, golds=life.golds | {event.gold}, phase=Phase.GOLD_CHECK if awaited else life.phase)
    if isinstance(event, Drawn):
        return _after_draw(life, event)
    if isinstance(event, Extended):
        return replace(life, phase=Phase.SAMPLED, sample=event.sample)
    if isinstance(event, Judged):
        return _after_verdict(life, event)
    return _after_dispute(life, event)


def _after_draw(life: Life, event: Drawn) -> Life:
    # The nonces of a draw were shown, so that they cannot serve for another.
    return replace(
        life,
        phase=Phase.GOLD_CHECK if life.phase is Phase.GOLD_CHECK else Phase.SAMPLED,
        sample=event.sample,
        draws=life.draws + 1,
        spent=life.spent | set(life.bound.values()),
        commitments={},
        bound={},
    )


def _after_seal(life: Life, event: Sealed, rules: Rules) -> Life:
    answers = life.standing.time if life.phase is Phase.REJECTED and life.standing else None
    if life.deliveries and life.deliveries[-1].round == event.round:
        answers = life.deliveries[-1].rejected
    delivery = Delivery(event.round, event.submission, event.time, answers)
    kept = tuple(each for each in life.deliveries if each.round != event.round)
    return replace(
        life,
        phase=Phase.SEALED,
        round=event.round,
        submission=event.submission,
        seal=event.seal,
        submissions=life.submissions | {event.submission},
        bound=life.commitments,
        sample=None if rules.fresh_sample else life.sample,
        contested=frozenset(),
        ruled=frozenset(),
        deliveries=(*kept, delivery),
    )


def _phase_of(outcome: Outcome, life: Life) -> Phase:
    if outcome is Outcome.EXTEND:
        return Phase.RETURNED if life.phase is Phase.RETURNED else Phase.EXTENDED
    return Phase.ACCEPTED if outcome is Outcome.ACCEPT else Phase.REJECTED


def _after_verdict(life: Life, event: Judged) -> Life:
    if event.submission != life.submission or life.phase not in UNDER_JUDGEMENT:
        return life
    first = life.standing.first if life.standing else event.time
    standing = Standing(
        event.verdict, event.verdict_sha256, event.outcome, event.submission, event.gold, event.sample, event.time, first
    )
    return replace(life, phase=_phase_of(event.outcome, life), judged=(*life.judged, standing))


def _after_dispute(life: Life, event: Event) -> Life:
    if isinstance(event, Disputed):
        return replace(life, phase=Phase.DISPUTED, contested=frozenset(event.items))
    if isinstance(event, Settled):
        return replace(life, phase=Phase.SETTLED, statement=event.statement)
    if not isinstance(event, Resolved) or life.standing is None:
        return life
    ruled = replace(
        life,
        phase=_phase_of(event.outcome, life),
        contested=frozenset(),
        ruled=life.ruled | life.contested,
    )
    if event.new_verdict is None:
        return ruled
    standing = replace(
        life.standing,
        number=event.new_verdict,
        sha256=event.verdict_sha256,
        outcome=event.outcome,
        gold=event.gold,
        time=event.time,
    )
    return replace(ruled, judged=(*life.judged, standing))
