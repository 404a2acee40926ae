"""Annotations as review tools send them, one file an event below the lot, until `goldgate import --from-inbox` seals them.

inbox/<role>/<project>-<annotation>-<time>.json      an annotation as it was finished at that time
inbox/<role>/<project>-<annotation>-deleted.json     it was deleted, whatever else is there
inbox/<role>-<digest>.json                           what was sealed: an export such as the tool itself makes

A file stands before the event is answered, and the same event twice is the same file, so that neither a crash nor a
second delivery changes what is sealed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, cast

from contract.errors import FormatError, InputError, StageError
from contract.files import canonical_json, read_json, sha256_bytes, sha256_json, write_bytes
from contract.instants import instant
from contract.tables import Kind
from contract.workfolder import LotFolder, lot_folder, lot_names
from goldgate.stages import Stage
from prelabel.handoff import Role
from serving.inbox import Finished, Place

_DELETED: Final = "deleted"
_NAMES: Final = ("item", "sha256", "lot", "state", "fps")
"""What of a task's data says which item it is about; its content stays where it was."""

_KEPT: Final = ("id", "result", "created_at", "was_cancelled", "ground_truth", "completed_by", "lead_time")


class FileInbox:
    """A `serving.inbox.Inbox` below a work folder."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._writing = Lock()

    def keep(self, place: Place, finished: Finished) -> bool:
        """Write an annotation down; False where it stood there already."""
        document = _annotation(finished.document)
        folder = self._lot(place, finished.data).inbox / place.role
        path = folder / f"{finished.project}-{finished.annotation}-{_stamp(document)}.json"
        task = {"project": finished.project, "task": finished.task, "data": _data(finished.data)}
        with self._writing:  # the same event may come twice at once
            if path.exists():
                return False
            write_bytes(path, canonical_json({**task, "annotation": document}) + b"\n")
        return True

    def drop(self, place: Place, project: int, annotation: int) -> bool:
        """Write down that an annotation was deleted, in whichever lot of the contract it is, and in that of `place`.

        Events may overtake each other, so that it counts also against what comes later.
        """
        known = False
        for lot in lot_names(self._work, place.contract):
            folder = lot_folder(self._work, place.contract, lot).inbox / place.role
            stands = any(folder.glob(f"{project}-{annotation}-*.json"))
            known = known or stands
            if stands or lot == place.lot:
                with self._writing:
                    write_bytes(folder / f"{project}-{annotation}-{_DELETED}.json", b"{}\n")
        return known

    def _lot(self, place: Place, data: Mapping[str, Any]) -> LotFolder:
        lot = data.get("lot") or place.lot
        if not isinstance(lot, str):
            raise StageError(f"neither the task's data nor the settings name a lot of contract {place.contract!r}")
        return lot_folder(self._work, place.contract, lot).require()


def _annotation(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of an annotation; who made it as a number alone, never a name or an address."""
    kept = {name: document[name] for name in _KEPT if name in document}
    if not isinstance(kept.get("result"), list):
        raise FormatError(f"annotation {document.get('id')!r} has no result")
    who = kept.get("completed_by")
    number = who.get("id") if isinstance(who, Mapping) else who
    kept["completed_by"] = number if isinstance(number, int) else None
    return {**kept, "updated_at": _time(document.get("updated_at") or document.get("created_at"))}


def _time(text: Any) -> str | None:
    """Return a time in the one form whose texts sort as the times do."""
    utc = instant(text)
    return None if utc is None else utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _stamp(document: Mapping[str, Any]) -> str:
    """Return the part of a file's name that tells one state of an annotation from the next."""
    time = document["updated_at"]
    return "".join(each for each in time if each.isalnum()) if time else sha256_json(document)[:20]


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    media = {kind.value: data.get(kind.value) for kind in (Kind.IMAGE, Kind.VIDEO)}
    named = {name: uri for name, uri in media.items() if isinstance(uri, str) and not uri.startswith("data:")}
    kept = {name: data[name] for name in _NAMES if name in data} | named
    text = data.get(Kind.TEXT.value)
    if isinstance(text, str) and not {"item", "sha256"} & kept.keys():  # a task that no export of ours made
        kept["sha256"] = sha256_bytes(text.encode(errors="replace"))
    return kept


def paths_or_inbox(stage: Stage, format_name: str, paths: Sequence[Path], *, role: str, from_inbox: bool) -> Sequence[Path]:
    """Return the files that an import reads: `paths`, or what stands in the inbox.

    Raises:
        InputError: neither or both were asked for, or the inbox in another format than it has.
        StageError: nothing stands in the inbox.
    """
    if not from_inbox:
        if not paths:
            raise InputError("name the review tool's export, or give --from-inbox")
        return paths
    if paths or format_name != "labelstudio" or role not in ("submission", "gold"):
        raise InputError("--from-inbox takes no files, and goes with --format labelstudio and --as submission or gold")
    return [collect(stage.lot.require(), cast("Role", role))]


def collect(lot: LotFolder, role: Role) -> Path:
    """Write what stands in the inbox for `role` as one export, and return its path: the file that is then sealed.

    Of an annotation its newest state counts, unless it was deleted; of an item that stands in several tasks, as after
    rework in a new project, the task that was worked on last.

    Raises:
        StageError: nothing is there.
    """
    folder = lot.inbox / role
    events = [(path, _event(path)) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    tasks = _tasks(events)
    if not tasks:
        raise StageError(f"{folder}: no annotation stands there; connect the project's webhook, or import its export")
    data = json.dumps(tasks, ensure_ascii=False, allow_nan=False, sort_keys=True).encode() + b"\n"
    path = lot.inbox / f"{role}-{sha256_bytes(data)[:12]}.json"
    if not path.exists():
        write_bytes(path, data)
    return path


def _event(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", read_json(path))


def _tasks(events: Iterable[tuple[Path, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    deleted: set[tuple[str, str]] = set()
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for path, event in events:
        project, annotation, stamp = path.stem.split("-", 2)
        if stamp == _DELETED:
            deleted.add((project, annotation))
            continue
        known = newest.get((project, annotation))
        if known is None or _when(event) >= _when(known):
            newest[project, annotation] = event
    tasks: dict[tuple[int, int], dict[str, Any]] = {}
    for key, event in sorted(newest.items(), key=lambda pair: tuple(map(int, pair[0]))):
        if key not in deleted:
            fresh = {"id": event["task"], "project": event["project"], "data": event["data"], "annotations": []}
            tasks.setdefault((event["project"], event["task"]), fresh)["annotations"].append(event["annotation"])
    return _newest_of_item(tasks.values())


def _when(event: Mapping[str, Any]) -> str:
    return event["annotation"]["updated_at"] or ""


def _newest_of_item(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: dict[str, tuple[str, dict[str, Any]]] = {}
    for task in tasks:
        data = task["data"]
        item = str(data.get("item") or data.get("sha256") or data.get(Kind.IMAGE.value) or data.get(Kind.VIDEO.value))
        time = max(annotation["updated_at"] or "" for annotation in task["annotations"])
        if item not in kept or time >= kept[item][0]:
            kept[item] = time, task
    return [task for _, task in kept.values()]
