"""Rendered scenes with exact boxes: training data of the bundled detector, and pictures and clips of the demo.

Four classes of shape (circle, square, triangle, star) lie on textured ground among marks that are none of
them (crosses, lines, half rings), with shadows, overlaps, changes of light and noise. A scene is a value: move
its shapes with `dataclasses.replace` and draw it again to get the next frame of a clip.

Coordinates are pixels of the drawn picture, where pixel (i, j) covers [i, i+1) x [j, j+1): COCO's convention.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES: Final = ("circle", "square", "triangle", "star")
MARKS: Final = ("cross", "line", "half_ring")

_SHIFT: Final = 6  # fractional bits of cv2's drawing coordinates
_STAR_INNER: Final = 0.45
_MIN_CONTRAST: Final = 90.0  # distance in RGB between a shape and its ground
_MAX_COVER: Final = 0.15  # largest share of a shape's box that another's may cover
_TRIES: Final = 20
_ROUND_CORNERS: Final = 96  # cv2's own small circles are octagons

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of `label` around centre (x, y) with circumradius `radius`, turned by `angle` radians."""

    label: str
    x: float
    y: float
    radius: float
    angle: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that decides a picture: equal scenes give equal pixels."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
    marks: tuple[Shape, ...] = ()
    ground: Colour = (128, 128, 128)
    texture: int = 0  # seed of the ground's texture
    grain: int = 0  # seed of the noise; change it from frame to frame
    noise: float = 6.0  # standard deviation, in grey levels
    gain: float = 1.0  # brightness of the whole picture
    shadow: tuple[float, float] = (0.0, 0.0)  # by how many pixels shadows fall beside their shapes


def _regular(corners: int) -> NDArray[np.float64]:
    turns = np.arange(corners) * (2 * math.pi / corners)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def _star() -> NDArray[np.float64]:
    points = _regular(10)
    points[1::2] *= _STAR_INNER
    return points


_OUTLINES: Final = MappingProxyType(
    {"circle": _regular(_ROUND_CORNERS), "square": _regular(4), "triangle": _regular(3), "star": _star()}
)


def outline(shape: Shape) -> NDArray[np.float64]:
    """Return the corners of `shape` as (n, 2) float64 pixels; a circle has many, four of them at its extremes.

    Raises:
        KeyError: the shape is a mark.
    """
    angle = 0.0 if shape.label == "circle" else shape.angle
    cos, sin = math.cos(angle), math.sin(angle)
    turned: NDArray[np.float64] = _OUTLINES[shape.label] @ np.array([[cos, sin], [-sin, cos]])
    placed: NDArray[np.float64] = turned * shape.radius + np.array([shape.x, shape.y])
    return placed


def _extent(shape: Shape) -> tuple[float, float, float, float]:
    points = outline(shape)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _cut(points: NDArray[np.float64], axis: int, limit: float, keep: int) -> NDArray[np.float64]:
    """The part of a polygon on one side of a line along an axis (Sutherland and Hodgman, 1974)."""
    inside = (points[:, axis] - limit) * keep >= 0
    kept = []
    for here, there, stays, arrives in zip(points, np.roll(points, -1, 0), inside, np.roll(inside, -1), strict=True):
        if stays:
            kept.append(here)
        if stays != arrives:
            share = (limit - here[axis]) / (there[axis] - here[axis])
            crossing = here + share * (there - here)
            crossing[axis] = limit
            kept.append(crossing)
    return np.array(kept).reshape(-1, 2)


def boxes_of(scene: Scene) -> list[dict[str, Any]]:
    """Return the gold of `scene`: label, x, y, w, h (float pixels), tight around the part of a shape within the picture.

    A shape behind another keeps its whole box; a shape outside the picture has none.
    """
    boxes = []
    for shape in scene.shapes:
        points = outline(shape)
        for axis, limit, keep in ((0, 0.0, 1), (1, 0.0, 1), (0, float(scene.width), -1), (1, float(scene.height), -1)):
            points = _cut(points, axis, limit, keep)
        if not len(points):
            continue
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        if right > left and bottom > top:
            boxes.append({"label": shape.label, "x": left, "y": top, "w": right - left, "h": bottom - top})
    return boxes


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Coordinates as cv2 wants them: its integers are pixel centres."""
    return np.rint((points - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _fill(picture: Picture, shape: Shape, colour: Colour) -> None:
    cv2.fillPoly(picture, [_fixed(outline(shape))], colour, cv2.LINE_AA, _SHIFT)


def _mark(picture: Picture, mark: Shape) -> None:
    thick = max(2, round(mark.radius / 4))
    centre = np.array([mark.x, mark.y])
    along = np.array([math.cos(mark.angle), math.sin(mark.angle)]) * mark.radius
    if mark.label == "half_ring":
        middle = (round(mark.x), round(mark.y))
        size = (round(mark.radius), round(mark.radius))
        cv2.ellipse(picture, middle, size, math.degrees(mark.angle), 0, 180, mark.colour, thick, cv2.LINE_AA)
        return
    strokes = [along] if mark.label == "line" else [along, np.array([-along[1], along[0]])]
    for stroke in strokes:
        start, end = _fixed(centre - stroke), _fixed(centre + stroke)
        cv2.line(picture, start.tolist(), end.tolist(), mark.colour, thick, cv2.LINE_AA, _SHIFT)


def _ground(scene: Scene) -> Picture:
    """Coarse and fine patches, stripes at times, and one soft change of light across the picture."""
    rng = np.random.default_rng(scene.texture)
    size = ((scene.width + 1) // 2, (scene.height + 1) // 2)  # smooth enough to be made small and enlarged
    coarse = cv2.resize(rng.normal(0, 12, (4, 5, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.normal(0, 8, (24, 30)).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        period, turn = rng.uniform(4, 20), rng.uniform(0, math.pi)
        xs = np.arange(size[0], dtype=np.float32) * np.float32(math.cos(turn))
        ys = np.arange(size[1], dtype=np.float32) * np.float32(math.sin(turn))
        fine += np.float32(10) * np.sin((xs[None] + ys[:, None]) * np.float32(2 * math.pi / period))
    light = cv2.resize(rng.uniform(0.75, 1.15, (2, 2)).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    picture = (coarse + fine[..., None] + np.array(scene.ground, np.float32)) * light[..., None]
    small = np.clip(picture, 0, 255).astype(np.uint8)
    ground: Picture = cv2.resize(small, (scene.width, scene.height), interpolation=cv2.INTER_LINEAR)
    return ground


def _cast_shadows(picture: Picture, scene: Scene) -> None:
    dx, dy = scene.shadow
    mask = np.zeros((scene.height, scene.width), np.uint8)
    for shape in scene.shapes:
        moved = Shape(shape.label, shape.x + dx, shape.y + dy, shape.radius, shape.angle, shape.colour)
        _fill(mask, moved, (110, 110, 110))
    mask = cv2.blur(mask, (5, 5))
    picture[:] = cv2.multiply(picture, cv2.cvtColor(255 - mask, cv2.COLOR_GRAY2BGR), scale=1 / 255)


def draw(scene: Scene) -> Picture:
    """Return `scene` as an RGB picture, uint8 of shape (height, width, 3)."""
    picture = _ground(scene)
    for mark in scene.marks:
        _mark(picture, mark)
    if scene.shadow != (0.0, 0.0):
        _cast_shadows(picture, scene)
    for shape in scene.shapes:
        _fill(picture, shape, shape.colour)
    noise = np.random.default_rng(scene.grain).standard_normal((scene.height, scene.width), dtype=np.float32)
    noise *= np.float32(scene.noise)
    noisy = cv2.addWeighted(picture, scene.gain, cv2.merge([noise, noise, noise]), 1.0, 0.0, dtype=cv2.CV_32F)
    lit: Picture = cv2.convertScaleAbs(cv2.max(noisy, 0.0))
    return lit


def _colour_apart_from(ground: Colour, rng: np.random.Generator) -> Colour:
    while True:
        colour = rng.integers(0, 256, 3)
        if float(np.linalg.norm(colour - np.array(ground))) >= _MIN_CONTRAST:
            return int(colour[0]), int(colour[1]), int(colour[2])


def _cover(one: Shape, other: Shape) -> float:
    """The share of the smaller box that the two boxes have in common."""
    a, b = _extent(one), _extent(other)
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(w, 0.0) * max(h, 0.0) / smaller


def _place(scene: Scene, rng: np.random.Generator, placed: list[Shape], names: tuple[str, ...]) -> None:
    """Add one thing of `names` where it covers no other much; none where no place is found."""
    side = min(scene.width, scene.height)
    for _ in range(_TRIES):
        radius = side * float(np.exp(rng.uniform(math.log(0.05), math.log(0.22))))
        x = float(rng.uniform(0.8 * radius, scene.width - 0.8 * radius))
        y = float(rng.uniform(0.8 * radius, scene.height - 0.8 * radius))
        label = names[int(rng.integers(len(names)))]
        shape = Shape(label, x, y, radius, float(rng.uniform(0, 2 * math.pi)), _colour_apart_from(scene.ground, rng))
        bodies = [shape if shape.label in CLASSES else Shape("circle", x, y, radius, 0.0, shape.colour)]
        bodies += [
            other if other.label in CLASSES else Shape("circle", other.x, other.y, other.radius, 0.0, other.colour)
            for other in placed
        ]
        if all(_cover(bodies[0], other) <= _MAX_COVER for other in bodies[1:]):
            placed.append(shape)
            return


def random_scene(seed: int, *, width: int = 320, height: int = 320, max_shapes: int = 7) -> Scene:
    """Return the scene of `seed`: up to `max_shapes` shapes (at times none) and a few marks.

    The same arguments give the same scene on every machine.
    """
    rng = np.random.default_rng(seed)
    ground = tuple(int(value) for value in rng.integers(30, 226, 3))
    empty = Scene(width, height, (), ground=(ground[0], ground[1], ground[2]))
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(0, max_shapes + 1))):
        _place(empty, rng, shapes, CLASSES)
    everything = list(shapes)
    for _ in range(int(rng.integers(0, 4))):
        _place(empty, rng, everything, MARKS)
    falls = rng.uniform(0.01, 0.03, 2) * min(width, height) * rng.choice([-1, 1], 2) * (rng.random() < 0.7)
    return Scene(
        width,
        height,
        tuple(shapes),
        marks=tuple(everything[len(shapes) :]),
        ground=empty.ground,
        texture=seed,
        grain=seed,
        noise=float(rng.uniform(0, 12)),
        gain=float(rng.uniform(0.6, 1.25)),
        shadow=(float(falls[0]), float(falls[1])),
    )


def render_scene(
    seed: int, *, width: int = 320, height: int = 320, max_shapes: int = 7
) -> tuple[Picture, list[dict[str, Any]]]:
    """Return the picture of `random_scene(seed, ...)` and its gold boxes."""
    scene = random_scene(seed, width=width, height=height, max_shapes=max_shapes)
    return draw(scene), boxes_of(scene)
