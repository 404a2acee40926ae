"""Seconds of the contract's reading of boxes (matching, defects, limits) at 1,000, 10,000 and 100,000 images.

    python benchmarks/score_contract.py [--images 1000 10000 100000] [--rounds 5]

Gold comes from shared/tools/synth_coco.py (COCO-like: 7.3 boxes an image, 80 classes); the vendor's boxes are the
gold's, jittered by a few percent, 3 % dropped, 3 % added, 2 % of another class, 1 % doubled, 2 % loose. They carry no
scores, so that COCO's reading is not in the figures. Every size runs in a process of its own, which reads both sides
from Parquet: after a warm-up (which also compiles), rounds in turn, median and spread. Memory is that process' peak.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.labelset import LabelSet, read_labels, write_labels
from contract.tables import SCHEMAS, STATES, Task, conform

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT.parent / "shared" / "tools" / "synth_coco.py"
WIDTH, HEIGHT, CLASSES = 640, 480, 80


def gold_of(generator: Path, images: int) -> dict[str, NDArray[Any]]:
    """Return the generator's gold as arrays: image, label, boxes, area, crowd."""
    spec = importlib.util.spec_from_file_location("synth_coco", generator)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{generator} is no Python file; name the generator with --generator")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.make(n_img=images, dets=0)
    place = np.searchsorted(np.array(module.COCO_IDS), made["g_cls"])
    return {
        "image": made["g_img"] - 1,
        "label": place,
        "boxes": made["g_box"],
        "area": made["g_area"],
        "crowd": made["g_crowd"] == 1,
    }


def vendor_of(gold: dict[str, NDArray[Any]], images: int) -> dict[str, NDArray[Any]]:
    """Return what a vendor of middling care makes of the gold, in no order."""
    generator = np.random.default_rng(1)
    seen = np.flatnonzero((generator.random(gold["image"].size) >= 0.03) & ~gold["crowd"])
    again = seen[generator.random(seen.size) < 0.01]
    source = np.concatenate([seen, again])
    image, label = gold["image"][source], gold["label"][source].copy()
    confused = generator.random(source.size) < 0.02
    label[confused] = generator.integers(0, CLASSES, int(confused.sum()))
    spread = np.where(generator.random(source.size) < 0.02, 0.4, 0.03)
    boxes = _jittered(generator, gold["boxes"][source], spread)
    extra = round(0.03 * seen.size)
    image = np.concatenate([image, generator.integers(0, images, extra)])
    label = np.concatenate([label, generator.integers(0, CLASSES, extra)])
    boxes = np.concatenate([boxes, _jittered(generator, generator.permutation(gold["boxes"])[:extra], 0.5)])
    order = generator.permutation(image.size)
    return {"image": image[order], "label": label[order], "boxes": boxes[order].round(2)}


def _jittered(generator: np.random.Generator, boxes: NDArray[Any], spread: Any) -> NDArray[Any]:
    """Return boxes moved and stretched by about `spread` of their sides, within the picture."""
    noise = generator.normal(size=boxes.shape) * np.reshape(spread, (-1, 1))
    x, y = boxes[:, 0] + noise[:, 0] * boxes[:, 2], boxes[:, 1] + noise[:, 1] * boxes[:, 3]
    x, y = x.clip(0, WIDTH - 1), y.clip(0, HEIGHT - 1)
    w, h = boxes[:, 2] * np.exp(noise[:, 2]), boxes[:, 3] * np.exp(noise[:, 3])
    return np.stack([x, y, w.clip(1, WIDTH - x), h.clip(1, HEIGHT - y)], axis=1)


def label_set(side: dict[str, NDArray[Any]], images: int) -> LabelSet:
    """Return arrays as a label set, every image labelled."""
    names = pa.array([f"class-{number:02}" for number in range(CLASSES)])
    items = pa.array([f"image-{number:06}" for number in range(images)])
    columns: dict[str, Any] = {name: side["boxes"][:, place] for place, name in enumerate("xywh")}
    optional: dict[str, Any] = {name: side[name] for name in ("area", "crowd") if name in side}
    texts = {"item": items.take(pa.array(side["image"])), "label": names.take(pa.array(side["label"]))}
    table = pa.table({**texts, **columns, **optional})
    fixed = {"item": items, "kind": pa.array(["image"] * images), "state": pa.array(["labelled"] * images)}
    return LabelSet(pa.table(fixed, schema=STATES), {Task.BOXES: conform(table, SCHEMAS[Task.BOXES])})


def stages(folder: Path) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """Return the stages of a score of the sets in `folder`, each on its own, and the sizes."""
    from qa import defaults
    from qa.pairing.boxes import read_boxes
    from qa.pairing.boxgold import compare, prepare_gold
    from qa.pairing.defects import find_defects
    from qa.score import score_boxes

    gold, labels = read_labels(folder / "gold"), read_labels(folder / "labels")
    profile = defaults.IMAGE
    prepared = prepare_gold(gold)
    submitted = compare(labels, prepared)
    reading = read_boxes(submitted.gold_ordered, submitted.labels_ordered, profile=profile)
    sizes = {"gold_boxes": len(submitted.gold), "vendor_boxes": len(submitted.labels)}
    return {
        "read Parquet": lambda: (read_labels(folder / "gold"), read_labels(folder / "labels")),
        "score, all": lambda: score_boxes(labels, gold, profile),
        "score, gold prepared before": lambda: score_boxes(labels, prepared, profile),
        "gold prepared": lambda: prepare_gold(gold).ordered,
        "submission prepared": lambda: compare(labels, prepared).labels_ordered,
        "matching": lambda: read_boxes(submitted.gold_ordered, submitted.labels_ordered, profile=profile),
        "defects": lambda: find_defects(reading, profile),
    }, sizes


def child(folder: Path, rounds: int) -> None:
    """Measure the sets in `folder` and write JSON to standard output."""
    calls, sizes = stages(folder)
    result: dict[str, Any] = {**sizes, "seconds": {}}
    for name, call in calls.items():
        call()
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        result["seconds"][name] = {
            "median": round(statistics.median(seconds), 4),
            "spread": [round(min(seconds), 4), round(max(seconds), 4)],
        }
    result["peak_rss_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    sys.stdout.write(json.dumps(result))


def measure(generator: Path, images: int, rounds: int) -> dict[str, Any]:
    """Return the figures of one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gold = gold_of(generator, images)
        for side, arrays in (("gold", gold), ("labels", vendor_of(gold, images))):
            (folder / side).mkdir()
            write_labels(folder / side, label_set(arrays, images))
        command = [sys.executable, __file__, "--child", name, "--rounds", str(rounds)]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    """Measure and write benchmarks/results/score_contract.json, or another file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", type=Path, default=GENERATOR)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "score_contract.json")
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.rounds)
        return
    before = os.getloadavg()
    result = {
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "load_before": before},
        "versions": {name: version(name) for name in ("numpy", "numba", "pyarrow", "scipy")},
        "rounds": options.rounds,
        "images": {str(images): measure(options.generator, images, options.rounds) for images in options.images},
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
