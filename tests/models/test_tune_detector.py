"""Fine-tuning a detector: it learns the right names, learns a new one beside them, and refuses what cannot be learnt."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.errors import FormatError, WeightsError
from contract.predictor import Source
from contract.tables import Kind
from models.detector import from_entry
from models.registry import ModelEntry
from models.tune_detector import Box, Example, Lessons, TuneDetectorSettings, _write_dataset, tune_detector
from tests.oracles.turnedscenes import BUNDLED, CLASSES, SIDE, scene, turned_detector

QUICK = TuneDetectorSettings(epochs=3, learning_rate=2e-3, batch=8)


def examples(seeds: range, names: tuple[str, ...] = CLASSES) -> list[Example]:
    found = []
    for seed in seeds:
        content, boxes = scene(seed)
        rows = tuple(Box(names.index(label), *place) for label, *place in boxes)
        found.append(Example(Source(str(seed), Kind.IMAGE, "", content), rows))
    return found


def right_names(weights: Path, seeds: range, *, called: dict[str, str] | None = None) -> float:
    """Return the share of gold boxes whose likeliest box at their place has their name."""
    entry = ModelEntry(name="tuned", kind=Kind.IMAGE, loader="ultralytics", path=weights, settings={"conf": 0.05})
    detector = from_entry(entry)
    detector.load("cpu")
    right = []
    for seed in seeds:
        content, boxes = scene(seed)
        (row,) = detector.predict([Source("x", Kind.IMAGE, "", content)]).to_pylist()
        for label, x, y, w, h in boxes:
            near = [
                box["label"]
                for box in row["boxes"]  # by falling score
                if abs(box["x"] + box["w"] / 2 - x - w / 2) + abs(box["y"] + box["h"] / 2 - y - h / 2) < 10
            ]
            right.append(near[:1] == [(called or {}).get(label, label)])
    return float(np.mean(right))


@pytest.mark.slow
def test_it_learns_the_right_names_and_says_how_it_went(tmp_path: Path) -> None:
    base, out, lines = turned_detector(tmp_path / "base.pt"), tmp_path / "model" / "new.pt", list[str]()
    lessons = Lessons(CLASSES, examples(range(40)), examples(range(100, 108)))
    told = tune_detector(base, out, lessons, settings=QUICK, tell=lines.append)
    assert told["passes"] == len(told["map50_95"]) == len(lines) == 3
    assert told["map50_95"][told["best"] - 1] == max(told["map50_95"])
    assert right_names(base, range(200, 210)) < 0.1
    assert right_names(out, range(200, 210)) > 0.3
    assert out.stat().st_size <= 6_000_000
    assert str(tmp_path).encode() not in out.read_bytes()


@pytest.mark.slow
def test_a_class_that_the_base_lacks_is_learnt_beside_its_own(tmp_path: Path) -> None:
    """Circles are called discs from here on; the others keep their names."""
    names = (*CLASSES, "disc")
    out = tmp_path / "new.pt"

    def renamed(seeds: range) -> list[Example]:
        return [
            each._replace(boxes=tuple(box._replace(number=4 if box.number == 0 else box.number) for box in each.boxes))
            for each in examples(seeds)
        ]

    lessons = Lessons(names, renamed(range(40)), renamed(range(100, 108)))
    tune_detector(turned_detector(tmp_path / "base.pt", turn=0), out, lessons, settings=QUICK)
    assert right_names(out, range(200, 210), called={"circle": "disc"}) > 0.3
    detector = from_entry(ModelEntry(name="tuned", kind=Kind.IMAGE, loader="ultralytics", path=out))
    assert detector.describe().classes == names


def test_what_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    some, none = examples(range(2)), [Example(each.source, ()) for each in examples(range(2))]
    for lessons in (Lessons(CLASSES, none, some), Lessons(CLASSES, some, none), Lessons(CLASSES, [], [])):
        with pytest.raises(FormatError, match="no box is left"):
            tune_detector(BUNDLED, tmp_path / "new.pt", lessons)
    with pytest.raises(FormatError, match="its classes are circle, square"):
        tune_detector(BUNDLED, tmp_path / "new.pt", Lessons(CLASSES[::-1], some, some))
    with pytest.raises(WeightsError, match="cannot be trained"):
        tune_detector(tmp_path / "x.onnx", tmp_path / "new.pt", Lessons(CLASSES, some, some))
    assert not (tmp_path / "new.pt").exists()


def test_pictures_are_upright_and_boxes_are_shares_of_them(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, 300:] = 255  # the right quarter as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right: stored right is shown below
    Image.fromarray(pixels).save(path, exif=exif)
    boxes = (Box(0, 0, 300, 100, 100), Box(1, -10, 380, 50, 60), Box(0, 100, 0, 5, 5))
    example = Example(Source("a", Kind.IMAGE, str(path)), boxes)
    _write_dataset(tmp_path / "set", Lessons(("a", "b"), [example], []), side=200)
    with Image.open(tmp_path / "set" / "images" / "train" / "0000000.jpg") as shown:
        grey = np.asarray(shown.convert("L"), np.float64)
    assert grey.shape == (200, 50)
    assert grey[155:].mean() > 250
    assert grey[:145].mean() < 5
    lines = (tmp_path / "set" / "labels" / "train" / "0000000.txt").read_text().splitlines()
    assert [[float(value) for value in line.split()] for line in lines] == [
        [0, 0.5, 0.875, 1, 0.25],
        [1, 0.2, 0.975, 0.4, 0.05],  # cut to the picture; the third lies outside
    ]
    assert SIDE < 200
