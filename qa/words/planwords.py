"""The planner's options in words, Chinese and English."""

from collections.abc import Iterator, Mapping
from typing import Final

from qa.sampling.planner import Options, Procedure
from qa.words.chancewords import risk
from qa.words.wording import Words

_NAMES: Final[Mapping[str, Words]] = {
    "lower_bound": Words(
        "一次抽样 (精确置信下限; 错误不超过 c 件即接收)", "One sample (exact lower bound; accept with up to c errors)"
    ),
    "looks": Words(
        "分五次查看 (件数/允许错误; 风险均分)", "Five looks (items/errors allowed; the risk is split over the looks)"
    ),
    "sprt": Words(
        "序贯概率比检验 (错误数不高于下线即接收, 不低于上线即拒收)",
        "Sequential ratio test (accept at the lower line of errors, reject at the upper)",
    ),
    "e_process": Words(
        "e 过程 (合同规则 e_process; 可随时查看)", "E-process (rule e_process of the terms; look whenever you like)"
    ),
    "aql": Words(
        "AQL 抽样方案 (合同规则 aql; 不证明达到门限)", "Plan by AQL (rule aql of the terms; does not prove the threshold)"
    ),
}


def options_in_words(found: Options) -> Words:
    """Return the options as paragraphs."""
    return Words(zh="\n".join(_chinese(found)), en="\n".join(_english(found)))


def _english(found: Options) -> Iterator[str]:
    aim = found.aim
    lot = "an endless lot" if aim.lot is None else f"a lot of {aim.lot:,}"
    yield (
        f"To accept work of {aim.good:g} with probability {aim.vendor_confidence:g} at least and work of {aim.threshold:g} "
        f"with probability {1 - aim.confidence:.4g} at most, from {lot}:"
    )
    yield f"  - Smallest samples that prove {aim.threshold:g} in spite of so many errors: {_proving(found)}."
    yield f"  - To estimate a share near {aim.good:g} within 0.02 at 95 % takes {found.estimating} items; it proves nothing."
    for each in found.procedures:
        yield f"  - {_NAMES[each.name].en}: {each.detail}."
        most = "no limit" if each.most is None else f"{each.most} at most"
        yield (
            f"    {most}; on average {each.mean_at_good:.0f} items on good work and {each.mean_at_threshold:.0f} at the "
            f"threshold; accepts good work with probability {risk(each.accept_at_good)}, work at the threshold with "
            f"{risk(each.accept_at_threshold)}{_kept(each, found).en}."
        )


def _chinese(found: Options) -> Iterator[str]:
    aim = found.aim
    lot = "批量不限" if aim.lot is None else f"批量 {aim.lot:,}"
    yield (
        f"目标: 质量 {aim.good:g} 的工作以不低于 {aim.vendor_confidence:g} 的概率接收, 质量 {aim.threshold:g} 的工作以不高于"
        f" {1 - aim.confidence:.4g} 的概率接收 ({lot}):"
    )
    yield f"  - 出现若干错误仍能证明 {aim.threshold:g} 的最小样本: {_proving(found)}。"
    yield f"  - 以 95 % 置信水平、±0.02 估计 {aim.good:g} 左右的比例需 {found.estimating} 件; 估计不构成证明。"
    for each in found.procedures:
        yield f"  - {_NAMES[each.name].zh}: {each.detail}。"
        most = "件数不限" if each.most is None else f"最多 {each.most} 件"
        yield (
            f"    {most}; 平均检验件数: 好的工作 {each.mean_at_good:.0f}, 恰在门限 {each.mean_at_threshold:.0f}; "
            f"接收概率: 好的工作 {risk(each.accept_at_good)}, 恰在门限 {risk(each.accept_at_threshold)}"
            f"{_kept(each, found).zh}。"
        )


def _proving(found: Options) -> str:
    return ", ".join(f"{errors}: {'–' if n is None else n}" for errors, n in found.proving.items())


def _kept(each: Procedure, found: Options) -> Words:
    """Say which of the two aims a procedure misses."""
    aim = found.aim
    client = each.accept_at_threshold > 1 - aim.confidence + 1e-9
    vendor = each.accept_at_good < aim.vendor_confidence - 1e-9
    zh, en = ["甲方"] * client + ["乙方"] * vendor, ["client"] * client + ["vendor"] * vendor
    if not en:
        return Words("", "")
    return Words(f", {'与'.join(zh)}风险超出目标", f": more risk to the {' and the '.join(en)} than aimed at")
