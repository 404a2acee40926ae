"""COCO's arrays and figures on a CUDA device beside the CPU, in one run on the same boxes, compared to the bit.

    python benchmarks/score_gpu.py [--images 5000 100000] [--sets s5k/arrays.npz ...] [--vendors 50] [--profile]

Sets are drawn here (--images: about 7 gold boxes and 100 detections an image, 80 classes) or read (--sets: an .npz with
g_ and d_ img, cls, box, and g_area, g_crowd, d_score). Seconds are wall time between two synchronisations, median,
least and most of --repeats runs after warm-up; device_seconds, from CUDA events, are the device's part of it.

    cpu               BoxColumns of both sides in memory, to the twelve figures
    host              the same on the device: gold indexed there, detections copied, evaluated, figures
    host, gold ready  the gold is on the device; detections copied, evaluated, figures
    device            both sides are on the device; evaluated, arrays back on the host, figures
    vendors           --vendors submissions in host memory (three that differ, again and again) against one gold
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qa.coco import cuda_kernel as coco_cuda
from qa.coco import evaluation as coco
from qa.coco import tensors as coco_torch
from qa.pairing.boxes import BoxColumns

CLASSES: Final = 80
DETECTIONS_AN_IMAGE: Final = 100
WIDTH, HEIGHT = 640.0, 480.0
TARGETS: Final = {"host": {5_000: 0.015, 100_000: 0.060}, "vendors": {100_000: 1.5}}  # seconds on one H200; 50 vendors

Floats = NDArray[np.float64]


class Set(NamedTuple):
    """Gold, detections, their scores, and how many classes and images there are."""

    gold: BoxColumns
    detections: BoxColumns
    scores: Floats
    classes: int
    images: int


def _columns(image: NDArray[Any], label: NDArray[Any], boxes: Floats, **more: NDArray[Any]) -> BoxColumns:
    columns = BoxColumns(
        image=image.astype(np.int64),
        label=label.astype(np.int64),
        boxes=np.ascontiguousarray(boxes, dtype=np.float64),
        area=boxes[:, 2] * boxes[:, 3],
        crowd=np.zeros(len(image), dtype=np.bool_),
        row=np.arange(len(image)),
    )
    return dataclasses.replace(columns, **more)


def _boxes(generator: np.random.Generator, count: int) -> Floats:
    sides = np.exp(generator.normal(3.7, 1.05, (count, 1)) + generator.normal(0, 0.3, (count, 2)))
    sides = sides.clip(4, [0.98 * WIDTH, 0.98 * HEIGHT])
    return np.concatenate([generator.random((count, 2)) * ([WIDTH, HEIGHT] - sides), sides], axis=1)


def _moved(generator: np.random.Generator, boxes: Floats, share: float) -> Floats:
    return boxes + generator.normal(0, share, boxes.shape) * np.tile(boxes[:, 2:], 2)


def draw(images: int, seed: int = 0) -> Set:
    """Draw a set as described above: jittered, doubled and confused detections of the gold, the rest noise."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, CLASSES + 1) ** 0.9
    weights /= weights.sum()
    per_image = generator.lognormal(1.55, 0.95, images).round().astype(np.int64).clip(0, 90)
    image = np.repeat(np.arange(images), per_image)
    themes = generator.choice(CLASSES, (images, 4), p=weights)
    label = themes[image, np.minimum(generator.geometric(0.45, len(image)) - 1, 3)]
    boxes = _boxes(generator, len(image)).round(2)
    gold = _columns(
        image,
        label,
        boxes,
        area=boxes[:, 2] * boxes[:, 3] * generator.uniform(0.45, 0.85, len(image)),
        crowd=generator.random(len(image)) < 0.012,
    )
    picks = [np.flatnonzero(generator.random(len(image)) < share) for share in (0.85, 0.6, 0.6)]
    found = np.concatenate(picks)
    label_found = np.where(generator.random(len(found)) < 0.05, generator.choice(CLASSES, len(found)), label[found])
    score_found = np.concatenate(
        [generator.beta(a, b, len(pick)) for pick, (a, b) in zip(picks, ((4, 2), (1, 8), (1, 8)), strict=True)]
    )
    rest = np.maximum(DETECTIONS_AN_IMAGE - np.bincount(image[found], minlength=images), 0)
    noise = np.repeat(np.arange(images), rest)
    own_theme = generator.random(len(noise)) < 0.5
    label_noise = np.where(
        own_theme, themes[noise, generator.integers(0, 4, len(noise))], generator.choice(CLASSES, len(noise), p=weights)
    )
    all_images = np.concatenate([image[found], noise])
    scores = np.concatenate([score_found, generator.beta(1, 14, len(noise))]).round(5)
    order = np.lexsort((-scores, all_images))
    detections = _columns(
        all_images[order],
        np.concatenate([label_found, label_noise])[order],
        np.concatenate([_moved(generator, boxes[found], 0.07), _boxes(generator, len(noise))])[order].round(3),
    )
    return Set(gold, detections, scores[order], CLASSES, images)


def read(path: Path) -> Set:
    """Read a set from the arrays of an .npz; ids of images and classes may be any."""
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    images = np.unique(np.concatenate([held["g_img"], held["d_img"]]))
    classes = np.unique(np.concatenate([held["g_cls"], held["d_cls"]]))
    sides = [
        _columns(
            np.searchsorted(images, held[f"{side}_img"]), np.searchsorted(classes, held[f"{side}_cls"]), held[f"{side}_box"]
        )
        for side in "gd"
    ]
    gold = dataclasses.replace(sides[0], area=held["g_area"].astype(np.float64), crowd=held["g_crowd"].astype(np.bool_))
    return Set(gold, sides[1], held["d_score"].astype(np.float64), len(classes), int(held.get("n_img", len(images))))


class Clock:
    """Times runs on a device."""

    def __init__(self, device: str, repeats: int) -> None:
        self.device = device
        self.repeats = repeats

    def measure(self, run: Callable[[], object], *, repeats: int | None = None) -> dict[str, Any]:
        """Run twice to warm up, then under the clock."""
        runs = repeats or self.repeats
        first = self._once(run)[0]
        self._once(run)
        walls, devices = zip(*(self._once(run) for _ in range(runs)), strict=True)
        answer = {"seconds": self._spread(walls), "first_seconds": round(first, 6), "runs": runs}
        return answer | ({"device_seconds": self._spread(devices)} if self.device == "cuda" else {})

    def _once(self, run: Callable[[], object]) -> tuple[float, float]:
        if self.device != "cuda":
            begun = time.perf_counter()
            run()
            return time.perf_counter() - begun, 0.0
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        begun = time.perf_counter()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return time.perf_counter() - begun, start.elapsed_time(end) / 1000

    @staticmethod
    def _spread(seconds: tuple[float, ...]) -> dict[str, float]:
        return {name: round(of(seconds), 6) for name, of in (("median", statistics.median), ("min", min), ("max", max))}


def measure(one: Set, clock: Clock, options: argparse.Namespace) -> dict[str, Any]:
    """Measure every row of one set and compare the arrays."""
    gold, detections, scores, classes, _ = one

    def on_cpu() -> coco.CocoArrays:
        return coco.evaluate(gold, detections, scores=scores, classes=classes)

    def on_device() -> coco.CocoArrays:
        return coco_torch.evaluate(gold, detections, scores=scores, classes=classes, device=clock.device)

    results: dict[str, Any] = {
        "cpu": Clock("cpu", options.cpu_repeats).measure(lambda: coco.figures(on_cpu())),
        "host": clock.measure(lambda: coco.figures(on_device())),
    }
    ready = coco_torch.index(gold, classes=classes, device=clock.device)
    results["host, gold ready"] = clock.measure(
        lambda: coco.figures(coco_torch.evaluate_against(ready, detections, scores=scores))
    )
    there = coco_torch.upload(detections, scores, device=ready.device)
    results["device"] = clock.measure(lambda: coco.figures(coco_torch.evaluate_uploaded(ready, there)))
    results["copy of the detections"] = clock.measure(lambda: coco_torch.upload(detections, scores, device=ready.device))
    if options.profile:
        results["profile"] = _profile(lambda: coco_torch.evaluate_uploaded(ready, there), clock.device)
    results["vendors"] = _vendors(one, ready, clock, options.vendors)
    expected, ours = on_cpu(), on_device()
    results["identical"] = {
        name: bool(np.array_equal(getattr(ours, name), getattr(expected, name), equal_nan=True))
        for name in ("precision", "recall")
    }
    return results


def _vendors(one: Set, ready: coco_torch.GoldOnDevice, clock: Clock, vendors: int) -> dict[str, Any]:
    generator = np.random.default_rng(1)
    different = [(one.detections, one.scores)]
    for _ in range(2):
        moved = dataclasses.replace(one.detections, boxes=_moved(generator, one.detections.boxes, 0.02))
        different.append((moved, (one.scores + generator.normal(0, 0.02, len(one.scores))).round(5)))

    def run() -> None:
        submissions: Iterator[tuple[BoxColumns, Floats]] = itertools.islice(itertools.cycle(different), vendors)
        for arrays in coco_torch.evaluate_many(ready, submissions):
            coco.figures(arrays)

    return {"vendors": vendors, **clock.measure(run, repeats=3)}


def _profile(run: Callable[[], object], device: str) -> list[dict[str, Any]]:
    """Return the twenty operations that take longest on the device."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if device == "cuda" else []
    with torch.profiler.profile(activities=kinds) as profiler:
        run()
    rows = [
        {
            "operation": row.key,
            "calls": row.count,
            "device_ms": round(row.self_device_time_total / 1000, 3),
            "cpu_ms": round(row.self_cpu_time_total / 1000, 3),
        }
        for row in profiler.key_averages()
    ]
    return sorted(rows, key=lambda row: (-row["device_ms"], -row["cpu_ms"]))[:20]


def _against_targets(results: dict[str, Any], images: int, vendors: int) -> dict[str, Any]:
    answer = {}
    for row, by_images in TARGETS.items():
        target = by_images.get(images)
        if target is not None and (row != "vendors" or vendors == 50):
            median = results[row]["seconds"]["median"]
            answer[row] = {"target_seconds": target, "median_seconds": median, "reached": median <= target}
    return answer


def machine(device: str) -> dict[str, Any]:
    """Describe the machine."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    answer = {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": device,
    }
    if device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory
        answer |= {"gpu": torch.cuda.get_device_name(0), "gpu_memory_gib": round(memory / 2**30, 1)}
        answer["matching"] = "kernel" if coco_cuda.kernel_is_there() else "rounds"
    return answer


def main() -> None:
    """Measure every set and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[5_000, 100_000])
    parser.add_argument("--sets", type=Path, nargs="*", default=[])
    parser.add_argument("--vendors", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--cpu-repeats", type=int, default=3)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu only tries this script out")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "score_gpu.json")
    options = parser.parse_args()
    clock = Clock(options.device, options.repeats)
    document: dict[str, Any] = {"protocol": __doc__, "machine": machine(options.device), "sets": {}}
    sources: list[tuple[str, Callable[[], Set]]] = [(f"drawn, {n} images", partial(draw, n)) for n in options.images]
    sources += [(str(path), partial(read, path)) for path in options.sets]
    for name, source in sources:
        one = source()
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        results = measure(one, clock, options)
        if options.device == "cuda":
            results["peak_device_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
            results["targets"] = _against_targets(results, one.images, options.vendors)
        size = {"images": one.images, "gold": len(one.gold), "detections": len(one.detections)}
        document["sets"][name] = {"size": size, **results}
        print(name, json.dumps(document["sets"][name], indent=1), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
