"""Where a lot stands: the state that its events add up to, and what of the terms decides the next step."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from contract.terms import Deadline, Terms
from contract.verdict import Outcome


class Phase(str, Enum):
    """Where a lot stands."""

    OPEN = "open"  # nothing was sealed
    SEALED = "sealed"  # the automatic checks are due
    RETURNED = "returned"  # incomplete: to be completed, which is no rework
    CHECKED = "checked"
    SAMPLED = "sampled"
    GOLD_CHECK = "gold_check"  # gold came in for the submission
    EXTENDED = "extended"  # the verdict asks for a larger sample
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    DISPUTED = "disputed"
    SETTLED = "settled"


UNDER_JUDGEMENT: Final = frozenset({Phase.RETURNED, Phase.CHECKED, Phase.SAMPLED, Phase.GOLD_CHECK, Phase.EXTENDED})


@dataclass(frozen=True)
class Rules:
    """What of the terms decides which step may follow."""

    max_rounds: int
    fresh_sample: bool
    full: bool  # every item is checked, so that nothing is drawn
    dispute_workdays: int
    deadline: Deadline


@dataclass(frozen=True)
class Standing:
    """The verdict that stands; `first` is when the submission was first judged, from which the dispute's days count."""

    number: int
    sha256: str
    outcome: Outcome
    submission: int
    gold: int
    sample: int | None
    time: datetime.datetime
    first: datetime.datetime


@dataclass(frozen=True)
class Delivery:
    """The last sealing of a round, and the day of the rejection that the round answers (None for the first delivery)."""

    round: int
    submission: int
    sealed: datetime.datetime
    rejected: datetime.datetime | None


@dataclass(frozen=True)
class Life:
    """The state of a lot.

    `commitments` are those not yet used by a draw, party -> digest, and `bound` those of them that were published before the
    present submission was sealed; `spent` are those whose nonces a draw has shown; `judged` are the verdicts that stood, the
    newest last.
    """

    phase: Phase = Phase.OPEN
    events: int = 0
    head: str | None = None
    round: int = 0
    submission: int | None = None
    seal: str | None = None
    submissions: frozenset[int] = frozenset()
    golds: frozenset[int] = frozenset()
    commitments: Mapping[str, str] = field(default_factory=dict)
    bound: Mapping[str, str] = field(default_factory=dict)
    spent: frozenset[str] = frozenset()
    draws: int = 0
    sample: int | None = None
    judged: tuple[Standing, ...] = ()
    contested: frozenset[str] = frozenset()
    ruled: frozenset[str] = frozenset()
    deliveries: tuple[Delivery, ...] = ()
    returns: int = 0
    statement: int | None = None

    @property
    def standing(self) -> Standing | None:
        """The verdict that stands for the present submission, if there is one."""
        last = self.judged[-1] if self.judged else None
        return last if last and last.submission == self.submission else None


def rules_of(terms: Terms) -> Rules:
    """Return the rules that `terms` set."""
    acceptance = terms.acceptance
    return Rules(
        max_rounds=acceptance.rework.max_rounds,
        fresh_sample=acceptance.rework.fresh_sample,
        full=acceptance.sampling.draw == "full",
        dispute_workdays=acceptance.gold.dispute_workdays,
        deadline=terms.deadline,
    )
