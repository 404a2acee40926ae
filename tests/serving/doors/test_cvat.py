"""The CVAT door against an independent reading of CVAT's side, on real sockets and under generated answers."""

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.answers import labelled, rejected
from contract.predictor import Source
from contract.tables import Kind, Task
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.keys import Scope, add_key
from serving.access.settings import AccessSettings
from serving.backend import LaneBackend
from serving.config import Batching, Door, DoorSettings, Limits, ModelSettings, ServeSettings
from serving.doors.cvat import cvat_door, rectangle
from serving.front import Front, build_door, build_front, open_door
from serving.lanes import local_backend
from tests.conftest import free_port, listening
from tests.oracles.cvatclient import Cvat, Listed, TaskLabel, takes
from tests.oracles.doormodels import CLASSES, Obedient, guideline, picture

LABELS = [TaskLabel(name, attributes={"score": ("text", ())}) for name in CLASSES]
NAME = "goldgate-scene-detector"


class Service(NamedTuple):
    """A front door with one image model, and CVAT before it."""

    url: str
    model: Obedient
    backend: LaneBackend
    cvat: Cvat


def settings_of(**more: Any) -> ServeSettings:
    model = ModelSettings(name="fake", device="cpu", batching=Batching(max_batch_size=1, calls_in_flight=1))
    limits = Limits(max_items_waiting=1, max_body_bytes=200_000)
    return ServeSettings(models={Kind.IMAGE: model, Kind.TEXT: model}, limits=limits, **more)


@pytest.fixture
def service() -> Iterator[Service]:
    chosen = settings_of()
    model = Obedient()
    backend = local_backend({Kind.IMAGE: model, Kind.TEXT: FakePredictor(Kind.TEXT)}, chosen)
    with listening(build_front(Front(backend, chosen))) as url, contextlib.closing(Cvat(f"{url}/cvat")) as cvat:
        yield Service(url, model, backend, cvat)
        model.go_on.set()


def test_cvat_lists_one_function_for_the_image_model(service: Service) -> None:
    (function,) = service.cvat.functions()
    assert function == service.cvat.function(NAME)
    assert (function.name, function.kind, function.version, function.port) == (NAME, "detector", 1, 0)
    assert list(function.labels) == list(CLASSES)
    assert all(label == {"type": "rectangle", "attributes": ["score"]} for label in function.labels.values())
    assert "Scene Detector@1" in function.description
    assert set(NAME) <= set("abcdefghijklmnopqrstuvwxyz0123456789-._")


def test_spec_is_a_document_in_a_string(service: Service) -> None:
    notes = httpx.get(f"{service.url}/cvat/api/functions/{NAME}").json()["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in notes.values())
    assert [label["id"] for label in json.loads(notes["spec"])] == [0, 1, 2]


def test_a_task_gets_the_models_boxes_with_scores(service: Service) -> None:
    frames = [picture(seed) for seed in range(6)]
    sources = [Source(item="", kind=Kind.IMAGE, uri="", data=frame) for frame in frames]
    wanted = [row["boxes"] for row in FakePredictor(Kind.IMAGE, guideline=guideline()).predict(sources).to_pylist()]
    assert any(wanted)
    (function,) = service.cvat.functions()
    for found, boxes in zip(service.cvat.annotate(function, frames, LABELS), wanted, strict=True):
        assert [shape["label"] for shape in found] == [box["label"] for box in boxes]
        for shape, box in zip(found, boxes, strict=True):
            x1, y1, x2, y2 = shape["points"]
            assert [x1, y1, x2 - x1, y2 - y1] == pytest.approx([box["x"], box["y"], box["w"], box["h"]])
            assert float(shape["attributes"]["score"]) == pytest.approx(box["score"], abs=5e-5)


def test_threshold_is_honoured_and_absent_means_the_models_own(service: Service) -> None:
    (function,) = service.cvat.functions()
    frame = next(picture(seed) for seed in range(50) if len(service.cvat.call(function, picture(seed))) >= 3)
    scores = [float(shape["confidence"]) for shape in service.cvat.call(function, frame)]
    between = sum(sorted(scores)[:2]) / 2
    kept = [float(shape["confidence"]) for shape in service.cvat.call(function, frame, threshold=between)]
    assert kept == [score for score in scores if score >= between]
    assert len(kept) == len(scores) - 1
    assert service.cvat.call(function, frame, threshold=1.0) == []


def test_direct_calls_go_to_the_root_of_the_doors_own_port(service: Service) -> None:
    port = free_port()
    mine = settings_of(doors={Door.CVAT: DoorSettings(port=port)})
    with listening(build_door(Door.CVAT, Front(service.backend, mine))) as url, contextlib.closing(Cvat(url)) as cvat:
        (function,) = cvat.functions()
        assert function.port == port
        frame = picture(1)
        assert cvat.call(function, frame, direct=url) == cvat.call(function, frame)


def test_a_bad_frame_does_not_end_the_job(service: Service) -> None:
    (function,) = service.cvat.functions()
    good = next(frame for frame in map(picture, range(20)) if service.cvat.call(function, frame))
    found = service.cvat.annotate(function, [good, b"no picture", b"", good], LABELS)
    assert found[0] == found[3] != []
    assert found[1:3] == [[], []]


def test_errors_are_in_nuclios_shape(service: Service) -> None:
    base = f"{service.url}/cvat"
    body = {"image": base64.b64encode(picture(1)).decode()}
    called = {"x-nuclio-function-name": NAME}
    other = {"x-nuclio-function-name": "another"}
    answers = [
        (404, httpx.get(f"{base}/api/functions/another")),
        (404, httpx.get(f"{base}/api/nothing")),
        (404, httpx.post(f"{base}/api/function_invocations", json=body, headers=other)),
        (400, httpx.post(f"{base}/api/function_invocations", json=body)),
        (422, httpx.post(f"{base}/api/function_invocations", json={"image": "!"}, headers=called)),
        (422, httpx.post(f"{base}/api/function_invocations", json={}, headers=called)),
        (422, httpx.post(f"{base}/api/function_invocations", content=b"{", headers=called)),
        (422, httpx.post(f"{base}/api/function_invocations", json={**body, "threshold": 2}, headers=called)),
        (422, httpx.post(f"{base}/", json={"image": 1})),
        (405, httpx.get(f"{base}/api/function_invocations")),
    ]
    for status, answer in answers:
        assert answer.status_code == status, answer.text
        assert list(answer.json()) == ["error"]
    assert answers[0][1].json() == {"error": "Function not found"}
    assert answers[-1][1].headers["allow"] == "POST"


def test_a_model_that_raises_is_an_error_and_not_an_empty_frame(service: Service) -> None:
    (function,) = service.cvat.functions()
    service.model.raises.set()
    with pytest.raises(httpx.HTTPStatusError) as caught:
        service.cvat.call(function, picture(1))
    assert caught.value.response.status_code == 500
    assert "ZeroDivisionError" in caught.value.response.json()["error"]


def test_a_frame_waits_while_the_model_is_busy(service: Service) -> None:
    (function,) = service.cvat.functions()
    service.model.go_on.clear()
    answers: list[Any] = []
    # One in the model, one in the queue of one; what comes now is refused at the gather, and waits at the door.
    threads = [
        threading.Thread(target=lambda seed=seed: answers.append(service.cvat.call(function, picture(seed))))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    assert service.model.entered.acquire(timeout=30)
    while not service.backend.waiting_items()[Kind.IMAGE]:
        threading.Event().wait(0.01)
    body = {"images": [{"data": base64.b64encode(picture(9)).decode()}]}
    assert httpx.post(f"{service.url}/v1/detect", json=body).status_code == 503
    service.model.go_on.set()
    for thread in threads:
        thread.join(timeout=60)
    assert len(answers) == 4


def test_a_model_that_stays_busy_is_told_in_time(service: Service) -> None:
    door = cvat_door(service.backend, settings_of(), deadline_s=0.2)
    service.model.go_on.clear()
    with listening(door) as url, contextlib.closing(Cvat(url)) as cvat:
        (function,) = cvat.functions()
        with pytest.raises(httpx.HTTPStatusError) as caught:
            cvat.call(function, picture(1))
        assert caught.value.response.status_code == 504
        service.model.go_on.set()


def test_a_key_in_the_hosts_name_opens_the_door(service: Service, tmp_path: Path) -> None:
    _, secret = add_key(tmp_path / "keys.json", "cvat", [Scope.PREDICT])
    access = Access(AccessSettings(keys_file=tmp_path / "keys.json"))
    with listening(open_door(Door.CVAT, Front(service.backend, settings_of(), access=access))) as url:
        with contextlib.closing(Cvat(url.replace("//", f"//cvat:{secret}@"))) as cvat:
            (function,) = cvat.functions()
            assert cvat.call(function, picture(1)) == service.cvat.call(function, picture(1))
        with contextlib.closing(Cvat(url)) as cvat, pytest.raises(httpx.HTTPStatusError) as caught:
            cvat.functions()
        assert caught.value.response.status_code == 401


def test_without_an_image_model_there_is_no_function() -> None:
    chosen = ServeSettings.of({Kind.TEXT: "fake"}, device="cpu")
    backend = local_backend({Kind.TEXT: FakePredictor(Kind.TEXT)}, chosen)
    with listening(cvat_door(backend, chosen)) as url, contextlib.closing(Cvat(url)) as cvat:
        assert cvat.functions() == []
        assert httpx.post(url, json={"image": ""}).status_code == 404


def test_openapi_tells_every_route(service: Service) -> None:
    document = httpx.get(f"{service.url}/cvat/openapi.json").json()
    assert set(document["paths"]) == {"/api/functions", "/api/functions/{name}", "/api/function_invocations", "/"}
    call = document["paths"]["/api/function_invocations"]["post"]
    assert call["requestBody"]["content"]["application/json"]["schema"]["required"] == ["image"]
    assert call["parameters"][0]["name"] == "x-nuclio-function-name"


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


@settings(max_examples=100)
@given(BOXES)
def test_every_box_is_a_shape_that_cvat_keeps(boxes: list[dict[str, Any]]) -> None:
    for box in boxes:
        item = rectangle(box).model_dump(exclude_none=True)
        assert item["points"] == [box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]]
        assert all(takes(each["value"], "text", ()) for each in item["attributes"])
        told = [float(each["value"]) for each in item["attributes"]]
        assert told == ([] if box["score"] is None else [pytest.approx(box["score"], abs=5.1e-5)])
        assert ("confidence" in item) == (box["score"] is not None)


@settings(max_examples=50)
@given(boxes=BOXES, threshold=st.one_of(st.none(), st.just(0.5), st.floats(0.001, 1)))
def test_answers_of_any_model_come_through(door: tuple[Obedient, Cvat, Listed], boxes: Any, threshold: Any) -> None:
    model, cvat, function = door
    model.answers = [labelled("", Kind.IMAGE, {Task.BOXES: boxes})]
    found = cvat.annotate(function, [b"any"], LABELS, threshold=threshold)[0]
    kept = [box for box in boxes if threshold is None or box["score"] is None or box["score"] >= threshold]
    assert [shape["label"] for shape in found] == [box["label"] for box in kept]
    model.answers = [rejected("", Kind.IMAGE, "it is damaged")]
    assert cvat.annotate(function, [b"any"], LABELS) == [[]]


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[Obedient, Cvat, Listed]]:
    chosen = ServeSettings.of({Kind.IMAGE: "fake"}, device="cpu")
    model = Obedient()
    with (
        listening(cvat_door(local_backend({Kind.IMAGE: model}, chosen), chosen)) as url,
        contextlib.closing(Cvat(url)) as cvat,
    ):
        yield model, cvat, cvat.functions()[0]
