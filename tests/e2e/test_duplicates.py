"""Near-duplicates from the outside: found, left out of an export, labelled from their representatives, and nothing lost."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.oracles.numberedvideos import Making, make

pytestmark = pytest.mark.e2e
FAKES = ["--model", "detector=fake", "--model", "sentiment=fake", "--model", "video=fake"]
REVIEW = "The room was clean, the staff were friendly and breakfast was served until noon on every day of our stay"


def smooth(seed: int, width: int, height: int) -> Image.Image:
    """A picture with structure, which a copy of another size keeps."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def doubled(cli: Any, tmp_path: Path) -> Any:
    """Five pictures of which two come again, three texts of which one comes again, and a video in two encodings."""
    raw = tmp_path / "doubled"
    raw.mkdir()
    for seed in range(5):
        smooth(seed, 160, 120).save(raw / f"{seed}.png")
    smooth(0, 160, 120).resize((80, 60)).save(raw / "0-small.jpg", quality=80)
    smooth(1, 160, 120).save(raw / "again.png", compress_level=1)
    with (raw / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text"])
        table.writerows([["one", f"{REVIEW}."], ["two", f"{REVIEW.upper()} !!!"], ["three", "都很好, 下次还来"]])
    (raw / "a.mp4").write_bytes(make(Making(frames=30)))
    (raw / "b.mp4").write_bytes(make(Making(frames=30, options={"g": "5"})))
    assert cli.on_lot("intake", raw) == 0, cli.err
    assert cli.on_lot("prelabel", *FAKES) == 0, cli.err
    return cli


WANTED = {"0-small.jpg": "0.png", "again.png": "1.png", "two": "one"}


def test_groups_with_representatives_stand_in_the_lot(doubled: Any, tmp_path: Path) -> None:
    assert doubled.on_lot("duplicates", "--out", tmp_path / "groups.csv", "--json") == 0, doubled.err
    receipt = doubled.json()
    assert receipt["duplicates"] == {"image": 2, "text": 1}
    assert (receipt["number"], receipt["groups"], receipt["keyframes"]) == (1, 3, 0)
    with (tmp_path / "groups.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {named(row["item"]): named(row["representative"]) for row in rows if row["item"] != row["representative"]}
    assert found == WANTED
    assert doubled.on_lot("duplicates", "--json") == 0
    assert doubled.json()["number"] == 1  # nothing new to say
    assert doubled.on_lot("duplicates", "--radius", "0", "--text-share", "1", "--json") == 0
    assert doubled.json()["number"] == 2
    lot = doubled.work / "DEMO-2025" / "lots" / "made"
    assert pq.read_table(lot / "fingerprints-1.parquet").num_rows == 7


def named(item: str) -> str:
    """Return the name that the test gave: texts are called by their table and id."""
    return item.rpartition("#")[2] or item


def test_keyframes_are_compared_too(doubled: Any) -> None:
    assert doubled.on_lot("duplicates", "--keyframes") == 0, doubled.err
    assert "keyframes" in doubled.out
    assert doubled.on_lot("duplicates", "--keyframes", "--json") == 0
    receipt = doubled.json()
    assert receipt["keyframes"] > 0
    lot = doubled.work / "DEMO-2025" / "lots" / "made"
    rows = pq.read_table(lot / "duplicates" / f"{receipt['number']}.parquet").to_pylist()
    frames = [row for row in rows if row["frame"] >= 0]
    assert {row["item"] for row in frames} == {"a.mp4", "b.mp4"}
    assert any(row["item"] != row["representative"] for row in frames)
    assert all(row["apart"] <= 6 for row in frames)


def test_left_out_of_an_export_and_labelled_on_the_way_back(doubled: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert doubled.on_lot("export", "--format", "jsonl", "--skip-duplicates", "--out", out) == 2
    assert "run 'goldgate duplicates' first" in doubled.err
    assert doubled.on_lot("duplicates") == 0
    words = ["--format", "jsonl", "--skip-duplicates", "--order", "uncertainty"]
    assert doubled.on_lot("export", *words, "--out", out) == 0, doubled.err
    assert "left out: 2 image, 1 text items that nearly equal others" in doubled.out
    boxes = [json.loads(line) for line in (out / "boxes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(line["item"] for line in boxes) == [f"{seed}.png" for seed in range(5)]

    assert doubled.on_lot("import", "--format", "jsonl", "--as", "submission", out, "--json") == 0
    assert doubled.json()["items"] == 5 + 2 + 2
    assert doubled.on_lot("import", "--format", "jsonl", "--as", "submission", "--copy-duplicates", out, "--json") == 0
    document = doubled.json()
    assert document["items"] == 12
    assert document["copied_to_duplicates"] == {"image": 2, "text": 1}
    folder = doubled.work / "DEMO-2025" / "lots" / "made" / "submissions" / "2"
    table = pq.read_table(folder / "boxes.parquet").to_pylist()
    for copy, leader, scale in (("again.png", "1.png", 1.0), ("0-small.jpg", "0.png", 0.5)):
        ours, theirs = ([row for row in table if row["item"] == item] for item in (copy, leader))
        assert len(ours) == len(theirs) > 0
        for mine, yours in zip(ours, theirs, strict=True):
            assert mine["source"] == f"duplicate-of:{leader}"
            assert mine["label"] == yours["label"]
            assert [mine[side] for side in "xywh"] == pytest.approx([yours[side] * scale for side in "xywh"])
    assert len({row["item"] for row in pq.read_table(folder / "shots.parquet").to_pylist()}) == 2


def test_an_item_that_people_labelled_keeps_its_own_labels(doubled: Any, tmp_path: Path) -> None:
    out = tmp_path / "all"
    assert doubled.on_lot("duplicates") == 0
    assert doubled.on_lot("export", "--format", "jsonl", "--out", out) == 0
    words = ["--format", "jsonl", "--as", "submission", "--copy-duplicates"]
    assert doubled.on_lot("import", *words, out, "--json") == 0
    assert doubled.json()["copied_to_duplicates"] == {}
    assert doubled.on_lot("import", *words, out) == 0
    assert "of them no near-duplicates" in doubled.out


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("export", ["--format", "jsonl", "--out", "x", "--skip-duplicates", "--sample", "1"], "goes with the whole lot"),
        ("duplicates", ["--text-share", "0"], "over 0 and at most 1"),
        ("import", ["--format", "jsonl", "--as", "gold", "--copy-duplicates", "."], "goes with a submission"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(drafted: Any, command: str, words: list[str], said: str) -> None:
    assert drafted.on_lot(command, *words) == 2
    assert said in drafted.err


def test_a_table_that_was_changed_is_not_believed(doubled: Any, tmp_path: Path) -> None:
    assert doubled.on_lot("duplicates") == 0
    path = doubled.work / "DEMO-2025" / "lots" / "made" / "duplicates" / "1.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    assert doubled.on_lot("export", "--format", "jsonl", "--skip-duplicates", "--out", tmp_path / "out") == 2
    assert "missing or changed since it was written" in doubled.err
