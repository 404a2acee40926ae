"""Key files: made, read, refused."""

import datetime
import stat
from pathlib import Path

import pyrage
import pytest

from contract.errors import DeliveryError
from delivery import keys
from delivery.notes import open_note


def test_a_signing_key_signs_what_its_public_half_opens(tmp_path: Path) -> None:
    path = tmp_path / "vendor.key"
    public = keys.make_signing_key(path, "vendor.example")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signer, signatory = keys.read_signer(path), keys.read_signatory(tmp_path / "vendor.pub")
    assert signer.public == signatory.public == public
    assert open_note(signer.sign("text\n"), signatory.verifier, origin="note") == "text\n"
    assert path.read_text() not in (tmp_path / "vendor.pub").read_text()
    (tmp_path / "short").write_text(public.key)
    assert keys.read_signatory(tmp_path / "short").verifier == signatory.verifier


def test_a_recipient_key_opens_what_was_encrypted_to_it(tmp_path: Path) -> None:
    path = tmp_path / "client.key"
    public = keys.make_recipient_key(path, "client.example")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read = keys.read_recipient(tmp_path / "client.pub")
    sealed = pyrage.encrypt(b"content", [keys.recipient_of(read, origin="key")])
    assert pyrage.decrypt(sealed, [keys.read_identity(path)]) == b"content"
    (tmp_path / "plain.txt").write_text(public.key + "\n")
    assert keys.read_recipient(tmp_path / "plain.txt").key == public.key


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "vendor.key"
    keys.make_signing_key(path, "vendor.example")
    before = path.read_bytes()
    for make in (keys.make_signing_key, keys.make_recipient_key):
        with pytest.raises(DeliveryError, match="exists already"):
            make(path, "vendor.example")
    assert path.read_bytes() == before


def test_the_time_of_a_key(tmp_path: Path) -> None:
    now = keys.now_utc()
    public = keys.make_signing_key(tmp_path / "a.key", "a", expires=now + datetime.timedelta(days=1))
    public.require(now, origin="a.pub")
    with pytest.raises(DeliveryError, match="expired at"):
        public.require(now + datetime.timedelta(days=1), origin="a.pub")
    with pytest.raises(DeliveryError, match="clocks is wrong"):
        public.require(now - datetime.timedelta(days=1), origin="a.pub")


@pytest.mark.parametrize("name", ["", "two words", "a+b", "x" * 101, "名"])
def test_names_that_a_note_cannot_carry(name: str, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="write letters"):
        keys.make_signing_key(tmp_path / "a.key", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("read", [keys.read_signer, keys.read_signatory, keys.read_recipient, keys.read_identity])
def test_the_wrong_file_is_refused_by_name(read: object, tmp_path: Path) -> None:
    keys.make_signing_key(tmp_path / "s.key", "s")
    keys.make_recipient_key(tmp_path / "r.key", "r")
    right = {
        keys.read_signer: "s.key",
        keys.read_signatory: "s.pub",
        keys.read_recipient: "r.pub",
        keys.read_identity: "r.key",
    }
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list").write_text("[]")
    (tmp_path / "age").write_text("age1broken")
    (tmp_path / "identity").write_text("AGE-SECRET-KEY-1BROKEN")
    for path in [*tmp_path.iterdir(), tmp_path / "absent"]:
        if path.name != right[read]:  # type: ignore[index]
            with pytest.raises(DeliveryError, match=path.name):
                read(path)  # type: ignore[operator]


def test_halves_that_do_not_belong_together(tmp_path: Path) -> None:
    one, other = tmp_path / "one.key", tmp_path / "other.key"
    first, second = keys.make_signing_key(one, "one"), keys.make_signing_key(other, "one")
    one.write_text(one.read_text().replace(first.key, second.key))
    with pytest.raises(DeliveryError, match="two halves"):
        keys.read_signer(one)
