"""The demo's raw data and its truth: rendered scenes, written reviews, rendered clips."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from contract.guideline import DetectionEvent, Guideline, SignalEvent
from contract.labelset import LabelSet
from contract.tables import SCHEMAS, STATES, Kind, State, Task
from goldgate.demo.texts import reviews
from models.detections import Samples, best_score, seen_on
from models.objectevents import object_spans
from models.scenes import Scene, boxes_of, draw, random_scene, render_scene

IMAGES: Final = 120
CLIPS: Final = 16
FPS: Final = 12
_FIRST_IMAGE_SEED: Final = 7_000_000  # far from the seeds of the detector's training and validation
_FIRST_CLIP_SEED: Final = 8_000_000
_CLIP_SIZE: Final = (320, 240)
_SHOT_FRAMES: Final = 34
_DISSOLVE_FRAMES: Final = 8
_FADE_FRAMES: Final = 6
_BLACK_FRAMES: Final = 8
_FREEZE_FRAMES: Final = 16
_BLUR_PX_PER_S: Final = 0.8  # how fast a shot leaves focus away from its keyframe

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Material:
    """Folders of raw data as a client would hand them over, and the truth that a client would not have."""

    images: Path
    texts: Path
    videos: Path
    truth: LabelSet


@dataclass(frozen=True)
class Clip:
    """Frames of a clip with everything that is true of them."""

    frames: list[Picture]
    boxes: list[list[dict[str, Any]]]
    shots: list[tuple[int, int, str]]
    keyframes: list[int]
    black: list[tuple[int, int]]
    frozen: list[tuple[int, int]]


def make_material(folder: Path, guideline: Guideline) -> Material:
    """Render and write the demo's raw data into `folder` and return it with its truth; equal on every machine."""
    states: list[dict[str, str]] = []
    rows: dict[Task, list[dict[str, Any]]] = {task: [] for task in Task}
    images, texts, videos = folder / "images", folder / "texts", folder / "videos"
    for each in (images, texts, videos):
        each.mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        name = f"scene-{number:04d}.jpg"
        picture, boxes = render_scene(_FIRST_IMAGE_SEED + number)
        Image.fromarray(picture).save(images / name, quality=92)
        states.append(_state(name, Kind.IMAGE, State.LABELLED if boxes else State.EMPTY))
        rows[Task.BOXES] += [{"item": name, **box, "source": "truth"} for box in boxes]
    for line, review in _write_reviews(texts / "reviews.csv"):
        item = f"reviews.csv:{line}"
        states.append(_state(item, Kind.TEXT, State.LABELLED))
        rows[Task.SENTIMENTS].append({"item": item, "label": review, "source": "truth"})
    for number in range(CLIPS):
        name = f"clip-{number:02d}.mp4"
        clip = render_clip(number)
        _write_clip(videos / name, clip.frames)
        states.append(_state(name, Kind.VIDEO, State.LABELLED))
        for task, labels in _truth_of_clip(clip, guideline).items():
            rows[task] += [{"item": name, **label, "source": "truth"} for label in labels]
    tables = {task: pa.Table.from_pylist(labels, schema=SCHEMAS[task]) for task, labels in rows.items()}
    return Material(images, texts, videos, LabelSet(pa.Table.from_pylist(states, schema=STATES), tables))


def _state(item: str, kind: Kind, state: State) -> dict[str, str]:
    return {"item": item, "kind": kind.value, "state": state.value}


def _write_reviews(path: Path) -> Iterator[tuple[int, str]]:
    """Write the reviews as a table and yield line number and true label of each."""
    written = reviews()
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text"])
        table.writerows([review.text] for review in written)
    yield from ((line, review.label) for line, review in enumerate(written, start=2))


def render_clip(number: int) -> Clip:
    """Return clip `number`: three shots, joined by a cut and by a dissolve or a fade; every third stands still a while."""
    seed = _FIRST_CLIP_SEED + 10 * number
    shots = [_moving_shot(seed + part, _SHOT_FRAMES + 4 * part) for part in range(3)]
    frozen: list[tuple[int, int]] = []
    if number % 3 == 0:
        frames, boxes = shots[0]
        shots[0] = (frames + [frames[-1]] * _FREEZE_FRAMES, boxes + [boxes[-1]] * _FREEZE_FRAMES)
        frozen.append((len(frames) - 1, len(frames) + _FREEZE_FRAMES))
    clip = Clip(list(shots[0][0]), list(shots[0][1]), [(0, len(shots[0][0]), "start")], [_SHOT_FRAMES // 2], [], frozen)
    _join(clip, shots[1], "cut")
    _join(clip, shots[2], "dissolve" if number % 2 else "fade")
    return clip


def _moving_shot(seed: int, count: int) -> tuple[list[Picture], list[list[dict[str, Any]]]]:
    """Shapes that drift on one ground, in focus at the middle of the shot."""
    scene = replace(
        random_scene(seed, width=_CLIP_SIZE[0], height=_CLIP_SIZE[1], max_shapes=4), marks=(), gain=1.0, noise=3.0
    )
    rng = np.random.default_rng(seed)
    drift = rng.uniform(-1.5, 1.5, (len(scene.shapes), 2))
    frames, boxes = [], []
    for number in range(count):
        now = _moved(scene, drift * number, grain=seed * 1000 + number)
        picture = Image.fromarray(draw(now))
        blur = _BLUR_PX_PER_S * abs(number - _SHOT_FRAMES // 2) / FPS
        frames.append(np.asarray(picture.filter(ImageFilter.GaussianBlur(blur))))
        boxes.append(boxes_of(now))
    return frames, boxes


def _moved(scene: Scene, by: NDArray[np.float64], *, grain: int) -> Scene:
    moved = (replace(shape, x=shape.x + dx, y=shape.y + dy) for shape, (dx, dy) in zip(scene.shapes, by, strict=True))
    return replace(scene, shapes=tuple(moved), grain=grain)


def _join(clip: Clip, shot: tuple[list[Picture], list[list[dict[str, Any]]]], transition: str) -> None:
    """Append `shot` after `transition`; frames within a transition belong to no shot."""
    frames, boxes = shot
    last = clip.frames[-1].astype(np.float64)
    first = frames[0].astype(np.float64)
    if transition == "dissolve":
        weights = np.arange(1, _DISSOLVE_FRAMES + 1) / (_DISSOLVE_FRAMES + 1)
        _append(clip, [(1 - weight) * last + weight * first for weight in weights])
    elif transition == "fade":
        levels = np.arange(_FADE_FRAMES, 0, -1) / (_FADE_FRAMES + 1)
        _append(clip, [level * last for level in levels])
        clip.black.append((len(clip.frames), len(clip.frames) + _BLACK_FRAMES))
        _append(clip, [np.zeros_like(last)] * _BLACK_FRAMES)
        _append(clip, [level * first for level in levels[::-1]])
    start = len(clip.frames)
    clip.frames.extend(frames)
    clip.boxes.extend(boxes)
    clip.shots.append((start, len(clip.frames), transition))
    clip.keyframes.append(start + _SHOT_FRAMES // 2)


def _append(clip: Clip, pictures: list[NDArray[np.float64]]) -> None:
    clip.frames.extend(np.rint(picture).astype(np.uint8) for picture in pictures)
    clip.boxes.extend([] for _ in pictures)


def _write_clip(path: Path, frames: list[Picture]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "16", "preset": "veryfast"})
        stream.width, stream.height = _CLIP_SIZE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _truth_of_clip(clip: Clip, guideline: Guideline) -> dict[Task, list[dict[str, Any]]]:
    shots = [{**_span(start, end), "transition": transition} for start, end, transition in clip.shots]
    keyframes = [{"frame": frame, "time_s": frame / FPS} for frame in clip.keyframes]
    return {Task.SHOTS: shots, Task.KEYFRAMES: keyframes, Task.EVENTS: _events_of_clip(clip, guideline)}


def _events_of_clip(clip: Clip, guideline: Guideline) -> list[dict[str, Any]]:
    """The guideline's rules, applied to what was drawn on every frame instead of to what a model saw."""
    names = sorted({box["label"] for boxes in clip.boxes for box in boxes})
    shown = [[{**box, "score": 1.0} for box in boxes] for boxes in clip.boxes]
    seen = [seen_on(frame, boxes, names) for frame, boxes in zip(clip.frames, shown, strict=True)]
    boxes = {name: [each[name] for each in seen] for name in names}
    scores = {name: np.array([best_score(each) for each in boxes[name]]) for name in names}
    samples = Samples(np.arange(len(clip.frames)) / FPS, len(clip.frames) / FPS, scores, boxes)
    events = []
    for rule in guideline.events:
        spans: list[tuple[int, int]] = []  # nothing is drawn that flashes, and the clips have no sound
        if isinstance(rule, DetectionEvent):
            spans = [(round(span.start * FPS), round(span.end * FPS)) for span in object_spans(samples, rule)]
        elif isinstance(rule, SignalEvent):
            drawn = clip.black if rule.rule == "black" else clip.frozen
            spans = [(start, end) for start, end in drawn if (end - start) / FPS >= rule.min_seconds]
        events += [{"label": rule.name, **_span(start, end)} for start, end in spans]
    return events


def _span(start: int, end: int) -> dict[str, Any]:
    return {"start_frame": start, "end_frame": end, "start_s": start / FPS, "end_s": end / FPS}
