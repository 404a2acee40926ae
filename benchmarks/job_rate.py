"""Images a second of the pre-label job, in process and through Ray Serve, beside a bare ultralytics loop.

    python benchmarks/job_rate.py [--data ../shared/data] [--copies 4] [--rounds 3]

All three label the same JPEG files with the same YOLO11n (OpenVINO, int8) in one run: after a warm-up, rounds in
turn, median and spread. The bare loop is `YOLO.predict(batch=16)` over the file list and keeps nothing; the job also
writes shards and receipts. Memory is the largest sum of resident sets of this process and its children.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "weights/yolo11n_int8_openvino_model"
PEER_BATCH = 16


@dataclasses.dataclass
class Peak:
    """Largest resident memory while a block runs, sampled ten times a second."""

    mib: float = 0.0

    def __enter__(self) -> "Peak":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.1):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:  # noqa: PERF203 - a process may end while it is looked at
                    continue
            self.mib = max(self.mib, total / 2**20)


def copies_of(images: Path, out: Path, copies: int) -> list[Path]:
    """Write each JPEG `copies` times with another comment, so that no two files are equal, and return the files."""
    files = []
    for image in sorted(images.glob("*.jpg")):
        data = image.read_bytes()
        for number in range(copies):
            comment = f"copy {number}".encode()
            segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            path = out / f"{image.stem}-{number}.jpg"
            path.write_bytes(data[:2] + segment + data[2:])
            files.append(path)
    return files


def contract_for(weights: Path, out: Path) -> Path:
    """Write a contract whose classes are all those of the weights and return its path."""
    names = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))["names"]
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["contract"] = "JOB-RATE"
    document["guideline"].update(events=[], classes=[{"name": name, "definition": name} for name in names.values()])
    document["volumes"].update(texts=0, video_hours=0)
    document["acceptance"].update(text=None, video=None)
    document["prelabel"] = {"detector": str(weights), "min_score": 0.25, "nms_iou": 0.7, "max_boxes": 300}
    path = out / "contract.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def peer(weights: Path, files: list[Path]) -> Callable[[], int]:
    """Return the bare ultralytics loop."""
    from ultralytics import YOLO

    model = YOLO(str(weights), task="detect")
    sources = [str(path) for path in files]

    def loop() -> int:
        return sum(len(result.boxes) for result in model.predict(sources, batch=PEER_BATCH, stream=True, verbose=False))

    return loop


def jobs(contract: Path, files: Path, work: Path, address: str) -> Iterator[Callable[[], int]]:
    """Yield the job at `address` with its models loaded; each call labels the lot anew."""
    import shutil

    from contract.tables import Kind
    from goldgate.stages import open_stage
    from goldgate.wiring import Where, named_models, wire
    from prelabel.intake import take_in
    from prelabel.run import Job, run_job

    stage = open_stage(contract, "lot", work)
    take_in([str(files)], lot=stage.lot, terms=stage.terms, lot_name="lot")
    names = named_models(stage.terms, [], [Kind.IMAGE])
    with wire(stage.terms, names, Where(address=address)) as wired:
        job = Job(stage.lot, stage.terms, wired.predictors, calls_in_flight=wired.calls_in_flight)

        def once() -> int:
            shutil.rmtree(stage.lot.drafts, ignore_errors=True)
            return run_job(job).labelled

        yield once


def measure(run: Callable[[], int], items: int, rounds: int) -> dict[str, object]:
    """Return the rate of `run` over `items`: median, spread and all rounds, after one warm-up."""
    run()
    rates = []
    with Peak() as peak:
        for _ in range(rounds):
            started = time.perf_counter()
            run()
            rates.append(items / (time.perf_counter() - started))
    return {
        "images_per_s": round(statistics.median(rates), 2),
        "spread": [round(min(rates), 2), round(max(rates), 2)],
        "rounds": [round(rate, 2) for rate in rates],
        "peak_rss_mib": round(peak.mib),
    }


def main() -> None:
    """Measure and write benchmarks/results/job_rate.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    weights = (options.data / WEIGHTS).resolve()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "images").mkdir()
        files = copies_of(options.data / "detection" / "images", home / "images", options.copies)
        contract = contract_for(weights, home)
        rates = {"ultralytics YOLO.predict, batch 16": measure(peer(weights, files), len(files), options.rounds)}
        for address in ("local", "ray"):
            for job in jobs(contract, home / "images", home / address, address):
                rates[f"goldgate job, {address}"] = measure(job, len(files), options.rounds)
    result = {
        "images": len(files),
        "weights": "YOLO11n int8 OpenVINO",
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "load_before": os.getloadavg()},
        "versions": {name: version(name) for name in ("ultralytics-opencv-headless", "openvino", "ray", "torch")},
        "rates": rates,
    }
    (ROOT / "benchmarks" / "results" / "job_rate.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
