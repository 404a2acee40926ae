"""How many device-hours a contract's volumes take at a measured rate, and how many devices keep its deadline.

Work divides: chunks are independent, so that n devices take an n-th of the time. A device works `utilisation` of the hours
that it is held; the rest goes to starts, reruns and waiting. The day of the contract's start does not count, the day on
which drafts are due does (PRC Civil Code, articles 201 and 203).
"""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from contract.tables import Kind

_CENT: Final = Decimal("0.01")
_EDGE: Final = 1e-9
_SIZES: Final = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Need:
    """What is to be done by when, and at which rates.

    Args:
        volumes: images, texts, and hours of video that are ordered.
        rates: of one device: images a second, texts a second, hours of video an hour; a kind may be left out.
        start: the contract's start.
        due: its last day.
        reserve_days: calendar days at the end that are kept for people.
        utilisation: share of the hours held in which a device works, over 0 and at most 1.
        hours_a_day: over 0 and at most 24.
        price: of a device for an hour; None if nobody says.
        devices: how many there are; None if that is asked.
    """

    volumes: Mapping[Kind, float]
    rates: Mapping[Kind, float]
    start: datetime.date
    due: datetime.date
    reserve_days: int = 0
    utilisation: float = 0.8
    hours_a_day: float = 24.0
    price: Decimal | None = None
    devices: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise ValueError(f"a utilisation of {self.utilisation:g} is not over 0 and at most 1")
        if not 0 < self.hours_a_day <= 24:
            raise ValueError(f"{self.hours_a_day:g} hours a day are not over 0 and at most 24")
        if any(not 0 < rate < math.inf for rate in self.rates.values()):
            raise ValueError("a rate must be over 0")
        if self.devices is not None and self.devices < 1:
            raise ValueError("there must be a device")
        if self.price is not None and self.price < 0:
            raise ValueError("a price must not be below 0")
        if self.days < 1:
            raise ValueError(f"of the days from {self.start} to {self.due} none is left for drafts")

    @property
    def days(self) -> int:
        """Calendar days in which drafts may be made."""
        return (self.due - self.start).days - self.reserve_days

    @property
    def drafts_due(self) -> datetime.date:
        """The last of these days."""
        return self.start + datetime.timedelta(days=self.days)


@dataclass(frozen=True)
class Part:
    """One kind: `hours` of devices, None with a reason where no rate is known."""

    kind: Kind
    volume: float
    rate: float | None
    hours: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Choice:
    """So many devices: `days` of calendar time, the day on which drafts are done, and the days that are left then."""

    devices: int
    days: float
    done: datetime.date
    days_left: int

    @property
    def in_time(self) -> bool:
        """Whether drafts are done by the day on which they are due."""
        return self.days_left >= 0


@dataclass(frozen=True)
class Capacity:
    """The plan: of all kinds together, None with a reason where a rate is not known."""

    need: Need
    parts: tuple[Part, ...]
    hours: float | None
    fewest: int | None
    cost: Decimal | None
    choices: tuple[Choice, ...]
    reason: str | None = None

    @property
    def chosen(self) -> Choice | None:
        """The devices that there are, or the fewest that are in time."""
        wanted = self.need.devices or self.fewest
        return next((choice for choice in self.choices if choice.devices == wanted), None)


def capacity(need: Need) -> Capacity:
    """Return what `need` takes."""
    parts = tuple(_part(kind, volume, need) for kind, volume in need.volumes.items() if volume)
    hours = [part.hours for part in parts]
    known = [each for each in hours if each is not None]
    if len(known) < len(hours) or not known:
        lacking = ", ".join(part.kind.value for part in parts if part.hours is None)
        reason = f"no rate of {lacking} items is known" if lacking else "the contract orders nothing"
        return Capacity(need, parts, None, None, None, (), reason)
    total = math.fsum(known)
    fewest = max(1, math.ceil(total / (need.days * need.hours_a_day) - _EDGE))
    sizes = {*_SIZES, fewest, *([need.devices] if need.devices else [])}
    choices = tuple(_choice(size, total, need) for size in sorted(sizes))
    cost = None if need.price is None else (need.price * _hundredths(total)).quantize(_CENT, ROUND_HALF_UP)
    return Capacity(need, parts, total, fewest, cost, choices)


def _part(kind: Kind, volume: float, need: Need) -> Part:
    rate = need.rates.get(kind)
    if rate is None:
        return Part(kind, volume, None, None, f"no rate of {kind.value} items is known")
    working = volume / rate if kind is Kind.VIDEO else volume / rate / 3600
    return Part(kind, volume, rate, working / need.utilisation)


def _hundredths(hours: float) -> Decimal:
    """Return `hours` rounded up to hundredths, as devices are billed by no less."""
    return Decimal(math.ceil(hours * 100 - _EDGE)) / 100


def _choice(devices: int, hours: float, need: Need) -> Choice:
    days = hours / devices / need.hours_a_day
    done = need.start + datetime.timedelta(days=max(1, math.ceil(days - _EDGE)))
    return Choice(devices, days, done, (need.drafts_due - done).days)
