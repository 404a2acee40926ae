"""What a verdict says of the life of its lot, in both languages: the draw, the gold's coverage, disputes and rework."""

from collections.abc import Sequence

from contract.tables import Kind
from contract.verdict import Criterion, Outcome, Verdict
from qa.criteria import due_in_whole
from qa.report.figures import share
from qa.rework import Part, ReworkRates
from qa.words.sentences import Sentence

_UNITS = {Kind.IMAGE: ("images", "幅图像"), Kind.TEXT: ("texts", "条文本"), Kind.VIDEO: ("videos", "个视频")}
_MOST_NAMED = 10


def amended(verdict: Verdict, remarks: Sequence[Sentence], *, missing: Sequence[tuple[Criterion, Sentence]] = ()) -> Verdict:
    """Return `verdict` with `remarks` at its end; where gold is `missing` it is EXTEND at best, and says so first."""
    at_best = Outcome.EXTEND if missing and verdict.verdict is Outcome.ACCEPT else verdict.verdict
    first, last = [sentence for _, sentence in missing], list(remarks)
    return verdict.model_copy(
        update={
            "verdict": at_best,
            "criteria": (*verdict.criteria, *(criterion for criterion, _ in missing)),
            "reasons": (*(each.english for each in first), *verdict.reasons, *(each.english for each in last)),
            "reasons_zh": (*(each.chinese for each in first), *verdict.reasons_zh, *(each.chinese for each in last)),
        }
    )


def missing_gold(kind: Kind, *, sampled: int, missing: Sequence[str]) -> tuple[Criterion, Sentence]:
    """Return the criterion of a sample that the gold does not cover."""
    unit, unit_zh = _UNITS[kind]
    names = ", ".join(missing[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
    criterion = due_in_whole(kind, "sampled", share=1 - len(missing) / sampled, units=sampled)
    return criterion, Sentence(
        f"{kind.value}.sampled: {len(missing)} of the {sampled} {unit} of the sample have no gold yet; the figures stand on "
        f"the other {sampled - len(missing)}, and nothing is accepted before the gold covers the sample: {names}.",
        f"{kind.value}.sampled：样本 {sampled} {unit_zh}中有 {len(missing)} {unit_zh}尚无金标准；以上数字仅基于其余 "
        f"{sampled - len(missing)} {unit_zh}，金标准覆盖样本之前不予接收：{names}。",
    )


def undrawn(kind: Kind) -> tuple[Criterion, Sentence]:
    """Return the criterion of a sample to which both parties are committed and that was not drawn."""
    criterion = due_in_whole(kind, "sampled", share=None, units=0)
    return criterion, Sentence(
        f"{kind.value}.sampled: both parties are committed to a draw that is due; nothing is accepted before it.",
        f"{kind.value}.sampled：双方已就抽样作出承诺而尚未抽样；抽样之前不予接收。",
    )


def sampled_on_record(number: int, *, items: int, outside: int) -> Sentence:
    """Say which sample was checked, and what gold was left out."""
    extra = f"; gold of {outside} items outside it was not counted" if outside else ""
    extra_zh = f"；样本之外 {outside} 件的金标准不计入" if outside else ""
    return Sentence(
        f"Sample {number} of {items} items, drawn on record, was checked{extra}.",
        f"检验依据为记录在案的抽样 {number}，共 {items} 件{extra_zh}。",
    )


def not_drawn() -> Sentence:
    """Say that the gold's items stand in for a sample."""
    return Sentence(
        "The sample was not drawn on record: the items of the gold stand in for it, and nothing shows that neither party "
        "chose them.",
        "样本并非记录在案的抽样：以金标准所含条目代之，无法证明双方均未挑选。",
    )


def on_record_only(standing: int | None) -> Sentence:
    """Say that this verdict does not change the state of the lot."""
    stands = "" if standing is None else f"; verdict {standing} stands"
    stands_zh = "" if standing is None else f"，仍以结论 {standing} 为准"
    return Sentence(
        f"This verdict is kept on record and moves nothing{stands}: only a dispute changes the verdict of a judged lot.",
        f"本结论仅作记录，不改变批次状态{stands_zh}：已判定的批次只有经异议程序才可改判。",
    )


def rescored(items: Sequence[str], *, verdict: int, gold: int) -> Sentence:
    """Say that a dispute led here, and what stood before."""
    names = ", ".join(items[:_MOST_NAMED]) + (", ..." if len(items) > _MOST_NAMED else "")
    return Sentence(
        f"Judged again after a dispute over the gold of {len(items)} items ({names}); verdict {verdict} by gold {gold} "
        "stood before, and both are kept.",
        f"因对 {len(items)} 件金标准的异议（{names}）重新判定；此前为结论 {verdict}（金标准 {gold}），两者均保留。",
    )


def reworked(number: int, rates: ReworkRates, *, rounds: int) -> list[Sentence]:
    """Say what round `number` of rework mended and changed, inside the earlier sample and outside."""
    inside, outside = _rates(rates.inside), _rates(rates.outside)
    told = [
        Sentence(
            f"Rework round {number} of {rounds}: inside the earlier sample {inside[0]}; outside it {outside[0]}.",
            f"第 {number} 轮返工（共 {rounds} 轮）：原样本内{inside[1]}；原样本外{outside[1]}。",
        )
    ]
    if rates.nothing_changed:
        told.append(Sentence("The reworked submission changes no label.", "返工后的提交未改动任何标注。"))
    elif rates.only_sampled:
        told.append(
            Sentence(
                "Only the sampled items were reworked: hardly anything changed outside the earlier sample.",
                "只改抽检项：原样本之外几乎没有改动。",
            )
        )
    return told


def _rates(part: Part) -> tuple[str, str]:
    fixed = f"{part.fixed} of {part.wrong} items known as wrong are mended ({share(part.fix_rate)})"
    fixed_zh = f"已知有误的 {part.wrong} 件改正 {part.fixed} 件（{share(part.fix_rate)}）"
    return (
        f"{fixed}, and {part.changed} of {part.items} items changed ({share(part.change_rate)})",
        f"{fixed_zh}，{part.items} 件中改动 {part.changed} 件（{share(part.change_rate)}）",
    )
