"""Counting a delivery again from its own files, by the standard library and pyarrow alone.

Nothing here shares code with what wrote the files: the sealed tables are counted by their columns, exchange formats by their
own notation, and both must give the totals of the manifest.
"""

import io
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from contract.errors import DeliveryError

Counts = dict[str, Counter[str]]
_TASKS: Final = ("boxes", "sentiments", "shots", "keyframes", "events")
_NAMED: Final = ("boxes", "sentiments", "events")


class Recount:
    """Totals of one lot, counted file by file.

    Attributes:
        items: kind -> state -> items, of the sealed tables.
        labels: task -> label -> labels, of the sealed tables.
        by_format: format -> task -> labels, of the exchange formats that are counted.
        uncounted: formats for which nothing is counted here.
    """

    def __init__(self) -> None:
        self.items: Counts = {}
        self.labels: Counts = {}
        self.by_format: dict[str, Counter[str]] = {}
        self.uncounted: set[str] = set()

    def add(self, path: str, data: bytes) -> None:
        """Count the file at `path` below the lot's folder, for example labels/boxes.parquet or coco/boxes.json.

        Raises:
            DeliveryError: it is not what its name says.
        """
        room, _, name = path.partition("/")
        try:
            if room == "labels":
                self._add_table(name, data)
            elif room in _COUNTERS:
                counted = self.by_format.setdefault(room, Counter())
                for task, count in _COUNTERS[room](name, data):
                    counted[task] += count
            elif room in _FORMATS:
                self.uncounted.add(room)
        except (ValueError, KeyError, TypeError, AttributeError, ET.ParseError, pa.ArrowException) as error:
            raise DeliveryError(f"{path}: not a file of {room} ({type(error).__name__}: {error})") from error

    def _add_table(self, name: str, data: bytes) -> None:
        task = name.removesuffix(".parquet")
        table = pq.read_table(io.BytesIO(data))
        if task == "items":
            for kind, state in zip(table["kind"].to_pylist(), table["state"].to_pylist(), strict=True):
                self.items.setdefault(kind, Counter())[state] += 1
        elif task in _TASKS:
            counted = self.labels.setdefault(task, Counter())
            if task in _NAMED:
                counts = table["label"].value_counts().to_pylist()
                counted.update({row["values"]: row["counts"] for row in counts})
            elif table.num_rows:
                counted[""] += table.num_rows

    def problems(self, items: Mapping[str, Mapping[str, int]], labels: Mapping[str, Mapping[str, int]]) -> list[str]:
        """Return where the totals `items` and `labels` differ from what was counted."""
        found = []
        if _plain(items) != _plain(self.items):
            found.append(f"items are {_plain(self.items)}, the manifest says {_plain(items)}")
        if _plain(labels) != _plain(self.labels):
            found.append(f"labels are {_plain(self.labels)}, the manifest says {_plain(labels)}")
        for form, counted in sorted(self.by_format.items()):
            for task, count in sorted(counted.items()):
                said = sum(labels.get(task, {}).values())
                if count != said:
                    found.append(f"{form} holds {count} {task}, the manifest says {said}")
        return found


def _plain(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Return the counts without what is nought, so that an absent table and an empty one are the same."""
    kept = {
        outer: {name: count for name, count in sorted(inner.items()) if count} for outer, inner in sorted(counts.items())
    }
    return {outer: inner for outer, inner in kept.items() if inner}


Found = Iterator[tuple[str, int]]


def _jsonl(name: str, data: bytes) -> Found:
    task = name.removesuffix(".jsonl")
    rows = map(json.loads, data.split(b"\n")[:-1])
    if task == "sentiments":
        yield task, sum(row["label"] is not None for row in rows)
    elif task in _TASKS:
        yield task, sum(len(row[task]) for row in rows)


def _coco(name: str, data: bytes) -> Found:
    if name.endswith(".json"):
        yield "boxes", len(json.loads(data)["annotations"])


def _labelstudio(name: str, data: bytes) -> Found:
    tasks = json.loads(data) if name.endswith(".json") else []
    for task in tasks if isinstance(tasks, list) else []:
        for written in (*task.get("annotations", ()), *task.get("predictions", ())):
            kinds = Counter(region["type"] for region in written["result"])
            yield "boxes", kinds["rectanglelabels"]
            yield "sentiments", kinds["choices"]


def _voc(name: str, data: bytes) -> Found:
    if name.endswith(".xml"):
        yield "boxes", sum(1 for _ in _xml(data).iter("object"))


def _yolo(name: str, data: bytes) -> Found:
    if name.endswith(".txt") and name.split("/")[0] == "labels":
        yield "boxes", sum(bool(line.strip()) for line in data.splitlines())


def _xml(data: bytes) -> ET.Element:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("it declares entities")
    return ET.fromstring(data)  # noqa: S314 - entities were refused


_COUNTERS: Final[Mapping[str, Callable[[str, bytes], Any]]] = {
    "jsonl": _jsonl,
    "coco": _coco,
    "labelstudio": _labelstudio,
    "voc": _voc,
    "yolo": _yolo,
}
_FORMATS: Final = (*_COUNTERS, "cvat", "yolo-darknet", "xanylabeling", "activitynet")
