"""Every format gives back what it was given, for generated lots."""

import dataclasses
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings

from contract.formats import activitynet, coco, jsonl, voc
from contract.formats.cvat import files as cvat
from contract.formats.labelstudio import tasks as labelstudio
from contract.formats.lotview import LotView
from contract.formats.registry import FORMATS
from contract.formats.xanylabeling import images as xanylabeling
from contract.formats.yolo import files as yolo
from contract.labelset import LabelSet, read_labels, write_labels
from contract.tables import SCHEMAS, STATES, TASKS_OF_KIND, Kind, Task
from contract.terms import load_terms
from contract.validate import validate_labels, validate_tables
from tests.oracles.lots import XML_NAMES, item_row, lot_of, lots_with_labels, same

Case = tuple[LotView, LabelSet]


@settings(max_examples=30)
@given(lots_with_labels())
def test_generated_labels_are_valid(case: Case) -> None:
    lot, labels = case
    validate_labels(labels, items=lot.items, guideline=lot.guideline)
    validate_tables(labels)


@settings(max_examples=30)
@given(lots_with_labels())
def test_parquet(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_labels(Path(folder), case[1])
        assert same(read_labels(Path(folder)), case[1])


@settings(max_examples=30)
@given(lots_with_labels())
def test_jsonl(case: Case) -> None:
    lot, labels = case
    with tempfile.TemporaryDirectory() as folder:
        paths = jsonl.write(Path(folder), labels, lot)
        assert {path.stem for path in paths} == {task.value for task in labels.tables}
        if paths:
            assert same(jsonl.read(Path(folder), lot), labels)
            assert same(jsonl.read_jsonl(Path(folder)), labels)
            for path in paths:
                task = next(task for task in labels.tables if task.value == path.stem)
                assert jsonl.read_jsonl(path).table(task).to_pylist() == labels.table(task).to_pylist()


@settings(max_examples=30)
@given(lots_with_labels((Kind.IMAGE,)))
def test_coco(case: Case) -> None:
    lot, labels = case
    with tempfile.TemporaryDirectory() as folder:
        (path,) = coco.write(Path(folder), labels, lot)
        expected = labels if labels.tables else LabelSet(labels.states, coco.read(path, lot).tables)
        assert same(coco.read(path, lot), expected)
        assert same(coco.read(Path(folder), lot), expected)


@settings(max_examples=30)
@given(lots_with_labels())
def test_labelstudio_predictions(case: Case) -> None:
    lot, labels = case
    with tempfile.TemporaryDirectory() as folder:
        if labelstudio.write(Path(folder), labels, lot):
            assert same(labelstudio.read(Path(folder), lot, predictions=True), labels)


@settings(max_examples=60)
@given(lots_with_labels((Kind.IMAGE, Kind.VIDEO), names=XML_NAMES))
def test_cvat(case: Case) -> None:
    lot, labels = case
    with tempfile.TemporaryDirectory() as folder:
        assert cvat.write(Path(folder), labels, lot)
        assert same(cvat.read(Path(folder), lot), labels)


@settings(max_examples=60, deadline=None)
@given(lots_with_labels((Kind.IMAGE,)))
def test_yolo(case: Case) -> None:
    lot, labels = case
    assume(labels.states.num_rows)
    expected = LabelSet(labels.states, {Task.BOXES: labels.table(Task.BOXES)})
    for write in (yolo.write, yolo.write_darknet):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), labels, lot)
            assert same(yolo.read(Path(folder), lot), expected)


@settings(max_examples=60)
@given(lots_with_labels((Kind.VIDEO,)))
def test_activitynet(case: Case) -> None:
    lot, labels = case
    with tempfile.TemporaryDirectory() as folder:
        assert activitynet.write(Path(folder), labels, lot)
        assert same(activitynet.read(Path(folder), lot), labels)


@settings(max_examples=60, deadline=None)
@given(lots_with_labels((Kind.IMAGE, Kind.VIDEO)))
def test_xanylabeling(case: Case) -> None:
    lot, labels = case
    assume(labels.states.num_rows)
    with tempfile.TemporaryDirectory() as folder:
        xanylabeling.write(Path(folder), labels, lot)
        assert same(xanylabeling.read(Path(folder), lot), labels)


@settings(max_examples=60, deadline=None)
@given(lots_with_labels((Kind.IMAGE,), names=XML_NAMES))
def test_voc(case: Case) -> None:
    lot, labels = case
    assume(labels.states.num_rows)
    expected = LabelSet(labels.states, {Task.BOXES: labels.table(Task.BOXES)})
    with tempfile.TemporaryDirectory() as folder:
        voc.write(Path(folder), labels, lot)
        assert same(voc.read(Path(folder), lot), expected)


EVENTS = load_terms(Path(__file__).resolve().parents[2] / "configs" / "video_events.yaml").guideline


@pytest.mark.parametrize("form", ["labelstudio", "xanylabeling", "activitynet", "jsonl", "cvat"])
def test_events_of_every_rule_overlapping_and_twice_the_same(form: str, tmp_path: Path) -> None:
    """Two objects that enter at once are two equal events, and those of one name may overlap."""
    items = [item_row("clips/a.mp4", Kind.VIDEO, fps=25.0, frames=500, duration_s=20.0)]
    lot = dataclasses.replace(lot_of(items), guideline=EVENTS)
    spans = [(at, at + 100 + at % 3) for at in range(len(EVENTS.events))]
    rows = [
        {
            "item": "clips/a.mp4",
            "label": name,
            "start_frame": start,
            "end_frame": end,
            "start_s": start / 25,
            "end_s": end / 25,
        }
        for name, (start, end) in zip(EVENTS.event_names, spans, strict=True)
    ]
    rows = [row for row in rows for _ in range(2)] + [rows[0] | {"end_frame": 300, "end_s": 12.0}]
    states = pa.Table.from_pylist([{"item": "clips/a.mp4", "kind": "video", "state": "labelled"}], schema=STATES)
    tables = {task: pa.Table.from_pylist([], schema=SCHEMAS[task]) for task in TASKS_OF_KIND[Kind.VIDEO]}
    labels = LabelSet(states, tables | {Task.EVENTS: pa.Table.from_pylist(rows, schema=SCHEMAS[Task.EVENTS])})
    validate_labels(labels, items=lot.items, guideline=EVENTS)
    assert FORMATS[form].write(tmp_path, labels, lot)
    if form == "labelstudio":
        assert same(labelstudio.read(tmp_path, lot, predictions=True), labels)
    else:
        assert same(FORMATS[form].read(tmp_path, lot), labels)


@settings(max_examples=30)
@given(lots_with_labels())
def test_every_working_format_writes_whole_files(case: Case) -> None:
    lot, labels = case
    for name in FORMATS.keys() - {"cvat", "voc"}:  # XML cannot hold all names
        with tempfile.TemporaryDirectory() as folder:
            for path in FORMATS[name].write(Path(folder), labels, lot):
                assert path.is_file()
                assert path.is_relative_to(folder)
