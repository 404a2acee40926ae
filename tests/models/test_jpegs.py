"""JPEG by libjpeg-turbo against Pillow: the same pixels whole, near ones as a fraction, and the same verdict on damage."""

import io
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from contract.errors import SourceError
from models.images import decode_image, decode_within, image_size
from models.jpegs import decode_jpeg, fraction_for
from models.scenes import render_scene

Picture = NDArray[np.uint8]


def jpeg(picture: Picture | Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def by_pillow(content: bytes) -> Picture:
    with Image.open(io.BytesIO(content)) as image:
        upright: Picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        return upright


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCbCr"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}])
def test_whole_pictures_are_those_of_pillow(mode: str, options: dict[str, Any]) -> None:
    picture = Image.fromarray(render_scene(3, width=123, height=77)[0]).convert(mode)
    if mode in ("L", "CMYK"):
        options = {key: value for key, value in options.items() if key != "subsampling"}
    content = jpeg(picture, **options)
    np.testing.assert_array_equal(decode_image(content), by_pillow(content))
    assert (decode_jpeg(content, max_pixels=10**6) is None) == (mode == "CMYK")


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("space", ["exif", "xmp"])
def test_turned_pictures_are_those_of_pillow(orientation: int, space: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    note = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    options: dict[str, Any] = {"exif": exif} if space == "exif" else {"xmp": note}
    content = jpeg(render_scene(5, width=88, height=40)[0], **options)
    wanted = by_pillow(content)
    np.testing.assert_array_equal(decode_image(content), wanted)
    assert image_size(content) == wanted.shape[1::-1]
    half = decode_within(content, within=(30, 30))
    assert (half.height, half.width) == wanted.shape[:2]
    assert half.pixels.shape == (-(-wanted.shape[0] // 2), -(-wanted.shape[1] // 2), 3)
    assert np.abs(half.pixels.astype(float) - halved(wanted)).mean() < 3


def halved(picture: Picture) -> NDArray[np.float64]:
    """Mean of every two by two pixels, which the transform of half the size comes near to."""
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    blocks = picture[: 2 * rows, : 2 * columns].astype(float).reshape(rows, 2, columns, 2, 3)
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return means


@settings(max_examples=100, deadline=None)
@example(1, 1, 1, 1)
@example(1280, 960, 640, 640)
@example(1279, 960, 640, 640)
@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 1300), st.integers(1, 1300))
def test_a_fraction_never_needs_enlarging(height: int, width: int, rows: int, columns: int) -> None:
    fraction = fraction_for(height, width, within=(rows, columns))
    gain = min(rows / height, columns / width)
    fills = [
        step for step in (1, 2, 4, 8) if step == 1 or all(-(-size // step) >= round(size * gain) for size in (height, width))
    ]
    assert fraction == max(fills)


@pytest.mark.parametrize(("size", "fraction"), [((640, 480), 1), ((1278, 960), 1), ((1280, 960), 2), ((2560, 900), 4)])
def test_a_large_jpeg_comes_by_the_fraction_that_still_fills(size: tuple[int, int], fraction: int) -> None:
    soft = cv2.GaussianBlur(render_scene(8, width=size[0], height=size[1])[0], (0, 0), 4)
    content = jpeg(np.asarray(soft, np.uint8), quality=95)
    found = decode_within(content, within=(640, 640))
    assert (found.height, found.width) == size[::-1]
    assert found.pixels.shape == (-(-size[1] // fraction), -(-size[0] // fraction), 3)
    wanted = cv2.resize(by_pillow(content), found.pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(found.pixels.astype(float) - wanted).max() <= 8


def test_other_pictures_come_whole() -> None:
    picture = render_scene(2, width=900, height=700)[0]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    found = decode_within(file.getvalue(), within=(64, 64))
    np.testing.assert_array_equal(found.pixels, picture)
    assert (found.height, found.width) == (700, 900)


def test_damage_is_judged_as_pillow_judges_it() -> None:
    whole = jpeg(render_scene(1, width=96, height=64)[0])
    assert decode_jpeg(whole[:-40], max_pixels=10**6) is None
    with pytest.raises(SourceError, match="damaged"):
        decode_image(whole[:-40])
    trailing = whole + b"after the end"
    np.testing.assert_array_equal(decode_image(trailing), by_pillow(trailing))
    with pytest.raises(SourceError, match="96 x 64 pixels, more than the limit of 6143"):
        decode_within(whole, within=(8, 8), max_pixels=6143)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "HEIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_other_formats_are_turned_once(form: str, orientation: int) -> None:
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(render_scene(6, width=64, height=40)[0]).save(file, form, exif=exif)
    content = file.getvalue()
    np.testing.assert_array_equal(decode_image(content), by_pillow(content))
    assert image_size(content) == by_pillow(content).shape[1::-1]


def test_heic_without_its_library_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import models.images

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(models.images, "_formats", lambda: ("JPEG",))
    with pytest.raises(SourceError, match=r"HEIC picture, .*goldgate\[heif\]"):
        decode_image(b"\x00\x00\x00\x18ftypheic" + bytes(100))
