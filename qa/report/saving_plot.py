"""The picture of what review could be spared: accuracy and its lower limit over the share of texts that skip."""

from typing import Final

from qa.report.operating_plot import saved, wrapped
from qa.report.plots import GOLD, VENDOR, styled_figure
from qa.saving import Saving
from qa.words.wording import Words

_SIZE: Final = (7.2, 4.1)  # inches
_PLOT: Final = (0.6, 1.25, 6.3, 2.5)
_LINE: Final = 0.175
_CELLS: Final = 104

_PROVEN: Final = Words(
    "置信度不低于 {threshold:.4f} 的文本可免复核: 占 {share:.1%}, 其准确率不低于 {lower:.4f} (置信水平 {confidence:g}), "
    "门限 {demanded:g}。由 {texts} 条有金标的文本得出。",
    "Texts of a confidence of at least {threshold:.4f} may skip review: {share:.1%} of them, right at least {lower:.4f} "
    "of the time (confidence {confidence:g}; demanded {demanded:g}). From {texts} texts with gold.",
)
_NOT_PROVEN: Final = Words(
    "{texts} 条有金标的文本不足以证明任何一部分文本可免复核 (门限 {demanded:g}, 置信水平 {confidence:g})。",
    "The {texts} texts with gold do not prove that any may skip review (demanded {demanded:g}, confidence {confidence:g}).",
)


def saving_words(found: Saving) -> Words:
    """Return what was found as one sentence in Chinese and one in English."""
    words = _NOT_PROVEN if found.threshold is None else _PROVEN
    return words.format(**found.model_dump(exclude={"curve", "reason"}))


def saving_picture(found: Saving) -> bytes:
    """Draw `found` as SVG, whose bytes depend on nothing else.

    The line is the accuracy of the texts that skip, the dashed line its lower limit; the dot is the proven threshold.
    """
    width, height = _SIZE
    left, bottom, across, up = _PLOT
    with styled_figure(width, height, axes=False) as (figure, _):
        axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
        shares = [step.share for step in found.curve]
        lowest = min([found.demanded, *(step.lower for step in found.curve if step.share >= 0.1)])
        axes.plot(shares, [step.accuracy for step in found.curve], color=GOLD, linewidth=1.9, label="准确率 accuracy")
        lower = [step.lower for step in found.curve]
        axes.plot(shares, lower, color=GOLD, linewidth=1.3, linestyle="--", label="置信下限 lower limit")
        axes.axhline(found.demanded, color=VENDOR, linewidth=1.2, label=f"门限 demanded {found.demanded:g}")
        if found.share is not None and found.lower is not None:
            axes.plot([found.share], [found.lower], color=VENDOR, marker="o", markersize=7, linestyle="none", clip_on=False)
        axes.set(xlim=(0, 1), ylim=(max(0, lowest - 0.02), 1.005))
        axes.set_xlabel("免复核比例 share of texts that skip review")
        axes.grid(color="#e4e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(loc="lower left", frameon=False)
        lines = [line for text in saving_words(found) for line in wrapped(text, _CELLS)]
        for number, line in enumerate(lines):
            figure.text(0.2 / width, (0.72 - _LINE * number) / height, line, fontsize=8, color="#52606d", va="top")
        return saved(figure, "svg")
