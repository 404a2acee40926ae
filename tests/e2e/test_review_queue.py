"""The review queue from the outside: the order reaches the tools, and what is asked wrongly is refused in a sentence."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


def queue_file(drafted: Any, path: Path, *words: str) -> list[dict[str, str]]:
    assert drafted.on_lot("queue", *words, "--out", path, "--json") == 0, drafted.err
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("order", ["uncertainty", "rare", "novelty", "uncertainty=2,novelty"])
def test_the_order_reaches_label_studio_and_cvat(drafted: Any, tmp_path: Path, order: str) -> None:
    rows = queue_file(drafted, tmp_path / "queue.csv", "--order", order)
    ranked = {kind: [row["item"] for row in rows if row["kind"] == kind] for kind in ("image", "text")}
    assert [len(items) for items in ranked.values()] == [40, 40]
    if "=" not in order:
        priorities = [float(row["priority"]) for row in rows if row["kind"] == "image"]
        assert priorities == sorted(priorities, reverse=True)
    out = tmp_path / "ls"
    assert drafted.on_lot("export", "--format", "labelstudio", "--order", order, "--out", out, "--json") == 0
    assert drafted.json()["queue"]["order"] == order
    for kind, items in ranked.items():
        tasks = json.loads((out / kind / "tasks.json").read_text(encoding="utf-8"))
        assert [task["data"]["item"] for task in tasks] == items
        assert [task["data"]["queue"] for task in tasks] == list(range(1, 41))
        assert {task["data"]["review"] for task in tasks} == {"full"}
        scores = [task["predictions"][0]["score"] for task in tasks]
        assert scores == sorted(scores)
        assert len(set(scores)) == 40
    assert drafted.on_lot("import", "--format", "jsonl", "--as", "gold", _gold(drafted, tmp_path)) == 0
    assert drafted.on_lot("export", "--format", "cvat", "--order", order, "--out", tmp_path / "cvat") == 0
    assert "left out: 40 text items" in drafted.out
    if "novelty" not in order:  # whose order begins anew once people have seen something
        names = (tmp_path / "cvat" / "order.txt").read_text(encoding="utf-8").split()
        assert names == ranked["image"]
        page = (tmp_path / "cvat" / "annotations.xml").read_text(encoding="utf-8")
        assert re.findall(r'<image id="\d+" name="([^"]+)"', page) == names


def _gold(drafted: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    assert drafted.on_lot("export", "--format", "jsonl", "--out", folder) == 0
    return folder


def test_without_an_order_nothing_is_changed(drafted: Any, tmp_path: Path) -> None:
    for name, words in (("one", []), ("other", ["--order", "none"])):
        assert drafted.on_lot("export", "--format", "labelstudio", *words, "--out", tmp_path / name) == 0
    for kind in ("image", "text"):
        one, other = ((tmp_path / name / kind / "tasks.json").read_bytes() for name in ("one", "other"))
        assert one == other
        assert b'"queue"' not in one


def test_two_models_that_disagree_are_looked_at_first(drafted: Any, tmp_path: Path) -> None:
    assert drafted.on_lot("queue", "--order", "disagreement") == 2
    assert "needs the drafts of two models" in drafted.err
    first = Path(next((drafted.work / "DEMO-2025" / "lots" / "made" / "drafts").glob("*/run.json"))).parent.name
    # another model: the bundled one for texts, the same fake for images
    words = ["--model", "detector=fake", "--model", "sentiment=review-sentiment", "--model", "video=fake"]
    assert drafted.on_lot("prelabel", *words) == 0, drafted.err
    rows = queue_file(drafted, tmp_path / "queue.csv", "--order", "disagreement", "--run", first)
    assert {row["disagreement"] for row in rows if row["kind"] == "image"} == {"0.0"}
    assert [row["item"] for row in rows if row["kind"] == "image"] == sorted(
        row["item"] for row in rows if row["kind"] == "image"
    )
    apart = [float(row["disagreement"]) for row in rows if row["kind"] == "text"]
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 0
    assert drafted.on_lot("queue", "--order", "disagreement", "--run", first, "--against", first) == 2
    assert "is the run that is ordered" in drafted.err


def test_what_blind_gold_proves_may_be_accepted_by_sample_only(make_lot: Callable[..., Any], tmp_path: Path) -> None:
    lot = make_lot(acceptance__gold__blind_share=1.0)
    lot.commit()
    lot.hand_in(lot.right)
    lot.draw("-n", "40")
    lot.bring_gold(lot.right)
    found = lot.do("queue", "--out", tmp_path / "queue.parquet")["by_sample_only"]
    assert found["text"]["checked"] == 40
    assert found["text"]["items"] > 0
    assert found["text"]["lower_bound"] >= found["text"]["demanded"]
    assert lot.cli.on_lot("export", "--format", "labelstudio", "--order", "uncertainty", "--out", tmp_path / "ls") == 0
    assert "may be accepted by sample only: at least" in lot.cli.out
    tasks = json.loads((tmp_path / "ls" / "text" / "tasks.json").read_text(encoding="utf-8"))
    words = [task["data"]["review"] for task in tasks]
    assert words == sorted(words)  # full before sample
    assert words.count("sample") == found["text"]["items"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--order", "rare", "--from", "gold"], "--order goes with drafts"),
        (["--order", "rare", "--sample", "1"], "--order goes with the whole lot"),
        (["--order", "rar"], "did you mean 'rare'"),
        (["--order", "rare", "--measure", "mean"], "--measure 'mean'"),
        (["--order", "rare", "--against", "x"], "--against goes with --order disagreement"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(drafted: Any, tmp_path: Path, words: list[str], said: str) -> None:
    assert drafted.on_lot("export", "--format", "jsonl", "--out", tmp_path / "out", *words) == 2
    assert said in drafted.err
    assert not (tmp_path / "out").exists()


def test_planted_errors_keep_the_order_of_the_drafts(drafted: Any, tmp_path: Path) -> None:
    rows = queue_file(drafted, tmp_path / "queue.csv")
    words = ["--seed-errors", "0.2", "--order", "uncertainty"]
    assert drafted.on_lot("export", "--format", "labelstudio", *words, "--out", tmp_path / "ls") == 0, drafted.err
    tasks = json.loads((tmp_path / "ls" / "text" / "tasks.json").read_text(encoding="utf-8"))
    assert [task["data"]["item"] for task in tasks] == [row["item"] for row in rows if row["kind"] == "text"]
