"""Decoding: times, order, orientation, pixel formats and broken files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import SourceError
from contract.predictor import Source
from contract.tables import Kind
from models import openvideo
from models.features import FeatureLog, Features
from models.frames import Timeline, VideoReader
from models.timeline import Gap, told
from tests.oracles import longvideos

Studio = Any  # the class is in conftest.py, which no test can import


def video(data: bytes) -> Source:
    return Source("clip", Kind.VIDEO, "clip", data)


def read(source: Source, *, threads: int = 1) -> tuple[Features, Timeline]:
    log = FeatureLog()
    with VideoReader(source, threads=threads) as reader:
        for frame in reader.frames():
            log.add(frame)
        return log.features(), reader.timeline()


def greys(levels: list[int]) -> list[Any]:
    return [np.full((64, 96, 3), level, np.uint8) for level in levels]


def boxed_matrix(file: bytes, turns: tuple[int, ...]) -> bytes:
    """Put a display matrix (ISO/IEC 14496-12, 8.3.2) into the only track header of an MP4."""
    at = file.index(b"tkhd") + 4 + 40  # after version, flags, times, ids, duration, layer, volume
    matrix = b"".join((value & 0xFFFFFFFF).to_bytes(4, "big") for value in turns)
    return file[:at] + matrix + file[at + 36 :]


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_variable_frame_rate_keeps_its_own_times(studio: Studio, container: str) -> None:
    stamps = [0, 33, 66, 200, 210, 1200, 1233, 3000, 3040]
    data = studio.encode(greys([20 * at for at in range(1, 10)]), milliseconds=stamps, container=container)
    _, timeline = read(video(data))
    assert timeline.frames == len(stamps)
    np.testing.assert_allclose(timeline.starts, np.array(stamps) / 1000, atol=0.002)
    assert timeline.edges[-1] > timeline.edges[-2]


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_first_presented_frame_is_second_zero(studio: Studio, container: str) -> None:
    stamps = [5000 + 40 * at for at in range(30)]
    data = studio.encode(studio.take(1, 30), milliseconds=stamps, container=container)
    _, timeline = read(video(data))
    np.testing.assert_allclose(timeline.starts, np.arange(30) * 0.04, atol=0.002)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts"])
def test_frames_come_in_presentation_order(studio: Studio, container: str, threads: int) -> None:
    levels = [20 + 5 * at for at in range(40)]
    features, timeline = read(video(studio.encode(greys(levels), container=container)), threads=threads)
    np.testing.assert_allclose(features.brightness, levels, atol=4)
    assert np.all(np.diff(timeline.edges) > 0)


def test_frames_of_an_avi_with_b_frames_are_within_one_frame(studio: Studio) -> None:
    data = studio.encode(greys([5 * at for at in range(40)]), container="avi", codec="mpeg4")
    features, timeline = read(video(data))
    assert features.frames == timeline.frames == 40
    np.testing.assert_allclose(timeline.starts, np.arange(40) * 0.04, atol=0.041)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000), (0, 0)),
        ((0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000), (0, -1)),  # a quarter turn clockwise
        ((-0x10000, 0, 0, 0, -0x10000, 0, 0, 0, 0x40000000), (-1, -1)),
        ((0, -0x10000, 0, 0x10000, 0, 0, 0, 0, 0x40000000), (-1, 0)),
    ],
)
def test_pictures_are_handed_on_upright(studio: Studio, matrix: tuple[int, ...], corner: tuple[int, int]) -> None:
    pictures = greys([128] * 5)
    for picture in pictures:
        picture[:16, :16] = (255, 0, 0)
    with VideoReader(video(boxed_matrix(studio.encode(pictures, container="mp4"), matrix))) as reader:
        shown = next(iter(reader.frames())).rgb(longest=96)
    assert shown.shape == ((64, 96, 3) if corner[0] == corner[1] else (96, 64, 3))
    red = {(y, x): int(shown[y, x, 0]) - int(shown[y, x, 1]) for y in (0, -1) for x in (0, -1)}
    assert max(red, key=lambda place: red[place]) == corner
    assert red[corner] > 150


def test_pictures_are_shrunk_to_the_longest_side(studio: Studio) -> None:
    with VideoReader(video(studio.encode(studio.take(1, 3)))) as reader:
        shapes = [frame.rgb(longest=96).shape for frame in reader.frames()]
    assert shapes == [(54, 96, 3)] * 3


@pytest.mark.parametrize(
    ("codec", "pixels"), [("ffv1", "yuv444p10le"), ("ffv1", "gray"), ("libx264", "yuv444p"), ("ffv1", "bgr0")]
)
def test_pixel_formats_agree(studio: Studio, codec: str, pixels: str) -> None:
    frames = studio.take(3, 6)
    plain, _ = read(video(studio.encode(frames, codec="ffv1")))
    other, _ = read(video(studio.encode(frames, codec=codec, pixels=pixels)))
    assert np.abs(plain.luma.astype(int) - other.luma).mean() < 1.5
    if pixels != "gray":
        assert np.abs(plain.chroma.astype(int) - other.chroma).mean() < 1.5
    else:
        assert np.abs(other.chroma.astype(int) - 128).max() <= 1


def test_a_path_and_a_file_uri_are_opened(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "a clip.mkv"
    path.write_bytes(studio.encode(studio.take(1, 4)))
    for uri in (str(path), path.as_uri()):
        assert read(Source("clip", Kind.VIDEO, uri))[1].frames == 4


def test_broken_files_are_refused_in_one_sentence(studio: Studio, tmp_path: Path) -> None:
    frames = [*studio.take(1, 60), *studio.take(2, 60)]
    whole = {name: studio.encode(frames, container=name) for name in ("matroska", "mp4", "mpegts")}
    aside = tmp_path / "aside.mkv"
    aside.write_bytes(whole["matroska"])
    cases = {
        "empty": (b"", "the file is empty"),
        "noise": (np.random.default_rng(1).bytes(5000), "not a video that can be opened"),
        "text": (b"hello", "not a video that can be opened"),
        "playlist": (f"#EXTM3U\n#EXTINF:1,\n{aside.as_uri()}\n".encode(), "not a video that can be opened"),
        "list": (f"ffconcat version 1.0\nfile {aside}\n".encode(), "not a video that can be opened"),
        "sound": (studio.sound(), "no video stream, only audio"),
        "headless": (whole["mp4"][: len(whole["mp4"]) // 2], "not a video that can be opened"),
        "cut off": (
            whole["matroska"][: len(whole["matroska"]) // 2],
            r"cut off after [0-2]\.\d+ s \(frame \d+\), where 4\.8",
        ),
    }
    said = {name: refusal(data) for name, (data, _) in cases.items()}
    for name, (_, reason) in cases.items():
        assert re.search(reason, said[name]), (name, said[name])
        assert "\n" not in said[name]


def test_what_is_whole_beside_damage_is_read_and_the_gap_is_told() -> None:
    frames = longvideos.pictures(100)
    data = longvideos.encode(frames, options={"g": "20", "bf": "2", "x264-params": "scenecut=0"}, container="mpegts")
    whole, times = read(video(data))
    packets = len(data) // 188
    for at in (0.3, 0.5, 0.9):
        first = int(packets * at)
        with VideoReader(video(data[: 188 * first] + data[188 * (first + 3) :])) as reader:
            log = FeatureLog()
            for frame in reader.frames():
                log.add(frame)
            found, timeline, gaps = log.features(), reader.timeline(), reader.gaps
        assert 1 <= len(gaps) <= 2
        lost = {n for n in range(100) for gap in gaps if gap.start_s - 1e-3 <= times.seconds(n) < gap.end_s - 1e-3}
        assert 0 < len(lost) <= 40
        kept = [n for n in range(100) if n not in lost]
        np.testing.assert_allclose(timeline.starts, times.starts[kept], atol=1e-3)
        assert (found.luma == whole.luma[kept]).all()
        assert (found.sharpness == whole.sharpness[kept]).all()
        assert re.search(r"damaged from \d\.\d+ s to \d\.\d+ s", told(gaps) or "")


def test_gaps_are_told_in_one_sentence() -> None:
    assert told([]) is None
    assert told([Gap(0.0, 0.0)]) == "the data is damaged before the first whole picture; what lies there was not looked at"
    many = told([Gap(float(at), at + 0.5) for at in range(1, 7)]) or ""
    assert "from 1.000 s to 1.500 s, from 2.000 s to 2.500 s, from 3.000 s to 3.500 s, in 3 more places;" in many


def refusal(data: bytes) -> str:
    try:
        read(video(data))
    except SourceError as error:
        return str(error)
    return "it was read"


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.mp4"):
        read(Source("clip", Kind.VIDEO, str(tmp_path / "none.mp4")))


@given(
    steps=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=30),
    seconds=st.floats(-1, 70),
)
def test_timeline_agrees_with_a_slow_search(steps: list[float], seconds: float) -> None:
    edges = np.concatenate([[0.0], np.cumsum(steps)])
    timeline = Timeline(edges)
    shown = [at for at in range(len(steps)) if edges[at] <= seconds + 1e-6]
    assert timeline.frame_at(seconds) == (shown[-1] if shown else 0)
    later = [at for at in range(len(edges)) if edges[at] >= seconds - 1e-6]
    assert timeline.first_from(seconds) == (later[0] if later else len(steps))
    for at in range(len(steps)):
        assert timeline.frame_at(timeline.seconds(at)) == at
        assert timeline.first_from(timeline.seconds(at)) == at


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_a_video_that_is_too_long_is_refused(studio: Studio, container: str) -> None:
    data = studio.encode(studio.take(1, 50), container=container)
    with VideoReader(video(data), max_seconds=3) as reader:
        assert sum(1 for _ in reader.frames()) == 50
    with pytest.raises(SourceError, match="it lasts 2 s, more than the limit of 1 s"):
        VideoReader(video(data), max_seconds=1)


def test_a_video_that_hides_its_length_is_given_up(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    data = studio.encode(studio.take(1, 50))
    with VideoReader(video(data), max_seconds=3) as reader:
        reader._max_seconds = 1  # as if the header had declared less
        with pytest.raises(SourceError, match="more than the limit of 1 s"):
            list(reader.frames())
    monkeypatch.setattr(openvideo, "MAX_PIXELS", 100)
    with pytest.raises(SourceError, match="pixels, more than the limit of 100"):
        VideoReader(video(data))
