"""Checking and opening a package, offline: with the vendor's public key alone, or with the recipient's private one as well.

The signature comes first, then the digests of what is encrypted; only what agrees is decrypted. Opening writes into a folder
beside the one that was asked for, which takes its name when everything agreed: half a package leaves nothing to be read.
"""

import contextlib
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from contract.errors import DeliveryError
from contract.files import sha256_file, storage_errors
from delivery.keys import Signatory
from delivery.manifest import (
    DOCUMENT,
    MANIFEST,
    NOTE,
    OBJECTS,
    DeliveredFile,
    Manifest,
    PackageDocument,
    Stored,
    parse_manifest,
    read_package,
)
from delivery.objects import PIECE, decrypted, read_members
from delivery.recount import Recount

_MOST_MANIFEST_BYTES: Final = 1 << 30


@dataclass
class PackageFindings:
    """What a check found.

    Attributes:
        document: what is signed.
        manifest: what is inside; None without the private key, or where it could not be read.
        problems: what shows that the package is not as it was signed, a sentence each that begins with the file.
        objects: encrypted files that agree.
        files: files inside that agree.
        uncounted: formats whose labels were not counted again.
    """

    document: PackageDocument
    manifest: Manifest | None = None
    problems: list[str] = field(default_factory=list)
    objects: int = 0
    files: int = 0
    uncounted: set[str] = field(default_factory=set)


Step = Callable[[int, int], None]


def verify_package(
    package: Path,
    signatory: Signatory,
    *,
    identity: Any = None,
    contract: str | None = None,
    step: Step = lambda done, of: None,
) -> PackageFindings:
    """Check `package`: signature, digests, and with `identity` every file in it and the totals.

    Args:
        package: its folder.
        signatory: whose signature it must bear.
        identity: the age identity of the recipient.
        contract: the id of the contract that it must belong to; None takes any.
        step: is told how many objects are done, and of how many.

    Raises:
        DeliveryError: it is not a whole package signed by `signatory` for `contract`, or not encrypted to `identity`.
    """
    return _check(package, signatory, identity=identity, contract=contract, into=None, step=step)


def unpack(
    package: Path, signatory: Signatory, out: Path, *, identity: Any, contract: str | None = None, step: Step
) -> PackageFindings:
    """Check `package` and write its files into `out`, all or, where something does not agree, none.

    Raises:
        DeliveryError: as `verify_package`; or `out` is there already.
        StorageError: the disk is full; nothing is left in `out`.
    """
    if out.exists() or out.is_symlink():
        raise DeliveryError(f"{out}: exists already; name a new folder")
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        with storage_errors(out):
            found = _check(package, signatory, identity=identity, contract=contract, into=temporary, step=step)
            if not found.problems:
                temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return found


def _check(
    package: Path, signatory: Signatory, *, identity: Any, contract: str | None, into: Path | None, step: Step
) -> PackageFindings:
    document = read_package(package, signatory)
    if contract is not None and document.contract != contract:
        raise DeliveryError(
            f"{package}: is a package of contract {document.contract}, not of {contract}; name the right one"
        )
    found = PackageFindings(document)
    whole = [_agrees(package, stored, found) for stored in (document.manifest, *document.objects)]
    found.problems += _added(package, document)
    if identity is None or not whole[0]:
        return found
    with decrypted(package / MANIFEST, identity) as stream:
        data = stream.read(_MOST_MANIFEST_BYTES)
    manifest = parse_manifest(data, document, origin=str(package / MANIFEST))
    found.manifest = manifest
    inside = _Inside(package, identity, manifest, found, into)
    for number, (stored, agreed) in enumerate(zip(document.objects, whole[1:], strict=True)):
        if agreed:
            inside.read(number, stored)
        step(number + 1, len(document.objects))
    if not found.problems:
        inside.compare_totals()
    return found


def _agrees(package: Path, stored: Stored, found: PackageFindings) -> bool:
    path = package / stored.name
    if path.is_symlink() or not path.is_file():
        what = "is missing" if not os.path.lexists(path) else "is no file but a link or a folder"
        found.problems.append(f"{stored.name}: {what}")
        return False
    if path.stat().st_size != stored.bytes or sha256_file(path) != stored.sha256:
        found.problems.append(f"{stored.name}: was changed: it is not the file that was signed")
        return False
    found.objects += 1
    return True


def _added(package: Path, document: PackageDocument) -> list[str]:
    known = {NOTE, DOCUMENT, OBJECTS, *(each.name for each in (document.manifest, *document.objects))}
    added = []
    for folder, names, files in os.walk(package):
        for name in (*names, *files):
            place = (Path(folder) / name).relative_to(package).as_posix()
            if place not in known:
                added.append(f"{place}: was added: nobody signed it")
    return sorted(added)


class _Inside:
    """The files of a package, object by object."""

    def __init__(self, package: Path, identity: Any, manifest: Manifest, found: PackageFindings, into: Path | None) -> None:
        self._package, self._identity, self._manifest = package, identity, manifest
        self._found, self._into = found, into
        self._of: dict[int, dict[str, DeliveredFile]] = {}
        for file in manifest.files:
            self._of.setdefault(file.object, {})[file.path] = file
        self._recounts = {lot.lot: Recount() for lot in manifest.lots}

    def read(self, number: int, stored: Stored) -> None:
        """Read object `number` and note what disagrees with the manifest."""
        left = dict(self._of.get(number, {}))
        for member, stream in read_members(self._package / stored.name, self._identity):
            file = left.pop(member.name, None)
            if file is None:
                self._problem(stored, f"holds {member.name!r}, which the manifest does not have there")
            elif stream is None:
                self._problem(stored, f"{member.name!r} in it is no file but {_what(member)}")
            elif member.size != file.bytes or self._take(file, stream) != file.sha256:
                self._problem(stored, f"{member.name!r} in it is not the file that the manifest names")
            else:
                self._found.files += 1
        for path in left:
            self._problem(stored, f"lacks {path!r}, which the manifest has there")

    def _problem(self, stored: Stored, what: str) -> None:
        self._found.problems.append(f"{stored.name}: {what}; ask the vendor for a new package")

    def _take(self, file: DeliveredFile, stream: IO[bytes]) -> str:
        """Read a file to its end, write it if it is to be written, count it if it is counted; return its SHA-256."""
        digest = hashlib.sha256()
        counted = self._counted(file.path)
        kept: list[bytes] = []
        with self._target(file) as target:
            while piece := stream.read(PIECE):
                digest.update(piece)
                if target is not None:
                    target.write(piece)
                if counted:
                    kept.append(piece)
        if counted and digest.hexdigest() == file.sha256:
            lot, below = counted
            self._recounts[lot].add(below, b"".join(kept))
        return digest.hexdigest()

    @contextlib.contextmanager
    def _target(self, file: DeliveredFile) -> Iterator[IO[bytes] | None]:
        if self._into is None:
            yield None
            return
        path = self._into / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            target = path.open("xb")  # the folder is new and ours, so that there is no link to follow
        except FileExistsError as error:
            raise DeliveryError(
                f"{file.path}: this disk takes it and another file for the same; open it on another"
            ) from error
        with target:
            yield target

    def _counted(self, path: str) -> tuple[str, str] | None:
        """Return lot and path below it of a file of labels."""
        parts = path.split("/", 3)
        if len(parts) < 4 or parts[0] != "lots" or parts[1] not in self._recounts or parts[2] in ("media", "report"):
            return None
        return parts[1], f"{parts[2]}/{parts[3]}"

    def compare_totals(self) -> None:
        """Compare the totals of the manifest with those of its own files."""
        for lot in self._manifest.lots:
            recount = self._recounts[lot.lot]
            said: Mapping[str, Mapping[str, int]] = lot.totals.labels
            self._found.problems += [f"lot {lot.lot}: {line}" for line in recount.problems(lot.totals.items, said)]
            self._found.uncounted |= recount.uncounted


def _what(member: tarfile.TarInfo) -> str:
    return "a link" if member.issym() or member.islnk() else "something else"
