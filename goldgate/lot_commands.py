"""`goldgate lot`: where a lot stands, what may follow, and how it came there."""

from typing import Annotated, Any

import typer

from goldgate.options import WORK, ContractOption, JsonOption, LotOption, WorkOption

lot_app = typer.Typer(help="Where a lot stands in its life.", no_args_is_help=True)


@lot_app.command("status")
def status(contract: ContractOption, lot: LotOption, work: WorkOption = WORK, json_: JsonOption = False) -> int:
    """Print state, round, what may follow, and the history."""
    from goldgate.stages import open_stage

    stage = open_stage(contract, lot, work)
    return _print_status(stage, as_json=json_)


def _print_status(stage: Any, *, as_json: bool) -> int:
    from contract.liferules import describe, may_follow
    from contract.lifestate import rules_of
    from goldgate.console import EXIT_DONE, emit_json, emit_text
    from goldgate.lotlife import history_of, strays
    from goldgate.stages import shown

    stage.lot.require()
    history, rules = history_of(stage), rules_of(stage.terms)
    life = history.life
    possible, left = may_follow(life, rules), strays(stage, history)
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
                "head": life.head,
                "without_event": [str(path) for path in left],
                "history": [event.model_dump(mode="json") for event, _ in history.events],
            }
        )
        return EXIT_DONE
    lines = [f"lot {stage.lot_name} is {describe(life, rules)}; rounds of rework: {life.round} of {rules.max_rounds}"]
    lines.append(f"  possible now: {'; '.join(possible)}")
    lines += [f"  {_line(event)}" for event, _ in history.events]
    if life.head:
        lines.append(f"  digest of the newest event: {life.head}")
    lines += [f"  without an event: {shown(path)}" for path in left]
    emit_text("\n".join(lines))
    return EXIT_DONE


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


def settle(
    contract: ContractOption,
    final: Annotated[bool, typer.Option("--final", help="Keep the statement and mark its lots settled.")] = False,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Print what is owed for the accepted lots of a contract."""
    from goldgate import settling

    return settling.settle(contract, work, final=final, as_json=json_)
