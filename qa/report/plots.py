"""Plots of the acceptance report, as SVG bytes that depend on nothing but their input.

Text inside a plot is short and language-neutral (the captions are translated); it stays text, so that the reader's
own fonts draw it, Chinese names too. Gold is blue and solid, the vendor is orange and hatched, so that the plots
can be told apart without colour (palette: Okabe and Ito 2008). matplotlib is imported when the first plot is drawn.
"""

import base64
import contextlib
import io
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOLD: Final = "#0072b2"
VENDOR: Final = "#d55e00"
_INK: Final = "#1f2933"
_GREY: Final = "#9aa5b1"
_HATCH: Final = "////"
_LANE_INCHES: Final = 0.24
_LABEL_CELLS: Final = 22
_CURVE_STYLES: Final = ("-", "--", ":", "-.")
_CURVE_COLOURS: Final = (GOLD, VENDOR, "#009e73", "#56356f")

_STYLE: Final = {
    "svg.hashsalt": "goldgate",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Lane:
    """One row of a timeline: `bars` are (start_s, end_s), `points` are seconds."""

    name: str
    vendor: bool
    bars: Sequence[tuple[float, float]] = ()
    points: Sequence[float] = ()


@dataclass(frozen=True)
class Window:
    """What was found in [start_s, end_s) of a video."""

    start_s: float
    end_s: float
    hits: int
    missed: int
    spurious: int


@dataclass(frozen=True)
class Timeline:
    """All that is drawn of one video of `duration_s` seconds."""

    duration_s: float
    lanes: Sequence[Lane]
    windows: Sequence[Window] = field(default=())


def data_uri(data: bytes, media: str = "image/svg+xml") -> str:
    """Return `data` as a data URI of type `media`."""
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def iou_histogram(matched: Sequence[int], loose: Sequence[int], *, threshold: float) -> bytes:
    """Draw how many pairs lie in each IoU bin, with lines at the contract's threshold and at .75.

    Args:
        matched: matched pairs by IoU, in equal bins from 0 to 1.
        loose: pairs of the defect loose_box, in the same bins.
        threshold: the IoU from which the contract counts a match.
    """
    edges = np.linspace(0, 1, len(matched) + 1)
    with styled_figure(7.2, 2.3) as (figure, axes):
        widths = np.diff(edges)
        axes.bar(
            edges[:-1], matched, width=widths, align="edge", color=GOLD, edgecolor="white", linewidth=0.7, label="match"
        )
        look: dict[str, Any] = {"facecolor": "#fbdcc4", "edgecolor": VENDOR, "hatch": _HATCH}
        some = np.flatnonzero(loose)
        axes.bar(
            edges[some],
            np.asarray(loose)[some],
            width=widths[some],
            bottom=np.asarray(matched)[some],
            align="edge",
            linewidth=0.7,
            label="loose",
            **look,
        )
        top = max([*(count + extra for count, extra in zip(matched, loose, strict=True)), 1])
        marks = [(threshold, f"T = {threshold:g}", "-")]
        if threshold != 0.75:
            marks.append((0.75, "0.75", "--"))
        for value, name, style in marks:
            axes.axvline(value, color=VENDOR, linewidth=1.6, linestyle=style)
            axes.annotate(name, (value, top * 1.13), xytext=(3, 0), textcoords="offset points", color="#a34700", va="top")
        axes.set(xlim=(0, 1), ylim=(0, top * 1.15), xlabel="IoU", ylabel="n")
        axes.legend(loc="upper left", frameon=False)
        _whole_numbers(axes)
        return _svg(figure)


def precision_recall(recall: Sequence[float], curves: Mapping[str, Sequence[float]]) -> bytes:
    """Draw precision over recall, each named curve in a style of its own.

    Args:
        recall: R ascending recall levels in 0..1.
        curves: name -> R precisions; NaN or negative is undefined and leaves a gap.
    """
    with styled_figure(7.2, 2.9) as (figure, axes):
        for index, (name, values) in enumerate(curves.items()):
            axes.plot(
                recall,
                _gaps(values),
                label=name,
                color=_CURVE_COLOURS[index % len(_CURVE_COLOURS)],
                linestyle=_CURVE_STYLES[index % len(_CURVE_STYLES)],
                linewidth=1.8,
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(color="#e4e7eb", linewidth=0.6)
        if curves:
            axes.legend(loc="lower left", frameon=False)
        return _svg(figure)


def timeline(video: Timeline) -> bytes:
    """Draw the lanes of a video over seconds and below them, window by window, hits and defects."""
    duration = max(video.duration_s, 1e-3)
    lanes_inches = _LANE_INCHES * max(len(video.lanes), 1)
    counts_inches = 0.9 if video.windows else 0.0
    height = lanes_inches + counts_inches + (0.75 if video.windows else 0.5)
    with styled_figure(7.2, height, axes=False) as (figure, _):
        left = 0.35 / 7.2 + 0.074 * max((cells(_short(lane.name)) for lane in video.lanes), default=4) / 7.2
        bottom = 1 - (lanes_inches + 0.05) / height
        axes = figure.add_axes((left, bottom, 0.985 - left, lanes_inches / height))
        _draw_lanes(axes, video.lanes, duration)
        if video.windows:
            below = figure.add_axes((left, 0.42 / height, 0.985 - left, counts_inches / height), sharex=axes)
            axes.tick_params(labelbottom=False)
            _draw_windows(below, video.windows)
            below.set_xlabel("s")
        else:
            axes.set_xlabel("s")
        return _svg(figure)


def _draw_lanes(axes: "Axes", lanes: Sequence[Lane], duration: float) -> None:
    for row, lane in enumerate(lanes):
        look: dict[str, Any] = {"facecolor": GOLD, "edgecolor": "white"}
        if lane.vendor:
            look = {"facecolor": "#fbdcc4", "edgecolor": VENDOR, "hatch": _HATCH}
        spans = [(start, max(end - start, duration / 400)) for start, end in lane.bars]
        axes.broken_barh(spans, (row - 0.36, 0.72), linewidth=0.7, **look)
        axes.plot(
            list(lane.points),
            [row] * len(lane.points),
            linestyle="none",
            marker="D" if lane.vendor else "o",
            markersize=5,
            markerfacecolor="#fbdcc4" if lane.vendor else GOLD,
            markeredgecolor=VENDOR if lane.vendor else GOLD,
        )
    axes.set(xlim=(0, duration), ylim=(len(lanes) - 0.4, -0.6))
    axes.set_yticks(range(len(lanes)), [_short(lane.name) for lane in lanes])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_windows(axes: "Axes", windows: Sequence[Window]) -> None:
    from matplotlib.patches import Patch

    starts = np.array([window.start_s for window in windows])
    widths = np.array([window.end_s for window in windows]) - starts
    below = np.zeros(len(windows))
    looks: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("hits", "hit", {"facecolor": GOLD, "edgecolor": "white"}),
        ("missed", "missed", {"facecolor": "white", "edgecolor": GOLD, "hatch": _HATCH}),
        ("spurious", "spurious", {"facecolor": "#fbdcc4", "edgecolor": VENDOR, "hatch": "xxxx"}),
    )
    for attribute, _, look in looks:
        counts = np.array([getattr(window, attribute) for window in windows], dtype=float)
        some = np.flatnonzero(counts)
        axes.bar(
            starts[some],
            counts[some],
            width=widths[some],
            bottom=below[some],
            align="edge",
            linewidth=0.7,
            **look,
        )
        below += counts
    axes.set_ylabel("n")
    axes.set_ylim(0, max(float(below.max()), 1.0) * 1.35)
    entries = [Patch(label=name, **look) for _, name, look in looks]  # also of what no window has
    axes.legend(handles=entries, loc="upper right", ncols=3, frameon=False, fontsize=8, borderpad=0.1)
    _whole_numbers(axes)


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _gaps(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return np.where(array < 0, np.nan, array)


def _short(name: str) -> str:
    """Return `name` cut to what fits beside a lane."""
    if cells(name) <= _LABEL_CELLS:
        return name
    kept = ""
    for character in name:
        if cells(kept + character) >= _LABEL_CELLS:
            break
        kept += character
    return kept + "…"


def cells(text: str) -> int:
    """Return the width of `text` in half-width cells: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@contextlib.contextmanager
def styled_figure(width: float, height: float, *, axes: bool = True) -> Iterator[tuple["Figure", "Axes"]]:
    """Give a figure of our style, whatever the user's own matplotlib settings."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)  # the browser has it
        figure = Figure(figsize=(width, height), layout="tight" if axes else None)
        yield figure, figure.add_subplot() if axes else None  # type: ignore[misc]


def _svg(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
