"""CVAT XML 1.1: files as CVAT writes them, and files of ours that went through CVAT."""

import tempfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from contract.errors import FormatError, LabelsError
from contract.formats.cvat.files import read, write
from contract.formats.lotview import LotView
from contract.labelset import LabelSet, merge
from contract.tables import Kind, Task
from contract.validate import validate_labels
from tests.oracles.labelsets import box, event, keyframe, label_set, shot
from tests.oracles.lots import GUIDELINE, XML_NAMES, item_row, lot_of, lots_with_labels, same

LOT = lot_of(
    [
        *(item_row(f"in/{name}.jpg", Kind.IMAGE, width=100, height=80) for name in "abc"),
        item_row("clips/v.mp4", Kind.VIDEO, fps=25.0, frames=250, duration_s=10.0, width=64, height=48),
        item_row("t", Kind.TEXT),
    ]
)
VERSION = "<version>1.1</version>"

# With everything that CVAT writes and goldgate has no use for.
IMAGES = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>first task</name>
      <size>3</size>
      <mode>annotation</mode>
      <overlap>0</overlap>
      <bugtracker></bugtracker>
      <created>2025-09-25 08:38:28.799808+00:00</created>
      <labels>
        <label>
          <name>star</name>
          <color>#fa3253</color>
          <type>rectangle</type>
          <attributes>
            <attribute>
              <name>score</name>
              <mutable>False</mutable>
              <input_type>text</input_type>
              <default_value></default_value>
              <values></values>
            </attribute>
          </attributes>
        </label>
      </labels>
      <segments>
        <segment><id>7</id><start>0</start><stop>2</stop><url>http://127.0.0.1:8080/api/jobs/7</url></segment>
      </segments>
      <owner><username>admin</username><email></email></owner>
    </task>
    <dumped>2025-09-25 11:38:28.799808+03:00</dumped>
  </meta>
  <image id="0" name="in/a.jpg" width="100" height="80">
    <box label="star" source="auto" occluded="0" xtl="1.25" ytl="2.00" xbr="4.75" ybr="6.50" z_order="0">
      <attribute name="score">0.91</attribute>
    </box>
    <box label="circle" source="manual" occluded="1" xtl="10.00" ytl="0.00" xbr="99.50" ybr="80.00" z_order="1" group_id="2">
    </box>
  </image>
  <image id="1" name="in/b.jpg" width="100" height="80">
  </image>
  <image id="2" name="in/c.jpg" width="100" height="80">
    <tag label="goldgate:excused" source="manual">
    </tag>
  </image>
</annotations>
"""

# A track that CVAT interpolated: every frame stands in it, and nothing after it is gone.
VIDEO = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <job>
      <id>434</id><size>250</size><mode>interpolation</mode><overlap>0</overlap>
      <start_frame>0</start_frame><stop_frame>249</stop_frame><frame_filter></frame_filter>
      <labels><label><name>black_screen</name><color>#000000</color><type>any</type><attributes></attributes></label></labels>
    </job>
    <dumped>2025-09-25 11:38:28.799808+00:00</dumped>
    <original_size><width>64</width><height>48</height></original_size>
    <source>v.mp4</source>
  </meta>
  <track id="0" label="black_screen" source="manual">
    <box frame="25" keyframe="1" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0">
    </box>
    <box frame="26" keyframe="0" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0">
    </box>
    <box frame="27" keyframe="1" outside="1" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0">
    </box>
    <box frame="100" keyframe="1" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0">
    </box>
  </track>
  <track id="1" label="goldgate:shot" source="manual">
    <box frame="0" keyframe="1" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0"></box>
    <box frame="50" keyframe="1" outside="1" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0"></box>
  </track>
  <track id="2" label="goldgate:shot" source="manual">
    <box frame="50" keyframe="1" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="64.00" ybr="48.00" z_order="0">
      <attribute name="transition">fade</attribute><attribute name="source"></attribute>
    </box>
  </track>
  <track id="3" label="goldgate:keyframe" source="manual">
    <box frame="249" keyframe="1" outside="0" occluded="0" xtl="1.00" ytl="1.00" xbr="2.00" ybr="2.00" z_order="0">
      <attribute name="score"></attribute>
    </box>
  </track>
</annotations>
"""


def put(folder: Path, text: str) -> Path:
    path = folder / "annotations.xml"
    path.write_text(text, encoding="utf-8")
    return path


def document(body: str, meta: str = "") -> str:
    return f"<annotations>{VERSION}<meta>{meta}</meta>{body}</annotations>"


def video(body: str, task: str = "") -> str:
    return document(body, f"<task><name>any</name><mode>interpolation</mode>{task}</task><source>v.mp4</source>")


def image(body: str, name: str = "in/a.jpg") -> str:
    return document(f'<image id="0" name="{name}" width="100" height="80">{body}</image>')


def drawn(more: str = "", **changes: str) -> str:
    sides = {"label": "star", "xtl": "1", "ytl": "2", "xbr": "3", "ybr": "4"} | changes
    return f"<box {' '.join(f'{name}={value!r}' for name, value in sides.items())}>{more}</box>"


def test_images_as_cvat_writes_them(tmp_path: Path) -> None:
    labels = read(put(tmp_path, IMAGES), LOT)
    rows = [
        {"item": "in/a.jpg", "label": "star", "x": 1.25, "y": 2.0, "w": 3.5, "h": 4.5, "score": 0.91},
        {"item": "in/a.jpg", "label": "circle", "x": 10.0, "y": 0.0, "w": 89.5, "h": 80.0},
    ]
    assert same(labels, label_set(Task.BOXES, rows, {"in/a.jpg": "labelled", "in/b.jpg": "empty", "in/c.jpg": "excused"}))
    validate_labels(labels, items=LOT.items, guideline=GUIDELINE)


def of_video(shots: list[Any], keyframes: list[Any], events: list[Any], state: str = "labelled") -> LabelSet:
    tables = {Task.SHOTS: shots, Task.KEYFRAMES: keyframes, Task.EVENTS: events}
    sets = {task: label_set(task, rows, {"clips/v.mp4": state}) for task, rows in tables.items()}
    return LabelSet(sets[Task.SHOTS].states, {task: found.table(task) for task, found in sets.items()})


def test_tracks_as_cvat_writes_them(tmp_path: Path) -> None:
    item = "clips/v.mp4"
    shots = [shot(item, 0, 50, "start"), shot(item, 50, 250, "fade")]
    events = [event(item, "black_screen", 1.0, 27 / 25), event(item, "black_screen", 4.0, 10.0)]
    labels = read(put(tmp_path, VIDEO), LOT)
    assert same(labels, of_video(shots, [keyframe(item, 249 / 25)], events))
    validate_labels(labels, items=LOT.items, guideline=GUIDELINE)


def frame(number: int, *tags: str) -> str:
    inner = "".join(f'<tag label="{tag}" source="manual"></tag>' for tag in tags)
    return f'<image id="{number}" name="frame_{number:06d}" width="64" height="48">{inner}</image>'


def test_frame_tags_as_people_set_them(tmp_path: Path) -> None:
    item = "clips/v.mp4"
    frames = [
        frame(0, "goldgate:shot"),
        *(frame(number, "black_screen") for number in (10, 11, 12)),
        frame(13),
        frame(14, "black_screen", "goldgate:keyframe"),
        frame(100, "goldgate:shot"),
    ]
    labels = read(put(tmp_path, video("".join(frames), "<stop_frame>249</stop_frame>")), LOT)
    shots = [shot(item, 0, 100, "start"), shot(item, 100, 250, "cut")]
    events = [event(item, "black_screen", 10 / 25, 13 / 25), event(item, "black_screen", 14 / 25, 15 / 25)]
    assert same(labels, of_video(shots, [keyframe(item, 14 / 25)], events))


def test_frame_tags_of_every_fifth_frame(tmp_path: Path) -> None:
    task = "<frame_filter>step=5</frame_filter>"
    labels = read(put(tmp_path, video(frame(10, "black_screen") + frame(15, "black_screen"), task)), LOT)
    assert same(labels, of_video([], [], [event("clips/v.mp4", "black_screen", 10 / 25, 20 / 25)]))


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("", "empty"),
        (frame(3), "empty"),
        (frame(3, "goldgate:missing"), "missing"),
        (frame(3, "goldgate:missing", "goldgate:excused"), "excused"),
        (frame(3, "goldgate:rejected", "goldgate:missing"), "rejected"),
    ],
)
def test_states_of_videos(tmp_path: Path, body: str, state: str) -> None:
    assert same(read(put(tmp_path, video(body)), LOT), of_video([], [], [], state))


def test_a_job_that_ends_before_its_video(tmp_path: Path) -> None:
    body = '<track label="black_screen"><box frame="0"/></track>'
    labels = read(put(tmp_path, video(body, "<stop_frame>99</stop_frame>")), LOT)
    assert same(labels, of_video([], [], [event("clips/v.mp4", "black_screen", 0.0, 4.0)]))


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (drawn() + '<tag label="goldgate:missing"/>', "labelled"),
        ('<tag label="goldgate:missing"/>', "missing"),
        ('<tag label="goldgate:missing"/><tag label="goldgate:excused"/>', "excused"),
        ('<tag label="goldgate:rejected"/>', "rejected"),
        ("", "empty"),
    ],
)
def test_states_of_images(tmp_path: Path, body: str, state: str) -> None:
    assert read(put(tmp_path, image(body)), LOT).states.to_pylist() == [
        {"item": "in/a.jpg", "kind": "image", "state": state}
    ]


def test_boxes_of_an_excused_image_are_found_by_validation(tmp_path: Path) -> None:
    labels = read(put(tmp_path, image(drawn() + '<tag label="goldgate:excused"/>')), LOT)
    with pytest.raises(LabelsError, match=r"item 'in/a\.jpg': has boxes but is marked excused"):
        validate_labels(labels, items=LOT.items, guideline=GUIDELINE)


def through_cvat(source: Path) -> None:
    """Change the files in a folder as CVAT does when they are uploaded and exported: an independent, plain copy of that."""
    for path in source.rglob("*.xml"):
        root = ET.parse(path).getroot()  # noqa: S314 (what has just been written)
        declared = {
            label.findtext("name"): {
                each.findtext("name"): each.findtext("default_value") for each in label.iter("attribute")
            }
            for label in root.iter("label")
        }
        for owner in (*root.iter("image"), *root.iter("track")):
            for drawing in (*owner.iter("box"), *owner.iter("tag")):
                for side in ("xtl", "ytl", "xbr", "ybr"):
                    if side in drawing.attrib:
                        drawing.set(side, f"{float(drawing.attrib[side]):.2f}")
                drawing.attrib.pop("source", None)
                given = {each.get("name") for each in drawing}
                for name, default in declared[drawing.get("label", owner.get("label"))].items():
                    if name not in given:
                        ET.SubElement(drawing, "attribute", name=str(name)).text = default or ""
        path.write_bytes(ET.tostring(root, encoding="utf-8"))


@settings(max_examples=60)
@given(lots_with_labels((Kind.IMAGE, Kind.VIDEO), names=XML_NAMES))
def test_nothing_is_lost_in_cvat(case: tuple[LotView, LabelSet]) -> None:
    lot, labels = case
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), labels, lot)
        through_cvat(Path(folder))
        assert same(read(Path(folder), lot), labels)


def test_a_moved_box_is_where_it_was_moved_to(tmp_path: Path) -> None:
    rows = [box("in/a.jpg", "star", (1.0001, 2.0, 4.0, 6.0), score=0.5, source="tiny@1")]
    labels = label_set(Task.BOXES, rows, {"in/a.jpg": "labelled"})
    path = write(tmp_path, labels, LOT)[0]
    text = path.read_text()
    assert same(read(put(tmp_path, text.replace('xtl="1.0001"', 'xtl="1.00"')), LOT), labels)
    (moved,) = read(put(tmp_path, text.replace('xtl="1.0001"', 'xtl="1.01"')), LOT).table(Task.BOXES).to_pylist()
    assert (moved["x"], moved["w"], moved["score"], moved["source"]) == (1.01, 4.0 - 1.01, 0.5, "tiny@1")


def test_a_moved_track_has_the_times_of_the_frame_rate(tmp_path: Path) -> None:
    row = {**event("clips/v.mp4", "black_screen", 1.0, 2.0, score=0.5), "start_s": 1.003, "end_s": 2.5}
    labels = of_video([], [], [row])
    path = write(tmp_path, labels, LOT)[0]
    assert same(read(path, LOT), labels)
    text = path.read_text().replace('frame="50"', 'frame="55"')
    (moved,) = read(put(tmp_path, text), LOT).table(Task.EVENTS).to_pylist()
    assert moved == {**row, "end_frame": 55, "start_s": 1.0, "end_s": 2.2, "source": None}


def test_numbers_need_no_note_where_two_decimals_hold_them(tmp_path: Path) -> None:
    rows = [box("in/a.jpg", "star", (1.25, 2, 4, 6.5)), box("in/a.jpg", "star", (1.255, 2, 4, 6.5))]
    text = write(tmp_path, label_set(Task.BOXES, rows, {"in/a.jpg": "labelled"}), LOT)[0].read_text()
    assert text.count('name="exact"') == 1


def test_zip_as_cvat_exports_it(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", IMAGES)
        archive.writestr("images/in/a.jpg", b"x")
    assert same(read(path, LOT), read(put(tmp_path, IMAGES), LOT))
    data = path.read_bytes()
    path.write_bytes(data[:60] + b"\xff" * 40 + data[100:])
    with pytest.raises(FormatError, match=r"export\.zip: "):
        read(path, LOT)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.xml", IMAGES)
    with pytest.raises(FormatError, match=r"export\.zip: the ZIP has 0 files annotations\.xml"):
        read(path, LOT)


def test_folders(tmp_path: Path) -> None:
    images = label_set(Task.BOXES, [box("in/b.jpg", "star", (1, 2, 3, 4))], {"in/b.jpg": "labelled"})
    labels = merge([images, of_video([], [], [], "excused")])
    paths = write(tmp_path, labels, LOT)
    assert [path.name for path in paths[:2]] == ["annotations.xml", "labels.json"]
    assert [path.parent.name for path in paths[2:]] == ["videos", "videos"]
    assert same(read(tmp_path, LOT), labels)
    (tmp_path / "videos" / "again.xml").write_bytes(paths[2].read_bytes())
    with pytest.raises(FormatError, match=r"item 'clips/v\.mp4' stands in 2 files"):
        read(tmp_path, LOT)
    (tmp_path.parent / "none").mkdir()
    with pytest.raises(FormatError, match=r"the folder has no annotations\.xml"):
        read(tmp_path.parent / "none", LOT)
