"""A plan of capacity in words and as a table, Chinese and English, and as a document."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from contract.tables import Kind
from qa.capacity import Capacity, Choice
from qa.words.wording import Words

KINDS: Final = {Kind.IMAGE: Words("图像", "images"), Kind.TEXT: Words("文本", "texts"), Kind.VIDEO: Words("视频", "video")}
_UNITS: Final = {Kind.IMAGE: Words("张", ""), Kind.TEXT: Words("条", ""), Kind.VIDEO: Words("小时", " h")}
_RATES: Final = {
    Kind.IMAGE: Words("张/秒", "images/s"),
    Kind.TEXT: Words("条/秒", "texts/s"),
    Kind.VIDEO: Words("小时/小时", "h of video/h"),
}


def capacity_words(plan: Capacity, *, currency: str | None, contract_price: Decimal | None, table: bool = True) -> Words:
    """Return the plan as paragraphs with a table.

    Args:
        plan: what was computed.
        currency: of the price of a device; None if there is none.
        contract_price: of all that the contract orders, in the same currency; None if not known.
        table: whether the choices are listed.
    """
    zh, en = [], []
    for words in (*_parts(plan), *_whole(plan, currency, contract_price), *(_table(plan) if table else ())):
        zh.append(words.zh)
        en.append(words.en)
    return Words("\n".join(zh), "\n".join(en))


def amount(value: float) -> str:
    """Return hours or days to a few digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _parts(plan: Capacity) -> Iterator[Words]:
    need = plan.need
    yield Words(
        f"产能计划: 设备利用率 {need.utilisation:.0%}, 每天 {need.hours_a_day:g} 小时, {need.start} 次日起至 "
        f"{need.drafts_due} 共 {need.days} 天",
        f"Plan: devices work {need.utilisation:.0%} of {need.hours_a_day:g} hours a day, on {need.days} days after "
        f"{need.start} up to {need.drafts_due}",
    )
    if need.reserve_days:
        yield Words(
            f"  期限 {need.due} 前的 {need.reserve_days} 天留给人工",
            f"  {need.reserve_days} days before the deadline of {need.due} are kept for people",
        )
    for part in plan.parts:
        name, unit, rate = KINDS[part.kind], _UNITS[part.kind], _RATES[part.kind]
        volume = f"{part.volume:,.12g}"
        if part.hours is None or part.rate is None:
            yield Words(f"  {name.zh} {volume} {unit.zh}: 速率未知", f"  {name.en} {volume}{unit.en}: no rate is known")
        else:
            yield Words(
                f"  {name.zh} {volume} {unit.zh}, 单台 {part.rate:,.6g} {rate.zh}: {amount(part.hours)} 台时",
                f"  {name.en} {volume}{unit.en} at {part.rate:,.6g} {rate.en} a device: {amount(part.hours)} device-hours",
            )


def _whole(plan: Capacity, currency: str | None, contract_price: Decimal | None) -> Iterator[Words]:
    if plan.hours is None or plan.fewest is None:
        yield Words("  合计: 无法得出 (有速率未知)", f"  together: undefined, since {plan.reason}")
        return
    several = "s" if plan.fewest > 1 else ""
    yield Words(
        f"  合计 {amount(plan.hours)} 台时; 按期至少需 {plan.fewest} 台",
        f"  together {amount(plan.hours)} device-hours; at least {plan.fewest} device{several} to be in time",
    )
    if plan.cost is not None:
        share = f"{plan.cost / contract_price:.2%}" if contract_price else None
        yield Words(
            f"  费用 {plan.cost:,} {currency or ''}" + (f", 占合同价款 {contract_price:,} 的 {share}" if share else ""),
            f"  cost {plan.cost:,} {currency or ''}" + (f", {share} of the contract's {contract_price:,}" if share else ""),
        )


def _table(plan: Capacity) -> Iterator[Words]:
    if not plan.choices:
        return
    yield Words("  台数      天数  完成日期      余天", "  devices   days  done        days left")
    for choice in plan.choices:
        mark = " <" if choice == plan.chosen else ""
        late = Words("" if choice.in_time else " 逾期", "" if choice.in_time else " LATE")
        row = f"{choice.devices:>6}  {amount(choice.days):>8}  {choice.done}  {choice.days_left:>6}"
        yield Words(f"{row}{late.zh}{mark}", f"{row}{late.en}{mark}")


def as_document(plan: Capacity, *, currency: str | None, contract_price: Decimal | None) -> dict[str, Any]:
    """Return the plan for JSON; what is not known is null with a reason, money is text."""
    need = plan.need
    return {
        "start": str(need.start),
        "due": str(need.due),
        "drafts_due": str(need.drafts_due),
        "days": need.days,
        "utilisation": need.utilisation,
        "hours_a_day": need.hours_a_day,
        "kinds": [
            {
                "kind": part.kind.value,
                "volume": part.volume,
                "rate": part.rate,
                "unit": _RATES[part.kind].en,
                "device_hours": part.hours,
                "reason": part.reason,
            }
            for part in plan.parts
        ],
        "device_hours": plan.hours,
        "fewest_devices": plan.fewest,
        "reason": plan.reason,
        "price_per_device_hour": None if need.price is None else str(need.price),
        "currency": currency,
        "cost": None if plan.cost is None else str(plan.cost),
        "contract_price": None if contract_price is None else str(contract_price),
        "choices": [_choice(choice) for choice in plan.choices],
        "chosen": None if plan.chosen is None else _choice(plan.chosen),
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "devices": choice.devices,
        "days": round(choice.days, 4),
        "done": str(choice.done),
        "days_left": choice.days_left,
        "in_time": choice.in_time,
    }
