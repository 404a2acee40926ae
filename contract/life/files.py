"""The files of a lot's life: one an event, written once, bound into a chain that replay checks.

life/0001-committed.json, life/0002-sealed.json, ...: {"event": {...}, "sha256": digest of the event's canonical JSON}.
The chain shows every edit, gap and change of order. It cannot show that its newest events were all taken away together, or
the whole chain written anew: for that the parties note the digest of the newest event, which `goldgate lot status` prints.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contract.errors import StageError
from contract.files import json_bytes, read_json, sha256_json, write_once
from contract.life.events import EVENT, Event
from contract.life.machine import replay, step
from contract.life.state import Life, Rules
from contract.workfolder import LotFolder


@dataclass(frozen=True)
class History:
    """The events of a lot, with their digests, and the state that they add up to."""

    events: tuple[tuple[Event, str], ...]
    life: Life


def read_history(lot: LotFolder, rules: Rules) -> History:
    """Replay the life of `lot`; a lot without events is open.

    Raises:
        StageError: a file was edited, is missing or out of order, or an event could not follow the ones before it.
    """
    paths = sorted(lot.life.glob("[0-9]*.json")) if lot.life.is_dir() else []
    events = tuple(_read_event(path, number) for number, path in enumerate(paths, 1))
    return History(events, replay(events, rules, lot=lot.root.name))


def append(
    lot: LotFolder,
    kind: str,
    details: Mapping[str, Any],
    *,
    who: str,
    rules: Rules,
    at: datetime.datetime,
) -> History:
    """Write the next event of `lot` as a whole or not at all, and return the history with it.

    Raises:
        StageError: the event may not follow; nothing is written.
    """
    history = read_history(lot, rules)
    head = {"event": kind, "number": history.life.events + 1, "previous_sha256": history.life.head, "time": at, "who": who}
    event = EVENT.validate_python({**head, **details})
    document = event.model_dump(mode="json")
    sha256 = sha256_json(document)
    life = step(history.life, event, sha256, rules=rules, lot=lot.root.name)
    write_once(lot.life / _file_name(event), json_bytes({"event": document, "sha256": sha256}))
    return History((*history.events, (event, sha256)), life)


def _file_name(event: Event) -> str:
    return f"{event.number:04d}-{event.event}.json"


def _read_event(path: Path, number: int) -> tuple[Event, str]:
    document = read_json(path)
    try:
        event = EVENT.validate_python(document["event"])
        sha256 = str(document["sha256"])
    except (ValidationError, KeyError, TypeError) as error:
        raise StageError(f"{path}: not an event of a lot's life; put back the file as it was written") from error
    if sha256_json(document["event"]) != sha256 or len(document) != 2:
        raise StageError(f"{path}: was changed since it was written; put back the file as it was written")
    if event.number != number:
        raise StageError(f"{path}: event {number} is missing before it; put back the file as it was written")
    if path.name != _file_name(event):
        raise StageError(f"{path}: holds what {_file_name(event)} should hold; put back the files as they were written")
    return event, sha256
