"""Signed notes: a text that people can read with signatures below it, as C2SP and Go's checksum database have them.

    text, ending in a line feed
    (an empty line)
    — NAME BASE64(key id, 4 bytes || Ed25519 signature over the text, 64 bytes)

The key id is the beginning of SHA-256(NAME || 0x0A || 0x01 || public key). A public key is written as
NAME+HEX(key id)+BASE64(0x01 || public key). Source: https://c2sp.org/signed-note
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contract.errors import DeliveryError

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._/@-]{0,99}$"
_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_LINE: Final = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})\n")


@dataclass(frozen=True)
class Verifier:
    """A public key with the name that it signs under; `public` are the 32 bytes of Ed25519."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the 4 bytes that stand before each signature; a hint, not a proof."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the public key, for people to compare by another channel."""
        return hashlib.sha256(self.public).hexdigest()

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


def parse_verifier(text: str, *, origin: str) -> Verifier:
    """Return the public key that `text` writes as NAME+HEX+BASE64.

    Raises:
        DeliveryError: it is none, or its parts do not belong together.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not re.match(NAME_PATTERN, name) or key[:1] != _ED25519 or len(key) != 33:
        raise DeliveryError(f"{origin}: not a public key written as NAME+ID+KEY; ask its owner for the .pub file again")
    found = Verifier(name, key[1:])
    if found.key_id.hex() != key_id:
        raise DeliveryError(f"{origin}: the public key of {name!r} was changed; ask its owner for the .pub file again")
    return found


def sign_note(text: str, name: str, private: Ed25519PrivateKey) -> str:
    """Return `text`, which ends in a line feed, as a note signed under `name`."""
    if not text.endswith("\n"):
        raise ValueError("the text of a note ends in a line feed")
    key_id = Verifier(name, private.public_key().public_bytes_raw()).key_id
    return f"{text}\n— {name} {base64.b64encode(key_id + private.sign(text.encode())).decode()}\n"


def open_note(note: str, verifier: Verifier, *, origin: str) -> str:
    """Return the text of `note` if `verifier` has signed it.

    Raises:
        DeliveryError: it is no note, was signed by others only, or was changed.
    """
    text, separator, below = note.rpartition("\n\n")
    text += "\n"
    lines = _LINE.findall(below)
    if not separator or not lines or "".join(f"— {name} {signature}\n" for name, signature in lines) != below:
        raise DeliveryError(f"{origin}: not a signed note; fetch the file again as it was sent")
    mine = [_decoded(signature) for name, signature in lines if name == verifier.name]
    mine = [signature for signature in mine if signature[:_ID_BYTES] == verifier.key_id]
    if not mine:
        others = ", ".join(sorted({name for name, _ in lines}))
        raise DeliveryError(
            f"{origin}: signed by {others} with another key than that of {verifier.name} "
            f"({verifier.fingerprint[:16]}); it is not what {verifier.name} sent, or their key has changed: ask them"
        )
    public = Ed25519PublicKey.from_public_bytes(verifier.public)
    for signature in mine:
        try:
            public.verify(signature[_ID_BYTES:], text.encode())
        except InvalidSignature:
            continue
        return text
    raise DeliveryError(f"{origin}: was changed since {verifier.name} signed it; fetch the file again as it was sent")


def _decoded(signature: str) -> bytes:
    try:
        decoded = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return b""
    return decoded if len(decoded) == _ID_BYTES + _SIGNATURE_BYTES else b""
