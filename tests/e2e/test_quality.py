"""Consistency, completeness and bias of a lot, by commands, and in the report of its verdict."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
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


def test_bias_tells_what_became_of_the_drafts(drafted: Any, tmp_path: Path) -> None:
    seen, gold = tmp_path / "seen", tmp_path / "gold"
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret of the client's")
    plant = ["--seed-errors", "0.25", "--seed-secret", secret]
    assert drafted.on_lot("export", "--format", "jsonl", "--out", gold) == 0
    assert drafted.on_lot("export", "--format", "jsonl", "--out", seen, *plant) == 0
    assert (seen / "boxes.jsonl").read_bytes() != (gold / "boxes.jsonl").read_bytes()
    assert not [path for path in seen.rglob("*") if "seed" in path.name]
    lot = next(drafted.work.glob("*/lots/made"))
    seeds = pq.read_table(lot / "seeds" / "1.parquet").to_pylist()
    texts = sorted(seed["item"] for seed in seeds if seed["task"] == "sentiments")
    assert len(texts) == 10
    true = {
        line["item"]: line for line in map(json.loads, (gold / "sentiments.jsonl").read_text(encoding="utf-8").splitlines())
    }
    fixed = set(texts[:4])
    changed(seen, "sentiments.jsonl", lambda number, line: true[line["item"]] if line["item"] in fixed else line)
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "submission", seen) == 0, drafted.err
    blind = tmp_path / "blind.txt"
    blind.write_text("\n".join(sorted(true)[:20]), encoding="utf-8")
    assert drafted.on_lot("bias", "--json") == 0
    assert drafted.json()["gold"] is None
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "gold", gold) == 0
    assert drafted.on_lot("bias", "--blind", blind, "--json") == 0
    found = drafted.json()
    assert (found["planted"], found["blind_items"], found["gold"]) == (1, 20, 1)
    tasks = {each["task"]: each for each in found["tasks"]}
    sentiments = tasks["sentiments"]
    assert (sentiments["drafts"], sentiments["untouched"], sentiments["unchanged_items"]) == (40, 36, 36)
    assert (sentiments["accuracy_untouched"]["right"], sentiments["accuracy_untouched"]["labels"]) == (30, 36)
    assert (sentiments["accuracy_edited"]["right"], sentiments["accuracy_edited"]["labels"]) == (4, 4)
    assert sentiments["against_blind"]["units"] == sentiments["against_corrected"]["units"] == 20
    assert tasks["boxes"]["untouched"] == tasks["boxes"]["drafts"]
    caught = {(each["task"], each["kind"]): each for each in found["seeds"]}
    assert (caught["sentiments", "wrong_label"]["seeded"], caught["sentiments", "wrong_label"]["caught"]) == (10, 4)
    drafted.on_lot("accept", "--json")
    folder = Path(drafted.json()["report"]).parent
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ("预标注的影响", "Deliberately wrong drafts", "Share untouched"):
        assert words in page
    twin = json.loads((folder / "report.json").read_bytes())
    assert twin["quality"]["bias"]["seeds"] == found["seeds"]
    assert drafted("verify-report", folder) == 0, drafted.out
    assert drafted.on_lot("bias") == 0
    assert "wrong drafts of sentiments, wrong label: 4 of 10 corrected" in drafted.out
    again = tmp_path / "again"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", again, "--from", "seeds:1") == 0
    assert (again / "boxes.jsonl").read_bytes() == (seen / "boxes.jsonl").read_bytes()


def test_planting_names_what_is_wrong(drafted: Any, tmp_path: Path) -> None:
    export = ["export", "--format", "jsonl", "--out", tmp_path / "out"]
    assert drafted.on_lot(*export, "--seed-errors", "1.5") == 2
    assert drafted.on_lot(*export, "--seed-errors", "0.1", "--from", "gold") == 2
    assert "goes with drafts" in drafted.err
    (tmp_path / "short").write_text("abc")
    assert drafted.on_lot(*export, "--seed-errors", "0.1", "--seed-secret", tmp_path / "short") == 2
    assert "holds 3 bytes" in drafted.err
    assert drafted.on_lot(*export, "--from", "seeds:7") == 2
    assert "no such planting" in drafted.err
    assert drafted.on_lot(*export, "--seed-errors", "0.1") == 0
    table = next(drafted.work.glob("*/lots/made")) / "seeds" / "1.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    assert drafted.on_lot(*export, "--from", "seeds:1") == 2
    assert "changed since it was written" in drafted.err
