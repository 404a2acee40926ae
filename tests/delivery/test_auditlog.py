"""The audit log: written, cut short by a crash, attacked."""

import datetime
import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import DeliveryError, StorageError
from contract.files import canonical_json, sha256_bytes
from delivery import auditlog, keys
from delivery.auditlog import Deed, append, checkpoint_of, keep_checkpoint, open_checkpoint
from delivery.logcheck import check_log
from delivery.merkle import leaf_hash, root_of

ORIGIN = "goldgate/C-1/audit"
START = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)


def write(path: Path, number: int, *, origin: str = ORIGIN, at: datetime.datetime | None = None) -> auditlog.Appended:
    deed = Deed("import", f"lot a, submission {number}", {"seal": sha256_bytes(bytes([number % 251]))}, {"items": number})
    return append(path, origin, deed, who="anna", at=at or START + datetime.timedelta(minutes=number))


def log_of(folder: Path, entries: int, *, origin: str = ORIGIN) -> Path:
    path = folder / "log.jsonl"
    for number in range(entries):
        write(path, number, origin=origin)
    return path


def test_an_entry_says_who_did_what_to_which_digest(tmp_path: Path) -> None:
    path = log_of(tmp_path, 2)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["before"] == sha256_bytes(b"")
    assert second == {
        "log": ORIGIN,
        "number": 1,
        "time": "2030-01-01T00:01:00Z",
        "who": "anna",
        "action": "import",
        "subject": "lot a, submission 1",
        "digests": {"seal": sha256_bytes(b"\x01")},
        "counts": {"items": 1},
        "before": leaf_hash(canonical_json(first)).hex(),
    }
    found = check_log(path)
    assert (found.entries, found.problems, found.remarks) == (2, [], [])
    assert found.root == root_of([leaf_hash(line) for line in path.read_bytes().splitlines()])


def test_an_empty_log_and_none(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    assert check_log(tmp_path / "log.jsonl").entries == 0
    with pytest.raises(DeliveryError, match="no audit log"):
        check_log(tmp_path / "absent")
    with pytest.raises(DeliveryError, match="no audit log"):
        check_log(tmp_path)


@pytest.mark.parametrize("cut", [1, 2, 100, 400])
def test_a_line_cut_by_a_crash_is_put_aside_and_told(cut: int, tmp_path: Path) -> None:
    path = log_of(tmp_path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    half = lines[2][: min(cut, len(lines[2]) - 1)]
    path.write_bytes(b"".join(lines[:2]) + half)
    assert "not written to its end" in check_log(path).remarks[0]
    appended = write(path, 7)
    assert f"half-written ({len(half)} bytes)" in appended.remarks[0]
    assert (path.parent / "cut-2.txt").read_bytes() == half
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [entry["action"] for entry in entries] == ["import", "import", "log.cut", "import"]
    assert entries[2]["digests"] == {"cut": sha256_bytes(half)}
    assert check_log(path).problems == []


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log_of(tmp_path, 3)
    before, really = path.read_bytes(), os.pwrite

    def half(file: int, data: bytes, offset: int) -> int:
        return really(file, data[: len(data) // 2], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(StorageError, match="no space left"):
        write(path, 3)
    assert path.read_bytes() == before


def test_two_commands_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(path, number, at=START), range(20)))
    found = check_log(path)
    assert (found.entries, found.problems) == (20, [])
    assert len({entry["subject"] for entry in map(json.loads, path.read_bytes().splitlines())}) == 20


def test_the_log_of_another_contract_is_not_added_to(tmp_path: Path) -> None:
    path = log_of(tmp_path, 2, origin="goldgate/C-2/audit")
    before = path.read_bytes()
    with pytest.raises(DeliveryError, match="is not the log goldgate/C-1/audit"):
        write(path, 2)
    assert path.read_bytes() == before


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeliveryError, match="a link"):
        write(tmp_path / "log.jsonl", 0)
    assert (tmp_path / "elsewhere").read_text() == ""


def test_a_clock_set_back_is_told(tmp_path: Path) -> None:
    path = log_of(tmp_path, 2)
    write(path, 2, at=START - datetime.timedelta(days=1))
    found = check_log(path)
    assert found.problems == []
    assert found.remarks == ["entry 2 is dated before entry 1: the clock was set back"]


def test_a_checkpoint_is_a_signed_note(tmp_path: Path) -> None:
    path = log_of(tmp_path, 3)
    keys.make_signing_key(tmp_path / "vendor.key", "vendor.example")
    signer, signatory = keys.read_signer(tmp_path / "vendor.key"), keys.read_signatory(tmp_path / "vendor.pub")
    found, note = keep_checkpoint(path, ORIGIN, signer)
    assert (path.parent / "checkpoints" / "3.txt").read_text() == note
    assert note.startswith(f"{ORIGIN}\n3\n")
    assert open_checkpoint(note, signatory, origin="note") == found == checkpoint_of(path, ORIGIN)
    with pytest.raises(DeliveryError, match="not a checkpoint"):
        open_checkpoint(signer.sign("something else\n"), signatory, origin="note")


# What somebody may do to a log of 8 entries of which a checkpoint over 6 was kept elsewhere.


def relinked(lines: list[bytes]) -> list[bytes]:
    """Number and bind the entries anew, as whoever writes the whole log anew would."""
    leaves: list[bytes] = []
    done = []
    for number, line in enumerate(lines):
        entry = {**json.loads(line), "number": number, "before": root_of(leaves).hex()}
        done.append(canonical_json(entry))
        leaves.append(leaf_hash(done[-1]))
    return done


def edited(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"anna", b"otto") if number == 2 else line for number, line in enumerate(lines)]


ATTACKS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "edit": (edited, "entry 3 does not follow"),
    "insert": (lambda lines: [*lines[:3], lines[3].replace(b"anna", b"otto"), *lines[3:]], "entry 4 does not follow|put in"),
    "insert at the front": (lambda lines: [lines[0], *lines], "put in or moved"),
    "delete": (lambda lines: [*lines[:3], *lines[4:]], "taken out or moved"),
    "delete of the first": (lambda lines: lines[1:], "taken out or moved"),
    "reorder": (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "taken out or moved"),
    "truncation": (lambda lines: lines[:5], "its end was taken away"),
    "truncation to nothing": (lambda _: [], "its end was taken away"),
    "rewrite": (lambda lines: relinked(edited(lines)), "written anew or edited"),
    "rewrite without one": (lambda lines: relinked([*lines[:3], *lines[4:]]), "written anew or edited"),
    "not an entry": (lambda lines: [*lines[:3], b"{}", *lines[4:]], "line 4 is not an entry"),
    "spaces": (lambda lines: [*lines[:3], lines[3].replace(b":", b": ", 1), *lines[4:]], "line 4 is not an entry"),
}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], auditlog.Checkpoint]:
    path = log_of(tmp_path_factory.mktemp("signed"), 6)
    checkpoint = checkpoint_of(path, ORIGIN)
    for number in (6, 7):
        write(path, number)
    return path.read_bytes().splitlines(), checkpoint


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_found_and_named(attack: str, signed: tuple[list[bytes], auditlog.Checkpoint], tmp_path: Path) -> None:
    lines, checkpoint = signed
    change, told = ATTACKS[attack]
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert check_log(path, [("kept", checkpoint)]).problems == []
    path.write_bytes(b"".join(line + b"\n" for line in change(lines)))
    assert re.search(told, "; ".join(check_log(path, [("kept", checkpoint)]).problems))


def test_what_only_a_newer_checkpoint_shows(signed: tuple[list[bytes], auditlog.Checkpoint], tmp_path: Path) -> None:
    """The entries after the newest checkpoint can be written anew: nothing binds them yet."""
    lines, checkpoint = signed
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in [*lines[:7], lines[7].replace(b"anna", b"otto")]))
    assert check_log(path, [("kept", checkpoint)]).problems == []
    newer = auditlog.Checkpoint(ORIGIN, 8, root_of([leaf_hash(line) for line in lines]))
    assert "written anew or edited" in check_log(path, [("newer", newer)]).problems[0]


def test_a_checkpoint_of_another_log(signed: tuple[list[bytes], auditlog.Checkpoint], tmp_path: Path) -> None:
    lines, checkpoint = signed
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    foreign = auditlog.Checkpoint("goldgate/C-2/audit", checkpoint.size, checkpoint.root)
    assert "while the log is that of goldgate/C-1/audit" in check_log(path, [("kept", foreign)]).problems[0]


@settings(max_examples=100)
@given(data=st.data())
def test_any_change_within_what_was_signed_is_found(
    data: st.DataObject,
    signed: tuple[list[bytes], auditlog.Checkpoint],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines, checkpoint = signed
    whole = b"".join(line + b"\n" for line in lines)
    within = sum(len(line) + 1 for line in lines[: checkpoint.size])
    at = data.draw(st.integers(0, within - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "put in", "drop"]))
    changed = {
        "flip": whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :],
        "cut": whole[:at],
        "put in": whole[:at] + data.draw(st.binary(min_size=1, max_size=5)) + whole[at:],
        "drop": whole[:at] + whole[at + 1 :],
    }[how]
    if changed[:within] == whole[:within]:  # a line feed put in before a line feed, for example
        return
    path = tmp_path_factory.mktemp("attacked") / "log.jsonl"
    path.write_bytes(changed)
    assert check_log(path, [("kept", checkpoint)]).problems
