"""Exact frames: whatever the container, the codec and the timestamps, they are those of one pass from the start."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.seeking
from contract.errors import SourceError
from contract.predictor import Source
from contract.tables import Kind
from models.frames import Timeline, VideoReader
from models.seeking import Found, PacketIndex, Place, find_frames, runs_of
from models.stills import upright
from tests.oracles.numberedvideos import Making, cut_without_decoding, decoded_numbers, make, number_in

UNEVEN = [0, 40, 80, 200, 240, 300, 310, 350, 500, 900, 940, 980, 1020, 1200, 1240, 1333, 1366, 1400, 2000, 2040, 2500, 2510]
LATE = [5000 + 40 * at for at in range(40)]
OPEN = {"x264-params": "open-gop=1"}
REFRESH = {"x264-params": "intra-refresh=1:keyint=12", "bf": "0"}
HEVC = "keyint=12:bframes=3:log-level=none"
MAKINGS = {
    "mp4": Making(),
    "mkv": Making(container="matroska"),
    "ts": Making(container="mpegts"),
    "avi": Making(container="avi", codec="mpeg4"),
    "flv": Making(container="flv"),
    "fragments": Making(writing={"movflags": "frag_keyframe+empty_moov"}),
    "uneven mp4": Making(milliseconds=UNEVEN),
    "uneven mkv": Making(container="matroska", milliseconds=UNEVEN),
    "uneven ts": Making(container="mpegts", milliseconds=UNEVEN),
    "open mp4": Making(options=OPEN),
    "open mkv": Making(container="matroska", options=OPEN),
    "open ts": Making(container="mpegts", options=OPEN),
    "late mov": Making(container="mov", milliseconds=LATE),
    "late mkv": Making(container="matroska", milliseconds=LATE),
    "late ts": Making(container="mpegts", milliseconds=LATE),
    "10 bits": Making(pixels="yuv420p10le"),
    "vp9": Making(codec="libvpx-vp9", container="webm", size=(131, 77), options={"deadline": "realtime", "cpu-used": "8"}),
    "hevc mp4": Making(codec="libx265", options={"x265-params": f"{HEVC}:open-gop=0"}),
    "hevc open mp4": Making(codec="libx265", options={"x265-params": f"{HEVC}:open-gop=1"}),
    "hevc open uneven mkv": Making(
        codec="libx265", container="matroska", milliseconds=UNEVEN, options={"x265-params": f"{HEVC}:open-gop=1"}
    ),
    "hidden frames": Making(codec="libvpx", container="webm", options={"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "refresh ts": Making(container="mpegts", options=REFRESH),
    "refresh mp4": Making(options=REFRESH),
    "no timestamps": Making(container="h264", frames=30),
}


def video(data: bytes) -> Source:
    return Source("clip", Kind.VIDEO, "clip", data)


def places_of(data: bytes) -> list[Place]:
    """Return every frame of one pass from the start, as labels state it."""
    with VideoReader(video(data)) as reader:
        return [Place(frame.index, frame.time_s) for frame in reader.frames()]


def pixels(found: Found) -> Any:
    return found.picture.to_ndarray(format="rgb24")


def check(data: bytes, *, first: int = 0) -> None:
    """Compare all frames at once, and every few frames alone, with what is decoded from the start."""
    places, truth = places_of(data), decoded_numbers(data)
    numbers = [number_in(picture) - first for _, picture in truth]
    assert numbers == list(range(len(places)))
    for chosen in ([*places], *([place] for place in places[::-7]), places[::11]):
        for found in find_frames(video(data), chosen):
            assert found.place == Place(found.frame, found.time_s)
            assert number_in(pixels(found)) - first == found.frame
            assert found.pts == truth[found.frame][0]
            assert np.array_equal(pixels(found), truth[found.frame][1])
        assert [found.place for found in find_frames(video(data), chosen)] == sorted(chosen, key=lambda each: each.frame)


@pytest.mark.parametrize("making", MAKINGS.values(), ids=MAKINGS)
def test_every_frame_is_the_one_that_a_pass_from_the_start_gives(making: Making) -> None:
    data = make(making)
    check(data)
    assert len(places_of(data)) == len(making.stamps)


@pytest.mark.parametrize("turn", [90, 180, -90])
@pytest.mark.parametrize("first", [0, 13])
def test_a_phones_video_gives_its_frames_upright(turn: int, first: int) -> None:
    """Turned, at a variable rate, with B-frames, from late on, and cut in the phone without encoding again."""
    data = make(Making(container="mov", turn=turn, milliseconds=[700 + at for at in UNEVEN], options={"g": "6", **OPEN}))
    if first:
        data = cut_without_decoding(data, first)
    places = places_of(data)
    assert len(places) == len(UNEVEN) - first
    for chosen in (places, *([place] for place in places)):
        for found in find_frames(video(data), chosen):
            assert number_in(np.asarray(upright(found))) == found.frame + first
            assert found.time_s == pytest.approx((UNEVEN[found.frame + first] - UNEVEN[first]) / 1000)


def test_timestamps_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    path.write_bytes(make(Making(container="matroska", milliseconds=[700 + at for at in UNEVEN])))
    source = Source("late", Kind.VIDEO, str(path))
    for found in find_frames(source, [Place(at, UNEVEN[at] / 1000) for at in (3, 9, 20)]):
        assert found.pts is not None
        assert found.pts * found.time_base == pytest.approx(0.7 + found.time_s)
        assert found.time_s == pytest.approx(UNEVEN[found.frame] / 1000)


@pytest.mark.parametrize("container", ["mov", "mp4"])
@pytest.mark.parametrize("options", [{}, OPEN], ids=["closed", "open"])
def test_what_an_edit_list_hides_is_no_frame(container: str, options: dict[str, str]) -> None:
    data = cut_without_decoding(make(Making(options=options)), 19, container=container)
    with av.open(io.BytesIO(data), "r") as opened:
        assert any(packet.is_discard for packet in opened.demux(video=0))
    assert len(places_of(data)) == 60 - 19
    check(data, first=19)


@pytest.fixture
def packets_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that holds one entry for each packet that is handed to the decoder after seeking."""
    read: list[int] = []
    real = models.seeking._packets_from

    def counting(*of: Any) -> "Iterator[av.Packet[av.VideoStream]]":
        for packet in real(*of):
            read.append(packet.size)
            yield packet

    monkeypatch.setattr(models.seeking, "_packets_from", counting)
    return read


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_only_what_is_needed_is_decoded_and_that_once(packets_read: list[int], container: str) -> None:
    data = make(Making(container=container, frames=240, options={"sc_threshold": "0"}))
    places = places_of(data)
    chosen = [places[200], places[203], places[201], places[200]]
    assert [found.frame for found in find_frames(video(data), chosen)] == [200, 201, 203]
    assert len(packets_read) <= 12 + 8  # the GOP, and what the decoder holds back
    packets_read.clear()
    list(find_frames(video(data), places))
    assert len([size for size in packets_read if size]) == 240


def test_a_rounded_time_means_the_frame_whose_number_stands_beside_it() -> None:
    data = make(Making(frames=40))
    for time_s in (1.2, 1.2 - 0.015, 1.2 + 0.019):
        (found,) = find_frames(video(data), [Place(30, time_s)])
        assert (found.frame, number_in(pixels(found))) == (30, 30)
        assert found.time_s == pytest.approx(1.2)


def test_where_number_and_time_are_apart_the_time_decides() -> None:
    data = make(Making(milliseconds=UNEVEN))
    (found,) = find_frames(video(data), [Place(30, 1.201)])  # a tool that counts 25 frames a second
    assert (found.frame, number_in(pixels(found))) == (13, 13)
    (found,) = find_frames(video(data), [Place(2, 1.9)])  # the frame of 1.4 s is still on show
    assert (found.frame, number_in(pixels(found))) == (17, 17)


def test_a_place_beyond_the_end_is_refused_with_both_figures() -> None:
    with pytest.raises(SourceError, match=r"9\.000 s \(frame 225\) is beyond the end of the video at 2\.400 s"):
        list(find_frames(video(make(Making())), [Place(0, 0.0), Place(225, 9.0)]))
    assert list(find_frames(video(b"nothing that could be opened"), [])) == []
    with pytest.raises(SourceError, match="not a video"):
        list(find_frames(video(b"nothing that could be opened"), [Place(0, 0.0)]))


def test_a_container_that_seeks_wrongly_costs_time_and_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeking that lands too late each time, and then a picture that does not come, end in reading from the start."""
    data = make(Making())
    places = places_of(data)
    real = models.seeking._skipped_to
    calls = itertools.count()
    monkeypatch.setattr(models.seeking, "_skipped_to", lambda *of: None if next(calls) < 2 else real(*of))
    assert [number_in(pixels(found)) for found in find_frames(video(data), places[50:52])] == [50, 51]
    monkeypatch.setattr(models.seeking, "_skipped_to", lambda *_: None)
    assert [number_in(pixels(found)) for found in find_frames(video(data), places[50:52])] == [50, 51]


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.integers(0, 60), min_size=1).map(sorted),
    st.sets(st.integers(0, 60)).map(sorted),
    st.data(),
)
def test_runs_hold_every_frame_once_and_begin_at_its_key(pts: list[int], keys: list[int], data: st.DataObject) -> None:
    timeline = Timeline(np.array([*(float(at - pts[0]) for at in pts), float(pts[-1] - pts[0] + 1)]))
    index = PacketIndex(tuple(pts), tuple(keys), tuple(keys), timeline)
    numbers = data.draw(st.lists(st.integers(0, len(pts) - 1)))
    runs = runs_of(index, numbers)
    assert [number for _, held in runs for number in held] == sorted(set(numbers))
    gops = []
    for key, held in runs:
        first, last = (sum(at <= pts[number] for at in keys) - 1 for number in (held[0], held[-1]))
        assert key == first
        gops += list(range(first, last + 1))
    assert len(gops) == len(set(gops))  # no GOP in two runs
