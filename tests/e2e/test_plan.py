"""`goldgate plan` from the outside: samples as ever, and the volumes of a contract by rates that were measured."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "configs" / "model_contract.yaml"
RATES = ["--rate", "image=20", "--rate", "text=100", "--rate", "video=5"]


def test_the_model_contract_by_typed_rates(cli: Any, tmp_path: Path) -> None:
    words = ["-c", MODEL, "--work", cli.work, *RATES, "--price", "12.5"]
    assert cli("plan", *words, "--picture", tmp_path / "plan.svg", "--json") == 0, cli.err
    document = cli.json()
    assert [row["volume"] for row in document["kinds"]] == [100_000, 50_000, 100]
    hours = (100_000 / 20 / 3600 + 50_000 / 100 / 3600 + 100 / 5) / 0.8
    assert document["device_hours"] == pytest.approx(hours)
    assert document["contract_price"] == "255000.00"  # 100,000 x 1.80 + 50,000 x 0.30 + 100 x 600
    assert document["cost"] == str(document["cost"])
    assert float(document["cost"]) == pytest.approx(12.5 * hours, abs=0.13)
    assert document["fewest_devices"] == 1
    assert (tmp_path / "plan.svg").read_bytes().startswith(b"<?xml")
    assert cli("plan", *words, "--currency", "USD") == 0
    assert "contract's" not in cli.out
    assert "USD" in cli.out
    assert "台时" in cli.out


def test_a_runs_own_rates(drafted: Any) -> None:
    words = ["-c", drafted.contract, "--work", drafted.work, "--from-lot", "made"]
    assert drafted("plan", *words, "--json") == 0, drafted.err
    document = drafted.json()
    by_kind = {row["kind"]: row for row in document["kinds"]}
    assert by_kind["image"]["rate"] > 0
    assert by_kind["text"]["rate"] > 0
    assert by_kind["video"]["rate"] is None  # the lot has none
    assert document["device_hours"] is None
    assert document["reason"] == "no rate of video items is known"
    assert drafted("plan", *words, "--rate", "video=3", "--measured-devices", "2", "--json") == 0
    whole = drafted.json()
    assert whole["device_hours"] > 0
    rates = {row["kind"]: row["rate"] for row in whole["kinds"]}
    assert rates["video"] == 1.5
    assert rates["image"] == pytest.approx(by_kind["image"]["rate"] / 2)


def test_samples_are_planned_as_ever(cli: Any) -> None:
    assert cli("plan", "--threshold", "0.9", "--good", "0.95", "--json") == 0
    assert cli.json()["procedures"][0]["most"] == 298


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --threshold and --good"),
        (["--threshold", "0.9"], "give --threshold and --good"),
        (["-c", MODEL, "--threshold", "0.9"], "give one or the other"),
        (["-c", MODEL, "--rate", "image=x"], "is not a number"),
        (["-c", MODEL, *RATES, "--price", "dear"], "--price 'dear'"),
        (["-c", MODEL, *RATES, "--utilisation", "2"], "plan: a utilisation"),
        (["-c", MODEL, *RATES, "--reserve-days", "400"], "none is left for drafts"),
        (["-c", MODEL, "--picture", "x.svg"], "nothing to draw"),
        (["-c", MODEL, *RATES, "--picture", "x.pdf"], ".svg or .png"),
        (["-c", MODEL, "--from-lot", "week-9"], "there is no such lot"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(cli: Any, words: list[Any], said: str) -> None:
    assert cli("plan", *words, "--work", cli.work) == 2
    assert said in cli.err
