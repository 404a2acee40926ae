"""Every exchange format with boxes, written and read at the size of a contract: seconds, memory, files and bytes.

    python benchmarks/formats.py [--images 100000] [--boxes 500000] [--formats coco yolo ...] [--data FOLDER] [--out FILE]

Each format is written in one fresh process and read in another; peak_rss_mib is that process's largest resident memory,
base_rss_mib what it had before. The labels that are read must be those that were written, or the run fails.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

ROOT: Final = Path(__file__).resolve().parents[1]
FORMATS: Final = ("coco", "cvat", "yolo", "yolo-darknet", "voc", "xanylabeling", "jsonl", "labelstudio")
SIZE: Final = (1920, 1080)


def lot_and_labels(images: int, boxes: int) -> tuple[Any, Any]:
    """Return a lot of `images` in a hundred folders, and `boxes` drafts of theirs, one image in twenty without any."""
    from contract.formats.lotview import LotView
    from contract.labelset import LabelSet
    from contract.tables import ITEMS, SCHEMAS, STATES, Task
    from contract.terms import load_terms

    guideline = load_terms(ROOT / "configs" / "demo.yaml").guideline
    names = [f"shelf-{number % 100:02d}/IMG_{number:08d}.jpg" for number in range(images)]
    rng = np.random.default_rng(0)
    at = np.sort(rng.choice(np.setdiff1d(np.arange(images), np.arange(0, images, 20)), boxes))
    has = np.zeros(images, np.bool_)
    has[at] = True
    facts: dict[str, Any] = {
        "item": names,
        "kind": ["image"] * images,
        "uri": [f"/data/{name}" for name in names],
        "sha256": [f"{number:064x}" for number in range(images)],
        "bytes": [1] * images,
        "width": [SIZE[0]] * images,
        "height": [SIZE[1]] * images,
        "state": ["missing"] * images,
    }
    items = pa.table({field.name: pa.array(facts.get(field.name, [None] * images), field.type) for field in ITEMS})
    sizes = [rng.uniform(8, side / 2, boxes) for side in SIZE]
    corners = [rng.uniform(0, 1, boxes) * (side - size) for side, size in zip(SIZE, sizes, strict=True)]
    columns: dict[str, Any] = {
        "item": pa.array(names).take(pa.array(at)),
        "label": pa.array(guideline.class_names).take(pa.array(rng.integers(0, len(guideline.class_names), boxes))),
        **dict(zip("xywh", (*corners, *sizes), strict=True)),
        "score": rng.uniform(0.25, 1, boxes),
        "source": ["yolo11n@0123456789ab"] * boxes,
    }
    schema = SCHEMAS[Task.BOXES]
    arrays = {field.name: pa.array(columns.get(field.name, [None] * boxes), field.type) for field in schema}
    table = pa.table(arrays, schema=schema)
    states = pa.table({"item": names, "kind": facts["kind"], "state": np.where(has, "labelled", "empty")}, schema=STATES)
    return LotView(items, guideline, {}, "yolo11n@0123456789ab"), LabelSet(states, {Task.BOXES: table})


def measure(way: str, name: str, folder: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Write or read one format and return what it took."""
    from functools import partial

    from contract.formats.labelstudio import tasks as labelstudio
    from contract.formats.registry import exchange

    lot, labels = lot_and_labels(*size)
    form = exchange(name)
    lot.rows  # noqa: B018 (every command has them already)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.perf_counter()
    if way == "write":
        paths = form.write(folder, labels, lot)
        seconds = time.perf_counter() - begin
        found: dict[str, Any] = {"files": len(paths), "mib": round(sum(path.stat().st_size for path in paths) / 2**20, 1)}
    else:
        read = partial(labelstudio.read, predictions=True) if name == "labelstudio" else form.read
        back = read(folder, lot)
        seconds = time.perf_counter() - begin
        found = {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if way == "read" and not same(back, labels):
        raise SystemExit(f"{name}: what was read is not what was written")
    return {"seconds": round(seconds, 2), "peak_rss_mib": round(peak), "base_rss_mib": round(base), **found}


def same(one: Any, other: Any) -> bool:
    """Return whether two label sets hold the same boxes, in order, and the same states."""
    from contract.tables import Task

    states = [labels.states.sort_by("item").combine_chunks() for labels in (one, other)]
    return bool(states[0].equals(states[1]) and one.table(Task.BOXES).combine_chunks().equals(other.table(Task.BOXES)))


def in_process(way: str, name: str, folder: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--one", way, name, str(folder), "--images", str(size[0]), "--boxes", str(size[1])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> int:
    """Measure the formats and write the result file after each."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--boxes", type=int, default=500_000)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--data", type=Path, help="a folder on the disk that is to be measured")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "formats.json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = arguments.images, arguments.boxes
    if arguments.one:
        way, name, folder = arguments.one
        print(json.dumps(measure(way, name, Path(folder), size)))
        return 0
    document: dict[str, Any] = {
        "what": "a lot's drafts written in each format and read again, bit for bit",
        "protocol": "python benchmarks/formats.py; a fresh process each",
        "images": size[0],
        "boxes": size[1],
        "machine": {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
        "formats": {},
    }
    for name in arguments.formats:
        with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
            place = Path(folder) / "out"
            document["formats"][name] = {way: in_process(way, name, place, size) for way in ("write", "read")}
        print(name, json.dumps(document["formats"][name]), flush=True)
        arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
