"""Learning from corrected gold by the command line: refused unless the terms allow it, promoted only if it is better."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.oracles.tinytexts import bert, save

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
TRUE = {"good": "positive", "bad": "negative"}


@pytest.fixture
def labelled(cli: Any, tmp_path: Path) -> Any:
    """A lot of texts whose first word decides, with gold, under terms that say nothing of training."""
    folder, out = tmp_path / "texts", tmp_path / "out"
    folder.mkdir()
    with (folder / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text"])
        rows.writerows([f"{'good' if number % 2 else 'bad'} room w{number}"] for number in range(240))
    assert cli.on_lot("intake", folder) == 0, cli.err
    assert cli.on_lot("prelabel", "--model", "sentiment=fake") == 0, cli.err
    assert cli.on_lot("export", "--format", "jsonl", "--out", out) == 0
    lot = next(cli.work.glob("*/lots/made"))
    texts = {row["item"]: row["text"] for row in pq.read_table(lot / "texts.parquet").to_pylist()}
    path = out / "sentiments.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line |= {"label": TRUE[texts[line["item"]].split()[0]], "probabilities": None}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert cli.on_lot("import", "--format", "jsonl", "--as", "gold", out) == 0, cli.err
    return cli


@pytest.fixture
def allowing(cli: Any, tmp_path: Path) -> Any:
    """The command line under terms that allow training."""
    document = yaml.safe_load(cli.contract.read_text(encoding="utf-8")) | {"training": "allowed"}
    cli.contract = tmp_path / "terms.yaml"
    cli.contract.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return cli


def tune(cli: Any, out: Path, *more: str | Path) -> int:
    words = ["train", "sentiment", "--from", "gold", "-c", cli.contract, "--lot", "made", "--work", cli.work]
    return int(cli("models", *words, "--out", out, "--learning-rate", "0.005", "--epochs", "4", *more))


def test_terms_that_say_nothing_forbid_training(labelled: Any, tmp_path: Path) -> None:
    base = save(tmp_path / "base", bert, {0: "negative", 1: "positive"})
    assert tune(labelled, tmp_path / "tuned", "--base", base) == 2
    assert "clause 5.2" in labelled.err
    assert not (tmp_path / "tuned").exists()


def test_a_better_model_is_promoted_and_the_base_stays(allowing: Any, labelled: Any, tmp_path: Path) -> None:
    cli = labelled
    base, out = save(tmp_path / "base", bert, {0: "negative", 1: "positive"}), tmp_path / "tuned"
    assert tune(cli, out, "--base", base, "--json") == 0, cli.err
    found = cli.json()
    test = found["test"]
    assert found["promoted"] == test["better"] is True
    assert test["only_candidate"] > test["only_base"]
    assert test["texts"] == found["texts"]["held_back"]
    assert sum(found["texts"].values()) == 240
    page = yaml.safe_load((out / "models.yaml").read_text(encoding="utf-8"))
    assert page["defaults"]["text"] == found["model"]
    shipped = yaml.safe_load((ROOT / "configs" / "models.yaml").read_text(encoding="utf-8"))
    assert set(page["models"]) == {*shipped["models"], found["model"]}
    assert cli("models", "list", "--models-file", out / "models.yaml", "--json") == 0
    states = {row["name"]: row["weights"] for row in cli.json()}
    assert states[found["model"]].startswith("ready")
    kept = json.loads((out / "provenance.json").read_bytes())
    assert kept["weights_sha256"][:12] in states[found["model"]]
    receipt = json.loads(next(cli.work.glob("*/lots/made/gold/1/receipt.json")).read_bytes())
    assert kept["lots"]["made"] == {"gold": 1, "labels_sha256": receipt["labels_sha256"]}
    assert kept["terms_sha256"] == receipt["terms_sha256"]
    # From itself on the same gold there is nothing to win: it is kept, and not promoted.
    again = tmp_path / "again"
    assert tune(cli, again, "--base", out / "model", "--models-file", out / "models.yaml", "--json") == 0, cli.err
    second = cli.json()
    assert second["promoted"] is False
    assert yaml.safe_load((again / "models.yaml").read_text(encoding="utf-8"))["defaults"]["text"] == found["model"]
    # Drafts by the promoted model: nearly all could skip review.
    assert cli.on_lot("prelabel", "--models-file", out / "models.yaml") == 0, cli.err
    pictures = tmp_path / "saving"
    assert cli.on_lot("saving", "--accuracy", "0.9", "--out", pictures, "--json") == 0, cli.err
    saved = cli.json()
    assert saved["saving"]["share"] > 0.9
    assert saved["saving"]["lower"] >= 0.9
    assert json.loads((pictures / "saving.json").read_bytes()) == saved
    assert "免复核" in (pictures / "saving.svg").read_text(encoding="utf-8")
    assert cli.on_lot("saving", "--accuracy", "0.9") == 0
    assert "may skip review" in cli.out
    assert "0 of 240 texts have blind gold" in cli.out


def test_what_is_missing_is_named(allowing: Any, labelled: Any, tmp_path: Path) -> None:
    words = ["train", "sentiment", "--out", tmp_path / "out"]
    for more, said in (
        (["--from", "gold"], "needs --contract"),
        (["--from", "memory", "--data", "x.csv"], "--from gold"),
        ([], "--data TABLE"),
        (["--from", "gold", "-c", labelled.contract, "--work", labelled.work], "needs --lot"),
    ):
        assert labelled("models", *words, *more) == 2
        assert said in labelled.err
    assert tune(labelled, tmp_path / "out", "--base", "fake") == 2
    assert "no weights to fine-tune" in labelled.err
    assert labelled.on_lot("saving", "--blind") == 0
    assert "do not prove" in labelled.out


def test_a_folder_is_calibrated_by_command(cli: Any, tmp_path: Path) -> None:
    folder = save(tmp_path / "base", bert, {0: "negative", 1: "positive"})
    table, rng = tmp_path / "texts.csv", np.random.default_rng(1)
    rows = [f"{word} room,{TRUE[word]}" for word in rng.choice(["good", "bad"], 60)]
    table.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    assert cli("models", "calibrate", folder, "--data", table, "--json") == 0, cli.err
    document = cli.json()
    assert document == json.loads((folder / "calibration.json").read_bytes())
    assert document["nll_after"] <= document["nll_before"]
