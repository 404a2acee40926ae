"""The reading of how the sample is divided and of what is paid, in both languages."""

from collections.abc import Iterator
from typing import Final

from contract.settlement import Settlement
from contract.tables import Kind
from contract.terms import Terms

_STRATA: Final = {
    "class": ("类别", "class"),
    "annotator": ("标注员", "annotator"),
    "confidence": ("预标注置信度", "confidence of the draft"),
}
_PRICED: Final = {
    Kind.IMAGE: ("每幅图像", "an image"),
    Kind.TEXT: ("每条文本", "a text"),
    Kind.VIDEO: ("每小时视频", "an hour of video"),
}


def strata_in_chinese(terms: Terms) -> Iterator[str]:
    """Yield how the sample is stratified, if it is."""
    by = [_STRATA[name][0] for name in terms.acceptance.sampling.stratify]
    if by:
        yield f"样本按{'、'.join(by)}分层, 各层按比例 (最大余额法) 抽取且至少 1 件。"


def strata_in_english(terms: Terms) -> Iterator[str]:
    """Yield how the sample is stratified, if it is."""
    by = [_STRATA[name][1] for name in terms.acceptance.sampling.stratify]
    if by:
        yield (
            f"The sample is stratified by {', '.join(by)}: each stratum in proportion (largest remainder), and one item of "
            "each at least."
        )


def settlement_in_chinese(terms: Terms) -> Iterator[str]:
    """Yield prices, deductions and damages for lateness, if the terms settle them."""
    settlement = terms.settlement
    if settlement is None:
        return
    prices = "; ".join(f"{_PRICED[kind][0]} {price}" for kind, price in _prices(settlement))
    yield f"按实际验收合格数量结算, 单价 ({settlement.currency}): {prices}; 每项金额四舍五入到 0.01。"
    yield (
        f"逾期每日按该批价款的 {settlement.late_per_day} 计违约金 (按自然日, 返工轮次自其期限届满起算), "
        f"累计不超过合同总价的 {settlement.late_cap}。"
    )
    for step in settlement.deductions:
        yield f"{step.criterion} 的实测值低于 {step.below} 时, 扣减该类价款的 {step.share} (同一指标取最大一档)。"


def settlement_in_english(terms: Terms) -> Iterator[str]:
    """Yield prices, deductions and damages for lateness, if the terms settle them."""
    settlement = terms.settlement
    if settlement is None:
        return
    prices = "; ".join(f"{price} for {_PRICED[kind][1]}" for kind, price in _prices(settlement))
    yield f"Paid is what was accepted, in {settlement.currency}: {prices}; each amount is rounded half up to 0.01."
    yield (
        f"A late lot costs {settlement.late_per_day} of its price for each calendar day (of a rework, after its own term), "
        f"all lots together at most {settlement.late_cap} of the contract's price."
    )
    for step in settlement.deductions:
        yield (
            f"Where {step.criterion} is measured below {step.below}, {step.share} of that kind's price is taken off "
            "(of several steps for one figure the largest)."
        )


def _prices(settlement: Settlement) -> Iterator[tuple[Kind, str]]:
    for kind in Kind:
        price = settlement.unit_price.of(kind)
        if price is not None:
            yield kind, str(price)
