"""What a score of shots says beside its rates, recomputed from its rows: kinds of transition, and length."""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .findings import read
from .labels import rates


def kinds_and_length(folder: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """Recompute the figures of kinds, and false positives in ten minutes; a score of old says nothing of them."""
    if "kinds" not in said:
        return {}
    pairs: Counter[tuple[str, str]] = Counter()
    missed: Counter[str] = Counter()
    spurious: Counter[str] = Counter()
    for row in read(folder, "shots-matches.parquet").to_pylist():
        if row["label_row"] is None:
            missed[row["label"]] += 1
        elif row["gold_row"] is None:
            spurious[row["label_kind"]] += 1
        else:
            pairs[row["label"], row["label_kind"]] += 1
    labels = sorted({*missed, *spurious, *(name for pair in pairs for name in pair)})
    right = sum(pairs[name, name] for name in labels)
    lengths = [row["seconds"] for row in read(folder, "shots-items.parquet").to_pylist()]
    seconds = None if None in lengths else math.fsum(lengths)
    return {
        "kinds": {
            "labels": labels,
            "rows": [[pairs[gold, ours] for ours in labels] for gold in labels],
            "missed": [missed[name] for name in labels],
            "spurious": [spurious[name] for name in labels],
        },
        "per_kind": [_of_kind(name, labels, pairs, missed=missed[name], spurious=spurious[name]) for name in labels],
        "kinds_right": right / pairs.total() if pairs else None,
        "seconds": seconds,
        "false_per_10_min": spurious.total() * 600 / seconds if seconds else None,
    }


def _of_kind(name: str, labels: list[str], pairs: Counter[tuple[str, str]], *, missed: int, spurious: int) -> dict[str, Any]:
    others = [other for other in labels if other != name]
    false = spurious + sum(pairs[other, name] for other in others)
    return {"label": name} | rates(pairs[name, name], false, missed + sum(pairs[name, other] for other in others))
