"""What of the evidence goes into the report: few cases, chosen by rule, always the same for the same tables."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import SourceError
from contract.labelset import LabelSet
from contract.scores import BoxScore, KindConfusion, SentimentScore, TimelineScore
from contract.tables import Kind, Task
from qa.report.drawing import Box, Picture, draw
from qa.report.plots import Lane, Timeline, Window

DEFECT_KINDS: Final = ("wrong_class", "missed", "spurious", "duplicate", "loose_box")
MOST_PICTURES: Final = 12
MOST_ATTEMPTS: Final = 60
MOST_TEXTS: Final = 12
TEXT_CHARACTERS: Final = 240
MOST_CLASSES: Final = 14
MOST_VIDEOS: Final = 4
_MOST_EVENTS: Final = 8
_MOST_OTHER_BOXES: Final = 30
_PICTURE_SIDE: Final = 340
_STEPS_S: Final = (10, 30, 60, 300, 600, 1800, 3600)
_MOST_WINDOWS: Final = 60

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A defect and its picture."""

    item: str
    kind: str
    gold_label: str | None
    label: str | None
    iou: float | None
    picture: Picture


@dataclass(frozen=True)
class Cases:
    """The defects that are shown, of `total`, and why others could not be."""

    total: int
    shown: tuple[Case, ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class WrongText:
    """A text that the submission labelled otherwise than the gold; `text` is cut."""

    item: str
    text: str | None
    gold_label: str
    label: str | None
    score: float | None


@dataclass(frozen=True)
class Matrix:
    """Counts: one row a gold label, one column a submitted label; `None` names the column or row of nothing."""

    rows: tuple[str | None, ...]
    columns: tuple[str | None, ...]
    counts: tuple[tuple[int, ...], ...]
    folded: int = 0

    def shade(self, row: int, column: int) -> int:
        """Return the cell's share of its row, as a step from 0 (nothing) to 9 (all)."""
        total = sum(self.counts[row])
        count = self.counts[row][column]
        return 0 if not count else max(1, round(9 * count / total))


@dataclass(frozen=True)
class VideoCase:
    """A video's timeline with its counts."""

    item: str
    defects: int
    step_s: int
    timeline: Timeline


def worst_defects(score: BoxScore, *, gold: pa.Table, labels: pa.Table, images: Mapping[str, str]) -> Cases:
    """Draw the worst defects: each kind in turn, the largest first.

    Args:
        score: with its `defect_rows`, whose row numbers are those of the two tables.
        gold: the gold's boxes table.
        labels: the submission's boxes table.
        images: item -> path of its file; an absent or unreadable one is named among the troubles.
    """
    queue = _in_turn(score.defect_rows, gold, labels)
    shown: list[Case] = []
    troubles: dict[str, str] = {}
    candidates = queue[:MOST_ATTEMPTS]
    around = _Neighbours(gold, labels, items=[row["item"] for row in candidates])
    for row in candidates:
        item = row["item"]
        if len(shown) == MOST_PICTURES:
            break
        if item in troubles:
            continue
        try:
            if item not in images:
                raise SourceError(f"{item}: no image was given for it")
            picture = draw(Path(images[item]), around.boxes(row), name=item, max_side=_PICTURE_SIDE)
        except SourceError as error:
            troubles[item] = str(error)
            continue
        shown.append(Case(item, row["kind"], row["gold_label"], row["label"], row["iou"], picture))
    return Cases(score.defect_rows.num_rows, tuple(shown), tuple(sorted(troubles.values())))


def _in_turn(defects: pa.Table, gold: pa.Table, labels: pa.Table) -> list[Row]:
    """Return the first defects of each kind, largest first, one of each kind in turn."""
    queues: dict[str, list[Row]] = {}
    for kind in DEFECT_KINDS:
        rows = defects.filter(pc.equal(defects["kind"], kind))
        area = pc.fill_null(pc.coalesce(_areas(gold, rows["gold_row"]), _areas(labels, rows["label_row"])), 0.0)
        ranked = rows.append_column("area", area).append_column("place", _numbers(rows))
        order = [("area", "descending"), ("item", "ascending"), ("place", "ascending")]
        queues[kind] = ranked.sort_by(order).slice(0, MOST_ATTEMPTS).to_pylist()
    longest = max((len(queue) for queue in queues.values()), default=0)
    turns = [queue[turn] for turn in range(longest) for queue in queues.values() if turn < len(queue)]
    seen: Counter[str] = Counter()
    times = []
    for row in turns:
        times.append(seen[row["item"]])
        seen[row["item"]] += 1
    places = sorted(range(len(turns)), key=lambda place: times[place])  # stable: a second defect of an image comes later
    return [turns[place] for place in places]


def _areas(boxes: pa.Table, rows: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.multiply(boxes["w"], boxes["h"]).take(rows)


def _numbers(table: pa.Table) -> pa.Array:
    return pa.array(np.arange(table.num_rows, dtype=np.int64))


class _Neighbours:
    """The boxes to draw for a defect: its own, and thin ones for what else is there."""

    def __init__(self, gold: pa.Table, labels: pa.Table, *, items: Sequence[str]) -> None:
        wanted = pa.array(sorted(set(items)), pa.string())
        self._sides = []
        for table, column, vendor in ((gold, "gold_row", False), (labels, "label_row", True)):
            numbered = table.append_column("row", _numbers(table))
            near = numbered.filter(pc.is_in(numbered["item"], value_set=wanted)).to_pylist()
            self._sides.append((near, column, vendor))

    def boxes(self, defect: Row) -> list[Box]:
        strong: list[Box] = []
        thin: list[Box] = []
        for rows, column, vendor in self._sides:
            here = [row for row in rows if row["item"] == defect["item"]]
            strong += [_box(row, vendor=vendor, strong=True) for row in here if row["row"] == defect[column]]
            others = [row for row in here if row["row"] != defect[column]]
            thin += [_box(row, vendor=vendor, strong=False) for row in others[:_MOST_OTHER_BOXES]]
        return strong + thin


def _box(row: Row, *, vendor: bool, strong: bool) -> Box:
    return Box(row["label"], row["x"], row["y"], row["w"], row["h"], vendor=vendor, strong=strong)


def box_confusion(score: BoxScore) -> Matrix:
    """Count gold class by submitted class; the last column holds missed gold, the last row spurious boxes.

    A loose box counts as missed and as spurious, a duplicate as spurious, so that a row adds up to the gold of its
    class and a column to the submission's boxes of its class. Rare classes are folded into one named "…".
    """
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for gold, label, count in _counted(score.matches, ["gold_label", "label"]):
        pairs[gold, label] += count
    for kind, gold, label, count in _counted(score.defect_rows, ["kind", "gold_label", "label"]):
        if kind == "wrong_class":
            pairs[gold, label] += count
            continue
        if kind in {"missed", "loose_box"}:
            pairs[gold, None] += count
        if kind in {"spurious", "loose_box", "duplicate"}:
            pairs[None, label] += count
    return _matrix(pairs)


def _counted(table: pa.Table, columns: list[str]) -> list[tuple[Any, ...]]:
    """Return the distinct values of `columns` with how often they occur."""
    counted = table.group_by(columns, use_threads=False).aggregate([([], "count_all")])
    return [tuple(row[name] for name in (*columns, "count_all")) for row in counted.to_pylist()]


def _matrix(pairs: Counter[tuple[str | None, str | None]]) -> Matrix:
    weight: Counter[str] = Counter()
    for pair, count in pairs.items():
        for name in pair:
            if name is not None:
                weight[name] += count
    by_weight = sorted(weight, key=lambda name: (-weight[name], name))
    kept = sorted(by_weight[:MOST_CLASSES])
    folded = len(by_weight) - len(kept)
    names: list[str | None] = [*kept, *(["…"] if folded else []), None]
    index = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for (gold, label), count in pairs.items():
        row, column = (index[name] if name in index else len(kept) for name in (gold, label))
        counts[row, column] += count
    return Matrix(tuple(names), tuple(names), tuple(tuple(int(cell) for cell in line) for line in counts), folded)


def text_confusion(score: SentimentScore) -> Matrix:
    """Return the score's confusion with, where a text is without a label, a last column for that."""
    confusion = score.confusion
    if not any(confusion.missing):
        return Matrix(confusion.labels, confusion.labels, confusion.rows)
    counts = tuple((*row, missing) for row, missing in zip(confusion.rows, confusion.missing, strict=True))
    return Matrix(confusion.labels, (*confusion.labels, None), counts)


def kind_confusion(kinds: KindConfusion) -> Matrix:
    """Return kinds of transitions, gold by submitted; the last column holds missed ones, the last row spurious ones."""
    counts = [(*row, missed) for row, missed in zip(kinds.rows, kinds.missed, strict=True)]
    names = (*kinds.labels, None)
    return Matrix(names, names, (*counts, (*kinds.spurious, 0)))


def loose_histogram(score: BoxScore) -> list[int]:
    """Return the IoU of the loose boxes in the bins of the score's histogram."""
    loose = score.defect_rows.filter(pc.equal(score.defect_rows["kind"], "loose_box"))["iou"].drop_null()
    bins = max(len(score.iou_histogram), 1)
    counts, _ = np.histogram(np.asarray(loose.to_pylist(), dtype=np.float64), bins=bins, range=(0, 1))
    return [int(count) for count in counts]


def wrong_texts(score: SentimentScore, *, labels: pa.Table, texts: Mapping[str, str]) -> tuple[int, tuple[WrongText, ...]]:
    """Return how many texts are wrong, and the most confident of them (texts without a score follow, by item)."""
    pairs = score.pairs
    wrong = pairs.filter(pc.fill_null(pc.not_equal(pairs["gold_label"], pairs["label"]), fill_value=True))
    confidence = dict(zip(labels["item"].to_pylist(), labels["score"].to_pylist(), strict=True))
    rows = sorted(wrong.to_pylist(), key=lambda row: (-(confidence.get(row["item"]) or 0.0), row["item"]))
    return wrong.num_rows, tuple(
        WrongText(row["item"], _cut(texts.get(row["item"])), row["gold_label"], row["label"], confidence.get(row["item"]))
        for row in rows[:MOST_TEXTS]
    )


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= TEXT_CHARACTERS:
        return text
    return text[: TEXT_CHARACTERS - 1] + "…"


def worst_videos(
    scores: Sequence[TimelineScore], *, gold: LabelSet, labels: LabelSet, durations: Mapping[str, float]
) -> tuple[int, tuple[VideoCase, ...]]:
    """Return how many videos were scored, and the timelines of those with most defects.

    Args:
        scores: of shots, keyframes and events, with their `matches`.
        gold: the gold.
        labels: the submission.
        durations: item -> seconds; where absent, the end of the last label stands in.
    """
    defects: Counter[str] = Counter()
    for score in scores:
        defects.update(dict.fromkeys(score.items["item"].to_pylist(), 0))
        for row in score.items.to_pylist():
            defects[row["item"]] += row["fp"] + row["fn"]
    worst = sorted(defects, key=lambda item: (-defects[item], item))[:MOST_VIDEOS]
    cases = []
    for item in worst:
        lanes = [*_lanes(item, gold, labels)]
        ends = [end for lane in lanes for _, end in lane.bars] + [point for lane in lanes for point in lane.points]
        duration = durations.get(item) or max(ends, default=0.0)
        step = next((step for step in _STEPS_S if duration / step <= _MOST_WINDOWS), _STEPS_S[-1])
        windows = _windows(item, scores, duration=duration, step=step)
        cases.append(VideoCase(item, defects[item], step, Timeline(duration, lanes, windows)))
    return len(defects), tuple(cases)


def _lanes(item: str, gold: LabelSet, labels: LabelSet) -> Iterator[Lane]:
    sides = ((gold, "G", False), (labels, "V", True))
    tables = {
        (task, vendor): side.table(task).filter(pc.equal(side.table(task)["item"], item))
        for task in (Task.SHOTS, Task.KEYFRAMES, Task.EVENTS)
        for side, _, vendor in sides
    }
    for task in (Task.SHOTS, Task.KEYFRAMES):
        if any(tables[task, vendor].num_rows for _, _, vendor in sides):
            for _, name, vendor in sides:
                table = tables[task, vendor]
                if task is Task.SHOTS:
                    yield Lane(f"{name} {task.value}", vendor=vendor, bars=_spans(table))
                else:
                    yield Lane(f"{name} {task.value}", vendor=vendor, points=table["time_s"].to_pylist())
    named = Counter(label for _, _, vendor in sides for label in tables[Task.EVENTS, vendor]["label"].to_pylist())
    for label in sorted(sorted(named, key=lambda label: (-named[label], label))[:_MOST_EVENTS]):
        for _, name, vendor in sides:
            events = tables[Task.EVENTS, vendor]
            spans = _spans(events.filter(pc.equal(events["label"], label)))
            yield Lane(f"{name} {label}", vendor=vendor, bars=spans)


def _spans(table: pa.Table) -> list[tuple[float, float]]:
    return list(zip(table["start_s"].to_pylist(), table["end_s"].to_pylist(), strict=True))


def _windows(item: str, scores: Sequence[TimelineScore], *, duration: float, step: int) -> list[Window]:
    count = max(int(np.ceil(duration / step)), 1)
    totals = np.zeros((count, 3), dtype=np.int64)
    for score in scores:
        for row in score.matches.filter(pc.equal(score.matches["item"], item)).to_pylist():
            when = row["gold_s"] if row["gold_s"] is not None else row["label_s"]
            column = 1 if row["label_row"] is None else 2 if row["gold_row"] is None else 0
            totals[min(max(int((when or 0.0) // step), 0), count - 1), column] += 1
    return [
        Window(float(place * step), float(min((place + 1) * step, max(duration, step))), *(int(cell) for cell in line))
        for place, line in enumerate(totals)
    ]


def kinds_of(states: pa.Table) -> dict[Kind, Counter[str]]:
    """Return state -> count for each kind of item in a table with columns kind and state."""
    counts: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
    for kind, state in zip(states["kind"].to_pylist(), states["state"].to_pylist(), strict=True):
        counts[Kind(kind)][state] += 1
    return counts
