"""One evaluator at one task in a process of its own: benchmarks/score.py starts it and reads its last line.

Its only argument is JSON, of either form:

    {"task": "prepare", "folder": "s5k", "images": 5000, "generator": "synth_coco.py"}
    {"task": "arrays", "evaluator": "hotcoco", "folder": "s5k", "repeats": 5, "warm_up": true}
"""

import hashlib
import importlib.util
import json
import os
import resource
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from benchmarks.evaluators.frame import FIGURES, Floats, Outcome, Prepared, Set

_PACKAGES: Final = MappingProxyType(
    {
        "goldgate": ("numpy", "numba", "pyarrow"),
        "torchmetrics": ("torchmetrics", "torch", "pycocotools", "faster-coco-eval"),
    }
)


def prepare(folder: Path, images: int, generator: Path) -> dict[str, Any]:
    """Write the set of `images` images into `folder`, as far as it is not there, and say what it holds."""
    if not (folder / "arrays.npz").exists() or not (folder / "dt.json").exists():
        spec = importlib.util.spec_from_file_location("generator", generator)
        if spec is None or spec.loader is None or not generator.exists():
            raise FileNotFoundError(f"{generator}: no such file; name the generator of the sets with --generator")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.write(module.make(images), str(folder))
    with np.load(folder / "arrays.npz") as arrays:
        sizes = {"images": int(arrays["n_img"]), "gold": len(arrays["g_img"]), "detections": len(arrays["d_img"])}
        sizes["crowd"] = int(arrays["g_crowd"].sum())
    about = folder / "about.json"
    if not about.exists():
        categories = json.loads((folder / "gt.json").read_text(encoding="utf-8"))["categories"]
        ids = sorted(category["id"] for category in categories)
        about.write_text(json.dumps({"images": sizes["images"], "classes": ids}), encoding="utf-8")
    if not (folder / "parquet" / "labels" / "boxes.parquet").exists():
        from benchmarks.evaluators.ours import write_tables

        write_tables(Set.at(folder))
    return {
        **sizes,
        "classes": len(Set.at(folder).classes),
        "json_mib": round((folder / "dt.json").stat().st_size / 2**20, 1),
    }


def evaluate(task: str, evaluator: str, one: Set, *, repeats: int, warm_up: bool) -> dict[str, Any]:
    """Run the evaluator and describe what it took and gave; the peak of memory is that of this whole process."""
    prepared = _runs(evaluator)[task, evaluator](one)
    before = _peak_mib()
    first = _without_curves(prepared.run()) if warm_up else None
    outcomes = [_without_curves(prepared.run()) for _ in range(repeats - 1)]
    last = prepared.run()
    seconds = [sum(outcome.laps.parts.values()) for outcome in (*outcomes, last)]
    return {
        "seconds": round(statistics.median(seconds), 4),
        "spread": [round(min(seconds), 4), round(max(seconds), 4)],
        "runs": [round(value, 4) for value in seconds],
        "first_seconds": round(sum(first.laps.parts.values()), 4) if first else None,
        "parts": {
            part: round(statistics.median(outcome.laps.parts[part] for outcome in (*outcomes, last)), 4)
            for part in last.laps.parts
        },
        "processor_seconds": round(statistics.median(outcome.laps.busy for outcome in (*outcomes, last)), 4),
        "peak_rss_mib": round(_peak_mib()),
        "peak_rss_before_mib": round(before),
        **({"figures": dict(zip(FIGURES, last.figures, strict=True))} if last.figures else {}),
        **{f"{name}_sha256": _digest(curve) for name, curve in (("precision", last.precision), ("recall", last.recall))},
        **last.more,
        "versions": _versions(evaluator.split(",")[0]),
        "note": prepared.note,
    }


def _runs(evaluator: str) -> MappingProxyType[tuple[str, str], Callable[[Set], Prepared]]:
    """Return the table that holds `evaluator`; only ours imports goldgate, which the peers' interpreter may lack."""
    if evaluator.startswith("goldgate"):
        from benchmarks.evaluators import ours

        return ours.RUNS
    from benchmarks.evaluators import peers

    return peers.RUNS


def _without_curves(outcome: Outcome) -> Outcome:
    outcome.precision = outcome.recall = None
    return outcome


def _digest(curve: Floats | None) -> str | None:
    """Return the SHA-256 of an array's doubles, undefined ones as pycocotools writes them."""
    if curve is None:
        return None
    doubles = np.where(np.isnan(curve), -1.0, curve)
    return hashlib.sha256(np.ascontiguousarray(doubles, dtype="<f8").tobytes()).hexdigest()


def _peak_mib() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _versions(package: str) -> dict[str, str]:
    return {name: _version(name) for name in _PACKAGES.get(package, (package, "numpy"))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def main() -> None:
    """Do what the first argument says and write the answer as the only line of standard output."""
    order = json.loads(sys.argv[1])
    answer_to = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # evaluators print, some of them from compiled code
    try:
        if order["task"] == "prepare":
            answer = prepare(Path(order["folder"]), order["images"], Path(order["generator"]))
        else:
            one = Set.at(Path(order["folder"]))
            answer = evaluate(order["task"], order["evaluator"], one, repeats=order["repeats"], warm_up=order["warm_up"])
    except ModuleNotFoundError as error:
        answer = {"absent": f"{error}"}
    except FileNotFoundError as error:
        answer = {"failed": f"{error}"}
    answer_to.write(json.dumps(answer) + "\n")
    answer_to.close()


if __name__ == "__main__":
    main()
