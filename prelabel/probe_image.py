"""Images: decoded to their last byte, measured as a viewer would show them."""

import contextlib
import errno
import functools
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from PIL import Image, UnidentifiedImageError

from prelabel.refusal import Reason, RefusedError

MEDIA: Final = {
    "image/jpeg": ("JPEG", "MPO"),
    "image/png": ("PNG",),
    "image/webp": ("WEBP",),
    "image/bmp": ("BMP",),
    "image/tiff": ("TIFF",),
    "image/gif": ("GIF",),
    **({"image/heic": ("HEIF",)} if find_spec("pillow_heif") else {}),
}

# What Pillow's plugins are known to let through on bad data; an OSError of the system itself is not among them.
_DAMAGE: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_SYSTEM_ERRNOS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.ESTALE, errno.EMFILE, errno.ENFILE}
)
_ORIENTATION: Final = 0x0112
_QUARTER_TURNS: Final = frozenset({5, 6, 7, 8})
_LARGE_PIXELS: Final = 20_000_000
_PIECE_BYTES: Final = 1 << 20
_large_images_take_turns = threading.Lock()


@dataclass(frozen=True)
class ImageFacts:
    """Width and height in pixels after EXIF orientation."""

    width: int
    height: int


@contextlib.contextmanager
def pixel_limit(pixels: int) -> Iterator[None]:
    """Set Pillow's guard against decompression bombs for as long as the context lasts.

    Both the guard and the warning filters belong to the process: enter this once around all probing threads, not in each.
    """
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def probe_image(path: Path, media: str, *, max_pixels: int) -> ImageFacts:
    """Decode the whole of the image at `path` and return its size.

    A JPEG is decoded at an eighth of its scale, which still reads every coefficient; its end-of-image marker must be there,
    since the decoder invents a missing one. An image has one picture: animations and documents of several pages are refused.

    Raises:
        RefusedError: corrupt, truncated, oversized, or more than one picture.
        OSError: the file cannot be read.
    """
    if media == "image/heic":
        _know_heic()
    with path.open("rb") as file:
        with _refusals(max_pixels), Image.open(file, formats=MEDIA[media]) as image:
            if image.width * image.height > max_pixels:
                raise _too_large(f"{image.width} x {image.height}", max_pixels)
            _check_single(image)
            facts = _decode(image)
        if media == "image/jpeg" and not _jpeg_has_end(file):
            raise RefusedError(Reason.TRUNCATED, "the JPEG has no end-of-image marker: the end of the file is missing")
        if media == "image/png" and not _holds(file, b"IEND", 8):
            raise RefusedError(Reason.TRUNCATED, "the PNG has no IEND chunk: the end of the file is missing")
    return facts


@functools.cache
def _know_heic() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()


def _check_single(image: Image.Image) -> None:
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":  # a JPEG may carry a preview or a second eye's view behind the picture
        raise RefusedError(Reason.UNSUPPORTED, f"the {image.format} file holds {pictures} pictures; deliver each as a file")


def _decode(image: Image.Image) -> ImageFacts:
    width, height = image.size
    turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
    large = width * height > _LARGE_PIXELS
    image.draft(image.mode, (max(1, width // 8), max(1, height // 8)))
    with _large_images_take_turns if large else contextlib.nullcontext():
        image.load()
    if image.format == "TIFF":  # Pillow turns a TIFF itself
        width, height = image.size
    return ImageFacts(height, width) if turned else ImageFacts(width, height)


def _too_large(size: str, max_pixels: int) -> RefusedError:
    return RefusedError(Reason.OVERSIZED, f"the image of {size} pixels exceeds limits.max_image_pixels = {max_pixels}")


@contextlib.contextmanager
def _refusals(max_pixels: int) -> Iterator[None]:
    """Turn what Pillow raises on bad files into refusals."""
    try:
        yield
    except RefusedError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = str(error).split("(")[-1].split(" pixels")[0]
        raise _too_large(size, max_pixels) from error
    except UnidentifiedImageError as error:
        raise RefusedError(Reason.CORRUPT, "the image has a header that cannot be read") from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _SYSTEM_ERRNOS:
            raise
        sentence = " ".join(str(error).split()) or type(error).__name__
        truncated = "truncated" in sentence.lower() or isinstance(error, EOFError)
        reason = Reason.TRUNCATED if truncated else Reason.CORRUPT
        raise RefusedError(reason, f"the image cannot be decoded ({sentence})") from error
    except MemoryError as error:
        raise RefusedError(Reason.CORRUPT, "the image asks for more memory than there is") from error


def _jpeg_has_end(file: IO[bytes]) -> bool:
    # Before the scan a thumbnail may hold an end marker of its own, so the search begins after the first SOS.
    offset = 2
    while True:
        file.seek(offset)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return False
        if head[1] == 0xFF:  # fill byte
            offset += 1
        elif head[1] == 0xDA:
            return _holds(file, b"\xff\xd9", offset)
        else:
            offset += 2 + int.from_bytes(head[2:4], "big")


def _holds(file: IO[bytes], mark: bytes, offset: int) -> bool:
    file.seek(offset)
    rest = b""
    while piece := file.read(_PIECE_BYTES):
        window = rest + piece
        if mark in window:
            return True
        rest = window[1 - len(mark) :]
    return False
