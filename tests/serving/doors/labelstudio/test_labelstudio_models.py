"""The Label Studio door before models that are busy, late, broken or absent."""

import asyncio
import threading
from collections.abc import Sequence
from typing import cast

import pyarrow as pa

from contract.predictor import Description, Source
from contract.tables import Kind
from serving.backend import Row
from serving.http.problems import MODEL_RAISED, ProblemError
from tests.serving.doors.labelstudio.asking import (
    CONFIGS,
    FAKES,
    Door,
    asked,
    results,
    task,
)


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
