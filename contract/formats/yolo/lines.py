"""Lines of YOLO label files: class, centre and size as shares of the image, `cls xc yc w h [confidence]`.

Source: the label format of darknet and of docs.ultralytics.com, "Object Detection Datasets Overview"; the confidence is
what Ultralytics' `save_conf` adds to predictions.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.errors import FormatError

DECIMALS: Final = 6  # of what other tools write
Line = tuple[int, float, float, float, float]
_COLUMNS: Final = (5, 6)


@dataclass(frozen=True)
class Parsed:
    """A line: the class by number, centre and size as shares, and the confidence where it stands there."""

    line: Line
    confidence: float | None


def shares_of(boxes: pa.Table, width: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return centre and size of `boxes` as shares of their images, (rows, 4) float64.

    What sticks out of the image is cut off: trainers refuse a file with a share below 0 or above 1.

    Args:
        boxes: columns x, y, w, h in pixels.
        width: of the image of each row, in pixels.
        height: of the image of each row, in pixels.
    """
    result = np.empty((boxes.num_rows, 4))
    for axis, (start, length, size) in enumerate((("x", "w", width), ("y", "h", height))):
        low, extent = (np.asarray(boxes[name].to_numpy(), np.float64) for name in (start, length))
        centre, share = (low + extent / 2) / size, extent / size
        begin, end = np.clip(low / size, 0, 1), np.clip((low + extent) / size, 0, 1)
        out = (low < 0) | (low + extent > size)
        result[:, axis] = np.where(out, (begin + end) / 2, centre)
        result[:, axis + 2] = np.where(out, end - begin, share)
    return result


def pixels_of(line: Line, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return x, y, w, h in pixels of a box on an image of `size` (width, height)."""
    _, xc, yc, w, h = line
    width, height = w * size[0], h * size[1]
    return xc * size[0] - width / 2, yc * size[1] - height / 2, width, height


def text_of(lines: Sequence[Line]) -> bytes:
    """Return `lines` as a label file.

    Numbers have as many digits as give the same float64 again, and no exponent, which some readers take for no number.
    """
    return "".join(f"{cls} {' '.join(map(_plain, shares))}\n" for cls, *shares in lines).encode()


def _plain(share: float) -> str:
    text = repr(share)
    return f"{Decimal(text):f}" if "e" in text else text


def parse_line(line: str, *, where: str) -> Parsed:
    """Return what stands in `line`.

    Raises:
        FormatError: it is no box: another number of columns, no numbers, NaN, infinite, or a negative size.
    """
    words = line.split()
    if len(words) not in _COLUMNS:
        hint = "; polygons and rotated boxes are not ordered" if len(words) > 6 else ""
        raise FormatError(
            f"{where}: holds {len(words)} values; a box has 5 (class, centre x and y, width, height) or a confidence after"
            f" them{hint}"
        )
    cls, xc, yc, w, h, *confidence = (_number(word, where) for word in words)
    if cls != int(cls) or not 0 <= cls < 1e9:
        raise FormatError(f"{where}: {words[0]!r} is not the number of a class")
    if w < 0 or h < 0:
        raise FormatError(f"{where}: the box has a negative size, {words[3]} x {words[4]}")
    return Parsed((int(cls), xc, yc, w, h), confidence[0] if confidence else None)


def _number(word: str, where: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in word:
        shown = word if len(word) <= 40 else word[:40] + "..."
        raise FormatError(f"{where}: {shown!r} is not a finite number")
    return value


def still_drawn(lines: Sequence[Parsed], drawn: Sequence[Line]) -> list[int]:
    """Return for each line the index of the drawn one that it still is, each used once, or -1.

    A line stands while class and shares agree to six decimals, to which other tools round; equal ones come first, and of
    several that agree the first. A line with a confidence was not drawn by us.
    """
    if len(lines) == len(drawn) and all(
        each.line == line and each.confidence is None for each, line in zip(lines, drawn, strict=True)
    ):
        return list(range(len(drawn)))
    found = [-1] * len(lines)
    used: set[int] = set()
    for rounded in (False, True):
        free: dict[Any, list[int]] = defaultdict(list)
        for index in range(len(drawn) - 1, -1, -1):
            if index not in used:
                free[_key(drawn[index], rounded)].append(index)
        for at, each in enumerate(lines):
            if found[at] < 0 and each.confidence is None and (indices := free.get(_key(each.line, rounded))):
                found[at] = indices.pop()
                used.add(found[at])
    return found


def _key(line: Line, rounded: bool) -> Line | tuple[float, ...]:
    return (line[0], *(round(share, DECIMALS) for share in line[1:])) if rounded else line
