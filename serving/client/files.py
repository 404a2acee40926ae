"""Files that go out as they are read."""

import io
from pathlib import Path
from typing import IO

from contract.errors import InputError


class UnreadFile:
    """A file in a form, opened when its turn comes and closed at its end.

    So a call may hold more files than a process may have open, and larger ones than memory holds. httpx asks for no more
    of a file than this, and goes back to the beginning where a call is sent again.

    Args:
        path: of the file.

    Raises:
        InputError: it is no file, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._at = 0
        try:
            with path.open("rb") as file:
                self._size = file.seek(0, io.SEEK_END)
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            InputError: the file cannot be read any more.
        """
        try:
            if self._file is None:
                self._file = self._path.open("rb")
                self._file.seek(self._at)
            data = self._file.read(size)
        except OSError as error:
            self.close()
            raise self._unreadable(error) from error
        self._at += len(data)
        if not data or size < 0:
            self.close()
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset`, from the beginning or from the end."""
        self.close()
        self._at = offset + (self._size if whence == io.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._at

    def close(self) -> None:
        """Close what is open; reading goes on from where it was."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"{self._path}: cannot be read ({error.strerror})")
