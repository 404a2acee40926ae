"""Which addresses this service may fetch for a caller: the operator's rules, and what no rule can open.

A caller who can make a server fetch an address of his choice reaches what only the server can reach: its own loopback, the
neighbours in its network, the metadata service of its cloud (OWASP, Server-Side Request Forgery Prevention). So hosts
are named by the operator, and the address that a name leads to is judged before anything connects to it.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import httpx
from pydantic import field_validator

from serving.http.problems import ProblemError
from serving.settings import Seconds, Settings

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_URI: Final = 8192
_SHOWN: Final = 120


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# IANA's registries of special-purpose addresses (RFC 6890), as networks: the standard library's own lists grew between
# patch versions of Python, and a rule of safety may not depend on them.
_PRIVATE: Final = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # RFC 1918
    "100.64.0.0/10",  # shared with a carrier, and what overlay networks use (RFC 6598)
    "127.0.0.0/8", "::1/128",  # loopback
    "fc00::/7",  # unique local (RFC 4193)
)  # fmt: skip
_NEVER: Final = _networks(
    "0.0.0.0/8", "::/96",  # this host (RFC 1122), and IPv4-compatible addresses (RFC 4291), ::1 apart
    "169.254.0.0/16", "fe80::/10", "fec0::/10",  # link-local, where clouds keep their metadata
    "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",  # protocols, examples, benchmarks
    "192.88.99.0/24", "2002::/16", "2001::/23",  # 6to4 and Teredo: tunnels with another address inside
    "224.0.0.0/4", "ff00::/8", "240.0.0.0/4",  # multicast, reserved, broadcast
    "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001:db8::/32", "3fff::/20", "5f00::/16",
)  # fmt: skip
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 through a translator (RFC 6052)."""

_ENTRY: Final = re.compile(r"(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)(?::(\d{1,5}))?")
_ENDS_IN_A_NUMBER: Final = re.compile(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$")
_CREDENTIALS: Final = re.compile(r"[^:/?#]*://[^/?#]*@")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f\\]")


class UriRules(Settings):
    """Which addresses the service may fetch for a caller; as it is by default, none."""

    schemes: tuple[Literal["http", "https"], ...] = ("https",)
    hosts: tuple[str, ...] = ()
    """Hosts that may be fetched: host, host:port, *.suffix or *.suffix:port. Without a port: the scheme's own port."""
    private_hosts: tuple[str, ...] = ()
    """Those of `hosts` that may lie at private or loopback addresses, written alike; without a port: every port."""
    timeout_s: Seconds = 30.0
    """For everything together: name, connection, redirects, content."""

    @field_validator("hosts", "private_hosts")
    @classmethod
    def _are_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(entry.lower() for entry in entries)
        for entry in lowered:
            found = _ENTRY.fullmatch(entry)
            if found is None or int(found[4] or 1) not in range(1, 65536):
                raise ValueError(f"{entry!r} is no host, host:port or *.suffix (names in ASCII; IPv6 in brackets)")
        return lowered

    def allow(self, host: str, port: int, *, scheme: str) -> bool:
        """Tell whether `host`, lower-case ASCII, may be fetched at `port`."""
        return _among(self.hosts, host, port, default=DEFAULT_PORTS[scheme])

    def allow_private(self, host: str, port: int) -> bool:
        """Tell whether `host` may lie at a private address."""
        return _among(self.private_hosts, host, port, default=port)


def _among(entries: Sequence[str], host: str, port: int, *, default: int) -> bool:
    for entry in entries:
        found = _ENTRY.fullmatch(entry)
        if found is not None and int(found[4] or default) == port and _is_named(found, host):
            return True
    return False


def _is_named(entry: "re.Match[str]", host: str) -> bool:
    name = entry[2].strip("[]")
    if entry[1] is not None:
        return host.endswith(f".{name}")
    return host == name or (":" in name and ":" in host and ipaddress.ip_address(host) == ipaddress.ip_address(name))


class Target(NamedTuple):
    """Where a URI leads: what is asked of DNS, and what is connected to."""

    url: httpx.URL
    host: str
    port: int

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials belong to (RFC 6454)."""
        return self.url.scheme, self.host, self.port


def shown(uri: str) -> str:
    """Return a URI as messages name it: without its query, which may hold a signature, and not longer than a line."""
    text = "".join(character if character.isprintable() else "?" for character in uri.partition("?")[0].partition("#")[0])
    authority = text.partition("://")[2].partition("/")[0]
    text = text.replace(f"{authority.rpartition('@')[0]}@", "", 1) if "@" in authority else text
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def target_of(uri: str, rules: UriRules) -> Target:
    """Return where `uri` leads if the rules let it be asked for at all.

    Whatever two parsers could read in two ways is refused: credentials before the host, backslashes, control
    characters, white space, and numbers that only some libraries take for addresses (octal, hexadecimal, short).

    Raises:
        ProblemError: 422 it is no URI of a host, 403 its scheme or its host is not allowed.
    """
    url = _parsed(uri)
    if not rules.hosts:
        raise ProblemError(403, "this service fetches nothing by URI; send the content itself, or set uris.hosts")
    if url.scheme not in rules.schemes:
        raise ProblemError(403, f"addresses of the scheme {url.scheme} are not fetched; allowed: {_listed(rules.schemes)}")
    host = url.raw_host.decode("ascii").removesuffix(".")
    port = url.port or DEFAULT_PORTS[url.scheme]
    if not rules.allow(host, port, scheme=url.scheme):
        raise ProblemError(403, f"{shown(uri)}: its host and port are not among those that this service may fetch from")
    return Target(url, host, port)


def _parsed(uri: str) -> httpx.URL:
    if len(uri) > _MAX_URI:
        raise ProblemError(422, f"a URI may have {_MAX_URI} characters, and this one has {len(uri)}")
    if _FORBIDDEN.search(uri):
        raise ProblemError(422, f"{shown(uri)}: not a URI, for it holds white space, a backslash or control characters")
    try:
        url = httpx.URL(uri)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise ProblemError(422, f"{shown(uri)}: not a URI ({error})") from error
    if not url.scheme:
        raise ProblemError(422, f"{shown(uri)}: not a URI, for it begins with no scheme such as https:")
    if url.scheme not in DEFAULT_PORTS:
        return url
    if _CREDENTIALS.match(uri):
        raise ProblemError(422, f"{shown(uri)}: names and passwords before the host are not taken")
    if not _is_host(host):
        raise ProblemError(422, f"{shown(uri)}: {host!r} is neither a host name nor an address in its usual form")
    return url


def _is_host(host: str) -> bool:
    if ":" in host:
        return "%" not in host
    if _ENDS_IN_A_NUMBER.search(host):
        try:
            ipaddress.IPv4Address(host)
        except ipaddress.AddressValueError:
            return False
        return True
    return re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?", host) is not None and ".." not in host


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"


def check_address(address: IPAddress, *, private: bool) -> bool:
    """Tell whether `address` may be connected to; `private` also opens private and loopback ones, and nothing else.

    IPv4 inside of IPv6, mapped or translated, is judged as the IPv4 address that it is.
    """
    inner = _embedded(address)
    if inner is not None:
        return check_address(inner, private=private)
    if _within(address, _PRIVATE):
        return private
    if _within(address, _NEVER):
        return False
    return address.version == 4 or address in _GLOBAL_UNICAST


def _embedded(address: IPAddress) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def _within(address: IPAddress, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in network for network in networks)
