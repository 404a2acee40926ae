"""Ranges of a video, decoded apart, against decoding from the beginning."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.errors import SourceError
from contract.predictor import Source
from contract.tables import Kind
from models import analysis, ranges
from models.analysis import Analysis, Reading, analyse
from models.openvideo import OpenVideo
from models.ranges import InexactError, PacketIndex, cut, decode_range, read_index
from tests.oracles import longvideos

FRAMES = 300


def video(data: bytes) -> Source:
    return Source("long", Kind.VIDEO, "long", data)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as workers:
        yield workers


def index_of(data: bytes) -> PacketIndex:
    with OpenVideo(video(data)) as opened:
        index = read_index(opened)
    assert index is not None
    return index


def same(one: Analysis, other: Analysis) -> bool:
    found, wanted = (each.features.rows(slice(None)) for each in (one, other))
    return found.equals(wanted) and np.array_equal(one.timeline.edges, other.timeline.edges)


CLOSED = {"g": "25", "bf": "3"}
OPEN = {"g": "25", "bf": "3", "x264-params": "open-gop=1:b-adapt=0:b-pyramid=normal:scenecut=0"}
WAYS: dict[str, Mapping[str, Any]] = {
    "closed groups": {"options": CLOSED},
    "closed groups, mp4 (an edit list hides the delay)": {"options": CLOSED, "container": "mp4"},
    "closed groups, ts": {"options": CLOSED, "container": "mpegts"},
    "open groups": {"options": OPEN},
    "open groups, mp4": {"options": OPEN, "container": "mp4"},
    "open groups, ts": {"options": OPEN, "container": "mpegts"},
    "no B-frames": {"options": {"g": "20", "bf": "0"}},
    "every frame a keyframe": {"options": {"g": "1"}, "container": "mp4"},
    "later start": {"options": CLOSED, "start": 7000},
    "variable rate": {"options": CLOSED, "stamps": np.cumsum([7 + 13 * (at % 5) for at in range(FRAMES)]).tolist()},
    "mpeg-4": {"codec": "mpeg4", "options": {"g": "12"}, "container": "mp4"},
    "mpeg-2, open groups": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}, "container": "mpegts"},
}


@pytest.mark.parametrize("loop_filter", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_ranges_give_what_decoding_from_the_beginning_gives(way: str, loop_filter: bool, pool: ThreadPoolExecutor) -> None:
    data = longvideos.encode(longvideos.pictures(FRAMES), **WAYS[way])
    reading = Reading(loop_filter=loop_filter, range_frames=40)
    whole = analyse(video(data), None, reading)
    assert whole.features.frames == FRAMES
    index = index_of(data)
    parts = cut(index, frames=40)
    assert len(parts) >= 5
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert (parts[0].start, parts[-1].end) == (0, FRAMES)
    found = analysis._by_ranges(video(data), pool, reading)
    assert found is not None
    assert same(found, whole)


def test_keyframes_that_are_none_are_found_out(pool: ThreadPoolExecutor) -> None:
    """Periodic intra refresh: what is flagged as a place to begin shows whole pictures only some frames later."""
    way = {"x264-params": "intra-refresh=1:keyint=25:scenecut=0"}
    data = longvideos.encode(longvideos.pictures(FRAMES), options=way, container="mpegts")
    reading = Reading(range_frames=40)
    whole = analyse(video(data), None, reading)
    with pytest.raises(InexactError):
        analysis._by_ranges(video(data), pool, reading)
    assert same(analyse(video(data), pool, reading), whole)


def test_a_difference_at_a_seam_is_found_out(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    data = longvideos.encode(longvideos.pictures(FRAMES), options=CLOSED)
    reading = Reading(range_frames=40)
    whole = analyse(video(data), None, reading)

    def other(*of: Any, **how: Any) -> ranges.Part:
        part = decode_range(*of, **how)
        if part.next_features.frames:
            part.next_features.luma[0, 0] ^= 1
        return part

    monkeypatch.setattr(analysis, "decode_range", other)
    with pytest.raises(InexactError, match="different when decoding begins with them"):
        analysis._by_ranges(video(data), pool, reading)
    assert same(analyse(video(data), pool, reading), whole)


@pytest.mark.parametrize(
    "way",
    [
        {"codec": "mpeg4", "container": "avi", "options": {"g": "12"}},  # no timestamps of presentation
        {"options": {"g": "100000", "scenecut": "0"}},  # one group of pictures
    ],
)
def test_what_has_no_ranges_is_decoded_from_its_beginning(way: Mapping[str, Any], pool: ThreadPoolExecutor) -> None:
    data = longvideos.encode(longvideos.pictures(FRAMES), **way)
    reading = Reading(range_frames=40)
    assert same(analyse(video(data), pool, reading), analyse(video(data), None, reading))


def test_a_damaged_video_is_decoded_from_its_beginning_and_its_gap_told(pool: ThreadPoolExecutor) -> None:
    data = longvideos.encode(longvideos.pictures(FRAMES), options=CLOSED, container="mpegts")
    packets = len(data) // 188
    torn = data[: 188 * (packets // 2)] + data[188 * (packets // 2 + 3) :]
    reading = Reading(range_frames=40)
    found = analyse(video(torn), pool, reading)
    (gap,) = found.gaps
    assert 3 < gap.start_s < gap.end_s < 9
    assert same(found, analyse(video(torn), None, reading))


def test_a_video_cut_off_or_too_long_is_refused_by_ranges_as_well(pool: ThreadPoolExecutor) -> None:
    data = longvideos.encode(longvideos.pictures(FRAMES), options=CLOSED)
    for reading, part, said in (
        (Reading(range_frames=40), data[: len(data) * 2 // 3], "cut off after"),
        (Reading(range_frames=40, max_seconds=5), data, "it lasts 12 s, more than the limit of 5 s"),
    ):
        for workers in (pool, None):
            with pytest.raises(SourceError, match=said):
                analyse(video(part), workers, reading)


def test_what_is_done_is_not_done_again_after_an_interruption(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = longvideos.encode(longvideos.pictures(FRAMES), options=OPEN)
    reading = Reading(range_frames=40, resume_folder=tmp_path, ahead=1)
    whole = analyse(video(data), None, reading)
    done: list[int] = []

    def stops_at_the_third(source: Source, index: PacketIndex, of: ranges.Range, *, loop_filter: bool) -> ranges.Part:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(of.start)
        return decode_range(source, index, of, loop_filter=loop_filter)

    monkeypatch.setattr(analysis, "decode_range", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        analyse(video(data), pool, reading)
    kept = sorted(tmp_path.rglob("*.npz"))
    assert len(kept) == 2
    kept[1].write_bytes(kept[1].read_bytes()[:1000])  # damaged: decoded again
    again: list[int] = []

    def goes_on(source: Source, index: PacketIndex, of: ranges.Range, *, loop_filter: bool) -> ranges.Part:
        again.append(of.start)
        return decode_range(source, index, of, loop_filter=loop_filter)

    monkeypatch.setattr(analysis, "decode_range", goes_on)
    other = analyse(video(longvideos.encode(longvideos.pictures(FRAMES, seed=1), options=OPEN)), pool, reading)
    assert len(again) == 6
    assert not same(other, whole)
    again.clear()
    assert same(analyse(video(data), pool, reading), whole)
    assert len(again) == 5
    assert list(tmp_path.iterdir()) == []


def test_a_video_is_cut_finer_the_more_cores_it_has(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    data = longvideos.encode(longvideos.pictures(700, width=32, height=32), options={"g": "20"}, container="mp4")
    whole = analyse(video(data), None, Reading())
    asked: list[int] = []

    def noted(source: Source, index: PacketIndex, of: ranges.Range, *, loop_filter: bool) -> ranges.Part:
        asked.append(of.end - of.start)
        return decode_range(source, index, of, loop_filter=loop_filter)

    monkeypatch.setattr(analysis, "decode_range", noted)
    assert same(analyse(video(data), pool, Reading()), whole)
    assert asked == []
    assert same(analyse(video(data), pool, Reading(share=8)), whole)
    assert len(asked) >= 2
    assert sum(asked) == 700
