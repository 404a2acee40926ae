"""The model by itself: items a second of `predictor.predict` in a loop. Started by benchmarks/serve.py with JSON.

python -m benchmarks.serving.bare '{"kind": "image", "model": "fake", "batch": 16, "seconds": 5, "files": [...]}'
"""

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from contract.predictor import Source
from contract.tables import Kind
from models.registry import build_predictor


def measure(order: dict[str, Any]) -> dict[str, Any]:
    """Label the files in turn for some seconds, after a warm-up, and return the rate and how many boxes there were."""
    kind = Kind(order["kind"])
    predictor = build_predictor(order["model"], kind)
    predictor.load("cpu")
    contents = [Path(name).read_bytes() for name in order["files"]]
    sources = [Source(item=str(index), kind=kind, uri="", data=content) for index, content in enumerate(contents)]
    batches = [sources[start : start + order["batch"]] for start in range(0, len(sources), order["batch"])]
    boxes = sum(len(row) for batch in batches for row in predictor.predict(batch).column(3).to_pylist())
    turn = itertools.cycle(batches)
    count, started = 0, time.perf_counter()
    while (took := time.perf_counter() - started) < order["seconds"]:
        batch = next(turn)
        predictor.predict(batch)
        count += len(batch)
    return {"items_per_s": round(count / took, 1), "microseconds_an_item": round(1e6 * took / count, 1), "labels": boxes}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
