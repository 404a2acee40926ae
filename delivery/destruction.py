"""Taking away what a contract left in the work folder, and the certificate that says so.

The certificate has the fields of NIST SP 800-88 r1, appendix G, as far as software can know them. The method is Clear: files
are deleted by their file system. That says nothing of copies elsewhere, nor of what a disk keeps of deleted blocks.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from contract.errors import DeliveryError, StorageError
from contract.files import sha256_bytes, sha256_json
from contract.guideline import Strict
from contract.receipts import Count, Sha256
from delivery.keys import Signatory, Signer
from delivery.notes import open_note

CERTIFICATE: Final = "certificate.json"
NOTE: Final = "certificate.note"
KEPT: Final = ("audit", "blockers", "contract.yaml", "deliveries", "destructions", "settlements")
_KEPT_OF_AUDIT: Final = "pseudonyms.key"  # names of people, which go with the rest
_TEXT: Final = re.compile(r"goldgate/([^/\n]+)/destruction/([1-9][0-9]{0,8})\n([0-9a-f]{64})\n")


class DestroyedLot(Strict):
    """A lot whose data are gone."""

    lot: str
    items: dict[str, Count]
    manifest_sha256: Sha256


class DestructionCertificate(Strict):
    """What was taken away, how, by whom, and what was found afterwards."""

    document: Literal["goldgate certificate of destruction 1"] = "goldgate certificate of destruction 1"
    contract: str
    number: Annotated[int, Field(gt=0)]
    client: str
    vendor: str
    terms_sha256: Sha256
    lots: tuple[DestroyedLot, ...]
    files: Count
    bytes: Count
    inventory_sha256: Sha256
    method: Literal["Clear"] = "Clear"
    technique: Literal["deletion by the file system"] = "deletion by the file system"
    key_id: str | None = None
    tool: str
    operator: str
    verifier: str | None
    started: AwareDatetime
    finished: AwareDatetime
    verification: Literal["the folder was listed again"] = "the folder was listed again"
    left: tuple[str, ...] = ()
    kept: tuple[str, ...]
    raw_places: Count = Field(description="places outside the work folder that raw data were taken in from")
    checkpoint: str


@dataclass(frozen=True)
class Inventory:
    """What is there to be taken away."""

    files: int
    bytes: int
    sha256: str


def doomed(home: Path) -> list[Path]:
    """Return what of the contract's folder is to be taken away.

    Raises:
        DeliveryError: the folder is a link or not there.
    """
    if home.is_symlink() or not home.is_dir():
        raise DeliveryError(f"{home}: is no folder of a contract; name the right --work folder")
    secret = home / "audit" / _KEPT_OF_AUDIT
    found = sorted(path for path in home.iterdir() if path.name not in KEPT)
    return [*found, secret] if secret.exists() else found


def inventory(home: Path) -> Inventory:
    """Count what is to be taken away; the digest is over its paths and lengths. Links are counted and not followed."""
    rows = sorted((path.relative_to(home).as_posix(), path.lstat().st_size) for path in _files(home))
    return Inventory(len(rows), sum(size for _, size in rows), sha256_json(rows))


def _files(home: Path) -> Iterator[Path]:
    for path in doomed(home):
        if path.is_symlink() or not path.is_dir():
            yield path
        else:
            yield from (each for each in path.rglob("*") if each.is_symlink() or not each.is_dir())


def take_away(home: Path) -> None:
    """Delete what `doomed` names; links are deleted and not followed.

    Raises:
        StorageError: something could not be deleted; the same command goes on with what is left.
    """
    try:
        for path in doomed(home):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                shutil.rmtree(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot delete {error.filename or home}: {reason}; mend that and run it again") from error


def left_over(home: Path) -> list[str]:
    """Return what is still there of what was to be taken away."""
    return [path.relative_to(home).as_posix() for path in doomed(home)]


def sign_certificate(data: bytes, certificate: DestructionCertificate, signer: Signer) -> str:
    """Return the signed note over the bytes of a certificate."""
    return signer.sign(f"goldgate/{certificate.contract}/destruction/{certificate.number}\n{sha256_bytes(data)}\n")


def verify_certificate(folder: Path, signatory: Signatory) -> DestructionCertificate:
    """Return the certificate in `folder` if `signatory` signed it.

    Raises:
        DeliveryError: it is not theirs, or was changed.
    """
    try:
        data, note = (folder / CERTIFICATE).read_bytes(), (folder / NOTE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{folder}: has no {CERTIFICATE} with its {NOTE}; name the folder of the certificate") from error
    parts = _TEXT.fullmatch(open_note(note, signatory.verifier, origin=str(folder / NOTE)))
    if parts is None or parts[3] != sha256_bytes(data):
        raise DeliveryError(f"{folder / CERTIFICATE}: is not what was signed; ask the vendor for it again")
    try:
        found = DestructionCertificate.model_validate_json(data)
    except ValidationError as error:
        raise DeliveryError(f"{folder / CERTIFICATE}: not a certificate of destruction") from error
    if (found.contract, str(found.number)) != (parts[1], parts[2]):
        raise DeliveryError(f"{folder / CERTIFICATE}: names another contract than its signature; ask the vendor")
    signatory.public.require(found.finished, origin=str(folder))
    return found
