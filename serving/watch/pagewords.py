"""The sentences of the status page, in Chinese and in English."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

Language = Literal["zh", "en"]


class Said(NamedTuple):
    """The same in both languages; braces are filled in."""

    zh: str
    en: str


WORDS: Final[Mapping[str, Said]] = MappingProxyType(
    {
        "title": Said("goldgate 服务状态", "goldgate service status"),
        "version": Said("版本", "Version"),
        "as_of": Said("截至", "As of"),
        "all_loaded": Said("全部模型已加载", "All models are loaded"),
        "not_loaded": Said("有模型未加载", "Some models are not loaded"),
        "unknown_loaded": Said("集群未告知模型状态", "The cluster does not tell the models' state"),
        "reload": Said("刷新", "Refresh"),
        "models": Said("模型", "Models"),
        "kind": Said("对象", "Kind"),
        "image": Said("图像", "image"),
        "text": Said("文本", "text"),
        "video": Said("视频", "video"),
        "model": Said("模型", "Model"),
        "model_version": Said("版本", "Version"),
        "weights": Said("权重 SHA-256", "Weights SHA-256"),
        "no_weights": Said("无权重", "no weights"),
        "runtime": Said("运行时 / 精度", "Runtime / precision"),
        "device": Said("设备", "Device"),
        "classes": Said("类别", "Classes"),
        "state": Said("状态", "State"),
        "loaded": Said("已加载", "loaded"),
        "waiting": Said("加载中", "loading"),
        "unknown": Said("未知", "unknown"),
        "rates": Said("最近一分钟", "The last minute"),
        "requests_per_s": Said("请求/秒", "Requests/s"),
        "items_per_s": Said("条目/秒", "Items/s"),
        "p50": Said("延迟 p50", "Latency p50"),
        "p95": Said("延迟 p95", "Latency p95"),
        "queue": Said("排队条目", "Items waiting"),
        "shed": Said("拒绝（429、503）", "Refused (429, 503)"),
        "failed": Said("故障（其他 5xx）", "Faults (other 5xx)"),
        "memory": Said("服务进程内存", "Memory of this process"),
        "gpu": Said("GPU {index} 显存", "Memory of GPU {index}"),
        "busy": Said("忙 {share}", "{share} busy"),
        "mean_batch": Said("批大小（平均）", "Batch (mean)"),
        "largest_batch": Said("批大小（最大）", "Batch (largest)"),
        "rejected_items": Said("未能标注", "Rejected"),
        "course": Said(
            "最近五分钟：请求/秒与条目/秒，每 5 秒一点", "The last five minutes: requests/s and items/s, a point for 5 s"
        ),
        "rates_note": Said(
            "只计经门进入的工作请求；健康检查、指标与查看本页不计。延迟从收到请求算到答完。",
            "Requests of work that came through the doors: no health checks, no metrics, no looks at this page. "
            "Latency runs until the answer is out.",
        ),
        "jobs": Said("预标注任务", "Jobs"),
        "no_jobs": Said("没有任务。", "There are no jobs."),
        "jobs_left": Said("另有 {count} 个较早的任务。", "There are {count} older jobs."),
        "lot": Said("合同 / 批次", "Contract / lot"),
        "progress": Said("进度", "Progress"),
        "rate": Said("条目/秒", "Items/s"),
        "time_left": Said("剩余时间", "Time left"),
        "due": Said("合同期限", "Contract's deadline"),
        "in_time": Said("按期", "in time"),
        "late": Said("将逾期", "late"),
        "days_left": Said("还有 {days} 天", "{days} d left"),
        "days_over": Said("已过 {days} 天", "{days} d ago"),
        "today": Said("今天", "today"),
        "queued": Said("排队", "queued"),
        "running": Said("进行中", "running"),
        "done": Said("完成", "done"),
        "failed_job": Said("失败", "failed"),
        "cancelled": Said("已取消", "cancelled"),
        "try": Said("试一试", "Try it"),
        "try_note": Said(
            "内容只用于这一次回答，不保存。",
            "What you send is used for this one answer and is not stored.",
        ),
        "choose_image": Said("图像文件", "Image file"),
        "draw": Said("标注图像", "Label the image"),
        "write_text": Said("文本", "Text"),
        "judge": Said("判断情感", "Judge the sentiment"),
        "result": Said("结果", "Result"),
        "by_model": Said("{model}，{ms} 毫秒", "{model}, {ms} ms"),
        "no_boxes": Said("未发现目标。", "Nothing was found."),
        "rejected": Said("未能标注", "Rejected"),
        "not_answered": Said("未能回答（{status}）", "Not answered ({status})"),
        "not_drawn": Said("图像未能绘出", "The image is not drawn"),
        "label": Said("标签", "Label"),
        "score": Said("得分", "Score"),
        "position": Said("x, y, 宽, 高（像素）", "x, y, w, h (pixels)"),
        "boxes_left": Said("另有 {count} 个框。", "There are {count} more boxes."),
        "probabilities": Said("各标签的概率", "Probability of each label"),
        "doors": Said("接入方式", "Doors"),
        "door": Said("接口", "Door"),
        "address": Said("地址", "Address"),
        "connect": Said("如何连接", "How to connect"),
        "rest": Said("REST", "REST"),
        "rest_connect": Said(
            "用 HTTP 调用；goldgate prelabel --address 此地址 也经此门。说明见 OpenAPI 文档。",
            "Calls over HTTP; goldgate prelabel --address ADDRESS comes this way, too. The OpenAPI document tells the rest.",
        ),
        "labelstudio": Said("Label Studio", "Label Studio"),
        "labelstudio_connect": Said(
            "项目设置 → 模型 → 连接模型：填入此地址。",
            "Project settings → Model → Connect Model: enter this address.",
        ),
        "cvat": Said("CVAT", "CVAT"),
        "cvat_connect": Said(
            "CVAT 只认主机与端口：为此门设专用端口，并填入 CVAT_NUCLIO_HOST 与 CVAT_NUCLIO_PORT。",
            "CVAT knows host and port alone: give the door a port of its own, and name both in "
            "CVAT_NUCLIO_HOST and CVAT_NUCLIO_PORT.",
        ),
        "xanylabeling": Said("X-AnyLabeling", "X-AnyLabeling"),
        "xanylabeling_connect": Said(
            "AI → Remote-Server；以此地址设定 XANYLABELING_SERVER_URL。",
            "AI → Remote-Server, with XANYLABELING_SERVER_URL set to this address.",
        ),
        "more": Said("更多", "More"),
        "openapi": Said("OpenAPI 文档", "OpenAPI document"),
        "metrics": Said("Prometheus 指标", "Prometheus metrics"),
    }
)


def spoken(language: Language, key: str, **values: object) -> str:
    """Return the sentence `key` in `language`."""
    said = WORDS[key]
    return (said.zh if language == "zh" else said.en).format(**values)


def language_of(asked: str | None, accepted: str) -> Language:
    """Return the language of a page: what is asked for, else the best of an Accept-Language header (RFC 9110, 12.5.4)."""
    if asked in ("zh", "en"):
        return "zh" if asked == "zh" else "en"
    best: Language = "en"
    best_weight = 0.0
    for part in accepted.split(","):
        name, _, parameter = part.strip().partition(";")
        weight = _weight(parameter)
        primary = name.strip().lower().partition("-")[0]
        if weight > best_weight and primary in ("zh", "en"):
            best, best_weight = ("zh" if primary == "zh" else "en"), weight
    return best


def _weight(parameter: str) -> float:
    text = parameter.strip().lower().removeprefix("q=").strip()
    if not text:
        return 1.0
    return float(text) if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit() else 0.0
