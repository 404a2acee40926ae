import dataclasses
import datetime
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from contract.labelset import LabelSet
from contract.scores import Score
from contract.tables import ITEMS, KIND_OF_TASK, REJECTS, SCHEMAS, STATES, Kind, Task
from contract.terms import Terms, load_terms
from contract.verdict import Criterion, Outcome, Pins, Verdict
from qa import defaults
from qa.report.page import ReportInput, render
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots
from qa.words.wording import WORDS, Words

TERMS = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
EVIL = "\"><script>alert('x')</script><img src=x onerror=alert(1)>"
VOID = {"meta", "input", "img", "br", "link", "hr"}
SVG_LEAVES = {"rect", "line", "circle", "image"}
Row = dict[str, Any]


class Page(HTMLParser):
    """What is on a page: its tags and attributes, whether it nests well, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_LEAVES
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing at line {self.getpos()[0]}"
        self.text += " " if tag in {"td", "th"} else ""

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def filled(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{field.name: row.get(field.name) for field in schema} for row in rows], schema=schema)


def label_set(rows: dict[Task, list[Row]], items: dict[str, Kind], *, state: str = "labelled") -> LabelSet:
    states = [{"item": item, "kind": kind.value, "state": state} for item, kind in items.items()]
    return LabelSet(filled(states, STATES), {task: filled(some, SCHEMAS[task]) for task, some in rows.items()})


def noisy(path: Path, width: int, height: int) -> str:
    pixels = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def spans(starts: Sequence[int], label: str | None = None) -> list[Row]:
    return [
        {
            "item": "film.mp4",
            "start_frame": start,
            "end_frame": start + 50,
            "start_s": start / 25,
            "end_s": (start + 50) / 25,
            "transition": "cut",
            "label": label,
        }
        for start in starts
    ]


def boxes(item: str, label: str, count: int, *, shift: float = 0, score: float | None = None) -> list[Row]:
    return [
        {"item": item, "label": label, "x": 60.0 * n + shift, "y": 10.0, "w": 40.0, "h": 40.0, "score": score}
        for n in range(count)
    ]


ALL_ITEMS = {
    "one.png": Kind.IMAGE,
    "gone.png": Kind.IMAGE,
    "text-1": Kind.TEXT,
    EVIL: Kind.TEXT,
    "film.mp4": Kind.VIDEO,
}


def material() -> tuple[LabelSet, LabelSet]:
    gold: dict[Task, list[Row]] = {
        Task.BOXES: [*boxes("one.png", "circle", 5), *boxes("gone.png", EVIL, 2)],
        Task.SENTIMENTS: [{"item": "text-1", "label": "positive"}, {"item": EVIL, "label": "negative"}],
        Task.SHOTS: spans([0, 50, 100]),
        Task.KEYFRAMES: [{"item": "film.mp4", "frame": 25, "time_s": 1.0}],
        Task.EVENTS: spans([0, 100], "黑屏"),
    }
    labels: dict[Task, list[Row]] = {
        Task.BOXES: [*boxes("one.png", "circle", 4, shift=1), *boxes("one.png", "square", 1, shift=500)],
        Task.SENTIMENTS: [{"item": "text-1", "label": "positive"}, {"item": EVIL, "label": "positive", "score": 0.99}],
        Task.SHOTS: spans([0, 50, 110]),
        Task.KEYFRAMES: [{"item": "film.mp4", "frame": 26, "time_s": 1.04}],
        Task.EVENTS: spans([0], "黑屏"),
    }
    return label_set(gold, ALL_ITEMS), label_set(labels, ALL_ITEMS)


def all_scores(labels: LabelSet, gold: LabelSet) -> dict[Task, Score]:
    return {
        Task.BOXES: score_boxes(labels, gold, defaults.IMAGE),
        Task.SENTIMENTS: score_sentiments(labels, gold, defaults.TEXT),
        Task.SHOTS: score_shots(labels, gold, defaults.VIDEO),
        Task.KEYFRAMES: score_keyframes(labels, gold, defaults.VIDEO),
        Task.EVENTS: score_events(labels, gold, defaults.VIDEO),
    }


def verdict_of(terms: Terms, outcome: Outcome = Outcome.REJECT) -> Verdict:
    digest = "ab" * 32
    criteria = (
        Criterion(
            name="image.f1",
            kind=Kind.IMAGE,
            estimate=0.89999,
            lower_bound=0.8,
            upper_bound=0.89999,
            threshold=0.9,
            outcome=outcome,
            units=2,
        ),
        Criterion(
            name="text.class_recall.negative",
            kind=Kind.TEXT,
            estimate=None,
            lower_bound=None,
            upper_bound=None,
            threshold=0.8,
            outcome=Outcome.EXTEND,
            units=0,
        ),
    )
    pins = Pins(
        contract=terms.contract,
        lot="lot-7",
        submission=2,
        gold=3,
        terms_sha256=terms.sha256,
        guideline_sha256=terms.guideline.sha256,
        manifest_sha256="cd" * 32,
        submission_sha256={"boxes.parquet": digest},
        gold_sha256={"boxes.parquet": digest},
    )
    return Verdict(
        verdict=outcome,
        rule="lower_bound",
        reasons=("image.f1 is too low " + EVIL,),
        reasons_zh=("image.f1 太低",),
        criteria=criteria,
        pins=pins,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    folder = tmp_path_factory.mktemp("images")
    gold, labels = material()
    manifest = [
        {
            "item": item,
            "kind": kind.value,
            "uri": noisy(folder / item, 700, 400) if item == "one.png" else str(folder / "nowhere.png"),
            "sha256": "0" * 64,
            "bytes": 1,
            "duration_s": 6.0 if kind is Kind.VIDEO else None,
            "state": "labelled",
        }
        for item, kind in ALL_ITEMS.items()
    ]
    rejects = [{"item": "r", "uri": f"in/{EVIL}", "reason": "truncated", "detail": "the end is missing"}]
    terms = load_terms(TERMS)
    return ReportInput(
        created=datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc),
        software={"goldgate": "9.8.7", "numpy": "2.0"},
        scores=all_scores(labels, gold),
        labels=labels,
        gold=gold,
        terms=terms,
        verdict=verdict_of(terms),
        reading=Words("条款原文", "the terms " + EVIL),
        manifest=filled(manifest, ITEMS),
        rejects=filled(rejects, REJECTS),
        texts={"text-1": "很好", EVIL: EVIL + "x" * 1000},
        notice=Words("乙方为模拟", "the vendor is simulated"),
    )


@pytest.fixture(scope="module")
def html(report: ReportInput) -> str:
    return render(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_nests_well_and_says_everything_in_both_languages(page: Page) -> None:
    assert page.open == []
    languages = [attributes.get("lang") for tag, attributes in page.tags if tag != "html"]
    assert languages.count("zh") == languages.count("en") > 100
    for key in ("title", "criteria", "volumes", "boxes", "sentiment", "video", "glossary", "provenance", "signatures"):
        assert WORDS[key].zh in page.text
        assert WORDS[key].en in page.text
    for words in (
        "拒收",
        "REJECT",
        "扩大抽样",
        "太低",
        "too low",
        "条款原文",
        "the terms",
        "乙方为模拟",
        "the vendor is simulated",
    ):
        assert words in page.text


def test_the_head_pins_what_was_judged(page: Page, report: ReportInput) -> None:
    assert report.terms is not None
    pinned = (
        f"{report.terms.contract} / lot-7 / 2",
        report.terms.sha256,
        report.terms.guideline.sha256,
        "cd" * 32,
        "ab" * 32,
    )
    for words in (*pinned, "2026-01-02 03:04:00+00:00", "goldgate 9.8.7", report.terms.purpose):
        assert words in page.text


def test_nothing_is_fetched_from_outside_and_nothing_runs(html: str, page: Page) -> None:
    assert not re.search(r"https?://|url\(|@import|javascript:", html)
    assert page.count("script") == page.count("link") == page.count("iframe") == page.count("object") == 0
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag


def test_names_and_texts_cannot_break_out(html: str, page: Page) -> None:
    assert "<script" not in html.lower()
    assert "onerror=alert(1)>" not in html
    assert page.text.count("<script>alert('x')</script>") >= 5  # class, item, text, reject, reason, reading
    assert "x" * 300 not in page.text


def test_a_missing_image_is_named_and_fails_nothing(page: Page) -> None:
    assert "gone.png: the file is not there" in page.text
    assert page.count("image") >= 2


def test_estimates_are_not_rounded_to_their_threshold_and_none_is_a_dash(page: Page) -> None:
    assert "0.89999" in page.text
    assert not re.search(r"\bNone\b|\bnan\b", page.text)
    assert "–" in page.text


def test_the_same_input_gives_the_same_bytes(report: ReportInput, html: str) -> None:
    assert render(report) == html


def test_volumes_count_what_is_missing(report: ReportInput) -> None:
    assert report.terms is not None
    volumes = report.terms.volumes.model_copy(update={"images": 1234, "video_hours": 0.02})
    terms = report.terms.model_copy(update={"volumes": volumes})
    fewer = label_set({}, {"one.png": Kind.IMAGE})
    text = " ".join(Page(render(dataclasses.replace(report, terms=terms, labels=fewer, scores={}))).text.split())
    assert "图像 Images 1,234 2 1 0 0 1 2" in text  # ordered, in the lot, labelled, empty, excused, missing, with gold
    assert "视频 Videos 0.02 h 1 (0.0017 h) 0 0 0 1 1" in text


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_verdict_has_its_stamp(report: ReportInput, outcome: Outcome) -> None:
    assert report.terms is not None
    small = dataclasses.replace(report, scores={}, verdict=verdict_of(report.terms, outcome))
    assert f'class="verdict {outcome.value}"' in render(small)


def test_a_score_needs_no_contract(report: ReportInput) -> None:
    bare = ReportInput(
        created=report.created,
        software={},
        scores=report.scores,
        labels=report.labels,
        gold=report.gold,
        sources={"gold.json": "ef" * 32},
    )
    page = Page(render(bare))
    assert page.open == []
    for words in (WORDS["no_verdict"].zh, WORDS["score_title"].en, WORDS["no_images"].en, "gold.json " + "ef" * 32):
        assert words in page.text
    for key in ("signatures", "rejects", "criteria", "contracted"):
        assert WORDS[key].zh not in page.text


def test_empty_labels_give_dashes_with_reasons(report: ReportInput) -> None:
    items = {"one.png": Kind.IMAGE, "text-1": Kind.TEXT, "film.mp4": Kind.VIDEO}
    nothing = label_set({task: [] for task in Task}, items, state="empty")
    assert {KIND_OF_TASK[task] for task in Task} == set(items.values())
    scores = all_scores(nothing, nothing)
    page = Page(render(dataclasses.replace(report, labels=nothing, gold=nothing, scores=scores)))
    assert page.open == []
    assert not re.search(r"\bNone\b|\bnan\b", page.text)
    contract = scores[Task.BOXES].model_dump()["contract"]
    for name in ("precision", "recall", "f1", "mean_iou", "p5_iou", "share_iou_075"):
        assert contract[name] is None
        assert f"– {contract['reasons'][name]}" in page.text


def test_many_defects_keep_the_page_small(tmp_path: Path) -> None:
    items = {f"i{number:03}.png": Kind.IMAGE for number in range(60)}
    gold = label_set({Task.BOXES: [row for item in items for row in boxes(item, "circle", 10)]}, items)
    labels = label_set({Task.BOXES: []}, items)
    noise = noisy(tmp_path / "noise.png", 1000, 800)
    big = ReportInput(
        created=datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        software={},
        scores={Task.BOXES: score_boxes(labels, gold, defaults.IMAGE)},
        labels=labels,
        gold=gold,
        images=dict.fromkeys(items, noise),
    )
    html = render(big)
    page = Page(html)
    assert page.count("image") == 12
    assert "600" in page.text
    assert len(html.encode()) < 3_000_000


def test_the_foot_of_a_printed_page_cannot_break_out_of_the_style(report: ReportInput) -> None:
    assert report.verdict is not None
    pins = report.verdict.pins.model_copy(update={"lot": '"; } </style><b>'})
    evil = dataclasses.replace(report, scores={}, verdict=report.verdict.model_copy(update={"pins": pins}))
    html = render(dataclasses.replace(evil, files={"score.json": "0a" * 32}))
    foot = re.search(r"@bottom-left { content: \"([^\"]*)\"", html)
    assert foot
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\[0-9a-f]{6})+", foot[1])
    said = re.sub(r"\\([0-9a-f]{6})", lambda code: chr(int(code[1], 16)), foot[1])
    assert said == f'{pins.contract} / "; }} </style><b> / 2 · score.json 0a0a0a0a0a0a0a0a'
    assert Page(html).open == []
