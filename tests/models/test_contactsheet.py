"""Contact sheets: what stands where, in which order, under which words; and names in any script, legible or in ASCII."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

import models.contactsheet
import models.lettering
from models.contactsheet import CELL, COLOURS, COLUMNS, FOOT, GAP, HEAD, TALLEST, Cell, clock, contact_sheet, thumbnail
from models.lettering import has_letters, legible, shortened

CHINESE = "街道/车流 第 12 段.mp4"
GROUND = (0x16, 0x18, 0x1D)


def flat(colour: int, size: tuple[int, int] = (CELL, 180)) -> Image.Image:
    return Image.new("RGB", size, (colour, 255 - colour, 90))


def cells(count: int, size: tuple[int, int] = (CELL, 180)) -> list[Cell]:
    return [Cell(flat(5 * at % 256, size), at * 2.5, at * 60, "cut" if at % 2 else None) for at in range(count)]


def opened(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as sheet:
        assert sheet.format == "JPEG"
        return sheet.convert("RGB")


def near(sheet: Image.Image, place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = sheet.getpixel(place)
    assert isinstance(found, tuple)
    return max(abs(one - two) for one, two in zip(found, colour, strict=True)) < 14


def busy(sheet: Image.Image, box: tuple[int, int, int, int]) -> bool:
    """Tell whether there is anything but ground in a box: left, top, right, bottom."""
    part = np.asarray(sheet.crop(box)).astype(int)
    return bool((np.abs(part - GROUND).max(axis=2) > 60).any())


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_pictures_stand_in_their_order_row_by_row(count: int) -> None:
    shown = cells(count)
    sheet = opened(contact_sheet("clip.mp4", shown))
    columns, rows = min(COLUMNS, count), -(-count // COLUMNS)
    assert sheet.size == (
        max(columns * (CELL + GAP) + GAP, 2 * CELL),
        HEAD + rows * (180 + FOOT + GAP) + GAP,
    )
    for at in range(columns * rows):
        left, top = GAP + at % columns * (CELL + GAP), HEAD + at // columns * (180 + FOOT + GAP)
        if at < count:
            colour = shown[at].picture.getpixel((0, 0))
            assert isinstance(colour, tuple)
            assert near(sheet, (left + CELL // 2, top + 90), (colour[0], colour[1], colour[2]))
            assert near(sheet, (left + 4, top + 4), (colour[0], colour[1], colour[2]))
        else:
            assert not busy(sheet, (left, top, left + CELL, top + 180 + FOOT))


def test_each_picture_has_its_time_its_frame_and_how_its_shot_begins() -> None:
    """What is written is compared with a sheet that says something else there."""
    first = opened(contact_sheet("a", [Cell(flat(9), 1.5, 37, "cut"), Cell(flat(9), 61.25, 99, None)]))
    top = HEAD + 180
    for at, colour in ((0, (0xE5, 0x53, 0x4B)), (1, GROUND)):  # the bar of a cut, and none within a shot
        assert near(first, (GAP + at * (CELL + GAP) + CELL // 2, top + 3), colour)
    for place, other in (
        ("left", Cell(flat(9), 8.5, 37, "cut")),
        ("right", Cell(flat(9), 1.5, 88, "cut")),
        ("right", Cell(flat(9), 1.5, 37, "wipe")),
    ):
        second = opened(contact_sheet("a", [other, Cell(flat(9), 61.25, 99, None)]))
        changed = np.abs(np.asarray(first).astype(int) - np.asarray(second)).max(axis=2) > 60
        rows, columns = np.nonzero(changed[top + 6 :, : GAP + CELL])
        assert len(rows)
        assert (columns.max() < GAP + CELL // 2) if place == "left" else (columns.min() > GAP + CELL // 2)
        assert not changed[:HEAD].any()


def test_every_kind_of_change_has_a_colour_of_its_own() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS) == 5
    sheet = opened(contact_sheet("a", [Cell(flat(0), 0, at, kind) for at, kind in enumerate([*COLOURS, "swirl"])]))
    bars = []
    for at in range(6):
        left, top = GAP + at % COLUMNS * (CELL + GAP), HEAD + at // COLUMNS * (180 + FOOT + GAP) + 180
        bars.append(sheet.getpixel((left + CELL // 2, top + 3)))
    assert len(set(bars)) == 6


@pytest.mark.parametrize(("size", "fitted"), [((1920, 1080), (320, 180)), ((1080, 1920), (135, 240)), ((90, 50), (90, 50))])
def test_any_shape_is_fitted_into_its_cell_and_stands_on_its_foot(
    size: tuple[int, int], fitted: tuple[int, int], tmp_path: Path
) -> None:
    width, height = fitted
    for picture in (flat(200, size), thumbnail(saved(flat(200, size), tmp_path / "a.jpg"))):
        sheet = opened(contact_sheet("a", [Cell(picture, 0, 0, "start"), *cells(1, (CELL, TALLEST))]))
        left = GAP + (CELL - width) // 2
        for x in (left + 3, left + width - 4):
            assert near(sheet, (x, HEAD + TALLEST - 4), (200, 55, 90))
            assert near(sheet, (x, HEAD + TALLEST - height + 3), (200, 55, 90))
        if height < TALLEST:
            assert not busy(sheet, (GAP, HEAD, GAP + CELL, HEAD + TALLEST - height - 3))
        if width < CELL:
            assert not busy(sheet, (GAP, HEAD, left - 3, HEAD + TALLEST))


def saved(picture: Image.Image, path: Path) -> Path:
    picture.save(path, quality=95)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
def test_a_thumbnail_is_small_and_needs_its_file_no_more(name: str, tmp_path: Path) -> None:
    path = saved(flat(30, (1600, 900)), tmp_path / name)
    small = thumbnail(path)
    path.unlink()
    assert (small.size, small.mode) == ((320, 180), "RGB")
    assert near(small, (160, 90), (30, 225, 90))
    with pytest.raises(OSError, match="No such file"):
        thumbnail(path)


def test_a_sheet_without_keyframes_is_a_head_that_says_so() -> None:
    sheet = opened(contact_sheet("clip.mp4", []))
    assert sheet.size == (2 * CELL, HEAD + GAP)
    assert busy(sheet, (GAP, 0, 120, HEAD))


def test_more_than_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.contactsheet, "MOST", 5)
    all_of_them, some = contact_sheet("a", cells(12)), contact_sheet("a", cells(5), total=12)
    assert all_of_them == some
    assert opened(some).height == HEAD + 2 * (180 + FOOT + GAP) + GAP
    assert contact_sheet("a", cells(5)) != some


def test_the_same_cells_give_the_same_bytes() -> None:
    assert contact_sheet(CHINESE, cells(3)) == contact_sheet(CHINESE, cells(3))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00.000"), (9.9996, "0:10.000"), (61.25, "1:01.250"), (3600, "1:00:00.000"), (86399.999, "23:59:59.999")],
)
def test_times_are_told_as_clocks_do(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without fontconfig, and without any of the fonts that systems bring."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(models.lettering, "_KNOWN", ("nowhere.ttc",))
    models.lettering._match.cache_clear()


@pytest.fixture
def a_chinese_font() -> None:
    """A machine with a font that has Chinese letters; without one there is nothing to test."""
    models.lettering._match.cache_clear()
    if legible("街", size=18)[0] != "街":
        pytest.skip("no font with Chinese letters is here")


@pytest.mark.usefixtures("a_chinese_font")
def test_a_chinese_name_is_written_as_it_is() -> None:
    name, font = legible(CHINESE, size=18, number=7)
    assert name == CHINESE
    assert has_letters(font, CHINESE)
    drawn = {each: bytes(font.getmask(each)) for each in "街道车流第段"}
    assert len(set(drawn.values())) == 6  # as boxes they would be alike
    sheets = [opened(contact_sheet(title, cells(4), number=7)) for title in ("街道", "车流")]
    assert np.any(np.abs(np.asarray(sheets[0]).astype(int) - np.asarray(sheets[1])) > 90)


@pytest.mark.usefixtures("no_fonts")
def test_where_no_font_has_its_letters_a_name_is_written_in_ascii() -> None:
    name, font = legible(CHINESE, size=18, number=7)
    assert name == "#7 \\u8857\\u9053/\\u8f66\\u6d41 \\u7b2c 12 \\u6bb5.mp4"
    assert name.split(" ", 1)[1].encode("ascii").decode("unicode_escape") == CHINESE
    assert has_letters(font, name)
    assert not has_letters(font, "街")
    assert legible("plain name.mp4", size=18, number=7)[0] == "plain name.mp4"
    assert contact_sheet(CHINESE, cells(2), number=7) == contact_sheet(name, cells(2))


def test_a_font_that_lacks_a_letter_is_not_taken_and_a_broken_fontconfig_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fontconfig names the nearest font, which may lack letters all the same."""
    monkeypatch.setattr(models.lettering, "_KNOWN", ("nowhere.ttc",))
    latin = tmp_path / "latin.ttf"
    built_in = ImageFont.load_default(18)
    assert isinstance(built_in, ImageFont.FreeTypeFont)
    latin.write_bytes(built_in.font_bytes)
    for says in (f"echo -n '0 {latin}'", "echo -n 'x y'", "exit 1", f"echo -n '0 {tmp_path / 'absent.ttc'}'"):
        program = tmp_path / "fc-match"
        program.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
        models.lettering._match.cache_clear()
        assert legible("街", size=18, number=2)[0] == "#2 \\u8857"
    models.lettering._match.cache_clear()


def test_what_is_no_letter_is_escaped() -> None:
    assert legible("a\nb\t\x1b[2J.mp4", size=18)[0] == "a\\nb\\t\\x1b[2J.mp4"
    assert legible("", size=18)[0] == ""


@pytest.mark.parametrize("length", [1, 20, 80, 400])
def test_a_long_name_loses_its_middle_and_no_more(length: int) -> None:
    name = "".join(chr(97 + at % 26) for at in range(length)) + ".mp4"
    font = ImageFont.load_default(18)
    short = shortened(name, font, 300)
    assert font.getlength(short) <= 300
    if short != name:
        assert font.getlength(name) > 300
        before, after = short.split("...")
        assert name.startswith(before)
        assert name.endswith(after)
        assert font.getlength(short) > 220


def test_a_long_name_leaves_room_for_the_count() -> None:
    sheet = opened(contact_sheet("w" * 500, cells(1)))
    assert sheet.width == 2 * CELL
    counted = opened(contact_sheet("", cells(1)))
    room = sheet.width - GAP - round(ImageFont.load_default(15).getlength("1 keyframe")) - 3
    assert not np.any(np.abs(np.asarray(sheet).astype(int) - np.asarray(counted))[:HEAD, room:] > 60)
