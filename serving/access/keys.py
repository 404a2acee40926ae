"""Named keys in a file: made here, shown once, stored as their digests.

A key is 256 random bits, so that a plain SHA-256 of it is as good as a slow password hash: there is no dictionary to
try. What a thief of the file holds opens nothing.
"""

import contextlib
import datetime
import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from contract.errors import InputError
from contract.files import json_bytes, read_json, storage_errors, write_bytes

logger = logging.getLogger(__name__)

_PREFIX: Final = "gg"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_NAME: Final = r"^[\w][\w.@-]{0,59}$"
_TOKEN: Final = re.compile(rf"{_PREFIX}_([0-9a-f]{{{2 * _ID_BYTES}}})_([A-Za-z0-9_-]{{43}})")
_NOBODY: Final = "0" * 64


class Scope(str, Enum):
    """What a key may do."""

    PREDICT = "predict"
    """Labels from any door."""
    JOBS = "jobs"
    """Orders over HTTP, and what comes of them."""
    SCORE = "score"
    """Handing in finished work, from which submissions and gold are made."""
    ADMIN = "admin"
    """Everything, the status page and the metrics among it."""


class Key(BaseModel):
    """A key as it is stored.

    `rate_per_s` and `concurrent` go before the service's own limits; times are UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * _ID_BYTES}}}$")]
    name: Annotated[str, Field(pattern=_NAME)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    concurrent: Annotated[int, Field(gt=0)] | None = None

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has `scope`; admin has all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def expired(self, now: datetime.datetime) -> bool:
        """Tell whether the key's time is over."""
        return self.expires is not None and now >= self.expires


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = []


def now_utc() -> datetime.datetime:
    """Return the time by which keys expire."""
    return datetime.datetime.now(datetime.timezone.utc)


def read_keys(path: Path) -> list[Key]:
    """Return the keys in the file at `path`; none where there is no file.

    Raises:
        InputError: it is not a file of keys.
    """
    try:
        if not path.exists():
            return []
        keys = _Document.model_validate(read_json(path)).keys
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except ValidationError as error:
        raise InputError(f"{path}: not a file of keys ({error.error_count()} problem(s)); see 'goldgate keys'") from error
    if len({key.id for key in keys}) != len(keys) or len({key.name for key in keys}) != len(keys):
        raise InputError(f"{path}: two keys have the same name or id; take one out")
    return keys


def _write_keys(path: Path, keys: Sequence[Key]) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o077)  # nobody but the owner may read even the digests
        try:
            write_bytes(path, json_bytes({"keys": [key.model_dump(mode="json") for key in keys]}))
        finally:
            os.umask(before)


def add_key(
    path: Path,
    name: str,
    scopes: Sequence[Scope],
    *,
    expires: datetime.datetime | None = None,
    limits: Mapping[str, float | int | None] | None = None,
) -> tuple[Key, str]:
    """Make a key, put it into the file at `path`, and return it with its token, which nobody can read again.

    Args:
        path: the file of keys.
        name: of whoever or whatever will use it.
        scopes: what it may do.
        expires: when its time is over; None for never.
        limits: `rate_per_s` and `concurrent` of its own.

    Raises:
        InputError: the name is taken or not a name.
        StorageError: the file cannot be written.
    """
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    token = f"{_PREFIX}_{key_id}_{secret}"
    try:
        key = Key(
            id=key_id,
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            sha256=_digest(token),
            created=now_utc(),
            expires=expires,
            **(limits or {}),
        )
    except ValidationError as error:
        found = error.errors()[0]
        raise InputError(f"{'.'.join(map(str, found['loc']))}: {found['msg']}") from error
    with _alone(path):
        keys = read_keys(path)
        if any(each.name == name for each in keys):
            raise InputError(f"{path}: there is a key named {name!r} already; revoke it or choose another name")
        _write_keys(path, [*keys, key])
    return key, token


def revoke_key(path: Path, name: str) -> Key:
    """Take the key called `name` out of the file at `path`; a running service notices.

    Raises:
        InputError: there is none.
    """
    with _alone(path):
        keys = read_keys(path)
        found = next((key for key in keys if key.name == name), None)
        if found is None:
            raise InputError(f"{path}: there is no key named {name!r}; 'goldgate keys list' shows those that there are")
        _write_keys(path, [key for key in keys if key is not found])
    return found


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the file at `path` against other commands: one that writes what it read before could revive a revoked key."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class KeyRing:
    """The keys of a file, read again when it changes.

    Args:
        path: the file of keys.

    Raises:
        InputError: it is not one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = threading.Lock()
        self._stamp = self._now()
        self._keys = {key.id: key for key in read_keys(path)}
        self._broken: InputError | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> Key | None:
        """Return the key that `token` is of, expired or not; None where it is of none.

        Raises:
            InputError: the file is broken, and lets nobody in until it is mended.
        """
        self._refresh()
        if self._broken is not None:
            raise self._broken
        parts = _TOKEN.fullmatch(token)
        key = self._keys.get(parts[1]) if parts else None
        # Compared also where there is no such key, so that time tells nothing.
        same = hmac.compare_digest(_digest(token), _NOBODY if key is None else key.sha256)
        return key if same else None

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _refresh(self) -> None:
        stamp = self._now()
        if stamp == self._stamp:
            return
        with self._reading:
            # A file that is broken lets nobody in, rather than those whom it no longer names.
            self._keys, self._stamp, self._broken = {}, stamp, None
            try:
                self._keys = {key.id: key for key in read_keys(self._path)}
            except InputError as error:
                logger.error("nobody is let in: %s", error)
                self._broken = error
