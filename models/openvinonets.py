"""An exported detector's graph, cut before its head's arithmetic and reshaped to rectangles.

Ultralytics exports a network for one square, and its graph ends by decoding all of the square's anchors, of which a
hundredth is ever a box. Here the graph ends with what the head's convolutions say of each cell; `models.heads` decodes
the few cells that matter. Without that end nothing of the square is left in the graph but the reshapes around attention,
so that it runs on any rectangle whose sides are multiples of the stride.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.heads import Level, decode
from models.openvinocore import openvino_core

_CHANNELS: Final = 3
_FLAT: Final = 3  # dimensions of a level whose rows and columns have been made one
_MAP: Final = 4
_WIDEST: Final = 128  # pixels of a cell, at most
_SLACK_PIXELS: Final = 0.1
_SLACK_SCORE: Final = 1e-3


class Cut(NamedTuple):
    """A graph whose results are, level by level, the cells' distances and the cells' classes, batch x rows x columns x n."""

    model: Any
    levels: tuple[Level, ...]
    bins: int  # of the distribution over each of the four distances
    classes: int


def cut_head(model: Any) -> Cut | None:
    """Return a copy of `model` (1 x 3 x height x width, static) that ends with its head's convolutions.

    None where the end is not that of an anchor-free detector with one distribution for each of four distances (Li et al.,
    Generalized Focal Loss, 2020; YOLOv8, YOLO11 and their like): it suppresses by itself, say, or has anchors.
    """
    import openvino
    from openvino import opset13 as ops

    model = model.clone()
    if len(model.outputs) != 1 or model.output(0).partial_shape.is_dynamic or len(model.output(0).shape) != _FLAT:
        return None
    rows, cells = (int(size) for size in model.output(0).shape[1:])
    found = _level_maps(model, cells)
    side = [int(size) for size in model.input(0).shape[2:]]
    sides = [(int(distances.shape[2]), int(distances.shape[3])) for distances, _ in found]
    if not found or sum(height * width for height, width in sides) != cells:
        return None
    widths = {(int(distances.shape[1]), int(classes.shape[1])) for distances, classes in found}
    if len(widths) != 1:
        return None
    ((distances, classes),) = widths
    if classes != rows - 4 or distances % 4 or any(side[0] * width != side[1] * height for height, width in sides):
        return None
    last = [ops.transpose(output, [0, 2, 3, 1]) for pair in found for output in pair]
    cut = openvino.Model([ops.result(node) for node in last], model.get_parameters(), "cut")
    return Cut(cut, tuple(Level(side[0] // height) for height, _ in sides), distances // 4, classes)


def _level_maps(model: Any, cells: int) -> list[tuple[Any, Any]]:
    """Return (distances, classes) of each level as outputs of 4 dimensions, in the order of the network's own output."""
    joined = [node for node in model.get_ordered_ops() if _joins_levels(node, cells)]
    maps = [[port.get_source_output().get_node().input_value(0) for port in node.inputs()] for node in joined]
    if len(joined) == 1:  # both in one, distances first
        parts = [output.get_node() for output in maps[0]]
        if all(node.get_type_name() == "Concat" and len(node.inputs()) == 2 for node in parts):
            return [(node.input_value(0), node.input_value(1)) for node in parts]
    if len(joined) == 2 and len(maps[0]) == len(maps[1]):
        first = _is_scores(joined[0])
        if first != _is_scores(joined[1]):
            return list(zip(*(reversed(maps) if first else maps), strict=True))
    return []


def _joins_levels(node: Any, cells: int) -> bool:
    """Tell whether `node` lays the levels' cells end to end."""
    if node.get_type_name() != "Concat" or list(node.output(0).shape[2:]) != [cells]:
        return False
    sources = [port.get_source_output().get_node() for port in node.inputs()]
    return all(one.get_type_name() == "Reshape" and len(one.input_value(0).shape) == _MAP for one in sources)


def _is_scores(node: Any) -> bool:
    return any(port.get_node().get_type_name() == "Sigmoid" for port in node.output(0).get_target_inputs())


def reshaped(model: Any, height: int, width: int) -> Any | None:
    """Return a copy of `model` for pictures of `height` x `width`, or None where something in it holds to its own size."""
    from openvino import PartialShape
    from openvino import opset13 as ops

    model = model.clone()
    before = [int(size) for size in model.input(0).shape[2:]]
    if before == [height, width]:
        return model
    for node in model.get_ops():
        if node.get_type_name() != "Reshape" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        entering, leaving = ([int(size) for size in port.shape] for port in (node.input_value(0), node.output(0)))
        shape = _moved(entering, leaving, before, (height, width))
        if shape is not None:
            node.input(1).replace_source_output(ops.constant(np.array(shape, np.int64)).output(0))
    model.get_parameters()[0].set_partial_shape(PartialShape([1, _CHANNELS, height, width]))
    try:
        model.validate_nodes_and_infer_types()
    except RuntimeError:
        return None
    return model


def _moved(
    entering: Sequence[int], leaving: Sequence[int], before: Sequence[int], after: tuple[int, int]
) -> list[int] | None:
    """Return the shape that leaves a reshape of a map to cells or back, when the picture changes from `before` to `after`.

    None for any other reshape, which stays as it is: where it held to the old size, the numbers of its elements no longer
    agree, and the graph is refused.
    """
    if _is_map(entering, before) and leaving[-1] == entering[2] * entering[3]:
        rows, columns = _moved_map(entering, before, after)
        return [*leaving[:-1], rows * columns]
    if _is_map(leaving, before) and entering[-1] == leaving[2] * leaving[3]:
        return [*leaving[:2], *_moved_map(leaving, before, after)]
    return None


def _moved_map(shape: Sequence[int], before: Sequence[int], after: tuple[int, int]) -> tuple[int, int]:
    step = before[0] // shape[2]
    return after[0] // step, after[1] // step


def _is_map(shape: Sequence[int], picture: Sequence[int]) -> bool:
    if len(shape) != _MAP:
        return False
    steps = {size / cells for size, cells in zip(picture, shape[2:], strict=True)}
    return len(steps) == 1 and 1 < min(steps) <= _WIDEST and min(steps) == int(min(steps))


def agrees(model: Any, cut: Cut, picture: NDArray[np.uint8]) -> bool:
    """Tell whether `cut`, decoded here, says of every cell of `picture` what the whole graph says, to rounding.

    Args:
        model: the whole graph, a batch of which holds 1 picture.
        cut: the graph without its end.
        picture: 1 x 3 x height x width.
    """
    entering = picture.astype(np.float32) / 255
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    whole, parts = (openvino_core().compile_model(one, "CPU", options)({0: entering}) for one in (model, cut.model))
    outputs = [parts[at][0] for at in range(len(parts))]
    found = decode(list(zip(outputs[::2], outputs[1::2], strict=True)), cut.levels, least=0.0)
    wanted = whole[0][0]
    corners = np.concatenate([wanted[:2] - wanted[2:4] / 2, wanted[:2] + wanted[2:4] / 2]).T
    if len(found.scores) != len(corners):
        return False
    near = np.abs(found.corners - corners).max() <= _SLACK_PIXELS
    return bool(near and np.abs(found.scores - wanted[4:].max(axis=0)).max() <= _SLACK_SCORE)
