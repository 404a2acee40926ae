"""The report on paper: a PDF by headless Chromium, and what its pages say."""

import datetime
import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from contract.labelset import LabelSet
from contract.scores import Score
from contract.tables import Kind, Task
from contract.terms import load_terms
from contract.verdict import Pins
from goldgate.reporting import report_files
from qa import defaults
from qa.accept import judge
from qa.report.page import ReportInput
from qa.score import score_boxes, score_events, score_keyframes, score_sentiments, score_shots
from qa.words.wording import WORDS, Words
from tests.oracles.deliveries import SENTIMENTS, Row, delivery, labels_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-pdf-header-footer"),
)
CLASSES = [f"class-{number:02}" for number in range(90)]
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
PDFTOTEXT = shutil.which("pdftotext")

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="no Chromium to print with"),
    pytest.mark.skipif(PDFTOTEXT is None, reason="no pdftotext (poppler-utils) to read a PDF with"),
]


def many_classes() -> tuple[LabelSet, LabelSet]:
    """Return (labels, gold) with boxes of 90 classes, so that tables run over several pages."""
    labels, gold = delivery(3, images=1, texts=30, videos=3)
    rows: list[Row] = [
        {"item": "i000.png", "label": name, "x": 30.0 * place, "y": 5.0, "w": 20.0, "h": 20.0}
        for place, name in enumerate(CLASSES)
    ]
    items = dict(zip(gold.states["item"].to_pylist(), map(Kind, gold.states["kind"].to_pylist()), strict=True))
    sides = []
    for side, some in ((labels, rows[:-9]), (gold, rows)):
        tables: dict[Task, list[Row]] = {task: side.table(task).to_pylist() for task in Task}
        sides.append(labels_of({**tables, Task.BOXES: some}, items))
    return sides[0], sides[1]


@functools.cache
def pages() -> tuple[str, ...]:
    """Return the text of each page of the printed report, its layout kept."""
    import tempfile

    labels, gold = many_classes()
    terms = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml")
    scores: dict[Task, Score] = {
        Task.BOXES: score_boxes(labels, gold, defaults.IMAGE),
        Task.SENTIMENTS: score_sentiments(labels, gold, defaults.TEXT, label_order=SENTIMENTS),
        Task.SHOTS: score_shots(labels, gold, defaults.VIDEO),
        Task.KEYFRAMES: score_keyframes(labels, gold, defaults.VIDEO),
        Task.EVENTS: score_events(labels, gold, defaults.VIDEO),
    }
    none: dict[str, str] = {}
    pins = Pins(
        contract="C-7",
        lot="week 1",
        submission=3,
        gold=1,
        terms_sha256="",
        guideline_sha256="",
        manifest_sha256="",
        submission_sha256=none,
        gold_sha256=none,
    )
    verdict = judge(terms, scores, lot_items={Kind.IMAGE: 1, Kind.TEXT: 30, Kind.VIDEO: 3}, pins=pins)
    report = ReportInput(
        created=datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        software={"goldgate": "9"},
        scores=scores,
        labels=labels,
        gold=gold,
        terms=terms,
        verdict=verdict,
        reading=Words("第一行\n" * 90 + "中文完", "one line\n" * 90 + "English ends"),
        notice=Words("打印", "printed"),
    )
    html = report_files({}, report)["report.html"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "report.html").write_bytes(html)
        place = (f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={folder / 'report.pdf'}")
        command = [str(BROWSER), *FLAGS, *place, (folder / "report.html").as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
        command = [str(PDFTOTEXT), "-layout", str(folder / "report.pdf"), "-"]
        text = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout.decode()  # noqa: S603
    return tuple(text.split("\f")[:-1])


def test_every_page_is_numbered_and_says_what_was_judged() -> None:
    printed = pages()
    assert 5 <= len(printed) <= 30
    for number, page in enumerate(printed, start=1):
        assert f"{number} / {len(printed)}" in page
        assert "C-7 / week 1 / 3" in page
        assert len(page.split()) > 20, f"page {number} is as good as empty"


def test_no_row_of_a_table_is_cut_and_its_head_comes_again_on_every_page() -> None:
    found: dict[str, int] = {}
    for number, page in enumerate(pages()):
        rows = re.findall(r"^ *(class-\d\d) +\d+ +\d+ +\d+ .*[\]–]$", page, re.MULTILINE)
        found |= dict.fromkeys(rows, number)
        if rows:
            assert WORDS["recall_limits"].en in page
    assert sorted(found) == CLASSES
    assert len(set(found.values())) >= 2


def test_signatures_stay_in_one_piece() -> None:
    (page,) = [page for page in pages() if WORDS["signatures"].en in page]
    for key in ("sign_note", "name", "signature", "sign_date"):
        assert WORDS[key].en in page


def test_everything_is_printed_in_english_and_in_chinese() -> None:
    text = "\n".join(pages())
    for key in ("title", "criteria", "volumes", "boxes", "sentiment", "video", "glossary", "provenance", "files_note"):
        assert WORDS[key].en in re.sub(r"\s+", " ", text), key
    assert "English ends" in text
    assert "中文 + English" not in text  # the switch of languages is for screens
    listing = shutil.which("fc-list")
    fonts = subprocess.run([listing, ":lang=zh"], check=True, capture_output=True).stdout if listing else b""  # noqa: S603
    if not fonts:
        pytest.skip("no Chinese font is installed, so that Chinese is printed as boxes")
    for key in ("title", "criteria", "volumes", "boxes", "sentiment", "video", "glossary", "provenance"):
        assert WORDS[key].zh in text, key
    assert text.count("中文完") == 1
