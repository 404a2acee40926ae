import base64
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.report.plots import Lane, Timeline, Window, data_uri, iou_histogram, precision_recall, timeline

RECALL = list(np.linspace(0, 1, 101))
LANES = (
    Lane("shots · gold", vendor=False, bars=[(0.0, 12.0), (12.0, 60.0)]),
    Lane("黑屏 <b>&", vendor=True, bars=[(3.0, 3.0)], points=[1.5]),
)
WINDOWS = (Window(0, 30, 2, 1, 0), Window(30, 60, 0, 0, 0))

PLOTS: dict[str, Callable[[], bytes]] = {
    "histogram": lambda: iou_histogram(
        [0] * 10 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0] * 8 + [2, 1] + [0] * 10, threshold=0.5
    ),
    "empty histogram": lambda: iou_histogram([0] * 20, [0] * 20, threshold=0.75),
    "curves": lambda: precision_recall(RECALL, {"IoU .50": list(1 - np.array(RECALL)), "IoU .75": [-1.0] * 101}),
    "no curves": lambda: precision_recall([], {}),
    "timeline": lambda: timeline(Timeline(60, LANES, WINDOWS)),
    "timeline without windows": lambda: timeline(Timeline(60, LANES)),
    "empty timeline": lambda: timeline(Timeline(0, ())),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_well_formed_and_its_bytes_depend_on_its_input_alone(name: str) -> None:
    first = PLOTS[name]()
    assert ET.fromstring(first).tag.endswith("svg")  # noqa: S314 - our own output
    assert PLOTS[name]() == first


def texts(svg: bytes) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")]  # noqa: S314


def test_names_stay_text_and_are_escaped() -> None:
    assert "黑屏 <b>&" in texts(PLOTS["timeline"]())


def test_the_histogram_names_the_threshold_once() -> None:
    assert {"T = 0.5", "0.75"} <= set(texts(PLOTS["histogram"]()))
    assert "T = 0.75" in texts(PLOTS["empty histogram"]())
    assert "0.75" not in texts(PLOTS["empty histogram"]())


def test_a_long_lane_name_is_cut() -> None:
    svg = timeline(Timeline(5, [Lane("画面中出现未授权的人员并停留超过十秒", vendor=False, bars=[(0, 1)])]))
    assert "画面中出现未授权的人…" in texts(svg)


def test_a_plot_ignores_the_users_own_settings() -> None:
    import matplotlib as mpl

    first = PLOTS["histogram"]()
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": True}):
        assert PLOTS["histogram"]() == first


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=20, max_size=20), st.floats(0.05, 1.0))
def test_any_histogram_can_be_drawn(matched: list[int], threshold: float) -> None:
    assert iou_histogram(matched, [0] * 20, threshold=threshold).startswith(b"<?xml")


def test_a_data_uri_holds_the_bytes() -> None:
    head, body = data_uri(b"\x00\xff", "image/png").split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == b"\x00\xff"


def test_importing_the_report_does_not_import_matplotlib() -> None:
    code = "import sys, qa.report.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
