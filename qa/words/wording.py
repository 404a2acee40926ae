"""The words of the acceptance report, in Chinese and in English, side by side."""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from contract.verdict import Outcome


class Words(NamedTuple):
    """One saying in both languages."""

    zh: str
    en: str

    def format(self, **values: object) -> "Words":
        """Return the words with `values` filled in, in both languages."""
        return Words(self.zh.format(**values), self.en.format(**values))


OUTCOMES: Final[Mapping[Outcome, Words]] = {
    Outcome.ACCEPT: Words("接收", "ACCEPT"),
    Outcome.REJECT: Words("拒收", "REJECT"),
    Outcome.EXTEND: Words("扩大抽样", "EXTEND"),
}

OUTCOME_MEANINGS: Final[Mapping[Outcome, Words]] = {
    Outcome.ACCEPT: Words(
        "每一项指标都已按条款达到门槛，应予接收。",
        "Every criterion reaches its threshold under the terms: the submission is accepted.",
    ),
    Outcome.REJECT: Words(
        "至少一项指标按条款判定为不达标，应予拒收并返工。",
        "At least one criterion is below its threshold under the terms: the submission goes back for rework.",
    ),
    Outcome.EXTEND: Words(
        "现有样本既不能证明达标，也不能证明不达标，应扩大抽样后再判。",
        "The sample proves neither good nor bad: more items are to be checked before a verdict.",
    ),
}

KINDS: Final = {"image": Words("图像", "Images"), "text": Words("文本", "Texts"), "video": Words("视频", "Videos")}

DEFECTS: Final = {
    "missed": Words("漏标", "missed"),
    "spurious": Words("多标", "spurious"),
    "wrong_class": Words("类别错误", "wrong class"),
    "loose_box": Words("框不准", "loose box"),
    "duplicate": Words("重复框", "duplicate"),
}

DEFECT_MEANINGS: Final = {
    "missed": Words("金标准中有，提交中没有", "in the gold, not in the submission"),
    "spurious": Words("提交中有，金标准中没有", "in the submission, not in the gold"),
    "wrong_class": Words("位置达标，类别不符", "the place is right, the class is not"),
    "loose_box": Words("类别相符，IoU 低于门槛", "the class is right, the IoU is below the threshold"),
    "duplicate": Words("同一目标重复标注", "a second box on the same object"),
}

METRICS: Final = {
    "f1": Words("F1", "F1"),
    "precision": Words("精确率", "precision"),
    "recall": Words("召回率", "recall"),
    "class_recall_min": Words("最低类别召回率", "lowest class recall"),
    "class_recall": Words("类别召回率", "class recall"),
    "accuracy": Words("准确率", "accuracy"),
    "macro_f1": Words("宏平均 F1", "macro-F1"),
    "keyframe_f1": Words("关键帧 F1", "keyframe F1"),
    "shot_f1": Words("镜头 F1", "shot F1"),
    "event_f1": Words("事件 F1", "event F1"),
    "conforming": Words("无缺陷图像比例", "share without any defect"),
    "keyframe_conforming": Words("关键帧无缺陷比例", "share without keyframe defects"),
    "shot_conforming": Words("镜头无缺陷比例", "share without shot defects"),
    "event_conforming": Words("事件无缺陷比例", "share without event defects"),
    "complete": Words("完整性", "completeness"),
    "sampled": Words("样本的金标覆盖", "gold of the sample"),
}

SIZES: Final = {
    "small": Words("小（< 32²）", "small (< 32²)"),
    "medium": Words("中", "medium"),
    "large": Words("大（≥ 96²）", "large (≥ 96²)"),
}

TIMELINES: Final = {
    "shots": Words("镜头切换", "Shot starts"),
    "keyframes": Words("关键帧", "Keyframes"),
    "events": Words("事件", "Events"),
}

REASONS: Final = {
    "corrupt": Words("文件损坏", "corrupt"),
    "truncated": Words("文件不完整", "truncated"),
    "empty": Words("空文件", "empty"),
    "unsupported": Words("类型不支持", "unsupported"),
    "oversized": Words("超出限制", "oversized"),
    "encoding": Words("文本编码不符", "encoding"),
    "no_video": Words("没有画面", "no pictures"),
    "duplicate": Words("内容重复", "duplicate content"),
    "duplicate_id": Words("编号重复", "duplicate id"),
    "sha256_mismatch": Words("与清单摘要不符", "digest differs from the manifest"),
    "outside": Words("指向目录之外", "leaves its folder"),
    "link": Words("链接目录", "linked folder"),
    "hidden": Words("隐藏文件", "hidden file"),
    "unreadable": Words("无法读取", "unreadable"),
    "special": Words("特殊文件", "pipe, socket or device"),
    "name": Words("文件名编码不符", "file name is not UTF-8"),
    "missing": Words("清单所列而不存在", "named and not there"),
}

GLOSSARY: Final[tuple[tuple[str, Words], ...]] = (
    (
        "gold 金标准",
        Words(
            "由人工复核、按版本保存、用来评分的标注。其本身也可能有误，可按条款提出争议。",
            "Labels corrected by people, kept in versions, against which a submission is scored. They can be wrong "
            "themselves: the terms say how to dispute them.",
        ),
    ),
    (
        "IoU 交并比",
        Words(
            "两个框的交集面积除以并集面积，0 为不相交，1 为完全重合。",
            "Intersection over union: the area that two boxes share, divided by the area that they cover.",
        ),
    ),
    (
        "TP · FP · FN",
        Words(
            "标注与金标准一对一匹配后的命中数、多余数、漏标数。",
            "Hits, extra labels and misses, counted after labels and gold are matched one to one.",
        ),
    ),
    (
        "precision · recall · F1",
        Words(
            "精确率 = TP/(TP+FP)；召回率 = TP/(TP+FN)；F1 = 2TP/(2TP+FP+FN)。",
            "Precision = TP/(TP+FP); recall = TP/(TP+FN); F1 = 2TP/(2TP+FP+FN).",
        ),
    ),
    (
        "κ, α",
        Words(
            "Cohen κ、Krippendorff α：扣除偶然一致后的一致程度，1 为完全一致，0 为等同随机。",
            "Cohen's kappa, Krippendorff's alpha: agreement beyond chance; 1 is perfect, 0 is no better than chance.",
        ),
    ),
    (
        "[L, U] 单侧置信限",
        Words(
            "若真值等于 L，出现这样好或更好的样本的概率不超过 1−置信水平；U 反之。两端各按所注置信水平成立。",
            "One-sided limits: were the truth at L, a sample this good or better would turn up with a chance of at most "
            "1 − confidence; U the other way round. Each end holds at the stated confidence on its own.",
        ),
    ),
    (
        "Clopper–Pearson",
        Words("用于独立条目（文本）的精确二项置信限。", "Exact binomial limits, for independent items (texts)."),
    ),
    (
        "Korn–Graubard",
        Words(
            "用于成组数据：同一图像（视频）内的标注彼此相关，先折算成有效样本量再取精确限。",
            "Limits for clustered data: labels of one image (or video) resemble each other, so the sample is reduced "
            "to its effective size before exact limits are taken.",
        ),
    ),
    (
        "EXTEND 扩大抽样",
        Words(
            "样本太小或区间跨越门槛，既不能接收也不能拒收；不等于通过，也不等于不通过。",
            "The sample is too small or its interval lies across the threshold: neither a pass nor a fail.",
        ),
    ),
    (
        "AP",
        Words(
            "COCO 平均精度：按分数排序的精确率—召回率曲线下面积，仅当标注带分数时有定义。",
            "COCO average precision: the area under the precision-recall curve of scored boxes; undefined without scores.",
        ),
    ),
)

WORDS: Final[Mapping[str, Words]] = {
    "title": Words("标注质量验收报告", "Annotation acceptance report"),
    "score_title": Words("标注质量评分报告", "Annotation score report"),
    "no_verdict": Words("仅评分，不含合同判定。", "Score only: no contract, no verdict."),
    "contract": Words("合同编号 / 批次 / 提交", "Contract / lot / submission"),
    "contract_title": Words("合同名称", "Title"),
    "purpose": Words("用途", "Purpose"),
    "client": Words("甲方（委托方）", "Client (party A)"),
    "vendor": Words("乙方（标注方）", "Vendor (party B)"),
    "lot": Words("批次", "Lot"),
    "submission": Words("提交次序", "Submission"),
    "gold_version": Words("金标准版本", "Gold version"),
    "guideline": Words("标注规范版本", "Guideline version"),
    "terms": Words("条款摘要", "Terms digest"),
    "guideline_digest": Words("标注规范摘要", "Guideline digest"),
    "manifest": Words("批次清单摘要", "Manifest digest"),
    "labels_digest": Words("提交文件摘要", "Submission files"),
    "gold_digest": Words("金标准文件摘要", "Gold files"),
    "sources": Words("评分文件摘要", "Files scored"),
    "files": Words("随附文件摘要", "Files beside this page"),
    "files_note": Words(
        "goldgate verify-report 可凭随附文件重新计算各项数字，并核对以上摘要。",
        "goldgate verify-report computes the figures again from these files and checks the digests.",
    ),
    "date": Words("出具时间", "Issued"),
    "software": Words("软件", "Software"),
    "criteria": Words("判定指标", "Criteria"),
    "criterion": Words("指标", "Criterion"),
    "estimate": Words("估计值", "Estimate"),
    "lower": Words("单侧下限", "Lower limit"),
    "upper": Words("单侧上限", "Upper limit"),
    "threshold": Words("门槛", "Threshold"),
    "units": Words("样本量", "Sample"),
    "outcome": Words("结论", "Outcome"),
    "chart": Words("区间与门槛", "Interval, threshold"),
    "chart_legend": Words(
        "● 估计值；├─┤ 单侧置信限；┆ 门槛；阴影为达标区。",
        "● estimate; ├─┤ one-sided limits; ┆ threshold; shaded: reaches the threshold.",
    ),
    "reading": Words("条款解读", "The terms in words"),
    "volumes": Words("数量", "Volumes"),
    "kind": Words("类型", "Kind"),
    "contracted": Words("合同数量", "Contracted"),
    "received": Words("本批入库", "In this lot"),
    "labelled": Words("已标注", "Labelled"),
    "empty": Words("确认无目标", "Empty"),
    "excused": Words("免标", "Excused"),
    "missing": Words("缺失", "Missing"),
    "in_gold": Words("有金标准", "With gold"),
    "rejects": Words("入库拒收", "Rejected at intake"),
    "reason": Words("原因", "Reason"),
    "count": Words("数量", "Count"),
    "examples": Words("示例", "Examples"),
    "no_rejects": Words("入库时没有拒收条目。", "No item was rejected at intake."),
    "boxes": Words("图像检测框", "Boxes on images"),
    "figures": Words("总体", "Overall"),
    "figure": Words("指标", "Figure"),
    "method": Words("方法", "Method"),
    "images": Words("评分图像", "Images scored"),
    "perfect": Words("全对图像", "Perfect images"),
    "mean_iou": Words("平均 IoU", "Mean IoU"),
    "p5_iou": Words("IoU 第 5 百分位", "IoU, 5th percentile"),
    "share_075": Words("IoU ≥ 0.75 占比", "Share IoU ≥ 0.75"),
    "ignored": Words("不计入（金标准 / 提交）", "Left out (gold / subm.)"),
    "incomplete": Words("无标注且未免标，按错误计", "Without labels or excuse, counted as errors"),
    "per_class": Words("按类别", "By class"),
    "per_size": Words("按大小（平方像素）", "By size (square pixels)"),
    "label": Words("类别", "Class"),
    "all_classes": Words("全部类别", "all classes"),
    "size": Words("大小", "Size"),
    "precision": Words("精确率", "Precision"),
    "recall": Words("召回率", "Recall"),
    "recall_limits": Words("召回率单侧限", "Limits of recall"),
    "f1_limits": Words("F1 单侧限", "Limits of F1"),
    "confidence": Words("置信水平", "Confidence"),
    "iou_histogram": Words(
        "IoU 分布：蓝色为匹配的框，橙色斜纹为“框不准”；竖线为合同门槛 T 和 0.75。",
        "IoU of pairs: blue are matches, hatched orange are loose boxes; the lines are the contract's threshold T and 0.75.",
    ),
    "confusion": Words("混淆矩阵", "Confusion matrix"),
    "confusion_note": Words(
        "行：金标准 G；列：提交 V。对角线为一致；“漏标”含框不准，“多标”含框不准与重复框。底色按行内占比。",
        "Rows: gold G; columns: submission V. The diagonal agrees; “missed” includes loose boxes, “spurious” includes "
        "loose boxes and duplicates. Shading is the share of the row.",
    ),
    "text_confusion_note": Words(
        "行：金标准 G；列：提交 V。底色按行内占比。", "Rows: gold G; columns: submission V. Shading is the share of the row."
    ),
    "curves": Words("精确率—召回率曲线（各类别平均）", "Precision over recall (mean over classes)"),
    "no_curves": Words("没有精确率—召回率曲线和 COCO 指标", "No precision-recall curves and no COCO figures"),
    "coco": Words("COCO 指标（模型读法，不用于判定）", "COCO figures (the model's reading; they decide nothing)"),
    "defects": Words("缺陷", "Defects"),
    "defect": Words("缺陷", "Defect"),
    "meaning": Words("含义", "Meaning"),
    "worst": Words("最严重的缺陷", "The worst defects"),
    "worst_note": Words(
        "共 {total} 处缺陷，此处按种类轮流、面积从大到小列出 {shown} 处；全部见缺陷表。",
        "{total} defects in all; {shown} are shown, each kind in turn and the largest first. The table of defects has all.",
    ),
    "gold_box": Words("金标准（实线，G）", "gold (solid, G)"),
    "vendor_box": Words("提交（虚线，V）", "submission (dashed, V)"),
    "other_boxes": Words("同处的其他框（细线）", "other boxes there (thin)"),
    "no_images": Words(
        "评分时没有可用的图像文件，因此不画出缺陷。", "No image files were at hand, so that no defect is drawn."
    ),
    "not_drawn": Words("以下图像无法显示", "These images cannot be shown"),
    "sentiment": Words("文本情感", "Sentiment of texts"),
    "weighted_f1": Words("加权 F1", "Weighted F1"),
    "balanced_accuracy": Words("平衡准确率", "Balanced accuracy"),
    "kappa_quadratic": Words("κ（平方权重）", "κ, quadratic weights"),
    "alpha_ordinal": Words("α（有序）", "α, ordinal"),
    "texts": Words("评分文本", "Texts scored"),
    "correct": Words("正确", "Correct"),
    "majority": Words("多数类占比", "Commonest label"),
    "majority_trap": Words(
        "注意：提交对所有文本只给出同一个标签，准确率不能说明质量。",
        "Beware: the submission gives one label to every text; its accuracy says nothing of quality.",
    ),
    "wrong_texts": Words("最有把握却错误的文本", "Wrong texts, the most confident first"),
    "wrong_note": Words("共 {total} 条错误，列出 {shown} 条。", "{total} wrong texts in all; {shown} are shown."),
    "text": Words("文本", "Text"),
    "item": Words("条目", "Item"),
    "gold": Words("金标准", "Gold"),
    "submitted": Words("提交", "Submission"),
    "score": Words("把握", "Score"),
    "absent": Words("未标", "none"),
    "video": Words("视频", "Videos"),
    "videos": Words("视频", "Videos"),
    "task": Words("任务", "Task"),
    "offset": Words("平均偏差", "Mean offset"),
    "frames": Words("帧", "frames"),
    "activitynet": Words(
        "ActivityNet mAP（模型读法，不用于判定）", "ActivityNet mAP (the model's reading; decides nothing)"
    ),
    "timelines": Words("时间线", "Timelines"),
    "timeline_note": Words(
        "上：金标准（G，蓝色实心）与提交（V，橙色斜纹）。下：各时间窗口内的命中、漏标与多标（镜头、关键帧、事件合计）。",
        "Above: gold (G, solid blue) and submission (V, hatched orange). Below: hits, missed and spurious labels (shots, "
        "keyframes and events together), window by window.",
    ),
    "window": Words("窗口 {step} 秒", "windows of {step} s"),
    "timelines_left": Words(
        "另有 {left} 个视频未画出（缺陷多者在前）。",
        "{left} more videos are not drawn (those with most defects come first).",
    ),
    "reading_profile": Words("评分口径", "How it was read"),
    "glossary": Words("术语", "Terms used"),
    "provenance": Words("来源与可复核性", "Provenance"),
    "provenance_note": Words(
        "本报告为单一文件，不含外部链接或脚本。凭所列摘要与同一软件版本，任何一方都可重新计算。",
        "This report is one file without outside links or scripts. With these digests and the same software, either "
        "party can compute it again.",
    ),
    "signatures": Words("签字", "Signatures"),
    "sign_note": Words("双方确认已收到并核对本报告。", "Both parties confirm that they received and checked this report."),
    "name": Words("姓名", "Name"),
    "signature": Words("签字 / 盖章", "Signature / seal"),
    "sign_date": Words("日期", "Date"),
    "undefined": Words("无定义", "undefined"),
    "more_classes": Words("另有 {left} 个类别未列出。", "{left} more classes are not listed."),
}


def criterion_words(name: str) -> Words:
    """Return the words for a criterion's name, for example text.class_recall.positive; what is unknown stays as it is."""
    kind, _, rest = name.partition(".")
    metric, _, label = rest.partition(".")
    if kind not in KINDS or metric not in METRICS:
        return Words(name, name)
    tail = f"：{label}" if label else "", f": {label}" if label else ""
    kinds = KINDS[kind]
    return Words(f"{kinds.zh} · {METRICS[metric].zh}{tail[0]}", f"{kinds.en} · {METRICS[metric].en}{tail[1]}")


def with_names_in_words(sentence: str, language: Literal["zh", "en"]) -> str:
    """Return a sentence of the verdict with the names of criteria (image.f1) put into words."""

    def words(found: re.Match[str]) -> str:
        spoken = criterion_words(f"{found[1]}.{found[2]}")
        said, joint = (spoken.zh, "：") if language == "zh" else (spoken.en, ": ")
        return said + (joint if found[3] else "")

    return _CRITERION.sub(words, sentence)


_CRITERION: Final = re.compile(rf"\b({'|'.join(KINDS)})\.({'|'.join(sorted(METRICS, key=len, reverse=True))})\b(\.(?=\S))?")
