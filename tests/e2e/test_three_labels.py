"""A model of two labels under a guideline of three, by the command line: calibrated, drafted, and its doubt told."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models.calibrating import answers_of
from tests.oracles.tinytexts import WORDS, bert, save

pytestmark = pytest.mark.e2e


def some_texts(count: int) -> list[str]:
    rng = np.random.default_rng(8)
    found = {" ".join(WORDS[at] for at in rng.integers(0, len(WORDS), rng.integers(2, 9))) for _ in range(4 * count)}
    return sorted(found)[:count]


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_neutral_comes_from_the_band_and_the_unsure_are_told(cli: Any, tmp_path: Path) -> None:
    folder, texts = save(tmp_path / "model", bert, {0: "negative", 1: "positive"}), some_texts(160)
    _, shares = answers_of(folder, texts)
    places = np.argsort(np.argsort(shares[:, 1])) / len(texts)
    truth = [["negative", "neutral", "positive"][int(place >= 0.4) + int(place >= 0.6)] for place in places]
    # Where the model is torn between two labels, every other text has the other one.
    for torn, pair in ((0.4, ("negative", "neutral")), (0.6, ("neutral", "positive"))):
        for at in np.flatnonzero(np.abs(places - torn) < 0.05)[::2].tolist():
            truth[at] = pair[1 - pair.index(truth[at])]
    table = write(tmp_path / "labelled.csv", ["text", "label"], [list(row) for row in zip(texts, truth, strict=True)])
    assert cli("models", "calibrate", folder, "--data", table, "--accuracy", "0.93", "--json") == 0, cli.err
    fitted = cli.json()
    assert 0 < fitted["neutral_band"][0] < fitted["neutral_band"][1] < 1
    assert fitted["abstain_below"] is not None
    document = yaml.safe_load(cli.contract.read_text(encoding="utf-8"))
    document["guideline"]["sentiments"].insert(1, {"name": "neutral", "definition": "Neither."})
    cli.contract = tmp_path / "terms.yaml"
    cli.contract.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    raw = tmp_path / "raw"
    raw.mkdir()
    write(raw / "texts.csv", ["text"], [[text] for text in texts])
    assert cli.on_lot("intake", raw) == 0, cli.err
    assert cli.on_lot("prelabel", "--model", f"sentiment={folder}") == 0, cli.err
    assert cli.on_lot("export", "--format", "jsonl", "--out", tmp_path / "out") == 0, cli.err
    lines = (tmp_path / "out" / "sentiments.jsonl").read_text(encoding="utf-8").splitlines()
    drafts = [json.loads(line) for line in lines]
    assert len(drafts) == len(texts)
    for draft in drafts:
        assert list(draft["probabilities"]) == ["positive", "neutral", "negative"]
        assert sum(draft["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert draft["probabilities"][draft["label"]] == max(draft["probabilities"].values())
    share = {
        label: sum(draft["label"] == label for draft in drafts) / len(drafts)
        for label in ("negative", "neutral", "positive")
    }
    assert share["neutral"] == pytest.approx(0.2, abs=0.08)
    assert min(share.values()) > 0.1
    run = json.loads(next(cli.work.glob("*/lots/made/drafts/*/run.json")).read_bytes())
    told = run["descriptions"]["text"]["settings"]
    assert told["abstain_below"] == fitted["abstain_below"]
    assert "lacking_labels" not in told
    assert (
        cli.on_lot("queue", "--order", "uncertainty", "--measure", "least_confidence", "--out", tmp_path / "queue.csv") == 0
    )
    with (tmp_path / "queue.csv").open(encoding="utf-8-sig", newline="") as file:
        ranks = {row["item"]: int(row["rank"]) for row in csv.DictReader(file)}
    unsure = {draft["item"] for draft in drafts if draft["score"] < told["abstain_below"]}
    assert 0 < len(unsure) < len(drafts)
    assert {item for item, rank in ranks.items() if rank <= len(unsure)} == unsure
