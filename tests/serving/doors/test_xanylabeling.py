"""The X-AnyLabeling door: no failure of it may cost a label that a person has drawn."""

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.answers import labelled
from contract.predictor import Source
from contract.tables import Kind, Task
from models.fake import FakePredictor
from serving.backend import LaneBackend
from serving.config import Batching, Limits, ModelSettings, ServeSettings
from serving.doors.xanylabeling import refuse, xanylabeling_door
from serving.front import Front, build_front
from serving.http.problems import ProblemError
from serving.lanes import local_backend
from tests.conftest import listening
from tests.oracles.doormodels import CLASSES, Obedient, guideline, picture
from tests.oracles.xanylabelingclient import RemoteServer

MODEL = "scene-detector"
DRAWN = {"label": "person", "shape_type": "rectangle", "points": [[1, 1], [9, 1], [9, 9], [1, 9]], "score": None}


class Service(NamedTuple):
    """A front door with one image model, and X-AnyLabeling before it."""

    url: str
    model: Obedient
    backend: LaneBackend
    client: RemoteServer


def settings_of(**more: Any) -> ServeSettings:
    model = ModelSettings(name="fake", device="cpu", batching=Batching(max_batch_size=1, calls_in_flight=1))
    limits = Limits(max_items_waiting=1, max_body_bytes=200_000)
    return ServeSettings(models={Kind.IMAGE: model}, limits=limits, **more)


@pytest.fixture
def service() -> Iterator[Service]:
    chosen = settings_of(doors={"xanylabeling": {"deadline_s": 0.5}})
    model = Obedient()
    backend = local_backend({Kind.IMAGE: model}, chosen)
    with listening(build_front(Front(backend, chosen))) as url:
        yield Service(url, model, backend, RemoteServer(f"{url}/xanylabeling", model=MODEL))
        model.go_on.set()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that a person has labelled already."""
    path = tmp_path / "street.png"
    path.write_bytes(picture(3))
    document = {"version": "3", "shapes": [DRAWN], "imagePath": path.name, "description": "seen by Li"}
    path.with_suffix(".json").write_text(json.dumps(document), encoding="utf-8")
    return path


def on_file(image: Path) -> dict[str, Any]:
    return dict(json.loads(image.with_suffix(".json").read_text(encoding="utf-8")))


def assert_untouched(image: Path) -> None:
    document = on_file(image)
    assert document["shapes"] == [DRAWN]
    assert document["description"] == "seen by Li"


def locally(content: bytes) -> list[dict[str, Any]]:
    fake = FakePredictor(Kind.IMAGE, guideline=guideline())
    (row,) = fake.predict([Source(item="", kind=Kind.IMAGE, uri="", data=content)]).to_pylist()
    return list(row["boxes"])


def ask(service: Service, **body: Any) -> dict[str, Any]:
    answer = httpx.post(f"{service.client.url}/v1/predict", json={"model": MODEL, **body})
    assert answer.status_code == 200
    return dict(answer.json())


def test_models_and_health(service: Service) -> None:
    (name, told), *others = service.client.models().items()
    assert (name, others) == (MODEL, [])
    assert told["display_name"] == "Scene Detector (goldgate)"
    assert told["classes"] == list(CLASSES)
    assert {"name": "edit_conf", "value": 0.25} in told["widgets"]
    assert "iou" not in json.dumps(told["widgets"])
    health = httpx.get(f"{service.client.url}/health").json()
    assert (health["status"], health["models_loaded"], health["timestamp"][-1]) == ("healthy", 1, "Z")
    info = httpx.get(f"{service.client.url}/v1/models/{MODEL}/info").json()
    assert info == {"success": True, "data": {"model_id": MODEL, **told}}
    absent = httpx.get(f"{service.client.url}/v1/models/another/info").json()
    assert (absent["success"], absent["error"]["code"]) == (False, "MODEL_NOT_FOUND")


def test_a_good_call_replaces_as_the_person_chose(service: Service, image: Path) -> None:
    boxes = locally(image.read_bytes())
    assert boxes
    service.client.run_all([image])
    shapes = on_file(image)["shapes"]
    assert [shape["label"] for shape in shapes] == [box["label"] for box in boxes]
    assert [shape["score"] for shape in shapes] == [box["score"] for box in boxes]
    for shape, box in zip(shapes, boxes, strict=True):
        x, y, right, bottom = box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]
        assert shape["points"] == [[x, y], [right, y], [right, bottom], [x, bottom]]
    service.client.replace = False
    service.client.run_all([image])
    assert len(on_file(image)["shapes"]) == 2 * len(boxes)
    assert service.client.failures == []


def test_both_forms_of_base64(service: Service) -> None:
    encoded = base64.encodebytes(picture(3)).decode()  # in lines, as the command of that name writes it
    bare = ask(service, image=encoded)
    assert bare["data"]["shapes"]
    assert bare["data"]["replace"] is None
    for head in ("data:image/png;base64,", "DATA:image/png;name=a;BASE64,", "data:;base64,"):
        assert ask(service, image=head + encoded, params=None) == bare


def test_parameters(service: Service) -> None:
    content = next(content for content in map(picture, range(50)) if len(locally(content)) >= 3)
    image = base64.b64encode(content).decode()
    every = ask(service, image=image)["data"]["shapes"]
    scores = sorted(shape["score"] for shape in every)
    between = (scores[0] + scores[1]) / 2

    def with_(**params: Any) -> Any:
        return ask(service, image=image, params=params)["data"]["shapes"]

    assert with_(conf_threshold=between) == [shape for shape in every if shape["score"] >= between]
    assert with_(conf_threshold=0, iou_threshold=0, filter_classes=[], marks=[{"type": "point"}]) == every
    assert with_(filter_classes=[every[0]["label"]]) == [shape for shape in every if shape["label"] == every[0]["label"]]
    assert with_(filter_classes=["no such class"]) == []


def _bad_image(service: Service, image: Path) -> None:
    image.write_bytes(b"no picture")
    service.client.run_all([image])


def _empty_image(service: Service, image: Path) -> None:
    image.write_bytes(b"")
    service.client.run_all([image])


def _unknown_model(service: Service, image: Path) -> None:
    service.client.model = "another"
    service.client.run_all([image])


def _too_large(service: Service, image: Path) -> None:
    image.write_bytes(bytes(3_000_000))
    service.client.run_all([image])


def _wrong_parameters(service: Service, image: Path) -> None:
    service.client.params = {"conf_threshold": "high", "filter_classes": 3}
    service.client.run_all([image])


def _model_raises(service: Service, image: Path) -> None:
    service.model.raises.set()
    service.client.run_all([image])


def _no_answer_in_time(service: Service, image: Path) -> None:
    service.model.go_on.clear()
    service.client.run_all([image])
    service.model.go_on.set()


def _queue_is_full(service: Service, image: Path) -> None:
    service.model.go_on.clear()
    body = {"images": [{"data": base64.b64encode(image.read_bytes()).decode()}]}

    def call() -> None:
        httpx.post(f"{service.url}/v1/detect", json=body, timeout=60)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert service.model.entered.acquire(timeout=30)
    while not service.backend.waiting_items()[Kind.IMAGE]:
        threading.Event().wait(0.01)
    assert httpx.post(f"{service.url}/v1/detect", json=body).status_code == 503
    service.client.run_all([image])
    service.model.go_on.set()
    for thread in threads:
        thread.join(timeout=60)


FAILURES: dict[Callable[[Service, Path], None], str] = {
    _bad_image: "the image is rejected: it is not an image of a known format",
    _empty_image: "the image is rejected",
    _unknown_model: "model 'another' is not loaded",
    _too_large: "the body is larger than 200000 bytes",
    _wrong_parameters: "params.conf_threshold",
    _model_raises: "the image model raised ZeroDivisionError",
    _no_answer_in_time: "did not answer in 0.5 s",
    _queue_is_full: "the image model is busy",
}


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_labels_survive(
    service: Service, image: Path, fail: Callable[[Service, Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    fail(service, image)
    assert_untouched(image)
    assert service.client.failures == []
    assert FAILURES[fail] in caplog.text


def test_labels_survive_a_fault_of_ours(image: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = settings_of()
    backend = local_backend({Kind.IMAGE: Obedient()}, chosen)
    backend.describe = None  # type: ignore[method-assign, assignment]
    with listening(xanylabeling_door(backend, chosen)) as url:
        client = RemoteServer(url, model=MODEL)
        client.run_all([image])
    assert_untouched(image)
    assert client.failures == []
    assert "an internal fault (TypeError)" in caplog.text


def test_nothing_of_a_call_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    secret = base64.b64encode(b"the content").decode()
    for body in ({"image": secret}, {"image": f"{secret}!"}, {"image": {"a": secret}}, {"image": "", "params": secret}):
        assert ask(service, **body)["data"] == {"shapes": [], "description": "", "replace": False}
    assert caplog.text.count("answered without shapes") == 4
    assert secret not in caplog.text


def test_the_client_does_empty_files_otherwise(service: Service, image: Path) -> None:
    service.client.url = f"{service.url}/nowhere"
    service.client.run_all([image])
    assert on_file(image)["shapes"] == []


class Keyless:
    """Turns every request away, as what checks keys does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await refuse(ProblemError(401, "no key, or one that is not known", retry_after_s=1), scope, receive, send)
        else:
            await self._app(scope, receive, send)


def test_labels_survive_a_key_that_runs_out(service: Service, image: Path) -> None:
    outer = FastAPI()
    outer.mount("/xanylabeling", Keyless(xanylabeling_door(service.backend, settings_of())))
    with listening(outer) as url:
        client = RemoteServer(f"{url}/xanylabeling", model=MODEL)
        client.run_all([image])
        image.write_bytes(bytes(3_000_000))
        client.run_all([image])
        assert client.failures == []
        assert_untouched(image)
        answer = httpx.get(f"{client.url}/v1/models")
    assert answer.status_code == 401
    assert answer.json() == {
        "success": False,
        "error": {"code": "UNAUTHORIZED", "message": "no key, or one that is not known"},
    }


def test_without_an_image_model(image: Path) -> None:
    chosen = ServeSettings.of({Kind.TEXT: "fake"}, device="cpu")
    backend = local_backend({Kind.TEXT: FakePredictor(Kind.TEXT)}, chosen)
    with listening(xanylabeling_door(backend, chosen)) as url:
        client = RemoteServer(url, model=MODEL)
        assert client.models() == {}
        assert httpx.get(f"{url}/health").json()["models_loaded"] == 0
        assert httpx.get(f"{url}/v1/models/{MODEL}/info").json()["error"]["code"] == "MODEL_NOT_FOUND"
        client.run_all([image])
        assert_untouched(image)


def test_openapi_tells_every_route(service: Service) -> None:
    document = httpx.get(f"{service.client.url}/openapi.json").json()
    assert set(document["paths"]) == {"/health", "/v1/models", "/v1/models/{name}/info", "/v1/predict"}
    schema = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["model", "image"]
    assert "$ref" not in json.dumps(schema)


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
BOXES = st.lists(
    st.fixed_dictionaries(
        {
            "label": st.sampled_from(CLASSES),
            "x": NUMBERS,
            "y": NUMBERS,
            "w": st.floats(0, 1e6),
            "h": st.floats(0, 1e6),
            "score": st.one_of(st.none(), st.floats(0, 1), st.just(0.5)),
        }
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(
    boxes=BOXES,
    least=st.one_of(st.none(), st.just(0.5), st.just(0.0), st.floats(-1, 2)),
    classes=st.one_of(st.none(), st.lists(st.sampled_from((*CLASSES, "other")), max_size=3)),
)
def test_answers_of_any_model_come_through(door: tuple[Obedient, str], boxes: Any, least: Any, classes: Any) -> None:
    model, url = door
    model.answers = [labelled("", Kind.IMAGE, {Task.BOXES: boxes})]
    params = {"conf_threshold": least, "filter_classes": classes}
    body = {"model": MODEL, "image": base64.b64encode(b"any").decode(), "params": params}
    found = httpx.post(f"{url}/v1/predict", json=body).json()
    assert found["success"] is True
    assert found["data"]["replace"] is None
    kept = [
        box
        for box in boxes
        if (not least or box["score"] is None or box["score"] >= least) and (not classes or box["label"] in classes)
    ]
    assert [(shape["label"], shape["score"]) for shape in found["data"]["shapes"]] == [
        (box["label"], box["score"]) for box in kept
    ]
    for shape, box in zip(found["data"]["shapes"], kept, strict=True):
        (x1, y1), (x2, y2), (x3, y3), (x4, y4) = shape["points"]
        assert (x1, y1, x4, y2) == (box["x"], box["y"], box["x"], box["y"])
        assert (x2, y4) == (x3, y3) == (box["x"] + box["w"], box["y"] + box["h"])


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[Obedient, str]]:
    chosen = ServeSettings.of({Kind.IMAGE: "fake"}, device="cpu")
    model = Obedient()
    with contextlib.ExitStack() as stack:
        yield model, stack.enter_context(listening(xanylabeling_door(local_backend({Kind.IMAGE: model}, chosen), chosen)))
