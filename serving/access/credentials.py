"""Where callers put their key: each tool has its own place.

Sources: RFC 6750 (Bearer), RFC 7617 (Basic), what Label Studio sends to ML backends (Basic), and the header Token of
X-AnyLabeling-Server.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

CHALLENGE: Final = 'Bearer realm="goldgate", Basic realm="goldgate", charset="UTF-8"'
"""What WWW-Authenticate says: browsers and Label Studio know Basic, where the password is the key."""


def token_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key that a request brings, or None.

    Taken are `Authorization: Bearer KEY`, `Authorization: Token KEY`, Basic with any user name and the key as its
    password, and `Token: KEY`.
    """
    found = {name.lower(): value for name, value in headers}
    if b"authorization" in found:
        scheme, _, rest = found[b"authorization"].decode("latin-1").strip().partition(" ")
        rest = rest.strip()
        if scheme.lower() in ("bearer", "token"):
            return rest
        return _password(rest) if scheme.lower() == "basic" else None
    token = found.get(b"token")
    return None if token is None else token.decode("latin-1").strip()


def _password(encoded: str) -> str | None:
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    _, separator, password = pair.partition(":")
    return password if separator else None
