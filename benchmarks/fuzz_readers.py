"""Mutated documents for every reader: each must be read or be refused in one line by an error of ours.

    python benchmarks/fuzz_readers.py [--inputs 100000] [--readers coco csv ...] [--jobs 2] [--seed 0] [--out FILE]

Inputs are numbered, and a number says everything: a reader's input n comes from random.Random(n + seed). Every share of
the inputs runs in a process of its own, so that a reader that kills its process is seen, with the number of the input. The
mutations are those of tests/oracles/fuzzing.py: of bytes (flipped, cut off, doubled, spliced, pieces that tend to
break readers) and, where a form has one, of the structure (values put out, put in, doubled, of another kind).
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARE = 5_000  # inputs of one process
MOST_SHOWN = 5
LONGEST_S = 1_800.0  # of one process


def run_share(name: str, first: int, count: int) -> dict[str, Any]:
    """Read `count` inputs from number `first` on and return what came of them."""
    from tests.oracles.fuzzing import mutated, outcome, targets

    counts: Counter[str] = Counter()
    crashes: list[dict[str, Any]] = []
    slowest = (0.0, first)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108
        target = targets(Path(folder))[name]
        begin = time.perf_counter()
        for number in range(first, first + count):
            started = time.perf_counter()
            try:
                counts[outcome(target, mutated(target, random.Random(number)), Path(folder))] += 1  # noqa: S311
            except Exception:  # noqa: BLE001 (whatever comes through is what is looked for)
                counts["crashed"] += 1
                crashes.append({"input": number, "error": traceback.format_exc(limit=-3)})
            slowest = max(slowest, (time.perf_counter() - started, number))
        seconds = time.perf_counter() - begin
    return {"counts": dict(counts), "crashes": crashes[:MOST_SHOWN], "seconds": seconds, "slowest": slowest}


def in_process(name: str, first: int, count: int) -> dict[str, Any]:
    """Run a share in a process of its own; where that dies, all of the share counts as crashed."""
    command = [sys.executable, __file__, "--share", name, str(first), str(count)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return _lost(first, count, f"not done after {LONGEST_S:g} s")
    if done.returncode:
        return _lost(first, count, f"status {done.returncode}: {done.stderr[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _lost(first: int, count: int, error: str) -> dict[str, Any]:
    crash = {"input": first, "error": error}
    return {"counts": {"crashed": count}, "crashes": [crash], "seconds": 0.0, "slowest": (0.0, first)}


def summed(shares: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the shares of a reader as one result."""
    counts: Counter[str] = Counter()
    for share in shares:
        counts.update(share["counts"])
    slowest = max(tuple(share["slowest"]) for share in shares)
    crashes = [crash for share in shares for crash in share["crashes"]]
    return {
        "inputs": sum(counts.values()),
        "accepted": counts["accepted"],
        "refused": counts["refused"],
        "crashes": counts["crashed"],
        "seconds": round(sum(share["seconds"] for share in shares), 1),
        "slowest_s": round(slowest[0], 3),
        "slowest_input": slowest[1],
        **({"crashed": crashes[:MOST_SHOWN]} if crashes else {}),
    }


def document(arguments: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Return the result file."""
    packages = ("numpy", "pyarrow", "numba", "pyyaml", "pydantic")
    return {
        "what": "mutated documents read by every reader; a crash is any exception but an error of ours, or a dead process",
        "protocol": "python benchmarks/fuzz_readers.py; input n is of random.Random(n + seed), mutations of tests/oracles",
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "versions": {name: version(name) for name in packages},
        },
        "seed": arguments.seed,
        "readers": results,
    }


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="of each reader")
    parser.add_argument("--readers", nargs="+", help="which; all by default")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "fuzz.json")
    parser.add_argument("--share", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Fuzz the readers and write the result file after each; the exit status says whether one crashed."""
    sys.path.insert(0, str(ROOT))
    arguments = parsed()
    if arguments.share:
        name, first, count = arguments.share
        print(json.dumps(run_share(name, int(first), int(count))))
        return 0
    from tests.oracles.fuzzing import targets

    with tempfile.TemporaryDirectory() as folder:
        names = arguments.readers or list(targets(Path(folder)))
    results: dict[str, Any] = {}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for name in names:
            starts = range(0, arguments.inputs, SHARE)
            counts = [min(SHARE, arguments.inputs - start) for start in starts]
            firsts = [arguments.seed + start for start in starts]
            results[name] = summed(list(pool.map(in_process, [name] * len(firsts), firsts, counts)))
            print(name, json.dumps(results[name]), flush=True)
            arguments.out.write_text(json.dumps(document(arguments, results), indent=2) + "\n", encoding="utf-8")
    return 1 if any(result["crashes"] for result in results.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
