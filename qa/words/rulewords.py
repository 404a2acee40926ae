"""The rule of a verdict in words, with how strictly it was applied."""

from collections.abc import Mapping
from typing import Final

from contract.verdict import Verdict
from qa.words.wording import Words

_RULES: Final[Mapping[str, Words]] = {
    "lower_bound": Words(
        "判定规则：单侧置信下限达到门槛为接收，单侧置信上限低于门槛为拒收，其余为扩大抽样。",
        "Rule: accept when the one-sided lower limit reaches the threshold, reject when the one-sided upper limit "
        "is below it, otherwise extend.",
    ),
    "point": Words(
        "判定规则：以样本估计值与门槛比较（不计抽样误差）。",
        "Rule: the estimate itself is compared with the threshold (sampling error is not taken into account).",
    ),
    "aql": Words(
        "判定规则：按 GB/T 2828.1 (ISO 2859-1) 抽样方案，n 件中不合格不超过 Ac 件为接收，超过为拒收，未检满 n 件"
        "为扩大抽样；各项的方案见结论依据，置信限只作报告。",
        "Rule: by the sampling plan of ISO 2859-1 (GB/T 2828.1), accept with at most Ac nonconforming items of n, reject "
        "with more, extend while fewer than n are checked; the reasons name each plan, and the limits are reported only.",
    ),
    "e_process": Words(
        "判定规则：达到门槛的证据值足够为接收，未达到门槛的证据值足够为拒收，其余为扩大抽样；证据值见结论依据，置信限只作报告。",
        "Rule: accept on sufficient evidence that the threshold is reached, reject on sufficient evidence that it is not, "
        "otherwise extend; the reasons name the evidence, and the limits are reported only.",
    ),
}
_SEVERITIES: Final[Mapping[str, Words]] = {
    "normal": Words("", ""),
    "tightened": Words("本次为加严检验。", " Inspection was tightened."),
    "reduced": Words("本次为放宽检验。", " Inspection was reduced."),
}


def rule_words(verdict: Verdict) -> Words:
    """Return the rule by which `verdict` was reached."""
    rule, severity = _RULES[verdict.rule], _SEVERITIES[verdict.severity]
    return Words(rule.zh + severity.zh, rule.en + severity.en)
