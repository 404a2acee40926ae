"""Boxes on images: a small JPEG of the place, and where the boxes lie on it.

The boxes themselves are not painted into the JPEG: the report lays them over it as vector lines, which print sharply
and name classes in the reader's own fonts.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from contract.errors import SourceError

_CONTEXT: Final = 0.6  # of the boxes' larger side, shown around them
_LEAST_SIDE: Final = 240.0  # pixels of the image that a crop shows at least
_QUALITIES: Final = (82, 70, 55, 40, 25)
_LABEL_HEIGHT: Final = 15.0


@dataclass(frozen=True)
class Box:
    """A box in pixels of the upright image; `strong` says that it takes part in the defect."""

    label: str
    x: float
    y: float
    w: float
    h: float
    vendor: bool
    strong: bool = True


@dataclass(frozen=True)
class Mark:
    """A box in pixels of the picture, cut to it, with the corner of its label."""

    label: str
    x: float
    y: float
    w: float
    h: float
    label_x: float
    label_y: float
    label_width: float
    vendor: bool
    strong: bool


@dataclass(frozen=True)
class Picture:
    """A JPEG of `width` x `height` pixels and the marks on it."""

    jpeg: bytes
    width: int
    height: int
    marks: tuple[Mark, ...]


def crop_around(boxes: Sequence[Box], width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the part of a `width` x `height` image that shows `boxes` with context.

    Without boxes it is the whole image. The part is never empty, even for boxes outside the image.
    """
    if not boxes:
        return 0, 0, width, height
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.w for box in boxes), max(box.y + box.h for box in boxes)
    margin = _CONTEXT * max(right - left, bottom - top)
    first_column, last_column = _span(left - margin, right + margin, width)
    first_row, last_row = _span(top - margin, bottom + margin, height)
    return first_column, first_row, last_column, last_row


def draw(source: Path | bytes, boxes: Sequence[Box], *, name: str, max_side: int = 420, max_bytes: int = 45_000) -> Picture:
    """Cut out of an image the place of its strong boxes, upright, and lay all boxes over it.

    Args:
        source: the image file, or its content.
        boxes: what to show; those outside the cut are left out.
        name: the item, for the error's message.
        max_side: the longer side of the picture, pixels.
        max_bytes: the JPEG is made coarser, then smaller, until it fits.

    Raises:
        SourceError: the image is absent or cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
    except FileNotFoundError as error:
        raise SourceError(f"{name}: the file is not there") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SourceError(f"{name}: cannot be decoded as an image") from error
    left, top, right, bottom = crop_around([box for box in boxes if box.strong], *upright.size)
    cut = upright.crop((left, top, right, bottom))
    jpeg, size = _jpeg(cut, max_side, max_bytes)
    scale_x, scale_y = size[0] / cut.width, size[1] / cut.height
    moved = [
        Box(
            box.label,
            (box.x - left) * scale_x,
            (box.y - top) * scale_y,
            box.w * scale_x,
            box.h * scale_y,
            box.vendor,
            box.strong,
        )
        for box in boxes
    ]
    marks = [mark for box in moved if (mark := _mark(box, *size)) is not None]
    return Picture(jpeg, *size, tuple(sorted(marks, key=lambda mark: mark.strong)))


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return whole pixels low < high inside 0..size that cover the span and at least the least side."""
    short = max(0.0, _LEAST_SIDE - (high - low)) / 2
    first = min(max(int(low - short), 0), max(size - 1, 0))
    last = max(min(int(high + short) + 1, size), first + 1)
    return first, last


def _jpeg(image: Image.Image, max_side: int, max_bytes: int) -> tuple[bytes, tuple[int, int]]:
    side = min(max_side, max(image.size))
    while True:
        scale = side / max(image.size)
        size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        small = image.resize(size, Image.Resampling.LANCZOS)
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= max_bytes or side <= 16:
                return buffer.getvalue(), size
        side = max(side * 3 // 4, 16)


def _mark(box: Box, width: int, height: int) -> Mark | None:
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right, bottom = min(box.x + box.w, float(width)), min(box.y + box.h, float(height))
    if right <= left or bottom <= top:
        return None
    owner = "V" if box.vendor else "G"
    text = f"{owner} {box.label if len(box.label) <= 20 else box.label[:19] + '…'}"
    label_width = min(8.0 + sum(12 if ord(character) > 0x2E80 else 6.8 for character in text), float(width))
    # The gold's label stands above its box and the vendor's below, so that two boxes that agree stay readable.
    wanted = bottom if box.vendor else top - _LABEL_HEIGHT
    label_y = min(max(wanted, 0.0), max(height - _LABEL_HEIGHT, 0.0))
    label_x = min(left, width - label_width)
    return Mark(
        label=text,
        x=round(left, 2),
        y=round(top, 2),
        w=round(right - left, 2),
        h=round(bottom - top, 2),
        label_x=round(label_x, 2),
        label_y=round(label_y, 2),
        label_width=round(label_width, 2),
        vendor=box.vendor,
        strong=box.strong,
    )
