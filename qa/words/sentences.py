"""The verdict's reasons, each as one sentence in English and the same in Chinese."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from contract.tables import Kind
from contract.verdict import CountingPlan, Criterion, Outcome
from qa.conformity import Counted
from qa.counting import Evidence, outcome_by_evidence
from qa.report.figures import share

_UNITS: Final = {Kind.IMAGE: ("images", "幅图像"), Kind.TEXT: ("texts", "条文本"), Kind.VIDEO: ("videos", "个视频")}
_NAMES_ZH: Final = {Kind.IMAGE: "图像", Kind.TEXT: "文本", Kind.VIDEO: "视频"}
_SEVERITIES_ZH: Final = {"normal": "正常检验", "tightened": "加严检验", "reduced": "放宽检验"}
_NAMED_AT_MOST: Final = 10
_MOST_EVIDENCE: Final = 10_000


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


def by_plan(name: str, kind: Kind, *, found: Counted, plan: CountingPlan, outcome: Outcome) -> Sentence:
    """Say how a count turned out by its sampling plan."""
    unit, unit_zh = _UNITS[kind]
    english, chinese = _PLAN[outcome]
    if outcome is not Outcome.EXTEND and found.checked > plan.n:
        english, chinese = _MORE_THAN_PLANNED[outcome]
    more = plan.n - found.checked
    return Sentence(
        f"{name}: {found.nonconforming} of {found.checked} {unit} do not conform; the plan (AQL {plan.aql:g} %, level "
        f"{plan.level}, {plan.severity}, letter {plan.letter}) allows {plan.accept} of {plan.n}: {english.format(more)}.",
        f"{name}：{found.checked} {unit_zh}中有 {found.nonconforming} {unit_zh}不合格；抽样方案（AQL {plan.aql:g} %，"
        f"检验水平 {plan.level}，{_SEVERITIES_ZH[plan.severity]}，样本量字码 {plan.letter}）为 n={plan.n}，"
        f"Ac={plan.accept}，Re={plan.reject}：{chinese.format(more)}。",
    )


_PLAN: Final = {
    Outcome.ACCEPT: ("accepted", "接收"),
    Outcome.REJECT: ("not accepted", "不接收"),
    Outcome.EXTEND: ("{} more must be checked", "还须检验 {} 件"),
}
_MORE_THAN_PLANNED: Final = {
    Outcome.ACCEPT: (
        "so many of them, drawn at random, would more likely than not be accepted",
        "从中随机抽取该数量，多半会被接收，故接收",
    ),
    Outcome.REJECT: (
        "so many of them, drawn at random, would more likely than not be rejected",
        "从中随机抽取该数量，多半不会被接收，故不接收",
    ),
}


def by_evidence(name: str, kind: Kind, *, found: Counted, evidence: Evidence, threshold: float) -> Sentence:
    """Say how the evidence for and against a threshold turned out."""
    unit, unit_zh = _UNITS[kind]
    favour, against = _weight(evidence.favour, evidence.wanted), _weight(evidence.against, evidence.wanted)
    wanted = f"{math.exp(evidence.wanted):.6g}"
    english, chinese = _EVIDENCE[outcome_by_evidence(evidence)]
    conforming = found.checked - found.nonconforming
    return Sentence(
        f"{name}: {conforming} of {found.checked} {unit} conform; the evidence that {share(threshold)} is reached is "
        f"{favour} and that it is not is {against}, where {wanted} decides: {english}.",
        f"{name}：{found.checked} {unit_zh}中有 {conforming} {unit_zh}合格；达到 {share(threshold)} 的证据值为 {favour}，"
        f"未达到的证据值为 {against}，{wanted} 即可定论：{chinese}。",
    )


_EVIDENCE: Final = {
    Outcome.ACCEPT: ("it is reached", "已达到"),
    Outcome.REJECT: ("it is not reached", "未达到"),
    Outcome.EXTEND: ("more items must be checked", "需扩大抽样"),
}


def _weight(logarithm: float, wanted: float) -> str:
    """Write evidence from its logarithm, never rounded across what is wanted."""
    if logarithm >= math.log(_MOST_EVIDENCE):
        return f">{_MOST_EVIDENCE:,}"
    return share(math.exp(logarithm), math.exp(wanted))


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


def aql_rule() -> Sentence:
    """Warn that the terms judge by an AQL plan."""
    return Sentence(
        "The terms judge by an AQL plan: it seldom rejects work at the AQL, and does not prove that the AQL is kept.",
        "合同按 AQL 抽样方案判定：质量处于 AQL 的批很少被拒收，但接收并不证明质量达到 AQL。",
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
