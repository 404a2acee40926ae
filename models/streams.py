"""OpenVINO detectors run as streams: several pictures at a time, each on a share of the threads.

One picture on all threads leaves them waiting for one another at every layer; as many pictures as there are streams keep
them busy. The thread that decodes a picture also waits for its stream and suppresses its boxes, so that nothing has to be
handed on. A picture that has no company takes all threads instead: its caller waits for it alone.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.openvinocore import openvino_core

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHANNELS: Final = 3


class Streams:
    """A detector's network on the CPU, safe to be called by several threads at once.

    A picture's numbers do not depend on what runs beside it.

    Args:
        model: OpenVINO's own model of one input, 1 x 3 x height x width.
    """

    def __init__(self, model: Any) -> None:
        shape = model.input(0).shape
        self.height, self.width = int(shape[2]), int(shape[3])
        model = _taking_bytes(model)
        compiled = openvino_core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
        self.count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.count):
            self._requests.put(compiled.create_infer_request())
        self._alone = openvino_core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request()
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="stream")
        self._lock = threading.Lock()
        self._under_way = 0

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

    def forward(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's first output for one picture, height x width x 3, within a call of `together`."""
        with self._lock:
            lonely = self._under_way == 1
        if lonely:  # nobody else is within forward, and whoever comes meanwhile sees that two are under way
            return _inferred(self._alone, picture)
        request = self._requests.get()
        try:
            return _inferred(request, picture)
        finally:
            self._requests.put(request)


def open_streams(folder: Path, *, side: int | None) -> Streams | None:
    """Return the network in an OpenVINO folder, or None where it cannot be had for one picture at a time.

    Args:
        folder: with one .xml file and its weights.
        side: of the square that a model of any size is given; None is 640, Ultralytics' default.
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
    return Streams(model) if list(model.input(0).shape)[:2] == [1, _CHANNELS] else None


def _taking_bytes(model: Any) -> Any:
    """Return the model with an input of uint8, height x width x 3, from 0 to 255: no float copy of a picture is made."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    steps.input().preprocess().convert_element_type(Type.f32).scale(255.0)
    return steps.build()


def _inferred(request: Any, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    # Shared with the request until its next call, by which time it must be somebody's own.
    output: NDArray[np.float32] = request.infer({0: picture[None]}, share_inputs=True)[0].copy()
    return output
