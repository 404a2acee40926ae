"""Files that are odd, wrong or broken: labels or one reason each, never a failure, and intake's probe agrees."""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import av
import numpy as np
import pytest

from contract.answers import check_answer
from contract.predictor import Source
from contract.tables import Kind
from contract.terms import Limits
from models.video import VideoPredictor, VideoSettings
from prelabel.probe_video import MEDIA, probe_video
from prelabel.refusal import RefusedError
from tests.oracles import longvideos

FEW = longvideos.pictures(24)


def sound_only() -> bytes:
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return held.getvalue()


def no_frames() -> bytes:
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.open()
        output.start_encoding()
    return held.getvalue()


def torn_in_the_middle() -> bytes:
    data = longvideos.encode(longvideos.pictures(100), options={"g": "20"}, container="mpegts")
    first = len(data) // 188 // 2
    return data[: 188 * first] + data[188 * (first + 3) :]


def noise_in_the_middle() -> bytes:
    data = bytearray(longvideos.encode(longvideos.pictures(100), options={"g": "20", "crf": "10"}))
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(1).bytes(400)
    return bytes(data)


def cut_off(share: float, container: str, **options: str) -> bytes:
    """Return the first part of a file; in MP4, `movflags=faststart` puts what is needed to open it first."""
    with av.open(io.BytesIO(longvideos.encode(longvideos.pictures(200))), "r") as given, NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=container, options=options) as output:
            stream = output.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
        data = Path(file.name).read_bytes()
    return data[: int(share * len(data))]


def without_time() -> bytes:
    """Return pictures that are all shown at second 0, each for no time."""
    given = longvideos.encode(FEW, codec="mjpeg", options={"strict": "unofficial"})
    held = io.BytesIO()
    with av.open(io.BytesIO(given), "r") as video, av.open(held, "w", format="matroska") as output:
        stream = output.add_stream_from_template(video.streams.video[0])
        for packet in video.demux(video=0):
            if packet.size:
                packet.pts = packet.dts = packet.duration = 0
                packet.stream = stream
                output.mux(packet)
    return held.getvalue()


def duration_of_zero(*boxes: str) -> bytes:
    """Return an MP4 whose `boxes` (ISO/IEC 14496-12: mvhd, tkhd, mdhd, elst of version 0) declare that it lasts for 0 s."""
    data = bytearray(longvideos.encode(FEW, container="mp4", options={"bf": "0"}))
    for box in boxes:
        at = data.index(box.encode()) + 4 + {"mvhd": 16, "tkhd": 20, "mdhd": 16, "elst": 8}[box]
        assert any(data[at : at + 4])
        data[at : at + 4] = bytes(4)
    return bytes(data)


# What is made, how intake takes its content, frames of the labels or a word of the reason, and what the labels lack.
CASES: dict[str, tuple[Callable[[], bytes], str, int | str, str | None]] = {
    "no video stream": (sound_only, "video/mp4", "no video stream, only audio", None),
    "no frames": (no_frames, "video/x-matroska", "not a video that can be opened", None),
    "truncated": (lambda: cut_off(0.5, "matroska"), "video/x-matroska", "cut off after", None),
    "truncated, index lost": (lambda: cut_off(0.9, "mp4"), "video/mp4", "not a video that can be opened", None),
    "truncated, index first": (lambda: cut_off(0.6, "mp4", movflags="faststart"), "video/mp4", "cut off after", None),
    "torn": (torn_in_the_middle, "video/mp2t", 84, "damaged from"),
    "noise": (noise_in_the_middle, "video/x-matroska", -1, "damaged"),
    "8K": (
        lambda: longvideos.encode(
            [np.full((4320, 7680, 3), level, np.uint8) for level in (10, 240)], options={"preset": "ultrafast"}
        ),
        "video/x-matroska",
        2,
        None,
    ),
    "one frame a second": (lambda: longvideos.encode(FEW, rate=1, container="mp4"), "video/mp4", 24, None),
    "240 frames a second": (lambda: longvideos.encode(longvideos.pictures(240), rate=240), "video/x-matroska", 240, None),
    "24 hours": (
        lambda: longvideos.encode(longvideos.pictures(1440), stamps=[60_000 * at for at in range(1440)]),
        "video/x-matroska",
        1440,
        None,
    ),
    "a page": (lambda: b"<!doctype html><title>Not found</title>", "video/mp4", "not a video that can be opened", None),
    "an archive": (lambda: b"PK\3\4" + bytes(3000), "video/mp4", "not a video that can be opened", None),
    "another container": (lambda: longvideos.encode(FEW, container="avi", codec="mpeg4"), "video/x-msvideo", 24, None),
    "no time passes": (without_time, "video/x-matroska", "its timestamps do not advance", None),
    "zero duration": (lambda: duration_of_zero("mvhd", "tkhd", "mdhd"), "video/mp4", 24, None),
    "zero duration, and an edit of that": (
        lambda: duration_of_zero("mvhd", "tkhd", "mdhd", "elst"),
        "video/mp4",
        "holds no frames",
        None,
    ),
    "a second more than 24 hours": (
        lambda: longvideos.encode(FEW[:3], stamps=[0, 60_000, 86_401_000]),
        "video/x-matroska",
        "more than the limit of 86400 s",
        None,
    ),
    "one frame": (lambda: longvideos.encode(FEW[:1], container="mp4"), "video/mp4", 1, None),
    "animated GIF": (lambda: longvideos.animation(FEW, "GIF"), "", 24, None),
    "animated WebP": (lambda: longvideos.animation(FEW, "WEBP"), "", "not a video that can be opened", None),
    "a still JPEG": (lambda: longvideos.still(FEW[0], "JPEG"), "", "not a video that can be opened", None),
    "one picture in MP4": (
        lambda: longvideos.encode(FEW[:1], container="mp4", codec="mjpeg", options={"strict": "unofficial"}),
        "video/mp4",
        1,
        None,
    ),
    "one by one pixels": (
        lambda: longvideos.encode([np.zeros((2, 2, 3), np.uint8)] * 3, codec="mpeg4"),
        "video/x-matroska",
        3,
        None,
    ),
}


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return {name: make() for name, (make, _, _, _) in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_odd_files_get_labels_or_one_reason(name: str, made: dict[str, bytes]) -> None:
    _, _, expected, missing = CASES[name]
    source = Source(name, Kind.VIDEO, f"{name}.bin", made[name])
    (row,) = check_answer(Kind.VIDEO, [source], VideoPredictor().predict([source])).to_pylist()
    if isinstance(expected, str):
        assert (row["state"], row["shots"], row["keyframes"]) == ("rejected", [], [])
        assert expected in row["reason"]
        assert "\n" not in row["reason"]
        return
    assert row["state"] == "labelled"
    shots = row["shots"]
    assert (shots[0]["start_frame"], shots[0]["start_s"]) == (0, 0.0)
    assert shots[-1]["end_frame"] == expected or expected < 0
    assert all(shot["end_s"] > shot["start_s"] for shot in shots)
    assert (missing in row["reason"]) if missing else row["reason"] is None


@pytest.mark.parametrize("name", CASES)
def test_previews_of_odd_files_get_labels_or_one_reason(name: str, made: dict[str, bytes]) -> None:
    source = Source(name, Kind.VIDEO, f"{name}.bin", made[name])
    predictor = VideoPredictor(settings=VideoSettings(preview=True))
    (row,) = check_answer(Kind.VIDEO, [source], predictor.predict([source])).to_pylist()
    assert row["state"] == ("rejected" if isinstance(CASES[name][2], str) else "labelled")
    assert row["reason"] is None or "\n" not in row["reason"]


@pytest.mark.parametrize("name", [name for name, (_, media, _, _) in CASES.items() if media])
def test_intake_takes_what_can_be_labelled(name: str, made: dict[str, bytes], tmp_path: Path) -> None:
    _, media, expected, missing = CASES[name]
    path = tmp_path / "odd"
    path.write_bytes(made[name])
    assert media in MEDIA
    limits = Limits(max_video_seconds=86_400)
    if isinstance(expected, str):
        with pytest.raises(RefusedError):
            probe_video(path, media, limits=limits)
    else:
        facts: Any = probe_video(path, media, limits=limits)
        assert facts.frames >= expected if missing else facts.frames == expected
