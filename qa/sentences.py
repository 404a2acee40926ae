"""The verdict's reasons, each as one sentence in English and the same in Chinese."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from contract.tables import Kind
from contract.verdict import Criterion, Outcome
from qa.figures import share

_UNITS: Final = {Kind.IMAGE: ("images", "幅图像"), Kind.TEXT: ("texts", "条文本"), Kind.VIDEO: ("videos", "个视频")}
_NAMES_ZH: Final = {Kind.IMAGE: "图像", Kind.TEXT: "文本", Kind.VIDEO: "视频"}
_NAMED_AT_MOST: Final = 10


class Sentence(NamedTuple):
    """One reason in both languages."""

    english: str
    chinese: str


def judged(criterion: Criterion, *, by_point: bool) -> Sentence:
    """Say how a criterion with an estimate and limits turned out."""
    unit, unit_zh = _UNITS[criterion.kind]
    low, high = share(criterion.lower_bound, criterion.threshold), share(criterion.upper_bound, criterion.threshold)
    estimate, threshold = share(criterion.estimate, criterion.threshold), share(criterion.threshold)
    english, chinese = _POINT[criterion.outcome] if by_point else _BOUND[criterion.outcome]
    return Sentence(
        f"{criterion.name} is {estimate} (limits {low} to {high}, {criterion.units} {unit}): {english.format(threshold)}.",
        f"{criterion.name} 为 {estimate}（置信限 {low} 至 {high}，{criterion.units} {unit_zh}）："
        f"{chinese.format(threshold)}。",
    )


_BOUND: Final = {
    Outcome.ACCEPT: ("its lower limit reaches {}", "下限达到 {}"),
    Outcome.REJECT: ("its upper limit is below {}", "上限低于 {}"),
    Outcome.EXTEND: (
        "the limits lie on both sides of {}, so that more items must be checked",
        "{} 位于两限之间，需扩大抽样",
    ),
}
_POINT: Final = {
    Outcome.ACCEPT: ("the estimate reaches {}", "估计值达到 {}"),
    Outcome.REJECT: ("the estimate is below {}", "估计值低于 {}"),
    Outcome.EXTEND: ("{} cannot be judged", "{} 无法判定"),
}


def undefined(name: str, why: str | None) -> Sentence:
    """Say that a figure does not exist."""
    return Sentence(
        f"{name} is undefined ({why or 'the gold has nothing of it'}), so that it is not met.",
        f"{name} 无定义（金标准中无可计数的内容），不能视为达标。",
    )


def no_gold(name: str) -> Sentence:
    """Say that nothing was checked."""
    return Sentence(
        f"{name} has no gold to be judged by; check a sample first.", f"{name} 没有金标准可供判定，请先抽样核查。"
    )


def too_small(name: str, kind: Kind, *, items: int, wanted: int) -> Sentence:
    """Say that the sample is smaller than the terms demand."""
    unit, unit_zh = _UNITS[kind]
    return Sentence(
        f"{name} stands on {items} {unit}, but the terms ask for at least {wanted}: extend the sample.",
        f"{name} 仅基于 {items} {unit_zh}，合同要求至少 {wanted}：需扩大抽样。",
    )


def unreachable(name: str, *, best: float, threshold: float, items: Sequence[str]) -> Sentence:
    """Say that the items without labels alone sink the criterion."""
    most, least = share(best, threshold), share(threshold)
    return Sentence(
        f"{name} could be {most} at best, below {least}, because {len(items)} items have no label: {_named(items)}.",
        f"{len(items)} 个条目无标注，{name} 最高只能达到 {most}，低于 {least}：{_named(items)}。",
    )


def rare_class(name: str, *, units: int, wanted: int, estimate: float | None, low: bool) -> Sentence:
    """Say that a class is too rare to prove its floor."""
    if low:
        return Sentence(
            f"{name} is {share(estimate)} on {units} units, below its floor; proof needs {wanted}: extend the sample.",
            f"{name} 为 {share(estimate)}（{units} 个单元），低于下限；证明需要 {wanted} 个单元：需扩大抽样。",
        )
    return Sentence(
        f"{name} is not provable: the sample holds {units} units of it and proof needs {wanted}; it does not block.",
        f"{name} 样本不足：仅 {units} 个单元，证明需要 {wanted} 个；不影响判定。",
    )


def incomplete(kind: Kind, items: Sequence[str]) -> Sentence:
    """List items without a label."""
    unit, unit_zh = _UNITS[kind]
    return Sentence(
        f"{len(items)} {unit} have no label and count as errors: {_named(items)}.",
        f"{len(items)} {unit_zh}没有标注，计为错误：{_named(items)}。",
    )


def to_complete(kind: Kind, items: int, unlabelled: Sequence[str]) -> Sentence:
    """List items of the lot that are neither labelled nor called empty."""
    unit, unit_zh = _UNITS[kind]
    return Sentence(
        f"{kind.value}.complete: {len(unlabelled)} of {items} {unit} are neither labelled nor called empty; "
        f"complete the submission: {_named(unlabelled)}.",
        f"{kind.value}.complete：{items} {unit_zh}中有 {len(unlabelled)} {unit_zh}既无标注也未注明为空；"
        f"请补齐后再提交：{_named(unlabelled)}。",
    )


def excused(kind: Kind, items: Sequence[str]) -> Sentence:
    """List items that left the denominator."""
    unit, unit_zh = _UNITS[kind]
    return Sentence(
        f"{len(items)} {unit} are excused and were not counted: {_named(items)}.",
        f"{len(items)} {unit_zh}已免除，不计入分母：{_named(items)}。",
    )


def not_in_lot(kind: Kind) -> Sentence:
    """Say that an ordered kind is absent from this lot."""
    unit, _ = _UNITS[kind]
    return Sentence(f"This lot holds no {unit}; they are not judged here.", f"本批次不含{_NAMES_ZH[kind]}，此处不作判定。")


def nothing_demanded(kind: Kind) -> Sentence:
    """Say that the terms set no threshold for a kind of the lot."""
    unit, _ = _UNITS[kind]
    return Sentence(f"The terms set no threshold for {unit}.", f"合同未对{_NAMES_ZH[kind]}设定阈值。")


def point_rule() -> Sentence:
    """Warn that the terms judge by the estimate alone."""
    return Sentence(
        "The terms judge by the point estimate: a submission whose true share is the threshold passes about half the time.",
        "合同按点估计判定：真实值恰在阈值处的提交约有一半机会通过。",
    )


def exhausted(kind: Kind, *, extend_to: int) -> Sentence:
    """Say that the sample cannot be extended any further by the terms."""
    unit, unit_zh = _UNITS[kind]
    return Sentence(
        f"The sample has reached the {extend_to} {unit} that the terms allow; check the whole lot or agree on a larger one.",
        f"样本已达合同允许的 {extend_to} {unit_zh}；请全检或另行约定更大样本。",
    )


def nothing_judged() -> Sentence:
    """Say that no criterion applied at all."""
    return Sentence("No criterion of the terms applies to this lot.", "合同中没有适用于本批次的判定项。")


def _named(items: Iterable[str]) -> str:
    names = list(items)
    more = f", ... ({len(names) - _NAMED_AT_MOST} more)" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
