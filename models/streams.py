"""OpenVINO detectors run as streams: several pictures at a time, each on a share of the threads.

One picture on all threads leaves them waiting for one another at every layer; as many pictures as there are streams keep
them busy. The thread that decodes a picture also waits for its stream and suppresses its boxes, so that nothing has to be
handed on. A picture that has no company takes all threads instead: its caller waits for it alone.

A network that can be had for rectangles is compiled for each of the few that occur, when the first picture of it comes.
"""

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.heads import Candidates, decode
from models.openvinocore import openvino_core
from models.openvinonets import Cut, agrees, cut_head, reshaped

Item = TypeVar("Item")
Result = TypeVar("Result")
Shape = tuple[int, int]
Outputs = Sequence[NDArray[np.float32]]

_CHANNELS: Final = 3
_KEPT: Final = 24  # compiled shapes, at most: all rectangles of one side
_THROUGHPUT: Final = "THROUGHPUT"
_LATENCY: Final = "LATENCY"


class Streams:
    """A detector's network on the CPU, safe to be called by several threads at once.

    A picture's numbers do not depend on what runs beside it.

    Args:
        model: OpenVINO's own model of one input, 1 x 3 x height x width.
        cut: the same without the end of its head, where it can be had.
        precision: to compute in where the graph leaves it open, "f32" or "bf16"; None is OpenVINO's choice for the machine.
    """

    def __init__(self, model: Any, cut: Cut | None = None, *, precision: str | None = None) -> None:
        shape = model.input(0).shape
        self.height, self.width = int(shape[2]), int(shape[3])
        self._model = model if cut is None else cut.model
        self._cut = cut
        self._options = {} if precision is None else {"INFERENCE_PRECISION_HINT": precision}
        self._compiled: OrderedDict[tuple[Shape, str], queue.SimpleQueue[Any]] = OrderedDict()
        self._compiling = threading.Lock()
        self._lock = threading.Lock()
        self._under_way = 0
        self.stride = self._stride()
        square = (self.height, self.width)
        compiled = self._compile(square, _THROUGHPUT)
        self.count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._compiled[square, _THROUGHPUT] = _requests(compiled, self.count)
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="stream")

    @property
    def cut(self) -> bool:
        """Whether `infer` gives what the head says of each cell, to be decoded by `candidates`."""
        return self._cut is not None

    def candidates(self, outputs: Outputs, *, least: float) -> Candidates:
        """Return the boxes over the score `least` in the outputs of a network that is cut."""
        assert self._cut is not None  # noqa: S101  only then is it called
        maps = [(outputs[at][0], outputs[at + 1][0]) for at in range(0, len(outputs), 2)]
        return decode(maps, self._cut.levels, least=least)

    def together(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return `work` of each of `items`, in order, as many at a time as there are streams."""
        with self._lock:
            self._under_way += len(items)
        done = 0
        try:
            if len(items) == 1:
                return [work(items[0])]
            results = []
            for result in self._threads.map(work, items):
                results.append(result)
                done += 1
                with self._lock:
                    self._under_way -= 1
            return results
        finally:
            with self._lock:
                self._under_way -= len(items) - done

    def infer(self, picture: NDArray[np.uint8], read: Callable[[Outputs], Result]) -> Result:
        """Return what `read` makes of the network's outputs for one picture, within a call of `together`.

        Args:
            picture: height x width x 3, of this network's shape, or of a rectangle in steps of `stride` where it has one.
            read: gets the outputs as they lie in the request, and must keep none of them.
        """
        with self._lock:
            lonely = self._under_way == 1  # whoever comes meanwhile sees that two are under way
        requests = self._requests_for((picture.shape[0], picture.shape[1]), _LATENCY if lonely else _THROUGHPUT)
        request = requests.get()
        try:
            results = request.infer({0: picture[None]}, share_inputs=True, share_outputs=True)
            return read([results[at] for at in range(len(results))])
        finally:
            requests.put(request)

    def _requests_for(self, shape: Shape, hint: str) -> "queue.SimpleQueue[Any]":
        with self._compiling:
            found = self._compiled.get((shape, hint))
            if found is None:
                found = _requests(self._compile(shape, hint), self.count if hint == _THROUGHPUT else 1)
                self._compiled[shape, hint] = found
                if len(self._compiled) > 2 * _KEPT:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end((shape, hint))
            return found

    def _compile(self, shape: Shape, hint: str) -> Any:
        model = reshaped(self._model, *shape)
        assert model is not None  # noqa: S101  what has a stride can be had for all its rectangles
        return openvino_core().compile_model(_taking_bytes(model), "CPU", {"PERFORMANCE_HINT": hint, **self._options})

    def _stride(self) -> int | None:
        """Return the steps in which the sides may be chosen, or None where the network is for its one shape."""
        if self._cut is None:
            return None
        stride = max(level.stride for level in self._cut.levels)
        if self.height % stride or self.width % stride:
            return None
        half = reshaped(self._model, self.height // 2 // stride * stride or stride, self.width)
        return None if half is None else stride


def _requests(compiled: Any, count: int) -> "queue.SimpleQueue[Any]":
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(count):
        requests.put(compiled.create_infer_request())
    return requests


def open_streams(folder: Path, *, side: int | None, precision: str | None = None) -> Streams | None:
    """Return the network in an OpenVINO folder, or None where it cannot be had for one picture at a time.

    Args:
        folder: with one .xml file and its weights.
        side: of the square that a model of any size is given; None is 640, Ultralytics' default.
        precision: see `Streams`.
    """
    model = openvino_core().read_model(next(folder.glob("*.xml")))
    if len(model.inputs) != 1 or len(model.input(0).partial_shape) != 4:
        return None
    shape = model.input(0).partial_shape
    if shape.is_dynamic:
        sides = [int(size.get_length()) if size.is_static else side or 640 for size in (shape[2], shape[3])]
        try:
            model.reshape([1, _CHANNELS, *sides])
        except RuntimeError:
            return None
    if list(model.input(0).shape)[:2] != [1, _CHANNELS]:
        return None
    cut = cut_head(model)
    if cut is not None and not agrees(model, cut, _noise([int(size) for size in model.input(0).shape])):
        cut = None
    return Streams(model, cut, precision=precision)


def _noise(shape: Sequence[int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _taking_bytes(model: Any) -> Any:
    """Return the model with an input of uint8, height x width x 3, from 0 to 255: no float copy of a picture is made."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    steps.input().preprocess().convert_element_type(Type.f32).scale(255.0)
    return steps.build()
