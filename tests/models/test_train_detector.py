"""Training the detector: what comes out loads through the registry, is small, and tells nothing of this machine."""

from pathlib import Path

import pytest
import yaml

import models.detector
import models.train_detector
from contract.tables import Kind
from models.registry import build_predictor, find_entry
from models.scenes import CLASSES, boxes_of, random_scene, render_scene
from models.train_detector import train_detector, write_dataset


def test_labels_of_the_dataset_are_the_gold_in_yolos_form(tmp_path: Path) -> None:
    page = yaml.safe_load(write_dataset(tmp_path, train=range(5, 8), held_out=range(100, 101)).read_text())
    assert list(page["names"].values()) == list(CLASSES)
    for split, seeds in (("train", range(5, 8)), ("val", range(100, 101))):
        for seed in seeds:
            lines = (tmp_path / "labels" / split / f"{seed:07d}.txt").read_text().splitlines()
            for line, box in zip(lines, boxes_of(random_scene(seed)), strict=True):
                number, cx, cy, w, h = line.split()
                assert CLASSES[int(number)] == box["label"]
                got = [(float(cx) - float(w) / 2) * 320, (float(cy) - float(h) / 2) * 320, float(w) * 320, float(h) * 320]
                assert got == pytest.approx([box[key] for key in "xywh"], abs=1e-4)
    assert len(list((tmp_path / "images" / "train").iterdir())) == 3


@pytest.mark.slow
def test_a_short_training_gives_weights_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.train_detector, "HELD_OUT", 4)
    lines: list[str] = []
    figures = train_detector(tmp_path / "out", images=16, epochs=2, report=lines.append)
    assert 0 <= figures["map50_95"] <= figures["map50"] <= 1
    assert [line.split(":")[0] for line in lines] == ["192 pixels, epoch 1 of 1", "320 pixels, epoch 1 of 1"]
    weights = tmp_path / "out" / "scene-detector.pt"
    assert weights.stat().st_size <= 6_000_000
    assert str(tmp_path).encode() not in weights.read_bytes()
    predictor = build_predictor(str(weights), Kind.IMAGE)
    predictor.load("cpu")
    assert predictor.describe().classes == CLASSES


def test_the_bundled_weights_find_held_out_shapes() -> None:
    predictor = bundled()
    found = right = gold = 0
    for seed in range(4_000_000, 4_000_024):
        picture, boxes = render_scene(seed)
        [drafts] = predictor.detect([picture])
        drafts = [draft for draft in drafts if draft["score"] >= 0.5]
        found, gold = found + len(drafts), gold + len(boxes)
        right += sum(any(box["label"] == draft["label"] and overlap(box, draft) >= 0.5 for draft in drafts) for box in boxes)
    assert gold > 50
    assert right >= 0.85 * gold
    assert right >= 0.85 * found


def bundled() -> models.detector.Detector:
    entry = find_entry("scene-detector", Kind.IMAGE)
    assert entry.path is not None
    assert entry.path.stat().st_size <= 6_000_000
    assert "AGPL-3.0" in (entry.path.parent / "card.md").read_text()
    detector = models.detector.from_entry(entry)
    detector.load("cpu")
    return detector


def overlap(one: dict[str, float], two: dict[str, float]) -> float:
    w = min(one["x"] + one["w"], two["x"] + two["w"]) - max(one["x"], two["x"])
    h = min(one["y"] + one["h"], two["y"] + two["h"]) - max(one["y"], two["y"])
    common = max(w, 0) * max(h, 0)
    return common / (one["w"] * one["h"] + two["w"] * two["h"] - common)
