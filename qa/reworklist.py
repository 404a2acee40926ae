"""The defects of a score, item by item, as the vendor who mends them needs to see them: named, numbered and drawn."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa

from contract.tables import Task
from qa.report.drawing import Box, Mark, Picture, draw
from qa.words import wording
from qa.words.wording import Words

BOXES_FILE: Final = "defects.parquet"
TEXTS_FILE: Final = "sentiments-pairs.parquet"
_MOST_OTHER_BOXES: Final = 30
_NO_LABEL: Final = Words("未标注", "no label")
_COLORS: Final = {True: "#c2410c", False: "#0f766e"}  # the vendor's boxes, the gold's


@dataclass(frozen=True)
class ItemDefect:
    """A defect of an item; rows count from 0 in the sealed tables of the submission and the gold, None where no row is.

    `seconds` is where a shot, keyframe or event begins.
    """

    item: str
    task: Task
    kind: str
    label: str | None
    gold_label: str | None
    iou: float | None
    row: int | None
    gold_row: int | None
    seconds: float | None = None

    def document(self) -> dict[str, Any]:
        """Return the defect as JSON, without the item."""
        values = {"task": self.task.value, "kind": self.kind, "label": self.label, "gold_label": self.gold_label}
        places = {"iou": self.iou, "row": self.row, "gold_row": self.gold_row, "seconds": self.seconds}
        return {**values, **places, "text": self.text}

    @property
    def text(self) -> str:
        """The defect in both languages, with class, IoU and row."""
        names = _named(self.kind)
        label, gold = self.label or "-", self.gold_label or "-"
        of = label if label == gold or self.gold_label is None else gold if self.label is None else f"{label} -> {gold}"
        iou = "" if self.iou is None else f", IoU {self.iou:.3f}"
        when = "" if self.seconds is None else f", at {self.seconds:.2f} s"
        where = f", row {self.row}" if self.row is not None else f", gold row {self.gold_row}"
        place = "" if self.row is None and self.gold_row is None else where
        return f"{names.zh} {names.en} ({self.task.value}): {of}{iou}{when}{place}"


def _named(kind: str) -> Words:
    return _NO_LABEL if kind == "no_label" else wording.DEFECTS.get(kind, Words(kind, kind))


def box_defects(defects: pa.Table) -> Iterator[ItemDefect]:
    """Yield the defects of a score of boxes (columns of `scores.BOX_DEFECTS`)."""
    for row in defects.to_pylist():
        yield ItemDefect(
            row["item"],
            Task.BOXES,
            row["kind"],
            row["label"],
            row["gold_label"],
            row["iou"],
            row["label_row"],
            row["gold_row"],
        )


def text_defects(pairs: pa.Table) -> Iterator[ItemDefect]:
    """Yield the wrong and absent labels of a score of sentiments (columns of `scores.TEXT_PAIRS`)."""
    for row in pairs.to_pylist():
        if row["label"] != row["gold_label"]:
            kind = "no_label" if row["label"] is None else "wrong_class"
            yield ItemDefect(row["item"], Task.SENTIMENTS, kind, row["label"], row["gold_label"], None, None, None)


def timeline_defects(task: Task, matches: pa.Table) -> Iterator[ItemDefect]:
    """Yield what has no partner in a score of shots, keyframes or events (columns of `scores.TIME_MATCHES`)."""
    for row in matches.to_pylist():
        if row["label_row"] is None or row["gold_row"] is None:
            missed = row["label_row"] is None
            yield ItemDefect(
                row["item"],
                task,
                "missed" if missed else "spurious",
                None if missed else row["label"],
                row["label"] if missed else None,
                None,
                row["label_row"],
                row["gold_row"],
                row["gold_s"] if missed else row["label_s"],
            )


class Surroundings:
    """The boxes of both sides by item, to draw a defect among its neighbours."""

    def __init__(self, labels: pa.Table, gold: pa.Table) -> None:
        self._rows: dict[tuple[str, bool], list[tuple[int, dict[str, Any]]]] = {}
        for table, vendor in ((gold, False), (labels, True)):
            for number, row in enumerate(table.to_pylist()):
                self._rows.setdefault((row["item"], vendor), []).append((number, row))

    def draw(self, defect: ItemDefect, image: Path) -> Picture:
        """Draw the place of `defect`: its own boxes strong, what else is there thin.

        Raises:
            SourceError: the image is absent or cannot be decoded.
        """
        boxes: list[Box] = []
        for vendor, own in ((False, defect.gold_row), (True, defect.row)):
            here = self._rows.get((defect.item, vendor), [])
            boxes += [_box(row, vendor=vendor, strong=True) for number, row in here if number == own]
            others = [row for number, row in here if number != own]
            boxes += [_box(row, vendor=vendor, strong=False) for row in others[:_MOST_OTHER_BOXES]]
        return draw(image, boxes, name=defect.item)


def _box(row: Mapping[str, Any], *, vendor: bool, strong: bool) -> Box:
    return Box(row["label"], row["x"], row["y"], row["w"], row["h"], vendor=vendor, strong=strong)


def svg(picture: Picture, *, title: str) -> bytes:
    """Return `picture` as one self-contained SVG file: the vendor's boxes dashed, the gold's plain."""
    image = base64.b64encode(picture.jpeg).decode("ascii")
    size = f'width="{picture.width}" height="{picture.height}"'
    marks = "".join(_mark(mark) for mark in picture.marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {picture.width} {picture.height}" '
        f'font-family="sans-serif" font-size="11"><title>{escape(title)}</title>'
        f"<image {size} href={quoteattr('data:image/jpeg;base64,' + image)}/>{marks}</svg>\n"
    ).encode()


def _mark(mark: Mark) -> str:
    color, dash = _COLORS[mark.vendor], ' stroke-dasharray="6 3"' if mark.vendor else ""
    width = 2.5 if mark.strong else 1
    box = (
        f'<rect x="{mark.x}" y="{mark.y}" width="{mark.w}" height="{mark.h}" fill="none" stroke="{color}" '
        f'stroke-width="{width}"{dash}/>'
    )
    if not mark.strong:
        return box
    return box + (
        f'<rect x="{mark.label_x}" y="{mark.label_y}" width="{mark.label_width}" height="15" fill="{color}"/>'
        f'<text x="{mark.label_x + 4}" y="{mark.label_y + 11}" fill="#fff">{escape(mark.label)}</text>'
    )
