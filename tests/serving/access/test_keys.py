"""Keys in a file: shown once, stored as digests, noticed when they change."""

import datetime
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import InputError
from serving.access.keys import KeyRing, Scope, add_key, now_utc, read_keys, revoke_key


def secret_of(token: str) -> str:
    return token.split("_", 2)[2]


def test_a_key_is_found_by_its_token_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, token = add_key(path, "studio", [Scope.PREDICT, Scope.SCORE])
    other, other_token = add_key(path, "ops", [Scope.ADMIN])
    ring = KeyRing(path)
    assert ring.find(token) == key
    assert ring.find(other_token) == other
    swapped = f"gg_{key.id}_{secret_of(other_token)}"
    unknown = f"gg_{'0' * 12}_{secret_of(token)}"
    for wrong in ("", "gg", token[:-1], token + "a", token.upper(), swapped, unknown):
        assert ring.find(wrong) is None


@given(text=st.text(max_size=80))
def test_no_other_text_is_a_key(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "generated-keys.json"
    if not path.exists():
        add_key(path, "a", [Scope.PREDICT])
    assert KeyRing(path).find(text) is None


def test_the_file_holds_no_token_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, token = add_key(path, "studio", [Scope.PREDICT])
    written = path.read_text(encoding="utf-8")
    assert token not in written
    assert secret_of(token) not in written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    add_key(path, "more", [Scope.JOBS])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_scopes_and_expiry(tmp_path: Path) -> None:
    now = now_utc()
    key, _ = add_key(tmp_path / "k", "a", [Scope.JOBS, Scope.JOBS], expires=now + datetime.timedelta(hours=1))
    assert key.scopes == (Scope.JOBS,)
    assert key.may(Scope.JOBS)
    assert not key.may(Scope.PREDICT)
    assert not key.expired(now)
    assert key.expired(now + datetime.timedelta(hours=1))
    ops, _ = add_key(tmp_path / "k", "ops", [Scope.ADMIN])
    assert all(ops.may(scope) for scope in Scope)
    assert not ops.expired(now + datetime.timedelta(days=36500))


def test_a_ring_follows_its_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, first = add_key(path, "first", [Scope.PREDICT])
    ring = KeyRing(path)
    _, second = add_key(path, "second", [Scope.PREDICT])
    assert ring.find(second) is not None
    revoke_key(path, "first")
    assert ring.find(first) is None
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError):
        ring.find(second)
    with pytest.raises(InputError):
        ring.find(second)  # a broken file lets nobody in, however often it is asked
    os.remove(path)  # noqa: PTH107
    assert ring.find(second) is None


def test_bad_files_names_and_limits_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "a", [Scope.PREDICT])
    for name, sentence in (("a", "named 'a' already"), ("", "name: "), ("a b", "name: "), ("../x", "name: ")):
        with pytest.raises(InputError, match=sentence):
            add_key(path, name, [Scope.PREDICT])
    with pytest.raises(InputError, match="scopes: "):
        add_key(path, "b", [])
    with pytest.raises(InputError, match="rate_per_s: "):
        add_key(path, "b", [Scope.PREDICT], limits={"rate_per_s": -1.0})
    with pytest.raises(InputError, match="no key named 'c'"):
        revoke_key(path, "c")
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"keys": document["keys"] * 2}), encoding="utf-8")
    with pytest.raises(InputError, match="two keys have the same name"):
        read_keys(path)
    path.write_text('{"keys": [{"id": 1}]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"keys.json: not a file of keys"):
        read_keys(path)


def test_times_without_a_zone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "a", [Scope.PREDICT])
    document = json.loads(path.read_text(encoding="utf-8"))
    document["keys"][0]["expires"] = "2999-01-01T00:00:00"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match="not a file of keys"):
        read_keys(path)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path / "keys.json")


def test_commands_at_the_same_time_lose_no_key_and_revive_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for number in range(8):
        add_key(path, f"old{number}", [Scope.PREDICT])
    with ThreadPoolExecutor(16) as pool:
        added = [pool.submit(add_key, path, f"new{number}", [Scope.PREDICT]) for number in range(8)]
        revoked = [pool.submit(revoke_key, path, f"old{number}") for number in range(8)]
    assert [each.exception() for each in added] == [each.exception() for each in revoked] == [None] * 8
    assert {key.name for key in read_keys(path)} == {f"new{number}" for number in range(8)}
