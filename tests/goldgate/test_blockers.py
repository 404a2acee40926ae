"""The ledger of blockers: written once, read whole, and what it does to the deadline."""

import datetime
from pathlib import Path

import pytest

from contract.errors import StageError
from contract.terms import load_terms
from goldgate.blockers import close_blocker, deadline_of, open_blocker, read_blockers

TERMS = load_terms(Path(__file__).resolve().parents[2] / "configs" / "demo.yaml")
ID = TERMS.contract


def at(day: int, hour: int = 12) -> datetime.datetime:
    return datetime.datetime(2030, 1, day, hour, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))


def test_what_the_client_caused_moves_the_deadline(tmp_path: Path) -> None:
    start = datetime.date(2030, 1, 1)
    terms = TERMS.model_copy(update={"deadline": TERMS.deadline.model_copy(update={"start": start, "working_days": 10})})
    assert deadline_of(tmp_path, terms, start) == terms.deadline
    mine = open_blocker(tmp_path, ID, "vendor", "two people are ill", at=at(2))
    theirs = open_blocker(tmp_path, ID, "client", "guideline is late", at=at(3))
    close_blocker(tmp_path, ID, theirs.number, at=at(8))
    still = open_blocker(tmp_path, ID, "client", "raw data are late", at=at(9))
    assert [(each.cause, each.closed) for each in read_blockers(tmp_path, ID)] == [
        ("vendor", None),
        ("client", at(8)),
        ("client", None),
    ]
    assert (mine.number, theirs.number, still.number) == (1, 2, 4)
    # The fourth, seventh and eighth do not count, nor does the tenth, which is today.
    assert terms.deadline.due_date() == datetime.date(2030, 1, 15)
    assert deadline_of(tmp_path, terms, datetime.date(2030, 1, 10)).due_date() == datetime.date(2030, 1, 21)
    log = (tmp_path / ID / "audit" / "log.jsonl").read_text(encoding="utf-8")
    assert log.count('"blocker.opened"') == 3
    assert "guideline is late" not in log


def test_a_blocker_closes_once_and_not_before_it_opened(tmp_path: Path) -> None:
    blocker = open_blocker(tmp_path, ID, "client", "x", at=at(5))
    with pytest.raises(StageError, match="set the clock right"):
        close_blocker(tmp_path, ID, blocker.number, at=at(4))
    close_blocker(tmp_path, ID, blocker.number, at=at(6))
    for number in (blocker.number, 2, 9):
        with pytest.raises(StageError, match=f"blocker {number} is not open; open are none"):
            close_blocker(tmp_path, ID, number, at=at(7))


def test_a_ledger_that_was_changed_is_refused(tmp_path: Path) -> None:
    for day in (2, 3):
        open_blocker(tmp_path, ID, "client", "x", at=at(day))
    first = tmp_path / ID / "blockers" / "0001-opened.json"
    kept = first.read_bytes()
    first.unlink()
    with pytest.raises(StageError, match="entry 1 is missing before it"):
        read_blockers(tmp_path, ID)
    first.write_text("{}")
    with pytest.raises(StageError, match="not an entry of the blockers"):
        read_blockers(tmp_path, ID)
    first.write_bytes(kept)
    assert len(read_blockers(tmp_path, ID)) == 2
