"""The same job in process, on Ray and against an HTTP server leaves the same shards, byte for byte."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.tables import Kind
from contract.terms import load_terms
from serving.config import Address, ServeSettings
from serving.front import Front
from serving.listen import open_doors
from serving.running import start_serving

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]
KINDS = (Kind.IMAGE, Kind.TEXT, Kind.VIDEO)


def shards_of(cli: Any, work: Path, *address: str) -> dict[str, bytes]:
    cli.work = work
    assert cli.on_lot("prelabel", *FAKES, *address, "--json") == 0, cli.err
    return {path.name: path.read_bytes() for path in Path(cli.json()["drafts"]).iterdir()}


def taken_in(cli: Any, raw: Path, work: Path) -> Path:
    cli.work = work
    assert cli.on_lot("intake", raw) == 0
    return work


@pytest.fixture
def server(ray_address: tuple[str, int]) -> Iterator[str]:
    """A server that speaks the demo contract's labels, as `goldgate serve --contract` starts it."""
    terms = load_terms(ROOT / "configs" / "demo.yaml").model_dump(mode="json")
    settings = ServeSettings.of(dict.fromkeys(KINDS, "fake"), device="cpu", terms=terms)
    with served(settings, "elsewhere") as url:
        yield url


@contextlib.contextmanager
def served(settings: ServeSettings, application: str) -> Iterator[str]:
    with (
        start_serving(settings, application=application) as models,
        open_doors(models, Address(port=0), lambda backend: Front(backend, settings)) as doors,
    ):
        yield f"http://127.0.0.1:{doors.ports[0]}"


def test_ray_and_local_agree(cli: Any, raw: Path, tmp_path: Path, ray_address: tuple[str, int]) -> None:
    local = shards_of(cli, taken_in(cli, raw, tmp_path / "local"))
    on_ray = shards_of(cli, taken_in(cli, raw, tmp_path / "ray"), "--address", "ray")
    assert on_ray == local


def test_http_and_local_agree(cli: Any, raw: Path, tmp_path: Path, server: str) -> None:
    local = shards_of(cli, taken_in(cli, raw, tmp_path / "local"))
    over_http = shards_of(cli, taken_in(cli, raw, tmp_path / "http"), "--address", server)
    assert over_http == local


def test_a_server_with_other_labels_is_refused(cli: Any, raw: Path, ray_address: tuple[str, int]) -> None:
    assert cli.on_lot("intake", raw) == 0
    settings = ServeSettings.of(dict.fromkeys(KINDS, "fake"), device="cpu")
    with served(settings, "foreign") as url:
        assert cli.on_lot("prelabel", *FAKES, "--address", url) == 2
    assert "object" in cli.err
    assert "--contract" in cli.err


def test_no_server_is_one_sentence(cli: Any, raw: Path) -> None:
    assert cli.on_lot("intake", raw) == 0
    assert cli.on_lot("prelabel", *FAKES, "--address", "http://127.0.0.1:9") == 1
    assert len(cli.err.strip().splitlines()) == 1
    assert "127.0.0.1:9" in cli.err
