"""Writing a package: object by object, each finished one with a receipt, so that a stopped command goes on where it was.

Files are read where they lie and go straight into their encrypted object: a package of 1 TB needs no second copy, and what
lies on the disk of an unfinished package can be read by its recipient alone.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import AwareDatetime, ValidationError

from contract.errors import DeliveryError, LabelsError
from contract.files import json_bytes, read_json, sha256_json, write_bytes, write_json
from contract.guideline import Strict
from contract.receipts import Count, Sha256
from delivery.keys import PublicKey, Signer, now_utc, recipient_of
from delivery.manifest import (
    DOCUMENT,
    MANIFEST,
    NOTE,
    OBJECTS,
    PROGRESS,
    DeliveredFile,
    PackageDocument,
    Stored,
    note_text,
)
from delivery.objects import Content, write_encrypted, write_object
from delivery.safepath import clashes, path_problem

OBJECT_BYTES: Final = 64 << 20  # files are put together up to this; a larger one is an object of its own


class Plan(Strict):
    """What an unfinished package is going to be; kept in it, so that the same command goes on with it."""

    contract: str
    number: Count
    created: AwareDatetime
    signer: str
    recipients: tuple[str, ...]


class _Finished(Strict):
    files_sha256: Sha256
    bytes: Count
    sha256: Sha256


@dataclass(frozen=True)
class Progress:
    """How far the writing is."""

    objects: int
    done: int
    resumed: int
    bytes: int


def open_plan(folder: Path, contract: str, number: int, *, signer: Signer, recipients: Sequence[PublicKey]) -> Plan:
    """Return the plan of the package at `folder`: that of an unfinished one, or a new one, which is kept there.

    Raises:
        DeliveryError: the folder holds something else, a finished package, or another's unfinished one; or a key is over.
    """
    now = now_utc()
    signer.public.require(now, origin="the signing key")
    for recipient in recipients:
        recipient.require(now, origin="the recipient's key")
    kept = folder / PROGRESS / "plan.json"
    if (folder / NOTE).exists():
        shutil.rmtree(folder / PROGRESS, ignore_errors=True)  # left by a command that was stopped at its very end
        raise DeliveryError(f"{folder}: holds a finished package already; name another folder")
    new = Plan(
        contract=contract,
        number=number,
        created=now,
        signer=str(signer.verifier),
        recipients=tuple(recipient.key for recipient in recipients),
    )
    if kept.exists():
        return _resumed(kept, new)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DeliveryError(f"{folder}: is not empty and holds no package of ours; name another folder")
    write_json(kept, new.model_dump(mode="json"))
    return new


def _resumed(kept: Path, new: Plan) -> Plan:
    try:
        plan = Plan.model_validate(read_json(kept))
    except (ValidationError, LabelsError) as error:
        raise DeliveryError(f"{kept}: not a plan of a package; empty the folder or name another one") from error
    for name in ("contract", "signer", "recipients"):
        if getattr(plan, name) != getattr(new, name):
            raise DeliveryError(
                f"{kept.parent.parent}: holds an unfinished package with another {name.rstrip('s')} "
                f"({getattr(plan, name)}); name another folder"
            )
    return plan


def grouped(contents: Iterable[Content]) -> Iterator[list[Content]]:
    """Yield `contents` in their order, put together into objects."""
    group: list[Content] = []
    size = 0
    for content in contents:
        if group and size + content.bytes > OBJECT_BYTES:
            yield group
            group, size = [], 0
        group.append(content)
        size += content.bytes
    if group:
        yield group


def write_objects(
    folder: Path,
    plan: Plan,
    contents: Sequence[Content],
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> tuple[list[Stored], list[DeliveredFile]]:
    """Write the objects that are not finished yet and return all of them, with the files that they hold.

    Raises:
        DeliveryError: a file has changed, or a path cannot stand in a package.
        StorageError: the disk is full; what was finished stands, and the same command goes on from there.
    """
    _check_paths(contents)
    recipients = [recipient_of(_as_key(plan, key), origin="the recipient's key") for key in plan.recipients]
    groups = list(grouped(contents))
    stored: list[Stored] = []
    files: list[DeliveredFile] = []
    resumed = 0
    for number, group in enumerate(groups):
        found, old = _object(folder, plan, number, group, recipients)
        resumed += old
        stored.append(found)
        files += [
            DeliveredFile(path=each.path, bytes=each.bytes, sha256=each.sha256, object=number, item=each.item)
            for each in group
        ]
        on_progress(Progress(len(groups), number + 1, resumed, sum(each.bytes for each in stored)))
    return stored, files


def _as_key(plan: Plan, key: str) -> PublicKey:
    return PublicKey(document="goldgate recipient key", name="recipient", key=key, created=plan.created)


def _check_paths(contents: Sequence[Content]) -> None:
    for content in contents:
        if problem := path_problem(content.path):
            raise DeliveryError(f"{content.path!r}: cannot stand in a package: it {problem}; rename the item")
    twice = clashes(content.path for content in contents)
    if twice:
        raise DeliveryError(f"{twice[0]!r}: another file of the package has the same path; rename the item")


def _object(
    folder: Path, plan: Plan, number: int, group: Sequence[Content], recipients: Sequence[Any]
) -> tuple[Stored, bool]:
    """Return object `number` and whether it stood already."""
    name = f"{OBJECTS}/{number:06d}.age"
    target, receipt = folder / name, folder / PROGRESS / f"{number:06d}.json"
    digest = sha256_json([[each.path, each.bytes, each.sha256] for each in group])
    standing = _standing(target, receipt, digest)
    if standing is not None:
        return Stored(name=name, bytes=standing.bytes, sha256=standing.sha256), True
    written = write_object(target, group, recipients, mtime=int(plan.created.timestamp()))
    done = _Finished(files_sha256=digest, bytes=written.bytes, sha256=written.sha256)
    write_json(receipt, done.model_dump(mode="json"))
    return Stored(name=name, bytes=written.bytes, sha256=written.sha256), False


def _standing(target: Path, receipt: Path, digest: str) -> _Finished | None:
    try:
        done = _Finished.model_validate(read_json(receipt))
    except (LabelsError, ValidationError):
        return None
    whole = target.is_file() and not target.is_symlink() and target.stat().st_size == done.bytes
    return done if whole and done.files_sha256 == digest else None


def finish(folder: Path, plan: Plan, stored: Sequence[Stored], manifest: bytes, signer: Signer) -> PackageDocument:
    """Write `manifest` (as `manifest_bytes` gives it), document and signature, in this order, and take the receipts away.

    Raises:
        StorageError: the disk is full; the same command goes on from there.
    """
    recipients = [recipient_of(_as_key(plan, key), origin="the recipient's key") for key in plan.recipients]
    written = write_encrypted(folder / MANIFEST, iter((manifest,)), recipients)
    document = PackageDocument(
        contract=plan.contract,
        number=plan.number,
        created=plan.created,
        signer=plan.signer,
        recipients=plan.recipients,
        manifest=Stored(name=MANIFEST, bytes=written.bytes, sha256=written.sha256),
        objects=tuple(stored),
    )
    data = json_bytes(document.model_dump(mode="json"))
    _sweep(folder, stored)
    write_bytes(folder / DOCUMENT, data)
    write_bytes(folder / NOTE, signer.sign(note_text(plan.contract, plan.number, data)).encode())
    shutil.rmtree(folder / PROGRESS, ignore_errors=True)
    return document


def _sweep(folder: Path, stored: Sequence[Stored]) -> None:
    """Take away objects that an earlier, longer plan left behind, and parts of objects that were cut short."""
    known = {each.name for each in stored}
    for path in (folder / OBJECTS).glob("*"):
        if f"{OBJECTS}/{path.name}" not in known:
            path.unlink()
