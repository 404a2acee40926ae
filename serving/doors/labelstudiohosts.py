"""The Label Studio servers that this service trusts: where their files lie, with which token, and whose work they hold.

Nothing of this is taken from a request alone: an address or a token that a caller names counts only where its host
is one of the configured ones. Sources: labelstud.io, "Access tokens" and "Set up your ML backend".
"""

import asyncio
import base64
import binascii
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import ConfigDict, Field, field_validator, model_validator

from contract.errors import SourceError
from serving.config import Seconds, Settings
from serving.inbox import Place

_REFRESH_TIMEOUT_S: Final = 10.0
_ACCESS_LIVES_S: Final = 200.0
"""Label Studio's access tokens live five minutes."""


class LabelStudioHost(Settings):
    """One Label Studio; its token is named here, never written."""

    url: str
    token_env: str | None = None
    token_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no address such as https://labelstudio.example.org")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_token(self) -> "LabelStudioHost":
        if self.token_env is not None and self.token_file is not None:
            raise ValueError("name token_env or token_file, not both")
        return self


class LotOfProject(Settings):
    """Where the finished annotations of a project go: by its number or title; a task's own data.lot goes before `lot`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    project: int | str
    contract: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    lot: str | None = None
    role: Annotated[Literal["submission", "gold"], Field(alias="as")] = "submission"


class LabelStudioSettings(Settings):
    """The Label Studio door: whose files may be fetched with whose token, and whose annotations are kept."""

    hosts: tuple[LabelStudioHost, ...] = ()
    lots: tuple[LotOfProject, ...] = ()
    deadline_s: Seconds = 90.0
    """How long a call for predictions may take; Label Studio itself gives up after 100 s (ML_TIMEOUT_PREDICT)."""

    def place_of(self, project: int, title: str | None) -> Place | None:
        """Return where the annotations of a project go, or None where nobody said."""
        for each in self.lots:
            if each.project in (project, title):
                return Place(each.contract, each.lot, each.role)
        return None


class TrustedHosts:
    """Addresses of tasks' files, with the token of the host where it is one of ours.

    Args:
        settings: of the door.
    """

    def __init__(self, settings: LabelStudioSettings) -> None:
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

    async def locate(self, uri: str, project: str, hostname: Any = None) -> tuple[str, Mapping[str, str]]:
        """Return the whole address of a task's file, and the headers that open it.

        Args:
            uri: http(s), or a path on the Label Studio server such as /data/upload/1/a.jpg.
            project: as Label Studio calls it in its requests.
            hostname: the server that the request names, if it does.

        Raises:
            SourceError: a path whose server is not known, a token that is missing, or an address of another scheme.
        """
        if uri.startswith("/") and not uri.startswith("//"):
            host = self._host_of(project, hostname)
            return urljoin(f"{host.url}/", uri.lstrip("/")), await self._headers(host)
        if urlsplit(uri).scheme not in ("http", "https"):
            raise SourceError(
                f"addresses of {urlsplit(uri).scheme or 'no scheme'} are not fetched; give http, https or data"
            )
        known = self._hosts.get(_origin(uri))
        return uri, {} if known is None else await self._headers(known)

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
        if not _is_personal(token):
            return {"Authorization": f"Token {token}"}
        access, until = self._access.get(token, ("", 0.0))
        if time.monotonic() >= until:
            access = await _refresh(host, token)
            self._access[token] = access, time.monotonic() + _ACCESS_LIVES_S
        return {"Authorization": f"Bearer {access}"}


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
    if not token.strip():
        raise SourceError(f"the token of {host.url} is empty; set {host.token_env or host.token_file}")
    return token.strip()


def check_tokens(settings: LabelStudioSettings) -> None:
    """Find missing tokens before the first request does.

    Raises:
        SourceError: a variable is not set, or a file cannot be read.
    """
    for host in settings.hosts:
        _token_of(host)


def _is_personal(token: str) -> bool:
    """Return whether a token is a personal access token, a JWT, which is exchanged for one that opens files."""
    head, *rest = token.split(".")
    if len(rest) != 2:
        return False
    try:
        return b'"alg"' in base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return False


async def _refresh(host: LabelStudioHost, token: str) -> str:
    try:
        async with httpx.AsyncClient(timeout=_REFRESH_TIMEOUT_S, trust_env=False) as client:
            answer = await client.post(f"{host.url}/api/token/refresh", json={"refresh": token})
        access = answer.json()["access"] if answer.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{host.url} does not exchange the personal access token ({type(error).__name__})") from error
    if not isinstance(access, str):
        raise SourceError(f"{host.url} refuses the personal access token (HTTP {answer.status_code}); make a new one")
    return access
