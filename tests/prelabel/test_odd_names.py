"""Videos that are called after something else, and what is called after a video: the content alone decides."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from contract.terms import Terms
from contract.workfolder import LotFolder, lot_folder
from prelabel.intake import take_in
from tests.oracles import longvideos

FEW = longvideos.pictures(12)


def packed() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("clip.mp4", b"a video")
    return held.getvalue()


def sound_with_a_cover() -> bytes:
    """Return a song in MP4 whose only picture is its cover."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        assert isinstance(stream, av.AudioStream)
        cover = output.add_stream("mjpeg", rate=1)
        assert isinstance(cover, av.VideoStream)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for at in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 1024 * at
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        output.mux(cover.encode(av.VideoFrame.from_ndarray(FEW[0], format="rgb24")))
        output.mux(cover.encode(None))
    return held.getvalue()


ODD: dict[str, tuple[Callable[[], bytes], str]] = {
    # name of the file -> its content, and its media type or the reason why it is refused
    "matroska.mp4": (lambda: longvideos.encode(FEW), "video/x-matroska"),
    "mp4.mkv": (lambda: longvideos.encode(FEW, container="mp4"), "video/mp4"),
    "stream.avi": (lambda: longvideos.encode(FEW, container="mpegts"), "video/mp2t"),
    "no suffix": (lambda: longvideos.encode(FEW[:6]), "video/x-matroska"),
    "picture.mp4": (lambda: longvideos.still(FEW[0], "JPEG"), "image/jpeg"),
    "one picture.mp4": (
        lambda: longvideos.encode(FEW[:1], container="mp4", codec="mjpeg", options={"strict": "unofficial"}),
        "video/mp4",
    ),
    "page.mp4": (lambda: b"<!doctype html><title>Not found</title>", "unsupported"),
    "playlist.mp4": (lambda: b"#EXTM3U\n#EXTINF:2,\nmatroska.mp4\n#EXT-X-ENDLIST\n", "unsupported"),
    "packed.mp4": (packed, "unsupported"),
    "song.mp4": (sound_with_a_cover, "no_video"),
    "moving.gif": (lambda: longvideos.animation(FEW, "GIF"), "unsupported"),
    "moving.webp": (lambda: longvideos.animation(FEW, "WEBP"), "unsupported"),
    "moving.png": (lambda: longvideos.animation(FEW, "PNG"), "unsupported"),
    "moving.mp4": (lambda: longvideos.animation(FEW, "GIF")[:-1] + b";", "unsupported"),
    "noise.mp4": (lambda: np.random.default_rng(3).bytes(5000), "unsupported"),
    "beginning.mp4": (lambda: longvideos.encode(FEW, container="mp4")[:40], "corrupt"),
}


@pytest.fixture
def lot(tmp_path: Path, demo_terms: Terms) -> LotFolder:
    return lot_folder(tmp_path / "work", demo_terms.contract, "odd")


def test_the_content_decides_and_what_is_refused_has_one_reason(tmp_path: Path, lot: LotFolder, demo_terms: Terms) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, (make, _) in ODD.items():
        (raw / name).write_bytes(make())
    take_in([str(raw)], lot=lot, terms=demo_terms, lot_name="odd")
    found = {row["item"]: row["media"] for row in pq.read_table(lot.manifest).to_pylist()}
    rejects = pq.read_table(lot.rejects).to_pylist()
    found |= {row["item"]: row["reason"] for row in rejects}
    assert found == {name: expected for name, (_, expected) in ODD.items()}
    assert len(rejects) + sum("/" in what for what in found.values()) == len(ODD)
    details = {row["item"]: row["detail"] for row in rejects}
    for name in ("moving.gif", "moving.webp", "moving.png"):
        assert "12 pictures" in details[name]
    assert "sound only" in details["song.mp4"]
    assert all(detail and "\n" not in detail for detail in details.values())
