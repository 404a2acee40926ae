"""Boxes and timelines recomputed from their rows: matches, defects and items."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from .findings import Disagreement, counts, read
from .limits import clustered

MISSES: Final = ("missed", "wrong_class", "loose_box")  # defects that hold a gold box without a partner
EXTRAS: Final = ("spurious", "wrong_class", "loose_box", "duplicate")  # defects that hold a submitted box without one
OFFSETS: Final = {"shots": "mean_offset_frames", "keyframes": "mean_offset_s", "events": "mean_tiou"}


def rates(tp: int, fp: int, fn: int) -> dict[str, Any]:
    """Return counts and what is divided from them; a share of nothing is null."""
    parts = {"precision": (tp, tp + fp), "recall": (tp, tp + fn), "f1": (2 * tp, 2 * tp + fp + fn)}
    return {"tp": tp, "fp": fp, "fn": fn} | {name: part / whole if whole else None for name, (part, whole) in parts.items()}


def _of_kinds(table: Any, kinds: Iterable[str]) -> Any:
    return table.filter(pc.is_in(table["kind"], value_set=pa.array(list(kinds), pa.string())))


@dataclass(frozen=True)
class Sides:
    """Rows of hits, misses and extras, and the column that names the class of each."""

    hits: Any
    misses: Any
    extras: Any
    hit: str
    missed: str
    extra: str

    def by_item(self, folder: Path, name: str) -> dict[str, list[int]]:
        """Return item -> tp, fp, fn of the table of items, once it is found to be that of the rows."""
        listed = {row["item"]: [row["tp"], row["fp"], row["fn"]] for row in read(folder, name).to_pylist()}
        found = [counts(side, "item") for side in (self.hits, self.extras, self.misses)]
        for item in sorted({*listed, *(item for side in found for item in side)}):
            seen = [side[item] for side in found]
            if seen != listed.get(item):
                raise Disagreement(
                    f"{name}: item {item!r} has tp, fp, fn {listed.get(item)}, but its rows elsewhere give {seen}"
                )
        return listed

    def per_class(self, said: Sequence[Mapping[str, Any]], *, bound: Any, sampled: int) -> list[Any]:
        """Return the rates of each class that occurs, by name."""
        hits, misses = counts(self.hits, "item", self.hit), counts(self.misses, "item", self.missed)
        extras, given = counts(self.extras, self.extra), {row["label"]: row["recall_bound"] or {} for row in said}
        parts: dict[str, tuple[Counter[str], Counter[str]]] = {name: (Counter(), Counter()) for name in extras}
        for place, source in enumerate((hits, misses)):
            for (item, name), count in source.items():
                parts.setdefault(name, (Counter(), Counter()))[place][item] = count
        result = []
        for name, (good, bad) in sorted(parts.items()):
            limits = clustered(good, good + bad, said=given.get(name, {}), bound=bound, sampled=sampled)
            result.append({"label": name, **rates(good.total(), extras[name], bad.total()), "recall_bound": limits})
        return result


def figures_of(items: Mapping[str, list[int]], said: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rates over all items and the intervals of precision, recall and F1."""
    totals = rates(*(sum(row[place] for row in items.values()) for place in range(3)))
    wholes = {"precision": (1, 1, 0), "recall": (1, 0, 1), "f1": (2, 1, 1)}
    bounds = {}
    for name, (hit, extra, miss) in wholes.items():
        good = {item: hit * row[0] for item, row in items.items()}
        total = {item: hit * row[0] + extra * row[1] + miss * row[2] for item, row in items.items()}
        settings = {"said": said["bounds"][name], "bound": said["reading"]["bound"], "sampled": len(items)}
        bounds[name] = clustered(good, total, **settings, is_f1=name == "f1")
    copies = {"lower_bound": ("f1", "lower"), "upper_bound": ("f1", "upper")}
    totals |= {name: bounds[of][end] for name, (of, end) in copies.items() if end in bounds[of]}
    return totals, bounds


def boxes(folder: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """Recompute a score of boxes."""
    matches, defects = read(folder, "matches.parquet"), read(folder, "defects.parquet")
    sides = Sides(matches, _of_kinds(defects, MISSES), _of_kinds(defects, EXTRAS), "gold_label", "gold_label", "label")
    items = sides.by_item(folder, "boxes-items.parquet")
    totals, bounds = figures_of(items, said)
    iou, pairs, wrong = matches["iou"], matches.num_rows, set(said["coverage"]["incomplete"])
    edges = [step * 0.05 for step in range(20)]
    reached = [pc.sum(pc.greater_equal(iou, edge)).as_py() or 0 for edge in edges] + [0]
    united = totals["tp"] + totals["fp"] + totals["fn"]
    contract = totals | {
        "jaccard": totals["tp"] / united if united else None,
        "mean_iou": pc.mean(iou).as_py(),
        "p5_iou": pc.quantile(iou, q=0.05, interpolation="linear")[0].as_py() if pairs else None,
        "share_iou_075": (pc.sum(pc.greater_equal(iou, 0.75 - 1e-9)).as_py() or 0) / pairs if pairs else None,
        "images": len(items),
        "perfect_images": sum(not fp + fn and item not in wrong for item, (_, fp, fn) in items.items()),
    }
    for name in ("precision", "recall"):
        if "lower" in bounds[name]:
            contract[f"{name}_lower_bound"] = bounds[name]["lower"]
    kinds = counts(defects, "kind")
    return {
        "contract": contract,
        "defects": {kind: kinds[kind] for kind in ("missed", "spurious", "wrong_class", "loose_box", "duplicate")},
        "per_class": sides.per_class(said["per_class"], bound=said["reading"]["bound"], sampled=len(items)),
        "per_size": [{"size": size} | rates(*by) for size, by in _sizes(sides).items()],
        "iou_histogram": [one - other for one, other in itertools.pairwise(reached)],
        "bounds": bounds,
        "coverage": {"items": len(items)},
    }


def _sizes(sides: Sides) -> dict[str, list[int]]:
    areas = (sides.hits["gold_area"], sides.extras["label_area"], sides.misses["gold_area"])
    limits = {"small": (-math.inf, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, math.inf)}
    return {
        size: [pc.sum(pc.and_(pc.greater_equal(area, low), pc.less(area, high))).as_py() or 0 for area in areas]
        for size, (low, high) in limits.items()
    }


def timeline(folder: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """Recompute a score of shots, keyframes or events."""
    task = said["task"]
    table = read(folder, f"{task}-matches.parquet")
    no_gold, no_label = pc.is_null(table["gold_row"]), pc.is_null(table["label_row"])
    hits = table.filter(pc.invert(pc.or_(no_gold, no_label)))
    sides = Sides(hits, table.filter(no_label), table.filter(no_gold), "label", "label", "label")
    items = sides.by_item(folder, f"{task}-items.parquet")
    totals, bounds = figures_of(items, said)
    named = task != "keyframes"
    return totals | {
        "bounds": bounds,
        "per_class": sides.per_class(said["per_class"], bound=said["reading"]["bound"], sampled=len(items)) if named else [],
        OFFSETS[task]: pc.mean(hits["quality"]).as_py(),
        "coverage": {"items": len(items)},
    }
