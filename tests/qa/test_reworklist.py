"""Defects by item: what is named, and a picture that stands alone."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from contract.acceptance import ImageProfile
from contract.errors import SourceError
from contract.labelset import LabelSet
from contract.scores import TEXT_PAIRS, TIME_MATCHES
from contract.tables import SCHEMAS, STATES, Task
from qa import defaults
from qa.reworklist import ItemDefect, Surroundings, box_defects, svg, text_defects, timeline_defects
from qa.score_boxes import score_boxes

PROFILE: ImageProfile = defaults.IMAGE


def boxes(*rows: tuple[str, float]) -> LabelSet:
    states = pa.Table.from_pylist([{"item": "a&b.png", "kind": "image", "state": "labelled"}], schema=STATES)
    table = [{"item": "a&b.png", "label": label, "x": x, "y": 10.0, "w": 20.0, "h": 20.0} for label, x in rows]
    return LabelSet(states, {Task.BOXES: pa.Table.from_pylist(table, schema=SCHEMAS[Task.BOXES])})


GOLD = boxes(("car", 10.0), ("bus", 60.0), ("car", 120.0))
WORK = boxes(("car", 10.0), ("car", 60.0), ("bus", 170.0))


def defects() -> list[ItemDefect]:
    return list(box_defects(score_boxes(WORK, GOLD, PROFILE).defect_rows))


def test_boxes_are_named_by_kind_class_and_row() -> None:
    found = {each.kind: each for each in defects()}
    assert set(found) == {"wrong_class", "missed", "spurious"}
    wrong, missed, spurious = (found[kind] for kind in ("wrong_class", "missed", "spurious"))
    assert (wrong.label, wrong.gold_label, wrong.row, wrong.gold_row) == ("car", "bus", 1, 1)
    assert wrong.text == "类别错误 wrong class (boxes): car -> bus, IoU 1.000, row 1"
    assert missed.text == "漏标 missed (boxes): car, gold row 2"
    assert spurious.text == "多标 spurious (boxes): bus, row 2"
    assert wrong.document()["iou"] == pytest.approx(1.0)


def test_texts_are_wrong_or_without_a_label() -> None:
    rows = [("x", "pos", "pos"), ("y", "pos", "neg"), ("z", "neg", None)]
    pairs = pa.Table.from_pylist([dict(zip(TEXT_PAIRS.names, row, strict=True)) for row in rows], schema=TEXT_PAIRS)
    assert [(each.item, each.kind, each.text) for each in text_defects(pairs)] == [
        ("y", "wrong_class", "类别错误 wrong class (sentiments): neg -> pos"),
        ("z", "no_label", "未标注 no label (sentiments): neg"),
    ]


def test_timelines_have_misses_and_extras() -> None:
    both = {"item": "v", "label": "run", "gold_s": 1.0, "label_s": 1.0, "quality": 1.0}
    rows = [
        {**both, "gold_row": 0, "label_row": 0},
        {**both, "gold_row": 1, "label_row": None},
        {**both, "gold_row": None, "label_row": 4, "label_s": 2.5},
    ]
    matches = pa.Table.from_pylist(rows, schema=TIME_MATCHES)
    found = list(timeline_defects(Task.EVENTS, matches))
    assert [(each.kind, each.label, each.gold_label, each.row, each.gold_row) for each in found] == [
        ("missed", None, "run", None, 1),
        ("spurious", "run", None, 4, None),
    ]
    assert [each.text for each in found] == [
        "漏标 missed (events): run, at 1.00 s, gold row 1",
        "多标 spurious (events): run, at 2.50 s, row 4",
    ]


def test_a_picture_is_one_file_with_the_defect_drawn_strong(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (220, 60), (200, 200, 200)).save(path)
    around = Surroundings(WORK.table(Task.BOXES), GOLD.table(Task.BOXES))
    wrong = next(each for each in defects() if each.kind == "wrong_class")
    root = ET.fromstring(svg(around.draw(wrong, path), title=f"{wrong.item}: {wrong.text}"))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title", "").startswith("a&b.png: ")
    assert [text.text for text in root.iter(f"{space}text")] == ["G bus", "V car"]
    strong = [rect for rect in root.iter(f"{space}rect") if rect.get("stroke-width") == "2.5"]
    assert len(strong) == 2
    assert [rect.get("stroke-dasharray") for rect in strong] == [None, "6 3"]
    (image,) = root.iter(f"{space}image")
    assert (image.get("href") or "").startswith("data:image/jpeg;base64,")
    with pytest.raises(SourceError, match="is not there"):
        around.draw(wrong, tmp_path / "none.png")
