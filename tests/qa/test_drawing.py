import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contract.errors import SourceError
from qa.report.drawing import Box, Picture, crop_around, draw


def encoded(width: int, height: int, *, kind: str = "PNG", orientation: int | None = None) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def size(picture: Picture) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture.jpeg)) as image:
        assert image.format == "JPEG"
        return image.size


def test_a_small_picture_keeps_its_scale_and_its_boxes() -> None:
    gold, vendor = Box("car", 10, 20, 30, 40, vendor=False), Box("van", 12, 20, 30, 40, vendor=True)
    picture = draw(encoded(100, 90), [gold, vendor], name="a")
    assert size(picture) == (picture.width, picture.height) == (100, 90)
    assert [(mark.label, mark.x, mark.y, mark.w, mark.h) for mark in picture.marks] == [
        ("G car", 10, 20, 30, 40),
        ("V van", 12, 20, 30, 40),
    ]


def test_the_cut_shows_the_box_where_it_is() -> None:
    box = Box("car", 700, 500, 60, 50, vendor=True)
    left, top, right, bottom = crop_around([box], 1000, 800)
    assert 0 <= left <= box.x
    assert box.x + box.w <= right <= 1000
    assert 0 <= top <= box.y
    assert box.y + box.h <= bottom <= 800
    assert right - left >= 240
    assert bottom - top >= 240
    picture = draw(encoded(1000, 800), [box], name="a", max_side=10_000, max_bytes=10**7)
    (mark,) = picture.marks
    assert (mark.x, mark.y, mark.w, mark.h) == (700 - left, 500 - top, 60, 50)


def test_the_whole_image_is_shown_when_no_box_is_strong() -> None:
    picture = draw(encoded(300, 200), [Box("a", 1, 1, 5, 5, vendor=True, strong=False)], name="a")
    assert (picture.width, picture.height) == (300, 200)


def test_orientation_is_applied() -> None:
    picture = draw(encoded(120, 60, kind="JPEG", orientation=6), [], name="a")
    assert size(picture) == (60, 120)


@pytest.mark.parametrize("limit", [3_000, 45_000])
def test_noise_is_squeezed_into_the_limit(limit: int) -> None:
    picture = draw(encoded(1200, 900), [], name="a", max_bytes=limit)
    assert len(picture.jpeg) <= limit
    assert size(picture) == (picture.width, picture.height)


def test_a_grey_image_with_alpha_can_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("LA", (20, 30)).save(path)
    assert size(draw(path, [], name="a")) == (20, 30)


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"img-7: the file is not there"):
        draw(tmp_path / "none.jpg", [], name="img-7")
    for content in (b"", b"not an image", encoded(50, 50)[:200]):
        with pytest.raises(SourceError, match=r"img-8: cannot be decoded"):
            draw(content, [], name="img-8")


def test_a_box_outside_the_picture_has_no_mark() -> None:
    assert draw(encoded(50, 50), [Box("a", 80, 80, 5, 5, vendor=True)], name="a").marks == ()


def test_a_long_label_is_cut() -> None:
    picture = draw(encoded(200, 200), [Box("x" * 60, 1, 1, 50, 50, vendor=True)], name="a")
    assert picture.marks[0].label == "V " + "x" * 19 + "…"


boxes = st.builds(
    Box,
    st.text(max_size=30),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(0, 800),
    st.floats(0, 800),
    vendor=st.booleans(),
    strong=st.booleans(),
)
IMAGE = encoded(140, 90)


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, max_size=5))
def test_marks_and_labels_lie_inside_the_picture(some: list[Box]) -> None:
    picture = draw(IMAGE, some, name="a", max_side=120)
    assert max(picture.width, picture.height) <= 120
    for mark in picture.marks:
        assert -0.01 <= mark.x <= mark.x + mark.w <= picture.width + 0.02
        assert -0.01 <= mark.y <= mark.y + mark.h <= picture.height + 0.02
        assert -0.01 <= mark.label_x <= mark.label_x + mark.label_width <= picture.width + 0.02
        assert mark.label_y >= 0
