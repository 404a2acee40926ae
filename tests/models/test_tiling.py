"""Images in tiles, with a detector that finds rectangles of exact colours: what it cannot see whole must come together."""

import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from contract.errors import InputError
from contract.predictor import Description, Source
from contract.tables import Kind
from contract.terms import Terms, Tiles, load_terms
from models.registry import ModelEntry, build_predictor, predictor_of
from models.tiling import Found, TiledDetector, from_entry, merged, tiles_of, windows

ROOT = Path(__file__).resolve().parents[2]
TERMS = load_terms(ROOT / "configs" / "demo.yaml")
COLOURS = {"red": (200, 0, 0), "green": (0, 200, 0)}
Picture = NDArray[np.uint8]
Rectangle = tuple[str, int, int, int, int]


class ColourDetector:
    """Finds every connected patch of a known colour; the larger it is, the surer. Remembers the sizes that it was given."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.seen: list[tuple[int, ...]] = []

    def describe(self) -> Description:
        return Description(
            name="colours",
            version="1",
            kind=Kind.IMAGE,
            classes=tuple(COLOURS),
            weights_sha256=None,
            runtime="none",
            precision="none",
            settings={"side": self.side},
        )

    def load(self, device: str) -> None:
        assert device == "cpu"

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        raise AssertionError("tiles come as pixels")

    def detect(self, images: Sequence[Picture]) -> list[list[dict[str, Any]]]:
        return [self._of(image) for image in images]

    def _of(self, image: Picture) -> list[dict[str, Any]]:
        self.seen.append(image.shape)
        found = []
        for label, colour in COLOURS.items():
            patches, _ = ndimage.label((image == colour).all(axis=2))
            for down, across in ndimage.find_objects(patches):
                w, h = across.stop - across.start, down.stop - down.start
                box = {"x": float(across.start), "y": float(down.start), "w": float(w), "h": float(h)}
                found.append({"label": label, **box, "score": min(1.0, w * h / self.side**2)})
        return found


def tiles(**changes: Any) -> Tiles:
    return Tiles.model_validate({"side": 64, "overlap": 0.5, "whole": False, **changes})


def drawn(width: int, height: int, rectangles: Sequence[Rectangle]) -> Picture:
    image = np.zeros((height, width, 3), np.uint8)
    for label, x, y, w, h in rectangles:
        image[y : y + h, x : x + w] = COLOURS[label]
    return image


@st.composite
def scattered(draw: st.DrawFn) -> tuple[int, int, list[Rectangle]]:
    """An image and rectangles in it of at most 31 pixels, one to a cell of 40, so that none touch."""
    width, height = draw(st.integers(65, 200)), draw(st.integers(20, 200))
    found: list[Rectangle] = []
    for top in range(0, height - 39, 40):
        for left in range(0, width - 39, 40):
            if draw(st.booleans()):
                w, h = draw(st.integers(1, 31)), draw(st.integers(1, 31))
                x, y = left + draw(st.integers(0, 38 - w)), top + draw(st.integers(0, 38 - h))
                found.append((draw(st.sampled_from(sorted(COLOURS))), x, y, w, h))
    return width, height, found


def rectangles_of(boxes: Sequence[dict[str, Any]]) -> list[Rectangle]:
    return sorted((box["label"], *(int(box[side]) for side in "xywh")) for box in boxes)


@settings(max_examples=60)
@given(scattered(), st.sampled_from(["join", "drop"]), st.booleans())
def test_what_is_smaller_than_the_overlap_is_found_exactly_once(
    drawing: tuple[int, int, list[Rectangle]], merge: str, whole: bool
) -> None:
    width, height, wanted = drawing
    detector = TiledDetector(ColourDetector(64), tiles(merge=merge, whole=whole))
    (found,) = detector.detect([drawn(width, height, wanted)])
    assert rectangles_of(found) == sorted(wanted)
    scores = [box["score"] for box in found]
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 100), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_tiles_cover_the_image_and_overlap(width: int, height: int, side: int, overlap: float) -> None:
    cut = tiles(side=side, overlap=overlap)
    places = list(windows(width, height, cut))
    covered = np.zeros((height, width), np.bool_)
    for place in places:
        assert (place.right - place.left, place.bottom - place.top) == (min(side, width), min(side, height))
        covered[place.top : place.bottom, place.left : place.right] = True
    assert covered.all()
    assert len(set(places)) == len(places)
    lefts = sorted({place.left for place in places})
    assert all(after - before <= max(1, round(side * (1 - overlap))) for before, after in itertools.pairwise(lefts))


def test_an_object_larger_than_a_tile_is_seen_in_the_whole_image() -> None:
    wanted: list[Rectangle] = [("red", 10, 10, 150, 120)]
    image = drawn(200, 160, wanted)
    (found,) = TiledDetector(ColourDetector(160), tiles(whole=True)).detect([image])
    assert rectangles_of(found) == wanted


def test_halves_are_joined_and_dropped_boxes_leave_the_surest() -> None:
    corners = np.array([[0.0, 0, 10, 10], [5, 0, 14, 10], [0, 0, 10, 10], [30, 0, 40, 10]])
    found = Found(corners, np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 1, 0]))
    joined = merged(found, at=0.5, by="ios", join=True)
    assert joined.corners.tolist() == [[0, 0, 14, 10], [0, 0, 10, 10], [30, 0, 40, 10]]
    assert joined.scores.tolist() == [0.9, 0.7, 0.6]
    assert merged(found, at=0.5, by="ios").corners.tolist() == corners[[0, 2, 3]].tolist()
    # by union they meet in 50 of 140
    assert len(merged(found, at=0.4).scores) == 4


def slow_drop(found: Found, by: str, at: float) -> list[int]:
    keys = [(-found.scores[row], found.classes[row], *found.corners[row].tolist()) for row in range(len(found.scores))]
    kept: list[int] = []
    for row in sorted(range(len(keys)), key=lambda each: keys[each]):
        x1, y1, x2, y2 = found.corners[row]
        for other in kept:
            if found.classes[other] != found.classes[row]:
                continue
            a1, b1, a2, b2 = found.corners[other]
            shared = max(0.0, min(x2, a2) - max(x1, a1)) * max(0.0, min(y2, b2) - max(y1, b1))
            own, theirs = (x2 - x1) * (y2 - y1), (a2 - a1) * (b2 - b1)
            whole = own + theirs - shared if by == "iou" else min(own, theirs)
            if whole > 0 and shared / whole >= at:
                break
        else:
            kept.append(row)
    return kept


EDGES = st.integers(0, 6)
BOXES = st.lists(
    st.tuples(EDGES, EDGES, st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.25, 0.5]), st.integers(0, 1)),
    max_size=8,
)


@settings(max_examples=100)
@given(BOXES, st.sampled_from(["iou", "ios"]), st.sampled_from([0.25, 0.5, 1.0]))
def test_suppression_is_that_of_a_plain_loop_in_any_order(rows: list[tuple[Any, ...]], by: str, at: float) -> None:
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h, _, _ in rows], np.float64).reshape(-1, 4)
    found = Found(corners, np.array([row[4] for row in rows], np.float64), np.array([row[5] for row in rows], np.int64))
    result = merged(found, at=at, by=by)
    wanted = slow_drop(found, by, at)
    assert result.corners.tolist() == corners[wanted].tolist()
    assert result.classes.tolist() == found.classes[wanted].tolist()
    back = found.take(np.arange(len(rows))[::-1].astype(np.int64))
    assert merged(back, at=at, by=by).corners.tolist() == result.corners.tolist()
    joined = merged(found, at=at, by=by, join=True)
    assert joined.scores.tolist() == result.scores.tolist()


def test_a_small_image_is_one_tile_and_memory_of_answers_is_bounded() -> None:
    detector = ColourDetector(64)
    few = TiledDetector(detector, tiles(), most=1)
    (found,) = few.detect([drawn(50, 60, [("red", 1, 1, 5, 5), ("green", 10, 10, 20, 20)])])
    assert detector.seen == [(60, 50, 3)]
    assert len(found) == 1
    (many,) = few.detect([drawn(150, 60, [("red", 1, 1, 5, 5), ("green", 90, 10, 20, 20)])])
    assert rectangles_of(many) == [("green", 90, 10, 20, 20)]


def encoded(image: Picture) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_sources_become_rows_and_what_is_broken_is_told() -> None:
    wanted: list[Rectangle] = [("green", 100, 30, 20, 25), ("red", 5, 5, 10, 10)]
    whole = encoded(drawn(180, 90, wanted))
    contents = {"a": whole, "b": whole[:60], "c": encoded(np.zeros((70, 70, 3), np.uint8))}
    sources = [Source(item, Kind.IMAGE, item, content) for item, content in contents.items()]
    answer = TiledDetector(ColourDetector(64), tiles()).predict(sources)
    assert answer["state"].to_pylist() == ["labelled", "rejected", "empty"]
    assert rectangles_of(answer["boxes"][0].as_py()) == wanted
    tight = TiledDetector(ColourDetector(64), tiles(), max_pixels=100).predict(sources[:1])
    assert "more than the limit of 100" in tight["reason"][0].as_py()
    assert TiledDetector(ColourDetector(64), tiles()).predict([]).num_rows == 0


def test_the_description_tells_how_images_are_cut() -> None:
    one, other = (TiledDetector(ColourDetector(64), tiles(side=side)).describe() for side in (64, 128))
    assert one.version != other.version
    assert one.settings["tiles_side"] == 64
    assert one.settings["side"] == 64
    assert one.classes == tuple(COLOURS)


def entry(**more: Any) -> ModelEntry:
    path = ROOT / "models" / "bundled" / "scene-detector" / "scene-detector.pt"
    return ModelEntry(name="scenes", kind=Kind.IMAGE, loader="ultralytics", path=path, settings=more)


def with_tiles(cut: Tiles | None) -> Terms:
    return TERMS.model_copy(update={"prelabel": TERMS.prelabel.model_copy(update={"tiles": cut})})


def test_tiles_stand_in_the_terms_or_in_the_models_settings() -> None:
    cut = tiles(side=320)
    assert tiles_of(entry(), with_tiles(cut)) == cut
    assert tiles_of(entry(tiles={"side": 100}), with_tiles(cut)) == Tiles(side=100)
    assert tiles_of(entry(tiles=None), with_tiles(cut)) is None
    assert tiles_of(entry(), TERMS) is None
    with pytest.raises(InputError, match=r"settings\.tiles of model 'scenes' are wrong: overlap"):
        tiles_of(entry(tiles={"side": 100, "overlap": 1.0}), None)
    assert isinstance(predictor_of(entry(), terms=with_tiles(cut)), TiledDetector)
    assert not isinstance(predictor_of(entry(), terms=TERMS), TiledDetector)
    assert not isinstance(predictor_of(entry(tiles=None), terms=with_tiles(cut)), TiledDetector)
    with pytest.raises(InputError, match="cannot see images in tiles"):
        from_entry(ModelEntry(name="fake", kind=Kind.IMAGE, loader="fake"), terms=with_tiles(cut))


def test_terms_without_tiles_keep_their_digest() -> None:
    assert "tiles" not in TERMS.model_dump(mode="json")["prelabel"]
    assert with_tiles(tiles()).sha256 != TERMS.sha256


def test_the_bundled_detector_sees_small_shapes_in_tiles() -> None:
    from models.scenes import draw, random_scene

    scene = random_scene(3, width=320, height=320)
    canvas = np.full((960, 960, 3), 128, np.uint8)
    canvas[640:, 320:640] = draw(scene)
    detector = build_predictor("scene-detector", Kind.IMAGE, terms=with_tiles(tiles(side=320, overlap=0.25)))
    detector.load("cpu")
    (boxes,) = detector.predict([Source("a", Kind.IMAGE, "a.png", encoded(canvas))])["boxes"].to_pylist()
    assert boxes
    assert all(box["x"] > 300 and box["y"] > 620 for box in boxes if box["score"] > 0.5)
