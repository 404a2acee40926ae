"""Encoded images to RGB pixels, upright, whatever their mode; a broken file is an error with a reason."""

import contextlib
import functools
import io
import struct
import zlib
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from contract.errors import SourceError
from models.jpegs import Decoded, decode_jpeg, may_be_turned

MAX_PIXELS: Final = 100_000_000
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = MappingProxyType(  # EXIF 2.32, tag Orientation: what turns the stored picture upright
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
_SIDEWAYS: Final = frozenset({5, 6, 7, 8})
# The same turns on rows and columns, after those of _SIDEWAYS have been exchanged: step across, step down.
_FLIPPED: Final = MappingProxyType({2: (-1, 1), 3: (-1, -1), 4: (1, -1), 5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)})
# Of Pillow's formats those that hold pictures and nothing else: EPS would run Ghostscript on what a stranger wrote.
_FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF", "PPM", "HEIF")
_PACKAGES: Final = MappingProxyType(
    {
        b"PK\x03\x04": "an archive (ZIP or npz)",
        b"PK\x05\x06": "an empty archive (ZIP or npz)",
        b"\x93NUMPY": "an array (npy)",
        **{bytes((0x80, protocol)): "a pickle" for protocol in range(2, 6)},
        b"\x1f\x8b": "compressed with gzip",
        b"BZh": "compressed with bzip2",
        b"\xfd7zXZ\x00": "compressed with xz",
        b"7z\xbc\xaf\x27\x1c": "an archive (7z)",
        b"Rar!": "an archive (RAR)",
        b"%!PS": "a PostScript program",
        b"%PDF-": "a PDF document",
    }
)
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})  # ISO/IEC 23008-12
_DECODERS_FAULTS: Final = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    KeyError,
    IndexError,
    struct.error,
    zlib.error,
)


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # which Pillow turns by itself, and gives the upright size of
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DECODERS_FAULTS:
        return 1  # a damaged tag says nothing; the pixels may well be whole


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # not every build of Pillow has all of them


def _no_image(content: bytes) -> str:
    for beginning, name in _PACKAGES.items():
        if content.startswith(beginning):
            return f"it is {name}, which is not opened; send every image as an encoded file of its own"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        return "it is a HEIC picture, for which pillow-heif is missing here; install goldgate[heif], or send it as JPEG"
    return "it is not an image of a known format"


def _open(content: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=_formats())
    except UnidentifiedImageError as error:
        raise SourceError(_no_image(content)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SourceError(f"it has more pixels than the limit of {max_pixels}") from error
    except _DECODERS_FAULTS as error:
        raise SourceError(f"its header cannot be read ({' '.join(str(error).split())})") from error
    if image.width * image.height > max_pixels:
        raise SourceError(f"it has {image.width} x {image.height} pixels, more than the limit of {max_pixels}")
    return image


def image_size(content: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return width and height of an encoded image after EXIF orientation, from its header alone.

    Raises:
        SourceError: it is no image, or has more than `max_pixels`.
    """
    with _open(content, max_pixels) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)


def _deep_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or of floats as 8 bits: the upper byte of 16-bit values, [0, 1] floats times 255."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        finite = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        scaled = finite * 255 if finite.size and finite.max() <= 1 else finite
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
    return Image.fromarray((np.clip(values.astype(np.int64), 0, 65535) >> 8).astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        ground = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))  # as review tools show it
        return Image.alpha_composite(ground, with_alpha).convert("RGB")
    return image.convert("RGB")


def decode_image(content: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return an encoded image as RGB pixels, uint8 of shape (height, width, 3), after EXIF orientation.

    Of an animation it is the first frame; what is transparent lies on white.

    Raises:
        SourceError: it is no image, is damaged or cut off, or has more than `max_pixels`.
    """
    return _decode(content, max_pixels, None).pixels


def decode_within(content: bytes, *, within: tuple[int, int], max_pixels: int = MAX_PIXELS) -> Decoded:
    """Return an encoded image as `decode_image` does, or a JPEG as a fraction of it that still fills `within`.

    Args:
        content: the file.
        within: height and width into which the picture will be letterboxed.
        max_pixels: limit of the whole picture.

    Raises:
        SourceError: as `decode_image`.
    """
    return _decode(content, max_pixels, within)


def _decode(content: bytes, max_pixels: int, within: tuple[int, int] | None) -> Decoded:
    orientation = 1
    if may_be_turned(content):
        with _open(content, max_pixels) as image:
            orientation = _orientation(image)
    sideways = orientation in _SIDEWAYS
    stored = decode_jpeg(content, max_pixels=max_pixels, within=within[::-1] if within and sideways else within)
    if stored is None:
        pixels = _decode_by_pillow(content, max_pixels)
        return Decoded(pixels, *pixels.shape[:2])
    pixels = _upright(stored.pixels, orientation)
    return Decoded(pixels, *((stored.width, stored.height) if sideways else (stored.height, stored.width)))


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation not in _UPRIGHT:
        return pixels
    if orientation in _SIDEWAYS:
        pixels = pixels.transpose(1, 0, 2)
    across, down = _FLIPPED[orientation]
    return np.ascontiguousarray(pixels[::down, ::across])


def _decode_by_pillow(content: bytes, max_pixels: int) -> NDArray[np.uint8]:
    with _open(content, max_pixels) as image:
        turn = _UPRIGHT.get(_orientation(image))
        try:
            image.load()
            rgb = _to_rgb(image)
        except _DECODERS_FAULTS as error:
            raise SourceError(f"it is damaged ({' '.join(str(error).split())})") from error
        return np.array(rgb if turn is None else rgb.transpose(turn), dtype=np.uint8)


def preview(content: bytes, *, side: int, max_pixels: int = MAX_PIXELS) -> tuple[bytes, int, int]:
    """Return an upright JPEG for a page, no side longer than `side`, and the width and height of the whole image.

    Raises:
        SourceError: it is no image, is damaged or cut off, or has more than `max_pixels`.
    """
    image = Image.fromarray(decode_image(content, max_pixels=max_pixels))
    width, height = image.size
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), width, height
