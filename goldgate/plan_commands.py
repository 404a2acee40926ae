"""`goldgate plan`: before work starts, what a sample proves, and what the volumes take."""

from pathlib import Path
from typing import Annotated

import typer

from goldgate.options import WORK, JsonOption, WorkOption


def plan(  # noqa: PLR0913 - a command's options are its public face
    threshold: Annotated[
        float | None, typer.Option(help="Of samples: share of correct items that the terms demand, for example 0.9.")
    ] = None,
    good: Annotated[float | None, typer.Option(help="Of samples: share that is to be accepted, for example 0.95.")] = None,
    confidence: Annotated[float, typer.Option(help="That work at the threshold is not accepted.")] = 0.95,
    vendor_confidence: Annotated[float, typer.Option(help="That good work is accepted.")] = 0.95,
    lot_size: Annotated[int | None, typer.Option("--lot", help="Items of the lot; endless if left out.")] = None,
    contract: Annotated[
        Path | None, typer.Option("--contract", "-c", help="Of volumes: the contract's terms (YAML).")
    ] = None,
    rate: Annotated[
        list[str] | None, typer.Option(help="image=R, text=R (a second), video=R (hours an hour); repeat it.")
    ] = None,
    from_lot: Annotated[str | None, typer.Option(help="Or the lot whose newest run tells the rates.")] = None,
    run: Annotated[str | None, typer.Option(help="Another run of that lot.")] = None,
    measured_devices: Annotated[int, typer.Option(min=1, help="How many devices made these rates together.")] = 1,
    devices: Annotated[int | None, typer.Option(min=1, help="How many there are; the fewest in time if left out.")] = None,
    price: Annotated[str | None, typer.Option(help="Of a device for an hour.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of that price; the contract's if left out.")] = None,
    utilisation: Annotated[float, typer.Option(help="Share of the hours in which a device works.")] = 0.8,
    hours_a_day: Annotated[float, typer.Option(help="Hours a day that devices are held.")] = 24.0,
    reserve_days: Annotated[int, typer.Option(min=0, help="Days before the deadline that are kept for people.")] = 0,
    picture: Annotated[Path | None, typer.Option(help="Draw the plan of volumes into this .svg or .png.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Weigh samples against risks (--threshold, --good), or plan hours, devices and money for the volumes (--contract)."""
    if contract is None:
        from goldgate.planning import plan_samples

        if threshold is None or good is None:
            raise typer.BadParameter("give --threshold and --good to plan samples, or --contract to plan the volumes")
        vendor = vendor_confidence
        return plan_samples(threshold, good, confidence=confidence, vendor=vendor, lot=lot_size, as_json=json_)
    from goldgate.capacity_planning import Means, Measured, plan_capacity

    if threshold is not None or good is not None:
        raise typer.BadParameter("--threshold and --good plan samples, --contract plans the volumes: give one or the other")
    measured = Measured(from_lot, run, rate or [], measured_devices)
    means = Means(devices, price, currency, utilisation, hours_a_day, reserve_days)
    return plan_capacity(contract, work, measured, means, picture=picture, as_json=json_)
