"""Clocks and blockers by the command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.e2e


def test_clocks_and_blockers(cli: Any, tmp_path: Path) -> None:
    document = yaml.safe_load(cli.contract.read_text(encoding="utf-8"))
    document["clocks"] = {"secrecy_years": 3, "delete_within_days": 15, "records_years": 3}
    cli.contract = tmp_path / "terms.yaml"
    cli.contract.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    of = ["-c", cli.contract, "--work", cli.work]
    assert cli("clocks", *of, "--ended", "2028-02-29", "--json") == 0, cli.err
    told = {clock["name"]: clock["ends"] for clock in cli.json()["clocks"]}
    assert (told["secrecy"], told["deletion"]) == ("2031-02-28", "2028-03-15")
    assert cli("blocker", "open", *of, "--cause", "client", "--reason", "raw data are late") == 0, cli.err
    assert cli("clocks", *of) == 0
    assert "保密期限 secrecy: 未起算" in cli.out
    assert "blocker 1 by the client" in cli.out
    assert cli("blocker", "close", "1", *of) == 0
    calendar = tmp_path / "holidays.yaml"
    start = document["deadline"]["start"]
    calendar.write_text(f"holidays: [{start}]\n", encoding="utf-8")
    assert cli("clocks", *of, "--holidays", calendar, "--json") == 0, cli.err
    for words, said in (
        (["blocker", "close", "1", *of], "blocker 1 is not open; open are none"),
        (["blocker", "open", *of, "--cause", "weather", "--reason", "x"], "write client, vendor, other"),
        (["clocks", *of, "--ended", "soon"], "write a date"),
        (["clocks", *of, "--holidays", cli.contract], "has other fields than"),
        (["clocks", *of, "--holidays", tmp_path / "absent"], "not a calendar"),
    ):
        assert cli(*words) == 2
        (line,) = cli.err.strip().splitlines()
        assert said in line
