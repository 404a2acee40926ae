"""Signed notes against the example of Go's package sumdb/note, and against changes."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import DeliveryError
from delivery.notes import Verifier, open_note, parse_verifier, sign_note

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT + "\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MINE = Verifier("vendor.example", KEY.public_key().public_bytes_raw())


def test_the_example_of_go() -> None:
    verifier = parse_verifier(GO_KEY, origin="key")
    assert str(verifier) == GO_KEY
    assert open_note(GO_NOTE, verifier, origin="note") == GO_TEXT


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80).map(lambda text: text + "\n"))
def test_what_is_signed_opens(text: str) -> None:
    note = sign_note(text, MINE.name, KEY)
    assert open_note(note, MINE, origin="note") == text
    assert parse_verifier(f"{MINE}\n", origin="key") == MINE


@settings(max_examples=100)
@given(st.integers(0, len(GO_NOTE) - 1), st.sampled_from("aZ9+\n— "))
def test_a_changed_note_does_not_open(at: int, character: str) -> None:
    changed = GO_NOTE[:at] + character + GO_NOTE[at + 1 :]
    if changed != GO_NOTE:
        with pytest.raises(DeliveryError):
            open_note(changed, parse_verifier(GO_KEY, origin="key"), origin="note")


def test_several_signatures_and_a_foreign_one() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    theirs = Verifier("client.example", other.public_key().public_bytes_raw())
    line = sign_note("text\n", theirs.name, other).splitlines()[-1]
    both = sign_note("text\n", MINE.name, KEY) + line + "\n"
    assert open_note(both, MINE, origin="note") == open_note(both, theirs, origin="note") == "text\n"
    with pytest.raises(DeliveryError, match=r"signed by vendor\.example with another key than that of client\.example"):
        open_note(sign_note("text\n", MINE.name, KEY), theirs, origin="note")
    same_name = Verifier(MINE.name, theirs.public)
    with pytest.raises(DeliveryError, match="with another key"):
        open_note(sign_note("text\n", MINE.name, KEY), same_name, origin="note")


@pytest.mark.parametrize("text", ["", "name", "a+b+c", GO_KEY.replace("c74f", "c74e"), GO_KEY[:-2], "x y" + GO_KEY])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(DeliveryError, match=r"^key: "):
        parse_verifier(text, origin="key")
