"""The content of a source: bytes that the caller holds, or a file or object that this process opens."""

import io
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from contract.errors import SourceError
from contract.objectstore import is_object, open_object, read_object
from contract.predictor import UNREADABLE, Source


def local_path(uri: str) -> Path:
    """Return the path that `uri` names: a plain path, or a file URI.

    Raises:
        SourceError: the URI has another scheme.
    """
    if "://" not in uri:
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise SourceError(f"{uri}: only paths and file URIs are opened; copy the file to a folder that this machine sees")
    return Path(unquote(parts.path))


def read_content(source: Source) -> bytes:
    """Return the bytes of `source`.

    Raises:
        SourceError: the file or object is absent or cannot be read.
    """
    if source.data is not None:
        return source.data
    if is_object(source.uri):
        return read_object(source.uri)
    path = local_path(source.uri)
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{source.uri}: {UNREADABLE}{(error.strerror or str(error)).lower()})") from error


def open_content(source: Source) -> IO[bytes]:
    """Open the content of `source` for reading at any place.

    Raises:
        SourceError: the URI has a scheme that is not opened, or an object cannot be read.
        OSError: the file is absent or cannot be read.
    """
    if source.data is not None:
        return io.BytesIO(source.data)
    return open_object(source.uri) if is_object(source.uri) else local_path(source.uri).open("rb")
