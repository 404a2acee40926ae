"""Videos: figures against a full decode, and every kind of damage named."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from contract.terms import Limits
from prelabel.probe_video import probe_video
from prelabel.refusal import Reason, RefusedError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
LIMITS = Limits()


def render(
    path: Path,
    *,
    codec: str = "libx264",
    stamps: list[int] | None = None,
    base: Fraction = Fraction(1, 25),
    rotation: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video of 64 x 48 moving pixels with a frame at each of `stamps` (in units of `base`)."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=round(1 / base))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = base
        stream.codec_context.time_base = base
        stream.gop_size = 12
        if rotation:
            stream.set_display_rotation(rotation)
        for number, stamp in enumerate(stamps or range(50)):
            image = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shown_times(path: Path) -> list[float]:
    """The oracle: decode everything and read the time of each picture."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0) if frame.time is not None]


def refusal(path: Path, media: str, limits: Limits = LIMITS) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        probe_video(path, media, limits=limits)
    return caught.value


@pytest.mark.parametrize(
    ("name", "media", "codec"),
    [
        ("a.mp4", "video/mp4", "libx264"),
        ("a.mov", "video/quicktime", "libx264"),
        ("a.mkv", "video/x-matroska", "libx264"),
        ("a.avi", "video/x-msvideo", "mpeg4"),
        ("a.ts", "video/mp2t", "libx264"),
    ],
)
def test_a_constant_rate(tmp_path: Path, name: str, media: str, codec: str) -> None:
    path = render(tmp_path / name, codec=codec)
    facts = probe_video(path, media, limits=LIMITS)
    assert facts.frames == len(shown_times(path)) == 50
    assert (facts.width, facts.height) == (64, 48)
    assert facts.duration_s == pytest.approx(2.0, abs=0.002)
    assert facts.fps == pytest.approx(25.0, rel=0.001)


def test_a_variable_rate_is_averaged_over_real_time_stamps(tmp_path: Path) -> None:
    stamps = [*range(0, 1000, 40), *range(1000, 5000, 200)]  # a second at 25, four at 5 frames a second
    path = render(tmp_path / "a.mp4", stamps=stamps, base=Fraction(1, 1000))
    facts = probe_video(path, "video/mp4", limits=LIMITS)
    times = shown_times(path)
    assert facts.frames == len(times) == 45
    assert times[-1] < facts.duration_s <= times[-1] + 0.2 + 1e-6
    assert facts.fps == pytest.approx(45 / facts.duration_s)
    assert facts.fps < 10


@pytest.mark.parametrize(("rotation", "size"), [(90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_size_is_that_after_rotation(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    facts = probe_video(render(tmp_path / "a.mp4", rotation=rotation), "video/mp4", limits=LIMITS)
    assert (facts.width, facts.height) == size


def test_a_single_frame(tmp_path: Path) -> None:
    facts = probe_video(render(tmp_path / "a.mp4", stamps=[0]), "video/mp4", limits=LIMITS)
    assert facts.frames == 1
    assert facts.duration_s == pytest.approx(0.04)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    error = refusal(sound(tmp_path / "a.mp4"), "video/mp4")
    assert error.reason is Reason.NO_VIDEO
    assert "sound only" in str(error)


@pytest.mark.parametrize(
    ("name", "media", "share"),
    [
        *[("a.mp4", "video/mp4", share) for share in (0.01, 0.3, 0.7, 0.99)],
        *[("fast.mp4", "video/mp4", share) for share in (0.01, 0.3, 0.7, 0.99)],
        *[("a.mkv", "video/x-matroska", share) for share in (0.01, 0.3, 0.7, 0.9)],  # Matroska has half a second of slack
    ],
)
def test_a_cut_file_is_refused(tmp_path: Path, name: str, media: str, share: float) -> None:
    options = {"movflags": "faststart"} if name == "fast.mp4" else None
    path = render(tmp_path / name, options=options, stamps=list(range(250)))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert refusal(path, media).reason in {Reason.TRUNCATED, Reason.CORRUPT}


def test_an_index_that_is_missing_is_corrupt(tmp_path: Path) -> None:
    path = render(tmp_path / "a.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    assert refusal(path, "video/mp4").reason is Reason.CORRUPT


def test_a_zeroed_first_group_is_corrupt(tmp_path: Path) -> None:
    path = render(tmp_path / "a.mp4", options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + (len(data) - start) // 2] = bytes((len(data) - start) // 2)
    path.write_bytes(bytes(data))
    assert refusal(path, "video/mp4").reason is Reason.CORRUPT


@pytest.mark.parametrize("limits", [Limits(max_video_seconds=1.9), Limits(max_image_pixels=64 * 48 - 1)])
def test_limits_are_kept(tmp_path: Path, limits: Limits) -> None:
    assert refusal(render(tmp_path / "a.mp4"), "video/mp4", limits).reason is Reason.OVERSIZED


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    render(tmp_path / "secret.ts")
    path = tmp_path / "a.mp4"
    path.write_text("#EXTM3U\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n")
    assert refusal(path, "video/mp4").reason is Reason.CORRUPT


@pytest.mark.parametrize("name", ["clips/again.mkv", "clips/car-detection.mp4", "video/spliced_0.mp4"])
def test_real_videos_against_a_full_decode(name: str) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    facts = probe_video(path, "video/mp4" if path.suffix == ".mp4" else "video/x-matroska", limits=LIMITS)
    times = shown_times(path)
    assert facts.frames == len(times)
    assert facts.duration_s == pytest.approx(max(times) - min(times) + 1 / facts.fps, abs=0.01)


def test_an_unknown_codec_is_unsupported(tmp_path: Path) -> None:
    path = render(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    assert refusal(path, "video/mp4").reason is Reason.UNSUPPORTED
