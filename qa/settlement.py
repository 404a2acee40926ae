"""What is owed: accepted quantity times price, less deductions and damages for lateness, to the cent.

Every number is a Decimal: a float would round 2.675 to 2.67. Products are exact, and each line is rounded once, half up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Literal

from contract.settlement import Settlement
from contract.tables import Kind

_CENT = Decimal("0.01")
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
Reason = Literal["accepted", "deduction", "late"]


def money(value: Decimal | int | str) -> Decimal:
    """Return `value` rounded half up to 0.01.

    Raises:
        TypeError: it is a float.
    """
    return _exact(value).quantize(_CENT, context=_EXACT)


def price_of(quantity: Decimal | int | str, unit_price: Decimal | int | str) -> Decimal:
    """Return quantity times unit price, to the cent."""
    return money(_EXACT.multiply(_exact(quantity), _exact(unit_price)))


def late_damages(amount: Decimal | int | str, *, per_day: Decimal | int | str, days: int) -> Decimal:
    """Return the damages for `days` of lateness on `amount`, to the cent and before any cap."""
    return money(_EXACT.multiply(_EXACT.multiply(_exact(amount), _exact(per_day)), Decimal(days)))


def _exact(value: Decimal | int | str) -> Decimal:
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float; money is counted in Decimal")
    return Decimal(value)


@dataclass(frozen=True)
class AcceptedLot:
    """A lot with an accepting verdict.

    Attributes:
        lot: its name.
        verdict: the verdict's number.
        verdict_sha256: digest of the verdict's file.
        quantities: accepted items of each kind; of videos the hours.
        estimates: the verdict's criteria, name -> estimate.
        late_days: calendar days of lateness.
    """

    lot: str
    verdict: int
    verdict_sha256: str
    quantities: Mapping[Kind, Decimal]
    estimates: Mapping[str, Decimal]
    late_days: int


@dataclass(frozen=True)
class Line:
    """A line of the statement: `amount` is negative where it is taken off; `formula` says how it came about."""

    lot: str
    reason: Reason
    kind: Kind | None
    amount: Decimal
    formula: str
    verdict: int
    verdict_sha256: str


@dataclass(frozen=True)
class Statement:
    """All lines and their sums; `late_limit` is the most that lateness may cost over the whole contract."""

    lines: tuple[Line, ...]
    accepted: Decimal
    deducted: Decimal
    late: Decimal
    late_limit: Decimal
    net: Decimal


def statement(lots: Sequence[AcceptedLot], settlement: Settlement, *, ordered: Mapping[Kind, Decimal]) -> Statement:
    """Return what is owed for `lots`, in their order, which is also the order in which the cap is used up.

    Args:
        lots: the accepted lots.
        settlement: prices and rules of the terms.
        ordered: what the contract orders of each kind (hours of video), whose price bounds the damages for lateness.
    """
    limit = money(_EXACT.multiply(_contract_price(settlement, ordered), _exact(settlement.late_cap)))
    lines: list[Line] = []
    left = limit
    for lot in lots:
        own = [*_of_kinds(lot, settlement)]
        gross = sum((line.amount for line in own if line.reason == "accepted"), Decimal(0))
        lines += own
        if lot.late_days:
            late = _late_line(lot, gross, settlement, left)
            left += late.amount
            lines.append(late)
    sums = {reason: sum((line.amount for line in lines if line.reason == reason), Decimal("0.00")) for reason in _REASONS}
    return Statement(
        lines=tuple(lines),
        accepted=sums["accepted"],
        deducted=-sums["deduction"] + Decimal("0.00"),
        late=-sums["late"] + Decimal("0.00"),
        late_limit=limit,
        net=sum(sums.values(), Decimal("0.00")),
    )


_REASONS: tuple[Reason, ...] = ("accepted", "deduction", "late")


def _contract_price(settlement: Settlement, ordered: Mapping[Kind, Decimal]) -> Decimal:
    prices = {kind: settlement.unit_price.of(kind) for kind in ordered}
    return sum((price_of(ordered[kind], price) for kind, price in prices.items() if price is not None), Decimal(0))


def _of_kinds(lot: AcceptedLot, settlement: Settlement) -> Iterable[Line]:
    for kind, quantity in lot.quantities.items():
        price = settlement.unit_price.of(kind)
        if price is None or not quantity:
            continue
        amount = price_of(quantity, price)
        yield _line(lot, "accepted", kind, amount, f"{quantity} x {price} = {amount}")
        yield from _deductions(lot, kind, amount, settlement)


def _deductions(lot: AcceptedLot, kind: Kind, amount: Decimal, settlement: Settlement) -> Iterable[Line]:
    largest: dict[str, tuple[Decimal, str]] = {}
    for step in settlement.deductions:
        estimate = lot.estimates.get(step.criterion)
        if step.kind is kind and estimate is not None and estimate < Decimal(step.below):
            share = Decimal(step.share)
            if share > largest.get(step.criterion, (Decimal(-1), ""))[0]:
                largest[step.criterion] = (share, step.below)
    for criterion, (share, below) in sorted(largest.items()):
        taken = price_of(amount, share)
        said = f"{criterion} {lot.estimates[criterion]} is below {below}: {amount} x {share} = {taken}"
        yield _line(lot, "deduction", kind, -taken, said)


def _late_line(lot: AcceptedLot, gross: Decimal, settlement: Settlement, left: Decimal) -> Line:
    full = late_damages(gross, per_day=settlement.late_per_day, days=lot.late_days)
    charged = min(full, left)
    said = f"{gross} x {settlement.late_per_day} x {lot.late_days} days = {full}"
    capped = "" if charged == full else f", of which the cap leaves {charged}"
    return _line(lot, "late", None, -charged, said + capped)


def _line(lot: AcceptedLot, reason: Reason, kind: Kind | None, amount: Decimal, formula: str) -> Line:
    return Line(lot.lot, reason, kind, amount, formula, lot.verdict, lot.verdict_sha256)
