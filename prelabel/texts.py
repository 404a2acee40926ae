"""Texts: one a row of a CSV, JSONL or Parquet table, or one a .txt file."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.files import sha256_bytes
from prelabel.encoding import detect_bytes
from prelabel.refusal import Reason, RefusedError
from prelabel.rows import read_rows

TEXT_COLUMNS: Final = ("text", "content", "review", "文本")
ID_COLUMNS: Final = ("item", "id")

_BYTES_A_CHARACTER: Final = 4
_HAN: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_KANA_HANGUL: Final = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_LATIN_SHARE: Final = 0.95
_KANA_HANGUL_SHARE: Final = 0.1


@dataclass(frozen=True)
class Text:
    """A text and where it stands.

    `number` is its line or row, 0 for a whole file; `item` its own id if the table gives one.
    """

    number: int
    item: str | None
    text: str
    encoding: str


@dataclass(frozen=True)
class RefusedText:
    """A row that is no text."""

    number: int
    item: str | None
    refusal: RefusedError


def text_column(columns: frozenset[str]) -> str | None:
    """Return the column that holds the texts, or None."""
    return next((name for name in TEXT_COLUMNS if name in columns), None)


def read_text_file(path: Path, *, max_characters: int) -> Text:
    """Return the .txt file at `path` as one text, to the last character, without a byte-order mark.

    Raises:
        RefusedError: empty, too long, or in another encoding than UTF-8 and GB18030.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > _BYTES_A_CHARACTER * max_characters + 3:
        raise RefusedError(
            Reason.OVERSIZED,
            f"the text of {size} bytes exceeds limits.max_text_characters = {max_characters} in any encoding",
        )
    data = path.read_bytes()
    encoding = detect_bytes(data)
    if encoding is None:
        raise _foreign()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _foreign() from error
    _check(text, max_characters)
    return Text(0, None, text, encoding)


def read_texts(path: Path, media: str, *, column: str, max_characters: int) -> Iterator[Text | RefusedText]:
    """Yield the texts in `column` of the table at `path`, in order, a refusal in the place of each that is none.

    Raises:
        RefusedError: the table as a whole cannot be parsed.
        OSError: the file cannot be read.
    """
    for row in read_rows(path, media):
        item = _item(row.values) if row.problem is None else None
        value = row.values.get(column)
        try:
            if row.problem is not None:
                raise row.problem
            if value is not None and not isinstance(value, str):
                raise RefusedError(Reason.CORRUPT, f"column {column!r} holds {type(value).__name__} instead of a text")
            _check(value or "", max_characters)
        except RefusedError as refusal:
            yield RefusedText(row.number, item, refusal)
        else:
            yield Text(row.number, item, value or "", row.encoding)


def _foreign() -> RefusedError:
    return RefusedError(Reason.ENCODING, "the text is neither UTF-8 nor GB18030; save it as UTF-8")


def _item(values: Any) -> str | None:
    for name in ID_COLUMNS:
        value = values.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return None


def _check(text: str, max_characters: int) -> None:
    if _SURROGATE.search(text):
        raise RefusedError(Reason.ENCODING, "the text holds half of a surrogate pair, which UTF-8 cannot carry")
    if not any(_shows(character) for character in text):
        raise RefusedError(Reason.EMPTY, "the text holds no character that shows")
    if len(text) > max_characters:
        raise RefusedError(
            Reason.OVERSIZED, f"the text of {len(text)} characters exceeds limits.max_text_characters = {max_characters}"
        )
    if "\0" in text:
        raise RefusedError(Reason.CORRUPT, "the text holds a NUL character")


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] not in "ZC"


def normal_sha256(text: str) -> str:
    """Return the digest by which texts count as the same: Unicode NFC, runs of white space as one."""
    return sha256_bytes(" ".join(unicodedata.normalize("NFC", text).split()).encode())


def language(text: str) -> str:
    """Return "zh", "en" or "other" by the share of each script in `text`.

    This is a reading of scripts (Unicode blocks), not of words: German without umlauts counts as "en". Kana or Hangul of a
    tenth of the letters makes "other"; Han characters at least as many as words in other letters "zh", since one character
    stands for a word; basic Latin of 95 % of the letters "en".
    """
    letters = "".join(filter(str.isalpha, text))
    if not letters:
        return "other"
    kana_hangul = len(_KANA_HANGUL.findall(letters))
    if kana_hangul >= _KANA_HANGUL_SHARE * len(letters):
        return "other"
    han = sum(map(len, _HAN.findall(text)))
    if han and han >= len(_WORD.findall(_HAN.sub(" ", text))):
        return "zh"
    return "en" if len(letters.encode("ascii", "ignore")) >= _LATIN_SHARE * len(letters) else "other"
