"""Letters in pictures: by a font that has every one of a text, and where this machine has none in ASCII; boxes never."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from PIL import ImageFont

_ASKED_SECONDS: Final = 10  # for fontconfig, which may have to build its cache
# Where there is no fontconfig: what common systems bring for Chinese, found by Pillow in the systems' own folders.
_KNOWN: Final = (
    "NotoSansCJK-Regular.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Light.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallback.ttf",
    "Arial Unicode.ttf",
)
_NOBODYS: Final = "\U0010ffff"  # a code point that is no character: what a font draws for it, it draws for all that it lacks
_CUT: Final = "..."

Font = Any  # of Pillow; with FreeType there is one kind, and its built-in one is the same


def legible(text: str, *, size: int, number: int | None = None) -> tuple[str, Font]:
    """Return what stands for `text` in a picture, and a font that has all letters of it.

    Characters that are no letters, such as ends of lines, are always escaped. Where no font here has the rest, what stands
    for the text is ASCII: `#number`, if there is one, and the text with its other letters escaped as Python does it.

    Args:
        text: any.
        size: of the font, in pixels.
        number: what people may know the text by besides.
    """
    text = "".join(each if each.isprintable() else _escaped(each) for each in text)
    own = ImageFont.load_default(size)
    if has_letters(own, text):
        return text, own
    for path, face in _fonts_for("".join(sorted(set(text)))):
        font = _opened(path, face, size)
        if font is not None and has_letters(font, text):
            return text, font
    lead = "" if number is None else f"#{number} "
    return lead + _escaped(text), own


def has_letters(font: Font, text: str) -> bool:
    """Tell whether `font` draws every character of `text` as itself, and none as the box that stands for what it lacks."""
    lacking = _drawn(font, _NOBODYS)
    return all(each.isspace() or _drawn(font, each) != lacking for each in set(text))


def shortened(text: str, font: Font, width: float) -> str:
    """Return `text` as it is where it is at most `width` pixels wide in `font`, else without some of its middle."""
    kept = len(text)
    while kept > 2 and font.getlength(_without_middle(text, kept)) > width:
        kept -= max(1, kept // 16)
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    if kept >= len(text):
        return text
    return text[: (kept + 1) // 2] + _CUT + text[len(text) - kept // 2 :]


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _drawn(font: Font, character: str) -> tuple[Any, bytes]:
    mask, offset = font.getmask2(character, mode="L")
    return (mask.size, offset), bytes(mask)


def _opened(path: str, face: int, size: int) -> Font | None:
    try:
        return ImageFont.truetype(path, size, index=face)
    except OSError:
        return None


def _fonts_for(characters: str) -> Iterator[tuple[str, int]]:
    """Yield (file, number of the face in it) of fonts that may have `characters`, the likeliest first."""
    matched = _match(characters)
    if matched is not None:
        yield matched
    yield from ((name, 0) for name in _KNOWN)


@lru_cache(maxsize=256)
def _match(characters: str) -> tuple[str, int] | None:
    """Ask fontconfig, if it is there, which of this machine's fonts has `characters`."""
    program = shutil.which("fc-match")
    if program is None:
        return None
    codes = " ".join(f"{ord(each):x}" for each in characters)
    command = [program, "--format", "%{index} %{file}", f"sans-serif:lang=zh-cn:charset={codes}"]
    try:
        said = subprocess.run(command, capture_output=True, timeout=_ASKED_SECONDS, check=True).stdout  # noqa: S603
        face, _, path = said.decode().partition(" ")
        return path, int(face) & 0xFFFF  # above are instances of fonts with axes
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
