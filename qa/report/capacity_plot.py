"""The picture of a plan of capacity: device-hours by kind, and calendar days over the number of devices."""

from typing import TYPE_CHECKING, Final

from qa.capacity import Capacity
from qa.report.operating_plot import Media, saved, wrapped
from qa.report.plots import GOLD, VENDOR, styled_figure
from qa.words.capacitywords import KINDS, amount
from qa.words.wording import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH: Final = 7.2
_BAR: Final = 0.34  # inches of a kind
_DAYS: Final = 2.5
_LINE: Final = 0.175
_CELLS: Final = 104
_GREY: Final = "#52606d"
_CURVE: Final = 64  # most devices of the curve


def capacity_picture(plan: Capacity, captions: Words, *, media: Media = "svg") -> bytes:
    """Draw `plan`, all of whose rates are known.

    Args:
        plan: the plan.
        captions: what it assumes and comes to.
        media: svg, whose bytes depend on nothing else, or png.

    Raises:
        ValueError: a rate is not known.
    """
    if plan.hours is None or plan.fewest is None:
        raise ValueError(plan.reason or "nothing can be drawn")
    lines = [
        line for text in (captions.zh, captions.en) for part in text.splitlines() for line in wrapped(part.strip(), _CELLS)
    ]
    bars = _BAR * len(plan.parts)
    foot = 0.25 + _LINE * len(lines)
    height = 0.25 + bars + 0.95 + _DAYS + 0.55 + foot
    with styled_figure(_WIDTH, height, axes=False) as (figure, _):
        top = figure.add_axes((1.3 / _WIDTH, 1 - (0.15 + bars) / height, 5.0 / _WIDTH, bars / height))
        _bars(top, plan)
        below = figure.add_axes((0.75 / _WIDTH, (foot + 0.55) / height, 6.2 / _WIDTH, _DAYS / height))
        _days(below, plan)
        for number, line in enumerate(lines):
            y = (foot - 0.1 - _LINE * number) / height
            figure.text(0.2 / _WIDTH, y, line, fontsize=8, color=_GREY, va="top")
        return saved(figure, media)


def _bars(axes: "Axes", plan: Capacity) -> None:
    hours = [part.hours or 0.0 for part in plan.parts]
    axes.barh(range(len(hours)), hours, height=0.62, color=GOLD)
    axes.set_yticks(range(len(hours)), [f"{KINDS[part.kind].zh} {KINDS[part.kind].en}" for part in plan.parts])
    axes.set(ylim=(len(hours) - 0.5, -0.5), xlim=(0, max(hours) * 1.18))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("台时 device-hours")
    for place, value in enumerate(hours):
        axes.annotate(amount(value), (value, place), xytext=(4, 0), textcoords="offset points", va="center")


def _days(axes: "Axes", plan: Capacity) -> None:
    need, hours = plan.need, plan.hours or 0.0
    chosen = plan.chosen
    most = min(max(16, 2 * (plan.fewest or 1), chosen.devices if chosen else 1), max(_CURVE, plan.fewest or 1))
    devices = list(range(1, most + 1))
    days = [hours / count / need.hours_a_day for count in devices]
    in_time = [value <= need.days + 1e-9 for value in days]
    axes.plot(devices, days, color=GOLD, linewidth=1.4, zorder=2)
    for marker, face, wanted in (("o", GOLD, True), ("X", VENDOR, False)):
        some = [(x, y) for x, y, good in zip(devices, days, in_time, strict=True) if good is wanted]
        if some:
            name = "按期 in time" if wanted else "逾期 late"
            axes.plot(*zip(*some, strict=True), linestyle="none", marker=marker, color=face, markersize=5, label=name)
    axes.axhline(need.days, color=VENDOR, linewidth=1.6, linestyle="--", label=f"期限 drafts due {need.drafts_due}")
    if chosen:
        axes.annotate(
            f"{chosen.devices}: {amount(chosen.days)} d, {chosen.done}",
            (chosen.devices, chosen.days),
            xytext=(8, 10),
            textcoords="offset points",
            weight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 1.5},
            zorder=4,
        )
    axes.set_yscale("log")
    axes.set(xlim=(0.5, most + 0.5), xlabel="设备台数 devices", ylabel="天 days")
    low, high = min(*days, need.days), max(*days, need.days)
    axes.set_ylim(low / 1.6, high * 1.8)
    _plain_numbers(axes)
    axes.grid(color="#e4e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0.2)


def _plain_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
