"""The content of a source: bytes that the caller holds, or a file that this process opens."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from contract.errors import SourceError
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
        SourceError: the file is absent or cannot be read.
    """
    if source.data is not None:
        return source.data
    path = local_path(source.uri)
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{source.uri}: {UNREADABLE}{(error.strerror or str(error)).lower()})") from error
