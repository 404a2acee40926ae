"""One lot of the contract's size with the predictor without weights: what the machinery itself costs, and what it holds.

    python benchmarks/volume.py [--images 100000] [--texts 50000] [--hours 10] [--folder DIR] [--out FILE]

Small JPEGs (64 x 48), short texts and videos of low resolution (96 x 72, five minutes each) are made, taken in, labelled,
resumed with all of it done, resumed with one receipt in a hundred lost, read as drafts, and exported. Every stage is a
process of its own, so that the peak of its resident set (VmHWM) is its own. Seconds outside decode and model are what is
left when those of `examine` (intake) and of `predict` (job), measured inside them, are taken away: of the processor's
time, which other work on the machine leaves alone; wall seconds with one call at a time stand beside them, with the
disk's waits in them.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from benchmarks.score import commit, machine  # noqa: E402
from contract.predictor import Source  # noqa: E402
from contract.tables import Kind  # noqa: E402
from goldgate.stages import Stage, open_stage  # noqa: E402

LOT: Final = "volume"
VIDEO_SECONDS: Final = 300
VIDEO_FPS: Final = 5
FILES_A_FOLDER: Final = 1_000
LOST_ONE_IN: Final = 100
STAGES: Final = ("intake", "job", "resume", "mend", "drafts", "export")


class Meter:
    """Processor and wall seconds inside what it wraps, by all threads together."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Count what the block takes."""
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            yield
        finally:
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            with self._lock:
                self.cpu_s += cpu
                self.wall_s += wall


class Mark(NamedTuple):
    """Where a job stands after a chunk: items done, and seconds outside and inside predict."""

    done: int
    outside_wall_s: float
    outside_cpu_s: float
    inside_wall_s: float


# Material


def make_images(folder: Path, count: int) -> None:
    """Write `count` JPEGs of 64 x 48 pixels, all different, a thousand a folder."""
    from PIL import Image

    rng = np.random.default_rng(1)
    for number in range(count):
        path = folder / "images" / f"{number // FILES_A_FOLDER:04d}" / f"{number:07d}.jpg"
        if number % FILES_A_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        encoded = io.BytesIO()
        Image.fromarray(coarse).save(encoded, "JPEG", quality=80)
        path.write_bytes(encoded.getvalue())


def make_texts(folder: Path, count: int) -> None:
    """Write `count` short texts, all different, as one CSV."""
    with (folder / "texts.csv").open("w", encoding="utf-8") as file:
        file.write("text\n")
        file.writelines(f"第 {number} 条评论: 服务不错，delivered on day {number % 31}\n" for number in range(count))


def make_videos(folder: Path, count: int) -> None:
    """Write `count` videos of five minutes: pictures encoded once, muxed with a title of its own each."""
    import av

    if not count:
        return
    rng = np.random.default_rng(2)
    place = folder / "videos"
    place.mkdir()
    first = place / "0000.mp4"
    with av.open(str(first), "w") as container:
        stream = container.add_stream("mpeg4", rate=VIDEO_FPS)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for number in range(VIDEO_SECONDS * VIDEO_FPS):
            if number % 50 == 0:
                scene = rng.integers(0, 256, (9, 12, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            frame = av.VideoFrame.from_ndarray(scene, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, VIDEO_FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for number in range(1, count):
        with av.open(str(first)) as source, av.open(str(place / f"{number:04d}.mp4"), "w") as copy:
            copy.metadata["title"] = f"video {number}"
            track = copy.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = track
                    copy.mux(packet)


# Stages, each in a process of its own


def _stage(folder: Path) -> Stage:
    return open_stage(ROOT / "configs" / "demo.yaml", LOT, folder / "work")


def _predictors(stage: Stage, meters: "dict[Kind, Meter]") -> "dict[Kind, Any]":
    from models.fake import FakePredictor

    class Metered(FakePredictor):
        def __init__(self, kind: Kind) -> None:
            super().__init__(kind, guideline=stage.terms.guideline)
            self.meter = meters[kind]

        def predict(self, sources: Sequence[Source]) -> pa.Table:
            with self.meter.inside():
                return super().predict(sources)

    return {kind: Metered(kind) for kind in Kind}


def take_in(folder: Path) -> dict[str, Any]:
    """Take the material in."""
    from prelabel import intake
    from prelabel.examine import examine

    meter, stage = Meter(), _stage(folder)

    def metered(*arguments: Any, **named: Any) -> Any:
        with meter.inside():
            return examine(*arguments, **named)

    vars(intake)["examine"] = metered
    receipt = intake.take_in([str(folder / "raw")], lot=stage.lot, terms=stage.terms, lot_name=LOT)
    items = sum(receipt.items_by_kind.values())
    outside = time.process_time() - meter.cpu_s
    return {
        "items": {kind.value: count for kind, count in receipt.items_by_kind.items()},
        "video_hours": round(receipt.video_seconds / 3600, 3),
        "rejected": sum(receipt.rejects_by_reason.values()),
        "cpu_s_outside_examine": round(outside, 3),
        "cpu_us_per_item_outside_examine": round(1e6 * outside / items, 1),
        "manifest_bytes": stage.lot.manifest.stat().st_size,
    }


def label(folder: Path) -> dict[str, Any]:
    """Run the job, or resume it: with one call at a time, so that wall seconds add up."""
    from prelabel.run import Job, Progress, run_job

    stage = _stage(folder)
    meters = {kind: Meter() for kind in Kind}
    started, cpu_started = time.perf_counter(), time.process_time()
    marks: list[Mark] = []

    def mark(progress: Progress) -> None:
        wall, cpu = sum(each.wall_s for each in meters.values()), sum(each.cpu_s for each in meters.values())
        marks.append(Mark(progress.done, time.perf_counter() - wall, time.process_time() - cpu, wall))

    summary = run_job(Job(stage.lot, stage.terms, _predictors(stage, meters)), mark)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    inside = sum(meter.wall_s for meter in meters.values())
    result: dict[str, Any] = {
        "items": summary.items,
        "rejected": summary.rejected,
        "resumed": summary.resumed,
        "seconds_until_first_chunk_is_known": round(marks[0].outside_wall_s + marks[0].inside_wall_s - started, 3),
        "wall_s_outside_predict": round(took - inside, 3),
        "cpu_s_outside_predict": round(cpu - sum(meter.cpu_s for meter in meters.values()), 3),
        "shard_bytes": sum(path.stat().st_size for path in summary.folder.glob("shard-*")),
        "files": sum(1 for _ in summary.folder.iterdir()),
    }
    if not summary.resumed:
        result["by_kind"] = _by_kind(stage, marks)
    return result


def _by_kind(stage: Stage, marks: "list[Mark]") -> dict[str, Any]:
    """Part the time between the first chunk's end and the last one's by kind; chunks come kind by kind."""
    from prelabel.run import read_intake_receipt

    found, before, done = {}, marks[0], 0
    for kind, count in read_intake_receipt(stage.lot).items_by_kind.items():
        done += count
        end = next(each for each in marks if each.done >= done)
        if measured := end.done - before.done:
            found[kind.value] = {
                "wall_us_per_item_outside_predict": round(1e6 * (end.outside_wall_s - before.outside_wall_s) / measured, 1),
                "cpu_us_per_item_outside_predict": round(1e6 * (end.outside_cpu_s - before.outside_cpu_s) / measured, 1),
                "wall_us_per_item_in_predict": round(1e6 * (end.inside_wall_s - before.inside_wall_s) / measured, 1),
            }
        before = end
    return found


def mend(folder: Path) -> dict[str, Any]:
    """Resume after one receipt in a hundred was lost."""
    drafts = next(path for path in _stage(folder).lot.drafts.iterdir() if path.is_dir())
    for receipt in sorted(drafts.glob("receipt-*.json"))[::LOST_ONE_IN]:
        receipt.unlink()
    return label(folder)


def drafts(folder: Path) -> dict[str, Any]:
    """Read all drafts as one set of labels."""
    from prelabel.handoff import read_drafts

    _, labels = read_drafts(_stage(folder).lot)
    return {"labels": {task.value: table.num_rows for task, table in labels.tables.items()}, "bytes": _bytes(labels.tables)}


def _bytes(tables: Any) -> int:
    return sum(table.nbytes for table in tables.values())


def export(folder: Path) -> dict[str, Any]:
    """Export all drafts as JSON lines."""
    from goldgate.cli import run

    out = folder / "exported"
    shutil.rmtree(out, ignore_errors=True)
    where = ["-c", str(ROOT / "configs" / "demo.yaml"), "--lot", LOT, "--work", str(folder / "work")]
    with contextlib.redirect_stdout(io.StringIO()):
        status = run(["export", *where, "--format", "jsonl", "--out", str(out)])
    return {"status": status, "bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file())}


RUNS: Final[dict[str, Callable[[Path], dict[str, Any]]]] = {
    "intake": take_in,
    "job": label,
    "resume": label,
    "mend": mend,
    "drafts": drafts,
    "export": export,
}


def run_stage(name: str, folder: Path) -> None:
    """Run one stage and print what it measured as JSON."""
    started, cpu = time.perf_counter(), time.process_time()
    found = RUNS[name](folder)
    found = {"seconds": round(time.perf_counter() - started, 3), "cpu_s": round(time.process_time() - cpu, 3)} | found
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(json.dumps(found | {"peak_rss_mib": round(peak / 1024)}) + "\n")


def measure(folder: Path) -> dict[str, Any]:
    """Run all stages one after the other."""
    found = {}
    for name in STAGES:
        command = [sys.executable, __file__, "--stage", name, "--folder", str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
        found[name] = json.loads(done.stdout.splitlines()[-1])
        sys.stderr.write(f"{name}: {json.dumps(found[name])}\n")
    return found


def main() -> None:
    """Make the material, measure, and write benchmarks/results/volume.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="keep material and lot here; material that is there is used again")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "volume.json")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        run_stage(options.stage, options.folder)
        return
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        raw = folder / "raw"
        if not raw.exists():
            raw.mkdir(parents=True)
            make_images(raw, options.images)
            make_texts(raw, options.texts)
            make_videos(raw, round(options.hours * 3600 / VIDEO_SECONDS))
        shutil.rmtree(folder / "work", ignore_errors=True)
        result = {"commit": commit(), "machine": machine(), "stages": measure(folder)}
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
