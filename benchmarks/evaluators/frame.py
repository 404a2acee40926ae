"""What every evaluator is given and gives back: a set on disk, laps of a clock, and the outcome of one run."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


class Laps:
    """Wall and processor seconds between the calls."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self.busy = 0.0
        self.skip()

    def skip(self) -> None:
        """Leave what was done since the last call off the clock."""
        self._since, self._busy_since = time.perf_counter(), time.process_time()

    def lap(self, part: str) -> None:
        """End `part`, which began at the last call."""
        self.parts[part] = time.perf_counter() - self._since
        self.busy += time.process_time() - self._busy_since
        self.skip()


@dataclasses.dataclass
class Outcome:
    """What one run gave: its laps, the twelve figures, the curves where the evaluator gives them, and further facts.

    precision has shape (10, 101, classes, 4, 3), recall the same without the recall points; -1 or NaN is undefined.
    """

    laps: Laps
    figures: list[float | None]
    precision: Floats | None = None
    recall: Floats | None = None
    more: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run whose inputs stand ready, and a sentence on what stands ready and what is timed."""

    run: Callable[[], Outcome]
    note: str


@dataclasses.dataclass(frozen=True)
class Set:
    """Gold and detections in a folder: gt.json, dt.json, arrays.npz, parquet/ and about.json."""

    folder: Path
    images: int
    classes: list[int]  # ids of the categories, ascending

    @classmethod
    def at(cls, folder: Path) -> "Set":
        """Open the set in `folder`."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        return cls(folder, about["images"], about["classes"])

    def columns(self, *names: str) -> list[NDArray[Any]]:
        """Read arrays by their names: g_ or d_ (gold, detections) and img, cls, box, score, area, crowd."""
        with np.load(self.folder / "arrays.npz") as arrays:
            return [arrays[name] for name in names]

    def matrix(self) -> Floats:
        """Return the detections as pycocotools takes them, shape (n, 7): image, x, y, w, h, score, category."""
        image, boxes, score, label = self.columns("d_img", "d_box", "d_score", "d_cls")
        return np.column_stack([image, boxes, score, label]).astype(np.float64)

    def warm(self, *names: str) -> list[Path]:
        """Return files of the folder, read once, so that no evaluator waits for the disk."""
        paths = [self.folder / name for name in names]
        for path in paths:
            with path.open("rb") as file:
                while file.read(1 << 24):
                    pass
        return paths


def figures_of(stats: Iterable[Any]) -> list[float | None]:
    """Return the twelve figures of a peer, None where it writes -1."""
    return [None if value == -1 else float(value) for value in stats]
