"""Sending to a Label Studio project: whatever came before and whatever comes in late, each prediction stands there once."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import EndpointError, FormatError, InputError
from contract.files import canonical_json
from contract.tables import Kind
from goldgate.labelstudioproject import At, Lot, Sending, Sent, at_of, chunks
from serving.peers.labelstudio import LabelStudioProject, TaskFacts
from tests.conftest import free_port, listening
from tests.oracles.labelstudioserver import PERSONAL, TOKEN, Memory


def task(number: int, *versions: str) -> dict[str, Any]:
    data = {"text": f"text {number}", "item": f"t:{number}", "sha256": f"{number:064x}"}
    return {"data": data, "predictions": [{"model_version": each, "score": 0.5, "result": []} for each in versions]}


class Server:
    """The server in memory, and runs of an export into it."""

    def __init__(self, memory: Memory, url: str, folder: Path) -> None:
        self.memory, self.url, self.record = memory, url, folder / "record.json"

    def send(self, tasks: list[dict[str, Any]], *, token: str = TOKEN, lot: Lot | None = None) -> Sent:
        with LabelStudioProject(self.url, 1, token) as project:
            return Sending(project, tasks, self.record, lot).run(Kind.TEXT)

    def assert_once_each(self, tasks: list[dict[str, Any]]) -> None:
        memory = self.memory
        item_of = {number: found["data"]["item"] for number, found in memory.tasks.items()}
        assert Counter(item_of.values()) == {each["data"]["item"]: 1 for each in tasks}
        wanted = [(each["data"]["item"], guess["model_version"]) for each in tasks for guess in each["predictions"]]
        found = [(item_of[each["task"]], each["model_version"]) for each in memory.predictions.values()]
        assert sorted(found) == sorted(wanted)
        items = json.loads(self.record.read_text(encoding="utf-8"))["items"]
        assert {item: each["task"] for item, each in items.items()} == {item: number for number, item in item_of.items()}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    memory = Memory()
    with listening(memory.app()) as url:
        yield Server(memory, url, tmp_path)


TASKS = [task(number, *(("m@1",) if number % 3 else ())) for number in range(7)]


def test_a_second_run_sends_nothing(server: Server) -> None:
    sent = server.send(TASKS)
    assert (sent.tasks, sent.predictions, sent.removed) == (7, 4, 0)
    server.assert_once_each(TASKS)
    assert server.send(TASKS) == Sent(Kind.TEXT, 7)
    newer = [task(number, "m@1", "m,@2") for number in range(7)]
    assert server.send(newer).predictions == 3 + 7
    assert server.send(newer).predictions == 0
    server.assert_once_each(newer)


def test_tasks_and_predictions_that_come_in_late_are_taken_out(server: Server) -> None:
    def late(memory: Memory, what: str) -> None:
        if what == "tasks":
            memory.add_task(task(3)["data"])
        else:
            memory.add_prediction(next(iter(memory.predictions.values())))

    server.memory.late = late
    assert server.send(TASKS).removed == 2
    server.assert_once_each(TASKS)


def test_a_task_that_somebody_works_on_is_never_removed(server: Server) -> None:
    def late(memory: Memory, what: str) -> None:
        if what == "tasks":
            memory.add_task(task(3)["data"], annotations=1)

    server.memory.late = late
    with pytest.raises(FormatError, match=r"item 't:3' stands in tasks \d+ and \d+; remove one of them"):
        server.send(TASKS)
    assert not any(call.startswith("DELETE") for call in server.memory.calls)


def test_tasks_of_others_are_joined_by_hash_or_left_alone(server: Server) -> None:
    server.memory.add_task({"text": "text 1", "sha256": f"{1:064x}"})
    server.memory.add_task({"text": "a stranger"})
    server.memory.add_task({"item": 3, "sha256": None})
    sent = server.send([task(0, "m@1"), task(1, "m@1")])
    assert (sent.tasks, sent.predictions) == (1, 2)
    assert len(server.memory.tasks) == 4


def test_predictions_of_others_that_stand_twice_stay(server: Server) -> None:
    number = server.memory.add_task(task(1)["data"])
    for _ in range(2):
        server.memory.add_prediction({"task": number, "model_version": "a backend's", "result": []})
    sent = server.send([task(1, "m@1")])
    assert (sent.predictions, sent.removed) == (1, 0)
    found = Counter(each["model_version"] for each in server.memory.predictions.values())
    assert found == {"a backend's": 2, "m@1": 1}


def test_predictions_that_the_server_drops_without_a_word_are_told(server: Server) -> None:
    server.memory.drops = lambda prediction: prediction["task"] == max(server.memory.tasks)
    with pytest.raises(EndpointError, match=r"of 4 predictions .* 1 do not stand there, such as that of item 't:5'"):
        server.send(TASKS[:6])
    server.memory.drops = lambda prediction: False
    assert server.send(TASKS[:6]).predictions == 1
    server.assert_once_each(TASKS[:6])


def test_nobody_who_labels_blind_is_shown_a_prediction(server: Server) -> None:
    server.send([task(1, "m@1"), task(2)])
    lot = Lot(frozenset({"t:1", "t:2"}), blind=True)
    with pytest.raises(FormatError, match=r"task \d+ shows predictions for item 't:1', which is to be labelled blind"):
        server.send([task(1), task(2)], lot=lot)
    assert server.send([task(2)], lot=lot) == Sent(Kind.TEXT, 1)
    assert server.send([task(1, "m@1"), task(3)], lot=lot).tasks == 1


def test_items_of_equal_content_keep_their_own_tasks(server: Server) -> None:
    one, two = task(1, "m@1"), task(2, "m@1")
    two["data"]["sha256"] = one["data"]["sha256"]
    lot = Lot(frozenset({"t:1", "t:2"}))
    assert server.send([one], lot=lot).tasks == 1
    assert server.send([two], lot=lot).tasks == 1
    assert server.send([one], lot=lot) == Sent(Kind.TEXT, 1)
    assert sorted(each["data"]["item"] for each in server.memory.tasks.values()) == ["t:1", "t:2"]
    assert len(server.memory.predictions) == 2
    three = task(3)  # a name that the lot has not, as of an earlier intake: the item by its content
    server.memory.add_task({**three["data"], "item": "before"})
    assert server.send([three], lot=Lot(frozenset({"t:3"}))).tasks == 0


def test_two_tasks_of_an_item_from_before_are_told(server: Server) -> None:
    for _ in range(2):
        server.memory.add_task(task(1)["data"])
    with pytest.raises(FormatError, match="item 't:1' stands in tasks 1 and 2"):
        server.send(TASKS)


def test_other_content_under_the_same_name_is_told(server: Server) -> None:
    server.memory.add_task({**task(1)["data"], "sha256": "f" * 64})
    with pytest.raises(FormatError, match="task 1 holds item 't:1' with other content"):
        server.send(TASKS)
    assert len(server.memory.tasks) == 1


def test_an_edition_that_imports_and_exports_in_the_background(server: Server) -> None:
    server.memory.in_background = True
    server.send(TASKS)
    server.assert_once_each(TASKS)
    with LabelStudioProject(server.url, 1, TOKEN) as project:
        assert len(json.loads(project.snapshot())) == 7
    assert server.memory.calls[-1] == "DELETE /api/projects/1/exports/3"
    server.memory.outcome = "failed"
    with LabelStudioProject(server.url, 1, TOKEN) as project, pytest.raises(EndpointError, match=r"the snapshot .* failed"):
        project.snapshot()
    assert server.memory.calls[-1] == "DELETE /api/projects/1/exports/3"


def test_a_personal_token_is_exchanged_again_when_it_runs_out(server: Server) -> None:
    server.memory.access_lives = 3
    server.send(TASKS, token=PERSONAL)
    server.assert_once_each(TASKS)
    assert server.memory.refreshed > 1
    calls = len(server.memory.calls)
    with pytest.raises(InputError, match="the token is not taken"):
        server.send(TASKS, token=f"{PERSONAL}x")
    assert len(server.memory.calls) == calls + 2


def test_refusals_are_one_sentence(server: Server, tmp_path: Path) -> None:
    with LabelStudioProject(server.url, 2, TOKEN) as project, pytest.raises(InputError, match="there is no project 2"):
        project.label_config()
    with (
        LabelStudioProject(f"{server.url}/elsewhere", 1, TOKEN) as project,
        pytest.raises(EndpointError, match="refuses GET"),
    ):
        list(project.tasks())
    nobody = f"http://127.0.0.1:{free_port()}"
    with LabelStudioProject(nobody, 1, TOKEN) as project, pytest.raises(EndpointError, match="does not answer"):
        project.label_config()
    for url in ("localhost:8080", "ftp://x", "http://"):
        with pytest.raises(InputError, match="not an http or https address"):
            LabelStudioProject(url, 1, TOKEN)


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="over the API of labelstudio alone"):
        at_of("http://x", 1, "T", None, format_name="coco")
    with pytest.raises(InputError, match="give the number of the project"):
        at_of("http://x", None, "T", None, format_name="labelstudio")
    assert At("https://LS.example.org:8080/tool/", 3, "T").key == "labelstudio-ls.example.org-8080-tool-3"
    assert (
        At("http://x", 3, "T", "/data/local-files/?d=a/").address("b/图 1.png")
        == "/data/local-files/?d=a/b/%E5%9B%BE%201.png"
    )


def test_a_version_with_a_comma_is_found() -> None:
    facts = TaskFacts(1, None, None, 0, 2, ("a", "b@1"))
    assert facts.has("a,b@1")
    assert facts.has("b@1")
    assert not facts.has("b")
    assert not facts.has("a,b")


@settings(max_examples=100)
@given(st.lists(st.text(max_size=12), max_size=30), st.integers(1, 5), st.integers(1, 40))
def test_chunks_hold_everything_in_order_and_no_more_than_allowed(things: list[str], most: int, most_bytes: int) -> None:
    pieces = list(chunks(things, most=most, most_bytes=most_bytes))
    assert [thing for piece in pieces for thing in piece] == things
    for piece in pieces:
        assert 1 <= len(piece) <= most
        assert len(piece) == 1 or sum(len(canonical_json(thing)) for thing in piece) <= most_bytes
    for one, two in itertools.pairwise(pieces):  # none could have been larger
        assert len(one) == most or sum(len(canonical_json(thing)) for thing in [*one, two[0]]) > most_bytes
