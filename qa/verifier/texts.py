"""Sentiments recomputed from their pairs. Sources: Cohen 1968, Krippendorff 2011, Gorodkin 2004 (MCC of many labels)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .findings import Disagreement, read
from .labels import rates
from .limits import binomial_limits, jeffreys_limits, lot_limits, wilson_limits

Table = list[list[int]]
Cost = Callable[[int, int], float]

_NO_ORDER: Final = ("kappa_linear", "kappa_quadratic", "alpha_ordinal", "alpha_interval")
_LIMITS: Final = {"clopper_pearson": binomial_limits, "wilson": wilson_limits, "jeffreys": jeffreys_limits}


def sentiments(folder: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """Recompute a score of sentiments."""
    name = "sentiments-pairs.parquet"
    pairs = read(folder, name).to_pylist()
    labels, bound = said["confusion"]["labels"], said["reading"]["bound"]
    place = {label: index for index, label in enumerate(labels)}
    table, missing = [[0] * len(labels) for _ in labels], [0] * len(labels)
    for pair in pairs:
        gold, label = pair["gold_label"], pair["label"]
        if gold not in place or (label is not None and label not in place):
            raise Disagreement(f"{name}: item {pair['item']!r} has a label that the confusion matrix lacks")
        if label is None:
            missing[place[gold]] += 1
        else:
            table[place[gold]][place[label]] += 1
    n, correct = len(pairs), sum(table[k][k] for k in range(len(labels)))
    given = {label for pair in pairs for label in (pair["gold_label"], pair["label"]) if label is not None}
    accuracy = _interval(correct, n, bound, lot=said["bounds"]["accuracy"]["lot_items"] if bound["finite_lot"] else None)
    figures = _shares(table, missing) | _agreement(table, said)
    sizes = [sum(row) + absent for row, absent in zip(table, missing, strict=True)]
    return figures | {
        "n": n,
        "correct": correct,
        "accuracy": accuracy["estimate"],
        "lower_bound": accuracy["lower"],
        "upper_bound": accuracy["upper"],
        "majority_share": max(sizes, default=0) / n if n else None,
        "majority_trap": len(given) > 1 and sum(any(column) for column in zip(*table, strict=True)) == 1,
        "confusion": {"labels": labels, "rows": table, "missing": missing},
        "per_class": [
            {"label": label}
            | rates(*counts)
            | {"recall_bound": _interval(counts[0], counts[0] + counts[2], bound, lot=None)}
            for label, counts in zip(labels, _class_counts(table, missing), strict=True)
        ],
        "bounds": {
            "accuracy": accuracy,
            "macro_f1": {
                "estimate": figures["macro_f1"],
                "method": "dirichlet",
                "confidence": bound["confidence"],
                "units": n,
            },
        },
        "coverage": {"items": n, "incomplete": sorted(pair["item"] for pair in pairs if pair["label"] is None)},
    }


def _interval(correct: int, n: int, bound: Mapping[str, Any], *, lot: int | None) -> dict[str, Any]:
    method, confidence = bound["method"], bound["confidence"]
    result = {"estimate": correct / n if n else None, "method": method, "confidence": confidence, "units": n}
    limits: tuple[float | None, float | None] = (None, None)
    if n and lot is not None:
        whole = max(lot, n)
        low, high = lot_limits(correct, n, whole, confidence)
        result["method"], limits = "hypergeometric", (low / whole, high / whole)
    elif n:
        limits = _LIMITS[method](correct, n, confidence)
    return result | {"lower": limits[0], "upper": limits[1]}


def _class_counts(table: Table, missing: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return tp, fp, fn of each label; a text without a submitted label is a miss."""
    sums = [sum(column) for column in zip(*table, strict=True)]
    return [(row[k], sums[k] - row[k], sum(row) - row[k] + missing[k]) for k, row in enumerate(table)]


def _shares(table: Table, missing: Sequence[int]) -> dict[str, float | None]:
    rows = [rates(*counts) for counts in _class_counts(table, missing)]
    f1 = [row["f1"] for row in rows if row["f1"] is not None]
    recalls = [row["recall"] for row in rows if row["recall"] is not None]
    support = sum(row["tp"] + row["fn"] for row in rows)
    weighted = sum((row["tp"] + row["fn"]) * (row["f1"] or 0) for row in rows)
    return {
        "macro_f1": sum(f1) / len(f1) if f1 else None,
        "balanced_accuracy": sum(recalls) / len(recalls) if recalls else None,
        "weighted_f1": weighted / support if support else None,
    }


def _agreement(table: Table, said: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the figures of agreement, over texts that both sides labelled."""
    count, rows, columns = (
        range(len(table)),
        [sum(row) for row in table],
        [sum(column) for column in zip(*table, strict=True)],
    )
    both = [[table[i][j] + table[j][i] for j in count] for i in count]
    margins = [sum(row) for row in both]
    middles = [sum(margins[:k]) + margins[k] / 2 for k in count]
    costs: dict[str, Cost] = {
        "": lambda i, j: float(i != j),
        "linear": lambda i, j: float(abs(i - j)),
        "quadratic": lambda i, j: float((i - j) ** 2),
        "ordinal": lambda i, j: (middles[i] - middles[j]) ** 2,
    }
    total = sum(rows)

    def kappa(cost: Cost) -> float | None:
        chance = sum(cost(i, j) * rows[i] * columns[j] for i in count for j in count)
        return 1 - sum(cost(i, j) * table[i][j] for i in count for j in count) * total / chance if chance else None

    def alpha(cost: Cost) -> float | None:
        chance = sum(cost(i, j) * margins[i] * margins[j] for i in count for j in count)
        seen = sum(cost(i, j) * both[i][j] for i in count for j in count)
        return 1 - (2 * total - 1) * seen / chance if chance else None

    hits = sum(table[k][k] for k in count)
    spread = (total**2 - sum(row**2 for row in rows)) * (total**2 - sum(column**2 for column in columns))
    result = {
        "mcc": (hits * total - sum(rows[k] * columns[k] for k in count)) / spread**0.5 if spread else None,
        "kappa": kappa(costs[""]),
        "kappa_linear": kappa(costs["linear"]),
        "kappa_quadratic": kappa(costs["quadratic"]),
        "alpha_nominal": alpha(costs[""]),
        "alpha_ordinal": alpha(costs["ordinal"]),
        "alpha_interval": alpha(costs["quadratic"]),
    }
    unordered = all(said[name] is None and said["reasons"].get(name) for name in _NO_ORDER)
    return {name: value for name, value in result.items() if not (unordered and name in _NO_ORDER)}
