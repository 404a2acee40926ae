"""Which step may follow in the life of a lot, and why another may not."""

import datetime
from types import MappingProxyType
from typing import Final

from contract.life.state import Life, Phase, Rules
from contract.terms import Deadline


def describe(life: Life, rules: Rules) -> str:
    """Return phase and round in words, for example 'rejected (round 1 of 2)'."""
    return f"{life.phase.value} (round {life.round} of {rules.max_rounds})" if life.round else life.phase.value


_MAY_SEAL: Final = frozenset({Phase.OPEN, Phase.SEALED, Phase.RETURNED, Phase.CHECKED, Phase.REJECTED})
# Where nothing was drawn and nobody has committed, no sample can leak: a newer submission may take the place of one that
# was scored, or even accepted, and has to be judged itself.
_MAY_REPLACE: Final = frozenset({Phase.GOLD_CHECK, Phase.EXTENDED, Phase.ACCEPTED})
_PHASES: Final = MappingProxyType(
    {
        "committed": frozenset({Phase.OPEN, Phase.RETURNED, Phase.REJECTED}),
        "sealed": _MAY_SEAL,
        "checked": frozenset({Phase.SEALED, Phase.RETURNED}),
        "returned": _MAY_SEAL,
        "gold": frozenset(Phase) - {Phase.SETTLED},
        "drawn": frozenset({Phase.CHECKED, Phase.GOLD_CHECK, Phase.EXTENDED}),
        "extended": frozenset({Phase.SAMPLED, Phase.GOLD_CHECK, Phase.EXTENDED}),
        "judged": frozenset(Phase) - {Phase.OPEN, Phase.SEALED},
        "disputed": frozenset({Phase.EXTENDED, Phase.REJECTED, Phase.ACCEPTED}),
        "resolved": frozenset({Phase.DISPUTED}),
        "settled": frozenset({Phase.ACCEPTED}),
    }
)
_WORDS: Final = MappingProxyType(
    {
        "committed": "a commitment (goldgate sample commit)",
        "sealed": "a submission (goldgate import --as submission)",
        "gold": "gold (goldgate import --as gold)",
        "drawn": "a draw (goldgate sample draw)",
        "extended": "a larger sample (goldgate sample extend)",
        "judged": "a verdict (goldgate accept)",
        "disputed": "a dispute (goldgate dispute open)",
        "resolved": "the arbiter's ruling (goldgate dispute resolve)",
        "settled": "settlement (goldgate settle)",
    }
)


def may_follow(life: Life, rules: Rules) -> list[str]:
    """Return, in words, what people may do next; the settled lot has nothing left but to be read."""
    found = [words for kind, words in _WORDS.items() if not blocked(kind, life, rules)]
    return found or ["nothing more"]


def refusal(lot: str, life: Life, rules: Rules, why: str) -> str:
    """Return the sentence that refuses a step: the state, why not, and what is possible."""
    return f"lot {lot!r} is {describe(life, rules)}: {why}; possible now: {', '.join(may_follow(life, rules))}"


def blocked(kind: str, life: Life, rules: Rules, *, at: datetime.datetime | None = None) -> str | None:
    """Return why no event of `kind` may follow, or None; `at` is when, where time matters."""
    replaces = kind in ("sealed", "returned") and life.phase in _MAY_REPLACE and not (life.draws or life.commitments)
    if life.phase not in _PHASES[kind] and not replaces:
        return f"{_WORDS.get(kind, 'that step')} does not follow"
    exhausted = life.phase is Phase.REJECTED and life.round >= rules.max_rounds
    if kind in ("committed", "sealed", "returned") and exhausted:
        return (
            f"all {rules.max_rounds} rounds of rework are used; what remains is the inspection of every item at the "
            "vendor's cost, or the end of the contract, as its terms say"
        )
    reason = {
        "committed": _no_commitment,
        "sealed": _no_seal,
        "drawn": _no_draw,
        "extended": _no_sample,
        "returned": _no_seal,
    }.get(kind)
    if reason and (why := reason(life, rules)):
        return why
    if kind == "judged" and not (life.golds and life.submissions):
        return "there is no gold yet to judge by"
    if kind == "disputed":
        return _no_dispute(life, rules, at)
    return None


def _no_commitment(life: Life, rules: Rules) -> str | None:
    if rules.full:
        return "the terms check every item, so that nothing is drawn"
    return "both parties have published their commitments" if len(life.commitments) == 2 else None


def _no_seal(life: Life, rules: Rules) -> str | None:
    # With both nonces committed they may have been shown to the other side, who would then know the sample.
    if life.phase is Phase.CHECKED and len(life.bound) == 2:
        return "the submission is complete and both nonces are committed, so that the draw comes next"
    # Whoever knew the earlier sample could mend that alone; so the next one must be drawn, and cannot be foreseen.
    if life.draws and rules.fresh_sample and not rules.full and len(life.commitments) < 2:
        return "a fresh sample is due, for which both parties commit themselves before the reworked submission is sealed"
    return None


def _no_draw(life: Life, rules: Rules) -> str | None:
    if life.sample is not None:
        return f"sample {life.sample} is in force"
    if not rules.full and len(life.bound) < 2:
        return "no draw is possible without both parties' commitments from before the submission was sealed"
    return None


def _no_sample(life: Life, rules: Rules) -> str | None:
    return "there is no sample to extend" if life.sample is None else None


def _no_dispute(life: Life, rules: Rules, at: datetime.datetime | None) -> str | None:
    if life.standing is None:
        return "there is no verdict to contest"
    last = workdays_after(rules.deadline, life.standing.first.date(), rules.dispute_workdays)
    if at is not None and at.date() > last:
        return f"gold could be contested until {last}, {rules.dispute_workdays} working days after the verdict"
    return None


def workdays_after(deadline: Deadline, day: datetime.date, days: int) -> datetime.date:
    """Return the `days`-th working day after `day` by the calendar of the terms; `day` itself for 0."""
    while days > 0:
        day += datetime.timedelta(days=1)
        days -= deadline.is_workday(day)
    return day
