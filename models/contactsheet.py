"""Contact sheets: a video's keyframes at a glance, each with its time, its frame and how its shot begins."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from models.lettering import legible, shortened

CELL: Final = 320  # pixels, width of a picture
TALLEST: Final = 240  # of a picture; an upright one is narrower than its cell
COLUMNS: Final = 4
GAP: Final = 12
HEAD: Final = 44  # pixels above the pictures
FOOT: Final = 22  # pixels below each picture
MOST: Final = 400  # pictures of a sheet
GROUND: Final = "#16181d"
INK: Final = "#e8e8ea"
FAINT: Final = "#9aa0aa"
COLOURS: Final = {"start": "#5b8def", "cut": "#e5534b", "dissolve": "#e0b341", "fade": "#9b7bea", "wipe": "#3fb68b"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of a sheet; `transition` is how its shot begins, None where it is not the first of its shot."""

    picture: Image.Image
    time_s: float
    frame: int
    transition: str | None


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss.mmm, the hours only where there are any."""
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{lead}:{rest // 1000:02}.{rest % 1000:03}"


def thumbnail(path: Path) -> Image.Image:
    """Return the picture in the file at `path` as small as it stands on a sheet, so that the large one need not be kept.

    Raises:
        OSError: no picture can be read there.
    """
    with Image.open(path) as picture:
        picture.thumbnail((CELL, TALLEST), Image.Resampling.LANCZOS)  # a JPEG is not decoded larger than this needs
        return picture.convert("RGB")


def contact_sheet(title: str, cells: Sequence[Cell], *, number: int | None = None, total: int | None = None) -> bytes:
    """Return a JPEG with the first MOST of `cells` under `title`, in their order.

    Args:
        title: a name, in any script; shortened in its middle where it is too long.
        cells: pictures that are larger than a cell are made smaller, smaller ones stay.
        number: stands before the title where no font here has its letters and it is written in ASCII.
        total: how many there are, if more than `cells`; how many are left out stands in the head.
    """
    shown, total = cells[:MOST], max(total or 0, len(cells))
    pictures = [_fitting(cell.picture) for cell in shown]
    high = max((picture.height for picture in pictures), default=0)
    columns = min(COLUMNS, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    width = max(columns * (CELL + GAP) + GAP, 2 * CELL)
    sheet = Image.new("RGB", (width, HEAD + rows * (high + FOOT + GAP) + GAP), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    _write_head(draw, title, number, _counted(len(shown), total))
    for at, (cell, picture) in enumerate(zip(shown, pictures, strict=True)):
        x, y = GAP + at % columns * (CELL + GAP), HEAD + at // columns * (high + FOOT + GAP)
        sheet.paste(picture, (x + (CELL - picture.width) // 2, y + high - picture.height))
        base = y + high
        if cell.transition is not None:
            draw.rectangle((x, base + 2, x + CELL - 1, base + 4), fill=COLOURS.get(cell.transition, FAINT))
        draw.text((x, base + 6), clock(cell.time_s), fill=INK, font=font)
        words = f"{cell.transition} · {cell.frame}" if cell.transition is not None else str(cell.frame)
        draw.text((x + CELL, base + 6), words, fill=FAINT, font=font, anchor="ra")
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=88, optimize=True)
    return file.getvalue()


def _fitting(picture: Image.Image) -> Image.Image:
    if picture.width <= CELL and picture.height <= TALLEST:
        return picture
    small = picture.copy()
    small.thumbnail((CELL, TALLEST), Image.Resampling.LANCZOS)
    return small


def _counted(shown: int, total: int) -> str:
    plural = "" if total == 1 else "s"
    return f"{total} keyframe{plural}" + (f", the first {shown} shown" if total > shown else "")


def _write_head(draw: ImageDraw.ImageDraw, title: str, number: int | None, counted: str) -> None:
    """Write the title to the left and what is counted to the right of it, on one line."""
    width, font = draw.im.size[0], ImageFont.load_default(15)
    draw.text((width - GAP, HEAD // 2), counted, fill=FAINT, font=font, anchor="rm")
    name, letters = legible(title, size=18, number=number)
    room = width - 3 * GAP - font.getlength(counted)
    draw.text((GAP, HEAD // 2), shortened(name, letters, room), fill=INK, font=letters, anchor="lm")
