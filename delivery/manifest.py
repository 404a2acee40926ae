"""The documents of a package: what the signature covers, and what only the recipient reads.

PACKAGE/package.note     a signed note: which package of which contract, and the SHA-256 of package.json
       /package.json     the objects with length and SHA-256; no name of a file, a lot or an item
       /manifest.age     encrypted: every file with path, length and SHA-256, the lots with their verdicts, the totals
       /objects/000001.age ...   encrypted tars of the files
       /.progress/       while the package is being written: what is finished
"""

import json
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from contract.errors import DeliveryError
from contract.files import sha256_bytes
from contract.guideline import Strict
from contract.receipts import Count, Sha256
from delivery.keys import Signatory
from delivery.notes import open_note
from delivery.safepath import clashes, path_problem

NOTE: Final = "package.note"
DOCUMENT: Final = "package.json"
MANIFEST: Final = "manifest.age"
OBJECTS: Final = "objects"
PROGRESS: Final = ".progress"
_TEXT: Final = re.compile(r"goldgate/([^/\n]+)/package/([1-9][0-9]{0,8})\n([0-9a-f]{64})\n")
_SHOWN: Final = 5


class Stored(Strict):
    """An encrypted file of the package."""

    name: Annotated[str, Field(pattern=r"^(manifest\.age|objects/[0-9]{6}\.age)$")]
    bytes: Count
    sha256: Sha256


class PackageDocument(Strict):
    """What anybody may read of a package."""

    document: Literal["goldgate package 1"] = "goldgate package 1"
    contract: str
    number: Annotated[int, Field(gt=0)]
    created: AwareDatetime
    signer: str
    recipients: Annotated[tuple[str, ...], Field(min_length=1)]
    manifest: Stored
    objects: tuple[Stored, ...]


class Totals(Strict):
    """What of a lot is delivered: items by kind and state, labels by task and label ("" where labels have no name)."""

    items: dict[str, dict[str, Count]]
    labels: dict[str, dict[str, Count]]


class DeliveredLot(Strict):
    """A lot with the verdict that it is delivered under; `seal` is that of the submission."""

    lot: str
    submission: Annotated[int, Field(gt=0)]
    seal: Sha256
    verdict: Annotated[int, Field(gt=0)]
    verdict_sha256: Sha256
    manifest_sha256: Sha256
    totals: Totals


class DeliveredFile(Strict):
    """A file of the package; `object` counts from 0, `item` is the lot's name for it where it is one of its items."""

    path: str
    bytes: Count
    sha256: Sha256
    object: Count
    item: str | None = None


class Manifest(Strict):
    """What is in the package."""

    document: Literal["goldgate package manifest 1"] = "goldgate package manifest 1"
    contract: str
    purpose: str
    number: Annotated[int, Field(gt=0)]
    created: AwareDatetime
    signer: str
    terms_sha256: Sha256
    guideline_version: str
    guideline_sha256: Sha256
    formats: tuple[str, ...]
    lots: tuple[DeliveredLot, ...]
    files: tuple[DeliveredFile, ...]
    checkpoint: str | None

    @model_validator(mode="after")
    def _paths_stay_inside(self) -> "Manifest":
        for file in self.files:
            if problem := path_problem(file.path):
                raise ValueError(f"path {file.path!r} {problem}")
        twice = clashes(file.path for file in self.files)
        if twice:
            raise ValueError(f"path {twice[0]!r} stands in the way of another")
        return self


def note_text(contract: str, number: int, document: bytes) -> str:
    """Return what is signed of a package."""
    return f"goldgate/{contract}/package/{number}\n{sha256_bytes(document)}\n"


def read_package(package: Path, signatory: Signatory) -> PackageDocument:
    """Return the document of `package` if `signatory` signed it while their key was good.

    Raises:
        DeliveryError: there is no package, it is not finished, or it is not theirs.
    """
    if not package.is_dir():
        raise DeliveryError(f"{package}: no such folder; name the folder of the package")
    if not (package / NOTE).is_file():
        half = (package / PROGRESS).exists()
        why = "it is half a package: run the same 'goldgate deliver' again" if half else "fetch the package again"
        raise DeliveryError(f"{package}: has no {NOTE}; {why}")
    if any((package / name).is_symlink() for name in (NOTE, DOCUMENT, MANIFEST, OBJECTS)):
        raise DeliveryError(f"{package}: a link stands in the place of one of its files; fetch the package again")
    note, document = _bytes(package / NOTE), _bytes(package / DOCUMENT)
    text = open_note(note.decode("utf-8", "replace"), signatory.verifier, origin=str(package / NOTE))
    parts = _TEXT.fullmatch(text)
    if parts is None:
        raise DeliveryError(f"{package / NOTE}: signed, but it is not the note of a package; fetch the package again")
    if sha256_bytes(document) != parts[3]:
        raise DeliveryError(f"{package / DOCUMENT}: was changed since it was signed; fetch the package again")
    try:
        found = PackageDocument.model_validate_json(document)
    except ValidationError as error:
        raise DeliveryError(f"{package / DOCUMENT}: not the document of a package; ask the vendor for a new one") from error
    if (found.contract, str(found.number), found.signer) != (parts[1], parts[2], str(signatory.verifier)):
        raise DeliveryError(f"{package / DOCUMENT}: names another package or signer than its note; ask the vendor")
    signatory.public.require(found.created, origin=str(package))
    return found


def parse_manifest(data: bytes, package: PackageDocument, *, origin: str) -> Manifest:
    """Return the manifest that `data` holds, if it is that of `package`.

    Raises:
        DeliveryError: it is none, names a path that leads out of the package, or is another package's.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        why = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors()[:_SHOWN])
        raise DeliveryError(f"{origin}: refused: {why}; ask the vendor for a new package") from error
    same = ("contract", "number", "created", "signer")
    if any(getattr(manifest, name) != getattr(package, name) for name in same):
        raise DeliveryError(f"{origin}: is the manifest of another package; ask the vendor for a new one")
    if any(file.object >= len(package.objects) for file in manifest.files):
        raise DeliveryError(f"{origin}: names an object that the package does not have; ask the vendor for a new one")
    return manifest


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return `manifest` as it is encrypted."""
    return json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, sort_keys=True).encode()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeliveryError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()}); fetch it again") from error
