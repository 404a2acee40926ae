"""Fingerprints: what survives copying, and what tells other pictures apart."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contract.errors import SourceError
from contract.predictor import Source
from contract.tables import Kind
from models.fingerprints import SIGHT, Fingerprint, colours_of, fingerprint, fingerprint_of, overview, small_pixels
from models.scenes import draw, random_scene

Pixels = NDArray[np.uint8]


def scene(seed: int) -> Pixels:
    return draw(random_scene(seed, width=320, height=240))


def encoded(picture: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def apart(one: Fingerprint, other: Fingerprint) -> tuple[int, float]:
    return (one.bits ^ other.bits).bit_count(), float(np.abs(colours_of(one) - colours_of(other)).mean())


@pytest.mark.parametrize(
    "content",
    [
        lambda picture: encoded(picture, quality=40),
        lambda picture: encoded(picture.resize((160, 120))),
        lambda picture: encoded(picture.resize((960, 720)), quality=90),
        lambda picture: encoded(picture, "PNG"),
        lambda picture: encoded(picture, "WEBP", quality=70),
    ],
)
def test_a_copy_of_another_size_or_quality_is_near(content: Any) -> None:
    for seed in range(4):
        picture = Image.fromarray(scene(seed))
        bits, colours = apart(fingerprint(np.asarray(picture)), fingerprint(small_pixels(content(picture))))
        assert bits <= 6
        assert colours <= 0.03


def test_other_scenes_and_the_mirrored_one_are_far() -> None:
    marks = [fingerprint(scene(seed)) for seed in range(8)]
    for number, mark in enumerate(marks):
        for other in marks[:number]:
            bits, colours = apart(mark, other)
            assert bits > 6 or colours > 0.03
    bits, _ = apart(marks[0], fingerprint(np.ascontiguousarray(scene(0)[:, ::-1])))
    assert bits > 6


def test_the_hash_says_where_it_gets_darker_to_the_left() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 90).astype(np.uint8)[None, :, None], (80, 90, 3))
    assert fingerprint(np.ascontiguousarray(ramp)).bits == (1 << 64) - 1
    assert fingerprint(np.ascontiguousarray(ramp[:, ::-1])).bits == 0
    plain = fingerprint(np.full((50, 70, 3), 128, np.uint8))
    assert plain.bits == 0
    assert plain.sight.shape == (SIGHT,)
    assert plain.sight.dtype == np.float32


def test_a_turned_jpeg_is_read_upright() -> None:
    picture = Image.fromarray(scene(1))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture.transpose(Image.Transpose.ROTATE_90), exif=exif)
    bits, colours = apart(fingerprint(np.asarray(picture)), fingerprint(small_pixels(turned)))
    assert bits <= 6
    assert colours <= 0.03


def test_grey_and_damaged_files_go_the_careful_way() -> None:
    grey = small_pixels(encoded(Image.fromarray(scene(2)).convert("L")))
    assert grey.shape == (240, 320, 3)
    whole = encoded(Image.fromarray(scene(2)))
    for broken in (whole[: len(whole) // 2], b"\xff\xd8 not a picture", b""):
        with pytest.raises(SourceError):
            fingerprint_of(Source("x", Kind.IMAGE, "x.jpg", broken))
    with pytest.raises(SourceError, match="more than the limit"):
        small_pixels(whole, max_pixels=100)


def test_the_overview_is_the_mean_of_four_colours_and_the_textures() -> None:
    sights = np.stack([fingerprint(scene(seed)).sight for seed in range(2)])
    found = overview(sights)
    assert found.shape == (2, 84)
    grid = sights[:, :192].reshape(2, 8, 8, 3)
    for row in range(4):
        for column in range(4):
            block = grid[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean(axis=(1, 2))
            at = 3 * (4 * row + column)
            assert found[:, at : at + 3] == pytest.approx(block, abs=1e-6)
    assert found[:, 48:] == pytest.approx(sights[:, 192:])
