"""What a page elsewhere may not do through a visitor's browser.

A browser sends what any page tells it to, to this service as well, with the password that it keeps for it, or from the very
machine that is let in without one. It says so, though: which site a request comes from (W3C, Fetch Metadata Request
Headers), and which name it was sent to. Programs say neither, and are not concerned.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from serving.http.problems import ProblemError

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})


def check_origin(scope: Scope) -> None:
    """Refuse what changes or costs something when a page of another site sends it.

    Raises:
        ProblemError: 403.
    """
    if scope["method"] in _READS:
        return
    headers = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        foreign = site.decode("latin-1") in _ELSEWHERE
    else:
        origin = headers.get(b"origin")
        foreign = origin is not None and _authority(origin) != headers.get(b"host", b"").decode("latin-1").lower()
    if foreign:
        raise ProblemError(403, "a page of another site sent this request, and pages elsewhere may not use this service")


def _authority(origin: bytes) -> str | None:
    try:
        return urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        return None


def check_own_name(scope: Scope) -> None:
    """Refuse a request that was sent to a name which is not this machine's own (DNS rebinding).

    Such a name belongs to somebody else, who had it lead here so that his page may read the answers. An address cannot be
    bent like that.

    Raises:
        ProblemError: 403.
    """
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = "not.a.name"
    # Nobody on the internet can own a name without a dot, or one of these ends (RFC 6761; ICANN's .internal).
    if "." in name and not name.endswith((".localhost", ".internal")) and not _is_address(name):
        raise ProblemError(403, "without keys this service answers to localhost and to addresses alone, not to other names")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
