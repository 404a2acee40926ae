"""The bytes of a JSON file, read at any place in pieces that end in zero bytes."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from contract.errors import FormatError
from contract.formats.jsonstream.tokens import PADDING, Bytes

_BOM: Final = b"\xef\xbb\xbf"
_FOREIGN_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")


class JsonSource:
    """A file that is read in pieces; what is no regular file (a pipe) is read whole at once.

    Args:
        path: the file, for messages.
        descriptor: of the open file.
        content: all of it, where it cannot be read at any place.
    """

    def __init__(self, path: Path, descriptor: int, content: bytes | None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._content = content
        self.size = os.fstat(descriptor).st_size if content is None else len(content)
        head = self.piece(0, len(_BOM))[:-PADDING].tobytes()
        if head.startswith(_FOREIGN_BOMS):
            raise FormatError(f"{path}: a text in UTF-16; save it in UTF-8")
        self.start = len(_BOM) if head == _BOM else 0

    def piece(self, offset: int, size: int) -> Bytes:
        """Return up to `size` bytes from `offset` on, with PADDING zero bytes behind them; fewer at the end of the file."""
        size = max(min(size, self.size - offset), 0)
        buffer = np.empty(size + PADDING, np.uint8)
        got = self._read_into(buffer[:size], offset)
        buffer[got:] = 0
        return buffer[: got + PADDING]

    def _read_into(self, target: Bytes, offset: int) -> int:
        if self._content is not None:
            target[:] = np.frombuffer(self._content, np.uint8, target.size, offset) if target.size else target
            return target.size
        got = 0
        while got < target.size:
            count = os.preadv(self._descriptor, [target.data[got:]], offset + got)
            if count == 0:  # the file has become shorter
                break
            got += count
        return got


@contextmanager
def open_json(path: Path) -> Iterator[JsonSource]:
    """Open the file at `path`.

    Raises:
        FormatError: it is absent, a folder, unreadable, or in UTF-16.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(21, "Is a directory")
            content = None if stat.S_ISREG(mode) else path.read_bytes()
            yield JsonSource(path, descriptor, content)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
