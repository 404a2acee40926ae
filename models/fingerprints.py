"""What tells pictures apart at a glance: a hash that survives copying, and a small sight of colours and textures.

The hash is the difference hash (Krawetz 2013, "Kind of like that"): the picture as 9 x 8 greys by area, and 64 bits that
say whether each grey is darker than its right neighbour. Scaling, another quality of JPEG and small changes of light turn
few bits. A picture of one colour has the same hash as every other one, so that hashes alone never call pictures copies: the
sights must be near as well (`qa/duplicates`).

The sight is 8 x 8 colours in L*a*b*, by area, and the textures of the four quarters: 8 orientations of edges, and the share
of flat pixels. It tells copies from other pictures of the same hash, and how new a picture is. JPEGs are decoded at the
least scale that suffices.
"""

import io
import struct
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contract.predictor import Source
from models.content import read_content
from models.images import MAX_PIXELS, decode_image

VERSION: Final = 1  # of how fingerprints are made: old ones are made again when it changes
HASH_BITS: Final = 64
SIDE: Final = 8
_COLOURS: Final = SIDE * SIDE * 3
SIGHT: Final = _COLOURS + 4 * (8 + 1)
_WORKING_SIDE: Final = 64
_DRAFT_SIDE: Final = 128
_ORIENTATIONS: Final = 8
_JPEG: Final = b"\xff\xd8"
_ORIENTATION: Final = 0x0112  # EXIF 2.32
_FLAT: Final = 0.02  # gradient of a pixel, as a share of full range, below which it has no texture


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of one picture: `bits` is the hash as 64 bits, `sight` a float32 vector of `SIGHT` numbers from 0 to about 1."""

    bits: int
    sight: NDArray[np.float32]


def fingerprint(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of a picture, RGB of shape (height, width, 3)."""
    small = cv2.resize(pixels, (_WORKING_SIDE, _WORKING_SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grid = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    darker = (grid[:, :-1] < grid[:, 1:]).reshape(-1)
    bits = int.from_bytes(np.packbits(darker).tobytes(), "big")
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    colours = cv2.resize(lab, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    scaled = (colours / 100 + np.array([0, 1, 1], np.float32) * 0.5).reshape(-1)
    return Fingerprint(bits, np.concatenate([scaled, _textures(grey / 255)]).astype(np.float32))


def _textures(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each quarter the shares of 8 orientations among its edges, by their strength, and of flat pixels."""
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, ksize=3) / 8 for order in ((1, 0), (0, 1)))
    strength = np.hypot(across, down)
    turn = np.mod(np.arctan2(down, across), np.pi) / np.pi
    sector = np.minimum((turn * _ORIENTATIONS).astype(np.int64), _ORIENTATIONS - 1)
    half = _WORKING_SIDE // 2
    found = []
    for top in (0, half):
        for left in (0, half):
            part = np.s_[top : top + half, left : left + half]
            edges = np.where(strength[part] >= _FLAT, strength[part], 0)
            weights = np.bincount(sector[part].reshape(-1), weights=edges.reshape(-1), minlength=_ORIENTATIONS)
            flat = float((strength[part] < _FLAT).mean())
            found.append(np.append(weights / max(weights.sum(), 1e-9) * (1 - flat), flat))
    return np.concatenate(found).astype(np.float32)


def fingerprint_of(source: Source) -> Fingerprint:
    """Return the fingerprint of an image, upright.

    Raises:
        SourceError: it cannot be read or is no image.
    """
    return fingerprint(small_pixels(read_content(source)))


def small_pixels(content: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return an encoded image as upright RGB, of a JPEG in the least of the decoder's scales with sides over `_DRAFT_SIDE`.

    Raises:
        SourceError: it is no image, is damaged or cut off, or has more than `max_pixels`.
    """
    if content[:2] == _JPEG:
        try:
            with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
                if (
                    image.mode == "RGB"
                    and image.getexif().get(_ORIENTATION, 1) == 1
                    and image.width * image.height <= max_pixels
                ):
                    image.draft("RGB", (_DRAFT_SIDE, _DRAFT_SIDE))
                    return np.array(image.convert("RGB"), np.uint8)
        except (OSError, ValueError, SyntaxError, struct.error):
            pass  # the careful way says what is wrong with it
    return decode_image(content, max_pixels=max_pixels)


def colours_of(mark: Fingerprint) -> NDArray[np.float32]:
    """Return the 8 x 8 colours of a fingerprint, shape (192,), as shares of full range."""
    return mark.sight[:_COLOURS]


def overview(sights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return of each sight, shape (n, `SIGHT`), what novelty is told by: 4 x 4 colours and the textures, shape (n, 84)."""
    colours = sights[:, :_COLOURS].reshape(-1, SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(2, 4))
    return np.concatenate([colours.reshape(len(sights), _COLOURS // 4), sights[:, _COLOURS:]], axis=1).astype(np.float32)
