"""Events from encoded file to answer: squares that move, lights that flash, sound that stops; and a real detector."""

import io
import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
import yaml
from numpy.typing import NDArray

from contract.answers import build_answer, check_answer
from contract.predictor import Description, Predictor, Source
from contract.tables import Kind
from contract.terms import Terms, parse_terms
from models.detector import from_entry
from models.registry import ModelEntry
from models.video import VideoPredictor, VideoSettings

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
WIDTH, HEIGHT, SIDE, FPS = 192, 108, 24, 25
CLIP = SHARED / "clips" / "bottle-detection.mp4"
RIGHT = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
SEEN = {"definition": "d", "min_seconds": 0.4, "max_gap_seconds": 0.2, "min_score": 0.5}
COLOURS = {"star": (220, 30, 30), "circle": (30, 30, 220)}

Picture = NDArray[np.uint8]
Squares = Mapping[str, Sequence[tuple[float, float]]]  # class -> left upper corners in pixels


class SquareDetector:
    """Finds squares by their colour; notes how many pictures it was asked for at a time."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def describe(self) -> Description:
        return Description(
            name="squares",
            version="1",
            kind=Kind.IMAGE,
            classes=tuple(COLOURS),
            weights_sha256=None,
            runtime="cv2",
            precision="int",
        )

    def load(self, device: str) -> None:
        assert device == "cpu"

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        assert not sources
        return build_answer(Kind.IMAGE, [])

    def detect(self, images: Sequence[Picture]) -> list[list[dict[str, Any]]]:
        self.calls.append(len(images))
        return [[box for label in COLOURS for box in self._boxes(image, label)] for image in images]

    def _boxes(self, image: Picture, label: str) -> list[dict[str, Any]]:
        near = np.abs(image.astype(np.int16) - np.array(COLOURS[label], np.int16)).max(axis=2) < 70
        _, _, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8))
        boxes = stats[1:]
        return [
            {"label": label, "x": float(x), "y": float(y), "w": float(w), "h": float(h), "score": 0.75}
            for x, y, w, h, area in boxes.tolist()
            if area > SIDE
        ]


def drawn(squares: Squares, *, light: int = 90) -> Picture:
    picture = np.full((HEIGHT, WIDTH, 3), light, np.uint8)
    for label, corners in squares.items():
        for x, y in corners:
            cv2.rectangle(picture, (round(x), round(y)), (round(x) + SIDE - 1, round(y) + SIDE - 1), COLOURS[label], -1)
    return picture


def encoded(
    pictures: Sequence[Picture], *, milliseconds: Sequence[int] | None = None, sound: NDArray[np.float32] | None = None
) -> bytes:
    """Return a file of `pictures` at 25 a second, or at the given times, with mono `sound` at 48 kHz."""
    held = io.BytesIO()
    with av.open(held, "w", format="matroska") as output:
        video = output.add_stream("libx264", rate=FPS, options={"crf": "10", "preset": "veryfast", "bf": "2", "g": "30"})
        assert isinstance(video, av.VideoStream)
        (video.height, video.width), video.pix_fmt = pictures[0].shape[:2], "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = output.add_stream("flac", rate=48_000) if sound is not None else None
        for at, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = milliseconds[at] if milliseconds else 40 * at, Fraction(1, 1000)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None:
            assert isinstance(audio, av.AudioStream)
            samples = np.round(sound[None, :] * 32767).astype(np.int16)
            for at in range(0, samples.shape[1], 4800):
                part = np.ascontiguousarray(samples[:, at : at + 4800])
                piece = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 48_000, at, Fraction(1, 48_000)
                output.mux(audio.encode(piece))
            output.mux(audio.encode(None))
    return held.getvalue()


def terms_with(*events: dict[str, Any], per_second: float = 5.0, classes: Sequence[str] = ()) -> Terms:
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["guideline"]["classes"] += [{"name": name, "definition": "d"} for name in classes]
    document["guideline"]["events"] = [{"definition": "an event", **event} for event in events]
    document["prelabel"] |= {"event_frames_per_second": per_second, "detector": "fake"}
    return parse_terms(document, origin="demo.yaml")


def found_in(
    data: bytes, terms: Terms, *, detector: Predictor | None = None, **settings: Any
) -> list[tuple[str, int, int, float | None]]:
    predictor = VideoPredictor(terms=terms, settings=VideoSettings(**settings), detector=detector or SquareDetector())
    source = Source("clip", Kind.VIDEO, "clip.mkv", data)
    (row,) = check_answer(Kind.VIDEO, [source], predictor.predict([source])).to_pylist()
    assert row["state"] == "labelled", row["reason"]
    return [(each["label"], each["start_frame"], each["end_frame"], each["score"]) for each in row["events"]]


def walk() -> list[float]:
    """Return the left edge of a square, frame by frame: in from the left, over the middle, a rest, and back again."""
    there = [20 + 1.5 * at for at in range(70)]
    return [20.0] * 15 + there + [there[-1]] * 30 + there[::-1] + [20.0] * 15


def inside(places: Sequence[float]) -> list[int]:
    return [at for at, x in enumerate(places) if x + SIDE / 2 >= WIDTH / 2]


REGION = [
    {**SEEN, "name": kind, "rule": kind, "label": "star", "region": RIGHT, "anchor": "center"}
    for kind in ("enters", "leaves", "dwell")
]


@pytest.mark.parametrize("per_second", [2.5, 5.0, 25.0])
def test_one_object_enters_a_region_stays_and_leaves(per_second: float) -> None:
    places = walk()
    data = encoded([drawn({"star": [(x, 40)]}) for x in places])
    first, *_, last = inside(places)
    detector = SquareDetector()
    found = found_in(data, terms_with(*REGION, per_second=per_second), detector=detector)
    events = {name: (start, end) for name, start, end, _ in found}
    expected = {"enters": (first, first + 10), "leaves": (last + 1 - 10, last + 1), "dwell": (first, last + 1)}
    assert events.keys() == expected.keys()
    for name, span in expected.items():
        assert events[name] == pytest.approx(span, abs=1), name
    coarse = len(range(0, len(places), round(FPS / per_second))) + 1
    assert sum(detector.calls) <= coarse + 2 * 4


def test_objects_are_told_apart() -> None:
    """One goes right and one goes left on lanes of their own, at the same time."""
    right = [20 + 1.5 * at for at in range(80)]
    data = encoded([drawn({"star": [(x, 15), (WIDTH - SIDE - x, 65)]}) for x in right])
    first = inside(right)[0]
    mirrored = inside([WIDTH - SIDE - x for x in right])
    events = sorted(found_in(data, terms_with(*REGION)))
    assert [name for name, *_ in events] == ["dwell", "dwell", "enters", "leaves"]
    spans = [(start, end) for _, start, end, _ in events]
    assert spans[0] == pytest.approx((0, mirrored[-1] + 1), abs=1)
    assert spans[1] == pytest.approx((first, len(right)), abs=1)
    assert spans[2] == pytest.approx((first, first + 10), abs=1)
    assert spans[3] == pytest.approx((mirrored[-1] - 9, mirrored[-1] + 1), abs=1)


def test_what_comes_into_view_within_a_region_has_not_entered_it() -> None:
    shown = [{"star": [(130, 40)]} if 20 <= at < 60 else {} for at in range(80)]
    events = found_in(encoded([drawn(squares) for squares in shown]), terms_with(*REGION))
    assert events == [("dwell", 20, 60, 0.75)]


def test_no_object_is_followed_over_a_cut() -> None:
    outside = [drawn({"star": [(60, 40)]})] * 30
    within = [255 - drawn({}, light=200) for _ in range(30)]
    for picture in within:
        picture[40:64, 90:114] = COLOURS["star"]
        picture[:30] = 230
    names = [name for name, *_ in found_in(encoded(outside + within), terms_with(*REGION))]
    assert names == ["dwell"]


CROWD = [
    {**SEEN, "name": "two stars", "rule": "count_over", "label": "star", "count": 1},
    {**SEEN, "name": "no star", "rule": "count_under", "label": "star", "count": 1},
    {
        **SEEN,
        "name": "nobody right",
        "rule": "count_under",
        "label": "star",
        "count": 1,
        "region": RIGHT,
        "anchor": "center",
    },
    {**SEEN, "name": "star and circle", "rule": "co_occurrence", "labels": ["star", "circle"]},
    {**SEEN, "name": "circle", "rule": "appears", "label": "circle"},
]


def crowd() -> list[Squares]:
    shown: list[Squares] = [{}] * 23
    shown += [{"star": [(20, 20)]}] * 31
    shown += [{"star": [(20, 20), (130, 20)]}] * 27
    shown += [{"star": [(20, 20), (130, 20)], "circle": [(70, 70)]}] * 34
    return shown + [{"circle": [(70, 70)]}] * 22


EXPECTED = [
    ("no star", 0, 23),
    ("nobody right", 0, 54),
    ("two stars", 54, 115),
    ("circle", 81, 91),
    ("star and circle", 81, 115),
    ("no star", 115, 137),
    ("nobody right", 115, 137),
]


@pytest.mark.parametrize("per_second", [1.0, 3.0, 5.0])
def test_counts_and_two_classes_at_once(per_second: float) -> None:
    """Up to the end: the last frame is always looked at."""
    data = encoded([drawn(squares) for squares in crowd()])
    events = found_in(data, terms_with(*CROWD, per_second=per_second))
    assert [event[:3] for event in events] == EXPECTED
    assert {event[0]: event[3] for event in events} == {
        "no star": 1.0, "nobody right": 1.0, "two stars": 0.75, "circle": 0.75, "star and circle": 0.75
    }  # fmt: skip


def test_batches_workers_and_picture_sizes_change_nothing() -> None:
    data = encoded([drawn(squares) for squares in crowd()])
    terms = terms_with(*CROWD, *REGION, per_second=3.0)
    settings: list[dict[str, Any]] = [{}, {"batch": 1}, {"batch": 3, "workers": 2}, {"longest_side": 191}]
    answers = [found_in(data, terms, **each) for each in settings]
    assert answers[0] == answers[1] == answers[2]
    assert [each[:3] for each in answers[3]] == [each[:3] for each in answers[0]]


def test_times_follow_a_variable_rate() -> None:
    """The same frames, but every other stretch is shown at a third of the rate, beginning at half a second."""
    stamps = [500]
    for at in range(1, len(crowd())):
        stamps.append(stamps[-1] + (120 if at // 20 % 2 else 40))
    data = encoded([drawn(squares) for squares in crowd()], milliseconds=stamps)
    whole = [event for event in found_in(data, terms_with(*CROWD, per_second=3.0)) if event[0] != "circle"]
    assert [event[:3] for event in whole] == [event for event in EXPECTED if event[0] != "circle"]


def test_flash_and_silence_beside_each_other() -> None:
    rules = [
        {"name": "flash", "rule": "flash", "min_rise": 40.0, "max_seconds": 0.3},
        {"name": "quiet", "rule": "silence", "below_dbfs": -50.0, "min_seconds": 1.0},
    ]
    lights = [90] * 40 + [240] * 3 + [90] * 20 + [200] * 37
    pictures = [drawn({"star": [(40 + at / 2, 30)]}, light=light) for at, light in enumerate(lights)]
    at = np.arange(4 * 48_000) / 48_000
    sound = (0.3 * np.sin(2 * np.pi * 440 * at) * ((at < 1.2) | (at >= 2.8))).astype(np.float32)
    events = found_in(encoded(pictures, sound=sound), terms_with(*rules))
    assert [event[0] for event in events] == ["quiet", "flash"]
    assert events[0][1:3] == pytest.approx((30, 70), abs=1)
    assert events[1][1:] == (40, 43, None)
    assert [event[0] for event in found_in(encoded(pictures), terms_with(*rules))] == ["flash"]


def shelf() -> bytes:
    """Return 75 frames of a clip in which a person takes a bottle away."""
    with av.open(str(CLIP)) as given:
        frames = itertools.islice(given.decode(video=0), 150, 225)
        return encoded([np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames])


def test_few_looks_with_yolo_agree_with_looking_at_every_frame() -> None:
    weights = SHARED / "weights" / "yolo11n_int8_openvino_model"
    if not weights.exists() or not CLIP.exists():
        pytest.skip(f"{SHARED} holds no clip of bottles or no YOLO weights")
    pytest.importorskip("openvino")
    rules = [
        {**SEEN, "name": "comes", "rule": "appears", "label": "person", "min_score": 0.4},
        {**SEEN, "name": "goes", "rule": "disappears", "label": "person", "min_score": 0.4},
        {**SEEN, "name": "both", "rule": "co_occurrence", "labels": ["person", "bottle"], "min_score": 0.4},
        {**SEEN, "name": "three", "rule": "count_over", "label": "bottle", "count": 2, "min_score": 0.4},
        {**SEEN, "name": "stands", "rule": "dwell", "label": "bottle", "region": RIGHT, "anchor": "bottom_center"},
    ]
    data = shelf()
    told = []
    for per_second in (4.0, 25.0):
        terms = terms_with(*rules, per_second=per_second, classes=["person", "bottle"])
        detector = from_entry(ModelEntry(name="yolo", kind=Kind.IMAGE, loader="ultralytics", path=weights), terms=terms)
        detector.load("cpu")
        told.append(found_in(data, terms, detector=detector))
    few, every = ([(name, (start, end)) for name, start, end, _ in events] for events in told)
    assert {name for name, _ in every} == {"comes", "goes", "both", "three", "stands"}
    assert [name for name, _ in few] == [name for name, _ in every]
    for (_, found), (_, expected) in zip(few, every, strict=True):
        assert found == pytest.approx(expected, abs=1)
