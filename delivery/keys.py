"""Key files: an Ed25519 key to sign with, an age key that packages are encrypted to, each public half in a file of its own.

NAME.key (private, readable by its owner alone) and NAME.pub. An identity is written as age-keygen writes it, so that the age
programs open what was encrypted to it, and a public key that age-keygen made is a recipient without an end.
"""

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AwareDatetime, Field, ValidationError

from contract.errors import DeliveryError, LabelsError
from contract.files import json_bytes, read_json, storage_errors, write_once
from contract.guideline import Strict
from delivery.notes import NAME_PATTERN, Verifier, parse_verifier, sign_note

_IDENTITY: Final = "AGE-SECRET-KEY-1"
_RECIPIENT: Final = "age1"


class PublicKey(Strict):
    """A public key (a note's verifier or an age recipient) with its owner's name and the time in which it may be used."""

    document: Literal["goldgate signing key", "goldgate recipient key"]
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    key: str
    created: AwareDatetime
    expires: AwareDatetime | None = None

    def require(self, at: datetime.datetime, *, origin: str) -> None:
        """Refuse the key at a time that is not its own.

        Raises:
            DeliveryError: it is over, or had not begun.
        """
        if self.expires is not None and at >= self.expires:
            raise DeliveryError(
                f"{origin}: the key of {self.name} expired at {self.expires:%F %R} UTC, before {at:%F %R}; "
                "ask its owner for a newer one"
            )
        if at < self.created - _SLACK:
            raise DeliveryError(
                f"{origin}: the key of {self.name} was made at {self.created:%F %R} UTC, after {at:%F %R}; "
                "one of the two clocks is wrong"
            )


_SLACK: Final = datetime.timedelta(minutes=5)  # between the clocks of two parties


class _PrivateKey(Strict):
    document: Literal["goldgate private signing key"]
    public: PublicKey
    private_hex: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Signer:
    """A private key that signs notes under its owner's name."""

    public: PublicKey
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        """Return the public key by which others check."""
        return Verifier(self.public.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return `text` as a signed note."""
        return sign_note(text, self.public.name, self.private)


@dataclass(frozen=True)
class Signatory:
    """Whose signatures are to be checked: the public key, and when it may sign."""

    public: PublicKey
    verifier: Verifier


def make_signing_key(path: Path, name: str, *, expires: datetime.datetime | None = None) -> PublicKey:
    """Write a new signing key to `path` and its public half beside it as .pub.

    Raises:
        DeliveryError: the name is none, or the file exists.
    """
    private = Ed25519PrivateKey.generate()
    verifier = Verifier(name, private.public_key().public_bytes_raw())
    public = _public("goldgate signing key", name, str(verifier), expires)
    document = _PrivateKey(
        document="goldgate private signing key", public=public, private_hex=private.private_bytes_raw().hex()
    )
    _write_pair(path, json_bytes(document.model_dump(mode="json")), public)
    return public


def make_recipient_key(path: Path, name: str, *, expires: datetime.datetime | None = None) -> PublicKey:
    """Write a new age identity to `path` and its public half beside it as .pub.

    Raises:
        DeliveryError: the name is none, or the file exists.
    """
    identity = pyrage.x25519.Identity.generate()
    public = _public("goldgate recipient key", name, str(identity.to_public()), expires)
    lines = (f"# created: {public.created.isoformat()}", f"# public key: {public.key}", str(identity))
    _write_pair(path, ("\n".join(lines) + "\n").encode(), public)
    return public


def _public(document: Any, name: str, key: str, expires: datetime.datetime | None) -> PublicKey:
    try:
        return PublicKey(document=document, name=name, key=key, created=now_utc(), expires=expires)
    except ValidationError as error:
        raise DeliveryError(f"name {name!r}: write letters, digits and . _ / @ -, for example vendor.example") from error


def now_utc() -> datetime.datetime:
    """Return the time by which keys expire and packages are dated, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def _write_pair(path: Path, private: bytes, public: PublicKey) -> None:
    beside = public_path(path)
    for each in (path, beside):
        if each.exists():
            raise DeliveryError(f"{each}: exists already, and a key is never written over; name another file")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o077)  # nobody but the owner may read it
        try:
            write_once(path, private)
        finally:
            os.umask(before)
    write_once(beside, json_bytes(public.model_dump(mode="json")))


def public_path(path: Path) -> Path:
    """Return where the public half of the key at `path` lies."""
    return path.with_name(f"{path.stem if path.suffix == '.key' else path.name}.pub")


def read_signer(path: Path) -> Signer:
    """Return the private signing key at `path`.

    Raises:
        DeliveryError: it is none.
    """
    document = _parsed(path, _PrivateKey, "a private signing key; 'goldgate keypair signing' makes one")
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(document.private_hex))
    found = Signer(document.public, private)
    if str(found.verifier) != document.public.key:
        raise DeliveryError(f"{path}: its two halves do not belong together; put back the file as it was made")
    return found


def read_signatory(path: Path) -> Signatory:
    """Return the public signing key at `path`: a .pub file, or a text NAME+ID+KEY.

    Raises:
        DeliveryError: it is none.
    """
    text = _text(path)
    if not text.lstrip().startswith("{"):
        verifier = parse_verifier(text, origin=str(path))
        epoch = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
        return Signatory(
            PublicKey(document="goldgate signing key", name=verifier.name, key=str(verifier), created=epoch), verifier
        )
    public = _parsed(path, PublicKey, "a public signing key; ask its owner for the .pub file")
    if public.document != "goldgate signing key":
        raise DeliveryError(
            f"{path}: a {public.document.removeprefix('goldgate ')}, not one that signs; name the other file"
        )
    verifier = parse_verifier(public.key, origin=str(path))
    if verifier.name != public.name:
        raise DeliveryError(f"{path}: names both {public.name} and {verifier.name}; ask its owner for the .pub file again")
    return Signatory(public, verifier)


def read_recipient(path: Path) -> PublicKey:
    """Return the public key at `path` that packages are encrypted to: a .pub file, or a text age1...

    Raises:
        DeliveryError: it is none.
    """
    text = _text(path).strip()
    if text.startswith(_RECIPIENT):
        epoch = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
        public = PublicKey(document="goldgate recipient key", name=path.stem, key=text, created=epoch)
    else:
        public = _parsed(path, PublicKey, "a public age key; the client makes one by 'goldgate keypair recipient'")
    if public.document != "goldgate recipient key":
        raise DeliveryError(f"{path}: a {public.document.removeprefix('goldgate ')}, not a recipient's; name the other file")
    recipient_of(public, origin=str(path))
    return public


def recipient_of(public: PublicKey, *, origin: str) -> Any:
    """Return the age recipient of a key that was read.

    Raises:
        DeliveryError: it is none.
    """
    return _by_age(pyrage.x25519.Recipient.from_str, public.key, f"{origin}: not a public key of age (age1...)")


def read_identity(path: Path) -> Any:
    """Return the age identity at `path`.

    Raises:
        DeliveryError: it is none.
    """
    lines = [line.strip() for line in _text(path).splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if len(found) != 1 or not found[0].startswith(_IDENTITY):
        raise DeliveryError(
            f"{path}: not an age identity ({_IDENTITY}...); name the private key that belongs to the recipient"
        )
    return _by_age(pyrage.x25519.Identity.from_str, found[0], f"{path}: not a whole age identity")


def _by_age(make: Callable[[str], Any], text: str, problem: str) -> Any:
    try:
        return make(text)
    except (pyrage.RecipientError, pyrage.IdentityError) as error:
        raise DeliveryError(f"{problem}; put back the file as it was made") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeliveryError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except UnicodeDecodeError as error:
        raise DeliveryError(f"{path}: not a key file") from error


def _parsed(path: Path, model: type[Any], what: str) -> Any:
    _text(path)
    try:
        return model.model_validate(read_json(path))
    except (ValidationError, LabelsError) as error:
        raise DeliveryError(f"{path}: not {what}") from error
