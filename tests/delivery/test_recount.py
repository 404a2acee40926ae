"""Recounting: totals from the files themselves."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contract.errors import DeliveryError
from delivery.recount import Recount


def parquet(**columns: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), sink)
    return sink.getvalue()


ITEMS = {"image": {"labelled": 2, "empty": 1}, "text": {"labelled": 1}}
LABELS = {"boxes": {"a": 2, "b": 1}, "sentiments": {"positive": 1}, "keyframes": {"": 2}}


@pytest.fixture
def recount() -> Recount:
    found = Recount()
    found.add(
        "labels/items.parquet", parquet(kind=["image"] * 3 + ["text"], state=["labelled", "labelled", "empty", "labelled"])
    )
    found.add("labels/boxes.parquet", parquet(label=["a", "b", "a"]))
    found.add("labels/sentiments.parquet", parquet(label=["positive"]))
    found.add("labels/keyframes.parquet", parquet(frame=["1", "2"]))
    found.add("labels/events.parquet", parquet(label=[]))
    return found


def test_tables_give_the_totals(recount: Recount) -> None:
    assert recount.problems(ITEMS, LABELS) == []
    assert recount.problems(ITEMS, {**LABELS, "shots": {}, "events": {"x": 0}}) == []


@pytest.mark.parametrize(
    ("items", "labels"),
    [
        ({**ITEMS, "text": {"labelled": 2}}, LABELS),
        ({}, LABELS),
        (ITEMS, {**LABELS, "boxes": {"a": 1, "b": 2}}),
        (ITEMS, {**LABELS, "events": {"x": 1}}),
        (ITEMS, {}),
    ],
)
def test_other_totals_are_told(
    items: dict[str, dict[str, int]], labels: dict[str, dict[str, int]], recount: Recount
) -> None:
    assert recount.problems(items, labels)


def region(kind: str) -> dict[str, str]:
    return {"type": kind}


FORMATS = {
    "jsonl/boxes.jsonl": "".join(json.dumps({"boxes": [{}] * count}) + "\n" for count in (2, 0, 1)),
    "jsonl/sentiments.jsonl": '{"label": "positive"}\n{"label": null}\n',
    "coco/boxes.json": json.dumps({"annotations": [{}, {}, {}]}),
    "labelstudio/images.json": json.dumps(
        [
            {"annotations": [{"result": [region("rectanglelabels")] * 2}]},
            {"predictions": [{"result": [region("rectanglelabels"), region("choices")]}]},
        ]
    ),
    "voc/1.xml": "<annotation><object/><object/><object/></annotation>",
    "yolo/labels/train/1.txt": "0 .5 .5 .1 .1\n1 .5 .5 .1 .1\n\n0 .5 .5 .1 .1\n",
    "yolo/train.txt": "images/train/1.png\n",
}


@pytest.mark.parametrize("room", ["jsonl", "coco", "labelstudio", "voc", "yolo"])
def test_exchange_formats_are_counted_by_their_own_notation(room: str, recount: Recount) -> None:
    for path, text in FORMATS.items():
        if path.startswith(f"{room}/"):
            recount.add(path, text.encode())
    assert recount.problems(ITEMS, LABELS) == []
    assert recount.by_format[room]["boxes"] == 3
    fewer = {**LABELS, "boxes": {"a": 2}}
    assert any(f"{room} holds 3 boxes, the manifest says 2" in line for line in recount.problems(ITEMS, fewer))


def test_what_is_not_counted_is_told(recount: Recount) -> None:
    recount.add("cvat/annotations.xml", b"<annotations/>")
    assert recount.uncounted == {"cvat"}


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("coco/boxes.json", b"[]"),
        ("coco/boxes.json", b"{"),
        ("voc/1.xml", b"<a>"),
        ("voc/1.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        ("labels/boxes.parquet", b"PAR1"),
        ("labels/boxes.parquet", parquet(other=["x"])),
        ("jsonl/boxes.jsonl", b"null\n"),
    ],
)
def test_what_is_no_such_file_is_refused_by_name(path: str, data: bytes) -> None:
    with pytest.raises(DeliveryError, match=path.replace(".", r"\.")):
        Recount().add(path, data)
