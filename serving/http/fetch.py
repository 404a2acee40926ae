"""Content by URI, fetched for a caller who must not thereby reach what only this server can reach.

A name is resolved once, every address it gives is judged, and the connection goes to a judged address: a name that
answers differently the second time (DNS rebinding) is never asked a second time. Redirects are followed by hand and
judged like the first address.
"""

import asyncio
import base64
import binascii
import functools
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import httpx

from serving.http.addresses import IPAddress, Target, check_address, shown, target_of
from serving.http.addresses import UriRules as UriRules
from serving.http.paths import allowed_path
from serving.http.problems import ProblemError
from serving.settings import MIB

_REDIRECTS: Final = 3
_REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_LATER_S: Final = 5
_MOST_LATER_S: Final = 3600
_ADDRESSES_TRIED: Final = 3
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


async def fetch(
    uri: str,
    rules: UriRules,
    *,
    limit: int,
    headers: Mapping[str, str] = _NO_HEADERS,
    folders: Sequence[Path] = (),
) -> bytes:
    """Return what `uri` holds.

    Args:
        uri: http or https where the rules allow its host; file under one of `folders`; data (RFC 2397) always,
            since it holds its content itself.
        rules: of the operator.
        limit: most bytes; more are not read.
        headers: for the origin that `uri` names, such as its authorization; no other origin sees them.
        folders: whose files may be read by file URI.

    Raises:
        ProblemError: 403 not allowed, 413 larger than `limit`, 422 not a URI, or nothing is there; 502 the host failed,
            504 it did not answer in time, both with Retry-After where another attempt may help.
    """
    if uri[:5].lower() == "data:":
        return await asyncio.to_thread(decode_data_uri, uri, limit=limit)
    if is_file_uri(uri):
        return await asyncio.to_thread(_read_file, uri, limit, folders)
    target = target_of(uri, rules)
    try:
        return await asyncio.wait_for(_follow(target, rules, limit, headers), rules.timeout_s)
    except (asyncio.TimeoutError, TimeoutError, httpx.TimeoutException) as error:
        sentence = f"{shown(uri)}: no answer within {rules.timeout_s:g} s"
        raise ProblemError(504, sentence, retry_after_s=_LATER_S) from error
    except httpx.TransportError as error:
        raise ProblemError(502, f"{shown(uri)}: {_fault(error)}", retry_after_s=_LATER_S) from error


def _fault(error: httpx.TransportError) -> str:
    said = " ".join(str(error).split())[:200]
    return f"its host cannot be reached or broke off ({said or type(error).__name__})"


async def _follow(target: Target, rules: UriRules, limit: int, headers: Mapping[str, str]) -> bytes:
    for _ in range(_REDIRECTS + 1):
        addresses = await _resolve(target, rules)
        answer = await _ask(target, addresses, limit, headers)
        if isinstance(answer, bytes):
            return answer
        # Its text is judged like that of any caller: joined first, then parsed and checked anew.
        following = target_of(str(_joined(target, answer)), rules)
        headers = headers if following.origin == target.origin else _NO_HEADERS
        target = following
    raise ProblemError(502, f"{shown(str(target.url))}: redirected more than {_REDIRECTS} times")


def _joined(target: Target, location: str) -> httpx.URL:
    try:
        return target.url.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise ProblemError(502, f"{shown(str(target.url))}: redirected to what is not a URI") from error


async def _resolve(target: Target, rules: UriRules) -> list[IPAddress]:
    """Return the addresses of the target's host, all of them judged.

    Raises:
        ProblemError: 502 the name is not known, 403 one of its addresses may not be reached.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ProblemError(502, f"{target.host}: no address is known for this host", retry_after_s=_LATER_S) from error
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found))
    private = rules.allow_private(target.host, target.port)
    if not addresses or not all(check_address(address, private=private) for address in addresses):
        raise ProblemError(
            403, f"{target.host}: lies at an address that this service may not reach; private ones need uris.private_hosts"
        )
    return addresses[:_ADDRESSES_TRIED]


async def _ask(target: Target, addresses: Sequence[IPAddress], limit: int, headers: Mapping[str, str]) -> bytes | str:
    """Return the content, or where it has moved to; of several addresses, the first that lets us connect."""
    first, *others = addresses
    try:
        return await _ask_address(target, first, limit, headers)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        if not others:
            raise
        return await _ask(target, others, limit, headers)


async def _ask_address(target: Target, address: IPAddress, limit: int, headers: Mapping[str, str]) -> bytes | str:
    sent = httpx.Headers(dict(headers))
    sent.update({"host": target.url.netloc.decode("ascii"), "accept-encoding": "identity", "user-agent": "goldgate"})
    # No environment variable may send the call through a proxy, which would resolve the name a second time; a client
    # of its own for every call, because a connection kept for an address could carry another host's certificate.
    async with (
        httpx.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False, timeout=None) as client,  # noqa: S113 - fetch
        client.stream(
            "GET", target.url.copy_with(host=str(address)), headers=sent, extensions={"sni_hostname": target.host}
        ) as response,
    ):
        if response.status_code in _REDIRECT_STATUSES and "location" in response.headers:
            return response.headers["location"]
        _check_status(target, response)
        return await _read(target, response, limit)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the trusted authorities: certifi's, or those of SSL_CERT_FILE or SSL_CERT_DIR."""
    return httpx.create_ssl_context()


def _check_status(target: Target, response: httpx.Response) -> None:
    status, name = response.status_code, shown(str(target.url))
    if status == httpx.codes.OK:
        return
    if status in _TRY_AGAIN or httpx.codes.is_server_error(status):
        said = response.headers.get("retry-after", "")
        later = min(int(said), _MOST_LATER_S) if said.isascii() and said.isdigit() and len(said) < 10 else _LATER_S
        raise ProblemError(502, f"{name}: its host answered {status}", retry_after_s=later)
    if httpx.codes.is_client_error(status):
        raise ProblemError(422, f"{name}: its host answered {status}; check the address and who may read it")
    raise ProblemError(502, f"{name}: its host answered {status}, which is no content")


async def _read(target: Target, response: httpx.Response, limit: int) -> bytes:
    """Return the body as it came: what is compressed on the way is refused, so that nothing unfolds in memory."""
    name = shown(str(target.url))
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(502, f"{name}: its host compresses the answer although asked not to")
    announced = response.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
        raise ProblemError(413, f"{name}: larger than {limit} bytes")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > limit:
            raise ProblemError(413, f"{name}: larger than {limit} bytes")
    return bytes(content)


def decode_data_uri(uri: str, *, limit: int) -> bytes:
    """Return the content of a data URI (RFC 2397).

    Raises:
        ProblemError: 422 it is none, or its base64 is broken; 413 it is larger than `limit`.
    """
    if uri[:5].lower() != "data:":
        raise ProblemError(422, f"{shown(uri)}: not a data URI")
    head, comma, text = uri[5:].partition(",")
    if not comma:
        raise ProblemError(422, "a data URI has a comma before its content, and this one has none")
    coded = head.lower().endswith(";base64")
    if len(text) > (4 * limit if coded else 3 * limit) + MIB:  # %xx takes three characters a byte
        raise ProblemError(413, f"the data URI holds more than {limit} bytes")
    content = unquote_to_bytes(text.encode("utf-8", errors="replace"))
    if coded:
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise ProblemError(422, f"the data URI does not hold base64 ({error})") from error
    if len(content) > limit:
        raise ProblemError(413, f"the data URI holds more than {limit} bytes")
    return content


def is_file_uri(uri: str) -> bool:
    """Tell whether `uri` names a file of the server."""
    return uri[:5].lower() == "file:"


def path_of(uri: str) -> str:
    """Return the path that a file URI names.

    Raises:
        ProblemError: 422 it names another machine, or no path.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ProblemError(422, f"{shown(uri)}: not a URI") from error
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ProblemError(422, f"{shown(uri)}: a file URI has the form file:///folder/file")
    return unquote(parts.path)


def _read_file(uri: str, limit: int, folders: Sequence[Path]) -> bytes:
    path = allowed_path(path_of(uri), folders)
    try:
        # Not a pipe that never ends, nor a link put there since the path was judged.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:  # noqa: PTH123 - from a handle
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ProblemError(422, f"{shown(uri)}: no such file on the server")
            content = file.read(limit + 1)
    except OSError as error:
        raise ProblemError(422, f"{shown(uri)}: no such file on the server") from error
    if len(content) > limit:
        raise ProblemError(413, f"{shown(uri)}: larger than {limit} bytes")
    return content
