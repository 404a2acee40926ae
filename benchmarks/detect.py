"""Images a second from JPEG on disk to Parquet on disk: the pre-label job beside what people run today.

    python benchmarks/detect.py [--data ../shared/data] [--weights PATH] [--device cpu] [--copies 4] [--rounds 3] [--no-ray]

All label the same JPEG files with the same weights (YOLO11n, OpenVINO, int8 unless told otherwise) in one run: after a
warm-up, rounds in turn, median and spread.

- `YOLO.predict(batch=16)` over the list of files, which keeps nothing;
- one picture a call, as a backend of label-studio-ml does it: opened by Pillow, predicted, its boxes as a list of results;
- the bare pipeline: goldgate's detector on lists of 128 files, its answers kept in memory;
- goldgate's job in this process, and through Ray Serve, which also writes shards and receipts.

Memory is the largest sum of resident sets of this process and its children.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "weights/yolo11n_int8_openvino_model"
PEER_BATCH = 16
PACKAGES = ("ultralytics-opencv-headless", "openvino", "ray", "torch", "simplejpeg")


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
    from models.exports import read_facts

    names = read_facts(weights).names
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["contract"] = "DETECT"
    document["guideline"].update(events=[], classes=[{"name": name, "definition": name} for name in names.values()])
    document["volumes"].update(texts=0, video_hours=0)
    document["acceptance"].update(text=None, video=None)
    document["prelabel"] = {"detector": str(weights), "min_score": 0.25, "nms_iou": 0.7, "max_boxes": 300}
    path = out / "contract.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def peer(weights: Path, files: list[Path], device: str) -> Callable[[], int]:
    """Return the bare ultralytics loop."""
    from ultralytics import YOLO

    model = YOLO(str(weights), task="detect")
    sources = [str(path) for path in files]
    options = {"batch": PEER_BATCH, "stream": True, "verbose": False, "device": device}

    def loop() -> int:
        return sum(len(result.boxes) for result in model.predict(sources, **options))

    return loop


def one_by_one(weights: Path, files: list[Path], device: str) -> Callable[[], int]:
    """Return a loop of single calls, each with the results that a review tool is sent."""
    from PIL import Image
    from ultralytics import YOLO

    model = YOLO(str(weights), task="detect")

    def call(path: Path) -> list[dict[str, Any]]:
        with Image.open(path) as image:
            (found,) = model.predict(image, verbose=False, device=device)
        shares = 100 * found.boxes.xyxyn.cpu().numpy()
        rows = zip(shares.tolist(), found.boxes.conf.tolist(), found.boxes.cls.tolist(), strict=True)
        return [
            {
                "type": "rectanglelabels",
                "score": score,
                "value": {
                    "x": x1,
                    "y": y1,
                    "width": x2 - x1,
                    "height": y2 - y1,
                    "rectanglelabels": [found.names[int(kind)]],
                },
            }
            for (x1, y1, x2, y2), score, kind in rows
        ]

    return lambda: sum(len(call(path)) for path in files)


def bare(weights: Path, files: list[Path], device: str) -> Callable[[], int]:
    """Return the detector alone, on lists of files as long as the job's."""
    from contract.predictor import Source
    from contract.tables import Kind
    from models.detector import from_entry
    from models.registry import ModelEntry
    from prelabel.plan import CHUNK_ITEMS

    settings = {"conf": 0.25, "iou": 0.7, "max_det": 300}
    detector = from_entry(ModelEntry(name="bare", kind=Kind.IMAGE, loader="ultralytics", path=weights, settings=settings))
    detector.load(device)
    sources = [Source(path.name, Kind.IMAGE, str(path)) for path in files]
    step = CHUNK_ITEMS[Kind.IMAGE]

    def loop() -> int:
        answers = [detector.predict(sources[start : start + step]) for start in range(0, len(sources), step)]
        return sum(answer.num_rows for answer in answers)

    return loop


def jobs(contract: Path, files: Path, work: Path, where: tuple[str, str]) -> Iterator[Callable[[], int]]:
    """Yield the job `where` (address, device) with its models loaded; each call labels the lot anew."""
    import shutil

    from contract.tables import Kind
    from goldgate.stages import open_stage
    from goldgate.wiring import Where, named_models, wire
    from prelabel.intake import take_in
    from prelabel.run import Job, run_job

    stage = open_stage(contract, "lot", work)
    take_in([str(files)], lot=stage.lot, terms=stage.terms, lot_name="lot")
    names = named_models(stage.terms, [], [Kind.IMAGE])
    with wire(stage.terms, names, Where(*where)) as wired:
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


def rates_of(options: argparse.Namespace, home: Path) -> dict[str, dict[str, object]]:
    """Return the rates of all sides by name."""
    weights, device = (options.weights or options.data / WEIGHTS).resolve(), options.device
    (home / "images").mkdir()
    files = copies_of(options.data / "detection" / "images", home / "images", options.copies)
    contract = contract_for(weights, home)
    rates = {}
    for name, side in (
        ("ultralytics YOLO.predict, batch 16", peer),
        ("one picture a call", one_by_one),
        ("goldgate's detector alone", bare),
    ):
        rates[name] = measure(side(weights, files, device), len(files), options.rounds)
        print(name, rates[name], flush=True)
    for address in ("local",) if options.no_ray else ("local", "ray"):
        for job in jobs(contract, home / "images", home / address, (address, device)):
            rates[f"goldgate job, {address}"] = measure(job, len(files), options.rounds)
            print(address, rates[f"goldgate job, {address}"], flush=True)
    return rates


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--weights", type=Path, default=None, help="that Ultralytics loads; the data's own if left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "detect.json")
    options = parser.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        rates = rates_of(options, Path(folder))
    result = {
        "images": 64 * options.copies,
        "weights": str(options.weights.name) if options.weights else "YOLO11n int8 OpenVINO",
        "device": options.device,
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "load_before": before},
        "versions": {name: version(name) for name in PACKAGES},
        "rates": rates,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
