"""Learning boxes from corrected gold by the command line: refused unless the terms allow it, promoted only if better."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldgate.gold_detector import Picture, split_pictures
from tests.oracles.turnedscenes import scene, turned_detector

pytestmark = pytest.mark.e2e

SCENES = 48


@pytest.fixture
def terms(cli: Any, tmp_path: Path) -> Any:
    """Write terms with changes and use them from here on."""

    def use(**changes: Any) -> None:
        document = yaml.safe_load(cli.contract.read_text(encoding="utf-8")) | changes
        cli.contract = tmp_path / "terms.yaml"
        cli.contract.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")

    return use


def take_in(cli: Any, tmp_path: Path, *, count: int, first: int = 0) -> None:
    """Take rendered scenes in, with their true boxes as gold."""
    folder, out = tmp_path / "scenes", tmp_path / "out"
    folder.mkdir()
    truth = {}
    for seed in range(first, first + count):
        content, truth[f"{seed:03d}.png"] = scene(seed)
        (folder / f"{seed:03d}.png").write_bytes(content)
    assert cli.on_lot("intake", folder) == 0, cli.err
    assert cli.on_lot("prelabel", "--model", "detector=fake") == 0, cli.err
    assert cli.on_lot("export", "--format", "jsonl", "--out", out) == 0
    path = out / "boxes.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        boxes = [dict(zip(("label", *"xywh"), box, strict=True)) for box in truth[line["item"]]]
        line |= {"boxes": boxes, "state": "labelled" if boxes else "empty"}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert cli.on_lot("import", "--format", "jsonl", "--as", "gold", path) == 0, cli.err


def tune(cli: Any, out: Path, *more: str | Path) -> int:
    words = ["train", "detector", "--from", "gold", "-c", cli.contract, "--lot", "made", "--work", cli.work]
    return int(cli("models", *words, "--out", out, "--learning-rate", "0.002", *more))


def test_terms_that_say_nothing_forbid_training(cli: Any, tmp_path: Path) -> None:
    take_in(cli, tmp_path, count=3)
    assert tune(cli, tmp_path / "tuned") == 2
    assert "clause 5.2" in cli.err
    assert not (tmp_path / "tuned").exists()


def test_what_is_missing_is_named(cli: Any, terms: Any, tmp_path: Path) -> None:
    terms(training="allowed")
    take_in(cli, tmp_path, count=2)
    for more, said in (
        (["--from", "gold"], "needs --contract"),
        (["--from", "memory"], "--from is scenes"),
        (["--lot", "made"], "--from is scenes"),
        (["--from", "gold", "-c", cli.contract, "--work", cli.work], "needs --lot"),
    ):
        assert cli("models", "train", "detector", "--out", tmp_path / "tuned", *more) == 2
        assert said in cli.err
    assert tune(cli, tmp_path / "tuned", "--base", "fake") == 2
    assert "no weights to fine-tune" in cli.err
    changed = tmp_path / "scenes" / "000.png"
    changed.write_bytes(scene(77)[0])
    assert tune(cli, tmp_path / "tuned") == 2
    assert "000.png: changed since intake" in cli.err


def test_groups_are_split_whole_and_always_alike() -> None:
    pictures = [Picture(f"p{number}", None, "", (), group=f"g{number // 3}") for number in range(900)]  # type: ignore[arg-type]
    parts = split_pictures(pictures)
    groups = [{picture.group for picture in part} for part in parts]
    assert sum(map(len, parts)) == 900
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert [len(part) / 900 for part in parts] == pytest.approx([0.56, 0.14, 0.3], abs=0.06)
    assert [{each.name for each in part} for part in split_pictures(pictures[::-1])] == [
        {each.name for each in part} for part in parts
    ]


@pytest.mark.slow
def test_a_better_detector_is_promoted_and_the_base_stays(cli: Any, terms: Any, tmp_path: Path) -> None:
    terms(training="allowed")
    take_in(cli, tmp_path, count=SCENES)
    base, out = turned_detector(tmp_path / "base" / "turned.pt"), tmp_path / "tuned"
    assert tune(cli, out, "--base", base, "--epochs", "3", "--json") == 0, cli.err
    found = cli.json()
    test = found["test"]
    assert found["promoted"] == test["better"] is True
    assert 0 < test["lower"] <= test["gain"] <= test["upper"]
    assert test["base"] < 0.05 < test["candidate"]
    assert sum(found["pictures"].values()) == SCENES
    assert test["items"] == found["pictures"]["held_back"]  # no two scenes look alike
    page = yaml.safe_load((out / "models.yaml").read_text(encoding="utf-8"))
    assert page["defaults"]["image"] == found["model"]
    assert "scene-detector" in page["models"]
    kept = json.loads((out / "provenance.json").read_bytes())
    assert kept["weights_sha256"] == page["models"][found["model"]]["sha256"]
    receipt = json.loads(next(cli.work.glob("*/lots/made/gold/1/receipt.json")).read_bytes())
    assert kept["lots"]["made"] == {"gold": 1, "labels_sha256": receipt["labels_sha256"]}
    assert cli.on_lot("prelabel", "--models-file", out / "models.yaml", "--json") == 0, cli.err
    # A rate that ruins what was learnt: it is kept, and not promoted.
    again, rate = tmp_path / "again", ["--learning-rate", "0.05"]  # the last of two counts
    assert tune(cli, again, "--models-file", out / "models.yaml", "--epochs", "1", *rate, "--json") == 0, cli.err
    second = cli.json()
    assert second["promoted"] is False
    assert second["test"]["candidate"] < second["test"]["base"] == test["candidate"]
    assert second["base"] == found["model"]
    assert yaml.safe_load((again / "models.yaml").read_text(encoding="utf-8"))["defaults"]["image"] == found["model"]
