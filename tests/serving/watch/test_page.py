import datetime
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from contract.answers import build_answer, labelled
from contract.predictor import Description, Source
from contract.tables import Kind, Task
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.keys import Scope, add_key
from serving.access.settings import AccessSettings
from serving.config import DoorSettings, ServeSettings
from serving.front import PREFIXES, Front, open_front
from serving.jobs import JobBoard, JobState, JobStatus
from serving.lanes import local_backend
from serving.watch import pageview
from serving.watch.gpu import Gpu
from serving.watch.page import Shown, add_page
from serving.watch.pagewords import WORDS, language_of, spoken
from serving.watch.rates import Rates
from serving.watch.watching import Watch
from tests.serving.watch.fronts import fakes, picture, settings

HOSTILE = '<script>alert("x")</script>\'"><img src=x onerror=alert(1)>'


class Parsed(HTMLParser):
    """A page: its text, its tags, and every attribute in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.pieces: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open and self._open[-1] in ("script", "style") else self.pieces).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def values(self, tag: str, name: str) -> list[str | None]:
        return [value for each, key, value in self.attributes if each == tag and key == name]


TODAY = datetime.datetime.now(tz=datetime.timezone.utc).date()
DAY = datetime.timedelta(days=1)


def job(contract: str, lot: str, state: JobState, due: datetime.date, **facts: Any) -> JobStatus:
    created = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    plain = {"id": "j", "stage": "prelabel", "revision": 1, "created": created}
    return JobStatus.model_validate({**plain, "contract": contract, "lot": lot, "state": state, "due": due, **facts})


class Board:
    """Tells of jobs; whoever asks for more than that is in error."""

    def __init__(self, *jobs: JobStatus) -> None:
        self._jobs = list(jobs)

    def jobs(self) -> list[JobStatus]:
        return self._jobs


def board(*jobs: JobStatus) -> JobBoard:
    return cast("JobBoard", Board(*jobs))


FAST = {"items": 100_000, "done": 42_500, "items_per_s": 118.25, "seconds_left": 487.2, "in_time": True}
SLOW = {"items": 50_000, "done": 1_200, "items_per_s": 3.5, "seconds_left": 13_943.0, "in_time": False}
BOARD = board(
    job("C-7", f"week 1 {HOSTILE}", JobState.RUNNING, TODAY + 9 * DAY, **FAST),
    job("C-7", "week 2", JobState.RUNNING, TODAY, **SLOW),
    job("C-8", "week 3", JobState.QUEUED, TODAY + DAY),
    job("C-8", "week 4", JobState.DONE, TODAY - 3 * DAY, items=640, done=640, items_per_s=25.0, in_time=True),
    job("C-9", "week 5", JobState.FAILED, TODAY + 30 * DAY, items=64, done=12),
    job("C-9", "week 6", JobState.CANCELLED, TODAY + 30 * DAY, items=64, done=12),
)


class Named(FakePredictor):
    """The fake under another name, with labels of choice."""

    def __init__(self, kind: Kind, label: str, boxes: int = 1) -> None:
        super().__init__(kind)
        self._label = label
        self._number = boxes

    def describe(self) -> Description:
        told = {"name": f"model {HOSTILE}", "version": "7", "weights_sha256": "ab" * 32, "classes": (self._label,)}
        return super().describe().model_copy(update=told)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        if self.describe().kind is Kind.TEXT:
            row = {"label": self._label, "score": 0.75, "probabilities": [(self._label, 0.75), ("other", 0.25)]}
            return build_answer(Kind.TEXT, [labelled(each.item, Kind.TEXT, {Task.SENTIMENTS: [row]}) for each in sources])
        box = {"label": self._label, "x": 4.0, "y": 30.0, "w": 20.0, "h": 10.0, "score": 0.5}
        boxes = [{**box, "score": 0.5 - place / 1000} for place in range(self._number)]
        return build_answer(Kind.IMAGE, [labelled(each.item, Kind.IMAGE, {Task.BOXES: boxes}) for each in sources])


def get(url: str, language: str = "en") -> Parsed:
    answer = httpx.get(f"{url}/?lang={language}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Parsed(answer.text)


def post(url: str, **files: Any) -> tuple[httpx.Response, Parsed]:
    answer = httpx.post(f"{url}/?lang=en", files=files, headers={"origin": url})
    return answer, Parsed(answer.text)


@pytest.fixture
def url(listen: Callable[[Any], str]) -> str:
    return listen(open_front(Front(fakes(max_body_bytes=200_000), settings(max_body_bytes=200_000))))


@pytest.fixture
def with_jobs(listen: Callable[[Any], str]) -> str:
    api = FastAPI()
    backend = local_backend({Kind.TEXT: Named(Kind.TEXT, HOSTILE), Kind.IMAGE: Named(Kind.IMAGE, HOSTILE, 40)}, settings())
    add_page(api, Shown(backend, settings(), Watch(), PREFIXES, BOARD))
    return listen(api)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_is_in_the_language_that_is_asked_for(url: str, language: str) -> None:
    page = get(url, language)
    assert page.values("html", "lang") == [language]
    for key in ("title", "models", "rates", "try", "doors", "connect", "all_loaded"):
        said = WORDS[key]
        assert (said.zh if language == "zh" else said.en) in page.text
        assert (said.en if language == "zh" else said.zh) not in page.text
    assert "fake" in page.text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh-Hant;q=0.2", "zh"),
        ("fr, de", "en"),
        ("en;q=0.1, zh;q=0.5", "zh"),
        ("zh;q=0, en;q=0.1", "en"),
        ("zh;q=nan, en;q=0.1", "en"),
    ],
)
def test_a_browser_says_which_language_it_likes(accepted: str, language: str) -> None:
    assert language_of(None, accepted) == language
    assert language_of("zh", accepted) == "zh"
    assert language_of("xx", accepted) == language


@given(st.text(max_size=80))
def test_no_header_breaks_the_choice_of_language(header: str) -> None:
    assert language_of(None, header) in ("zh", "en")


def test_every_sentence_stands_in_both_languages() -> None:
    for key, said in WORDS.items():
        assert said.zh, key
        assert said.en, key
        assert re.findall(r"\{(\w+)\}", said.zh) == re.findall(r"\{(\w+)\}", said.en), key
    assert spoken("en", "by_model", model="m", ms=3) == "m, 3 ms"


def test_the_page_needs_nothing_from_elsewhere_and_says_so(url: str) -> None:
    answer = httpx.get(url)
    policy = answer.headers["content-security-policy"]
    (nonce,) = set(re.findall(r"'nonce-([\w-]+)'", policy))
    for part in ("default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    page = Parsed(answer.text)
    assert page.values("script", "nonce") == page.values("style", "nonce") == [nonce]
    assert not [value for _, name, value in page.attributes if name in ("src", "style") or name.startswith("on")]
    assert all(not (value or "").startswith(("http", "//")) for value in page.values("a", "href"))
    assert httpx.get(url).headers["content-security-policy"] != policy
    assert answer.headers["cache-control"] == "no-store"


def test_models_doors_and_rates_are_told(listen: Callable[[Any], str]) -> None:
    plain = settings()
    doors = {door: DoorSettings(port=8070) if door.value == "cvat" else of for door, of in plain.doors.items()}
    url = listen(open_front(Front(fakes(), plain.model_copy(update={"doors": doors}))))
    for _ in range(3):
        httpx.post(f"{url}/v1/sentiment", json={"texts": ["a", "b"]})
    page = get(url)
    for door, prefix in PREFIXES.items():
        assert spoken("en", door.value) in page.text
        assert (f"{url}{prefix}" in page.text) == (door.value != "cvat")
    assert "http://127.0.0.1:8070" in page.text
    assert page.text.count("loaded") >= 3
    live = Parsed(httpx.get(f"{url}/?lang=en&part=live").text)
    assert "html" not in live.tags
    assert "Requests/s" in live.text
    assert re.search(r"text [\d.]+ 2\.00 2 0 0", live.text)
    assert httpx.get(f"{url}/openapi.json").json()["paths"].keys().isdisjoint({"/", "/metrics"})


def test_jobs_are_told_with_their_deadlines(with_jobs: str) -> None:
    text = get(with_jobs).text
    assert "C-7 / week 1" in text
    for part in (
        "42,500 / 100,000 · 42 %",
        "118",
        "8:08 min",
        "9 d left",
        "3:52 h",
        "today",
        "late",
        "– · –",
        "640 / 640",
    ):
        assert part in text, part
    assert "3 d ago" in text
    for state in JobState:
        assert spoken("en", {"failed": "failed_job"}.get(state.value, state.value)) in text
    assert "将逾期" in get(with_jobs, "zh").text


def test_jobs_are_counted_by_state(listen: Callable[[Any], str]) -> None:
    page = httpx.get(f"{listen(open_front(Front(fakes(), settings(), jobs=BOARD)))}/metrics").text
    counts = {state: page.count(f'goldgate_jobs{{state="{state.value}"}} ') for state in JobState}
    assert set(counts.values()) == {1}
    assert 'goldgate_jobs{state="running"} 2.0' in page
    assert "goldgate_jobs{" not in httpx.get(f"{listen(open_front(Front(fakes(), settings())))}/metrics").text


def test_without_jobs_there_is_no_section_of_them(url: str, listen: Callable[[Any], str]) -> None:
    assert spoken("en", "no_jobs") not in get(url).text
    api = FastAPI()
    add_page(api, Shown(fakes(), settings(), Watch(), PREFIXES, board()))
    assert spoken("en", "no_jobs") in get(listen(api)).text


def test_old_jobs_are_counted_not_listed() -> None:
    rows, left = pageview.job_rows("en", [BOARD.jobs()[0]] * 57, TODAY)
    assert (len(rows), left) == (50, 7)


def test_names_and_labels_cannot_become_markup(with_jobs: str) -> None:
    pages = [get(with_jobs)]
    pages.append(post(with_jobs, text=(None, HOSTILE))[1])
    pages.append(post(with_jobs, image=(HOSTILE, picture(1)))[1])
    for page in pages:
        assert "img" not in page.tags
        assert page.tags.count("script") == 1
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert HOSTILE in page.text
        assert "alert" not in "".join(page.scripts)


def test_an_image_is_drawn_with_its_boxes(url: str) -> None:
    data = picture(4, 200, 150)
    (row,) = FakePredictor(Kind.IMAGE).predict([Source(item="", kind=Kind.IMAGE, uri="", data=data)]).to_pylist()
    answer, page = post(url, image=("a.png", data))
    assert answer.status_code == 200
    assert row["boxes"], "choose another picture: the fake finds nothing on this one"
    (href,) = page.values("image", "href")
    assert href is not None
    assert href.startswith("data:image/jpeg;base64,")
    assert page.values("svg", "viewbox")[-1] == "0 0 200 150"
    drawn = {round(float(x or 0), 6) for x in page.values("rect", "x")}
    for box in row["boxes"]:
        assert round(box["x"], 6) in drawn
        assert f"{box['score']:.3f}" in page.text
    assert "fake@1" in page.text


def test_many_boxes_are_counted_not_listed(with_jobs: str) -> None:
    assert spoken("en", "boxes_left", count=10) in post(with_jobs, image=("a.png", picture(1)))[1].text


def test_a_text_is_judged(url: str) -> None:
    (row,) = FakePredictor(Kind.TEXT).predict([Source(item="", kind=Kind.TEXT, uri="", data="很好".encode())]).to_pylist()
    answer, page = post(url, text=(None, "很好"))
    assert answer.status_code == 200
    for label, share in row["sentiments"][0]["probabilities"]:
        assert f"{label} {100 * share:.1f} %" in page.text
    assert "很好" in page.text


@pytest.mark.parametrize(
    ("files", "status", "sentence"),
    [
        ({"image": ("a.png", b"no image")}, 200, "it is not an image"),
        ({"text": (None, " ")}, 200, "the text is empty"),
        ({"image": ("", b"")}, 422, "choose an image file, or write a text"),
        ({"other": (None, "x")}, 422, "choose an image file, or write a text"),
        ({"a": (None, "x"), "b": (None, "x"), "c": (None, "x")}, 400, "Too many fields"),
    ],
)
def test_what_cannot_be_labelled_is_told_on_the_page(url: str, files: dict[str, Any], status: int, sentence: str) -> None:
    answer, page = post(url, **files)
    assert answer.status_code == status
    assert sentence in page.text
    assert spoken("en", "models") in page.text


def test_a_large_upload_is_refused(url: str) -> None:
    answer, _ = post(url, image=("a.png", b"x" * 300_000))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "{url}"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "{url}"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "https://elsewhere.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_only_the_pages_own_forms_are_taken(url: str, headers: dict[str, str], taken: bool) -> None:
    sent = {name: value.format(url=url) for name, value in headers.items()}
    answer = httpx.post(url, files={"text": (None, "fine")}, headers=sent)
    assert answer.status_code == (200 if taken else 403)


def test_with_keys_the_page_is_for_administrators(listen: Callable[[Any], str], tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    tokens = {scope: add_key(path, scope.value, [scope])[1] for scope in (Scope.ADMIN, Scope.PREDICT)}
    url = listen(open_front(Front(fakes(), settings(), access=Access(AccessSettings(keys_file=path)))))
    refused = httpx.get(url)
    assert refused.status_code == 401
    assert "Basic" in refused.headers["www-authenticate"]
    for scope, status in ((Scope.ADMIN, 200), (Scope.PREDICT, 403)):
        who = httpx.BasicAuth("anybody", tokens[scope])
        assert httpx.get(url, auth=who).status_code == status
        assert httpx.post(url, auth=who, files={"text": (None, "fine")}, headers={"origin": url}).status_code == status
        assert httpx.get(f"{url}/metrics", auth=who).status_code == status


def test_a_service_may_have_no_page(listen: Callable[[Any], str]) -> None:
    plain: ServeSettings = settings()
    without = plain.model_copy(update={"watch": plain.watch.model_copy(update={"page": False})})
    assert httpx.get(listen(open_front(Front(fakes(), without)))).status_code == 404


def test_figures_are_short() -> None:
    assert [pageview.amount(each) for each in (None, 0.0, 0.123, 12.34, 1234.5)] == ["–", "0", "0.12", "12.3", "1,234"]
    assert [pageview.duration(each) for each in (None, 0.00412, 0.9994, 0.9996, 12.34)] == [
        "–",
        "4.12 ms",
        "999 ms",
        "1 s",
        "12.3 s",
    ]
    assert [pageview.clock(each) for each in (None, 0, 59.2, 3599, 3600, 90_061)] == [
        *("–", "0:00 min", "1:00 min", "59:59 min", "1:00 h", "25:01 h")
    ]
    assert [pageview.size(each) for each in (None, 1 << 20, 3 << 30)] == ["–", "1 MiB", "3.0 GiB"]
    tiles = pageview.tiles("en", Rates().figures(), {}, None, [Gpu(0, "H100", 1 << 30, 80 << 30, 0.5)])
    assert (tiles[-1].value, tiles[-1].note) == ("1.0 GiB / 80.0 GiB", "50% busy")
