"""XML from outside, read as a stream: no document types and no entities, bounded memory, one sentence on what is wrong.

A document type is where every known attack on XML readers sits (entities that grow, files and addresses that are
fetched), and no format that goldgate reads has one, so that it is refused when it begins. Source: XML 1.0, fifth
edition; docs.python.org, "XML vulnerabilities".
"""

import re
import xml.etree.ElementTree as ET
import xml.parsers.expat as expat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from contract.errors import FormatError

PIECE_BYTES: Final = 1 << 18
DEEPEST: Final = 32
_LONGEST_TEXT: Final = 1 << 20  # characters of one element
_LONGEST_TOKEN: Final = 16 << 20  # bytes that may pass without a tag
_ENTITIES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CUT_OFF: Final = frozenset(
    {
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    }
)

Start = Callable[[str, dict[str, str]], bool]
End = Callable[[str, str], None]


def escaped(text: str, *, what: str) -> str:
    """Return `text` as it stands in an attribute or in an element, where a reader gets it back to the last character.

    Args:
        text: any text.
        what: what the text is, for the message.

    Raises:
        FormatError: it holds a character that XML 1.0 cannot (control characters, halves of a surrogate pair).
    """
    unfit = _UNFIT.search(text)
    if unfit:
        raise FormatError(f"{what} {text!r} holds U+{ord(unfit[0]):04X}, which XML cannot; write coco or jsonl instead")
    return text.translate(_ENTITIES)


class XmlStream:
    """A parser that is fed in pieces and tells of elements as they begin and end.

    Args:
        start: called with an element's name and attributes; whether its text is wanted.
        end: called with an element's name and its text, which is empty where it was not wanted.
        where: the file, for messages.
    """

    def __init__(self, start: Start, end: End, *, where: str) -> None:
        self._start, self._end, self._where = start, end, where
        self._depth = 0
        self._texts: list[str] = []
        self._length = 0
        self._quiet = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._started
        self._parser.EndElementHandler = self._ended
        self._parser.XmlDeclHandler = self._declared
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype

    @property
    def line(self) -> int:
        """The line of the file that the parser is at."""
        return self._parser.CurrentLineNumber

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Parse `pieces` up to the end of the document.

        Raises:
            FormatError: it is cut off, not well-formed, not in UTF-8, has a document type, or is made to exhaust memory.
        """
        try:
            for piece in pieces:
                self._quiet += len(piece)
                if self._quiet > _LONGEST_TOKEN:
                    raise FormatError(f"{self._where}: line {self.line}: more than {_LONGEST_TOKEN >> 20} MiB without a tag")
                self._parser.Parse(piece, False)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise FormatError(f"{self._where}: {self._in_words(error)}") from error

    def _started(self, name: str, attributes: dict[str, str]) -> None:
        self._quiet = 0
        self._depth += 1
        if self._depth > DEEPEST:
            raise FormatError(f"{self._where}: line {self.line}: elements stand {DEEPEST} deep in each other, which none do")
        self._texts.clear()
        self._length = 0
        self._parser.CharacterDataHandler = self._told if self._start(name, attributes) else None

    def _told(self, text: str) -> None:
        self._length += len(text)
        if self._length > _LONGEST_TEXT:
            raise FormatError(f"{self._where}: line {self.line}: a text of more than {_LONGEST_TEXT} characters")
        self._texts.append(text)

    def _ended(self, name: str) -> None:
        self._quiet = 0
        self._depth -= 1
        self._parser.CharacterDataHandler = None
        self._end(name, "".join(self._texts))
        self._texts.clear()

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower().replace("_", "-") not in {"utf-8", "utf8", "us-ascii", "ascii"}:
            raise FormatError(f"{self._where}: in the encoding {encoding!r}; save it in UTF-8")

    def _refuse_doctype(self, name: str, system: str | None, public: str | None, internal: int) -> NoReturn:
        raise FormatError(f"{self._where}: declares a document type, where entities hide that exhaust memory; take it out")

    def _in_words(self, error: expat.ExpatError) -> str:
        said = expat.ErrorString(error.code)
        place = f"line {error.lineno}, column {error.offset + 1}"
        if said == expat.errors.XML_ERROR_NO_ELEMENTS and not self._depth:
            return "not an XML document: it is empty"
        if said in _CUT_OFF:
            return f"ends before its elements do ({place}); the file may be cut off"
        return f"not an XML document: {said} ({place})"


def read_tree(data: bytes, *, where: str) -> ET.Element:
    """Return the root of a small document, with the guards of `XmlStream`.

    Raises:
        FormatError: as `XmlStream.feed`.
    """
    builder = ET.TreeBuilder()

    def start(name: str, attributes: dict[str, str]) -> bool:
        builder.start(name, attributes)
        return True

    def end(name: str, text: str) -> None:
        builder.data(text)
        builder.end(name)

    XmlStream(start, end, where=where).feed([data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)])
    root: ET.Element = builder.close()
    return root


def pieces_of(file: BinaryIO) -> Iterable[bytes]:
    """Return the bytes of `file` in pieces."""
    return iter(lambda: file.read(PIECE_BYTES), b"")


def read_xml(path: Path, start: Start, end: End) -> None:
    """Parse the file at `path` as a stream.

    Raises:
        FormatError: it is absent or unreadable, or as `XmlStream.feed`.
    """
    try:
        with path.open("rb") as file:
            XmlStream(start, end, where=str(path)).feed(pieces_of(file))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
