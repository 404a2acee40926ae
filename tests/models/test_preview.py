"""Previews: keyframes of the encoder alone, with the frame numbers and seconds of the whole video."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

from contract.errors import InputError
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import parse_terms
from models.analysis import Reading, analyse
from models.preview import changed, read_key_pictures
from models.video import VideoPredictor, VideoSettings
from tests.oracles import longvideos

Studio = Any  # the class is in conftest.py, which no test can import


def video(data: bytes) -> Source:
    return Source("clip", Kind.VIDEO, "clip", data)


@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts"])
@pytest.mark.parametrize("open_groups", [False, True])
def test_key_pictures_are_those_of_the_whole_video(container: str, open_groups: bool) -> None:
    way = {"g": "20", "bf": "3", "x264-params": f"scenecut=0:open-gop={int(open_groups)}"}
    data = longvideos.encode(longvideos.pictures(150), container=container, options=way, start=4000)
    whole = analyse(video(data))
    found = read_key_pictures(video(data), Reading())
    assert found.numbers.tolist() == list(range(0, 150, 20))
    assert found.features.rows(slice(None)).equals(whole.features.rows(found.numbers.astype(np.int64)))
    np.testing.assert_allclose(found.timeline.edges, whole.timeline.edges, atol=1e-6)


def test_a_variable_rate_keeps_its_times() -> None:
    stamps = np.cumsum([10 + 30 * (at % 4) for at in range(100)]).tolist()
    data = longvideos.encode(longvideos.pictures(100), options={"g": "10"}, stamps=stamps)
    np.testing.assert_allclose(
        read_key_pictures(video(data), Reading()).timeline.edges, analyse(video(data)).timeline.edges, atol=0.041
    )


def test_cuts_at_borders_are_shots_and_groups_of_one_take_are_not(studio: Studio) -> None:
    frames = [*studio.take(1, 60), *studio.take(2, 70), *studio.take(3, 50)]
    source = video(studio.encode(frames))
    (row,) = VideoPredictor(settings=VideoSettings(preview=True)).predict([source]).to_pylist()
    assert [(shot["start_frame"], shot["end_frame"]) for shot in row["shots"]] == [(0, 60), (60, 130), (130, 180)]
    assert [key["frame"] for key in row["keyframes"]] == [0, 60, 130]
    assert row["shots"][1]["start_s"] == pytest.approx(2.4, abs=2e-3)
    assert row["events"] == []
    one = longvideos.encode(studio.take(1, 90, speed=0.1), options={"g": "15"})
    (row,) = VideoPredictor(settings=VideoSettings(preview=True)).predict([video(one)]).to_pylist()
    assert len(row["shots"]) == 1


def test_changes_over_more_than_a_block_agree_with_a_loop(studio: Studio) -> None:
    data = longvideos.encode(longvideos.pictures(700), options={"g": "1"})
    features = read_key_pictures(video(data), Reading()).features.rows(slice(None))
    slow = [False]
    for at in range(1, features.frames):
        one, two = (features.luma[n].astype(float) for n in (at - 1, at))
        rows = features.vectors(slice(at - 1, at + 1))
        alike = ((one - one.mean()) * (two - two.mean())).sum() / (len(one) * one.std() * two.std() + len(one))
        slow.append(bool(np.abs(rows[1] - rows[0]).mean() >= 12 and alike <= 0.75))
    assert changed(features).tolist() == slow
    assert 5 < sum(slow) < 100


@pytest.mark.parametrize(("share", "b_frames"), [(0.1, 0), (0.5, 0), (0.5, 3), (0.97, 3)])
def test_damage_is_told_as_when_the_whole_is_decoded(share: float, b_frames: int) -> None:
    way = {"g": "25", "bf": str(b_frames), "x264-params": "scenecut=0"}
    data = longvideos.encode(longvideos.pictures(200), container="mpegts", options=way, start=3000)
    first = int(len(data) // 188 * share)
    source = video(data[: 188 * first] + data[188 * (first + 3) :])
    whole, found = analyse(source), read_key_pictures(source, Reading())
    (gap,), (wanted,) = found.gaps, whole.gaps
    held_back = 0.04 * b_frames * 2  # pictures that the decoder still held are lost to a whole decoding
    assert gap.end_s == pytest.approx(wanted.end_s)
    assert wanted.start_s - 1e-6 <= gap.start_s <= wanted.start_s + held_back
    assert whole.features.frames <= found.timeline.frames <= whole.features.frames + 2 * b_frames
    assert found.timeline.edges[-1] == pytest.approx(whole.timeline.edges[-1], abs=held_back + 1e-6)
    (row,) = VideoPredictor(settings=VideoSettings(preview=True)).predict([source]).to_pylist()
    assert row["state"] == "labelled"
    assert f"to {wanted.end_s:.3f} s" in row["reason"]
    assert row["shots"][-1]["end_frame"] == found.timeline.frames


def test_keyframes_that_are_mended_bit_by_bit_are_no_damage() -> None:
    way = {"x264-params": "intra-refresh=1:keyint=25:scenecut=0"}
    found = read_key_pictures(video(longvideos.encode(longvideos.pictures(100), options=way, container="mpegts")), Reading())
    assert found.gaps == ()
    assert found.timeline.frames == 100


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "ffv1"])
def test_a_keyframe_that_cannot_be_decoded_is_a_gap(codec: str) -> None:
    way = {"libx264": {"g": "20", "bf": "0", "x264-params": "scenecut=0"}, "mpeg4": {"g": "20"}, "ffv1": {"g": "12"}}[codec]
    data = bytearray(longvideos.encode(longvideos.pictures(100), codec=codec, options=way))
    with av.open(io.BytesIO(data), "r") as given:
        key = [bytes(packet) for packet in given.demux(video=0) if packet.size and packet.is_keyframe][3]
    first, last = data.find(key) + len(key) // 2, data.find(key) + len(key)
    data[first:last] = bytes(last - first)
    whole, found = analyse(video(bytes(data))), read_key_pictures(video(bytes(data)), Reading())
    (gap,), (wanted,) = found.gaps, whole.gaps
    assert gap.start_s == pytest.approx(wanted.start_s)
    assert gap.end_s == pytest.approx(wanted.end_s)
    assert 0.4 < gap.end_s - gap.start_s < 1.0
    np.testing.assert_allclose(found.timeline.edges, whole.timeline.edges, atol=1e-6)


def test_a_preview_is_another_model_and_finds_no_events(demo_terms: dict[str, Any]) -> None:
    plain, quick = VideoPredictor(), VideoPredictor(settings=VideoSettings(preview=True))
    assert plain.describe() != quick.describe()
    demo_terms["guideline"]["events"] = [{"name": "dark", "definition": "black", "rule": "black", "min_seconds": 0.4}]
    with pytest.raises(InputError, match="a preview finds no events"):
        VideoPredictor(terms=parse_terms(demo_terms, origin="demo.yaml"), settings=VideoSettings(preview=True))


@pytest.fixture
def demo_terms() -> dict[str, Any]:
    path = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document
