"""The chances of the terms in words, Chinese and English, and the captions of their picture."""

from collections.abc import Iterator, Sequence
from typing import Final

from contract.inspection import AqlSampling
from qa.counting import plan_for
from qa.sampling.chances import Chances, joint_chances
from qa.words.wording import Words

_SMALLEST: Final = 0.0001
_LOTS: Final = (50, 150, 500, 1_200, 3_200, 10_000, 35_000, 150_000)


def chances_in_words(found: Sequence[Chances]) -> Words:
    """Return the chances at a few true shares of every demand, and both parties' risks, as paragraphs."""
    return Words(zh="\n".join(_chinese(found)), en="\n".join(_english(found)))


def captions(found: Sequence[Chances]) -> Words:
    """Return what the picture assumes and marks."""
    low, high = joint_chances(found)
    by_plan = any(each.plan for each in found)
    return Words(
        zh=(
            "横轴为真实比例, 纵轴为判定概率, 假设各件对错相互独立; F1 等比值按每幅图像、每个视频为一件近似。"
            + (
                "甲方风险: 抽样方案仍以 0.1 的概率接收的质量。乙方风险: 质量恰为 AQL 的批未被接收的概率。"
                if by_plan
                else "甲方风险: 质量恰在门限的工作被接收的概率。乙方风险: 质量居门限与完美正中的工作未被接收的概率。"
            )
            + (f"各项均处于后一质量时, 全部达到的概率在 {low:.4f} 与 {high:.4f} 之间。" if len(found) > 1 else "")
        ),
        en=(
            "x: the true share; y: the probability of each outcome, if units are right or wrong independently; "
            "ratios such as F1 are read as if an image or a video were one unit. "
            + (
                "Client's risk: the quality that the plan still accepts with probability 0.1. Vendor's risk: that work "
                "exactly at the AQL is not accepted."
                if by_plan
                else "Client's risk: that work exactly at the threshold is accepted. Vendor's risk: that work half-way from "
                "the threshold to perfect is not accepted."
            )
            + (
                f" With every quality at the latter, all demands are met with probability between {low:.4f} and {high:.4f}."
                if len(found) > 1
                else ""
            )
        ),
    )


def risk(value: float) -> str:
    """Write a probability with four decimals, and one that is not 0 never as 0."""
    return f"{value:.4f}" if value <= 0 or value >= _SMALLEST else f"<{_SMALLEST:g}"


def few_shares(each: Chances) -> tuple[float, ...]:
    """Return the true shares that are told in words: below the threshold, at it, and in steps towards perfect."""
    gap = 1 - each.threshold
    return tuple(each.threshold + step * gap for step in (-0.5, 0.0, 0.25, 0.5, 0.75))


def _english(found: Sequence[Chances]) -> Iterator[str]:
    yield "Chances"
    yield (
        "  - Accept / reject / extend by the true share, if units are right or wrong independently; ratios such as F1 are "
        "read as if an image or a video were one unit, floors on classes as if that many units of the class were checked."
    )
    for each in found:
        told = "; ".join(_at(each, at) for at in few_shares(each))
        yield f"  - {each.name} >= {each.threshold:g} ({each.rule}, {each.severity}, {each.branches[-1].label}): {told}."
        again = each.repeated_client_risk
        over_all = "" if again is None else f", and {risk(again)} over all rounds of rework"
        yield (
            f"    Client's risk, that work of {each.client_at:.4g} is accepted: {risk(each.client_risk)}{over_all}; "
            f"vendor's risk, that work of {each.vendor_at:.4g} is not: {risk(each.vendor_risk)}."
        )
        if _leaks(each):
            yield (
                f"    That is more than {1 - each.confidence:.4g}, because a sample that is extended is looked at twice; "
                "rule e_process may be looked at any number of times."
            )
    if plans := _plans(found):
        yield f"  - The plan by the size of the lot: {plans}; of all that is ordered as one lot above."
    if len(found) < 2:
        return
    low, high = joint_chances(found)
    yield (
        "  - All demands must be met (an intersection-union test): the client's risk is at most that of one demand; with "
        f"every quality where the vendor's risk is told, all are met with a probability between {low:.4f} and {high:.4f}, "
        f"so that the vendor's joint risk is up to {risk(1 - low)}."
    )


def _chinese(found: Sequence[Chances]) -> Iterator[str]:
    yield "判定机会"
    yield (
        "  - 各真实比例下接收/拒收/加抽的机会, 假设各件对错相互独立; F1 等比值按每幅图像、每个视频为一件近似, "
        "类别门限按抽检该类别同样件数计算。"
    )
    for each in found:
        told = "; ".join(_at(each, at) for at in few_shares(each))
        yield f"  - {each.name} >= {each.threshold:g} ({each.rule}, {each.severity}, {each.branches[-1].label}): {told}。"
        again = each.repeated_client_risk
        over_all = "" if again is None else f", 计入全部返工轮次为 {risk(again)}"
        yield (
            f"    甲方风险 (质量为 {each.client_at:.4g} 的工作被接收): {risk(each.client_risk)}{over_all}; "
            f"乙方风险 (质量为 {each.vendor_at:.4g} 的工作未被接收): {risk(each.vendor_risk)}。"
        )
        if _leaks(each):
            yield f"    高于 {1 - each.confidence:.4g}, 因为追加样本后再看一次; e_process 规则可任意次查看而风险不增。"
    if plans := _plans(found):
        yield f"  - 不同批量的抽样方案: {plans}; 上述机会以全部订购量为一批。"
    if len(found) < 2:
        return
    low, high = joint_chances(found)
    yield (
        "  - 各项要求须全部达到 (交-并检验): 甲方风险不超过单项风险; 各项均处于乙方风险所指质量时, 全部达到的概率在 "
        f"{low:.4f} 与 {high:.4f} 之间, 即乙方合计风险最高 {risk(1 - low)}。"
    )


def _at(each: Chances, at: float) -> str:
    accept, reject, extend = each.final.at(at)
    return f"{at:.4g}: {accept:.3f} / {reject:.3f} / {extend:.3f}"


def _leaks(each: Chances) -> bool:
    return each.rule == "lower_bound" and len(each.branches) > 1 and each.client_risk > 1 - each.confidence


def _plans(found: Sequence[Chances]) -> str:
    """Return the plans of a few sizes of lots; nothing under other rules."""
    plan = next((each.plan for each in found if each.plan), None)
    if plan is None:
        return ""
    # not validated: its severity may be reduced, with which no contract begins
    aql = AqlSampling.model_construct(limit=plan.aql, level=plan.level, severity=plan.severity)
    told = ((lot, plan_for(aql, lot)) for lot in _LOTS)
    return ", ".join(f"{lot:,}: n={each.n} Ac={each.accept}" for lot, each in told)
