"""The clocks of a contract: delivery, secrecy, deletion and record keeping, each with a beginning and a last day.

Delivery counts working days, which stand still while a blocker that the client caused is open. The other three begin with
the end of the contract: what was learned stays secret, personal data go back or are deleted, and records are kept, each for
a time of its own. A span of years ends on the day of the same date, or on the last of the month where it has none (PRC Civil
Code, articles 201 and 202).
"""

import calendar
import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from contract.guideline import Strict

if TYPE_CHECKING:
    from contract.terms import Deadline

ClockName = Literal["delivery", "secrecy", "deletion", "records"]
Years = Annotated[int, Field(gt=0, le=100)]


class Clocks(Strict):
    """What begins with the end of the contract."""

    secrecy_years: Years
    delete_within_days: Annotated[int, Field(ge=0, le=3660)]
    records_years: Years


@dataclass(frozen=True)
class Clock:
    """One clock: its last day, or why it does not run; `stopped` are the working days that did not count."""

    name: ClockName
    begins: datetime.date | None
    ends: datetime.date | None
    why: str | None = None
    stopped: int = 0

    def days_left(self, today: datetime.date) -> int | None:
        """Return the days from `today` to the last day; negative when it has passed."""
        return None if self.ends is None else (self.ends - today).days


def stopped_days(
    spans: Iterable[tuple[datetime.date, datetime.date | None]], today: datetime.date
) -> frozenset[datetime.date]:
    """Return the days that do not count: from the day after a blocker opened to that on which it closed, or to `today`.

    The day on which it opened counts, as the day on which a span begins does not count towards it. Blockers that overlap
    stop a day once.
    """
    days: set[datetime.date] = set()
    for opened, closed in spans:
        last = today if closed is None else closed
        days.update(opened + datetime.timedelta(days=number) for number in range(1, (last - opened).days + 1))
    return frozenset(days)


def with_stops(deadline: "Deadline", days: frozenset[datetime.date]) -> "Deadline":
    """Return `deadline` with `days` as days on which nobody can work."""
    changes = {
        "holidays": tuple(sorted({*deadline.holidays, *days})),
        "makeup_workdays": tuple(day for day in deadline.makeup_workdays if day not in days),
    }
    return deadline.model_copy(update=changes)


def years_after(day: datetime.date, years: int) -> datetime.date:
    """Return the day of the same date `years` later, or the last of its month where there is none."""
    last = calendar.monthrange(day.year + years, day.month)[1]
    return day.replace(year=day.year + years, day=min(day.day, last))


def clocks_of(
    deadline: "Deadline",
    clocks: Clocks | None,
    *,
    ended: datetime.date | None,
    stopped: frozenset[datetime.date] = frozenset(),
) -> list[Clock]:
    """Return all four clocks.

    Args:
        deadline: of the terms.
        clocks: of the terms; None where they say nothing.
        ended: the day on which the contract ended; None while it has not.
        stopped: days on which the client held up the work.
    """
    due = with_stops(deadline, stopped).due_date()
    lost = sum(deadline.is_workday(day) for day in stopped if deadline.start < day <= due)
    delivery = Clock("delivery", deadline.start, due, stopped=lost)
    if clocks is None:
        why = "the terms have no section clocks; agree on one and add it"
    elif ended is None:
        why = "the contract has not ended"
    else:
        ends: dict[ClockName, datetime.date] = {
            "secrecy": years_after(ended, clocks.secrecy_years),
            "deletion": ended + datetime.timedelta(days=clocks.delete_within_days),
            "records": years_after(ended, clocks.records_years),
        }
        return [delivery, *(Clock(name, ended, day) for name, day in ends.items())]
    names: tuple[ClockName, ...] = ("secrecy", "deletion", "records")
    return [delivery, *(Clock(name, None, None, why) for name in names)]
