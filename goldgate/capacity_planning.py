"""`goldgate plan --contract`: hours, devices and money for a contract's volumes, from rates that were measured."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median
from typing import Final

from contract.errors import InputError, StageError
from contract.files import read_parquet, write_bytes
from contract.receipts import ShardReceipt
from contract.tables import Kind
from contract.terms import Terms
from contract.workfolder import LotFolder
from goldgate.checking import media_of
from goldgate.console import EXIT_DONE, emit_json, emit_text
from goldgate.stages import open_stage, shown
from prelabel.handoff import runs_of
from prelabel.run import read_intake_receipt, read_manifest
from qa.capacity import Capacity, Need, capacity
from qa.report.capacity_plot import capacity_picture
from qa.words.capacitywords import as_document, capacity_words

_BREAK: Final = 10  # a gap of so many times the usual one is an interruption, not work
_ENOUGH: Final = 5  # receipts that tell what is usual


@dataclass(frozen=True)
class Measured:
    """Where rates come from: a lot's run, or what was typed; `devices` is how many made them."""

    lot: str | None = None
    run: str | None = None
    rates: Sequence[str] = ()
    devices: int = 1


@dataclass(frozen=True)
class Means:
    """What devices there are and what they cost; see `qa.capacity.Need`."""

    devices: int | None = None
    price: str | None = None
    currency: str | None = None
    utilisation: float = 0.8
    hours_a_day: float = 24.0
    reserve_days: int = 0


def plan_capacity(
    contract: Path, work: Path, measured: Measured, means: Means, *, picture: Path | None, as_json: bool
) -> int:
    """Print hours, devices and money for all that the contract orders, in Chinese and English; draw them into `picture`.

    Raises:
        InputError: a rate, a price or a share is none, or the picture is neither .svg nor .png.
        StageError: there is no such run.
    """
    stage = open_stage(contract, measured.lot or "none", work)
    rates = {} if measured.lot is None else rates_of_run(stage.lot.require(), measured.run)
    rates = {kind: rate / measured.devices for kind, rate in (rates | rates_of(measured.rates)).items()}
    plan = _planned(stage.terms, rates, means)
    currency, whole = _money(stage.terms, means)
    words = capacity_words(plan, currency=currency, contract_price=whole)
    if picture is not None:
        if plan.hours is None:
            raise InputError(f"{picture}: nothing to draw, since {plan.reason}; give it by --rate")
        captions = capacity_words(plan, currency=currency, contract_price=whole, table=False)
        write_bytes(picture, capacity_picture(plan, captions, media=media_of(picture)))
    if as_json:
        document = as_document(plan, currency=currency, contract_price=whole)
        emit_json({"contract": stage.terms.contract, **document, "zh": words.zh, "en": words.en})
    else:
        drawn = f"\n\npicture: {shown(picture)}" if picture is not None else ""
        emit_text(f"{words.zh}\n\n{words.en}{drawn}")
    return EXIT_DONE


def _planned(terms: Terms, rates: Mapping[Kind, float], means: Means) -> Capacity:
    volumes = terms.volumes
    try:
        price = None if means.price is None else Decimal(means.price)
        if price is not None and not price.is_finite():
            raise InputError(f"--price {means.price!r}: not a number")
        need = Need(
            volumes={Kind.IMAGE: volumes.images, Kind.TEXT: volumes.texts, Kind.VIDEO: volumes.video_hours},
            rates=rates,
            start=terms.deadline.start,
            due=terms.deadline.due_date(),
            reserve_days=means.reserve_days,
            utilisation=means.utilisation,
            hours_a_day=means.hours_a_day,
            price=price,
            devices=means.devices,
        )
    except InvalidOperation as error:
        raise InputError(f"--price {means.price!r}: not a number") from error
    except ValueError as error:
        raise InputError(f"plan: {error}") from error
    return capacity(need)


def _money(terms: Terms, means: Means) -> tuple[str | None, Decimal | None]:
    """Return the currency of a device's price, and the price of all that is ordered where it is in the same one."""
    settlement, volumes = terms.settlement, terms.volumes
    own = None if settlement is None else settlement.currency
    currency = means.currency or own
    if settlement is None or means.price is None or currency != own:
        return (None if means.price is None else currency), None
    ordered = ((Kind.IMAGE, volumes.images), (Kind.TEXT, volumes.texts), (Kind.VIDEO, volumes.video_hours))
    prices = ((settlement.unit_price.of(kind), Decimal(str(volume))) for kind, volume in ordered)
    return currency, sum((price * volume for price, volume in prices if price is not None), Decimal(0)).quantize(
        Decimal("0.01")
    )


def rates_of(texts: Sequence[str]) -> dict[Kind, float]:
    """Return what --rate says: image=R and text=R a second, video=R hours an hour.

    Raises:
        InputError: a kind is unknown or stands twice, or a rate is not over 0.
    """
    found: dict[Kind, float] = {}
    for text in texts:
        name, _, amount = text.partition("=")
        kind = next((kind for kind in Kind if kind.value == name), None)
        if kind is None or kind in found:
            raise InputError(f"--rate {text!r}: write image=R, text=R (a second) and video=R (hours an hour), each once")
        try:
            found[kind] = float(amount)
        except ValueError as error:
            raise InputError(f"--rate {text!r}: {amount!r} is not a number") from error
        if not 0 < found[kind] < math.inf:
            raise InputError(f"--rate {text!r}: a rate must be over 0")
    return found


def rates_of_run(lot: LotFolder, run: str | None = None) -> dict[Kind, float]:
    """Return the rate of each kind in a finished run: items a second, and hours of video an hour.

    Receipts hold no time, but their files do: between one and the next lies the work on a chunk, and before the first that
    of starting. Where a run was taken up again, its document was written anew, which ends the gap. A gap of more than ten
    times the usual one (of at least five) is left out as an interruption. Copies of a folder tell the times only if they
    keep those of its files.

    Raises:
        StageError: there is no such run.
    """
    names = runs_of(lot)
    chosen = run or next(iter(names), None)
    if chosen not in names:
        raise StageError(f"{lot.drafts}: there is no finished run {run or ''}; run 'goldgate prelabel' first")
    folder = lot.drafts / str(chosen)
    durations = _durations(lot)
    work: dict[Kind, list[tuple[float, float]]] = {}
    for receipt, gap in _gaps(folder):
        amount = float(receipt.items)
        if receipt.kind is Kind.VIDEO:
            items = read_parquet(folder / f"shard-{receipt.chunk:05d}.parquet")["item"].to_pylist()
            amount = sum(durations[item] for item in items)
        work.setdefault(receipt.kind, []).append((amount, gap))
    found = {kind: _rate(pairs) for kind, pairs in work.items()}
    return {kind: rate for kind, rate in found.items() if rate is not None}


def _durations(lot: LotFolder) -> dict[str, float]:
    items = read_manifest(lot, read_intake_receipt(lot)).select(["item", "duration_s"]).to_pylist()
    return {row["item"]: row["duration_s"] or 0.0 for row in items}


def _gaps(folder: Path) -> Iterator[tuple[ShardReceipt, float]]:
    """Yield each receipt with the seconds since the one before it, or since the run's document."""
    begun = (folder / "run.json").stat().st_mtime
    events: list[tuple[float, Path | None]] = [(begun, None)]
    events += [(path.stat().st_mtime, path) for path in folder.glob("receipt-*.json")]
    before = None
    for time, path in sorted(events, key=lambda event: (event[0], event[1] is not None, str(event[1]))):
        if path is not None and before is not None:
            yield ShardReceipt.model_validate_json(path.read_bytes()), time - before
        before = time


def _rate(pairs: Sequence[tuple[float, float]]) -> float | None:
    usual = median(gap for _, gap in pairs)
    kept = [pair for pair in pairs if len(pairs) < _ENOUGH or pair[1] <= _BREAK * usual]
    amount, seconds = (math.fsum(column) for column in zip(*kept, strict=True))
    return amount / seconds if amount > 0 and seconds > 0 else None
