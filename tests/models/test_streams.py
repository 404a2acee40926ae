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
import models.streams
from contract.answers import check_answer
from contract.predictor import Source, calls_at_once
from contract.tables import Kind, State
from models.class_map import map_classes
from models.detector import Detector
from models.openvinocore import openvino_core
from models.openvinonets import agrees, cut_head
from models.registry import ModelEntry
from models.scenes import CLASSES, render_scene
from models.streams import Streams, open_streams
from models.train_detector import write_architecture
from models.yolo import quiet_ultralytics
from tests.oracles.ultralytics_boxes import Ultralytics, assert_same

pytest.importorskip("openvino")

LOW = {"conf": 0.0001, "max_det": 20}


def exported(folder: Path, *, dynamic: bool, architecture: str | None = None) -> Path:
    torch.manual_seed(7)
    model = quiet_ultralytics().YOLO(architecture or str(write_architecture(folder)), task="detect")
    model.model.names = dict(enumerate(CLASSES)) if architecture is None else model.model.names
    model.save(str(folder / "tiny.pt"))
    again = quiet_ultralytics().YOLO(str(folder / "tiny.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own, of many kinds
        return Path(again.export(format="openvino", imgsz=64, dynamic=dynamic))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("static"), dynamic=False)


def loaded(folder: Path, **more: Any) -> Detector:
    settings = {**LOW, "precision": "fp32", **more} if folder.is_dir() else {**LOW, **more}
    found = Detector(ModelEntry(name="tiny", kind=Kind.IMAGE, loader="ultralytics", path=folder, settings=settings))
    found.load("cpu")
    return found


@pytest.fixture(scope="module")
def streamed(folder: Path) -> Detector:
    return loaded(folder)


@pytest.fixture(scope="module")
def squares(folder: Path) -> Detector:
    return loaded(folder, rect=False)


def sources(count: int) -> list[Source]:
    found = []
    for seed in range(count):
        picture = render_scene(seed, width=48 + 31 * (seed % 4), height=40 + 23 * (seed % 3))[0]
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        found.append(Source(f"s{seed}", Kind.IMAGE, f"s{seed}.png", file.getvalue()))
    return found


@pytest.mark.parametrize("rect", [True, False])
def test_the_boxes_are_those_of_ultralytics_in_torch(
    folder: Path, streamed: Detector, squares: Detector, rect: bool
) -> None:
    asked = sources(9)
    detector = streamed if rect else squares
    assert detector._streams is not None
    assert detector._streams.cut
    theirs = Ultralytics(folder.parent / "tiny.pt", LOW, rect=rect).predict(asked)
    assert_same(detector.predict(asked).to_pylist(), theirs, dict(enumerate(CLASSES)))
    picture = render_scene(4, width=96, height=64)[0]
    assert detector.detect([picture, picture])[1] == detector.detect([picture])[0]


def test_streams_answer_as_everybody_does(streamed: Detector, folder: Path) -> None:
    assert streamed.predict([]).num_rows == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.detector, "open_streams", lambda *_, **__: None)
        plain = loaded(folder)
    assert (calls_at_once(plain), calls_at_once(streamed)) == (1, streamed.calls_at_once)
    assert streamed.describe() == plain.describe()
    assert check_answer(Kind.IMAGE, sources(3), streamed.predict(sources(3))).schema == plain.predict(sources(3)).schema


def test_every_cell_of_a_rectangle_is_that_of_torch(tmp_path: Path) -> None:
    weights = exported(tmp_path, dynamic=False, architecture="yolo11n.yaml")  # with attention, which holds to its size
    streams = open_streams(weights, side=None, precision="f32")
    assert streams is not None
    assert (streams.cut, streams.stride) == (True, 32)
    network = quiet_ultralytics().YOLO(str(tmp_path / "tiny.pt")).model.eval()
    for height, width in ((32, 64), (64, 32), (64, 64)):
        picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        found = streams.together(lambda one: streams.infer(one, lambda out: streams.candidates(out, least=0)), [picture])[0]
        with torch.no_grad():
            wanted = network(torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float() / 255)[0][0].numpy()
        corners = np.concatenate([wanted[:2] - wanted[2:4] / 2, wanted[:2] + wanted[2:4] / 2]).T
        np.testing.assert_allclose(found.corners, corners, atol=2e-2)
        np.testing.assert_allclose(found.scores, wanted[4:].max(axis=0), atol=1e-5)


def test_a_model_of_any_size_sees_the_side_that_is_set(tmp_path: Path) -> None:
    open_model = exported(tmp_path, dynamic=True)
    ours = loaded(open_model, imgsz=96)
    assert ours._streams is not None
    assert (ours._streams.height, ours._streams.width, ours._streams.stride) == (96, 96, 32)
    theirs = Ultralytics(tmp_path / "tiny.pt", {**LOW, "imgsz": 96}, rect=True).predict(sources(3))
    assert_same(ours.predict(sources(3)).to_pylist(), theirs, dict(enumerate(CLASSES)))


def test_a_network_that_cannot_be_cut_sees_squares(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.streams, "cut_head", lambda model: None)
    whole = loaded(folder)
    assert whole._streams is not None
    assert (whole._streams.cut, whole._streams.stride) == (False, None)
    theirs = Ultralytics(folder.parent / "tiny.pt", LOW, rect=False).predict(sources(3))
    assert_same(whole.predict(sources(3)).to_pylist(), theirs, dict(enumerate(CLASSES)))


def test_an_end_that_decodes_otherwise_is_not_cut_off(folder: Path) -> None:
    import openvino
    from openvino import opset13 as ops

    model = openvino_core().read_model(next(folder.glob("*.xml")))
    cut = cut_head(model)
    assert cut is not None
    noise = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), np.uint8)
    assert agrees(model, cut, noise)
    moved = ops.add(model.outputs[0].get_node().input_value(0), np.float32(3.0))  # as if cells had other centres
    assert not agrees(openvino.Model([ops.result(moved)], model.get_parameters(), "moved"), cut, noise)


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
    assert used == ["LATENCY"]


SQUARE = np.zeros((64, 64, 3), np.uint8)


def lone_or_shared(streams: Streams) -> list[str]:
    """Return which of its two networks a lone picture goes through."""
    used: list[str] = []
    wanted = streams._requests_for

    def noted(shape: tuple[int, int], hint: str) -> Any:
        used.append(hint)
        return wanted(shape, hint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_requests_for", noted)
        streams.together(lambda picture: streams.infer(picture, len), [SQUARE])
    return used


def test_a_picture_with_company_does_not_go_alone(folder: Path) -> None:
    streams = open_streams(folder, side=None)
    assert streams is not None
    assert lone_or_shared(streams) == ["LATENCY"]
    held, go = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        held.set()
        go.wait(60)

    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(streams.together, slow, [0])
        held.wait(60)
        assert lone_or_shared(streams) == ["THROUGHPUT"]
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
    assert np.array_equal(detector._suppressed([output.copy()]), wanted.numpy())


def candidates(likely: int, seed: int) -> NDArray[np.float32]:
    """Return a network's output, 1 x 6 x 40, with so many candidates above the score, some tied, some on top of others."""
    random = np.random.default_rng(seed)
    output = np.zeros((1, 6, 40), np.float32)
    output[0, :4] = random.integers(10, 30, (4, 40))
    output[0, 4:] = random.integers(0, 25, (2, 40)) / 100
    where = random.permutation(40)[:likely]
    output[0, 4 + random.integers(0, 2, likely), where] = random.integers(26, 32, likely) / 32
    return output
