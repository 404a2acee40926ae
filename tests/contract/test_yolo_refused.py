"""YOLO folders that cannot be read, and labels that cannot be written, refused by file, item and line."""

from pathlib import Path

import numpy as np
import pytest

from contract.errors import FormatError, GoldgateError
from contract.formats.lotview import LotView
from contract.formats.yolo import files as yolo
from contract.tables import Kind, Task
from contract.validate import validate_labels
from tests.contract.test_yolo import HAND, LOT, NAMES, put
from tests.oracles.labelsets import box, label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of, same


def refused(folder: Path, files: dict[str, str | bytes], lot: LotView = LOT) -> str:
    for name, content in ({"classes.txt": NAMES} | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GoldgateError) as caught:
        validate_labels(yolo.read(folder, lot), items=lot.items, guideline=GUIDELINE, origin=str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 nan 0.1", "'nan' is not a finite number"),
        ("0 0.5 inf 0.1 0.1", "'inf' is not a finite number"),
        ("0 0.5 1e999 0.1 0.1", "'1e999' is not a finite number"),
        ("0 0.5 1_0 0.1 0.1", "'1_0' is not a finite number"),
        ("0 0.5 0,5 0.1 0.1", "'0,5' is not a finite number"),
        ("0 0.5 0.5 -0.1 0.1", "the box has a negative size, -0.1 x 0.1"),
        ("0 0.5 0.5 0.1", "holds 4 values; a box has 5"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2", "holds 9 values; .*; polygons and rotated boxes are not ordered"),
        ("-1 0.5 0.5 0.1 0.1", "'-1' is not the number of a class"),
        ("0.5 0.5 0.5 0.1 0.1", "'0.5' is not the number of a class"),
        ("1e300 0.5 0.5 0.1 0.1", "'1e300' is not the number of a class"),
        ("circle 0.5 0.5 0.1 0.1", "'circle' is not a finite number"),
        ("0 0.5 0.5 1e307 0.1", "box 1 is too large to be told in pixels"),
    ],
)  # fmt: skip
def test_broken_lines_are_refused_with_file_item_and_line(tmp_path: Path, line: str, message: str) -> None:
    pattern = rf"^{tmp_path}/in/a.txt: item 'in/a.png': (line 2: )?{message}"
    with pytest.raises(FormatError, match=pattern):
        yolo.read(put(tmp_path, {"classes.txt": NAMES, "in/a.txt": f"\n{line}\n"}), LOT)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"in/a.txt": b"0 0.5 \xff 0.1 0.1"}, "in/a.txt: not a text in UTF-8 (byte 6)"),
        ({"in/a.txt": "0 512 300 40 60"}, "is outside its image of 100 x 80 px"),
        ({"in/a.txt": "0 0.5 0.5 0 0.1"}, "has no area"),
        ({"in/a.txt": "0 0.5 0.5 0.1 0.1 17"}, "score 17 is not within 0 and 1"),
        ({"in/z.txt": ""}, "in/z.txt: item 'in/z' is not in the lot; did you mean 'in/b'?"),
        ({"in/a.txt": "", "labels/in/a.txt": "", "labels/train/in/a.txt": ""}, "has another label file"),
        ({"data.yaml": ""}, "data.yaml: 'names' must hold the names of the classes"),
        ({"data.yaml": "names: [a"}, "data.yaml: not a YAML document"),
        ({"data.yaml": "names: &x [*x]"}, "data.yaml: not a YAML document: an alias stands for a value"),
        ({"data.yaml": "names: {a: b}"}, "data.yaml: 'names' has the key 'a', which is not the number of a class"),
        ({"data.yaml": b"names: [\xff]"}, "data.yaml: not a text in UTF-8 (byte 8)"),
        ({"data.yaml": "names: [a]\ntrain: ../../lists/train.txt"}, "which leads out of the folder"),
        ({"data.yaml": "names: [a]\ntrain: /etc/passwd.txt"}, "which leads out of the folder"),
        ({"data.yaml": "names: [a]\ntrain: train.txt"}, "names 'train.txt', but there is no such file"),
        ({"data.yaml": f"names: [a]\ntrain: {'t' * 300}.txt"}, "but there is no such file"),
        ({"obj.data": ""}, "obj.data: has no line 'names = data/obj.names'"),
        ({"obj.data": "names = ../obj.names"}, "which leads out of the folder"),
        ({"obj.data": "names = obj.names"}, "names 'obj.names', but there is no such file"),
        ({"goldgate/items.parquet": b""}, "goldgate/items.parquet: not a readable Parquet file"),
    ],
)  # fmt: skip
def test_broken_folders_are_refused(tmp_path: Path, files: dict[str, str | bytes], message: str) -> None:
    assert message in refused(tmp_path, files)


def test_a_folder_that_names_no_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"has neither data.yaml nor obj.data nor classes.txt, which name the classes"):
        yolo.read(put(tmp_path, {"in/a.txt": HAND}), LOT)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    secret = put(tmp_path, {"secret.txt": "0 0.5 0.5 0.1 0.1"}) / "secret.txt"
    folder = put(tmp_path / "in", {"classes.txt": NAMES})
    (folder / "c.txt").symlink_to(secret)
    with pytest.raises(FormatError, match=r"c.txt: the link leads out of the folder"):
        yolo.read(folder, LOT)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    bare = lot_of([item_row("a.png", Kind.IMAGE)])
    one = label_set(Task.BOXES, [box("a.png", "star", (0, 0, 1, 1))], {"a.png": "labelled"})
    with pytest.raises(FormatError, match=r"item 'a.png' has no width and height"):
        yolo.write(tmp_path, one, bare)
    none = label_set(Task.BOXES, [], {"a.png": "empty"})
    yolo.write(tmp_path, none, bare)
    assert same(yolo.read(tmp_path, bare), none)
    with pytest.raises(FormatError, match=r"a.txt: item 'a.png' has no width and height"):
        yolo.read(put(tmp_path, {"labels/train/a.txt": HAND}), bare)
    with pytest.raises(FormatError, match=r"item 'a.png' is not in the lot, so it cannot be written as YOLO"):
        yolo.write(tmp_path, one, LOT)
    for rows, message in (
        ([box("c.png", "stra", (0, 0, 1, 1))], "item 'c.png': class 'stra' is not in the guideline; did you mean 'star'"),
        ([box("c.png", "star", (0, 0, np.inf, 1))], "item 'c.png' has a box with a number that is not finite"),
        ([box("in/b.png", "star", (0, 0, 1, 1))], "item 'in/b.png' has labels but is not marked labelled"),
    ):
        with pytest.raises(FormatError, match=message):
            yolo.write(tmp_path, label_set(Task.BOXES, rows, {"c.png": "labelled"}), LOT)
