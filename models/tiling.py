"""Large images in tiles: a detector sees pieces at the size that it was trained for, and what pieces share is merged.

Sources: Akyon, Altinuc and Temizel 2022, "Slicing aided hyper inference and fine-tuning for small object detection"
(arXiv:2202.06934): overlapping slices, the whole image beside them, and boxes merged within their class by intersection over
union or over the smaller box. Within a class boxes are taken by falling score; `drop` removes what overlaps a taken box
(non-maximum suppression), `join` widens the taken box to what overlaps it (greedy merging), so that halves of an object that
two tiles cut become one.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from contract.answers import build_answer, labelled, rejected
from contract.errors import InputError, SourceError
from contract.files import sha256_json
from contract.predictor import Description, Source, calls_at_once
from contract.tables import Kind, Task
from contract.terms import Terms, Tiles
from models.content import read_content
from models.images import MAX_PIXELS, decode_image
from models.registry import ModelEntry, predictor_of

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Box = Mapping[str, Any]
MOST_BOXES: Final = 300


@runtime_checkable
class Detecting(Protocol):
    """A predictor of boxes that takes pixels."""

    def describe(self) -> Description:
        """As `contract.predictor.Predictor`."""
        ...

    def load(self, device: str) -> None:
        """As `contract.predictor.Predictor`."""
        ...

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """As `contract.predictor.Predictor`."""
        ...

    def detect(self, images: Sequence[Picture]) -> Sequence[Sequence[Box]]:
        """Return the boxes of each RGB picture: label, x, y, w, h in pixels, and score."""
        ...


class Window(NamedTuple):
    """A tile: columns [left, right) and rows [top, bottom) of an image."""

    left: int
    top: int
    right: int
    bottom: int


def windows(width: int, height: int, tiles: Tiles) -> Iterator[Window]:
    """Yield the tiles of an image, row by row; the last of a row or column is moved back into the image."""
    for top, left in itertools.product(_starts(height, tiles), _starts(width, tiles)):
        yield Window(left, top, min(left + tiles.side, width), min(top + tiles.side, height))


def _starts(length: int, tiles: Tiles) -> list[int]:
    if length <= tiles.side:
        return [0]
    step = max(1, round(tiles.side * (1 - tiles.overlap)))
    return [*range(0, length - tiles.side, step), length - tiles.side]


class Found(NamedTuple):
    """Boxes of an image: corners x1, y1, x2, y2 of shape (n, 4), scores and classes of shape (n,)."""

    corners: Floats
    scores: Floats
    classes: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> "Found":
        """Return the boxes at `index`."""
        return Found(self.corners[index], self.scores[index], self.classes[index])


def merged(found: Found, *, at: float, by: str = "iou", join: bool = False) -> Found:
    """Return one box for each group of boxes of a class that overlap, by falling score.

    Of equal scores the smaller class, then the smaller corners come first, so that the order of tiles cannot matter.

    Args:
        found: the boxes.
        at: least overlap of boxes that are one.
        by: iou, or ios (over the smaller box).
        join: whether the surest box is widened to the others, or stays as it is.
    """
    keys = (*found.corners.T[::-1], found.classes, -found.scores)
    ordered = found.take(np.lexsort(keys))
    kept: list[int] = []
    corners = ordered.corners.copy()
    for name in np.unique(ordered.classes):
        left = np.flatnonzero(ordered.classes == name)
        while left.size:
            first, rest = left[0], left[1:]
            meets = _overlaps(ordered.corners[first], ordered.corners[rest], by) >= at
            if join and meets.any():
                group = ordered.corners[np.append(first, rest[meets])]
                corners[first] = np.concatenate([group[:, :2].min(axis=0), group[:, 2:].max(axis=0)])
            kept.append(int(first))
            left = rest[~meets]
    index = np.array(sorted(kept), np.int64)
    return Found(corners[index], ordered.scores[index], ordered.classes[index])


def _overlaps(box: Floats, others: Floats, by: str) -> Floats:
    """Return intersection over union (iou) or over the smaller box (ios) of one box with others; 0 where both are empty."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    own, theirs = np.prod(box[2:] - box[:2]), np.prod(others[:, 2:] - others[:, :2], axis=1)
    whole = own + theirs - shared if by == "iou" else np.minimum(own, theirs)
    return np.asarray(np.divide(shared, whole, out=np.zeros(len(others)), where=whole > 0), np.float64)


class TiledDetector:
    """A detector behind the predictor's protocol that sees images in tiles; see the module.

    Args:
        inner: sees the tiles.
        tiles: how images are cut and boxes merged.
        max_pixels: beyond which an image is rejected.
        most: boxes an image, the surest ones.
    """

    def __init__(self, inner: Detecting, tiles: Tiles, *, max_pixels: int = MAX_PIXELS, most: int = MOST_BOXES) -> None:
        self._inner = inner
        self._tiles = tiles
        self._max_pixels = max_pixels
        self._most = most

    @property
    def calls_at_once(self) -> int:
        """How many threads may call this detector at the same time."""
        return calls_at_once(self._inner)

    def describe(self) -> Description:
        """Tell what the detector is, and how images are cut: labels of tiles differ in name from those of whole images."""
        described = self._inner.describe()
        how = self._tiles.model_dump(mode="json")
        named = {f"tiles_{name}": value for name, value in how.items()}
        version = f"{described.version}-t{sha256_json(how)[:6]}"
        return described.model_copy(update={"version": version, "settings": {**described.settings, **named}})

    def load(self, device: str) -> None:
        """Load the detector that sees the tiles; errors are its own."""
        self._inner.load(device)

    def detect(self, images: Sequence[Picture]) -> list[list[dict[str, Any]]]:
        """Return the boxes of each RGB picture (height, width, 3): dicts of label, x, y, w, h (pixels) and score."""
        return [self._of_image(image) for image in images]

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        """Label `sources`: one row each, in order; what cannot be decoded is a rejected row with the reason."""
        rows = []
        for source, picture in zip(sources, self._pictures(sources), strict=True):
            if isinstance(picture, str):
                rows.append(rejected(source.item, Kind.IMAGE, picture))
            else:
                rows.append(labelled(source.item, Kind.IMAGE, {Task.BOXES: self._of_image(picture)}))
        return build_answer(Kind.IMAGE, rows)

    def _pictures(self, sources: Sequence[Source]) -> Iterator[Picture | str]:
        """Decode one image while another is looked at, so that memory holds two."""
        with ThreadPoolExecutor(1) as thread:
            coming = [thread.submit(self._decoded, source) for source in sources[:1]]
            for number in range(len(sources)):
                picture = coming.pop().result()
                coming += [thread.submit(self._decoded, source) for source in sources[number + 1 : number + 2]]
                yield picture

    def _decoded(self, source: Source) -> Picture | str:
        try:
            return decode_image(read_content(source), max_pixels=self._max_pixels)
        except SourceError as error:
            return str(error)

    def _of_image(self, image: Picture) -> list[dict[str, Any]]:
        height, width = image.shape[:2]
        places = list(windows(width, height, self._tiles))
        if len(places) > 1 and self._tiles.whole:
            places.append(Window(0, 0, width, height))
        pieces = [np.ascontiguousarray(image[each.top : each.bottom, each.left : each.right]) for each in places]
        boxes = [
            {**box, "x": box["x"] + place.left, "y": box["y"] + place.top}
            for place, found in zip(places, self._inner.detect(pieces), strict=True)
            for box in found
        ]
        if len(places) == 1 or not boxes:
            return [dict(box) for box in boxes[: self._most]]
        used, names = self._tiles, sorted({box["label"] for box in boxes})
        left_top = np.array([[box["x"], box["y"]] for box in boxes], np.float64)
        found = Found(
            np.concatenate([left_top, left_top + [[box["w"], box["h"]] for box in boxes]], axis=1),
            np.array([box["score"] for box in boxes], np.float64),
            np.array([names.index(box["label"]) for box in boxes], np.int64),
        )
        rows = zip(
            *(part[: self._most].tolist() for part in merged(found, at=used.at, by=used.by, join=used.merge == "join")),
            strict=True,
        )
        return [
            {"label": names[name], "x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, "score": score}
            for (x1, y1, x2, y2), score, name in rows
        ]


def tiles_of(entry: ModelEntry, terms: Terms | None) -> Tiles | None:
    """Return how images are to be cut: by the entry's own settings (null: not at all), else by the terms.

    Raises:
        InputError: the settings are wrong.
    """
    if "tiles" not in entry.settings:
        return None if terms is None else terms.prelabel.tiles
    given = entry.settings["tiles"]
    try:
        return None if given is None else Tiles.model_validate(given)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InputError(f"settings.tiles of model {entry.name!r} are wrong: {words}") from error


def from_entry(entry: ModelEntry, *, terms: Terms | None = None) -> Any:
    """Return the predictor of `entry`, tiled if it or the terms say so, not loaded yet.

    Raises:
        InputError: the settings are wrong, or the model does not take pixels.
    """
    tiles = tiles_of(entry, terms)
    rest = {name: value for name, value in entry.settings.items() if name != "tiles"}
    plain = (
        None if terms is None else terms.model_copy(update={"prelabel": terms.prelabel.model_copy(update={"tiles": None})})
    )
    inner = predictor_of(entry.model_copy(update={"settings": rest}), terms=plain)
    if tiles is None:
        return inner
    if not isinstance(inner, Detecting):
        raise InputError(f"model {entry.name!r} cannot see images in tiles; take them out of its settings or of the terms")
    if terms is None:
        return TiledDetector(inner, tiles)
    return TiledDetector(inner, tiles, max_pixels=terms.limits.max_image_pixels, most=terms.prelabel.max_boxes)
