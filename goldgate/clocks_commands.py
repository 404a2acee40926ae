"""`goldgate clocks` and `goldgate blocker`: what runs until when, and what makes it stand still."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from contract.errors import InputError
from goldgate.options import WORK, ContractOption, JsonOption, WorkOption

if TYPE_CHECKING:
    from contract.clocks import Clock
    from contract.terms import Deadline
    from goldgate.blockers import Blocker

blocker_app = typer.Typer(help="What holds up the work, and who caused it.", no_args_is_help=True)
_WORDS: Final = {
    "delivery": ("交付期限", "delivery"),
    "secrecy": ("保密期限", "secrecy"),
    "deletion": ("数据返还或删除", "return or deletion of data"),
    "records": ("记录留存", "keeping of records"),
}


@blocker_app.command("open")
def blocker_open(
    contract: ContractOption,
    cause: Annotated[str, typer.Option(help="client, vendor or other; only the client's stop the clock.")],
    reason: Annotated[str, typer.Option(help="What is missing or wrong, without content of the data.")],
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write down that something holds up the work from now on."""
    from contract.terms import load_terms
    from goldgate.blockers import CAUSES, open_blocker
    from goldgate.lotlife import now

    found = next((each for each in CAUSES if each == cause), None)
    if found is None or not reason.strip():
        raise InputError(f"--cause {cause!r}: write {', '.join(CAUSES)}, and a --reason in words")
    return _tell_blocker(open_blocker(work, load_terms(contract).contract, found, reason.strip()[:500], at=now()), json_)


@blocker_app.command("close")
def blocker_close(
    number: Annotated[int, typer.Argument(help="Of the blocker.", show_default=False)],
    contract: ContractOption,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Write down that a blocker is over."""
    from contract.terms import load_terms
    from goldgate.blockers import close_blocker
    from goldgate.lotlife import now

    return _tell_blocker(close_blocker(work, load_terms(contract).contract, number, at=now()), json_)


def _tell_blocker(blocker: "Blocker", as_json: bool) -> int:
    from goldgate.console import EXIT_DONE, emit_json, emit_text

    if as_json:
        emit_json(vars(blocker))
    else:
        emit_text(_line(blocker))
    return EXIT_DONE


def _line(blocker: "Blocker") -> str:
    until = f"until {blocker.closed:%F %R}" if blocker.closed else "open"
    return f"blocker {blocker.number} by the {blocker.cause}, from {blocker.opened:%F %R}, {until}: {blocker.reason}"


def clocks(
    contract: ContractOption,
    ended: Annotated[str | None, typer.Option(help="Day on which the contract ended, such as 2027-01-31.")] = None,
    holidays: Annotated[
        Path | None, typer.Option(help="YAML with holidays and makeup_workdays, instead of those of the terms.")
    ] = None,
    work: WorkOption = WORK,
    json_: JsonOption = False,
) -> int:
    """Show the contract's clocks: delivery, secrecy, deletion and record keeping."""
    from contract.clocks import clocks_of, stopped_days
    from contract.terms import load_terms
    from goldgate.blockers import client_spans, read_blockers
    from goldgate.lotlife import now

    terms, today = load_terms(contract), now().date()
    blockers = read_blockers(work, terms.contract)
    deadline = terms.deadline if holidays is None else _with_holidays(terms.deadline, holidays)
    stopped = stopped_days(client_spans(blockers), today)
    found = clocks_of(deadline, terms.clocks, ended=_day(ended), stopped=stopped)
    return _tell_clocks(found, blockers, today, as_json=json_)


def _day(text: str | None) -> datetime.date | None:
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--ended {text!r}: write a date such as 2027-01-31") from error


def _with_holidays(deadline: "Deadline", path: Path) -> "Deadline":
    """Return `deadline` by the calendar in the file at `path`."""
    import yaml
    from pydantic import ValidationError

    from contract.terms import Deadline
    from contract.yamlfile import parse_yaml

    try:
        document = parse_yaml(path.read_text(encoding="utf-8-sig"))
        if not isinstance(document, dict) or set(document) - {"holidays", "makeup_workdays"}:
            raise InputError(f"{path}: has other fields than holidays and makeup_workdays; take them out")
        calendar: dict[str, Any] = {"holidays": (), "makeup_workdays": (), **document}
        return Deadline.model_validate({**deadline.model_dump(), **calendar})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise InputError(f"{path}: not a calendar with lists of dates holidays and makeup_workdays") from error


def _tell_clocks(found: "list[Clock]", blockers: "list[Blocker]", today: datetime.date, *, as_json: bool) -> int:
    from goldgate.console import EXIT_DONE, emit_json, emit_text

    if as_json:
        documents = [{**vars(clock), "days_left": clock.days_left(today)} for clock in found]
        emit_json({"today": today.isoformat(), "clocks": documents, "blockers": [vars(each) for each in blockers]})
        return EXIT_DONE
    emit_text("\n".join([*(_told(clock, today) for clock in found), *(f"  {_line(each)}" for each in blockers)]))
    return EXIT_DONE


def _told(clock: "Clock", today: datetime.date) -> str:
    zh, en = _WORDS[clock.name]
    left = clock.days_left(today)
    if left is None:
        return f"{zh} {en}: 未起算 does not run ({clock.why})"
    state = f"余 {left} 天 {left} days left" if left >= 0 else f"已过 {-left} 天 over for {-left} days"
    stopped = f", 甲方原因停计 stopped by the client for {clock.stopped} working days" if clock.stopped else ""
    return f"{zh} {en}: {clock.begins} – {clock.ends}, {state}{stopped}"
