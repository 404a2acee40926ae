"""Label Studio's tokens, as who opens its files and who calls its API must know them (labelstud.io, "Access tokens")."""

import base64
import binascii

import httpx


def is_personal(token: str) -> bool:
    """Return whether a token is a personal access token, a JWT, which is exchanged for one that opens anything."""
    head, *rest = token.split(".")
    if len(rest) != 2:
        return False
    try:
        return b'"alg"' in base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return False


def access_of(exchanged: httpx.Response) -> str | None:
    """Return the access token in the answer of /api/token/refresh; None where it refuses."""
    try:
        access = exchanged.json()["access"] if exchanged.is_success else None
    except (ValueError, KeyError, TypeError):
        return None
    return access if isinstance(access, str) else None
