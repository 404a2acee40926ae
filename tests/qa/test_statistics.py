"""Statistics of a delivery against counting by hand."""

import datetime
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.labelset import LabelSet
from contract.scores import BOX_MATCHES, ITEM_COUNTS, TEXT_PAIRS, TIME_MATCHES
from contract.statistics import LotStatistics, Statistics, Volume
from contract.tables import SCHEMAS, STATES, Kind, Task
from contract.verdict import Criterion, Outcome
from qa.report.delivery_pages import render_delivery
from qa.statistics import count_classes, count_items, count_labels, count_sources

ITEMS = [f"i{number}" for number in range(6)]


def table(task: Task, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMAS[task])


def labels_of(rows: list[tuple[str, str, str | None]]) -> LabelSet:
    boxes = [{"item": item, "label": label, "x": 0, "y": 0, "w": 1, "h": 1, "source": who} for item, label, who in rows]
    states = [{"item": item, "kind": "image", "state": "labelled"} for item in sorted({row[0] for row in rows})]
    return LabelSet(pa.Table.from_pylist(states, schema=STATES), {Task.BOXES: table(Task.BOXES, boxes)})


ROWS = st.lists(
    st.tuples(st.sampled_from(ITEMS), st.sampled_from("ab"), st.sampled_from(["anna", "otto", "model@1", None])), max_size=20
)


@settings(max_examples=60)
@given(rows=ROWS, checked=st.sets(st.sampled_from(ITEMS)), data=st.data())
def test_sources_of_boxes(rows: list[tuple[str, str, str | None]], checked: set[str], data: st.DataObject) -> None:
    could = [number for number, row in enumerate(rows) if row[0] in checked]
    right = data.draw(st.sets(st.sampled_from(could))) if could else set()
    evidence = {
        "boxes-items.parquet": pa.Table.from_pylist(
            [{"item": item, "tp": 0, "fp": 0, "fn": 0} for item in sorted(checked)], schema=ITEM_COUNTS
        ),
        "matches.parquet": pa.Table.from_pylist(
            [
                {"item": rows[row][0], "gold_row": 0, "label_row": row, "gold_label": "a", "label": "a", "iou": 1.0}
                for row in sorted(right)
            ],
            schema=BOX_MATCHES,
        ),
    }
    found = {row.name: row for row in count_sources(labels_of(rows), evidence, models=["model@1"])}
    assert set(found) == {who or "–" for _, _, who in rows}
    for name, row in found.items():
        mine = [number for number, each in enumerate(rows) if (each[2] or "–") == name]
        assert row.labels == len(mine)
        assert row.scored == sum(rows[number][0] in checked for number in mine)
        assert row.right == sum(number in right for number in mine)
        assert row.kind == ("model" if name == "model@1" else "annotator")


def test_sources_of_texts_and_timelines() -> None:
    texts = table(
        Task.SENTIMENTS,
        [
            {"item": f"t{n}", "label": label, "source": who}
            for n, (label, who) in enumerate([("p", "anna"), ("n", "anna"), ("p", "otto")])
        ],
    )
    shots = table(
        Task.SHOTS,
        [
            {
                "item": "v",
                "start_frame": n * 10,
                "end_frame": n * 10 + 10,
                "start_s": n,
                "end_s": n + 1,
                "transition": "cut",
                "source": "anna",
            }
            for n in range(3)
        ],
    )
    evidence = {
        "sentiments-pairs.parquet": pa.Table.from_pylist(
            [{"item": "t0", "gold_label": "p", "label": "p"}, {"item": "t1", "gold_label": "p", "label": "n"}],
            schema=TEXT_PAIRS,
        ),
        "shots-items.parquet": pa.Table.from_pylist([{"item": "v", "tp": 1, "fp": 1, "fn": 1}], schema=ITEM_COUNTS),
        "shots-matches.parquet": pa.Table.from_pylist(
            [
                {"item": "v", "gold_row": 1, "label_row": 1},
                {"item": "v", "gold_row": None, "label_row": 2},
                {"item": "v", "gold_row": 2, "label_row": None},
            ],
            schema=TIME_MATCHES,
        ),
    }
    labels = LabelSet(STATES.empty_table(), {Task.SENTIMENTS: texts, Task.SHOTS: shots})
    found = {(row.task, row.name): (row.labels, row.scored, row.right) for row in count_sources(labels, evidence, models=[])}
    assert found == {
        (Task.SENTIMENTS, "anna"): (2, 2, 1),
        (Task.SENTIMENTS, "otto"): (1, 0, 0),
        (Task.SHOTS, "anna"): (3, 2, 1),  # the first shot starts the video
    }
    assert all(row.scored == 0 for row in count_sources(labels, {}, models=[]))


def test_items_labels_and_classes() -> None:
    labels = labels_of([("i0", "b", None), ("i1", "a", None), ("i1", "b", None)])
    assert count_items(labels) == {"image": {"labelled": 2}}
    counted = count_labels(labels)
    assert counted == {"boxes": {"a": 1, "b": 2}}
    rates = {"tp": 1, "fp": 0, "fn": 1, "precision": 1.0, "recall": 0.5, "f1": 2 / 3}
    scores = {"boxes": {"per_class": [{"label": "b", **rates}, {"label": "c", **rates}]}}
    found = {row.label: row for row in count_classes(counted, scores)}
    assert [row.labels for row in found.values()] == [1, 2, 0]
    assert (found["a"].tp, found["a"].f1) == (None, None)
    assert (found["b"].tp, found["b"].recall) == (1, 0.5)
    assert count_items(LabelSet(STATES.empty_table())) == {}
    assert count_labels(LabelSet(STATES.empty_table(), {Task.KEYFRAMES: SCHEMAS[Task.KEYFRAMES].empty_table()})) == {
        "keyframes": {}
    }


@pytest.fixture
def statistics() -> Statistics:
    labels = labels_of([("i0", "<b>&", "anna")])
    criterion = Criterion(
        name="image.f1", kind=Kind.IMAGE, estimate=0.95, lower_bound=0.91, upper_bound=None, threshold=0.9,
        outcome=Outcome.ACCEPT, units=5,
    )  # fmt: skip
    lot = LotStatistics(
        lot="made", submission=1, gold=2, verdict=3, verdict_sha256="0" * 64, outcome=Outcome.ACCEPT, rule="lower_bound",
        judged=datetime.datetime(2030, 1, 2, tzinfo=datetime.timezone.utc), criteria=(criterion,), items=count_items(labels),
        labels={**count_labels(labels), "keyframes": {"": 4}}, video_hours={},
        classes=tuple(count_classes(count_labels(labels), {})),
        defects={"missed": 2}, sources=tuple(count_sources(labels, {}, models=[])), models={"image": "net@1"},
        rejected={"truncated": 1, "novel": 2},
    )  # fmt: skip
    volume = Volume(kind=Kind.VIDEO, unit="hours", ordered=100, received=50.25, delivered=50, excused=0)
    return Statistics(
        contract="C-1", title="t", client="<client>", vendor="v", purpose="p", package=1,
        created=datetime.datetime(2030, 1, 3, tzinfo=datetime.timezone.utc), terms_sha256="1" * 64, guideline_version="1",
        guideline_sha256="2" * 64, volumes=(volume,), lots=(lot,),
    )  # fmt: skip


def test_pages_say_everything_twice_and_escape_names(statistics: Statistics) -> None:
    page, certificate = render_delivery("statistics", statistics), render_delivery("certificate", statistics)
    for words in (
        "标注结果统计报告",
        "Statistics of the delivery",
        "50.25",
        "net@1",
        "&lt;b&gt;&amp;",
        "标注员",
        "novel",
        "漏标",
    ):
        assert words in page
    for words in ("验收证书", "Acceptance certificate", "0.9500", "0.9100", "接收", "ACCEPT", "0" * 64, "2030-01-02"):
        assert words in certificate
    for text in (page, certificate):
        assert "<client>" not in text
        assert "&lt;client&gt;" in text
        assert "1" * 64 in text
        assert "2" * 64 in text
        assert not re.search(r"<script|https?://|src=|None|nan", text)
        assert text.count('lang="zh"') > 5
    assert render_delivery("statistics", statistics) == page
