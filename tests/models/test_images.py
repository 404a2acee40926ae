"""Decoding: every mode, every orientation, and every kind of damage."""

import contextlib
import gzip
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image, ImageOps, features

from contract.errors import SourceError
from models.images import decode_image, image_size

PATTERN = np.random.default_rng(5).integers(0, 256, (24, 40, 3), np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def saved(save: Callable[[Any, Any], None]) -> bytes:
    file = io.BytesIO()
    save(file, PATTERN)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "LAB", "RGBA", "LA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(PATTERN).convert("RGB")
    form = {"CMYK": "TIFF", "LAB": "TIFF", "YCbCr": "JPEG"}.get(mode, "PNG")
    if mode == "LAB":
        image = Image.new("LAB", (40, 24), (128, 0, 0))
    decoded = decode_image(encoded(image.convert(mode) if mode != "LAB" else image, form))
    assert decoded.shape == (24, 40, 3)
    assert decoded.dtype == np.uint8
    if mode in ("RGB", "RGBA"):
        np.testing.assert_array_equal(decoded, PATTERN)
    if mode == "L":
        np.testing.assert_array_equal(decoded[..., 0], np.asarray(image.convert("L")))


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = decode_image(encoded(Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(red.astype(int) - [200, 30, 30]).max() < 30


def test_deep_grey_keeps_its_upper_byte() -> None:
    values = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40) * 68
    for form in ("PNG", "TIFF"):
        decoded = decode_image(encoded(Image.fromarray(values), form))
        np.testing.assert_array_equal(decoded[..., 1], values >> 8)
    floats = (values / values.max()).astype(np.float32)
    np.testing.assert_allclose(decode_image(encoded(Image.fromarray(floats), "TIFF"))[..., 2], floats * 255, atol=1)


def test_what_is_transparent_lies_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (decode_image(encoded(clear)) == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([9, 9, 9, 80, 90, 100])
    palette.putpixel((1, 2), 1)
    decoded = decode_image(encoded(palette, transparency=0))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[2, 1].tolist() == [80, 90, 100]


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(PATTERN), exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        upright: NDArray[np.uint8] = np.asarray(ImageOps.exif_transpose(image))
    decoded = decode_image(content)
    np.testing.assert_array_equal(decoded, upright)
    assert image_size(content) == (decoded.shape[1], decoded.shape[0])


def test_of_an_animation_it_is_the_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(content)[0, 0].tolist() == [255, 0, 0]


def test_more_pixels_than_allowed_are_refused_before_decoding() -> None:
    content = encoded(Image.fromarray(PATTERN))
    with pytest.raises(SourceError, match="40 x 24 pixels, more than the limit of 959"):
        decode_image(content, max_pixels=959)
    assert decode_image(content, max_pixels=960).size == 960 * 3


@given(st.binary(max_size=64))
def test_junk_has_a_reason_that_is_the_same_each_time(content: bytes) -> None:
    reasons = []
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            decode_image(content)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged tags
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]), st.data())
def test_damaged_files_decode_or_are_refused(form: str, data: st.DataObject) -> None:
    content = bytearray(encoded(Image.fromarray(PATTERN), form))
    cut = data.draw(st.integers(0, len(content)))
    at, value = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 255))
    content[at] = value
    decoded = None
    with contextlib.suppress(SourceError):
        decoded = decode_image(bytes(content[:cut]), max_pixels=100_000)
    assert decoded is None or (decoded.ndim == 3 and decoded.dtype == np.uint8)


def test_a_file_that_is_cut_off_is_damaged() -> None:
    content = encoded(Image.fromarray(PATTERN), "JPEG")
    with pytest.raises(SourceError, match="it is damaged"):
        decode_image(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (pickle.dumps(np.zeros((2, 2, 3), np.uint8), protocol=2), "a pickle"),
        (pickle.dumps(np.zeros((2, 2, 3), np.uint8)), "a pickle"),
        (saved(np.save), "an array"),
        (saved(np.savez), "an archive"),
        (gzip.compress(encoded(Image.fromarray(PATTERN))), "compressed with gzip"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript program"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"no image", "not an image of a known format"),
    ],
)
def test_what_is_no_image_is_called_by_its_name_and_never_opened(content: bytes, name: str) -> None:
    for read in (decode_image, image_size):
        with pytest.raises(SourceError, match=name):
            read(content)


def test_postscript_reaches_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("Ghostscript would have been started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    eps = encoded(Image.fromarray(PATTERN), "EPS")
    with Image.open(io.BytesIO(eps)) as image, pytest.raises(AssertionError, match="Ghostscript"):
        image.load()  # which is what Pillow does by itself
    with pytest.raises(SourceError, match="PostScript"):
        decode_image(eps)


@pytest.mark.parametrize("form", ["JPEG2000", "PPM", "AVIF"])
def test_other_formats_of_pictures(form: str) -> None:
    if not features.check({"JPEG2000": "jpg_2000", "AVIF": "avif"}.get(form, "pil")):
        pytest.skip(f"this Pillow has no {form}")
    assert decode_image(encoded(Image.fromarray(PATTERN), form)).shape == (24, 40, 3)
