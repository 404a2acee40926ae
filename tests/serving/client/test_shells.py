"""Both shells against the real doors: the same calls give the same answers, and refusals are told alike."""

import asyncio
import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import goldgate
from contract.errors import EndpointError, InputError
from contract.predictor import Source
from contract.tables import Kind, Task
from contract.terms import load_terms
from goldgate import AsyncClient, Client, Order
from goldgate.jobs.board import open_board
from goldgate.jobs.carrying_out import Means
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.keys import Scope, add_key
from serving.access.settings import AccessSettings
from serving.client.answers import EventReader, Retries
from serving.client.errors import ForeignAnswerError, RefusedError, UnreachableError
from serving.config import ModelSettings, ServeSettings
from serving.front import Front, open_front
from serving.http.events import event
from serving.jobs import JobSettings, JobState, JobStatus
from serving.lanes import local_backend

ROOT = Path(__file__).resolve().parents[3]
Listen = Callable[[Any], str]


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def service(tmp_path: Path, listen: Listen) -> Iterator[tuple[str, str]]:
    """Address and key of a service with jobs."""
    settings = ServeSettings(models=dict.fromkeys(Kind, ModelSettings(name="fake")), work=tmp_path / "work")
    guideline = load_terms(ROOT / "configs" / "demo.yaml").guideline
    models = {kind: FakePredictor(kind, guideline=guideline) for kind in Kind}
    _, key = add_key(tmp_path / "keys.json", "all", [Scope.PREDICT, Scope.JOBS])
    access = Access(AccessSettings(keys_file=tmp_path / "keys.json"))
    with open_board(tmp_path / "work", Means(models.get, 1), JobSettings()) as board:
        front = Front(local_backend(models, settings), settings, jobs=board, access=access)
        yield listen(open_front(front)), key


def contract() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["deadline"]["start"] = str(document["deadline"]["start"])
    return dict(document)


def test_both_shells_say_and_understand_the_same(service: tuple[str, str], tmp_path: Path) -> None:
    url, key = service
    (tmp_path / "a.png").write_bytes(picture(1))
    images: list[Any] = [tmp_path / "a.png", picture(2)]
    texts = ["fine", "bad"]
    chunk = [Source(item=str(number), kind=Kind.TEXT, uri="", data=b"%d" % number) for number in range(5)]

    async def by_loop() -> list[Any]:
        async with AsyncClient(url, key=key) as client:
            return [
                await client.healthy(),
                await client.models(),
                await client.detect(images),
                await client.sentiment(texts),
                await client.label_chunk(Kind.TEXT, chunk),
            ]

    with Client(url, key=key) as client:
        by_thread = [
            client.healthy(),
            client.models(),
            client.detect(images),
            client.sentiment(texts),
            client.label_chunk(Kind.TEXT, chunk),
        ]
    assert by_thread == asyncio.run(by_loop())
    assert by_thread[2].results[0].item == "a.png"
    assert by_thread[4].num_rows == len(chunk)


def test_streams_give_what_calls_give(service: tuple[str, str], tmp_path: Path) -> None:
    url, key = service
    (tmp_path / "a.png").write_bytes(picture(1))
    images: list[Any] = [tmp_path / "a.png", *(picture(seed) for seed in range(39))]
    texts = [f"text {number}" for number in range(100)]

    async def by_loop() -> list[Any]:
        async with AsyncClient(url, key=key) as client:
            boxes = [row async for row in client.detect_stream(images)]
            return [boxes, [row async for row in client.sentiment_stream(iter(texts))]]

    with Client(url, key=key) as client:
        boxes = list(client.detect_stream(iter(images)))
        assert boxes == client.detect(images).results
        sentiments = list(client.sentiment_stream(texts))
        assert sentiments[:50] == client.sentiment(texts[:50]).results
        assert [row.item for row in sentiments] == [str(number) for number in range(100)]
        assert list(client.sentiment_stream([])) == []
        (bad, good) = client.detect_stream([b"no picture", picture(1)])
        assert (bad.state, good.state) == ("rejected", boxes[0].state)
        assert bad.reason
    assert [boxes, sentiments] == asyncio.run(by_loop())
    with Client(url) as client, pytest.raises(RefusedError, match="HTTP 401"):
        next(client.detect_stream([b"x"]))


def streamed(*rows: str) -> Any:
    """An application that answers any call with these lines."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/x-ndjson")]})
        await send({"type": "http.response.body", "body": "".join(row + "\n" for row in rows).encode()})

    return application


GOOD = '{"line": 1, "item": "0", "state": "labelled", "sentiments": [], "model": "fake@1"}'


@pytest.mark.parametrize(
    ("row", "error", "sentence"),
    [
        (
            '{"line": 2, "item": null, "state": "failed", "status": 504, "reason": "too late"}',
            RefusedError,
            "too late .HTTP 504",
        ),
        ("{", ForeignAnswerError, "not one that this version knows"),
        ("[]", ForeignAnswerError, "not one that this version knows"),
        ('{"state": "labelled"}', ForeignAnswerError, "not one that this version knows"),
        ('{"line": 2, "state": "working", "seconds": 1.0}', ForeignAnswerError, "ended 1 lines early"),
    ],
)
def test_a_stream_that_breaks_says_so(row: str, error: type[EndpointError], sentence: str, listen: Listen) -> None:
    with Client(listen(streamed(GOOD, row))) as client:
        rows = client.sentiment_stream(["a", "b"])
        assert next(rows).item == "0"
        with pytest.raises(error, match=sentence):
            next(rows)


def test_a_job_from_the_order_to_its_results(service: tuple[str, str]) -> None:
    url, key = service
    texts = [f"text {number}" for number in range(9)]
    order = Order(contract(), "week-1", texts=texts, images=[picture(3)], idempotency_key="once")
    with Client(url, key=key) as client:
        job = client.submit(order)
        assert client.submit(order).id == job.id
        seen = list(client.events(job.id))
        assert seen[-1] == client.job(job.id) == client.wait(job.id)
        assert (seen[-1].state, seen[-1].items) == (JobState.DONE, 10), seen[-1].reason
        table = client.results(job.id, Task.SENTIMENTS)
        assert table.num_rows == 9
        assert {"images", "annotations"} <= client.coco(job.id).keys()
        assert client.rejects(job.id).total == 0
        assert [each.id for each in client.jobs()] == [job.id]
        with pytest.raises(RefusedError, match=r"nothing left to cancel \(HTTP 409\)"):
            client.cancel(job.id)
        with pytest.raises(RefusedError, match="no such job"):
            next(client.events("0" * 32))

    async def again() -> tuple[Any, pa.Table]:
        async with AsyncClient(url, key=key) as client:
            return await client.wait(job.id), await client.results(job.id, Task.SENTIMENTS)

    assert asyncio.run(again()) == (seen[-1], table)


def test_files_of_an_order_are_sent_as_they_are_read(service: tuple[str, str], tmp_path: Path) -> None:
    url, key = service
    files = [tmp_path / f"图 {number};.png" for number in range(40)]
    for number, path in enumerate(files):
        path.write_bytes(picture(number))
    order = Order(contract(), "week-2", texts=["a", "b"], images=[picture(99)], files=files, idempotency_key="once")

    async def by_loop() -> JobStatus:
        async with AsyncClient(url, key=key) as client:
            return await client.submit(order)

    with Client(url, key=key) as client:
        job = client.submit(order)
        done = client.wait(job.id)
        assert (done.state, done.items) == (JobState.DONE, 43), done.reason
        named = {image["file_name"].rsplit("/")[-1] for image in client.coco(job.id)["images"]}
        assert named >= {path.name for path in files}
        assert asyncio.run(by_loop()).id == job.id
        with pytest.raises(InputError, match=r"absent.png: cannot be read"):
            client.submit(Order("c", "l", files=[tmp_path / "absent.png"]))
        with pytest.raises(InputError, match="a form cannot hold this name"):
            client.submit(Order("c", "l", files=[tmp_path / 'a"b.png']))


def test_refusals_are_one_sentence(service: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    url, key = service
    with Client(url) as client, pytest.raises(RefusedError, match=r"a key is needed.*HTTP 401") as refused:
        client.models()
    assert isinstance(refused.value, EndpointError)
    assert refused.value.status == 401
    monkeypatch.setenv("GOLDGATE_KEY", key)
    with Client(url) as client:
        assert client.models()
        with pytest.raises(RefusedError, match="may carry 64 items"):
            client.sentiment(["a"] * 65)
        with pytest.raises(InputError, match=r"absent.png: cannot be read"):
            client.detect([Path("absent.png")])
    with Client("http://127.0.0.1:1") as client, pytest.raises(UnreachableError, match="cannot be reached"):
        client.models()
    for address in ("gpu1:8000", "ftp://gpu1", "http://"):
        with pytest.raises(InputError, match="not an http or https address"):
            AsyncClient(address)
    with pytest.raises(InputError, match="not one that goldgate makes"):
        Client(url, key="ключ")


class Busy:
    """Answers 503 or 429 some times, then as told."""

    def __init__(self, refusals: Sequence[int], body: bytes = b'{"models": []}') -> None:
        self.refusals = list(refusals)
        self.body = body
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        status = self.refusals.pop(0) if self.refusals else 200
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def test_a_busy_service_is_asked_again_but_not_for_ever(listen: Listen) -> None:
    busy = Busy([503, 429, 503])
    with Client(listen(busy)) as client:
        assert client.models() == []
    assert busy.calls == 4
    stays = Busy([503] * 9)
    with Client(listen(stays), retries=Retries(times=2)) as client, pytest.raises(RefusedError, match="HTTP 503"):
        client.models()
    assert stays.calls == 3
    once = Busy([503])
    source = Source(item="a", kind=Kind.TEXT, uri="", data=b"a")
    with Client(listen(once)) as client, pytest.raises(RefusedError):  # a job has a patience of its own
        client.label_chunk(Kind.TEXT, [source])
    with Client(listen(Busy([], b"<html>"))) as client:
        for call in (client.models, lambda: client.sentiment(["a"]), lambda: client.label_chunk(Kind.TEXT, [source])):
            with pytest.raises(ForeignAnswerError):
                call()


def test_pauses_follow_retry_after() -> None:
    retries = Retries(times=3, pause_s=0.5, longest_pause_s=7)

    def told(status: int, header: str | None = None) -> httpx.Response:
        return httpx.Response(status, headers={} if header is None else {"retry-after": header})

    assert [retries.pause_before(n, told(503)) for n in range(4)] == [0.5, 1.0, 2.0, None]
    assert [retries.pause_before(0, told(429, text)) for text in ("3", "90", "soon")] == [3.0, 7, 0.5]
    assert retries.pause_before(0, told(500)) is None


def test_a_stream_that_breaks_is_taken_up_where_it_broke(listen: Listen, service: tuple[str, str]) -> None:
    url, key = service
    with Client(url, key=key) as client:
        last = client.wait(client.submit(Order(contract(), "broken", texts=["a"])).id)
    asked: list[bytes | None] = []

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        asked.append(dict(scope["headers"]).get(b"last-event-id"))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"99999")]})
        status = last if len(asked) == 3 else last.model_copy(update={"state": JobState.RUNNING, "revision": len(asked)})
        await send({"type": "http.response.body", "body": b": hello\n\n" + event(status), "more_body": True})

    with Client(listen(breaks), retries=Retries(pause_s=0.01)) as client:
        seen = list(client.events(last.id))
    assert [status.revision for status in seen] == [1, 2, last.revision]
    assert asked == [None, b"1", b"2"]


@given(
    events=st.lists(st.tuples(st.integers(0, 99), st.sampled_from(JobState)), max_size=5),
    noise=st.lists(st.sampled_from([": comment", "retry: 5", "event: progress", "unknown", ""]), max_size=5),
)
def test_events_are_read_whatever_stands_between(events: list[tuple[int, JobState]], noise: list[str]) -> None:
    example = FIRST | {"id": "a"}
    lines: list[str] = []
    for number, (revision, state) in enumerate(events):
        status = JobStatus.model_validate(example | {"revision": revision, "state": state})
        lines += [*noise[:number], "", *event(status).decode().split("\n")[:-1]]
    reader = EventReader()
    found = [each for line in lines if (each := reader.take(line)) is not None]
    assert [(each.revision, each.state) for each in found] == events


FIRST = {"contract": "c", "lot": "l", "stage": "intake", "due": "2030-01-01", "created": "2029-01-01T00:00:00Z"}


def test_the_short_name_costs_nothing_until_it_is_used() -> None:
    code = "import sys, goldgate; assert 'httpx' not in sys.modules; goldgate.Client; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)  # noqa: S603
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        goldgate.Nothing  # noqa: B018
