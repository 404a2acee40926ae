"""`goldgate keys`, and what `goldgate serve` demands of an address that others can reach."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.tables import Kind
from contract.terms import load_terms
from models.fake import FakePredictor
from serving.access.guard import Access
from serving.access.settings import AccessSettings
from serving.config import ModelSettings, ServeSettings
from serving.front import Front, open_front
from serving.lanes import local_backend


def test_keys_are_made_listed_and_revoked(cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert cli("keys", "add", "studio", "--scope", "predict", "--scope", "score", "--expires", "90d", "--file", file) == 0
    token = cli.out.strip()
    assert token.startswith("gg_")
    assert "shown this once" in cli.err
    assert cli("keys", "add", "ops", "--scope", "admin", "--rate", "2.5", "--file", file, "--json") == 0
    made = json.loads(cli.out)
    assert (made["scopes"], made["rate_per_s"], made["expires"]) == (["admin"], 2.5, None)
    assert cli("keys", "list", "--file", file) == 0
    assert [line.split()[0] for line in cli.out.splitlines()] == ["studio", "ops"]
    assert token not in cli.out
    assert "never expires" in cli.out
    assert cli("keys", "revoke", "studio", "--file", file) == 0
    assert cli("keys", "list", "--file", file, "--json") == 0
    (left,) = json.loads(cli.out)["keys"]
    assert left["name"] == "ops"
    assert "sha256" not in left


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--scope", "root"], "--scope 'root': write predict, jobs, score, admin"),
        (["--scope", "predict", "--expires", "soon"], "--expires 'soon'"),
        (["--scope", "predict", "--expires", "2001-01-01"], "that day is over"),
    ],
)
def test_bad_orders_are_one_sentence(cli: Any, tmp_path: Path, options: list[str], sentence: str) -> None:
    assert cli("keys", "add", "a", *options, "--file", tmp_path / "keys.json") == 2
    assert sentence in cli.err
    assert not (tmp_path / "keys.json").exists()


def test_an_address_for_others_wants_keys(cli: Any, tmp_path: Path) -> None:
    assert cli("serve", "--host", "0.0.0.0", "--no-auth", "--address", "local") == 2  # noqa: S104
    assert "so that calls need keys" in cli.err
    assert cli("serve", "--host", "0.0.0.0", "--keys", tmp_path / "absent.json", "--address", "local") == 2  # noqa: S104
    assert "there are no keys" in cli.err
    assert cli("serve", "--keys", tmp_path / "absent.json", "--no-auth") == 2
    assert "not both" in cli.err


def test_a_job_shows_its_key_to_a_server(cli: Any, raw: Path, tmp_path: Path, listen: Callable[[Any], str]) -> None:
    guideline = load_terms(cli.contract).guideline
    settings = ServeSettings(models=dict.fromkeys(Kind, ModelSettings(name="fake")))
    models = {kind: FakePredictor(kind, guideline=guideline) for kind in Kind}
    access = Access(AccessSettings(keys_file=tmp_path / "keys.json", cvat_networks=("192.0.2.0/24",)))
    url = listen(open_front(Front(local_backend(models, settings), settings, access=access)))
    fakes = ("--model", "detector=fake", "--model", "sentiment=fake", "--address", url)
    assert cli.on_lot("intake", raw) == 0
    assert cli.on_lot("prelabel", *fakes) == 1
    assert "a key is needed" in cli.err
    assert cli("keys", "add", "job", "--scope", "predict", "--file", tmp_path / "keys.json") == 0
    (tmp_path / "key").write_text(cli.out, encoding="utf-8")
    assert cli.on_lot("prelabel", *fakes, "--key-file", tmp_path / "absent") == 2
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    assert cli.on_lot("prelabel", *fakes, "--key-file", tmp_path / "empty") == 2
    assert "holds no key" in cli.err
    assert cli.on_lot("prelabel", *fakes, "--key-file", tmp_path / "key") == 0
    assert "0 rejected" in cli.out
