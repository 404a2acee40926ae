"""CVAT XML that cannot be read, and labels that cannot be written, refused by name."""

from pathlib import Path

import pytest

from contract.errors import FormatError
from contract.formats.cvat.files import read, write
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from tests.contract.test_cvat import IMAGES, LOT, document, drawn, image, put, video
from tests.oracles.labelsets import box, event, keyframe, label_set
from tests.oracles.lots import item_row, lot_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an XML document: it is empty"),
        (IMAGES[:1500], "ends before its elements do .*; the file may be cut off"),
        ("<html/>", "its root is <html>, not the <annotations> of CVAT"),
        ("<annotations/>", "has no <version>; export it from CVAT"),
        (IMAGES.replace("1.1</version>", "1.0</version>"), r"is of version '1\.0'; export it"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "declares a document type"),
        (image("", "in/d.jpg"), r"item 'in/d\.jpg' is not in the lot; did you mean 'in/c\.jpg'"),
        (image("", "t"), r"item 't' is of the kind text in the lot, not an image"),
        (image("", "clips/v.mp4"), r"item 'clips/v\.mp4' is of the kind video in the lot, not an image"),
        (document('<image name="a.jpg"/><image name="in/a.jpg"/>'), r"item 'in/a\.jpg' stands twice in the file"),
        (document("<image/>"), "item None is not in the lot"),
        (image("").replace('"100"', '"200"'), r"item 'in/a\.jpg' has the width '200' in the file, but 100 in the lot"),
        (image(drawn(label="stars")), r"item 'in/a\.jpg': class 'stars' is not in the guideline; did you mean 'star'"),
        (image("<box/>"), r"item 'in/a\.jpg': class None is not in the guideline"),
        (image(drawn(xtl="nan")), r"item 'in/a\.jpg': xtl is 'nan', which is not a finite number"),
        (image(drawn(ybr="-inf")), r"item 'in/a\.jpg': ybr is '-inf', which is not a finite number"),
        (image(drawn(ybr="1e999")), r"item 'in/a\.jpg': ybr is '1e999', which is not a finite number"),
        (image(drawn(ybr="1_0")), r"item 'in/a\.jpg': ybr is '1_0', which is not a finite number"),
        (image('<box label="star" xtl="1"/>'), r"item 'in/a\.jpg': no ytl"),
        (image(drawn(xbr="1e308", ybr="1e308")), r"item 'in/a\.jpg' has a box whose corners are not finite together"),
        (image(drawn(rotation="30.00")), r"item 'in/a\.jpg' has a box rotated by 30\.00 degrees"),
        (image(drawn('<attribute name="score">high</attribute>')), r"item 'in/a\.jpg': score is 'high'"),
        (image(drawn("<attribute>1</attribute>")), "an <attribute> in a box has no name"),
        (image('<polygon label="star" points="0,0;1,1"/>'), "image holds a polygon; boxes and tags alone"),
        (image("<blob/>"), "image holds an element <blob>; boxes and tags alone"),
        (image('<tag label="good_frame"/>'), r"item 'in/a\.jpg' has the tag 'good_frame'; tags of images say goldgate:"),
        (document('<track label="star"/>'), "tracks name no images; export the task from CVAT as 'CVAT for images 1.1'"),
        (video('<track label="star"/>'), r"item 'clips/v\.mp4' has boxes of the class 'star'; boxes in videos"),
        (video('<track label="black"/>'), r"item 'clips/v\.mp4': event 'black' is not in the guideline; did you mean"),
        (video('<track label="black_screen"><box frame="-1"/></track>'), ".*: the frame of a box is '-1', which is not"),
        (video('<image id="x"/>'), ".*: the id of an image is 'x', which is not a whole number"),
        (video('<image id="1"><box label="black_screen"/></image>'), ".* has boxes on single frames; export the task"),
        (video("").replace("v.mp4", "w.mp4"), r"item 'w\.mp4' is not in the lot"),
        (video("").replace("v.mp4", "a.jpg"), r"item 'in/a\.jpg' is of the kind image in the lot, not a video"),
        (video("").replace("task>", "project>"), "is the export of a project"),
        (
            video('<track label="goldgate:shot"><box frame="0"><attribute name="transition">x</attribute></box></track>'),
            r"item 'clips/v\.mp4': transition 'x' is not in the guideline",
        ),
    ],
    ids=range(36),
)  # fmt: skip
def test_bad_files_are_told_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = put(tmp_path, text)
    with pytest.raises(FormatError, match=f"^{path}: {message}") as raised:
        read(path, LOT)
    assert "\n" not in str(raised.value)


def test_a_video_without_frame_rate(tmp_path: Path) -> None:
    lot = lot_of([item_row("v.mp4", Kind.VIDEO, frames=10)])
    path = put(tmp_path, video('<track label="black_screen"><box frame="1"/></track>'))
    with pytest.raises(FormatError, match=r"item 'v\.mp4' has no frame rate in the manifest, so seconds cannot be told"):
        read(path, lot)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (label_set(Task.SENTIMENTS, [], {"t": "missing"}), "item 't' is a text, which CVAT cannot show"),
        (label_set(Task.BOXES, [], {"x": "empty"}), "item 'x' is not in the lot, so it cannot be written for CVAT"),
        (label_set(Task.BOXES, [box("in/a.jpg", "star", (0, 0, 1, 1))], {}), r"item 'in/a\.jpg' has boxes but no state"),
        (
            label_set(Task.BOXES, [box("in/a.jpg", "sun", (0, 0, 1, 1))], {"in/a.jpg": "labelled"}),
            r"item 'in/a\.jpg': class 'sun' is not in the guideline",
        ),
        (
            label_set(Task.BOXES, [box("in/a.jpg", "star", (0, 0, 1, 1), score=float("nan"))], {"in/a.jpg": "labelled"}),
            r"item 'in/a\.jpg' has a box with a number that is not finite",
        ),
        (
            label_set(Task.BOXES, [box("in/a.jpg", "star", (0, 0, 1, 1), source="a\0")], {"in/a.jpg": "labelled"}),
            r"text 'a\\x00' holds U\+0000, which XML cannot",
        ),
        (label_set(Task.EVENTS, [event("clips/v.mp4", "black_screen", 0, 1)], {}), "has labels of a video but no state"),
        (
            label_set(Task.EVENTS, [event("clips/v.mp4", "black", 0, 1)], {"clips/v.mp4": "labelled"}),
            r"item 'clips/v\.mp4': event 'black' is not in the guideline",
        ),
        (
            label_set(Task.KEYFRAMES, [keyframe("clips/v.mp4", 1) | {"time_s": float("inf")}], {"clips/v.mp4": "labelled"}),
            r"item 'clips/v\.mp4' has keyframes with a number that is not finite",
        ),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_cannot_be_written(tmp_path: Path, labels: LabelSet, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        write(tmp_path, labels, LOT)
    assert not list(tmp_path.rglob("*.xml"))
