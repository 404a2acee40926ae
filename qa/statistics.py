"""What the statistics of a delivery count: items, labels, classes and sources, from tables and a report's evidence."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.labelset import LabelSet
from contract.statistics import ClassCount, SourceCount
from contract.tables import Task

_NAMED: Final = (Task.BOXES, Task.SENTIMENTS, Task.EVENTS)
_UNNAMED: Final = "–"
_RATES: Final = ("tp", "fp", "fn", "precision", "recall", "f1")


def count_items(labels: LabelSet) -> dict[str, dict[str, int]]:
    """Return kind -> state -> items."""
    found: dict[str, dict[str, int]] = {}
    for row in labels.states.group_by(["kind", "state"]).aggregate([([], "count_all")]).to_pylist():
        found.setdefault(row["kind"], {})[row["state"]] = row["count_all"]
    return {kind: dict(sorted(states.items())) for kind, states in sorted(found.items())}


def count_labels(labels: LabelSet) -> dict[str, dict[str, int]]:
    """Return task -> label -> labels; the label is "" where a task's labels have no name."""
    found: dict[str, dict[str, int]] = {}
    for task, table in sorted(labels.tables.items()):
        if task in _NAMED:
            counts = Counter({row["values"]: row["counts"] for row in table["label"].value_counts().to_pylist()})
            found[task.value] = dict(sorted(counts.items()))
        else:
            found[task.value] = {"": table.num_rows} if table.num_rows else {}
    return found


def count_classes(labels: Mapping[str, Mapping[str, int]], scores: Mapping[str, Any]) -> list[ClassCount]:
    """Return every class that is delivered or was checked; `scores` is what score.json holds, `labels` as `count_labels`."""
    found = []
    for task in _NAMED:
        checked = {row["label"]: row for row in scores.get(task.value, {}).get("per_class", ())}
        delivered = labels.get(task.value, {})
        for label in sorted({*checked, *delivered}):
            row = checked.get(label, {})
            rates = {name: row.get(name) for name in _RATES}
            found.append(ClassCount(task=task, label=label, labels=delivered.get(label, 0), **rates))
    return found


def count_sources(labels: LabelSet, evidence: Mapping[str, pa.Table], *, models: Sequence[str]) -> list[SourceCount]:
    """Return who or what made the labels of each task, and how much of it was checked and right.

    Args:
        labels: the submission; the rows of the evidence are those of its tables.
        evidence: file name -> table, as `qa.report.dossier` writes them.
        models: the sources that are models; all others are people.
    """
    found = []
    for task, table in sorted(labels.tables.items()):
        checked, right = _checked(task, table, evidence)
        names = pc.fill_null(table["source"], _UNNAMED)
        counts = {name: Counter(_column(names, rows)) for name, rows in (("scored", checked), ("right", right))}
        for name, count in sorted(Counter(names.to_pylist()).items()):
            found.append(
                SourceCount(
                    task=task,
                    name=name,
                    kind="model" if name in models else "annotator",
                    labels=count,
                    scored=counts["scored"][name],
                    right=counts["right"][name],
                )
            )
    return found


def _column(names: pa.ChunkedArray, rows: Sequence[int]) -> Iterator[str]:
    return iter(names.take(pa.array(rows, pa.int64())).to_pylist())


def _checked(task: Task, table: pa.Table, evidence: Mapping[str, pa.Table]) -> tuple[list[int], list[int]]:
    """Return the rows of `table` that were checked against gold, and those of them that gold agrees with."""
    if task is Task.SENTIMENTS:
        return _checked_texts(table, evidence.get("sentiments-pairs.parquet"))
    prefix = "" if task is Task.BOXES else f"{task.value}-"
    items, matches = evidence.get(f"{task.value}-items.parquet"), evidence.get(f"{prefix}matches.parquet")
    if items is None or matches is None:
        return [], []
    mask = pc.is_in(table["item"], value_set=items["item"].combine_chunks())
    if task is Task.SHOTS:
        mask = pc.and_(mask, pc.greater(table["start_frame"], 0))  # the first shot starts the video and is no transition
    both = matches.filter(pc.and_(pc.is_valid(matches["gold_row"]), pc.is_valid(matches["label_row"])))
    rows = [row for row, yes in enumerate(mask.to_pylist()) if yes]
    return rows, both["label_row"].to_pylist()


def _checked_texts(table: pa.Table, pairs: pa.Table | None) -> tuple[list[int], list[int]]:
    if pairs is None:
        return [], []
    gold = dict(zip(pairs["item"].to_pylist(), pairs["gold_label"].to_pylist(), strict=True))
    rows = list(enumerate(zip(table["item"].to_pylist(), table["label"].to_pylist(), strict=True)))
    checked = [row for row, (item, _) in rows if item in gold]
    return checked, [row for row, (item, label) in rows if gold.get(item) == label]
