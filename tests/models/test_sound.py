"""Loudness of sound that PyAV encoded: tones and silence in several codecs, layouts and rates, against what was drawn."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from contract.predictor import Source
from contract.tables import Kind
from models.sound import WINDOW_S, Sound, listen

RATE = 48_000
Channels = NDArray[np.float32]  # channels x samples, full scale 1


def tone(seconds: float, *, level: float = 0.5, hertz: float = 440.0) -> Channels:
    at = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(level * np.sin(2 * np.pi * hertz * at), np.float32)[None, :]


def quiet(seconds: float) -> Channels:
    return np.zeros((1, round(seconds * RATE)), np.float32)


def encoded(sound: Channels, codec: str = "pcm_f32le", *, container: str = "matroska", starts_s: float = 0.0) -> Source:
    """Return a file of `sound`, whose first sample is heard at `starts_s`."""
    held = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[len(sound)]
    with av.open(held, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = layout
        resampler = av.AudioResampler(stream.codec_context.format, layout, RATE, frame_size=960)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, round(starts_s * RATE), Fraction(1, RATE)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return Source("clip", Kind.VIDEO, "clip.mkv", held.getvalue())


def heard(source: Source, seconds: float, *, origin_s: float = 0.0) -> Sound:
    sound = listen(source, origin_s=origin_s, seconds=seconds)
    assert sound is not None
    assert len(sound.power) == round(seconds / WINDOW_S)
    return sound


def slow_power(sound: Channels, windows: int) -> list[float]:
    """Oracle: the mean square of each 20 ms, window by window, 0 beyond the end."""
    length = round(RATE * WINDOW_S)
    padded = np.pad(sound.astype(np.float64), ((0, 0), (0, max(0, windows * length - sound.shape[1]))))
    return [float((padded[:, at * length : (at + 1) * length] ** 2).mean()) for at in range(windows)]


def test_power_of_plain_samples_is_exact() -> None:
    draws = np.random.default_rng(5)
    sound = draws.uniform(-1, 1, (2, RATE)).astype(np.float32)
    np.testing.assert_allclose(heard(encoded(sound), 1.2).power, slow_power(sound, 60), rtol=1e-5)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s32le", "pcm_u8", "pcm_f64le", "flac", "aac", "libopus", "ac3"])
def test_silence_between_tones_is_found_in_every_codec(codec: str) -> None:
    sound = np.concatenate([tone(1.0), quiet(1.0), tone(1.0)], axis=1)
    below = heard(encoded(sound, codec), 3.0).below(-45.0)
    (runs,) = np.flatnonzero(np.diff(below.astype(int))).reshape(-1, 2).tolist()
    assert runs == pytest.approx([49, 99], abs=3)  # codecs smear by some milliseconds


def test_levels_are_those_of_full_scale() -> None:
    square = np.ones((1, RATE), np.float32)
    square[0, ::2] = -1.0
    assert heard(encoded(square), 1.0).power == pytest.approx(1.0)
    assert heard(encoded(tone(1.0, level=1.0)), 1.0).power == pytest.approx(0.5, rel=0.1)  # -3.01 dB
    faint = heard(encoded(tone(1.0, level=10 ** (-57 / 20))), 1.0)
    assert not faint.below(-61).any()
    assert faint.below(-59).all()


def test_channels_that_cancel_each_other_are_heard() -> None:
    both = np.concatenate([tone(1.0), -tone(1.0)])
    assert not heard(encoded(both), 1.0).below(-20).any()


def test_seconds_count_from_the_first_frame_of_the_picture() -> None:
    source = encoded(tone(1.0), starts_s=2.0)
    late = heard(source, 4.0)
    assert late.below(-45).tolist() == [True] * 100 + [False] * 50 + [True] * 50
    assert heard(source, 4.0, origin_s=1.5).below(-45).tolist() == [True] * 25 + [False] * 50 + [True] * 125
    assert heard(source, 0.5, origin_s=2.25).below(-45).tolist() == [False] * 25


def test_damaged_sound_is_not_taken_for_silence() -> None:
    source = encoded(np.concatenate([tone(1.0), quiet(2.0), tone(1.0)], axis=1), "flac")
    assert source.data is not None
    whole = heard(source, 4.0).below(-45)
    with av.open(io.BytesIO(source.data)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size and packet.pts is not None]  # type: ignore[union-attr]
        hit = packets[len(packets) // 2]
        assert hit.pos is not None
        assert hit.time_base is not None
        assert hit.pts is not None
        content, at_s = bytes(hit), float(hit.pts * hit.time_base)
        start = source.data.index(content, hit.pos)
    data = source.data[:start] + b"\x55" * len(content) + source.data[start + len(content) :]
    broken = heard(Source("clip", Kind.VIDEO, "clip.mkv", data), 4.0).below(-45)
    assert whole[round(at_s / WINDOW_S)]
    assert not broken[round(at_s / WINDOW_S)]
    assert broken.sum() >= whole.sum() - 10
    assert not (broken & ~whole).any()


def test_a_file_without_sound_has_none() -> None:
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    assert listen(Source("clip", Kind.VIDEO, "clip.mkv", held.getvalue()), origin_s=0.0, seconds=0.2) is None


def test_sound_that_breaks_off_is_silent_to_the_end_of_the_picture() -> None:
    assert heard(encoded(tone(1.0)), 2.0).below(-45).tolist() == [False] * 50 + [True] * 50
