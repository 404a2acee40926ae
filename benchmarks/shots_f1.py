"""F1 and speed of shot detection beside PySceneDetect's detectors, in one run on the same files.

    python benchmarks/shots_f1.py FOLDER [--repeats 3] [--out benchmarks/results/shots_f1.json]

FOLDER holds videos NAME.mp4, each with NAME.json: {"transitions": [{"kind", "start", "end"}], "frames"}, where start is
the first changed frame and end the first frame of the new shot. A found start of shot is right when it lies within
TOLERANCE frames of a transition, each transition being found at most once.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from contract.predictor import Source
from contract.tables import Kind
from models.video import VideoPredictor, VideoSettings
from qa.pairing.temporal import match_transitions

TOLERANCE = 2  # frames
_MODULES = {"opencv-python-headless": "cv2"}


class Counts(NamedTuple):
    """Starts of shot that were found, that are no transition, and transitions that were not found."""

    found: int
    spurious: int
    missed: int

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where there is nothing to find and nothing found."""
        whole = 2 * self.found + self.spurious + self.missed
        return 2 * self.found / whole if whole else None


def count(starts: Sequence[int], transitions: Sequence[tuple[int, int]], tolerance: int = TOLERANCE) -> Counts:
    """Match starts of shot one to one with transitions (start, end), as many as can be, as `goldgate score` does.

    `qa.changes.score_changes` gives kinds, their confusion, and false cuts in ten minutes by the same matching.
    """
    spans, points = np.array(transitions, np.int64).reshape(-1, 2), np.array(starts, np.int64)
    one_video = {"gold_group": np.zeros(len(spans), np.int64), "label_group": np.zeros(len(points), np.int64)}
    found = match_transitions(spans, points, **one_video, tolerance=tolerance).gold.size
    return Counts(found, len(points) - found, len(spans) - found)


def _ours(paths: Sequence[Path], workers: int) -> list[list[int]]:
    predictor = VideoPredictor(settings=VideoSettings(workers=workers))
    answer = predictor.predict([Source(path.name, Kind.VIDEO, str(path)) for path in paths])
    return [[shot["start_frame"] for shot in row if shot["transition"] != "start"] for row in answer["shots"].to_pylist()]


def theirs(paths: Sequence[Path], detector: str) -> list[list[int]]:
    """Return the starts of shot that a detector of PySceneDetect finds."""
    import scenedetect  # the peer: pip install scenedetect

    starts = []
    for path in paths:
        scenes = scenedetect.detect(str(path), getattr(scenedetect, detector)())
        starts.append([scene[0].frame_num for scene in scenes[1:]])
    return starts


def measure(run: Callable[[], list[list[int]]], truth: Sequence[dict[str, Any]], repeats: int) -> dict[str, Any]:
    """Run `repeats` times after a warm-up and hold what was found against the truth."""
    frames = sum(document["frames"] for document in truth)
    rates, efforts, starts = [], [], []
    for _ in range(repeats + 1):  # the first warms up
        begun, busy = time.perf_counter(), time.process_time()
        starts = run()
        rates.append(frames / (time.perf_counter() - begun))
        efforts.append(frames / (time.process_time() - busy))
    each = [
        count(found, [(change["start"], change["end"]) for change in document["transitions"]])
        for found, document in zip(starts, truth, strict=True)
    ]
    total = Counts(*(sum(values) for values in zip(*each, strict=True)))
    return {
        "f1": total.f1,
        "found": total.found,
        "spurious": total.spurious,
        "missed": total.missed,
        "frames_per_second": {"median": statistics.median(rates[1:]), "min": min(rates[1:]), "max": max(rates[1:])},
        "frames_per_cpu_second": statistics.median(efforts[1:]),
    }


def described_machine() -> dict[str, Any]:
    """Tell on what is measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    packages = ("av", "numpy", "opencv-python-headless", "scenedetect")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],  # beyond the number of cores, the frames a second mean little
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages if find_spec(_MODULES.get(name, name))},
    }


def main() -> None:
    """Run every detector over the folder and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "shots_f1.json")
    chosen = parser.parse_args()
    machine = described_machine()
    paths = [path for path in sorted(chosen.folder.glob("*.mp4")) if path.with_suffix(".json").exists()]
    truth = [json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) for path in paths]
    runs: dict[str, Callable[[], list[list[int]]]] = {
        "goldgate, two videos at a time": lambda: _ours(paths, 2),
        "goldgate, one video at a time": lambda: _ours(paths, 1),
    }
    for name in ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "HashDetector"):
        runs[f"PySceneDetect {name}"] = partial(theirs, paths, name)
    results = {}
    for name, run in runs.items():
        results[name] = measure(run, truth, chosen.repeats)
        print(name, json.dumps(results[name]))
    document = {
        "what": "F1 of starts of shot and frames a second, decoding included; goldgate also picks keyframes",
        "protocol": f"one to one, within {TOLERANCE} frames of a transition; median of {chosen.repeats} after one warm-up",
        "note": "the thresholds of goldgate were chosen on these videos, those of PySceneDetect are its defaults",
        "machine": machine,
        "videos": {path.name: document["frames"] for path, document in zip(paths, truth, strict=True)},
        "results": results,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
