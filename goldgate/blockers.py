"""What holds up the work, and who caused it: a ledger of files that are written once.

work/<contract>/blockers/0001-opened.json, 0002-closed.json, ...
Only what the client caused stops the delivery clock (4.2(1): the vendor may ask for data, specification and cooperation).
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from contract.clocks import stopped_days, with_stops
from contract.errors import StageError
from contract.files import json_bytes, read_json, sha256_bytes, write_once
from contract.guideline import Strict
from contract.terms import Deadline, Terms
from goldgate import auditing

Cause = Literal["client", "vendor", "other"]
CAUSES: Final[tuple[Cause, ...]] = ("client", "vendor", "other")
_Number = Annotated[int, Field(gt=0)]


class Opened(Strict):
    """Something holds up the work from now on."""

    event: Literal["opened"] = "opened"
    number: _Number
    time: AwareDatetime
    cause: Cause
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Closed(Strict):
    """Blocker `blocker` is over."""

    event: Literal["closed"] = "closed"
    number: _Number
    time: AwareDatetime
    blocker: _Number


_EVENT: TypeAdapter[Opened | Closed] = TypeAdapter(Annotated[Opened | Closed, Field(discriminator="event")])


@dataclass(frozen=True)
class Blocker:
    """A blocker, by the number of the entry that opened it."""

    number: int
    cause: Cause
    reason: str
    opened: datetime.datetime
    closed: datetime.datetime | None


def _folder(work: Path, contract: str) -> Path:
    return work / contract / "blockers"


def read_blockers(work: Path, contract: str) -> list[Blocker]:
    """Return the blockers of the contract, in the order in which they opened.

    Raises:
        StageError: an entry is missing, or is none.
    """
    found: dict[int, Blocker] = {}
    for number, path in enumerate(sorted(_folder(work, contract).glob("[0-9]*.json")), 1):
        try:
            event = _EVENT.validate_python(read_json(path))
        except ValidationError as error:
            raise StageError(f"{path}: not an entry of the blockers; put back the file as it was written") from error
        if event.number != number or path.name != f"{number:04d}-{event.event}.json":
            raise StageError(f"{path}: entry {number} is missing before it; put back the file as it was written")
        if isinstance(event, Opened):
            found[number] = Blocker(number, event.cause, event.reason, event.time, None)
        else:
            open_ = found.get(event.blocker)
            if open_ is None or open_.closed is not None:
                raise StageError(
                    f"{path}: closes blocker {event.blocker}, which is not open; put back the files as they were"
                )
            found[event.blocker] = Blocker(open_.number, open_.cause, open_.reason, open_.opened, event.time)
    return list(found.values())


def open_blocker(work: Path, contract: str, cause: Cause, reason: str, *, at: datetime.datetime) -> Blocker:
    """Write down that something holds up the work."""
    number = _next(work, contract)
    _keep(work, contract, Opened(number=number, time=at, cause=cause, reason=reason))
    return Blocker(number, cause, reason, at, None)


def close_blocker(work: Path, contract: str, number: int, *, at: datetime.datetime) -> Blocker:
    """Write down that blocker `number` is over.

    Raises:
        StageError: there is none, it is closed, or the clock was set back since it opened.
    """
    blocker = next((each for each in read_blockers(work, contract) if each.number == number), None)
    if blocker is None or blocker.closed is not None:
        open_ = [str(each.number) for each in read_blockers(work, contract) if each.closed is None]
        raise StageError(f"blocker {number} is not open; open are {', '.join(open_) or 'none'}")
    if at < blocker.opened:
        raise StageError(
            f"blocker {number} opened at {blocker.opened:%F %R %Z}, which is later than now; set the clock right"
        )
    _keep(work, contract, Closed(number=_next(work, contract), time=at, blocker=number))
    return Blocker(number, blocker.cause, blocker.reason, blocker.opened, at)


def _next(work: Path, contract: str) -> int:
    read_blockers(work, contract)
    return len(list(_folder(work, contract).glob("[0-9]*.json"))) + 1


def _keep(work: Path, contract: str, event: Opened | Closed) -> None:
    data = json_bytes(event.model_dump(mode="json"))
    write_once(_folder(work, contract) / f"{event.number:04d}-{event.event}.json", data)
    auditing.write_down(
        work, contract, f"blocker.{event.event}", f"entry {event.number}", digests={"entry": sha256_bytes(data)}
    )


def client_spans(blockers: Sequence[Blocker]) -> list[tuple[datetime.date, datetime.date | None]]:
    """Return from when to when the client held up the work, by the days of the ledger's own time zones."""
    mine = [each for each in blockers if each.cause == "client"]
    return [(each.opened.date(), None if each.closed is None else each.closed.date()) for each in mine]


def deadline_of(work: Path, terms: Terms, today: datetime.date) -> Deadline:
    """Return the terms' deadline with the days on which the client held up the work taken out."""
    return with_stops(terms.deadline, stopped_days(client_spans(read_blockers(work, terms.contract)), today))
