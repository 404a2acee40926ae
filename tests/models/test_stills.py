"""Stills: upright, square-pixelled, in the right colours, and saying which frame of which video they are."""

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from contract.predictor import Source
from contract.tables import Kind
from models.seeking import Found, Place, find_frames
from models.stills import Format, encode_still, read_facts, upright
from tests.oracles.numberedvideos import Making, make, number_in

SIXTHS = (Fraction(4, 3), Fraction(2, 3))


def frame_of(data: bytes, number: int, milliseconds: int | None = None) -> Found:
    time_s = (40 * number if milliseconds is None else milliseconds) / 1000
    (found,) = find_frames(Source("clip", Kind.VIDEO, "clip", data), [Place(number, time_s)])
    return found


def pixels(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("form", ["jpeg", "webp"])
@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_a_turned_video_gives_upright_pictures(form: Format, container: str, turn: int) -> None:
    found = frame_of(make(Making(container=container, turn=turn, frames=30)), 17)
    shown = pixels(encode_still(upright(found), {}, form=form, quality=90))
    assert shown.shape == (96, 144, 3)
    assert number_in(shown) == 17


@pytest.mark.parametrize("turn", [0, 90])
@pytest.mark.parametrize("aspect", SIXTHS, ids=str)
def test_pixels_become_square_by_widening(aspect: Fraction, turn: int) -> None:
    picture = upright(frame_of(make(Making(aspect=aspect, turn=turn, frames=20)), 11))
    across = aspect if turn == 0 else 1 / aspect  # what is stored across is shown upright
    assert picture.width * picture.height == round(144 * 96 * max(aspect, 1 / aspect))
    assert Fraction(picture.width, picture.height) == Fraction(144, 96) * across
    assert number_in(np.asarray(picture)) == 11


@pytest.mark.parametrize(
    "making",
    [
        Making(pixels="yuv420p10le", frames=20),
        Making(pixels="yuv444p", size=(131, 77), frames=20),
        Making(codec="libvpx-vp9", container="webm", size=(131, 77), frames=20, options={"cpu-used": "8"}),
    ],
    ids=["10 bits", "odd", "odd vp9"],
)
def test_deep_and_odd_pictures_are_whole(making: Making) -> None:
    picture = upright(frame_of(make(making), 13))
    assert picture.size == making.size
    assert number_in(np.asarray(picture)) == 13


def mirrored(pixels_of: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> Any:
    """Return what `upright` makes of a video whose display matrix has these a, b, c, d."""
    held = io.BytesIO()
    a, b, c, d = (value << 16 for value in matrix)
    with av.open(held, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pixels_of.shape[:2]
        stream.pix_fmt, stream.options = "yuv444p", {"crf": "1"}
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels_of, format="rgb24")))
        output.mux(stream.encode(None))
    return np.asarray(upright(frame_of(held.getvalue(), 0)))


@pytest.mark.parametrize(
    "matrix", [(x, 0, 0, y) for x in (1, -1) for y in (1, -1)] + [(0, x, y, 0) for x in (1, -1) for y in (1, -1)]
)
def test_every_turn_and_mirror_puts_each_pixel_where_the_matrix_says(matrix: tuple[int, int, int, int]) -> None:
    draws = np.random.default_rng(5)
    stored = np.kron(draws.integers(20, 235, (3, 4, 1)), np.ones((16, 16, 3))).astype(np.uint8)
    a, b, c, d = matrix
    height, width = stored.shape[:2]
    places = {(a * x + c * y, b * x + d * y): stored[y, x, 0] for y in range(height) for x in range(width)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    wanted = np.zeros((height, width) if b == 0 else (width, height))
    for (x, y), value in places.items():
        wanted[y - top, x - left] = value
    shown = mirrored(stored, matrix)
    assert shown.shape[:2] == wanted.shape
    assert np.abs(shown[8::16, 8::16, 0] - wanted[8::16, 8::16]).max() <= 3


@pytest.mark.parametrize(("height", "colours"), [(480, "ITU601"), (720, "ITU709")])
@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("full", [True, False])
def test_colours_are_those_that_were_filmed(height: int, colours: str, *, tagged: bool, full: bool) -> None:
    """Untagged pictures are read as BT.601 below HD and as BT.709 from there on, and the range is that of the file."""
    filmed = np.full((height, 64, 3), (200, 40, 90), np.uint8)
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = filmed.shape[:2]
        stream.pix_fmt, stream.options = "yuv444p", {"crf": "1"}
        if tagged:
            stream.codec_context.colorspace = 1 if colours == "ITU709" else 5
        if full:
            stream.codec_context.color_range = 2
        picture = av.VideoFrame.from_ndarray(filmed, format="rgb24")
        output.mux(stream.encode(_coloured(picture, colours, full=full)))
        output.mux(stream.encode(None))
    shown = np.asarray(upright(frame_of(held.getvalue(), 0))).astype(int)
    assert np.abs(shown - filmed).max() <= 3


def _coloured(picture: av.VideoFrame, colours: str, *, full: bool) -> av.VideoFrame:
    reach = "JPEG" if full else "MPEG"
    made = picture.reformat(format="yuv444p", dst_colorspace=colours, src_color_range="JPEG", dst_color_range=reach)
    made.pts = 0
    return made


FACTS = {
    "title": "街道.mp4, frame 312, 00:00:12.480",
    "software": "goldgate 1",
    "frame": 312,
    "pts": 159744,
    "time_s": 12.48,
    "video": "街道.mp4",
}


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_the_file_says_which_frame_it_is(form: Format) -> None:
    picture = upright(frame_of(make(Making(frames=10)), 4))
    content = encode_still(picture, FACTS, form=form, quality=85)
    assert content == encode_still(picture, FACTS, form=form, quality=85)
    assert read_facts(content) == FACTS
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == form.upper()
        exif = image.getexif()
        assert exif[ExifTags.Base.Software] == "goldgate 1"
        title = exif[ExifTags.Base.ImageDescription]
    assert (title if isinstance(title, bytes) else title.encode("latin-1")).decode() == FACTS["title"]
    assert len(encode_still(picture, FACTS, form=form, quality=20)) < len(content)


def test_a_picture_from_elsewhere_has_no_facts() -> None:
    held = io.BytesIO()
    Image.new("RGB", (4, 4)).save(held, "JPEG")
    assert read_facts(held.getvalue()) is None
