"""The picture of the terms' chances: one panel a demand, both parties' risks marked, captions in Chinese and English.

As SVG its bytes depend on nothing but the input, and the text stays text. As PNG it needs a font with Chinese
characters; without one the captions are English only.
"""

import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from qa.report.plots import GOLD, VENDOR, cells, styled_figure
from qa.sampling.chances import Chances
from qa.words.chancewords import risk
from qa.words.wording import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Media = Literal["svg", "png"]

_GREY: Final = "#52606d"
_RULE: Final = "#9aa5b1"
_PITCH: Final = (4.5, 2.9)  # inches from panel to panel
_PLOT: Final = (3.75, 1.85)
_LEFT: Final = 0.55
_TOP: Final = 0.62
_ENTRY: Final = 0.23
_LINE: Final = 0.175
_CELL: Final = 0.066  # inches of half a Chinese character, at most
_DPI: Final = 160
_CHINESE_FONTS: Final = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
)
_Entry = tuple[str, str, dict[str, Any]]
_ACCEPT: Final[_Entry] = ("接收 ", "ACCEPT", {"color": GOLD, "linewidth": 1.9})
_REJECT: Final[_Entry] = ("拒收 ", "REJECT", {"color": VENDOR, "linewidth": 1.9, "linestyle": "-."})
_FIRST_SAMPLE: Final[_Entry] = ("首次抽样即接收 ", "ACCEPT at once", {"color": GOLD, "linewidth": 1.3, "linestyle": "--"})
_THRESHOLD: Final[_Entry] = ("门限 ", "threshold", {"color": _RULE, "linewidth": 1.2})
_CLIENT: Final[_Entry] = (
    "甲方风险 ",
    "client's risk",
    {"color": VENDOR, "marker": "o", "linestyle": "none", "markersize": 7},
)
_VENDOR: Final[_Entry] = ("乙方风险 ", "vendor's risk", {"color": GOLD, "marker": "D", "linestyle": "none", "markersize": 6})
_LEGEND: Final = (_ACCEPT, _REJECT, _THRESHOLD, _CLIENT, _VENDOR, _FIRST_SAMPLE)


def operating_picture(found: Sequence[Chances], captions: Words, *, media: Media = "svg") -> bytes:
    """Draw the chances of every demand.

    Args:
        found: the demands, at least one.
        captions: what the picture assumes, in both languages.
        media: svg, or png at 160 dots an inch.
    """
    chinese = _chinese_font() if media == "png" else "sans-serif"
    columns = min(2, len(found))
    width, rows = _PITCH[0] * columns + 0.1, -(-len(found) // columns)
    told = [captions.zh, captions.en] if chinese else [captions.en]
    lines = [line for text in told for line in wrapped(text, int((width - 0.4) / _CELL))]
    looks = [entry for entry in _LEGEND if entry is not _FIRST_SAMPLE or any(len(each.branches) > 1 for each in found)]
    across = 1 if columns == 1 else 3
    entries = -(-len(looks) // across)
    foot = 0.25 + _ENTRY * entries + 0.1 + _LINE * len(lines)
    height = _PITCH[1] * rows + foot
    with styled_figure(width, height, axes=False) as (figure, _):
        for place, each in enumerate(found):
            left = _LEFT + _PITCH[0] * (place % columns)
            bottom = height - _PITCH[1] * (place // columns) - _TOP - _PLOT[1]
            axes = figure.add_axes((left / width, bottom / height, _PLOT[0] / width, _PLOT[1] / height))
            _panel(axes, each)
        foot_axes = figure.add_axes((0, 0, 1, foot / height))
        foot_axes.set(xlim=(0, width), ylim=(0, foot))
        foot_axes.axis("off")
        for place, entry in enumerate(looks):
            x, y = 0.2 + place % across * (width - 0.3) / across, foot - 0.15 - _ENTRY * (place // across)
            _key(foot_axes, entry, (x, y), chinese=bool(chinese))
        for number, line in enumerate(lines):
            down = foot - 0.25 - _ENTRY * entries - _LINE * number
            foot_axes.text(0.2, down, line, fontsize=8, color=_GREY, va="top")
        if media == "png" and chinese:
            for text in figure.findobj(lambda artist: hasattr(artist, "set_fontfamily")):
                text.set_fontfamily(["DejaVu Sans", chinese])  # type: ignore[attr-defined]
        return saved(figure, media)


def _panel(axes: "Axes", each: Chances) -> None:
    for branch in each.branches[:-1]:
        axes.plot(branch.curve.share, branch.curve.accept, **_FIRST_SAMPLE[2])
    final = each.final
    axes.axvline(each.threshold, **_THRESHOLD[2])
    axes.plot(final.share, final.reject, **_REJECT[2])
    axes.plot(final.share, final.accept, **_ACCEPT[2])
    axes.plot([each.client_at], [each.client_risk], clip_on=False, zorder=5, **_CLIENT[2])
    axes.plot([each.vendor_at], [1 - each.vendor_risk], clip_on=False, zorder=5, **_VENDOR[2])
    axes.set(xlim=(float(final.share[0]), 1), ylim=(0, 1.03))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(color="#e4e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    procedure = f"{each.rule} · {each.branches[-1].label}"
    if each.plan:
        procedure = f"AQL {each.plan.aql:g} % · {each.plan.level} · {each.plan.severity} · {each.branches[-1].label}"
    elif each.rule != "point":
        procedure = f"{each.rule} · {each.confidence:.6g} · {each.branches[-1].label}"
    axes.text(0, 1.16, f"{_short(each.name)} ≥ {each.threshold:g}", transform=axes.transAxes, fontsize=10, weight="bold")
    axes.text(0, 1.05, procedure, transform=axes.transAxes, fontsize=8, color=_GREY)
    risks = f"● {risk(each.client_risk)}   ◆ {risk(each.vendor_risk)}"
    axes.text(1, 1.05, risks, transform=axes.transAxes, fontsize=8, color=_GREY, ha="right")


def _short(name: str) -> str:
    """Cut a name to the width of a panel."""
    kept = name
    while cells(kept) > 40:
        kept = kept[:-1]
    return kept if kept == name else kept[:-1] + "…"


def _key(axes: "Axes", entry: _Entry, at: tuple[float, float], *, chinese: bool) -> None:
    (zh, en, look), (x, y) = entry, at
    points = [x + 0.17] if "marker" in look else [x, x + 0.34]
    axes.plot(points, [y] * len(points), **look)
    axes.text(x + 0.44, y, (zh if chinese else "") + en, fontsize=8.5, va="center")


def wrapped(text: str, most: int) -> Iterator[str]:
    """Yield lines of at most `most` cells: English is broken at spaces, Chinese anywhere but before punctuation."""
    if cells(text) == len(text):
        yield from textwrap.wrap(text, most)
        return
    line = ""
    for character in text:
        if cells(line + character) > most and character not in ",.;:，。；：、)":
            yield line
            line = ""
        line = (line + character).lstrip()
    yield line


def _chinese_font() -> str | None:
    from matplotlib import font_manager

    here = {font.name for font in font_manager.fontManager.ttflist}
    return next((name for name in _CHINESE_FONTS if name in here), None)


def saved(figure: "Figure", media: Media) -> bytes:
    """Return `figure` as a file whose bytes depend on the figure alone."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None} if media == "svg" else {"Software": None}
    figure.savefig(buffer, format=media, dpi=_DPI, facecolor="white", metadata=metadata)
    return buffer.getvalue()
