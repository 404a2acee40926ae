"""`goldgate lot`, `dispute`, `rework` and `settle`: what becomes of a lot, as people call it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from goldgate.options import FORMATS, WORK, ContractOption, DeviceOption, JsonOption, LotOption, WorkOption

lot_app = typer.Typer(help="Where a lot stands in its life.", no_args_is_help=True)
dispute_app = typer.Typer(help="Contest gold, and rule on it.", no_args_is_help=True)


@lot_app.command("status")
def status(contract: ContractOption, lot: LotOption, work: WorkOption = WORK, json_: JsonOption = False) -> int:
    """Print state, round, what may follow, and the history."""
    from goldgate.stages import open_stage

    stage = open_stage(contract, lot, work)
    return _print_status(stage, as_json=json_)


def _print_status(stage: Any, *, as_json: bool) -> int:
    from contract.life.rules import describe, may_follow
    from contract.life.state import rules_of
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from goldgate.lotlife import history_of, strays
    from goldgate.stages import shown

    stage.lot.require()
    history, rules = history_of(stage), rules_of(stage.terms)
    life = history.life
    possible, left = may_follow(life, rules), strays(stage, history)
    dates = _dates(stage, life)
    if as_json:
        standing = life.standing
        emit_json(
            {
                "lot": stage.lot_name,
                "state": life.phase.value,
                "round": life.round,
                "max_rounds": rules.max_rounds,
                "submission": life.submission,
                "sample": life.sample,
                "verdict": standing.number if standing else None,
                "outcome": standing.outcome.value if standing else None,
                "possible": possible,
                **dates,
                "head": life.head,
                "without_event": [str(path) for path in left],
                "history": [event.model_dump(mode="json") for event, _ in history.events],
            }
        )
        return EXIT_DONE
    lines = [f"lot {stage.lot_name} is {describe(life, rules)}; rounds of rework: {life.round} of {rules.max_rounds}"]
    lines.append(f"  possible now: {'; '.join(possible)}")
    lines += [f"  {name.replace('_', ' ')} {day}" for name, day in dates.items() if day]
    lines += [f"  {_line(event)}" for event, _ in history.events]
    if life.head:
        lines.append(f"  digest of the newest event: {life.head}")
    lines += [f"  without an event: {shown(path)}" for path in left]
    emit_text("\n".join(lines))
    return EXIT_DONE


def _dates(stage: Any, life: Any) -> dict[str, str | None]:
    """Return until when gold may be contested and rework is due, by the working days of the terms."""
    from contract.life.rules import workdays_after
    from contract.life.state import Phase

    standing, acceptance, deadline = life.standing, stage.terms.acceptance, stage.terms.deadline
    contest = rework = None
    if standing and life.phase in {Phase.ACCEPTED, Phase.REJECTED, Phase.EXTENDED}:
        contest = str(workdays_after(deadline, standing.first.date(), acceptance.gold.dispute_workdays))
    if standing and life.phase is Phase.REJECTED and life.round < acceptance.rework.max_rounds:
        due = workdays_after(deadline, standing.time.date(), acceptance.rework.workdays)
        rework = str(max(due, deadline.due_date()))
    return {"gold_may_be_contested_until": contest, "rework_is_due": rework}


def _line(event: Any) -> str:
    values = event.model_dump(mode="json", exclude={"event", "number", "time", "who", "previous_sha256"})
    told = ", ".join(f"{name} {_plain(value)}" for name, value in values.items() if value not in (None, "", {}))
    return f"{event.number:04d} {event.time:%Y-%m-%d %H:%M} {event.who}: {event.event} ({told})"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{count} {name}" for name, count in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value[:10])) + (f" ... ({len(value)})" if len(value) > 10 else "")
    text = str(value)
    return text[:12] if len(text) == 64 else text


@lot_app.command("series")
def series(contract: ContractOption, work: WorkOption = WORK, json_: JsonOption = False) -> int:
    """Say what the standard's switching rules make of the lots so far, where the terms judge by AQL."""
    from goldgate.lotseries import print_series

    return print_series(contract, work, as_json=json_)


def settle(
    contract: ContractOption,
    final: Annotated[bool, typer.Option("--final", help="Keep the statement and mark its lots settled.")] = False,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Print what is owed for the accepted lots of a contract."""
    from goldgate import settling

    return settling.settle(contract, work, final=final, as_json=json_)


def rework(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    format_: Annotated[str, typer.Option("--format", help="labelstudio or coco.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    score: Annotated[int | None, typer.Option(help="Number of the score; the newest if left out.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write the items with defects, each defect named and drawn, for the tool in which they are mended."""
    from goldgate.reworking import write_rework
    from goldgate.stages import open_stage

    return write_rework(open_stage(contract, lot, work), format_, out, score=score, as_json=json_)


@dispute_app.command("open")
def dispute_open(
    contract: ContractOption,
    lot: LotOption,
    item: Annotated[list[str] | None, typer.Option("--item", help="An item whose gold is contested; repeat it.")] = None,
    reason: Annotated[str, typer.Option(help="What is wrong with the gold.")] = "",
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Contest the gold of checked items, within the working days of the terms."""
    from goldgate.disputing import open_dispute
    from goldgate.stages import open_stage

    return open_dispute(open_stage(contract, lot, work), item or [], reason, as_json=json_)


@dispute_app.command("resolve")
def dispute_resolve(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    paths: Annotated[list[Path] | None, typer.Argument(help="The contested items' new gold.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help=FORMATS)] = None,
    gold: Annotated[int | None, typer.Option(help="Or a version of the gold that was brought in already.")] = None,
    upheld: Annotated[bool, typer.Option("--upheld", help="Or that the gold stands as it is.")] = False,
    device: DeviceOption = "cpu",
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write down the arbiter's ruling and judge again (exit 0 ACCEPT, 3 REJECT, 4 EXTEND)."""
    from goldgate.disputing import Ruling, resolve
    from goldgate.stages import open_stage

    ruling = Ruling(format_, paths or [], gold, upheld)
    return resolve(open_stage(contract, lot, work), ruling, device=device, as_json=json_)


def saving(  # noqa: PLR0913 - a command's options are its public face
    contract: ContractOption,
    lot: LotOption,
    run: Annotated[str | None, typer.Option(help="Run of the drafts; the newest if left out.")] = None,
    gold: Annotated[int | None, typer.Option(help="Version of the gold; the newest if left out.")] = None,
    accuracy: Annotated[float | None, typer.Option(help="To be proven; what the terms demand if left out.")] = None,
    blind: Annotated[bool, typer.Option("--blind", help="By gold made without sight of drafts only.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for saving.json and saving.svg.")] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Tell from which confidence on texts could skip review at the accuracy that the terms demand."""
    from goldgate.saving_command import SavingAsked, tell_saving
    from goldgate.stages import open_stage

    asked = SavingAsked(run, gold, accuracy, blind)
    return tell_saving(open_stage(contract, lot, work), asked, out, as_json=json_)
