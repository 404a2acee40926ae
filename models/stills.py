"""Stills: decoded frames as upright pictures with square pixels, in files that say which frame of which video they are."""

import io
import json
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final, Literal

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import Colorspace, Interpolation
from numpy.typing import NDArray
from PIL import ExifTags, Image

from models.seeking import Found

Format = Literal["jpeg", "webp"]
SUFFIXES: Final = {"jpeg": ".jpg", "webp": ".webp"}
HD_HEIGHT: Final = 720  # from here on untagged pictures are in the colours of ITU-R BT.709, below in those of BT.601
_UNTAGGED: Final = 2  # ISO/IEC 23091-2, MatrixCoefficients: unspecified
_ASCII: Final = b"ASCII\0\0\0"  # EXIF 2.32, UserComment: its character code
_EXACT: Final = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND


def upright(found: Found) -> Image.Image:
    """Return the picture as players show it: RGB, turned by the display matrix, pixels made square by widening one side."""
    frame = found.picture
    untagged = frame.colorspace == _UNTAGGED
    colours = (Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601) if untagged else None
    pixels = frame.reformat(format="rgb24", src_colorspace=colours, interpolation=_EXACT).to_ndarray()
    picture = _squared(Image.fromarray(pixels), found.aspect)
    return Image.fromarray(_turned(np.asarray(picture), frame))


def _squared(picture: Image.Image, aspect: Fraction) -> Image.Image:
    if aspect <= 0 or aspect == 1:
        return picture
    width, height = picture.size
    size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _turned(pixels: NDArray[np.uint8], frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Turn and mirror by the nearest whole quarter: ISO/IEC 14496-12, 6.2.2, where (x, y) is shown at (ax + cy, bx + dy)."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return pixels
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, across, down = pixels.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


def encode_still(picture: Image.Image, facts: Mapping[str, Any], *, form: Format, quality: int) -> bytes:
    """Return `picture` as a JPEG or WebP file whose EXIF carries `facts`.

    The tag UserComment holds them as JSON; ImageDescription is their `title` and Software their `software`, if there.
    """
    exif = Image.Exif()
    for tag, name in ((ExifTags.Base.ImageDescription, "title"), (ExifTags.Base.Software, "software")):
        if name in facts:
            exif[tag] = str(facts[name]).encode()  # UTF-8, which readers take for the ASCII of the standard
    comment = json.dumps(dict(facts), sort_keys=True, allow_nan=False)  # in ASCII whatever the names are
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = _ASCII + comment.encode("ascii")
    file = io.BytesIO()
    if form == "jpeg":
        picture.save(file, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2, optimize=True, exif=exif)
    else:
        picture.save(file, "WEBP", quality=quality, method=4, exif=exif)
    return file.getvalue()


def read_facts(content: bytes) -> dict[str, Any] | None:
    """Return the facts that a file of `encode_still` carries; None where there are none."""
    with Image.open(io.BytesIO(content)) as image:
        comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if not isinstance(comment, bytes) or not comment.startswith(_ASCII):
        return None
    facts = json.loads(comment.removeprefix(_ASCII))
    return facts if isinstance(facts, dict) else None
