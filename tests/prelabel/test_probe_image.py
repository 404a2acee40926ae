"""Images: sizes as a viewer shows them, and every kind of damage named."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from prelabel.probe_image import ImageFacts, pixel_limit, probe_image
from prelabel.refusal import Reason, RefusedError

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
LIMIT = 1_000_000


def encoded(form: str, size: tuple[int, int] = (60, 40), **options: object) -> bytes:
    noise = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).save(sink, form, **options)
    return sink.getvalue()


def probe(tmp_path: Path, data: bytes, media: str, max_pixels: int = LIMIT) -> ImageFacts:
    path = tmp_path / "named.wrong"
    path.write_bytes(data)
    with pixel_limit(max_pixels):
        return probe_image(path, media, max_pixels=max_pixels)


def refusal(tmp_path: Path, data: bytes, media: str, max_pixels: int = LIMIT) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        probe(tmp_path, data, media, max_pixels)
    return caught.value


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_after_orientation(tmp_path: Path, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(form, exif=exif) if form not in {"BMP", "GIF"} else encoded(form)
    with Image.open(io.BytesIO(data)) as image:
        shown = ImageOps.exif_transpose(image)  # the oracle: turns the pixels themselves
    assert probe(tmp_path, data, FORMATS[form]) == ImageFacts(*shown.size)
    if form in {"JPEG", "PNG", "WEBP", "TIFF"}:
        assert shown.size == ((40, 60) if orientation >= 5 else (60, 40))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_file_is_refused(tmp_path: Path, form: str, share: float) -> None:
    data = encoded(form)
    error = refusal(tmp_path, data[: int(len(data) * share)], FORMATS[form])
    assert error.reason in {Reason.TRUNCATED, Reason.CORRUPT}


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 3, 40])
def test_a_jpeg_without_its_end_is_truncated(tmp_path: Path, progressive: bool, cut: int) -> None:
    data = encoded("JPEG", progressive=progressive)
    assert refusal(tmp_path, data[:-cut], "image/jpeg").reason is Reason.TRUNCATED


def test_the_end_marker_of_a_thumbnail_does_not_count(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" + encoded("JPEG", (8, 8))[-40:].decode("latin-1")
    data = encoded("JPEG", exif=b"Exif\0\0" + exif.tobytes() + b"\xff\xd9\xff\xd9")
    assert probe(tmp_path, data, "image/jpeg") == ImageFacts(60, 40)
    assert refusal(tmp_path, data[:-2], "image/jpeg").reason is Reason.TRUNCATED


def test_bytes_after_the_end_are_harmless(tmp_path: Path) -> None:
    assert probe(tmp_path, encoded("JPEG") + b"\0" * 5000, "image/jpeg") == ImageFacts(60, 40)


def test_a_png_without_its_end_is_truncated(tmp_path: Path) -> None:
    assert refusal(tmp_path, encoded("PNG")[:-12], "image/png").reason is Reason.TRUNCATED


def test_a_flipped_byte_in_a_png_is_corrupt(tmp_path: Path) -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 0xFF
    assert refusal(tmp_path, bytes(data), "image/png").reason in {Reason.CORRUPT, Reason.TRUNCATED}


@pytest.mark.parametrize("side", [101, 150, 300])
def test_too_many_pixels_are_refused_and_named(tmp_path: Path, side: int) -> None:
    error = refusal(tmp_path, encoded("PNG", (side, side)), "image/png", 10_000)
    assert error.reason is Reason.OVERSIZED
    assert "limits.max_image_pixels = 10000" in str(error)


def test_exactly_the_limit_is_accepted(tmp_path: Path) -> None:
    assert probe(tmp_path, encoded("PNG", (100, 100)), "image/png", 10_000) == ImageFacts(100, 100)


def test_several_pictures_are_refused(tmp_path: Path) -> None:
    sink = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), (shade, 0, 0)) for shade in (0, 100, 200)]
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:])
    error = refusal(tmp_path, sink.getvalue(), "image/gif")
    assert error.reason is Reason.UNSUPPORTED
    assert "3 pictures" in str(error)


def test_the_process_settings_are_restored() -> None:
    before, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with pixel_limit(5):
        assert Image.MAX_IMAGE_PIXELS == 5
    assert before == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_any_damage_gives_an_answer_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    whole = bytearray(encoded(form, (16, 12)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(2, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "image"
    path.write_bytes(bytes(whole))
    with pixel_limit(LIMIT):
        try:
            facts = probe_image(path, FORMATS[form], max_pixels=LIMIT)
        except RefusedError as error:
            assert str(error)  # noqa: PT017 - both outcomes are right
        else:
            assert 0 < facts.width * facts.height <= LIMIT


def test_damage_between_the_pages_of_a_tiff_is_refused(tmp_path: Path) -> None:
    data = bytearray(encoded("TIFF"))
    first = int.from_bytes(data[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[after : after + 4] = (len(data) - 6).to_bytes(4, "little")  # a second page that begins in the last bytes
    assert refusal(tmp_path, bytes(data), "image/tiff").reason in {Reason.CORRUPT, Reason.TRUNCATED, Reason.UNSUPPORTED}


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_where_its_library_is(tmp_path: Path, orientation: int) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded("HEIF", exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        wanted = ImageOps.exif_transpose(image).size
    assert probe(tmp_path, content, "image/heic") == ImageFacts(*wanted)
    assert refusal(tmp_path, content[:-200], "image/heic").reason in (Reason.TRUNCATED, Reason.CORRUPT)
