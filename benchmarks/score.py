"""COCO's twelve figures by goldgate and by its peers, side by side in one run: seconds, memory, and whether they agree.

    python benchmarks/score.py --peers-python PEERS/bin/python --images 5000 100000 --growth 1000 10000 --data FOLDER
    python benchmarks/score.py --quick [--peers-python PEERS/bin/python]

PEERS is an environment with the peers: pip install pycocotools faster-coco-eval hotcoco ultrafast-pycocotools vernier
torchmetrics torch torchvision. One that is absent is named as absent. Each measurement runs in a fresh process: what is
ready before its clock starts and what is timed is in its note; peak_rss_mib is that process's largest resident memory.
The sets are made by --generator (functions make and write) into --data, where they stay; else into a folder that goes.

    arrays    from arrays to the figures            vendors   several submissions against one gold
    json      from COCO JSON files                  contract  the contract's reading, which no peer has
    parquet   from our Parquet files
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PEERS: Final = (
    "ultrafast-pycocotools",
    "hotcoco",
    "vernier",
    "faster-coco-eval",
    "torchmetrics, faster_coco_eval",
    "torchmetrics, pycocotools",
    "pycocotools",
)
TASKS: Final = {
    "arrays": ("goldgate", "goldgate, from ids", *PEERS),
    "json": ("goldgate", *(peer for peer in PEERS if not peer.startswith("torchmetrics"))),  # it reads no files
    "parquet": ("goldgate",),
    "vendors": ("goldgate",),
    "contract": ("goldgate, every box", "goldgate, score >= 0.3"),
}
OF_OBJECTS: Final = ("pycocotools", "faster-coco-eval", "torchmetrics")  # an object a box
MOST_IMAGES_OF_OBJECTS: Final = 20_000
SETTINGS: Final = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE")


class Order(NamedTuple):
    """A measurement to make."""

    task: str
    evaluator: str
    images: int

    @property
    def repeats(self) -> int:
        """Runs under the clock: more where one is short."""
        if self.evaluator in ("pycocotools", "torchmetrics, pycocotools"):
            return 1
        if self.images <= 5_000:
            return 5
        return 3 if self.evaluator.startswith("goldgate") and self.task != "vendors" else 1

    @property
    def warm_up(self) -> bool:
        """Whether a run off the clock comes first: always where several follow."""
        return self.repeats > 1

    @property
    def why_not(self) -> str | None:
        """Why it is not made, or None."""
        if self.images > MOST_IMAGES_OF_OBJECTS and self.evaluator.split(",")[0] in OF_OBJECTS:
            return f"above {MOST_IMAGES_OF_OBJECTS:,} images its objects need more memory than the machines here have"
        return None


class Bench:
    """Starts the processes, and keeps the document on disk as it grows."""

    def __init__(self, options: argparse.Namespace, data: Path) -> None:
        self.options = options
        self.data = data
        self.sets: dict[str, dict[str, Any]] = {}
        self.results: dict[str, dict[str, dict[str, Any]]] = {}

    def folder(self, images: int) -> Path:
        """Return where the set of `images` images lies."""
        return self.data / (f"s{images // 1000}k" if images % 1000 == 0 else f"s{images}")

    def prepare(self, images: int) -> None:
        """Have the set made.

        Raises:
            SystemExit: it cannot be made.
        """
        if str(images) in self.sets:
            return
        order = {"task": "prepare", "images": images, "generator": str(self.options.generator)}
        answer = self._ask(sys.executable, {**order, "folder": str(self.folder(images))})
        if "images" not in answer:
            raise SystemExit(f"the set of {images} images: {answer}")
        self.sets[str(images)] = answer

    def measure(self, order: Order) -> None:
        """Make one measurement and file it under task, images and evaluator."""
        self.prepare(order.images)
        result: dict[str, Any]
        if order.why_not:
            result = {"not_run": order.why_not}
        else:
            python = sys.executable if order.evaluator.startswith("goldgate") else self.options.peers_python
            load = os.getloadavg()[0]
            sent = {"task": order.task, "evaluator": order.evaluator, "folder": str(self.folder(order.images))}
            repeats = self.options.repeats or order.repeats if order.warm_up else 1
            result = self._ask(python, {**sent, "repeats": repeats, "warm_up": order.warm_up})
            result["load_average_before"] = round(load, 2)
        self.results.setdefault(order.task, {}).setdefault(str(order.images), {})[order.evaluator] = result
        said = {key: value for key, value in result.items() if key in SAID}
        print(f"{order.images:>7} {order.task:<8} {order.evaluator:<31} {json.dumps(said)}", flush=True)

    def _ask(self, python: str, order: dict[str, Any]) -> dict[str, Any]:
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [python, "-m", "benchmarks.evaluators.child", json.dumps(order)]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": paths},
                capture_output=True,
                text=True,
                timeout=self.options.limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"stopped after {self.options.limit} s"}
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            return {"failed": f"ended with {done.returncode} (-9 is usually a lack of memory): {last}"}
        return dict(json.loads(done.stdout.splitlines()[-1]))


SAID: Final = (
    "seconds",
    "spread",
    "first_seconds",
    "parts",
    "peak_rss_mib",
    "not_run",
    "absent",
    "failed",
    "seconds_a_vendor",
)


def orders(images: Sequence[int], growth: Sequence[int], tasks: Sequence[str], evaluators: Sequence[str]) -> Iterator[Order]:
    """Yield what is to be measured; growth adds goldgate from arrays at further sizes."""
    for size in images:
        for task in tasks:
            yield from (
                Order(task, name, size) for name in TASKS[task] if not evaluators or name.split(",")[0] in evaluators
            )
    yield from (Order("arrays", "goldgate", size) for size in growth if size not in images or "arrays" not in tasks)


def agreement(results: dict[str, dict[str, dict[str, Any]]], images: str) -> dict[str, Any] | None:
    """Compare every evaluator at one size with the first of pycocotools, ultrafast-pycocotools, hotcoco that ran there.

    figures_equal: all twelve doubles are the same; largest_difference: of any of the twelve; precision_identical and
    recall_identical: whole arrays, to the bit; null where the evaluator gives none.
    """
    ran = {
        f"{task}: {name}": result
        for task in ("arrays", "json", "parquet")
        for name, result in results.get(task, {}).get(images, {}).items()
        if "figures" in result
    }
    peers = (f"{task}: {name}" for name in ("pycocotools", *PEERS[:2]) for task in ("json", "arrays"))
    reference = next((name for name in peers if name in ran), None)
    if reference is None:
        return None
    return {
        "reference": reference,
        **{name: _beside(result, ran[reference]) for name, result in ran.items() if name != reference},
    }


def _beside(result: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    pairs = [(result["figures"][name], value) for name, value in reference["figures"].items()]
    apart = [abs(one - other) for one, other in pairs if one is not None and other is not None]
    same = {
        f"{name}_identical": result[f"{name}_sha256"] and result[f"{name}_sha256"] == reference[f"{name}_sha256"]
        for name in ("precision", "recall")
    }
    return {
        "figures_equal": all(one == other for one, other in pairs),
        "largest_difference": max(apart, default=None),
        **same,
    }


def seconds_an_image(results: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return goldgate's cost from arrays at each size: in proportion to the images, the second figure stays the same."""
    measured = {int(images): names["goldgate"] for images, names in results.get("arrays", {}).items() if "goldgate" in names}
    return {
        str(images): {"seconds": result["seconds"], "microseconds_an_image": round(1e6 * result["seconds"] / images, 2)}
        for images, result in sorted(measured.items())
        if "seconds" in result
    }


def machine() -> dict[str, Any]:
    """Describe the machine and the settings that evaluators read."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_average_before": [
            round(load, 2) for load in os.getloadavg()
        ],  # beyond a half of the cores, seconds mean little
        "settings": {name: os.environ.get(name) for name in SETTINGS},
    }


def commit() -> str | None:
    """Return the commit of this checkout, with a plus where files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "") if not head.returncode else None


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; --quick sets only what is not given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--images", type=int, nargs="+", help="sizes at which every task is measured (5000)")
    parser.add_argument("--growth", type=int, nargs="*", help="further sizes for goldgate from arrays")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--evaluators", nargs="+", default=[], help="only these, for example goldgate hotcoco")
    parser.add_argument("--repeats", type=int, help="runs under the clock, of those that have several")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds after which a measurement is stopped")
    parser.add_argument("--data", type=Path, help="folder of the sets, kept")
    parser.add_argument("--generator", type=Path, default=ROOT.parent / "shared" / "tools" / "synth_coco.py")
    parser.add_argument("--quick", action="store_true", help="500 images, growth from 100, one run each")
    parser.add_argument(
        "--out", type=Path, help="where the document goes (benchmarks/results/score.json; none with --quick)"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.images, options.repeats = options.images or [500], options.repeats or 1
        options.growth = [100, 250] if options.growth is None else options.growth
    else:
        options.out = options.out or ROOT / "benchmarks" / "results" / "score.json"
    options.images = options.images or [5000]
    return options


def run(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Measure everything and return the document, which is also written after each measurement."""
    document: dict[str, Any] = {
        "what": "COCO's twelve figures from arrays and from files: median seconds, spread, memory, agreement",
        "protocol": "a fresh process for each; of several runs one more comes first, off the clock (first_seconds)",
        "machine": machine(),
        "commit": commit(),
    }
    bench = Bench(options, data)
    for order in orders(options.images, options.growth or [], options.tasks, options.evaluators):
        bench.measure(order)
        document["sets"] = bench.sets
        document["results"] = bench.results
        document["agreement"] = {str(size): agreement(bench.results, str(size)) for size in options.images}
        document["growth"] = seconds_an_image(bench.results)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def main() -> None:
    """Measure, write the document, and print how the evaluators agree."""
    options = parsed(None)
    with tempfile.TemporaryDirectory() as folder:
        document = run(options, options.data or Path(folder))
    print(json.dumps({key: document[key] for key in ("agreement", "growth", "machine")}, indent=2))


if __name__ == "__main__":
    main()
