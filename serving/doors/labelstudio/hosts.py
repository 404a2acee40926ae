"""The Label Studio servers that this service trusts: where their files lie, and with which token they are opened.

Nothing of this is taken from a request alone: an address or a token that a caller names counts only where its host
is one of the configured ones. Sources: labelstud.io, "Access tokens" and "Set up your ML backend".
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from contract.errors import SourceError
from serving.doors.labelstudio.settings import LabelStudioHost, LabelStudioSettings
from serving.http.fetch import UriRules, fetch
from serving.peers.labelstudiotokens import access_of, is_personal

_REFRESH_TIMEOUT_S: Final = 10.0
_ACCESS_LIVES_S: Final = 200.0
"""Label Studio's access tokens live five minutes."""


class TrustedHosts:
    """Gets tasks' files, with the token of the host where it is one of ours.

    Args:
        settings: of the door.
        rules: which other addresses may be fetched.
    """

    def __init__(self, settings: LabelStudioSettings, rules: UriRules) -> None:
        self._rules = _rules(settings, rules)
        self._hosts = {_origin(host.url): host for host in settings.hosts}
        self._told: dict[tuple[str, str, int], str] = {}
        self._of_project: dict[str, LabelStudioHost] = {}
        self._access: dict[str, tuple[str, float]] = {}

    def learn(self, project: str, hostname: Any, token: Any) -> None:
        """Keep what /setup says of a project's server; believed of configured hosts alone."""
        host = self._hosts.get(_origin(hostname)) if isinstance(hostname, str) else None
        if host is None:
            return
        self._of_project[project] = host
        if (
            isinstance(token, str)
            and token.isascii()
            and token.isprintable()
            and host.token_env is None
            and host.token_file is None
        ):
            self._told[_origin(host.url)] = token

    async def fetch(self, uri: str, *, project: str, hostname: Any, limit: int) -> bytes:
        """Return what a task's file holds.

        Args:
            uri: http(s) or data, or a path on the Label Studio server such as /data/upload/1/a.jpg.
            project: as Label Studio calls it in its requests.
            hostname: the server that the request names, if it does.
            limit: most bytes.

        Raises:
            SourceError: a path whose server is not known, or a token that is missing.
            ProblemError: what `serving.http.fetch.fetch` raises.
        """
        if uri.startswith("/") and not uri.startswith("//"):
            host: LabelStudioHost | None = self._host_of(project, hostname)
            uri = f"{_root(host)}{uri}"
        else:
            host = self._hosts.get(_origin(uri))
        headers = {} if host is None else await self._headers(host)
        return await fetch(uri, self._rules, limit=limit, headers=headers)

    def _host_of(self, project: str, hostname: Any) -> LabelStudioHost:
        named = self._hosts.get(_origin(hostname)) if isinstance(hostname, str) else None
        only = next(iter(self._hosts.values())) if len(self._hosts) == 1 else None
        host = named or self._of_project.get(project) or only
        if host is None:
            raise SourceError("the task names a file on its Label Studio server, which is not among labelstudio.hosts")
        return host

    async def _headers(self, host: LabelStudioHost) -> Mapping[str, str]:
        token = await asyncio.to_thread(_token_of, host) or self._told.get(_origin(host.url))
        if token is None:
            return {}
        if not is_personal(token):
            return {"Authorization": f"Token {token}"}
        access, until = self._access.get(token, ("", 0.0))
        if time.monotonic() >= until:
            access = await _refresh(host, token)
            self._access[token] = access, time.monotonic() + _ACCESS_LIVES_S
        return {"Authorization": f"Bearer {access}"}


def _rules(settings: LabelStudioSettings, rules: UriRules) -> UriRules:
    """Return `rules` with the configured servers, which may lie at private addresses: the operator named them."""
    origins = [_origin(host.url) for host in settings.hosts]
    hosts = tuple(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for _, name, port in origins)
    schemes = tuple(dict.fromkeys((*rules.schemes, *(scheme for scheme, _, _ in origins))))
    more = {"schemes": schemes, "hosts": (*rules.hosts, *hosts), "private_hosts": (*rules.private_hosts, *hosts)}
    return UriRules.model_validate(rules.model_dump() | more)


def _root(host: LabelStudioHost | None) -> str:
    return "" if host is None else host.url


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address; of what is none, something that equals no configured one."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0


def _token_of(host: LabelStudioHost) -> str | None:
    if host.token_env is not None:
        token = os.environ.get(host.token_env, "")
    elif host.token_file is not None:
        try:
            token = host.token_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"the token of {host.url} cannot be read from its file") from error
    else:
        return None
    token = token.strip()
    if not token or not _is_plain(token):
        raise SourceError(f"the token of {host.url} is empty or no token; set {host.token_env or host.token_file}")
    return token


def _is_plain(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


def check_tokens(settings: LabelStudioSettings) -> None:
    """Find missing tokens before the first request does.

    Raises:
        SourceError: a variable is not set, or a file cannot be read.
    """
    for host in settings.hosts:
        _token_of(host)


async def _refresh(host: LabelStudioHost, token: str) -> str:
    try:
        async with httpx.AsyncClient(timeout=_REFRESH_TIMEOUT_S, trust_env=False) as client:
            answer = await client.post(f"{host.url}/api/token/refresh/", json={"refresh": token})
    except httpx.HTTPError as error:
        raise SourceError(f"{host.url} does not exchange the personal access token ({type(error).__name__})") from error
    access = access_of(answer)
    if access is None:
        raise SourceError(f"{host.url} refuses the personal access token (HTTP {answer.status_code}); make a new one")
    return access
