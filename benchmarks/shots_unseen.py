"""F1, kinds and false cuts of shot detection on material that no model has seen, beside PySceneDetect's detectors.

    python benchmarks/shots_unseen.py FOLDER [--material FOLDER] [--repeats 3] [--out benchmarks/results/shots_unseen.json]

FOLDER holds videos NAME.mp4, each with its truth, as benchmarks/shots_f1.py has them. With --material, a folder of videos
that no model has seen, splices of them are made (benchmarks/splices.py), and ten minutes in which much happens and no shot
changes.
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.shots_f1 import TOLERANCE, described_machine, theirs  # noqa: E402
from benchmarks.splices import make_folder  # noqa: E402
from contract.predictor import Source  # noqa: E402
from contract.scores import ShotScore  # noqa: E402
from contract.tables import Kind  # noqa: E402
from models.shotfinders import Way, finder_name  # noqa: E402
from models.video import VideoPredictor, VideoSettings  # noqa: E402
from qa.changes import Change, Length, score_changes  # noqa: E402

PEERS: Final = ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "HashDetector")

Found = Mapping[str, Sequence[Change]]


def _ours(paths: Sequence[Path], way: Way, workers: int) -> Found:
    predictor = VideoPredictor(settings=VideoSettings(workers=workers, shots=way))
    predictor.load("cpu")
    answer = predictor.predict([Source(path.name, Kind.VIDEO, str(path)) for path in paths])
    return {row["item"]: _changes(row["shots"]) for row in answer.to_pylist()}


def _changes(shots: Sequence[Mapping[str, Any]]) -> list[Change]:
    pairs = itertools.pairwise(shots)
    return [Change(shot["transition"], before["end_frame"], shot["start_frame"]) for before, shot in pairs]


def _theirs(paths: Sequence[Path], detector: str) -> Found:
    pairs = zip(paths, theirs(paths, detector), strict=True)
    return {path.name: [Change("cut", start, start) for start in starts] for path, starts in pairs}


class Films:
    """Videos with their truth.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = [path for path in sorted(folder.glob("*.mp4")) if path.with_suffix(".json").exists()]
        truth = {path.name: json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) for path in self.paths}
        self.gold = {
            name: [Change(each["kind"], each["start"], each["end"]) for each in page["transitions"]]
            for name, page in truth.items()
        }
        self.lengths = {name: Length(page["frames"], float(page["fps"])) for name, page in truth.items()}

    def measure(self, run: Callable[[Sequence[Path]], Found], repeats: int) -> dict[str, Any]:
        """Run a detector several times, the first one to warm up, and return its score and speed."""
        frames = sum(length.frames for length in self.lengths.values())
        rates, efforts = [], []
        found: Found = {}
        for _ in range(repeats + 1):
            begun, busy = time.perf_counter(), time.process_time()
            found = run(self.paths)
            rates.append(frames / (time.perf_counter() - begun))
            efforts.append(frames / (time.process_time() - busy))
        score = score_changes(found, self.gold, self.lengths, tolerance=TOLERANCE)
        rate = {"median": statistics.median(rates[1:]), "min": min(rates[1:]), "max": max(rates[1:])}
        return {**_figures(score), "frames_per_second": rate, "frames_per_cpu_second": statistics.median(efforts[1:])}


def _figures(score: ShotScore) -> dict[str, Any]:
    return {
        "f1": score.f1,
        "found": score.tp,
        "spurious": score.fp,
        "missed": score.fn,
        "false_per_10_min": score.false_per_10_min,
        "kinds_right": score.kinds_right,
        "kinds": score.kinds.model_dump(mode="json"),
    }


def _all(films: Films, repeats: int, *, peers: bool = True) -> dict[str, Any]:
    runs: dict[str, Callable[[Sequence[Path]], Found]] = {
        "goldgate, network, two videos at a time": lambda paths: _ours(paths, "learned", 2),
        "goldgate, network, one video at a time": lambda paths: _ours(paths, "learned", 1),
        "goldgate, rules, two videos at a time": lambda paths: _ours(paths, "rules", 2),
    }
    if peers:
        runs |= {f"PySceneDetect {name}": partial(_theirs, detector=name) for name in PEERS}
    results = {}
    for name, run in runs.items():
        results[name] = films.measure(run, repeats)
        print(name, json.dumps(results[name]), flush=True)
    return results


def main() -> None:
    """Run every detector over the folders and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--material", type=Path, help="videos to make fresh splices of")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "shots_unseen.json")
    chosen = parser.parse_args()
    machine = described_machine()
    films = Films(chosen.folder)
    document = {
        "what": "F1 of starts of shot and frames a second, decoding included; goldgate also picks keyframes",
        "protocol": f"one to one, within {TOLERANCE} frames of a transition; median of {chosen.repeats} after one warm-up",
        "note": "the network has learned from other material; the thresholds of the rules were chosen on the first videos; "
        "those of PySceneDetect are its defaults, and it names no kinds",
        "network": finder_name("learned", None),
        "machine": machine,
        "videos": {name: length.frames for name, length in films.lengths.items()},
        "results": _all(films, chosen.repeats),
    }
    if chosen.material:
        with tempfile.TemporaryDirectory() as place:
            make_folder(chosen.material, Path(place), videos=4)
            document["material"] = sorted(path.name for path in chosen.material.iterdir())
            document["fresh_splices"] = _all(Films(Path(place)), 1)
            document["nothing_but_distractors"] = _all(Films(Path(place) / "calm"), 1, peers=False)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
