"""Webhooks in the shapes of Label Studio: what is kept, what is dropped, what is answered."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import StageError, StorageError
from contract.formats.labelstudio.config import label_config
from contract.tables import Kind
from models.fake import FakePredictor
from serving.config import ModelSettings, ServeSettings
from serving.doors.labelstudio.door import labelstudio_door
from serving.doors.labelstudio.settings import LabelStudioSettings, LotOfProject
from serving.inbox import Finished, Place
from serving.lanes import local_backend
from tests.conftest import listening
from tests.oracles.lots import GUIDELINE

CONFIG = label_config(Kind.TEXT, GUIDELINE).decode()
LOTS = (
    LotOfProject(project=42, contract="C", lot="l"),
    LotOfProject.model_validate({"project": "the gold", "contract": "C", "as": "gold"}),
)
SETTINGS = ServeSettings(models={Kind.TEXT: ModelSettings(name="fake")}, labelstudio=LabelStudioSettings(lots=LOTS))


class Remembering:
    """An inbox that keeps its annotations in memory."""

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: list[tuple[Place, Finished]] = []
        self.dropped: list[tuple[Place, int, int]] = []
        self._error = error

    def keep(self, place: Place, finished: Finished) -> bool:
        if self._error:
            raise self._error
        new = all(each.annotation != finished.annotation for _, each in self.kept)
        self.kept.append((place, finished))
        return new

    def drop(self, place: Place, project: int, annotation: int) -> bool:
        self.dropped.append((place, project, annotation))
        return any(each.annotation == annotation for _, each in self.kept)


def opened(listen: Callable[[Any], str], inbox: Remembering | None) -> Callable[[Any], httpx.Response]:
    backend = local_backend({Kind.TEXT: FakePredictor(Kind.TEXT)}, SETTINGS)
    url = listen(labelstudio_door(backend, SETTINGS, inbox))

    def post(body: Any) -> httpx.Response:
        return httpx.post(f"{url}/webhook", json=body, trust_env=False)

    return post


def event(action: str = "ANNOTATION_CREATED", **changes: Any) -> dict[str, Any]:
    body = {
        "action": action,
        "project": {"id": 42, "label_config": "<View/>", "title": "other"},
        "task": {"id": 427616, "project": 42, "data": {"item": "a"}},
        "annotation": {"id": 1478, "task": 427616, "project": 42, "result": []},
    }
    return body | changes


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"])
def test_a_finished_annotation_is_kept(listen: Callable[[Any], str], action: str) -> None:
    inbox = Remembering()
    post = opened(listen, inbox)
    answer = post(event(action))
    assert (answer.status_code, answer.json()) == (201, {"result": {"kept": 1, "known": 0}, "status": "ok"})
    ((place, finished),) = inbox.kept
    assert place == Place("C", "l", "submission")
    assert (finished.project, finished.task, finished.annotation) == (42, 427616, 1478)
    assert (finished.data, finished.document) == ({"item": "a"}, event()["annotation"])
    assert post(event(action)).json()["result"] == {"kept": 0, "known": 1}


def test_several_at_once(listen: Callable[[Any], str]) -> None:
    inbox = Remembering()
    tasks = [{"id": number, "data": {"item": str(number)}} for number in range(3)]
    annotations: list[dict[str, Any]] = [{"id": 10 + number, "task": number, "result": []} for number in (2, 0, 1)]
    answer = opened(listen, inbox)(event("ANNOTATIONS_CREATED", task=tasks, annotation=annotations))
    assert answer.json()["result"] == {"kept": 3, "known": 0}
    assert [(each.task, each.data["item"]) for _, each in inbox.kept] == [(2, "2"), (0, "0"), (1, "1")]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "ANNOTATIONS_DELETED", "project": {"id": 42}, "annotations": [{"id": 1478}, {"id": 9}]},
        {"action": "ANNOTATION_DELETED", "project": {"id": 42}, "annotation": [{"id": 1478}, {"id": 9}]},
    ],
)
def test_deletions(listen: Callable[[Any], str], body: dict[str, Any]) -> None:
    inbox = Remembering()
    post = opened(listen, inbox)
    post(event())
    answer = post(body)
    assert (answer.status_code, answer.json()["result"]) == (201, {"deleted": 1, "unknown": 1})
    assert [(project, annotation) for _, project, annotation in inbox.dropped] == [(42, 1478), (42, 9)]


def test_a_project_by_its_title(listen: Callable[[Any], str]) -> None:
    inbox = Remembering()
    opened(listen, inbox)(event(project={"id": 1, "title": "the gold"}))
    assert inbox.kept[0][0] == Place("C", None, "gold")


@pytest.mark.parametrize("action", ["START_TRAINING", "TASKS_CREATED", "PROJECT_UPDATED", "", None, 3, ["x"], {}])
def test_other_events(listen: Callable[[Any], str], action: Any) -> None:
    answer = opened(listen, Remembering())(event(action))
    assert (answer.status_code, answer.json()) == (200, {"status": "Unknown event"})


def test_a_project_without_a_lot(listen: Callable[[Any], str]) -> None:
    inbox = Remembering()
    answer = opened(listen, inbox)(event(project={"id": 43}))
    assert (answer.status_code, answer.json()["status"], inbox.kept) == (200, "Not kept", [])
    assert opened(listen, None)(event()).json()["status"] == "Not kept"


@pytest.mark.parametrize(
    "changes",
    [
        {"project": None}, {"project": "x"}, {"project": {"id": True}}, {"project": {"id": -1}},
        {"task": None}, {"task": {"id": 1}}, {"annotation": None}, {"annotation": []}, {"annotation": [1]},
        {"annotation": {"id": 1, "task": 5}}, {"annotation": {"id": "1", "task": 427616}},
        {"annotation": {"id": 1, "task": {}}}, {"annotation": {"id": 1 << 80, "task": 427616}},
    ],
)  # fmt: skip
def test_events_that_lack_what_they_are_about(listen: Callable[[Any], str], changes: dict[str, Any]) -> None:
    inbox = Remembering()
    answer = opened(listen, inbox)(event(**changes))
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert inbox.kept == []


@pytest.mark.parametrize(
    ("error", "status"), [(StageError("there is no such lot"), 422), (StorageError("the disk is full"), 507)]
)
def test_what_cannot_be_kept_is_not_answered_as_kept(listen: Callable[[Any], str], error: Exception, status: int) -> None:
    answer = opened(listen, Remembering(error))(event())
    assert (answer.status_code, answer.json()["detail"]) == (status, str(error))


@pytest.fixture(scope="module")
def door() -> Iterator[httpx.Client]:
    backend = local_backend({Kind.TEXT: FakePredictor(Kind.TEXT)}, SETTINGS)
    app = labelstudio_door(backend, SETTINGS, Remembering())
    with listening(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = {
    "action": st.sampled_from(["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"]) | JSON,
    "project": JSON | st.just({"id": 42}) | st.just("42.1"),
    "task": JSON | st.fixed_dictionaries({"id": JSON, "data": JSON}),
    "annotation": JSON | st.fixed_dictionaries({"id": JSON | st.integers(0, 9), "task": JSON, "result": JSON}),
    "annotations": JSON,
    "tasks": JSON
    | st.lists(st.fixed_dictionaries({"id": JSON, "data": JSON | st.fixed_dictionaries({"text": JSON})}), max_size=3),
    "schema": JSON | st.just(CONFIG),
    "label_config": JSON | st.just(CONFIG),
    "hostname": JSON | st.sampled_from(["http://[", "http://a:b", "//"]),
    "access_token": JSON,
    "params": JSON | st.fixed_dictionaries({"hostname": JSON, "context": JSON}),
}


@settings(max_examples=100)
@given(path=st.sampled_from(["/predict", "/setup", "/webhook"]), body=st.fixed_dictionaries({}, optional=FIELDS))
def test_no_body_is_our_fault(door: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = door.post(path, json=body)
    assert answer.status_code in (200, 201, 422), answer.text
    if path == "/predict" and answer.status_code == 200:
        assert len(answer.json()["results"]) == len(body["tasks"])
