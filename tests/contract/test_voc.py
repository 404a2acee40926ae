"""Pascal VOC: as annotation tools and the devkit write it, and what others read of ours."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.errors import FormatError, GoldgateError
from contract.formats import voc
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.validate import validate_labels
from tests.oracles.labelsets import box, label_set
from tests.oracles.lots import GUIDELINE, item_row, lot_of, same
from tests.oracles.thirdparty import ReadByDatumaro, blank_image

LOT = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in ("in/a.jpg", "in/b.jpg", "c.jpg", "out/a.jpg")])
BOXES = [
    box("in/a.jpg", "star", (1.1, 2, 4, 6.25), score=0.5, source="tiny@1"),
    {"item": "in/a.jpg", "label": "circle", "x": 0.1, "y": 20.0, "w": 0.2, "h": 60.7, "crowd": True, "area": 7.5},
]
LABELS = label_set(Task.BOXES, BOXES, {"in/a.jpg": "labelled", "in/b.jpg": "empty", "c.jpg": "excused"})
SIZE = "<size><width>100</width><height>80</height><depth>3</depth></size>"
BOUNDS = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40.5</xmax><ymax>60.25</ymax></bndbox>"
STAR = f"<object><name>star</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>{BOUNDS}</object>"
FILES = {
    "labelimg": f'<annotation verified="yes"><folder>in</folder><filename>a.jpg</filename><path>C:\\x\\a.jpg</path>'
    f"<source><database>Unknown</database></source>{SIZE}<segmented>0</segmented>{STAR}</annotation>",
    "cvat": f"<annotation><folder></folder><filename>in/a.jpg</filename><source><database>Unknown</database></source>{SIZE}"
    f"<segmented>0</segmented>{STAR.replace('</object>', '')}<attributes><attribute><name>rotation</name><value>0.0</value>"
    "</attribute></attributes></object></annotation>",
    "labelstudio": f'<?xml version="1.0" encoding="utf-8"?>\n<annotation>\n<folder>images</folder>\n<filename>a</filename>\n'
    f"<source><database>MyDatabase</database></source>\n\n{SIZE}\n{STAR}\n</annotation>",
    "x-anylabeling": f"\ufeff<?xml version='1.0'?><annotation>{SIZE}<source><database>https://github.com/CVHub520/X-AnyLabeling"
    f"</database></source>{STAR.replace('<truncated>', '<occluded>0</occluded><truncated>')}</annotation>",
}  # fmt: skip


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def annotation(*objects: str, more: str = SIZE) -> str:
    return f"<annotation>{more}{''.join(objects)}</annotation>"


def sides(labels: LabelSet) -> list[tuple[str, str, list[float]]]:
    rows = labels.table(Task.BOXES).to_pylist()
    return [(row["item"], row["label"], [row[side] for side in "xywh"]) for row in rows]


def states(labels: LabelSet) -> dict[str, str]:
    return {row["item"]: row["state"] for row in labels.states.to_pylist()}


def test_a_folder_as_it_is_written(tmp_path: Path) -> None:
    voc.write(tmp_path, LABELS, LOT)
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    annotations = {"Annotations/in/a.xml", "Annotations/in/b.xml"}
    assert files == {*annotations, "ImageSets/Main/default.txt", "labelmap.txt", "goldgate/items.parquet"}
    assert (tmp_path / "ImageSets/Main/default.txt").read_text() == "in/a\nin/b\n"
    names = "".join(f"{name}:::\n" for name in GUIDELINE.class_names)
    assert (tmp_path / "labelmap.txt").read_text() == f"# label:color_rgb:parts:actions\n{names}"
    root = ET.parse(tmp_path / "Annotations/in/a.xml").getroot()  # noqa: S314 (what has just been written)
    assert [root.findtext(path) for path in ("filename", "size/width", "size/height", "size/depth", "segmented")] == [
        "in/a.jpg", "100", "80", "3", "0",
    ]  # fmt: skip
    star, circle = root.findall("object")
    assert [star.findtext(f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")] == ["1.1", "2.0", "4.0", "6.25"]
    assert [each.findtext("difficult") for each in (star, circle)] == ["0", "1"]
    notes = [{each.findtext("name"): each.findtext("value") for each in one.iter("attribute")} for one in (star, circle)]
    assert notes == [{"score": "0.5", "source": "tiny@1"}, {"exact": "0.1 20.0 0.2 60.7", "area": "7.5"}]


@pytest.mark.parametrize("tool", FILES)
def test_files_as_tools_write_them(tmp_path: Path, tool: str) -> None:
    labels = voc.read(put(tmp_path, {"Annotations/in/a.xml": FILES[tool]}), LOT)
    assert sides(labels) == [("in/a.jpg", "star", [10.0, 20.0, 30.5, 40.25])]
    assert states(labels) == {"in/a.jpg": "labelled"}
    (row,) = labels.table(Task.BOXES).to_pylist()
    assert {row[name] for name in ("score", "source", "crowd", "area")} == {None}


def test_with_annotations_without_or_one_file(tmp_path: Path) -> None:
    whole = voc.read(put(tmp_path / "voc", {"Annotations/in/a.xml": FILES["cvat"], "JPEGImages/notes.xml": "<x/>"}), LOT)
    bare = voc.read(put(tmp_path / "bare", {"in/a.xml": FILES["cvat"]}), LOT)
    one = voc.read(put(tmp_path / "one", {"5af29b01-a.xml": FILES["cvat"]}) / "5af29b01-a.xml", LOT)
    assert same(whole, bare)
    assert same(whole, one)


@pytest.mark.parametrize(
    ("database", "corner"), [("The VOC2007 Database", 9.0), ("The VOC2012 Database", 9.0), ("VOC", 10.0)]
)
def test_the_devkit_counts_pixels_from_one(tmp_path: Path, database: str, corner: float) -> None:
    source = f"<source><database>{database}</database><annotation>PASCAL VOC2007</annotation></source>"
    whole = STAR.replace("40.5", "40").replace("60.25", "60")
    ((_, _, found),) = sides(voc.read(put(tmp_path, {"in/a.xml": annotation(whole, more=source)}), LOT))
    # Pixels 10 to 40 are 31 pixels, whose edges are 9 and 40.
    assert found == [corner, corner + 10, 40 - corner, 60 - corner - 10]


def test_difficult_is_left_out_of_scoring(tmp_path: Path) -> None:
    hard = STAR.replace("<difficult>0", "<difficult>1")
    rows = voc.read(put(tmp_path, {"in/a.xml": annotation(hard, STAR)}), LOT).table(Task.BOXES).to_pylist()
    assert [row["crowd"] for row in rows] == [True, None]


def test_an_image_of_a_list_without_file_is_missing(tmp_path: Path) -> None:
    put(tmp_path, {"Annotations/in/a.xml": annotation(), "Annotations/in/b.xml": annotation(STAR)})
    put(
        tmp_path,
        {"ImageSets/Main/trainval.txt": "in/a\nin/b\nc\n", "ImageSets/Main/star_trainval.txt": "in/a -1\nin/b  1\n"},
    )
    assert states(voc.read(tmp_path, LOT)) == {"in/a.jpg": "empty", "in/b.jpg": "labelled", "c.jpg": "missing"}


def test_a_file_for_an_excused_item_counts_and_one_that_is_gone_is_missing(tmp_path: Path) -> None:
    voc.write(tmp_path, LABELS, LOT)
    put(tmp_path, {"Annotations/c.xml": annotation()})
    (tmp_path / "Annotations/in/b.xml").unlink()
    assert states(voc.read(tmp_path, LOT)) == {"in/a.jpg": "labelled", "in/b.jpg": "missing", "c.jpg": "empty"}


def test_exact_numbers_hold_where_the_box_stands(tmp_path: Path) -> None:
    voc.write(tmp_path, LABELS, LOT)
    file = tmp_path / "Annotations/in/a.xml"
    text = file.read_text()
    file.write_text(text.replace("0.30000000000000004", "0.3"))
    assert same(voc.read(tmp_path, LOT), LABELS)
    file.write_text(text.replace("0.30000000000000004", "0.31"))
    assert sides(voc.read(tmp_path, LOT))[1] == ("in/a.jpg", "circle", [0.1, 20.0, 0.31 - 0.1, 60.7])


def test_names_that_xml_escapes(tmp_path: Path) -> None:
    names = ["a & b.jpg", "<c>.jpg", "'d' \"e\".jpg", "ä ö 中.jpg", " f .jpg"]
    lot = lot_of([item_row(name, Kind.IMAGE, width=10, height=10) for name in names])
    rows = [box(name, "star", (0, 0, 1, 1), source="a <b> & 'c'@1") for name in names]
    labels = label_set(Task.BOXES, rows, dict.fromkeys(names, "labelled"))
    voc.write(tmp_path, labels, lot)
    assert same(voc.read(tmp_path, lot), labels)
    shouted = label_set(Task.BOXES, [box("a & b.jpg", "star", (0, 0, 1, 1), source="\x07")], {"a & b.jpg": "labelled"})
    with pytest.raises(FormatError, match=r"holds U\+0007, which XML cannot; write coco or jsonl instead"):
        voc.write(tmp_path / "no", shouted, lot)


def test_equal_names_do_not_share_a_file(tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", "in/a.jpg", "in/a.b.jpg", "a.png.xml", "b"]
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in names])
    rows = [box(name, "star", (0, 0, number + 1, 1)) for number, name in enumerate(names)]
    labels = label_set(Task.BOXES, rows, dict.fromkeys(names, "labelled"))
    voc.write(tmp_path, labels, lot)
    assert same(voc.read(tmp_path, lot), labels)


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    names = ["../../up.png", "/etc/passwd", "..", "x\\..\\y.png", "line\nfeed.png", "e" * 300 + ".png"]
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in names])
    labels = label_set(Task.BOXES, [], dict.fromkeys(names, "empty"))
    paths = voc.write(tmp_path / "out", labels, lot)
    assert all((tmp_path / "out") in path.resolve().parents for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert same(voc.read(tmp_path / "out", lot), labels)


LAUGHS = "".join(f'<!ENTITY l{at} "{f"&l{at - 1};" * 10}">' for at in range(1, 10))


def bounds(*corners: object) -> str:
    return STAR.replace(
        BOUNDS, f"<bndbox>{''.join(f'<{n}>{c}</{n}>' for n, c in zip(voc._CORNERS, corners, strict=True))}</bndbox>"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;</annotation>', "declares a document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "declares a document type"),
        ("", "not an XML document: it is empty"),
        (FILES["cvat"][: len(FILES["cvat"]) // 2], "the file may be cut off"),
        ("<annotations/>", "is no file of Pascal VOC: it begins with <annotations>"),
        (b"<annotation>\xff</annotation>", "not an XML document"),
        (annotation(STAR, STAR.replace("star", "stra")), "item 'in/a.jpg': object 2: class 'stra' is not in the guideline"),
        (annotation("<object/>"), "object 1: class '' is not in the guideline"),
        (annotation("<object><name>star</name><polygon/></object>"), "object 1: has no <bndbox>; only boxes are ordered"),
        (annotation(bounds(1, 2, "nan", 4)), "object 1: xmax is 'nan', which is not a finite number"),
        (annotation(bounds(1, 2, "1e999", 4)), "object 1: xmax is '1e999', which is not a finite number"),
        (annotation(bounds(1, 2, "1_0", 4)), "object 1: xmax is '1_0', which is not a finite number"),
        (annotation(bounds(-1e308, 2, 1e308, 4)), "object 1: the box is too large to be told in pixels"),
        (annotation(bounds(1, 2, "", 4)), "object 1: no xmax"),
        (annotation(bounds(5, 2, 4, 4)), "object 1: the box has a negative size, -1 x 2"),
        (annotation(bounds(5, 2, 5, 4)), "has no area"),
        (annotation(bounds(5, 2, 500, 4)), "is outside its image of 100 x 80 px"),
        (annotation(STAR, more=SIZE.replace("100", "200")), "item 'in/a.jpg': width is 200, but the lot's image has 100"),
        (FILES["cvat"].replace("0.0", "30"), "object 1: the box is rotated by 30 degrees; only upright boxes are ordered"),
        (FILES["cvat"].replace("rotation", "score"), None),
        (FILES["cvat"].replace("rotation", "score").replace("0.0", "high"), "score is 'high', which is not a finite"),
        (FILES["cvat"].replace("rotation", "score").replace("0.0", "7"), "score 7 is not within 0 and 1"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_with_file_and_item(tmp_path: Path, content: str | bytes, message: str | None) -> None:
    put(tmp_path, {"Annotations/in/a.xml": content})
    if message is None:
        assert voc.read(tmp_path, LOT).table(Task.BOXES)["score"].to_pylist() == [0.0]
        return
    with pytest.raises(GoldgateError) as caught:
        validate_labels(voc.read(tmp_path, LOT), items=LOT.items, guideline=GUIDELINE, origin=str(tmp_path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_files_of_no_item_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"in/z.xml: item 'in/z' is not in the lot; did you mean 'in/b'"):
        voc.read(put(tmp_path / "1", {"in/z.xml": annotation()}), LOT)
    with pytest.raises(FormatError, match=r"a.xml: 'a' may be of item 'in/a.jpg' or of 'out/a.jpg'"):
        voc.read(put(tmp_path / "2", {"a.xml": annotation()}), LOT)
    named = annotation(more="<filename>out\\a.jpg</filename>")
    assert states(voc.read(put(tmp_path / "2", {"a.xml": named}), LOT)) == {"out/a.jpg": "empty"}
    with pytest.raises(FormatError, match=r"ImageSets/Main/val.txt: item '../z' is not in the lot"):
        voc.read(put(tmp_path / "3", {"in/a.xml": annotation(), "ImageSets/Main/val.txt": "../z\n"}), LOT)
    with pytest.raises(FormatError, match=r"a.xml: item 'in/a.jpg' has another label file"):
        voc.read(put(tmp_path / "4", {"in/a.xml": annotation(), "x/in/a.xml": annotation()}), LOT)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no annotations in XML; name the folder that the tool wrote"):
        voc.read(tmp_path, LOT)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for rows, message in (
        ([box("z.jpg", "star", (0, 0, 1, 1))], "item 'z.jpg' is not in the lot, so it cannot be written as Pascal VOC"),
        ([box("c.jpg", "stra", (0, 0, 1, 1))], "item 'c.jpg': class 'stra' is not in the guideline; did you mean 'star'"),
        ([box("c.jpg", "star", (0, 0, np.nan, 1))], "item 'c.jpg' has a box with a number that is not finite"),
    ):
        with pytest.raises(FormatError, match=message):
            voc.write(tmp_path, label_set(Task.BOXES, rows, {rows[0]["item"]: "labelled"}), LOT)


def test_datumaro_reads_what_is_written(tmp_path: Path, datumaro: ReadByDatumaro) -> None:
    voc.write(tmp_path, LABELS, LOT)
    for name in ("a", "b"):
        blank_image(tmp_path / "JPEGImages" / "in" / f"{name}.jpg", 100, 80)
    found = datumaro(tmp_path, "voc_detection")
    assert set(GUIDELINE.class_names) <= set(found["classes"])
    items = {each["id"]: each["boxes"] for each in found["items"]}
    assert {name: [(one["label"], one["box"]) for one in boxes] for name, boxes in items.items()} == {
        "in/a": [("star", pytest.approx([1.1, 2, 2.9, 4.25])), ("circle", pytest.approx([0.1, 20, 0.2, 60.7]))],
        "in/b": [],
    }
    star, circle = (each["attributes"] for each in items["in/a"])
    assert (float(star["score"]), star["source"], star["difficult"]) == (0.5, "tiny@1", False)
    assert circle["difficult"] is True


def test_supervision_reads_what_is_written(
    tmp_path: Path, supervision: Callable[[str, Path], dict[str, list[list[Any]]]]
) -> None:
    lot = lot_of([item_row(name, Kind.IMAGE, width=100, height=80) for name in ("a.jpg", "b.jpg")])
    labels = label_set(Task.BOXES, [box("a.jpg", "star", (1.5, 2, 4, 6.25))], {"a.jpg": "labelled", "b.jpg": "empty"})
    voc.write(tmp_path, labels, lot)
    for name in ("a.jpg", "b.jpg"):
        blank_image(tmp_path / "JPEGImages" / name, 100, 80)
    # It takes every file for the devkit's, whose first pixel is 1.
    assert supervision("voc", tmp_path) == {"a.jpg": [["star", 0.5, 1.0, 4.0, 6.25]], "b.jpg": []}
