"""Speed and F1 of shots at 360p and 1080p beside PySceneDetect's detectors, in one run on the same files.

    python benchmarks/video.py [--videos FOLDER] [--repeats 3] [--hours 3] [--scratch FOLDER] [--out RESULT.json]

Material: H.264 made here (moving textures with known cuts, x264 medium, 25 frames a second; kept in --scratch), and the
videos of FOLDER where given (NAME.mp4 beside NAME.json, as benchmarks/shots_f1.py has them). Every line gives F1 within
2 frames beside frames a second of whole videos, so that neither is had at the other's cost. With --hours, the video of
--long-size is repeated to a quarter of that length and to all of it without encoding it anew, and labelled in a process of
its own whose memory is read: `bytes_a_frame` is what the longer one held more, a frame that it is longer.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import shots_f1  # noqa: E402
from benchmarks.score import commit  # noqa: E402
from contract.predictor import Source  # noqa: E402
from contract.tables import Kind  # noqa: E402
from models.analysis import Reading, analyse  # noqa: E402
from models.openvideo import OpenVideo  # noqa: E402
from models.shots import find_transitions, shots_between  # noqa: E402
from models.spool import ROW  # noqa: E402
from models.video import VideoPredictor, VideoSettings  # noqa: E402

TAKE = 55  # frames from cut to cut, about
SIZES = {"360p": (640, 360, 800_000), "1080p": (1920, 1080, 5_000_000)}  # width, height, bits a second
GRAIN = 3.0  # levels of noise, as of a camera, which spreads the bits over all frames instead of the keyframes alone
PEERS = ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "HashDetector")
Starts = list[list[int]]


def make(path: Path, *, frames: int, seed: int) -> None:
    """Write pans over textures with hard cuts to `path` and their truth beside it, unless they are there."""
    truth = path.with_suffix(".json")
    if truth.exists():
        return
    width, height, bits = SIZES[path.stem.split("-")[0]]
    draws = np.random.default_rng(seed)
    cuts, texture, left = [], np.zeros((1, 1, 3), np.uint8), 0
    grain = draws.normal(0, GRAIN, (8, height, width, 1)).astype(np.int8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)  # noqa: S101  libx264 encodes nothing else
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bits
        stream.options = {"preset": "medium"}
        for at in range(frames):
            if left == 0:
                cuts += [at] if at else []
                texture, left = _texture(draws, width, height), int(draws.integers(TAKE - 20, TAKE + 20))
                speed = draws.uniform(-1, 1, 2) * width / 640
            left -= 1
            x, y = np.abs(speed * left).astype(int)  # at most 75 pixels at 360p, within the texture's margin
            noisy = texture[y : y + height, x : x + width].astype(np.int16) + grain[at % len(grain)]
            frame = av.VideoFrame.from_ndarray(np.clip(noisy, 0, 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    document = {"frames": frames, "transitions": [{"kind": "cut", "start": cut, "end": cut} for cut in cuts]}
    truth.write_text(json.dumps(document), encoding="utf-8")


def _texture(draws: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    size = (width + width // 4, height + height // 4)
    whole = np.zeros((size[1], size[0], 3), np.float32)
    for cells, strength in ((4, 90.0), (16, 50.0), (60, 30.0)):
        noise = draws.uniform(-1, 1, (cells, 2 * cells, 3)).astype(np.float32)
        whole += strength * cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(whole + draws.uniform(70, 190, 3), 0, 255).astype(np.uint8)


def _answered(paths: Sequence[Path], **settings: Any) -> Starts:
    predictor = VideoPredictor(settings=VideoSettings(**settings))
    answer = predictor.predict([Source(path.name, Kind.VIDEO, str(path)) for path in paths])
    return [[shot["start_frame"] for shot in row if shot["transition"] != "start"] for row in answer["shots"].to_pylist()]


def _one_thread(paths: Sequence[Path]) -> Starts:
    """One video at a time, decoded from its beginning on one core."""
    starts = []
    for path in paths:
        found = analyse(Source(path.name, Kind.VIDEO, str(path)), None, Reading())
        changes = find_transitions(found.features, rate=found.timeline.rate)
        starts.append([shot.start for shot in shots_between(changes, found.features.frames) if shot.start])
    return starts


def _decoded(paths: Sequence[Path], threads: int) -> Starts:
    """Decode and throw away: what no detector can go below."""

    def one(path: Path) -> list[int]:
        with OpenVideo(Source(path.name, Kind.VIDEO, str(path)), loop_filter=False) as video:
            for packet in video.packets():
                packet.decode()
        return []

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, paths))


def _runs(paths: Sequence[Path]) -> dict[str, Callable[[], Starts]]:
    runs: dict[str, Callable[[], Starts]] = {
        "decoding alone, one video at a time": partial(_decoded, paths, 1),
        "decoding alone, two videos at a time": partial(_decoded, paths, 2),
        "goldgate, one video at a time on one core": partial(_one_thread, paths),
        "goldgate, one video at a time by ranges on every core": partial(_answered, paths, workers=1),
        "goldgate, two videos at a time": partial(_answered, paths, workers=2),
        "goldgate preview, two videos at a time": partial(_answered, paths, workers=2, preview=True),
    }
    try:
        import scenedetect  # noqa: F401  the peer: pip install scenedetect
    except ImportError:
        print("scenedetect is not installed: no peer is measured")
        return runs
    return {**runs, **{f"PySceneDetect {name}": partial(shots_f1.theirs, paths, name) for name in PEERS}}


def _measured(paths: Sequence[Path], repeats: int) -> dict[str, Any]:
    truth = [json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) for path in paths]
    results = {}
    for name, run in _runs(paths).items():
        result = shots_f1.measure(run, truth, repeats)
        if name.startswith("decoding alone"):
            result = {key: value for key, value in result.items() if "per" in key}
        results[name] = result
        rate, f1 = result["frames_per_second"]["median"], result.get("f1")
        print(f"  {name}: {rate:.0f} frames/s" + (f", F1 {f1:.3f}" if f1 is not None else ""))
    return results


def lengthened(path: Path, to: Path, hours: float) -> int:
    """Repeat the packets of `path` up to `hours`, not encoded anew; return the number of frames."""
    with av.open(str(path)) as given:
        packets = [packet for packet in given.demux(video=0) if packet.size]
        stream, base = given.streams.video[0], given.streams.video[0].time_base
        assert base is not None  # noqa: S101  of a stream that was just written
        length = round(len(packets) / 25 / base)
        times = max(1, round(hours * 3600 * 25 / len(packets)))
        with av.open(str(to), "w") as output:
            copied = output.add_stream_from_template(stream)
            stamps = [(packet.pts, packet.dts) for packet in packets]
            for turn in range(times):
                for packet, (pts, dts) in zip(packets, stamps, strict=True):
                    packet.pts, packet.dts, packet.time_base = (pts or 0) + turn * length, (dts or 0) + turn * length, base
                    packet.stream = copied
                    output.mux(packet)
    return times * len(packets)


def label_alone(path: Path) -> None:
    """Label one video in this process and print its shots, seconds, and memory in MiB: before, and the most at any time."""
    status = Path("/proc/self/status")
    _answered([path.parent / "360p-0.mp4"])  # loads and compiles what is needed
    before = _memory(status, "VmRSS")
    begun = time.perf_counter()
    (starts,) = _answered([path])
    seconds = time.perf_counter() - begun
    most = _memory(status, "VmHWM")
    print(json.dumps({"shots": len(starts), "seconds": seconds, "mib_before": before, "mib_most": most}))


def _memory(status: Path, name: str) -> float:
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _long(scratch: Path, hours: float, size: str) -> dict[str, Any]:
    results: dict[str, Any] = {"size": size}
    lengths, held = [], []
    for part in (hours / 4, hours):
        path = scratch / f"long-{part:g}h.mp4"
        frames = lengthened(scratch / f"{size}-0.mp4", path, part)
        command = [sys.executable, __file__, "--alone", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        path.unlink()
        found = json.loads(done.stdout.splitlines()[-1])
        found.update(frames=frames, frames_per_second=frames / found["seconds"])
        found["thumbnails_mib"] = frames * ROW / 2**20  # on disk
        results[f"{part:g} h"] = found
        lengths.append(frames)
        held.append(found["mib_most"])
        print(f"  {part:g} h: {json.dumps(found)}")
    results["bytes_a_frame"] = (held[1] - held[0]) * 2**20 / (lengths[1] - lengths[0])
    print(f"  {results['bytes_a_frame']:.0f} bytes a frame")
    return results


def main() -> None:
    """Make the material, measure, and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, default=1588, help="of each video that is made")
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--long-size", choices=SIZES, default="1080p")
    parser.add_argument("--only-long", action="store_true", help="measure nothing but the long video")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "goldgate-video")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "video.json")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        label_alone(chosen.alone)
        return
    machine = shots_f1.described_machine()
    scratch = chosen.scratch / str(chosen.frames)
    scratch.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    sets = {size: [scratch / f"{size}-{number}.mp4" for number in range(2)] for size in SIZES}
    for size, paths in sets.items():
        for number, path in enumerate(paths):
            if not chosen.only_long or (number == 0 and size in ("360p", chosen.long_size)):
                make(path, frames=chosen.frames, seed=number)
    if chosen.videos:
        sets[chosen.videos.name] = [
            path for path in sorted(chosen.videos.glob("*.mp4")) if path.with_suffix(".json").exists()
        ]
    for name, paths in ({} if chosen.only_long else sets).items():
        print(name)
        results[name] = _measured(paths, chosen.repeats)
    document = {
        "what": "F1 of starts of shot and frames a second of whole videos, decoding included",
        "protocol": f"one to one, within {shots_f1.TOLERANCE} frames; median of {chosen.repeats} after one warm-up",
        "commit": commit(),
        "machine": machine,
        "frames_of_a_made_video": chosen.frames,
        "results": results,
        "long": _long(scratch, chosen.hours, chosen.long_size) if chosen.hours else None,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
