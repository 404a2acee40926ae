"""Streams: the same boxes as Ultralytics' own way with an OpenVINO model, whoever asks beside, in order."""

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import models.detector
from contract.predictor import Source, calls_at_once
from contract.tables import Kind, State
from models.class_map import map_classes
from models.detector import Detector
from models.registry import ModelEntry
from models.scenes import CLASSES, render_scene
from models.streams import Streams, open_streams
from models.train_detector import write_architecture
from models.yolo import quiet_ultralytics

pytest.importorskip("openvino")

LOW = {"conf": 0.0001, "max_det": 20}


def exported(folder: Path, *, dynamic: bool) -> Path:
    torch.manual_seed(7)
    model = quiet_ultralytics().YOLO(str(write_architecture(folder)), task="detect")
    model.model.names = dict(enumerate(CLASSES))
    model.save(str(folder / "tiny.pt"))
    again = quiet_ultralytics().YOLO(str(folder / "tiny.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own, of many kinds
        return Path(again.export(format="openvino", imgsz=64, dynamic=dynamic))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("static"), dynamic=False)


def loaded(folder: Path, **more: Any) -> Detector:
    entry = ModelEntry(name="tiny", kind=Kind.IMAGE, loader="ultralytics", path=folder, settings={**LOW, **more})
    found = Detector(entry)
    found.load("cpu")
    return found


@pytest.fixture(scope="module")
def streamed(folder: Path) -> Detector:
    return loaded(folder)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Detector:
    """The same weights by Ultralytics' predict."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.detector, "open_streams", lambda *_, **__: None)
        return loaded(folder)


def sources(count: int) -> list[Source]:
    found = []
    for seed in range(count):
        picture = render_scene(seed, width=48 + 31 * (seed % 4), height=40 + 23 * (seed % 3))[0]
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        found.append(Source(f"s{seed}", Kind.IMAGE, f"s{seed}.png", file.getvalue()))
    return found


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert [row["item"] for row in ours] == [row["item"] for row in theirs]
    assert sum(len(row["boxes"]) for row in theirs) > 10
    for row, other in zip(ours, theirs, strict=True):
        assert len(row["boxes"]) == len(other["boxes"])
        for box, wanted in zip(row["boxes"], other["boxes"], strict=True):
            assert box["label"] == wanted["label"]
            assert [box[key] for key in "xywh"] == pytest.approx([wanted[key] for key in "xywh"], abs=1e-2)
            assert box["score"] == pytest.approx(wanted["score"], abs=1e-5)


def test_the_boxes_are_those_of_ultralytics(streamed: Detector, plain: Detector) -> None:
    asked = sources(9)
    assert_same(streamed.predict(asked).to_pylist(), plain.predict(asked).to_pylist())
    assert streamed.describe() == plain.describe()
    assert (calls_at_once(plain), calls_at_once(streamed)) == (1, streamed.calls_at_once)
    assert streamed.predict([]).num_rows == 0
    picture = render_scene(4, width=96, height=64)[0]
    assert streamed.detect([picture, picture])[1] == streamed.detect([picture])[0]


def test_a_model_of_any_size_sees_the_side_that_is_set(tmp_path: Path) -> None:
    open_model = exported(tmp_path, dynamic=True)
    streams = open_streams(open_model, side=96)
    assert streams is not None
    assert (streams.height, streams.width) == (96, 96)
    ours = loaded(open_model, imgsz=96)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.detector, "open_streams", lambda *_, **__: None)
        theirs = loaded(open_model, imgsz=96)
    assert_same(ours.predict(sources(3)).to_pylist(), theirs.predict(sources(3)).to_pylist())


def test_callers_side_by_side_each_get_their_own(streamed: Detector) -> None:
    asked = sources(12)
    alone = [streamed.predict([source]).to_pylist()[0] for source in asked]
    calls = [asked[:1], asked[1:4], asked[4:5], asked[5:12]] * 3
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = list(threads.map(lambda call: streamed.predict(call).to_pylist(), calls))
    assert [row for answer in answers for row in answer] == alone * 3


def test_a_broken_picture_fails_none_of_its_neighbours(streamed: Detector) -> None:
    good = sources(3)
    mixed = [good[0], Source("junk", Kind.IMAGE, "junk", b"junk"), *good[1:]]
    rows = streamed.predict(mixed).to_pylist()
    assert rows[1]["state"] == State.REJECTED.value
    assert [row for row in rows if row["item"] != "junk"] == streamed.predict(good).to_pylist()
    assert streamed.predict(mixed[1:2]).to_pylist() == rows[1:2]


def test_what_the_work_raises_is_raised_and_nothing_stays_under_way(folder: Path) -> None:
    streams = open_streams(folder, side=None)
    assert streams is not None

    def work(number: int) -> int:
        if number == 2:
            raise ArithmeticError("two")
        return number

    for items in ([2], [0, 1, 2, 3, 4], [2, 2]):
        with pytest.raises(ArithmeticError):
            streams.together(work, items)
    used = lone_or_shared(streams)
    assert used == ["alone"]


def lone_or_shared(streams: Streams) -> list[str]:
    """Return which of its two networks a lone picture goes through."""
    used: list[str] = []
    picture = np.zeros((streams.height, streams.width, 3), np.uint8)

    class Noted:
        def __init__(self, request: Any) -> None:
            self._request = request

        def infer(self, *arguments: Any, **options: Any) -> Any:
            used.append("alone")
            return self._request.infer(*arguments, **options)

    streams._alone = Noted(streams._alone)
    streams.together(streams.forward, [picture])
    return used


def test_a_picture_with_company_does_not_go_alone(folder: Path) -> None:
    streams = open_streams(folder, side=None)
    assert streams is not None
    picture = np.zeros((streams.height, streams.width, 3), np.uint8)
    assert lone_or_shared(streams) == ["alone"]
    held, go = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        held.set()
        go.wait(60)

    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(streams.together, slow, [0])
        held.wait(60)
        streams._alone = None  # would fail if it were used
        streams.together(streams.forward, [picture])
        go.set()
        other.result()


@settings(max_examples=60, deadline=None)
@example(6, 0, 0.7)  # as many as a network that suppresses by itself has columns
@given(st.integers(0, 24), st.integers(0, 2**31), st.sampled_from([0.1, 0.3, 0.7]))
def test_unlikely_candidates_may_be_left_out_before_suppression(count: int, seed: int, iou: float) -> None:
    from ultralytics.utils.nms import non_max_suppression

    detector = Detector.__new__(Detector)
    detector._settings = models.detector.Settings(conf=0.25, iou=iou, max_det=10)
    detector.__dict__["_classes"] = map_classes({0: "a", 1: "b"}, None)
    output = candidates(count, seed)
    (wanted,) = non_max_suppression(torch.from_numpy(output.copy()), 0.25, iou, max_det=10, classes=[0, 1])
    assert np.array_equal(detector._suppressed(output.copy()), wanted.numpy())


def candidates(likely: int, seed: int) -> NDArray[np.float32]:
    """Return a network's output, 1 x 6 x 40, with so many candidates above the score, some tied, some on top of others."""
    random = np.random.default_rng(seed)
    output = np.zeros((1, 6, 40), np.float32)
    output[0, :4] = random.integers(10, 30, (4, 40))
    output[0, 4:] = random.integers(0, 25, (2, 40)) / 100
    where = random.permutation(40)[:likely]
    output[0, 4 + random.integers(0, 2, likely), where] = random.integers(26, 32, likely) / 32
    return output
