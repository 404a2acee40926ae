"""The audit log of a contract: who did what to which digest, one line an entry, appended and never changed.

work/<contract>/audit/log.jsonl    a line is an entry's canonical JSON; without its line feed it is a leaf of the tree
                     /checkpoints/<entries>.txt    signed notes of the tree's size and root

Entries hold names, numbers and digests, and no content. `before` is the root of the tree over all entries before, so that
an edit of the file shows by itself; that the whole file was written anew, or its end taken away, shows against a checkpoint
that somebody else keeps. A checkpoint has the form of C2SP's tlog-checkpoint: origin, size and root, as a signed note.
"""

import base64
import binascii
import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, Field, ValidationError

from contract.errors import DeliveryError, StorageError
from contract.files import canonical_json, sha256_bytes, storage_errors, write_bytes
from contract.guideline import Strict
from contract.receipts import Count, Sha256
from delivery.keys import Signatory, Signer
from delivery.merkle import Frontier, leaf_hash
from delivery.notes import open_note

_WORD: Final = r"^[a-z][a-z0-9_.-]{0,39}$"
_MOST_TEXT: Final = 200
_CHECKPOINT: Final = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n")


class Entry(Strict):
    """A line of the log: `who` did `action` to `subject`, which had or got these digests and counts."""

    log: Annotated[str, Field(min_length=1, max_length=_MOST_TEXT)]
    number: Count
    time: AwareDatetime
    who: Annotated[str, Field(min_length=1, max_length=_MOST_TEXT)]
    action: Annotated[str, Field(pattern=_WORD)]
    subject: Annotated[str, Field(max_length=_MOST_TEXT)]
    digests: dict[str, Sha256]
    counts: dict[str, Count]
    before: Sha256


@dataclass(frozen=True)
class Deed:
    """What is to be written down."""

    action: str
    subject: str
    digests: Mapping[str, str]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Appended:
    """An entry that stands, and what is to be told of the file it was added to."""

    entry: Entry
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Checkpoint:
    """Size and root of a log at a time."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return the note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin_of(contract: str) -> str:
    """Return the name of the log of `contract`."""
    return f"goldgate/{contract}/audit"


def log_path(work: Path, contract: str) -> Path:
    """Return where the log of `contract` lies."""
    return work / contract / "audit" / "log.jsonl"


def append(path: Path, origin: str, deed: Deed, *, who: str, at: datetime.datetime) -> Appended:
    """Write `deed` at the end of the log at `path`, on the disk for good when the function returns.

    A last line without a line feed was being written when its command was killed: it is put into a file of its own beside
    the log, taken out, and an entry says so.

    Raises:
        DeliveryError: the log is another's.
        StorageError: the entry could not be written; the log is as it was.
    """
    remarks: list[str] = []
    with _alone(path) as file:
        whole, cut = _cut(path.read_bytes())
        tree = _tree(whole)
        _require_origin(path, whole, origin)
        if cut:
            beside = path.with_name(f"cut-{tree.size}.txt")
            write_bytes(beside, cut)
            os.ftruncate(file, len(whole))
            what = Deed("log.cut", beside.name, {"cut": sha256_bytes(cut)}, {"bytes": len(cut)})
            line = _line(what, tree, origin=origin, who="goldgate", at=at)[1]
            _write(path, file, line, size=len(whole))
            tree.add(leaf_hash(line[:-1]))
            remarks.append(f"{path}: its last line was half-written ({len(cut)} bytes); it is now in {beside.name}")
        size = os.fstat(file).st_size
        entry, line = _line(deed, tree, origin=origin, who=who, at=at)
        _write(path, file, line, size=size)
    return Appended(entry, tuple(remarks))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Open the log and hold it against other commands."""
    if path.is_symlink():
        raise DeliveryError(f"{path}: a link in the place of the audit log; put back the file as it was written")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Return the whole lines and what stands after the last line feed."""
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def _tree(whole: bytes) -> Frontier:
    tree = Frontier()
    for line in whole.split(b"\n")[:-1]:
        tree.add(leaf_hash(line))
    return tree


def _require_origin(path: Path, whole: bytes, origin: str) -> None:
    first = whole.partition(b"\n")[0]
    if first and f'"log":{canonical_json(origin).decode()}'.encode() not in first:
        raise DeliveryError(f"{path}: is not the log {origin}; put back the file as it was written")


def _line(deed: Deed, tree: Frontier, *, origin: str, who: str, at: datetime.datetime) -> tuple[Entry, bytes]:
    entry = Entry(
        log=origin,
        number=tree.size,
        time=at,
        who=who,
        action=deed.action,
        subject=deed.subject,
        digests=dict(deed.digests),
        counts=dict(deed.counts),
        before=tree.root().hex(),
    )
    return entry, canonical_json(entry.model_dump(mode="json")) + b"\n"


def _write(path: Path, file: int, line: bytes, *, size: int) -> None:
    """Write `line` at the end, which is at `size`; on failure put the end back where it was."""
    try:
        with storage_errors(path):
            written = os.pwrite(file, line, size)
            if written != len(line):
                raise StorageError(f"cannot write {path}: no space left on device; free space and run the command again")
            os.fsync(file)
    except (OSError, StorageError):
        os.ftruncate(file, size)
        raise


def read_lines(path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of the log at `path`, and the bytes of a last one that was not written to its end.

    Raises:
        DeliveryError: there is no log.
    """
    try:
        whole, cut = _cut(path.read_bytes())
    except OSError as error:
        raise DeliveryError(f"{path}: no audit log to be read there ({(error.strerror or str(error)).lower()})") from error
    return whole.split(b"\n")[:-1], cut


def parse_entry(line: bytes) -> Entry:
    """Return the entry that `line` holds.

    Raises:
        ValueError: it holds none, or one that is not written as this module writes it.
    """
    entry = Entry.model_validate_json(line)
    if canonical_json(entry.model_dump(mode="json")) != line:
        raise ValueError("not canonical")
    return entry


def checkpoint_of(path: Path, origin: str) -> Checkpoint:
    """Return size and root of the log as it is now."""
    lines, _ = read_lines(path)
    _require_origin(path, b"\n".join(lines[:1]), origin)
    return _checkpoint(lines, origin)


def _checkpoint(lines: Sequence[bytes], origin: str) -> Checkpoint:
    tree = _tree(b"".join(line + b"\n" for line in lines))
    return Checkpoint(origin, tree.size, tree.root())


def keep_checkpoint(path: Path, origin: str, signer: Signer) -> tuple[Checkpoint, str]:
    """Sign the log as it is now, keep the note beside it, and return both."""
    found = checkpoint_of(path, origin)
    note = signer.sign(found.text)
    write_bytes(path.parent / "checkpoints" / f"{found.size}.txt", note.encode())
    return found, note


def open_checkpoint(note: str, signatory: Signatory, *, origin: str) -> Checkpoint:
    """Return the checkpoint that `note`, which was read from `origin`, holds.

    Raises:
        DeliveryError: it was not signed by `signatory`, or is none.
    """
    parts = _CHECKPOINT.match(open_note(note, signatory.verifier, origin=origin))
    if parts is None:
        raise DeliveryError(f"{origin}: a signed note, but not a checkpoint of an audit log; name the other file")
    try:
        return Checkpoint(parts[1], int(parts[2]), base64.b64decode(parts[3], validate=True))
    except binascii.Error as error:
        raise DeliveryError(f"{origin}: a checkpoint whose root is not written in base64") from error


def is_entry(line: bytes) -> bool:
    """Tell whether `line` holds an entry as this module writes it."""
    try:
        parse_entry(line)
    except (ValidationError, ValueError):
        return False
    return True
