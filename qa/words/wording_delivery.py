"""The words of a delivery's statistics and of its acceptance certificate."""

from collections.abc import Mapping
from typing import Final

from qa.words.wording import Words

DELIVERY_WORDS: Final[Mapping[str, Words]] = {
    "statistics_title": Words("标注结果统计报告", "Statistics of the delivery"),
    "certificate_title": Words("验收证书", "Acceptance certificate"),
    "contract_and_package": Words("合同编号 / 交付包", "Contract / package"),
    "package": Words("交付包", "Package"),
    "delivered_lots": Words("交付批次", "Lots delivered"),
    "volumes_title": Words("数量", "Volumes"),
    "ordered": Words("合同约定", "Ordered"),
    "received_all": Words("已接收原始数据", "Received"),
    "delivered": Words("本次交付", "Delivered"),
    "excused_items": Words("免标", "Excused"),
    "hours": Words("小时", "hours"),
    "volumes_note": Words(
        "本次交付：已标注或确认无目标的条目；已接收：迄今全部批次通过接收检查的条目。",
        "Delivered: items that are labelled or were found empty. Received: what intake took in of all lots so far.",
    ),
    "states": Words("条目状态", "States of items"),
    "classes": Words("类别与质量", "Classes and quality"),
    "classes_note": Words(
        "标注数为本次交付的全部标注；TP、FP、FN 及比例仅就与金标准核对过的条目计算，未核对者以 – 表示。",
        "Labels counts all that is delivered; TP, FP, FN and the rates are of the items that were checked against gold; "
        "– stands where none was.",
    ),
    "delivered_labels": Words("标注数", "Labels"),
    "label_sources": Words("标注来源", "Who made the labels"),
    "sources_note": Words(
        "人员以化名列示，同一合同内化名不变；“来源为模型”指预标注原样保留。核对数与正确数为与金标准比较的结果。",
        "People stand under pseudonyms that stay the same within the contract; a model is the source of drafts that were "
        "left as they were. Checked and right are by comparison with gold.",
    ),
    "source": Words("来源", "Source"),
    "annotator": Words("标注员", "annotator"),
    "model": Words("模型", "model"),
    "checked": Words("核对", "Checked"),
    "right": Words("正确", "Right"),
    "right_share": Words("正确率", "Share right"),
    "defects_found": Words("缺陷", "Defects"),
    "models": Words("预标注模型", "Models of the drafts"),
    "refused": Words("接收时拒收的条目", "Items refused at intake"),
    "verdict_of": Words("验收结论", "Verdict"),
    "certifies": Words(
        "兹证明：下列批次的标注成果已依合同条款验收，结论如下。各数字可凭交付包内的报告文件重新计算。",
        "This certifies that the labels of the lots below were judged by the terms of the contract, with these verdicts. "
        "Every figure can be computed again from the report's files in the package.",
    ),
    "signed_how": Words(
        "本证书由交付包的签名覆盖：包内清单载有本文件的 SHA-256，清单由乙方的 Ed25519 密钥签名，"
        "可用 goldgate verify 离线核对。本证书不是任何机构的资质认证。",
        "The signature of the package covers this certificate: the manifest names this file by its SHA-256 and is signed "
        "with the vendor's Ed25519 key; goldgate verify checks it offline. It is no certification by any authority.",
    ),
    "verdict_digest": Words("结论文件摘要 (SHA-256)", "SHA-256 of the verdict"),
    "judged": Words("判定时间", "Judged"),
    "label_or_class": Words("类别", "Class"),
    "nothing": Words("无", "none"),
}
