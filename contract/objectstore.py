"""Objects in S3, Google Cloud Storage or Azure, as sources: listed, read, and fetched; never written.

Arrow's own clients do the work, with the credentials, regions and endpoints of their usual environment variables
(AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL and the like).
"""

import contextlib
import functools
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from contract.errors import SourceError

SCHEMES: Final = ("s3", "gs", "gcs", "abfs", "abfss")

# A request for each piece costs tens of milliseconds, so that pieces are large; a video is read by this much at a time.
_PIECE_BYTES: Final = 4 << 20
_CONNECT_S: Final = 10.0
_REQUEST_S: Final = 60.0
_ANY_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


@dataclass(frozen=True)
class StoredObject:
    """One object: its whole address and its size in bytes."""

    uri: str
    size: int


def is_object(uri: str) -> bool:
    """Tell whether `uri` is the address of an object, or of a prefix of some."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def looks_remote(path: Path) -> bool:
    """Tell whether `path` is an address that was taken for a path, which makes two slashes one."""
    return _ANY_SCHEME.match(str(path)) is not None


def list_objects(uri: str) -> list[StoredObject]:
    """Return the object at `uri`, or all objects below it as a folder, sorted.

    Raises:
        SourceError: the store does not answer, or refuses.
    """
    with _errors(uri):
        system, path = _resolve(uri)
        facts = system.get_file_info(path)
        if facts.type == fs.FileType.File:
            return [StoredObject(uri, facts.size)]
        if facts.type == fs.FileType.NotFound:
            return []
        base = uri.rstrip("/")
        found = system.get_file_info(fs.FileSelector(path, recursive=True))
        return sorted(
            (
                StoredObject(f"{base}/{each.path[len(path.rstrip('/')) + 1 :]}", each.size)
                for each in found
                if each.type == fs.FileType.File
            ),
            key=lambda each: each.uri,
        )


def exists(uri: str) -> bool:
    """Tell whether there is an object at `uri`; False where its store does not answer."""
    with contextlib.suppress(SourceError), _errors(uri):
        system, path = _resolve(uri)
        return bool(system.get_file_info(path).type == fs.FileType.File)
    return False


def open_object(uri: str) -> IO[bytes]:
    """Open the object at `uri` for reading at any place.

    Raises:
        SourceError: it is absent, or the store does not answer or refuses.
    """
    with _errors(uri):
        system, path = _resolve(uri)
        return cast("IO[bytes]", io.BufferedReader(_Raw(system.open_input_file(path)), _PIECE_BYTES))


def read_object(uri: str) -> bytes:
    """Return the content of the object at `uri`.

    Raises:
        SourceError: as for `open_object`.
    """
    with _errors(uri):
        system, path = _resolve(uri)
        with system.open_input_file(path) as file:
            return bytes(file.read())


def fetch_object(uri: str, path: Path) -> None:
    """Copy the object at `uri` to `path`.

    Raises:
        SourceError: as for `open_object`.
        OSError: `path` cannot be written.
    """
    with open_object(uri) as source, path.open("wb") as target, _errors(uri):
        shutil.copyfileobj(source, target, _PIECE_BYTES)


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Give the path of the file at `uri`: of an object a copy under its own name, which is gone afterwards.

    Raises:
        SourceError: as for `open_object`.
    """
    if not is_object(uri):
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory(prefix="goldgate-") as folder:
        path = Path(folder) / uri.rpartition("/")[2]
        fetch_object(uri, path)
        yield path


class _Raw(io.RawIOBase):
    """An Arrow file as Python's buffers want it; errors of the store are ours on every read."""

    def __init__(self, file: pa.NativeFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def _resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the client for `uri` and the object's path there; what follows the bucket is a key as it is, not escaped."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    system, base = _client(scheme.lower(), bucket)
    return system, f"{base}/{key}" if key else base


@functools.lru_cache(maxsize=64)
def _client(scheme: str, bucket: str) -> tuple[fs.FileSystem, str]:
    if scheme != "s3":
        system, path = fs.FileSystem.from_uri(f"{scheme}://{bucket}")
        return system, path
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(bucket)  # a store of one's own cares little which
    place = urlsplit(endpoint)
    return (
        fs.S3FileSystem(
            region=region,
            endpoint_override=place.netloc or None,
            scheme=place.scheme or "https",
            connect_timeout=_CONNECT_S,
            request_timeout=_REQUEST_S,
        ),
        bucket,
    )


@contextlib.contextmanager
def _errors(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, ValueError) as error:
        sentence = " ".join(str(error).split())[:300] or type(error).__name__
        raise SourceError(f"{uri}: cannot be read (the object store says: {sentence})") from error
