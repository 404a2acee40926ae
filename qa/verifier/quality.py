"""Consistency, completeness and bias recomputed from report.json and from the items' counts beside it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .findings import Findings, read
from .limits import binomial_limits, clustered, jeffreys_limits, wilson_limits

ROWS: Final = "bias-items.parquet"
_BINOMIAL: Final = {"clopper_pearson": binomial_limits, "wilson": wilson_limits, "jeffreys": jeffreys_limits}
Row = Mapping[str, Any]


def quality(folder: Path, twin: Mapping[str, Any], scores: Mapping[str, Any], findings: Findings) -> None:
    """Compare what the report says beside accuracy with what its files give."""
    said = twin.get("quality") or {}
    found = said.get("consistency")
    if found:
        findings.compare(found["completeness"], list(map(_completeness, found["completeness"])), "report.json: completeness")
        for name in ("agreement", "self_consistency"):
            findings.compare(found[name], list(map(_agreement, found[name])), f"report.json: {name}")
    if said.get("bias"):
        findings.compare(said["bias"], _bias(folder, said["bias"], scores), "report.json: bias")
    if said.get("ceiling"):
        findings.compare(said["ceiling"], _ceiling(said["ceiling"]), "report.json: ceiling")


def _completeness(said: Row) -> dict[str, Any]:
    """Return what must add up; which item is in which state is with the submission."""
    return {
        "items": said["labelled"] + said["empty"] + said["excused"] + said["missing"],
        "missing": len(said["missing_items"]),
        "excused": len(said["excused_items"]),
    }


def _agreement(said: Row) -> dict[str, Any]:
    counts = said["counts"]
    if "agreeing" in counts:
        n = counts["agreeing"] + counts["disagreeing"]
        return {"items": n, "bound": binomial(counts["agreeing"], n, said["bound"])}
    matched = 2 * counts["matched"]
    whole = matched + counts["only_first"] + counts["only_second"]
    f1 = matched / whole if whole else None
    return {"figures": {"f1": f1}, "bound": {"estimate": f1}}


def binomial(right: int, n: int, said: Row) -> dict[str, Any]:
    """Return the interval of a share of independent items, by the method that it names."""
    low, high = _BINOMIAL[said["method"]](right, n, said["confidence"]) if n else (None, None)
    return {"estimate": right / n if n else None, "lower": low, "upper": high, "units": n}


def _ceiling(said: Row) -> dict[str, Any]:
    """Return the error of one from the disagreement of two: d = 2e - e**2 K / (K - 1)."""
    texts, wrong, labels = said["texts"], said["disagreeing"], said["labels"]

    def error(share: float) -> float | None:
        spread = labels / (labels - 1) if labels > 1 else math.inf
        return (1 - math.sqrt(1 - share * spread)) / spread if labels > 1 and share * spread < 1 else None

    values = [error(wrong / texts), error(binomial_limits(wrong, texts, said["confidence"])[1])] if texts else [None, None]
    tops = [None if value is None else 1 - value for value in values]
    return {"error": values[0], "error_upper": values[1], "ceiling": tops[0], "ceiling_lower": tops[1]}


def _bias(folder: Path, said: Row, scores: Mapping[str, Any]) -> dict[str, Any]:
    rows: dict[str, list[Row]] = {}
    for row in read(folder, ROWS).to_pylist():
        rows.setdefault(row["task"], []).append(row)
    return {
        "tasks": [_task(folder, entry, rows.get(entry["task"], []), scores.get(entry["task"])) for entry in said["tasks"]],
        "seeds": [{"share": binomial(entry["caught"], entry["seeded"], entry["share"])} for entry in said["seeds"]],
    }


def _task(folder: Path, said: Row, rows: list[Row], score: Mapping[str, Any] | None) -> dict[str, Any]:
    drafted = [row for row in rows if row["drafted"]]
    same = [row for row in drafted if row["drafts"] == row["untouched"] and row["labels"] == row["kept"]]
    result = {
        "drafts": sum(row["drafts"] for row in drafted),
        "untouched": sum(row["untouched"] for row in drafted),
        "untouched_share": _share(drafted, "untouched", "drafts", said["untouched_share"], said["task"]),
        "items": len(drafted),
        "unchanged_items": len(same),
    }
    for name, part in (("accuracy_untouched", "kept"), ("accuracy_edited", "edited")):
        if said[name] is not None:
            right, total = f"{part}_right", f"{part}_scored"
            result[name] = {
                "labels": sum(row[total] for row in drafted),
                "right": sum(row[right] for row in drafted),
                "accuracy": _share(drafted, right, total, said[name]["accuracy"], said["task"]),
            }
    if said["against_blind"] is not None and said["against_corrected"] is not None and score is not None:
        result |= _against(folder, said, {row["item"] for row in rows if row["blind"]})
    return result


def _share(rows: list[Row], good: str, total: str, said: Row, task: str) -> Any:
    if task == "sentiments":
        return binomial(sum(row[good] for row in rows), sum(row[total] for row in rows), said)
    parts = [{row["item"]: row[name] for row in rows} for name in (good, total)]
    return clustered(parts[0], parts[1], said=said, bound=said, sampled=len(rows))


def _against(folder: Path, said: Row, blind: set[str]) -> dict[str, Any]:
    task = said["task"]
    sides = {"against_blind": True, "against_corrected": False}
    rows = read(folder, f"{task}-pairs.parquet" if task == "sentiments" else f"{task}-items.parquet").to_pylist()
    result: dict[str, Any] = {}
    for name, inside in sides.items():
        part = [row for row in rows if (row["item"] in blind) is inside]
        if task == "sentiments":
            right = sum(row["gold_label"] == row["label"] for row in part)
            result[name] = binomial(right, len(part), said[name])
        else:
            good = {row["item"]: 2 * row["tp"] for row in part}
            total = {row["item"]: 2 * row["tp"] + row["fp"] + row["fn"] for row in part}
            result[name] = clustered(good, total, said=said[name], bound=said[name], sampled=len(part), is_f1=True)
    return result | _difference(result["against_blind"], result["against_corrected"])


def _difference(blind: Row, corrected: Row) -> dict[str, Any]:
    if "upper" not in blind or "lower" not in corrected:
        return {}
    if blind["estimate"] is None or corrected["estimate"] is None:
        return {"difference": None, "difference_lower": None, "anchored": None}
    apart = corrected["estimate"] - blind["estimate"]
    if blind["upper"] is None or corrected["lower"] is None:
        return {"difference": apart, "difference_lower": None, "anchored": None}
    lower = apart - math.hypot(corrected["estimate"] - corrected["lower"], blind["upper"] - blind["estimate"])
    return {"difference": apart, "difference_lower": lower, "anchored": lower > 0}
