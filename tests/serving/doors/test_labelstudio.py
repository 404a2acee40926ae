"""The Label Studio door over real sockets, with the fake models behind it."""

import asyncio
import base64
import io
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import av
import httpx
import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image

from contract.formats.labelstudio.config import label_config
from contract.predictor import Description, Source
from contract.tables import Kind
from models.fake import FakePredictor
from serving.backend import Row
from serving.config import Door as DoorName
from serving.config import DoorSettings, Limits, ModelSettings, ServeSettings
from serving.doors.labelstudio.door import labelstudio_door
from serving.doors.labelstudio.settings import LabelStudioHost, LabelStudioSettings
from serving.front import Front, build_door, build_front
from serving.http.addresses import UriRules
from serving.http.problems import MODEL_RAISED, ProblemError
from serving.lanes import local_backend
from tests.conftest import listening
from tests.oracles.labelstudiorules import violations
from tests.oracles.lots import GUIDELINE

CONFIGS = {kind: label_config(kind, GUIDELINE).decode() for kind in Kind}
SETTINGS = ServeSettings(models={kind: ModelSettings(name="fake") for kind in Kind})
FAKES = {kind: FakePredictor(kind, guideline=GUIDELINE) for kind in Kind}


def picture(seed: int, *, size: tuple[int, int] = (64, 48), orientation: int | None = None) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    exif = image.getexif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def film(frames: int = 20, rate: int = 10) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade * 9 % 256, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def inline(content: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def faked(kind: Kind, content: bytes) -> dict[str, Any]:
    """Return what the fake says of `content`, asked without any server."""
    (row,) = FAKES[kind].predict([Source("", kind, "", content)]).to_pylist()
    return cast("dict[str, Any]", row)


Door = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def plain() -> Iterator[httpx.Client]:
    """A door as it is without settings of its own."""
    app = labelstudio_door(local_backend(FAKES, SETTINGS), SETTINGS)
    with listening(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def door(listen: Callable[[Any], str], plain: httpx.Client) -> Iterator[Door]:
    """Open a door and return a client of it; one without any wishes is shared."""
    clients: list[httpx.Client] = []

    def opened(backend: Any = None, **wishes: Any) -> httpx.Client:
        if backend is None and not wishes:
            return plain
        own = DoorSettings(deadline_s=wishes.pop("deadline_s", None))
        said: dict[str, Any] = {name: wishes.pop(name) for name in ("limits", "uris") if name in wishes}
        said |= {"labelstudio": LabelStudioSettings(**wishes), "doors": {**SETTINGS.doors, DoorName.LABELSTUDIO: own}}
        settings = SETTINGS.model_copy(update=said)
        app = labelstudio_door(backend or local_backend(FAKES, settings), settings)
        clients.append(httpx.Client(base_url=listen(app), timeout=60, trust_env=False))
        return clients[-1]

    yield opened
    for client in clients:
        client.close()


def asked(kind: Kind, tasks: Sequence[Any], **more: Any) -> dict[str, Any]:
    params = {"login": None, "password": None, "context": None}
    return {"tasks": tasks, "project": "7.1712345678", "label_config": CONFIGS[kind], "params": params, **more}


def task(number: int, **data: Any) -> dict[str, Any]:
    return {"id": number, "data": data, "project": 7, "is_labeled": False}


def results(client: httpx.Client, body: Mapping[str, Any]) -> list[Any]:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["results"]
    return list(answer.json()["results"])


@pytest.mark.parametrize("path", ["/", "/health"])
def test_it_is_up(door: Door, path: str) -> None:
    answer = door().get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "UP", "model_class": "Goldgate"})


def test_routes_that_no_backend_has(door: Door) -> None:
    client = door()
    assert (client.get("/metrics").status_code, client.get("/metrics").json()) == (200, {})
    for path in ("/versions", "/validate", "/duplicate_model", "/delete", "/job_status", "/train", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert {"status", "detail", "request", "result"} <= set(answer.json())


@pytest.mark.parametrize("project", ["7.1712345678", 7, None])
@pytest.mark.parametrize("kind", list(Kind))
def test_setup_tells_the_version(door: Door, kind: Kind, project: Any) -> None:
    body = {
        "project": project, "schema": CONFIGS[kind], "hostname": "http://ls:8080", "access_token": "t", "extra_params": None,
    }  # fmt: skip
    answer = door().post("/setup", json=body)
    assert (answer.status_code, answer.json()) == (200, {"model_version": "fake@1"})


def test_images_in_percent_of_the_upright_picture(door: Door) -> None:
    contents = [picture(seed, size=(64, 48), orientation=6 if seed % 2 else None) for seed in range(12)]
    body = asked(Kind.IMAGE, [task(100 + index, image=inline(each)) for index, each in enumerate(contents)])
    entries = results(door(), body)
    regions = 0
    for content, entry, seed in zip(contents, entries, range(12), strict=True):
        assert violations(entry, CONFIGS[Kind.IMAGE]) == []
        width, height = (48, 64) if seed % 2 else (64, 48)
        boxes = faked(Kind.IMAGE, content)["boxes"]
        assert [(region["original_width"], region["original_height"]) for region in entry["result"]] == [
            (width, height)
        ] * len(boxes)
        for region, box in zip(entry["result"], boxes, strict=True):
            value = region["value"]
            assert value["rectanglelabels"] == [box["label"]]
            assert [value[name] for name in ("x", "y", "width", "height")] == pytest.approx(
                [box["x"] / width * 100, box["y"] / height * 100, box["w"] / width * 100, box["h"] / height * 100]
            )
            assert region["score"] == box["score"]
        assert entry["score"] == min((box["score"] for box in boxes), default=None)
        assert entry["model_version"] == "fake@1"
        regions += len(boxes)
    assert regions > 10


def test_texts(door: Door) -> None:
    texts = ["很好用", "Broke after a week.", "Ünïcode 🙂"]
    entries = results(door(), asked(Kind.TEXT, [task(index, text=each) for index, each in enumerate(texts)]))
    for text, entry in zip(texts, entries, strict=True):
        (sentiment,) = faked(Kind.TEXT, text.encode())["sentiments"]
        (region,) = entry["result"]
        assert (region["from_name"], region["to_name"], region["type"]) == ("sentiment", "text", "choices")
        assert (region["value"], region["score"]) == ({"choices": [sentiment["label"]]}, sentiment["score"])
        assert entry["score"] == sentiment["score"]


@pytest.mark.parametrize("data", [{"fps": 10}, {"fps": "10.00001", "more": 1}])
def test_frames_count_from_one_and_both_ends_belong(door: Door, data: dict[str, Any]) -> None:
    content = film()
    (entry,) = results(door(), asked(Kind.VIDEO, [task(1, video=inline(content, "video/mp4"), **data)]))
    said = faked(Kind.VIDEO, content)
    assert violations(entry, CONFIGS[Kind.VIDEO]) == []
    found = [(each["from_name"], each["value"]["timelinelabels"], each["value"]["ranges"]) for each in entry["result"]]
    assert found == [
        *(
            ("shots", [shot["transition"]], [{"start": shot["start_frame"] + 1, "end": shot["end_frame"]}])
            for shot in said["shots"]
        ),
        *(
            ("keyframes", ["keyframe"], [{"start": each["frame"] + 1, "end": each["frame"] + 1}])
            for each in said["keyframes"]
        ),
        *(
            ("events", [event["label"]], [{"start": event["start_frame"] + 1, "end": event["end_frame"]}])
            for event in said["events"]
        ),
    ]


@pytest.mark.parametrize("rate", [5, 20, 24, None])
def test_frames_of_the_rate_that_the_config_counts_with(door: Door, rate: int | None) -> None:
    content = next(each for frames in range(20, 60) if len(faked(Kind.VIDEO, each := film(frames))["shots"]) > 2)
    body = asked(Kind.VIDEO, [task(1, video=inline(content, "video/mp4"), fps=rate)])
    if rate is None:
        del body["tasks"][0]["data"]["fps"]
        rate = 24  # with which Label Studio's player counts where nothing is said
    (entry,) = results(door(), body)
    shots = [each["value"]["ranges"][0] for each in entry["result"] if each["from_name"] == "shots"]
    said = faked(Kind.VIDEO, content)["shots"]
    assert len(shots) == len(said)
    for span, shot in zip(shots, said, strict=True):
        start, end = (math.floor(Fraction(shot[name] * rate, 10) + Fraction(1, 2)) for name in ("start_frame", "end_frame"))
        assert span == {"start": start + 1, "end": max(start + 1, end)}


def test_one_entry_for_every_task_whatever_it_holds(door: Door) -> None:
    good = inline(picture(3))
    tasks = [
        task(1, image=good),
        task(2, image=inline(b"no image at all")),
        task(3, image="data:image/png;base64,!!!"),
        task(4, image="s3://bucket/a.jpg"),
        task(5, image="/data/upload/1/a.jpg"),
        task(6),
        {"id": 7},
        "not even a task",
        task(9, image=None),
        task(10, image="http://127.0.0.1:9/a.jpg"),
        task(11, image=["http://127.0.0.1:9/a.jpg"]),
        task(12, image=good),
    ]
    entries = results(door(), asked(Kind.IMAGE, tasks))
    assert len(entries) == len(tasks)
    assert entries[0] == entries[-1]
    assert entries[0]["result"]
    for entry in entries[1:-1]:
        assert (entry["result"], entry["score"], entry["model_version"]) == ([], None, "fake@1 failed")
        assert entry["error"]
    assert "labelstudio.hosts" in entries[4]["error"]


def test_an_empty_picture_is_not_a_failed_one(door: Door) -> None:
    empty = next(content for seed in range(99) if not faked(Kind.IMAGE, content := picture(seed))["boxes"])
    (entry,) = results(door(), asked(Kind.IMAGE, [task(1, image=inline(empty))]))
    assert entry == {"model_version": "fake@1", "score": None, "result": []}


def test_what_the_config_lacks_is_dropped(door: Door) -> None:
    first, *others = GUIDELINE.class_names
    config = (
        '<View><Image name="img" value="$picture"/><RectangleLabels name="all" toName="img" model_score_threshold="0.6">'
        f'<Label value="Thing" predicted_values="{first.upper()},{others[0]}"/></RectangleLabels></View>'
    )
    contents = [picture(seed) for seed in range(20)]
    tasks = [task(index, picture=inline(each)) for index, each in enumerate(contents)]
    found = 0
    for content, entry in zip(contents, results(door(), asked(Kind.IMAGE, tasks, label_config=config)), strict=True):
        assert violations(entry, config) == []
        wanted = [
            box for box in faked(Kind.IMAGE, content)["boxes"] if box["label"] in (first, others[0]) and box["score"] >= 0.6
        ]
        assert [region["score"] for region in entry["result"]] == [box["score"] for box in wanted]
        assert entry["score"] == min((box["score"] for box in wanted), default=None)
        found += len(wanted)
    assert found


def test_a_config_with_a_text_and_a_picture(door: Door) -> None:
    config = (
        '<View><Image name="i" value="$image"/><Text name="t" value="$text"/>'
        + "".join(
            CONFIGS[kind].split("\n", 2)[2].rsplit("</View>", 1)[0].replace(f'toName="{kind.value}"', f'toName="{name}"')
            for kind, name in ((Kind.IMAGE, "i"), (Kind.TEXT, "t"))
        )
        + "</View>"
    )
    content = next(each for seed in range(99) if faked(Kind.IMAGE, each := picture(seed))["boxes"])
    both, half = results(
        door(), asked(Kind.IMAGE, [task(1, image=inline(content), text="fine"), task(2, text="fine")], label_config=config)
    )
    assert {region["to_name"] for region in both["result"]} == {"i", "t"}
    assert {region["to_name"] for region in half["result"]} == {"t"}
    assert (both["model_version"], half["model_version"]) == ("fake@1 fake@1", "fake@1 fake@1")
    assert "error" in half
    assert violations(both, config) + violations(half, config) == []


@pytest.mark.parametrize(
    "more", [{"model_version": "old@1"}, {"project": 7}, {"params": {"context": {"result": []}}}, {"params": None}]
)
def test_what_other_versions_send_is_tolerated(door: Door, more: dict[str, Any]) -> None:
    plain, other = (results(door(), asked(Kind.TEXT, [task(1, text="fine")], **each)) for each in ({}, more))
    assert plain == other


def test_the_config_of_setup_stands_in_for_one_that_is_missing(door: Door) -> None:
    client = door(local_backend(FAKES, SETTINGS))
    body = asked(Kind.TEXT, [task(1, text="fine")], label_config=None)
    assert client.post("/predict", json=body).status_code == 422
    client.post("/setup", json={"project": "7.1712345678", "schema": CONFIGS[Kind.TEXT]})
    assert results(client, body)[0]["result"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"tasks": 1}', b'{"tasks": [{"id": NaN}]}', b"[" * 100_000, b'{"tasks": [], "label_config": "<"}'],
)
def test_what_is_no_request(door: Door, body: bytes) -> None:
    answer = door().post("/predict", content=body)
    assert answer.status_code == 422
    said = answer.json()
    assert (said["status"], said["request"], said["result"]) == (422, {}, {})
    assert said["detail"]


def test_a_body_too_large(door: Door) -> None:
    client = door(limits=Limits(max_body_bytes=1000))
    answer = client.post("/predict", json=asked(Kind.TEXT, [task(1, text="x" * 2000)]))
    assert answer.status_code == 413


def test_more_tasks_than_a_call_takes(door: Door) -> None:
    backend = local_backend(FAKES, SETTINGS)
    texts = [f"text {number}" for number in range(300)]
    entries = results(door(backend), asked(Kind.TEXT, [task(index, text=each) for index, each in enumerate(texts)]))
    labels = [entry["result"][0]["value"]["choices"] for entry in entries]
    assert labels == [[faked(Kind.TEXT, each.encode())["sentiments"][0]["label"]] for each in texts]


class Behind:
    """A backend of texts that does as it is told before the fake answers."""

    kinds = (Kind.TEXT,)

    def __init__(self, *failures: ProblemError | None, silent: bool = False) -> None:
        self._failures = list(failures)
        self._fake = FAKES[Kind.TEXT]
        self.calls: list[int] = []
        self.told = threading.Event()
        if not silent:
            self.told.set()

    async def describe(self, kind: Kind) -> Description:
        while not self.told.is_set():
            await asyncio.sleep(0.01)
        return self._fake.describe()

    async def label(self, kind: Kind, sources: Sequence[Source]) -> tuple[Description, list[Row]]:
        self.calls.append(len(sources))
        failure = self._failures.pop(0) if self._failures else None
        if failure is not None:
            if failure.status == 504:
                await asyncio.sleep(60)
            raise failure
        return self._fake.describe(), cast("list[Row]", self._fake.predict(sources).to_pylist())

    async def label_many(self, kind: Kind, sources: Sequence[Source]) -> pa.Table:
        return self._fake.predict(sources)

    async def waiting(self) -> list[str]:
        return []


def test_setup_and_health_wait_for_no_model(door: Door) -> None:
    backend = Behind(silent=True)
    client = door(backend)
    body = {"project": "7.1", "schema": CONFIGS[Kind.TEXT]}
    assert client.get("/health").json()["status"] == "UP"
    assert client.post("/setup", json=body).json() == {"model_version": "goldgate"}
    backend.told.set()
    assert client.post("/setup", json=body).json() == {"model_version": "fake@1"}


TEXTS = [task(index, text=f"text {index}") for index in range(130)]


def test_a_busy_model_is_waited_for_where_many_are_asked_for(door: Door) -> None:
    busy = ProblemError(503, "busy", retry_after_s=0)
    backend = Behind(busy, busy)
    entries = results(door(backend), asked(Kind.TEXT, TEXTS))
    assert all(entry["result"] for entry in entries)
    assert backend.calls == [128, 128, 128, 2]


def test_a_busy_model_sheds_who_waits_before_the_screen(door: Door) -> None:
    answer = door(Behind(ProblemError(503, "busy", retry_after_s=7))).post("/predict", json=asked(Kind.TEXT, TEXTS[:1]))
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["detail"]) == (503, "7", "busy")


def test_what_was_not_reached_in_time_is_asked_for_again(door: Door) -> None:
    backend = Behind(None, ProblemError(504, "never"))
    entries = results(door(backend, deadline_s=0.5), asked(Kind.TEXT, TEXTS))
    assert all(entry["result"] for entry in entries[:128])
    assert entries[128:] == [[], []]


def test_nothing_reached_at_all_is_an_error(door: Door) -> None:
    answer = door(Behind(ProblemError(504, "never")), deadline_s=0.2).post("/predict", json=asked(Kind.TEXT, TEXTS))
    assert answer.status_code == 504
    assert "ask for fewer" in answer.json()["detail"]


def test_a_model_that_fails_on_everything_is_an_error(door: Door) -> None:
    failure = ProblemError(500, "the text model raised ZeroDivisionError", kind=MODEL_RAISED)
    answer = door(Behind(failure)).post("/predict", json=asked(Kind.TEXT, TEXTS[:3]))
    assert (answer.status_code, answer.json()["status"]) == (500, 500)


def test_a_task_that_its_model_fails_on_alone_has_an_entry(door: Door) -> None:
    failure = ProblemError(500, "the text model raised ZeroDivisionError", kind=MODEL_RAISED)
    entries = results(door(Behind(None, failure)), asked(Kind.TEXT, TEXTS[:129]))
    assert entries[-1] == {"model_version": "fake@1 failed", "score": None, "result": [], "error": str(failure)}


def test_a_kind_without_a_model(door: Door) -> None:
    (entry,) = results(door(Behind()), asked(Kind.VIDEO, [task(1, video="data:,x")]))
    assert entry["error"] == "this service has no video model"


def test_a_config_that_no_model_can_fill(door: Door) -> None:
    entries = results(door(), asked(Kind.TEXT, TEXTS[:2], label_config='<View><Text name="t" value="$text"/></View>'))
    assert [entry["result"] for entry in entries] == [[], []]


PICTURE = picture(3)
OPENS = "Token secret"
VARIABLE = "LS_TOKEN"


def file_server(seen: list[dict[str, str]], token: str = OPENS) -> FastAPI:
    """A server of files that shows them only to who brings `token`."""
    app = FastAPI()

    @app.post("/api/token/refresh/")
    async def refresh(request: Request) -> Response:
        known = (await request.json())["refresh"] == PERSONAL
        return JSONResponse({"access": "short"} if known else {}, status_code=200 if known else 401)

    @app.get("/{path:path}")
    async def file(path: str, request: Request) -> Response:
        seen.append({"path": f"/{path}?{request.url.query}", "token": request.headers.get("authorization", "")})
        allowed = request.headers.get("authorization") == token or path == "open.jpg"
        return Response(PICTURE if allowed else b"", status_code=200 if allowed else 401, media_type="image/jpeg")

    return app


PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJyZWZyZXNoIn0.c2lnbmVk"


@pytest.mark.parametrize("path", ["/data/upload/7/a.jpg", "/data/local-files/?d=in/a%20b.jpg"])
def test_files_of_the_server_are_fetched_with_its_token(
    door: Door, listen: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    seen: list[dict[str, str]] = []
    server = listen(file_server(seen))
    monkeypatch.setenv(VARIABLE, "secret")
    client = door(hosts=[LabelStudioHost(url=server, token_env=VARIABLE)])
    relative, absolute = results(client, asked(Kind.IMAGE, [task(1, image=path), task(2, image=server + path)]))
    assert relative == absolute
    assert relative["result"] == results(client, asked(Kind.IMAGE, [task(1, image=inline(PICTURE))]))[0]["result"] != []
    assert seen == [{"path": path if "?" in path else f"{path}?", "token": "Token secret"}] * 2


def test_a_personal_token_is_exchanged(door: Door, listen: Callable[[Any], str], tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    (tmp_path / "token").write_text(f"{PERSONAL}\n")
    server = LabelStudioHost(url=listen(file_server(seen, "Bearer short")), token_file=tmp_path / "token")
    entries = results(
        door(hosts=[server]), asked(Kind.IMAGE, [task(index, image="/data/upload/a.jpg") for index in range(3)])
    )
    assert all(entry["result"] for entry in entries)
    (tmp_path / "token").write_text(PERSONAL.replace("c2", "d2"))
    (refused,) = results(door(hosts=[server]), asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")]))
    assert "make a new one" in refused["error"]


def test_a_missing_token_is_named(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    client = door(hosts=[LabelStudioHost(url="http://127.0.0.1:9", token_env=VARIABLE)])
    (entry,) = results(client, asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")]))
    assert "LS_TOKEN" in entry["error"]


def test_no_other_host_sees_the_token(door: Door, listen: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    ours, foreign = listen(file_server(seen)), listen(file_server(seen))
    monkeypatch.setenv(VARIABLE, "secret")
    elsewhere = urlsplit(foreign).netloc
    uris = UriRules(schemes=("http",), hosts=(elsewhere,), private_hosts=(elsewhere,))
    client = door(uris=uris, hosts=[LabelStudioHost(url=ours, token_env=VARIABLE)])
    body = asked(
        Kind.IMAGE, [task(1, image=f"{foreign}/open.jpg"), task(2, image=ours.replace("127.0.0.1", "localhost") + "/a")]
    )
    assert results(client, body)[0]["result"]
    assert {each["token"] for each in seen} == {""}


def test_a_server_is_believed_only_if_it_is_one_of_ours(door: Door, listen: Callable[[Any], str]) -> None:
    seen: list[dict[str, str]] = []
    ours, foreign = listen(file_server(seen)), listen(file_server(seen))
    client = door(hosts=[LabelStudioHost(url=ours), LabelStudioHost(url="http://127.0.0.1:9")])
    body = asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")])
    setup = {"project": "7.1712345678", "schema": CONFIGS[Kind.IMAGE], "access_token": "secret"}
    client.post("/setup", json={**setup, "hostname": foreign})
    assert "labelstudio.hosts" in results(client, body)[0]["error"]
    assert "labelstudio.hosts" in results(client, {**body, "params": {"hostname": foreign}})[0]["error"]
    assert seen == []
    client.post("/setup", json={**setup, "hostname": f"{ours}/"})
    assert results(client, body)[0]["result"]
    assert seen == [{"path": "/data/upload/a.jpg?", "token": "Token secret"}]


def test_a_configured_token_is_not_replaced_by_a_told_one(
    door: Door, listen: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setenv(VARIABLE, "secret")
    ours = listen(file_server(seen))
    client = door(hosts=[LabelStudioHost(url=ours, token_env=VARIABLE)])
    client.post("/setup", json={"project": "7.1", "schema": "<View/>", "hostname": ours, "access_token": "stolen"})
    assert results(client, asked(Kind.IMAGE, [task(1, image="/data/upload/a.jpg")]))[0]["result"]


@pytest.mark.parametrize(
    "host",
    [
        {"url": "ftp://ls.example.org"}, {"url": "ls.example.org"}, {"url": "http://user:pass@ls.example.org"}, {"url": "http://ls/?a=1"},
        {"url": "http://ls", "token_env": "A", "token_file": "b"}, {"url": "http://ls", "token": "secret"},
    ],
)  # fmt: skip
def test_settings_of_hosts(host: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"address|not both|Extra inputs"):
        LabelStudioSettings.model_validate({"hosts": [host]})


def test_it_stands_beside_the_other_doors(listen: Callable[[Any], str]) -> None:
    front = Front(local_backend(FAKES, SETTINGS), SETTINGS)
    for app, prefix in ((build_front(front), "/labelstudio"), (build_door(DoorName.LABELSTUDIO, front), "")):
        with httpx.Client(base_url=f"{listen(app)}{prefix}", trust_env=False) as client:
            assert client.get("/health").json()["status"] == "UP"
            assert client.get("").json()["status"] == "UP"
            assert results(client, asked(Kind.TEXT, TEXTS[:1]))[0]["result"]
