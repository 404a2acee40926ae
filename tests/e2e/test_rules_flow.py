"""Lots judged by the rules that count items, from terms to verdict by the command line."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

NO_BOX = {"f1": None, "precision": None, "recall": None, "class_recall_min": None}


def counting(make_lot: Any, rule: str, share: float, **sampling: Any) -> Any:
    """A lot of 40 images and 40 texts under a rule that counts items; images may be right or wrong as a whole."""
    changes: dict[str, Any] = {
        "acceptance__rule": rule,
        "acceptance__video": None,
        "volumes": {"images": 40, "texts": 40, "video_hours": 0},
        "acceptance__image__metrics": {**NO_BOX, "conforming": share},
        "acceptance__text__metrics": {"accuracy": share, "macro_f1": None, "class_recall_min": None},
    }
    for name, value in {"mode": rule, "min_items": 5, "extend_to": 60, **sampling}.items():
        changes[f"acceptance__sampling__{name}"] = value
    return make_lot(**changes)


def verified(lot: Any, verdict: Any) -> None:
    assert lot.cli("verify-report", Path(verdict["report"]).parent) == 0, lot.cli.out


def test_an_aql_draws_what_its_plan_says_and_tightens_after_a_rejection(make_lot: Any) -> None:
    aql = {"limit": 4.0, "level": "II", "severity": "normal"}
    lot = counting(make_lot, "aql", 0.96, aql=aql)
    lot.bring_gold(lot.right)
    lot.commit()
    lot.hand_in(lot.folder("bad", wrong=lot.texts))
    sample = lot.draw()
    drawn = [each["item"] for each in sample["items"] if each["kind"] == "text"]
    assert len(drawn) == 13  # lots of 26 to 50: D, which leads to E at AQL 4.0, 13/1
    verdict = lot.do("accept", status=3)
    assert (verdict["rule"], verdict["severity"], verdict["verdict"]) == ("aql", "normal", "REJECT")
    (text,) = [each for each in verdict["criteria"] if each["name"] == "text.accuracy"]
    assert (text["counted"]["checked"], text["counted"]["nonconforming"]) == (13, 13)
    plan = text["counted"]["plan"]
    assert (plan["letter"], plan["n"], plan["accept"], plan["reject"]) == ("E", 13, 1, 2)
    verified(lot, verdict)
    lot.commit()
    lot.hand_in(lot.right)
    lot.draw()
    again = lot.do("accept")
    assert (again["severity"], again["verdict"]) == ("tightened", "ACCEPT")
    plans = {each["name"]: each["counted"]["plan"] for each in again["criteria"]}
    assert (plans["text.accuracy"]["letter"], plans["text.accuracy"]["n"], plans["text.accuracy"]["accept"]) == ("F", 20, 1)
    verified(lot, again)
    assert lot.cli("lot", "series", "-c", lot.cli.contract, "--work", lot.cli.work, "--json") == 0
    (step,) = lot.cli.json()["text.accuracy"]  # the rework, handed in again, does not count
    assert (step["inspected"], step["accepted"], step["next_inspection"]) == ("normal", False, "normal")
    assert lot.cli("lot", "series", "-c", lot.cli.contract, "--work", lot.cli.work) == 0
    assert "下一批应采用正常检验" in lot.cli.out
    assert "the next lot comes under normal inspection" in lot.cli.out


def test_an_e_process_is_looked_at_until_it_decides(make_lot: Any) -> None:
    lot = counting(make_lot, "e_process", 0.8)
    lot.bring_gold(lot.right)
    lot.commit()
    lot.hand_in(lot.right)
    lot.draw()
    first = lot.do("accept", status=4)
    assert all("more items must be checked" in reason for reason in first["reasons"][:2])
    lot.do("sample", "extend", "-n", "30")
    second = lot.do("accept")
    assert second["verdict"] == "ACCEPT"
    assert {each["name"]: each["counted"]["checked"] for each in second["criteria"]} == {
        "image.conforming": 30,
        "text.accuracy": 30,
    }
    verified(lot, second)
    assert lot.cli("lot", "series", "-c", lot.cli.contract, "--work", lot.cli.work) == 2
    assert "rule e_process knows no switching rules" in lot.cli.err
