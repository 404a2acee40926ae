"""Annotations that webhooks bring: kept once, in any order, and sealed as people left them."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import FormatError, StageError
from contract.tables import Task
from contract.workfolder import LotFolder
from goldgate.inbox import FileInbox, collect
from prelabel.handoff import read_sealed
from serving.inbox import Finished, Place
from tests.e2e.conftest import Cli, cli, raw

__all__ = ["cli", "raw"]

PLACE = Place("DEMO-2025", "made", "submission")


def region(label: str = "star") -> dict[str, Any]:
    value = {"x": 10, "y": 10, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": [label]}
    return {"id": "r", "type": "rectanglelabels", "from_name": "boxes", "to_name": "image", "value": value}


def finished(annotation: int = 1, *, task: int = 1, at: str = "2030-01-01T10:00:00Z", **more: Any) -> Finished:
    data = more.pop("data", {"item": f"{task:02d}.png", "image": "/data/x.png"})
    document = {"id": annotation, "task": task, "result": [region()], "updated_at": at, "completed_by": 3, **more}
    return Finished(more.pop("project", 7), task, annotation, data, document)


@pytest.fixture
def lot(tmp_path: Path) -> LotFolder:
    """A lot by its receipt alone: what stands in the inbox is read only when it is sealed."""
    folder = LotFolder(tmp_path / "work" / "DEMO-2025" / "lots" / "made")
    folder.root.mkdir(parents=True)
    folder.receipt.write_text("{}")
    return folder


@pytest.fixture
def inbox(lot: LotFolder, tmp_path: Path) -> FileInbox:
    return FileInbox(tmp_path / "work")


def tasks(lot: LotFolder) -> list[dict[str, Any]]:
    return list(json.loads(collect(lot, "submission").read_text()))


def test_the_same_event_twice_is_one_file(lot: LotFolder, inbox: FileInbox) -> None:
    assert inbox.keep(PLACE, finished()) is True
    before = {path: path.read_bytes() for path in lot.inbox.rglob("*.json")}
    assert inbox.keep(PLACE, finished()) is False
    assert {path: path.read_bytes() for path in lot.inbox.rglob("*.json")} == before
    (path,) = before
    assert path.name == "7-1-20300101T100000000000Z.json"


def test_events_at_once(lot: LotFolder, inbox: FileInbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(lambda number: inbox.keep(PLACE, finished(number % 4, task=number % 4)), range(40)))
    assert sum(new) == 4
    assert len(tasks(lot)) == 4


def test_nothing_of_the_content_or_the_person_is_kept(lot: LotFolder, inbox: FileInbox) -> None:
    who = {"id": 3, "email": "ann@example.org", "first_name": "Ann"}
    data = {
        "item": "a",
        "text": "private words",
        "image": "data:image/png;base64,AAAA",
        "video": "https://x/v.mp4",
        "note": "secret",
    }
    inbox.keep(PLACE, finished(data=data, completed_by=who, unique_id="x"))
    (path,) = lot.inbox.rglob("*.json")
    kept = json.loads(path.read_text())
    assert kept["data"] == {"item": "a", "video": "https://x/v.mp4"}
    assert kept["annotation"]["completed_by"] == 3
    assert "ann@" not in path.read_text()


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2030-01-01T10:00:00Z", "2030-01-01T10:00:00.500000Z"),
        ("2030-01-01T10:00:00.500000Z", "2030-01-01T10:00:01Z"),
        ("2030-01-01T12:30:00+02:00", "2030-01-01T11:00:00Z"),
    ],
)
def test_the_newest_state_counts_in_whatever_order_it_comes(
    lot: LotFolder, inbox: FileInbox, older: str, newer: str
) -> None:
    inbox.keep(PLACE, finished(at=newer, result=[region("square")]))
    inbox.keep(PLACE, finished(at=older, result=[region("star")]))
    (task,) = tasks(lot)
    (annotation,) = task["annotations"]
    assert annotation["result"] == [region("square")]


def test_what_was_deleted_does_not_count_even_if_it_comes_later(lot: LotFolder, inbox: FileInbox) -> None:
    inbox.keep(PLACE, finished(1))
    inbox.keep(PLACE, finished(2, task=2))
    assert inbox.drop(PLACE, 7, 1) is True
    assert inbox.drop(PLACE, 7, 3) is False
    inbox.keep(PLACE, finished(3, task=3))
    assert [task["id"] for task in tasks(lot)] == [2]
    inbox.drop(PLACE, 8, 2)  # another project's annotation of that number
    assert [task["id"] for task in tasks(lot)] == [2]


def test_the_task_s_own_lot_goes_first(lot: LotFolder, inbox: FileInbox) -> None:
    other = LotFolder(lot.root.with_name("other"))
    other.root.mkdir()
    other.receipt.write_text("{}")
    nowhere = Place("DEMO-2025", None, "gold")
    inbox.keep(nowhere, finished(data={"item": "a", "lot": "other"}))
    inbox.keep(PLACE, finished(2, data={"item": "a", "lot": "other"}))
    assert not lot.inbox.exists()
    assert sorted(path.parent.name for path in other.inbox.rglob("*.json")) == ["gold", "submission"]
    with pytest.raises(StageError, match="neither the task's data nor the settings name a lot"):
        inbox.keep(nowhere, finished())
    assert inbox.drop(nowhere, 7, 1) is True
    with pytest.raises(StageError, match="no annotation stands there"):
        collect(other, "gold")


@pytest.mark.parametrize("name", ["absent", "../made", "..", "", "a/b", 3])
def test_lots_that_are_none(lot: LotFolder, inbox: FileInbox, name: Any) -> None:
    with pytest.raises(StageError):
        inbox.keep(Place("DEMO-2025", None, "submission"), finished(data={"lot": name}))
    assert not lot.inbox.exists()


@pytest.mark.parametrize("result", [None, {}, "x"])
def test_an_annotation_without_a_result_is_refused(lot: LotFolder, inbox: FileInbox, result: Any) -> None:
    with pytest.raises(FormatError, match="annotation 1 has no result"):
        inbox.keep(PLACE, finished(result=result))


@pytest.mark.parametrize("at", ["", "yesterday", None, 12, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_still_tells_one_state_from_another(lot: LotFolder, inbox: FileInbox, at: Any) -> None:
    assert inbox.keep(PLACE, finished(at=at)) is True
    assert inbox.keep(PLACE, finished(at=at)) is False
    assert inbox.keep(PLACE, finished(at=at, result=[])) is True
    assert len(tasks(lot)) == 1


def test_rework_in_a_new_project_takes_the_place_of_the_old(lot: LotFolder, inbox: FileInbox) -> None:
    data = {"item": "a"}
    inbox.keep(PLACE, finished(1, data=data, at="2030-01-01T10:00:00Z"))
    again = finished(9, task=30, data=data, at="2030-01-05T10:00:00Z")
    inbox.keep(PLACE, Finished(8, again.task, again.annotation, again.data, again.document))
    (task,) = tasks(lot)
    assert (task["project"], task["id"]) == (8, 30)


EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans()), max_size=8, unique_by=lambda each: each[:2]
)


@settings(max_examples=60)
@given(EVENTS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(events: list[tuple[int, int, bool]], random: Any) -> None:
    """(annotation, hour, deleted then): what is left is what a list of the newest says."""
    left: dict[int, int] = {}
    for annotation, hour, _ in events:
        left[annotation] = max(hour, left.get(annotation, 0))
    for annotation in {annotation for annotation, _, gone in events if gone}:
        del left[annotation]
    shuffled = [*events, *events]
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as work:
        folder = LotFolder(Path(work) / "DEMO-2025" / "lots" / "made")
        folder.root.mkdir(parents=True)
        folder.receipt.write_text("{}")
        inbox = FileInbox(Path(work))
        for annotation, hour, gone in shuffled:
            inbox.keep(PLACE, finished(annotation, task=annotation, at=f"2030-01-01T{hour:02d}:00:00Z", lead_time=hour))
            if gone:
                inbox.drop(PLACE, 7, annotation)
        if not left:
            with pytest.raises(StageError):
                collect(folder, "submission")
            return
        found = {task["id"]: task["annotations"][0]["lead_time"] for task in tasks(folder)}
        assert found == left


def test_the_command_seals_what_stands_there(cli: Cli, raw: Path) -> None:
    assert cli.on_lot("intake", raw) == 0
    inbox = FileInbox(cli.work)
    items = sorted(path.name for path in raw.glob("[0-9]*.png"))
    for number, item in enumerate(items):
        inbox.keep(PLACE, finished(number, task=number, data={"item": item}, was_cancelled=number == 5))
    words = ("--format", "labelstudio", "--from-inbox", "--json")
    assert cli.on_lot("import", *words, "--as", "submission") == 0, cli.err
    receipt = cli.json()
    assert (receipt["number"], receipt["items"], receipt["labels"]) == (1, 40, {"boxes": 39})
    (origin,) = receipt["origins"]
    assert Path(origin).exists()
    assert receipt["origins"][origin]
    sealed = read_sealed(LotFolder(cli.work / "DEMO-2025" / "lots" / "made"), "submission").labels
    assert {row["source"] for row in sealed.table(Task.BOXES).to_pylist()} == {"annotator-3"}
    assert cli.on_lot("import", *words, "--as", "gold") == 2
    assert "no annotation stands there" in cli.err


def test_texts_of_a_project_made_by_hand_are_known_by_their_content(cli: Cli, raw: Path) -> None:
    assert cli.on_lot("intake", raw) == 0
    choice = {"id": "c", "type": "choices", "from_name": "mood", "to_name": "t", "value": {"choices": ["positive"]}}
    inbox = FileInbox(cli.work)
    for number in range(40):
        inbox.keep(PLACE, finished(number, task=number, data={"text": f"第 {number} 条评论, 不错"}, result=[choice]))
    assert cli.on_lot("import", "--format", "labelstudio", "--from-inbox", "--as", "gold", "--json") == 2
    assert cli.on_lot("import", "--format", "labelstudio", "--from-inbox", "--as", "submission", "--json") == 0, cli.err
    assert cli.json()["labels"] == {"sentiments": 40}
    assert "评论" not in "".join(path.read_text() for path in cli.work.rglob("inbox/**/*.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "labelstudio", "--as", "submission"), "name the review tool's export, or give --from-inbox"),
        (("--format", "coco", "--as", "submission", "--from-inbox"), "goes with --format labelstudio"),
        (("--format", "labelstudio", "--as", "review", "--from-inbox"), "--as submission or gold"),
        (("--format", "labelstudio", "--as", "gold", "--from-inbox", "x.json"), "takes no files"),
    ],
)
def test_words_that_do_not_go_together(cli: Cli, raw: Path, words: tuple[str, ...], said: str) -> None:
    assert cli.on_lot("intake", raw) == 0
    assert cli.on_lot("import", *words) == 2
    assert said in cli.err
