"""Any two files: read by what they hold, and joined to each other."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import FormatError, InputError, LabelsError
from contract.formats.loose import read_csv, read_loose, read_pair
from contract.labelset import LabelSet, write_labels
from contract.tables import Task
from tests.oracles.labelsets import box, label_set, shot

BOXES = label_set(Task.BOXES, [box("a.jpg", "star", (1, 2, 4, 6), score=0.5)], {"a.jpg": "labelled", "b.jpg": "empty"})


def table(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def coco(folder: Path) -> Path:
    path = folder / "gold.json"
    document = {
        "images": [{"id": 10, "file_name": "a.jpg"}, {"id": 11, "file_name": "b.jpg"}],
        "annotations": [{"id": 1, "image_id": 10, "category_id": 5, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
        "categories": [{"id": 5, "name": "star"}],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def states(labels: LabelSet) -> dict[str, str]:
    return {row["item"]: row["state"] for row in labels.states.to_pylist()}


def test_results_beside_gold_use_its_ids(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(
        json.dumps([{"image_id": 11, "category_id": 5, "bbox": [0, 0, 1, 1], "score": 0.25}]), encoding="utf-8"
    )
    labels, gold = read_pair(results, coco(tmp_path), Task.BOXES)
    assert labels.table(Task.BOXES).to_pylist()[0] == {
        "item": "b.jpg", "label": "star", "x": 0, "y": 0, "w": 1, "h": 1, "score": 0.25,
        "crowd": None, "area": None, "source": None,
    }  # fmt: skip
    assert states(labels) == {"a.jpg": "empty", "b.jpg": "labelled"}
    assert states(gold) == {"a.jpg": "labelled", "b.jpg": "empty"}
    with pytest.raises(FormatError, match="its ids need the gold"):
        read_loose(results, Task.BOXES)


def test_parquet_table_and_folder_join_coco(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels", BOXES)
    for path in (tmp_path / "labels", tmp_path / "labels" / "boxes.parquet"):
        labels, gold = read_pair(path, coco(tmp_path), Task.BOXES)
        assert states(labels) == {"a.jpg": "labelled", "b.jpg": "empty"}
        assert labels.table(Task.BOXES)["score"].to_pylist() == [0.5]
        assert states(gold) == {"a.jpg": "labelled", "b.jpg": "empty"}


def test_gold_that_is_a_flat_table_is_empty_where_labels_name_more(tmp_path: Path) -> None:
    write_labels(tmp_path, BOXES)
    _, gold = read_pair(coco(tmp_path), tmp_path / "boxes.parquet", Task.BOXES)
    assert states(gold) == {"a.jpg": "labelled", "b.jpg": "empty"}


def test_shots_as_lines(tmp_path: Path) -> None:
    path = table(tmp_path / "any.jsonl", json.dumps({"item": "v", "fps": 25, "shots": [shot("v", 0, 25, "start")]}))
    labels, gold = read_pair(path, path, Task.SHOTS)
    assert labels.table(Task.SHOTS).equals(gold.table(Task.SHOTS))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_in_every_usual_encoding(tmp_path: Path, encoding: str) -> None:
    ours = table(tmp_path / "ours.csv", 'text,label\r\n"好, 很好",positive\r\n差,negative\r\n差,positive\r\n', encoding)
    gold = table(tmp_path / "gold.csv", 'label,text\nnegative,差 \npositive,差\npositive,"好, 很好"\n')
    labels, truth = read_pair(ours, gold, Task.SENTIMENTS)
    found = [{row["item"]: row["label"] for row in each.table(Task.SENTIMENTS).to_pylist()} for each in (labels, truth)]
    assert found[0] == found[1]
    assert len(found[0]) == 3


def test_csv_by_item_and_a_row_without_label(tmp_path: Path) -> None:
    labels = read_csv(table(tmp_path / "a.csv", "item,label,score\nx,positive,0.5\ny,,\n"))
    assert states(labels) == {"x": "labelled", "y": "missing"}


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8), st.sampled_from(["p", "n"]))
    )
)
def test_csv_keeps_every_row(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)
    labels = read_csv(path)
    assert labels.table(Task.SENTIMENTS)["label"].to_pylist() == [label for _, label in rows]
    assert len(set(labels.states["item"].to_pylist())) == len(rows)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the header must hold text,label or item,label, but is empty"),
        ("text,sentiment\na,b\n", "but is text,sentiment"),
        ("text,label\na,b,c\n", "line 2: has another number of columns"),
        ("text,label\na\n", "line 2: has another number of columns"),
        ("item,label\na,p\na,n\n", "line 3: item 'a' stands twice"),
        ('text,label\n"a"b,p\n', "after line 1: not CSV"),
    ],
)
def test_broken_csv_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = table(tmp_path / "bad.csv", text)
    with pytest.raises(FormatError) as caught:
        read_csv(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_bytes_of_no_encoding(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"text,label\n\xff\xff,positive\n")
    with pytest.raises(FormatError, match="neither UTF-8 nor GB18030"):
        read_csv(path)


def test_files_of_different_items_are_refused(tmp_path: Path) -> None:
    one = table(tmp_path / "one.csv", "item,label\nx,positive\n")
    other = table(tmp_path / "other.csv", "text,label\nx,positive\n")
    with pytest.raises(FormatError, match=r"none of its 1 items is among the 1 of .*'x' here"):
        read_pair(one, other, Task.SENTIMENTS)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("absent.json", Task.BOXES),
        ("notes.txt", Task.BOXES),
        ("gold.json", Task.SHOTS),
        ("t.csv", Task.BOXES),
        (".", Task.BOXES),
    ],
)
def test_unknown_forms_are_refused(tmp_path: Path, name: str, task: Task) -> None:
    coco(tmp_path)
    table(tmp_path / "notes.txt", "hello")
    table(tmp_path / "t.csv", "text,label\n")
    with pytest.raises(FormatError, match=r"\S"):
        read_loose(tmp_path / name, task)


def test_parquet_of_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.parquet"
    columns: dict[str, Any] = {"item": ["a"], "label": ["star"], "x": [1.0], "y": [1.0], "w": [1.0]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(FormatError, match="column 'h' of boxes is absent"):
        read_loose(path, Task.BOXES)
    pq.write_table(pa.table(columns | {"h": ["tall"]}), path)
    with pytest.raises(FormatError, match="not a table of boxes"):
        read_loose(path, Task.BOXES)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_loose(path, Task.BOXES)


def test_negative_box_is_refused_by_name(tmp_path: Path) -> None:
    path = coco(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("[1, 2, 3, 4]", "[1, 2, -3, 4]"), encoding="utf-8")
    with pytest.raises(LabelsError, match=r"gold\.json: 1 defect: item 'a\.jpg': box has a negative size, w -3, h 4"):
        read_loose(path, Task.BOXES)
