"""The words of the report's sections on consistency, completeness and the bias of pre-labels."""

from collections.abc import Mapping
from typing import Final

from qa.words.wording import Words

QUALITY_WORDS: Final[Mapping[str, Words]] = {
    "quality": Words("一致性与完整性", "Consistency and completeness"),
    "quality_note": Words(
        "准确性以金标准衡量（见各类数据的章节）；一致性与完整性见下。",
        "Accuracy is measured against gold, in the sections on each kind of data; consistency and completeness are here.",
    ),
    "completeness": Words("完整性", "Completeness"),
    "completeness_note": Words(
        "每个条目恰有一种状态：已标注、确认无目标、免标（仅金标准可免）或缺失；四者之和为条目总数。",
        "Each item is in just one state: labelled, empty, excused (by the gold alone) or missing; the four add up to all.",
    ),
    "items": Words("条目", "Items"),
    "all": Words("总数", "All"),
    "missing_items": Words("缺失的条目", "Missing items"),
    "agreement": Words("重复标注的一致性", "Agreement on items labelled twice"),
    "no_agreement": Words(
        "没有被标注两次的条目（goldgate consistency 可比较两次提交或两个来源）。",
        "No item was labelled twice (goldgate consistency compares two submissions or two sources).",
    ),
    "self_consistency": Words("相同内容条目的自身一致性", "Self-consistency on items with the same content"),
    "no_duplicates": Words("本批没有内容相同的条目。", "No two items of this lot have the same content."),
    "duplicates_note": Words("{pairs} 对内容相同的条目。", "{pairs} pairs of items with the same content."),
    "between": Words("比较双方", "Between"),
    "counts": Words("计数", "Counts"),
    "agreed": Words("一致程度", "Agreement"),
    "agreed_limits": Words("单侧限", "Limits"),
    "other_figures": Words("其他指标", "Other figures"),
    "agreement_note": Words(
        "框、镜头、关键帧、事件以 F1 表示一致程度，文本以相同标签占比表示；双方互换，结果不变。",
        "Agreement is F1 for boxes, shots, keyframes and events, and the share of equal labels for texts; swapping the two "
        "sides changes nothing.",
    ),
    "ceiling": Words("金标准上限", "Gold ceiling"),
    "ceiling_note": Words(
        "{texts} 条文本由两人独立标注金标准，其中 {disagreeing} 条不一致：单人出错率估计 {error}，因此即使标注全对，"
        "测得的准确率最高约为 {ceiling}（单侧置信下限 {lower}）。",
        "Two people made gold for {texts} texts and differ on {disagreeing}: one errs on an estimated {error}, so that even "
        "a faultless submission would measure {ceiling} at most (one-sided lower limit {lower}).",
    ),
    "bias": Words("预标注的影响", "Bias of pre-labels"),
    "bias_note": Words(
        "未改动：草稿原样出现在提交中（类别相同且各边相差不超过容差；标签相同；帧相同）。其余标注（含新增）计为改动。"
        "所有比例以条目为单元给出单侧置信限。",
        "Untouched: the submission holds the draft as it was (same class and every side within the tolerance; same label; "
        "same frames). All other labels, new ones included, count as edited. Limits of shares are one-sided, by item.",
    ),
    "drafts": Words("草稿", "Drafts"),
    "untouched": Words("未改动", "Untouched"),
    "untouched_share": Words("未改动占比", "Share untouched"),
    "unchanged_items": Words("原样返回", "Items unchanged"),
    "no_blind": Words(
        "没有已知的盲标金标准，因此无法区分两种金标准。",
        "No item of the gold is known to be blind, so that the two kinds of gold cannot be told apart.",
    ),
    "accuracy_untouched": Words("未改动标注的正确率", "Untouched labels right"),
    "accuracy_edited": Words("改动标注的正确率", "Edited labels right"),
    "against_blind": Words("对盲标金标准", "Against blind gold"),
    "against_corrected": Words("对修正金标准", "Against corrected gold"),
    "blind_note": Words(
        "盲标金标准：制作时看不到草稿（{items} 个条目）。对修正金标准明显更好，说明金标准被草稿“锚定”。",
        "Blind gold is made without sight of drafts ({items} items). Clearly better figures against corrected gold mean "
        "that the drafts anchored the gold.",
    ),
    "anchored": Words(
        "注意：对修正金标准的结果好于对盲标金标准的结果，差值的单侧置信下限大于 0：金标准受草稿影响。",
        "Beware: figures are better against corrected than against blind gold, and the lower limit of the difference is "
        "over 0: the gold follows the drafts.",
    ),
    "difference": Words("差值（下限）", "Difference (lower limit)"),
    "no_better": Words(
        "注意：准确率不高于“一律回答最常见标签”的得分（见“多数类占比”）。",
        "Beware: the accuracy is no better than always answering the gold's commonest label would be.",
    ),
    "seeds": Words("埋入的错误草稿", "Deliberately wrong drafts"),
    "seeded": Words("埋入", "Seeded"),
    "caught": Words("已纠正", "Corrected"),
    "caught_share": Words("纠正率", "Share corrected"),
    "wrong_class": Words("类别改错", "wrong class"),
    "moved": Words("框移位", "moved"),
    "dropped": Words("框删除", "dropped"),
    "wrong_label": Words("标签改错", "wrong label"),
    "share_iou_075": Words("IoU ≥ 0.75 占比", "share IoU ≥ 0.75"),
    "mean_offset_frames": Words("平均偏差（帧）", "mean offset, frames"),
    "mean_offset_s": Words("平均偏差（秒）", "mean offset, s"),
    "mean_tiou": Words("平均 tIoU", "mean tIoU"),
    "kappa": Words("κ", "κ"),
    "kappa_lower": Words("κ 双侧下限", "κ, lower (two-sided)"),
    "kappa_upper": Words("κ 双侧上限", "κ, upper (two-sided)"),
    "alpha_nominal": Words("α", "α"),
    "matched": Words("相符", "matched"),
    "only_first": Words("仅前者", "only first"),
    "only_second": Words("仅后者", "only second"),
    "agreeing": Words("相同", "equal"),
    "disagreeing": Words("不同", "different"),
}
