"""Consistency, completeness and bias of a lot, by commands, and in the report of its verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def changed(folder: Path, name: str, change: Any) -> None:
    """Rewrite each line of a JSON Lines file; a line that becomes None is left out."""
    path = folder / name
    lines = [change(number, json.loads(line)) for number, line in enumerate(path.read_text(encoding="utf-8").splitlines())]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None), encoding="utf-8")


OTHER = {"positive": "negative", "negative": "positive"}


def flipped_up_to(count: int) -> Any:
    def change(number: int, line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "label": OTHER[line["label"]], "probabilities": None} if number < count else line

    return change


@pytest.fixture
def delivered(drafted: Any, tmp_path: Path) -> Any:
    """Two submissions, three texts apart, the second without two images; gold of two people, one text apart."""
    first, second, gold = (tmp_path / name for name in ("first", "second", "gold"))
    for folder in (first, second, gold):
        assert drafted.on_lot("export", "--format", "jsonl", "--out", folder) == 0
    changed(second, "sentiments.jsonl", flipped_up_to(3))
    changed(second, "boxes.jsonl", lambda number, line: None if number < 2 else line)
    for folder in (first, second):
        assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", folder) == 0, drafted.err
    for count in (0, 1):
        changed(gold, "sentiments.jsonl", flipped_up_to(count))
        assert drafted.on_lot("import", "--format", "jsonl", "--as", "gold", gold) == 0, drafted.err
    return drafted


def test_consistency_compares_two_submissions_and_two_peoples_gold(delivered: Any, tmp_path: Path) -> None:
    asked = ["--submission", "2", "--other", "1", "--gold", "1", "--other-gold", "2"]
    assert delivered.on_lot("consistency", *asked, "--json") == 0
    found = delivered.json()
    by_task = {each["task"]: each for each in found["consistency"]["agreement"]}
    assert by_task["sentiments"]["counts"] == {"agreeing": 37, "disagreeing": 3}
    assert by_task["boxes"]["items"] == 38
    assert by_task["boxes"]["bound"]["estimate"] == 1
    completeness = {each["kind"]: each for each in found["consistency"]["completeness"]}
    assert completeness["text"]["labelled"] == completeness["text"]["items"] == 40
    assert completeness["image"]["missing"] == len(completeness["image"]["missing_items"]) == 2
    ceiling = found["gold"]["ceiling"]
    assert (ceiling["texts"], ceiling["disagreeing"]) == (40, 1)
    assert 0.97 < ceiling["ceiling"] < 1
    delivered.on_lot("accept", "--json", "--submission", "2", "--gold", "1")
    folder = Path(delivered.json()["report"]).parent
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ("submission 2<br>submission 1", "相同", "金标准上限", "Missing items"):
        assert words in page
    for item in completeness["image"]["missing_items"]:
        assert item in page
    twin = json.loads((folder / "report.json").read_bytes())
    assert twin["quality"]["consistency"]["agreement"] == found["consistency"]["agreement"]
    assert delivered("verify-report", folder) == 0


def test_consistency_names_what_cannot_be_compared(delivered: Any, tmp_path: Path) -> None:
    assert delivered.on_lot("consistency", "--submission", "1", "--other", "1") == 2
    assert "is the submission itself" in delivered.err
    assert delivered.on_lot("consistency", "--other-gold", "1") == 2
    pairs = tmp_path / "pairs.csv"
    for text, words in (
        ("item,same_as\nnowhere.png,00.png\n", "no item 'nowhere.png'"),
        ("a,b\n1,2\n", "item,same_as"),
        ("item,same_as\n00.png,\n", ":2: a pair needs two items"),
    ):
        pairs.write_text(text, encoding="utf-8")
        assert delivered.on_lot("consistency", "--pairs", pairs) == 2
        assert words in delivered.err
    pairs.write_text("item,same_as\n04.png,05.png\n", encoding="utf-8")
    assert delivered.on_lot("consistency", "--pairs", pairs) == 0
    assert "1 pairs of items with the same content" in delivered.out
