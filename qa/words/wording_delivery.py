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
    "destruction_title": Words("数据销毁证书", "Certificate of destruction"),
    "destroyed_lots": Words("已销毁的批次", "Lots destroyed"),
    "manifest_digest": Words("清单摘要 (SHA-256)", "SHA-256 of the manifest"),
    "destroyed": Words("删除的文件", "Files deleted"),
    "bytes": Words("字节", "bytes"),
    "inventory": Words("删除前清点摘要 (SHA-256)", "SHA-256 of the inventory before"),
    "method": Words("方法 (NIST SP 800-88)", "Method (NIST SP 800-88)"),
    "technique": Words("由文件系统删除", "deletion by the file system"),
    "tool": Words("工具", "Tool"),
    "operator": Words("执行人", "Performed by"),
    "verifier": Words("核验人", "Verified by"),
    "nobody": Words("（请签名）", "(to be signed)"),
    "started": Words("开始", "Begun"),
    "finished": Words("完成", "Finished"),
    "verification": Words("核验方式", "Verification"),
    "listed_again": Words("删除后重新列出目录", "the folder was listed again"),
    "left_over": Words("剩余", "Left over"),
    "kept_records": Words("依记录留存期限保留", "Kept as records"),
    "not_covered": Words("本证书不涵盖", "What this does not cover"),
    "not_covered_note": Words(
        "本证书仅就本合同的工作目录作证。它不能保证：工作目录以外的副本（{places} 处原始数据来源、导出文件、标注工具、"
        "HTTP 服务的作业目录、备份、已交付的包）已被删除；磁盘不再保留已删除数据块的残余。"
        "如数据未曾加密存放，则不存在可销毁的密钥。",
        "This vouches for the contract's work folder alone. It cannot vouch for copies outside of it ({places} places that "
        "raw data were taken in from, exports, review tools, jobs of the HTTP service, backups, packages handed over), nor "
        "for what a disk keeps of deleted blocks. No encryption key was destroyed where the data were not stored encrypted.",
    ),
}
