"""The files of a lot's life give themselves away when touched."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import InputError, StageError
from contract.files import sha256_json
from contract.life.files import append, read_history
from contract.life.state import Life, Rules, rules_of
from contract.terms import load_terms
from contract.workfolder import LotFolder
from tests.contract.stories import NOON, SHA, Story, rules

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def on_disk(tmp_path: Path) -> tuple[LotFolder, Rules]:
    lot, by = LotFolder(tmp_path / "week-1"), rules()
    told = Story()
    told.commit("client").commit("vendor").seal().draw().gold().judge("EXTEND").extend()
    for event, _ in told.events:
        details = event.model_dump(exclude={"event", "number", "time", "who", "previous_sha256"})
        append(lot, event.event, details, who=event.who, rules=by, at=event.time)
    assert read_history(lot, by).life == told.life
    return lot, by


def test_files_are_named_by_number_and_step(tmp_path: Path) -> None:
    lot, by = on_disk(tmp_path)
    names = sorted(path.name for path in lot.life.iterdir())
    assert names[:4] == ["0001-committed.json", "0002-committed.json", "0003-sealed.json", "0004-checked.json"]
    with pytest.raises(StageError, match="does not follow"):
        append(lot, "settled", {"verdict": 1, "statement": 1, "statement_sha256": SHA}, who="client", rules=by, at=NOON)
    assert sorted(path.name for path in lot.life.iterdir()) == names


def test_a_lot_without_events_is_open(tmp_path: Path) -> None:
    assert read_history(LotFolder(tmp_path / "none"), rules_of(load_terms(CONFIGS / "demo.yaml"))).life == Life()


@pytest.mark.parametrize("number", range(8))
def test_every_touched_file_is_found(tmp_path: Path, number: int) -> None:
    lot, by = on_disk(tmp_path)
    path = sorted(lot.life.iterdir())[number]
    document = json.loads(path.read_text(encoding="utf-8"))
    edited = {**document, "event": {**document["event"], "who": "client" if number > 1 else "arbiter"}}
    path.write_text(json.dumps(edited), encoding="utf-8")
    with pytest.raises(StageError, match="was changed since it was written"):
        read_history(lot, by)
    forged = {**edited, "sha256": sha256_json(edited["event"])}
    path.write_text(json.dumps(forged), encoding="utf-8")
    if number < 7:  # of the newest event only its digest, which the parties note, can tell
        with pytest.raises(StageError, match="does not follow the event before it"):
            read_history(lot, by)
    path.unlink()
    if number < 7:
        with pytest.raises(StageError, match=f"event {number + 1} is missing"):
            read_history(lot, by)


def test_files_that_changed_places_are_found(tmp_path: Path) -> None:
    lot, by = on_disk(tmp_path)
    first, second = sorted(lot.life.iterdir())[:2]
    shutil.move(first, tmp_path / "kept")
    shutil.move(second, first)
    shutil.move(tmp_path / "kept", second)
    with pytest.raises(StageError, match="missing"):
        read_history(lot, by)


@pytest.mark.parametrize("content", ["{}", "[]", '{"event": {"event": "born"}, "sha256": ""}', "1"])
def test_what_is_no_event_is_one_sentence(tmp_path: Path, content: str) -> None:
    lot, by = on_disk(tmp_path)
    sorted(lot.life.iterdir())[2].write_text(content, encoding="utf-8")
    with pytest.raises(StageError, match=r"0003-sealed\.json: not an event"):
        read_history(lot, by)


@given(st.integers(0, 7), st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=3))
@settings(max_examples=80, deadline=None)
def test_any_damage_is_one_sentence_or_none(number: int, where: float, bytes_: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lot, by = on_disk(Path(folder))
        life = read_history(lot, by).life
        path = sorted(lot.life.iterdir())[number]
        data = path.read_bytes()
        at = int(where * len(data))
        path.write_bytes(data[:at] + bytes_ + data[at + 1 :])
        try:
            found = read_history(lot, by).life
        except InputError as error:
            found, said = None, str(error)
            damaged = path.name in said and "\n" not in said
        else:
            damaged = False
        # White space between the fields may change and means nothing.
        assert damaged or found == life
