"""The video predictor from encoded file to answer table."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import yaml
from numpy.typing import NDArray

from contract.answers import build_answer, check_answer, flatten, labelled, rejected
from contract.errors import InputError
from contract.predictor import Description, Predictor, Source
from contract.tables import Kind, Task
from contract.terms import Terms, parse_terms
from models.analysis import Reading
from models.ranges import Part, decode_range
from models.registry import ModelEntry, build_predictor
from models.video import VideoPredictor, VideoSettings, from_entry
from tests.oracles import longvideos

Studio = Any  # the class is in conftest.py, which no test can import
ROOT = Path(__file__).resolve().parents[2]


class RedPredictor:
    """Finds what is red, as the class `star`; counts how it was called."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.shapes: list[tuple[int, ...]] = []

    def describe(self) -> Description:
        return Description(
            name="red",
            version="7",
            kind=Kind.IMAGE,
            classes=("star",),
            weights_sha256="ab" * 32,
            runtime="numpy",
            precision="int",
        )

    def load(self, device: str) -> None:
        self.loaded.append(device)

    def predict(self, sources: Sequence[Source]) -> pa.Table:
        rows = []
        for source in sources:
            assert source.data is not None
            decoded = cv2.imdecode(np.frombuffer(source.data, np.uint8), cv2.IMREAD_COLOR)
            if decoded is None:
                rows.append(rejected(source.item, Kind.IMAGE, "no picture"))
                continue
            boxes = self.boxes(np.asarray(decoded[:, :, ::-1], np.uint8))
            rows.append(labelled(source.item, Kind.IMAGE, {Task.BOXES: boxes}))
        return build_answer(Kind.IMAGE, rows)

    def boxes(self, picture: NDArray[np.uint8]) -> list[dict[str, Any]]:
        self.shapes.append(picture.shape)
        red = (picture[:, :, 0] > 180) & (picture[:, :, 1] < 80) & (picture[:, :, 2] < 80)
        if red.sum() < 50:
            return []
        return [{"label": "star", "x": 0.0, "y": 0.0, "w": 9.0, "h": 9.0, "score": 0.75}]


class RedDetector(RedPredictor):
    """The same with the short way for pictures."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[dict[str, Any]]]:
        assert len(images) <= 3
        return [self.boxes(picture) for picture in images]


def terms_with(*events: dict[str, Any], per_second: float = 5.0) -> Terms:
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["guideline"]["events"] = [{"definition": "an event", **event} for event in events]
    document["prelabel"] = {**document.get("prelabel", {}), "event_frames_per_second": per_second, "detector": "fake"}
    return parse_terms(document, origin="demo.yaml")


STAR = {"label": "star", "min_seconds": 0.6, "max_gap_seconds": 0.2, "min_score": 0.5}
BLACK = {"name": "dark", "rule": "black", "min_seconds": 0.4}
FREEZE = {"name": "still", "rule": "freeze", "min_seconds": 0.8}


def with_star(frames: list[Any], first: int, last: int) -> list[Any]:
    frames = [np.repeat(frame[:, :, 1:2], 3, axis=2) for frame in frames]
    for at in range(first, last):
        frames[at][30:60, 40:80] = (230, 20, 20)
    return frames


def video(data: bytes, item: str = "clip") -> Source:
    return Source(item, Kind.VIDEO, f"{item}.mkv", data)


def only(answer: pa.Table) -> dict[str, Any]:
    (row,) = answer.to_pylist()
    assert isinstance(row, dict)
    return row


def test_shots_keyframes_and_no_events_without_terms(studio: Studio) -> None:
    frames, (start, end) = studio.dissolve([*studio.take(1, 50), *studio.take(2, 60)], studio.take(3, 60), 12)
    source = video(studio.encode(frames))
    row = only(check_answer(Kind.VIDEO, [source], VideoPredictor().predict([source])))
    assert row["state"] == "labelled"
    assert [shot["transition"] for shot in row["shots"]] == ["start", "cut", "dissolve"]
    assert row["shots"][0]["end_frame"] == row["shots"][1]["start_frame"] == 50
    assert abs(row["shots"][1]["end_frame"] - start) <= 2
    assert abs(row["shots"][2]["start_frame"] - end) <= 2
    assert row["shots"][2]["end_frame"] == len(frames)
    for shot, key in zip(row["shots"], row["keyframes"], strict=True):
        assert shot["start_frame"] <= key["frame"] < shot["end_frame"]
        assert shot["start_s"] == pytest.approx(shot["start_frame"] / 25, abs=1e-3)
        assert shot["end_s"] == pytest.approx(shot["end_frame"] / 25, abs=1e-3)
        assert key["time_s"] == pytest.approx(key["frame"] / 25, abs=1e-3)
    assert row["events"] == []


def test_seconds_follow_the_timestamps_of_a_variable_rate(studio: Studio) -> None:
    stamps = np.cumsum([0] + [40] * 39 + [100] * 30 + [20] * 30).tolist()
    source = video(studio.encode([*studio.take(1, 40), *studio.take(2, 60)], milliseconds=stamps))
    first, second = only(VideoPredictor().predict([source]))["shots"]
    assert second["start_frame"] == 40
    assert first["end_s"] == second["start_s"] == pytest.approx(stamps[40] / 1000, abs=0.002)


def test_black_and_frozen_pictures_are_exact_within_one_frame(studio: Studio) -> None:
    black = [np.zeros((studio.height, studio.width, 3), np.uint8)] * 15
    frames = [*studio.take(1, 30), *black, *studio.take(2, 20), *[studio.take(2, 21)[20]] * 40, *studio.take(3, 20)]
    predictor = VideoPredictor(terms=terms_with(BLACK, FREEZE))
    events = only(predictor.predict([video(studio.encode(frames))]))["events"]
    assert [event["label"] for event in events] == ["dark", "still"]
    for event, (start, end) in zip(events, [(30, 45), (65, 105)], strict=True):
        assert abs(event["start_frame"] - start) <= 1
        assert abs(event["end_frame"] - end) <= 1
        assert event["score"] is None
    assert predictor.describe().weights_sha256 is None
    assert predictor.describe().classes == ("dark", "still")


@pytest.mark.parametrize("detector", [RedDetector(), RedPredictor()])
def test_object_events_come_from_sampled_frames(studio: Studio, detector: Predictor) -> None:
    rules = [{**STAR, "name": f"star {rule}", "rule": rule} for rule in ("present", "appears", "disappears")]
    predictor = VideoPredictor(terms=terms_with(*rules), settings=VideoSettings(batch=3, longest_side=96), detector=detector)
    predictor.load("cpu")
    frames = with_star(studio.take(1, 100), 25, 65)
    events = only(predictor.predict([video(studio.encode(frames))]))["events"]
    spans = {event["label"]: (event["start_frame"], event["end_frame"], event["score"]) for event in events}
    assert spans == {"star present": (25, 65, 0.75), "star appears": (25, 40, 0.75), "star disappears": (50, 65, 0.75)}
    assert isinstance(detector, RedPredictor)
    assert detector.loaded == ["cpu"]
    assert detector.shapes == [(54, 96, 3)] * (20 + 1 + 6)  # samples, the last frame, and three for each border
    described = predictor.describe()
    assert described.weights_sha256 == "ab" * 32
    assert described.settings["detector"] == "red@7"
    assert described.settings["event_frames_per_second"] == 5.0


def test_the_detector_of_the_terms_is_built_by_the_registry(studio: Studio) -> None:
    terms = terms_with({**STAR, "name": "star", "rule": "present", "min_seconds": 0.2, "min_score": 0.0})
    predictor = build_predictor("shots", Kind.VIDEO, terms=terms)
    assert predictor.describe().settings["detector"] == "fake@1"
    predictor.load("cpu")
    source = video(studio.encode(studio.take(1, 50)))
    assert predictor.predict([source]).equals(predictor.predict([source]))


def test_what_cannot_be_read_is_rejected_beside_its_neighbours(studio: Studio, tmp_path: Path) -> None:
    good = studio.encode([*studio.take(1, 30), *studio.take(2, 30)])
    path = tmp_path / "good.mkv"
    path.write_bytes(good)
    sources = [
        video(b"", "empty"),
        video(good, "good"),
        video(studio.sound(), "sound"),
        Source("path", Kind.VIDEO, str(path)),
        video(good[: len(good) // 2], "cut"),
        Source("absent", Kind.VIDEO, str(tmp_path / "absent.mp4")),
        video(b"not a video at all", "text"),
    ]
    answers = [VideoPredictor(settings=VideoSettings(workers=workers)).predict(sources) for workers in (1, 4)]
    assert answers[0].equals(answers[1])
    rows = {row["item"]: row for row in check_answer(Kind.VIDEO, sources, answers[0]).to_pylist()}
    assert [row["state"] for row in rows.values()] == ["rejected", "labelled", "rejected", "labelled"] + ["rejected"] * 3
    assert rows["good"]["shots"] == rows["path"]["shots"]
    assert "empty" in rows["empty"]["reason"]
    assert "only audio" in rows["sound"]["reason"]
    assert "cut off after" in rows["cut"]["reason"]
    assert "absent.mp4" in rows["absent"]["reason"]
    assert flatten(Task.SHOTS, answers[0], "shots@1").num_rows == 4


def test_no_sources_give_an_empty_answer() -> None:
    assert VideoPredictor().predict([]).num_rows == 0


def test_a_video_of_one_frame_is_one_shot(studio: Studio) -> None:
    row = only(VideoPredictor().predict([video(studio.encode(studio.take(1, 1)))]))
    assert [(shot["start_frame"], shot["end_frame"], shot["transition"]) for shot in row["shots"]] == [(0, 1, "start")]
    assert [key["frame"] for key in row["keyframes"]] == [0]
    assert row["shots"][0]["end_s"] > 0


def test_an_entry_gives_the_predictor_or_says_what_is_wrong(tmp_path: Path) -> None:
    entry = ModelEntry(name="shots", kind=Kind.VIDEO, loader="video", settings={"workers": 2})
    predictor = from_entry(entry, terms=None)
    assert isinstance(predictor, Predictor)
    assert predictor.describe().name == "shots"
    with pytest.raises(InputError, match=r"workers.*models\.yaml"):
        from_entry(entry.model_copy(update={"settings": {"workers": 0}}), terms=None)
    with pytest.raises(InputError, match="has no path"):
        from_entry(entry.model_copy(update={"path": tmp_path}), terms=None)


def test_damage_in_the_middle_is_told_beside_the_labels(tmp_path: Path) -> None:
    data = longvideos.encode(longvideos.pictures(100), options={"g": "20"}, container="mpegts")
    first = len(data) // 188 // 2
    source = video(data[: 188 * first] + data[188 * (first + 3) :])
    row = only(check_answer(Kind.VIDEO, [source], VideoPredictor().predict([source])))
    assert row["state"] == "labelled"
    assert row["shots"][-1]["end_s"] == pytest.approx(4.0, abs=0.01)
    assert "the data is damaged from" in row["reason"]


def test_a_long_video_gets_the_labels_of_a_short_one_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = longvideos.encode(longvideos.pictures(200), options={"g": "25"})
    plain = VideoPredictor().predict([video(data)])
    assert len(only(plain)["shots"]) >= 5
    monkeypatch.setattr("models.video.Reading", partial(Reading, range_frames=30))
    asked = []

    def noted(*of: Any, **how: Any) -> Part:
        asked.append(of)
        return decode_range(*of, **how)

    monkeypatch.setattr("models.analysis.decode_range", noted)
    assert VideoPredictor(settings=VideoSettings(resume_folder=tmp_path)).predict([video(data)]).equals(plain)
    assert len(asked) >= 3
    assert list(tmp_path.iterdir()) == []
