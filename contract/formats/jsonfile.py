"""JSON from outside: whole, with finite numbers, and with values of the kind that is expected."""

import codecs
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from contract.errors import FormatError
from contract.formats.jsonstream.columns import LONGEST, open_stream

MOST_BYTES: Final = 2 << 30  # of a file that is read whole
_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE_TEXT: Final = re.compile(_SURROGATE.pattern.decode())
_SPACES: Final = re.compile(r"[ \t\n\r]*")
_PIECE: Final = 1 << 20  # bytes read at a time
_BROKEN: Final = object()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that labels may hold")


def parse_json(data: str | bytes, *, where: str) -> Any:
    """Return the JSON document in `data`.

    Raises:
        FormatError: it is cut off, is not JSON, or holds NaN or infinity.
    """
    try:
        document = json.loads(data if isinstance(data, str) else data.decode(), parse_constant=_refuse)
        if not isinstance(data, str) and _SURROGATE.search(data):
            json.dumps(document, ensure_ascii=False).encode()  # fails on half a pair, which no table can hold
        return document
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: not a text in UTF-8 (byte {error.start})") from error
    except UnicodeEncodeError as error:
        raise FormatError(f"{where}: a text holds half of a surrogate pair, which stands for no character") from error
    except json.JSONDecodeError as error:
        hint = "" if error.doc.rstrip().endswith(("}", "]")) else "; the file may be cut off"
        place = f"line {error.lineno}, column {error.colno}"
        raise FormatError(f"{where}: not a JSON document: {error.msg} ({place}){hint}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not a JSON document that labels can be read from: {error}") from error


def read_json_file(path: Path) -> Any:
    """Return the JSON document at `path`.

    Raises:
        FormatError: the file is absent, unreadable, cut off, of more than MOST_BYTES, or holds NaN or infinity.
    """
    with open_stream(path) as stream:
        stream.peek()  # a hole or a heap of white space is refused before it is read
    return parse_json(read_file(path), where=str(path))


def json_entries(path: Path, *, name: str) -> Iterator[Any]:
    """Yield the entries of the list that the JSON document at `path` is, one by one: no more than one is held, and a piece.

    A document that breaks is read whole, so that the message names line and column as `read_json_file` does; entries before
    the break have been given by then. So is what is no regular file, or has an entry of more than LONGEST bytes.

    Args:
        path: the file.
        name: what the list is, for the message that it is none.

    Raises:
        FormatError: as of `read_json_file`, or the document is no list.
    """
    given = 0
    if path.is_file():
        for entry in _streamed(path):
            if entry is _BROKEN:
                break
            given += 1
            yield entry
        else:
            return
    yield from entries(read_json_file(path), name=name, where=str(path))[given:]


def _streamed(path: Path) -> Iterator[Any]:
    """Yield the entries of a list, then nothing more; or `_BROKEN` where this way ends."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    try:
        with path.open("rb") as file:
            text, more = _Text(file), True
            at = text.past("[", 0)
            if text.held[at : at + 1] != "]":
                while more:
                    entry, end = text.entry(decoder, at)
                    yield entry
                    at, more = text.behind(end)
            if text.held[at : at + 1] != "]" or not text.ends(at + 1):
                yield _BROKEN
    except (OSError, ValueError, RecursionError):  # among them: not UTF-8, not JSON, half of a surrogate pair
        yield _BROKEN


class _Text:
    """A file as text, of which a piece is held at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.held = ""

    def _more(self) -> bool:
        """Read on, so that twice as much is held, but no less than a piece."""
        data = self._file.read(max(_PIECE, len(self.held)))
        self.held += self._decoder.decode(data, final=not data)
        return bool(data)

    def past(self, sign: str, at: int) -> int:
        """Return the place of what follows `sign`, which must stand at `at` but for space."""
        at = self._past_space(at)
        if self.held[at : at + 1] != sign:
            raise ValueError(f"no {sign}")
        return self._past_space(at + 1)

    def _past_space(self, at: int) -> int:
        while True:
            found = _SPACES.match(self.held, at)
            at = found.end() if found else at
            if at < len(self.held):
                return at
            self.held, at = "", 0
            if not self._more():
                return at

    def entry(self, decoder: json.JSONDecoder, at: int) -> tuple[Any, int]:
        """Return the object at `at` and where it ends; more is read, twice as much each time, until it is whole."""
        if self.held[at : at + 1] != "{":
            raise ValueError("no object")  # whose end alone is known without what follows
        while True:
            try:
                entry, end = decoder.raw_decode(self.held, at)
            except ValueError:
                self.held, at = self.held[at:], 0
                if len(self.held) > LONGEST or not self._more():
                    raise
                continue
            if _SURROGATE_TEXT.search(self.held, at, end):
                json.dumps(entry, ensure_ascii=False).encode()
            return entry, end

    def behind(self, end: int) -> tuple[int, bool]:
        """Return the place of what follows an entry, and whether that is another entry."""
        at = self._past_space(end)
        if self.held[at : at + 1] == ",":
            return self._past_space(at + 1), True
        return at, False

    def ends(self, at: int) -> bool:
        """Return whether nothing but space follows."""
        return self._past_space(at) == len(self.held)


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of the file at `path` that are not blank, with their numbers from 1.

    Only a line feed ends a line: texts may hold the other separators of str.splitlines.

    Raises:
        FormatError: the file is absent, a folder or unreadable, or a line is longer than LONGEST bytes.
    """
    try:
        with path.open("rb") as file:
            for number_of, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
                if len(line) == LONGEST:
                    raise FormatError(f"{path}: line {number_of} is longer than {LONGEST >> 20} MiB")
                text = (line.removeprefix(_BOM) if number_of == 1 else line).strip()
                if text:
                    yield number_of, text
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def read_file(path: Path) -> bytes:
    """Return the bytes at `path`, without a byte order mark.

    Raises:
        FormatError: the file is absent, a folder, unreadable, or of more than MOST_BYTES.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise FormatError(
                f"{path}: {size} bytes, more than the {MOST_BYTES >> 30} GiB that are read whole; split the file"
            )
        return path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error


def number(value: Any, *, name: str, where: str) -> float:
    """Return `value` as a finite float.

    Raises:
        FormatError: it is no number, or NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"{where}: {name} is {value!r}, which is not a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise FormatError(f"{where}: {name} is not a finite number")
    return result


def number_or_none(value: Any, *, name: str, where: str) -> float | None:
    """Return `value` as a finite float, or None where it is absent."""
    return None if value is None else number(value, name=name, where=where)


def whole(value: Any, *, name: str, where: str) -> int:
    """Return `value` as an int.

    Raises:
        FormatError: it is no whole number.
    """
    result = number(value, name=name, where=where)
    if result != int(result) or abs(result) >= 2**63:
        raise FormatError(f"{where}: {name} is {value!r}, which is not a whole number")
    return int(value)


def field(mapping: Any, name: str, *, where: str) -> Any:
    """Return `mapping[name]`.

    Raises:
        FormatError: `mapping` is no object or lacks the key.
    """
    if not isinstance(mapping, dict):
        raise FormatError(f"{where}: must be an object, but is {type(mapping).__name__}")
    if name not in mapping:
        raise FormatError(f"{where}: {name!r} is missing")
    return mapping[name]


def entries(value: Any, *, name: str, where: str) -> list[Any]:
    """Return `value` if it is a list.

    Raises:
        FormatError: it is none.
    """
    if not isinstance(value, list):
        raise FormatError(f"{where}: {name} must be a list, but is {type(value).__name__}")
    return value
