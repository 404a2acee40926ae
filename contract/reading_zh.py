"""The reading of terms in Chinese."""

from collections.abc import Iterator
from typing import Final

from contract.acceptance import ImageProfile, TextProfile, VideoProfile
from contract.inspection import AqlSampling
from contract.reading_clocks import clocks_in_chinese
from contract.reading_events import event_in_chinese
from contract.reading_settlement import settlement_in_chinese, strata_in_chinese
from contract.ruleterms import COUNTING_RULES, proof_method, tightened_confidence
from contract.terms import Terms

_METRICS: Final = {
    "f1": "检测框 F1 (2TP/(2TP+FP+FN), 全部图像合并计数)",
    "precision": "检测框精确率 (TP/(TP+FP))",
    "recall": "检测框召回率 (TP/(TP+FN))",
    "class_recall_min": "每个类别的召回率 (样本过少而无法证明的类别只作说明, 估计值低于门限的除外)",
    "accuracy": "准确率 (与金标一致的文本数/抽检文本数)",
    "macro_f1": "宏平均 F1 (各标签 F1 的平均值)",
    "keyframe_f1": "关键帧 F1",
    "event_f1": "事件 F1",
    "shot_f1": "镜头起点 F1",
    "conforming": "无任何缺陷的图像所占比例",
    "keyframe_conforming": "关键帧无任何缺陷的视频所占比例",
    "event_conforming": "事件无任何缺陷的视频所占比例",
    "shot_conforming": "镜头起点无任何缺陷的视频所占比例",
}
_METHODS: Final = {
    "korn_graubard": "Korn-Graubard 法 (有效样本量, t 修正)",
    "cluster_bootstrap": "整群自助法",
    "clopper_pearson": "Clopper-Pearson 精确法",
    "wilson": "Wilson 得分法",
    "jeffreys": "Jeffreys 法",
    "dirichlet": "Dirichlet 后验分位数 (宏平均 F1 不是比例)",
}
_SHOT_MATCH: Final = {"start": "金标起点", "transition": "金标转场 (自首个变化帧至新镜头首帧的任一帧) "}
_SEVERITIES: Final = {"normal": "正常检验", "tightened": "加严检验", "reduced": "放宽检验"}
_UNITS: Final = {"image": "图像", "text": "文本", "video": "视频"}

_TRAINING: Final = {
    "forbidden": "不得用甲方数据及由其产生的成果训练模型 (第 5.2 条)。",
    "allowed": "可为上述用途, 用甲方数据及由其产生的成果训练模型 (第 5.2 条)。",
}


def reading_in_chinese(terms: Terms) -> str:
    """Return the reading of `terms` as Chinese paragraphs."""
    sections = (
        ("标的", _order(terms)),
        ("图像", _image(terms, terms.acceptance.image)),
        ("文本", _text(terms, terms.acceptance.text)),
        ("视频", _video(terms, terms.acceptance.video)),
        ("验收结论", _verdict(terms)),
        ("抽样与金标", _sampling(terms)),
        ("返工与默示验收", _rework(terms)),
        ("结算", settlement_in_chinese(terms)),
        ("期限", clocks_in_chinese(terms)),
        ("版本标识", _identity(terms)),
    )
    told = [(title, list(lines)) for title, lines in sections]
    present = [(title, lines) for title, lines in told if lines]
    blocks = [
        "\n".join([f"{numeral}、{title}", *(f"  - {line}" for line in lines)])
        for numeral, (title, lines) in zip("一二三四五六七八九十", present, strict=False)
    ]
    return "\n\n".join([f"合同 {terms.contract} 的解读: {terms.title}", *blocks]) + "\n"


def profile_in_chinese(profile: ImageProfile | TextProfile | VideoProfile) -> str:
    """Return how labels are read where there is no contract: nothing is demanded, so that no threshold stands in it."""
    if isinstance(profile, ImageProfile):
        lines, unit = list(_boxes_read(profile)), "图像"
    elif isinstance(profile, VideoProfile):
        lines, unit = list(_videos_read(profile)), "视频"
    else:
        lines, unit = ["每条文本有且只有一个标签, 与金标一致即为正确; 未标注的文本计为错误。"], "文本"
    bound = profile.bound
    lines.append(f"置信限为单侧, 各按 {bound.confidence:.4g} 的置信水平, {_METHODS[bound.method]}, 以{unit}为抽样单元。")
    lines.append("没有合同: 不设任何门槛, 所列数字不构成验收结论。")
    return "\n".join(["评分口径 (goldgate 默认)", *(f"  - {line}" for line in lines)]) + "\n"


def _order(terms: Terms) -> Iterator[str]:
    volumes, deadline = terms.volumes, terms.deadline
    yield f"甲方 {terms.parties.client.name} 委托乙方 {terms.parties.vendor.name} 标注数据, 用途: {terms.purpose}。"
    yield _TRAINING[terms.training]
    if terms.prelabel.pickles == "allowed":
        yield "预标注可使用权重为 pickle 格式的模型, 读取时不执行其中的代码。"
    yield f"数量: 图像 {volumes.images:,} 张, 文本 {volumes.texts:,} 条, 视频 {volumes.video_hours:g} 小时。"
    yield (
        f"交付期限: 不晚于 {deadline.due_date()}, 即自 {deadline.start} 起 {deadline.working_days} 个工作日, 起始当日不计入 "
        f"(周一至周五, 扣除节假日 {len(deadline.holidays)} 天, 另计调休上班 {len(deadline.makeup_workdays)} 天)。"
    )
    yield f"交付格式: {', '.join(terms.formats)}。"
    limits = terms.limits
    yield (
        f"以下数据接收时退回, 不计入数量: 超过 {limits.max_image_pixels:,} 像素的图像, "
        f"超过 {limits.max_file_bytes:,} 字节的文件, 超过 {limits.max_video_seconds:g} 秒的视频, "
        f"超过 {limits.max_text_characters:,} 字的文本。"
    )


def _image(terms: Terms, profile: ImageProfile | None) -> Iterator[str]:
    if profile is None:
        return
    yield f"类别: {', '.join(terms.guideline.class_names)}。"
    yield from _boxes_read(profile)
    yield from _demands(terms, profile)


def _boxes_read(profile: ImageProfile) -> Iterator[str]:
    classes = "类别相同的" if profile.class_aware else "任意类别的"
    pairing = {
        "hungarian": "一对一配对, 先使配成的框数最多, 再使总 IoU 最大",
        "greedy_iou": "一对一配对, IoU 大者先配",
    }[profile.matching]
    yield (
        f"检测框判为正确, 须与一个{classes}金标框配对, 且交并比 IoU 不低于 {profile.iou:g} (相差 1e-9 以内视为达到)。"
        f"配对规则: {pairing}。未配对的交付框与未配对的金标框均计为错误。"
    )
    yield {
        "ignore": "金标中的密集区域 (crowd) 不计入, 落在其中的交付框也不计入。",
        "count": "金标中的密集区域 (crowd) 按普通框计入。",
    }[profile.crowd]
    if profile.min_side_px > 0:
        yield f"任一边小于 {profile.min_side_px:g} 像素的框, 双方均不计入。"
    else:
        yield "不设最小尺寸, 所有框均计入。"


def _text(terms: Terms, profile: TextProfile | None) -> Iterator[str]:
    if profile is None:
        return
    yield f"标签: {', '.join(terms.guideline.sentiment_names)}。每条文本有且只有一个标签, 与金标一致即为正确。"
    yield from _demands(terms, profile)
    yield (
        "置信界按本批有限总量计算 (超几何分布): 全数检验的批次没有抽样误差。"
        if profile.bound.finite_lot
        else "置信界把本批视为乙方全部交付的样本 (二项分布)。"
    )


def _video(terms: Terms, profile: VideoProfile | None) -> Iterator[str]:
    if profile is None:
        return
    yield from _videos_read(profile)
    for event in terms.guideline.events:
        yield f"事件 {event.name}: {event_in_chinese(event)}"
    yield from _demands(terms, profile)


def _videos_read(profile: VideoProfile) -> Iterator[str]:
    yield (
        f"关键帧判为正确, 须与一个金标关键帧一对一配对, 相差不超过 {profile.keyframe_tolerance_s:g} 秒; "
        f"镜头起点与{_SHOT_MATCH[profile.shot_match]}相差不超过 {profile.shot_tolerance_frames} 帧。"
    )
    yield (
        f"事件判为正确, 须与一个同名金标事件一对一配对, 时间交并比不低于 {profile.event_tiou:g} (相差 1e-9 以内视为达到)。"
    )


def _demands(terms: Terms, profile: ImageProfile | TextProfile | VideoProfile) -> Iterator[str]:
    bound = profile.bound
    unit = _UNITS["text" if isinstance(profile, TextProfile) else str(getattr(bound, "cluster", "item"))]
    for metric, threshold in profile.metrics.demanded.items():
        method = _METHODS["dirichlet" if metric == "macro_f1" else proof_method("lower_bound", metric, bound.method)]
        if terms.acceptance.rule in COUNTING_RULES:
            yield f"要求: {_METRICS[metric]} 不低于 {threshold:g}, 以{unit}为单位逐件判定, 按下述规则计数。"
        elif terms.acceptance.rule == "lower_bound":
            yield (
                f"要求: {_METRICS[metric]} 不低于 {threshold:g}, 以单侧置信下限证明, 置信水平 {bound.confidence:.4g}, "
                f"{method}, 以{unit}为抽样单位。"
            )
        else:
            yield (
                f"要求: {_METRICS[metric]} 的实测值 (点估计) 不低于 {threshold:g}; 置信水平 {bound.confidence:.4g} 的置信限 "
                f"({method}, 以{unit}为抽样单位) 只作报告, 不影响结论。"
            )
    if not isinstance(profile, TextProfile):
        yield f"一批{unit}全数检验时, 指标为精确值, 置信限即指标本身。"


def _verdict(terms: Terms) -> Iterator[str]:
    sampling = terms.acceptance.sampling
    grow = f"依抽样次序追加样本, 最多 {sampling.extend_to} 件"
    if terms.acceptance.rule == "aql":
        yield from _aql_verdict(sampling.aql)
    elif terms.acceptance.rule == "e_process":
        yield from _e_verdict(terms, grow)
    elif terms.acceptance.rule == "lower_bound":
        yield "ACCEPT (接收): 每项要求的置信下限均达到门限。"
        yield "REJECT (拒收): 任一要求的置信上限仍低于门限。"
        yield f"EXTEND (加抽): 两者都未证明, 或任一类型已检不足 {sampling.min_items} 件 (批量更小时为全批); {grow}。"
    else:
        yield "ACCEPT (接收): 每项要求的实测值均达到门限。"
        yield "REJECT (拒收): 任一要求的实测值低于门限。"
        yield f"EXTEND (加抽): 任一类型已检不足 {sampling.min_items} 件 (批量更小时为全批); {grow}。"
    yield "各项要求须分别全部达到: 甲方风险仍为单项风险, 乙方各项未达到的可能则相加。"
    yield "无法计算的指标一律不算通过; 既无标注又未注明为空的数据视为漏标。"
    yield "本批未标齐的, 补齐之前不予接收; 只有甲方的金标可以免除一项数据。"


def _aql_verdict(aql: AqlSampling | None) -> Iterator[str]:
    if aql is None:
        return
    yield (
        f"AQL 规则: 按 GB/T 2828.1 (ISO 2859-1) 的一次抽样方案, AQL {aql.limit:g} % 不合格品, 检验水平 {aql.level}, "
        f"{_SEVERITIES[aql.severity]}, 由本批每种类型的件数查得样本量 n 与接收数 Ac; "
        "本规则下 min_items 与 extend_to 不起作用。"
    )
    yield "ACCEPT (接收): 每项要求中, n 件里不合格不超过 Ac 件。"
    yield "REJECT (拒收): 不合格超过 Ac 件, 一经发现即判。"
    yield "EXTEND (加抽): 已检不足 n 件且不合格不超过 Ac 件; 依抽样次序补足。"
    yield "已检超过 n 件时, 若从中随机抽取 n 件多半会被接收, 则接收, 否则拒收。"
    yield "每批单独判定; goldgate lot series 给出连续批按标准转移规则应采用的检验严格度, 双方据此另订条款。"
    yield "这种方案很少拒收质量处于 AQL 的批, 但接收并不证明质量达到 AQL; goldgate check 给出各质量水平的接收机会。"


def _e_verdict(terms: Terms, grow: str) -> Iterator[str]:
    yield (
        "e 过程规则: 证据值为似然比, 即门限一侧各比例的平均相对于门限本身, 须计批量时按不放回抽样计算; 证据值达到 "
        "1/(1-置信水平) 即定论, 每检一件都可查看, 双方风险均不因此增大。"
    )
    for kind, profile in terms.acceptance.profiles.items():
        risk = 1 - profile.bound.confidence
        yield (
            f"{_UNITS[kind]}的置信水平为 {profile.bound.confidence:.4g}, 证据值达到 {1 / risk:.6g} 即定论: "
            f"低于门限而被接收、达到门限而被拒收的概率均不超过 {risk:.4g}。"
        )
    yield "ACCEPT (接收): 每项要求达到门限的证据值足够。"
    yield "REJECT (拒收): 任一要求未达到门限的证据值足够。"
    yield (
        f"EXTEND (加抽): 两者都不足, 或任一类型已检不足 {terms.acceptance.sampling.min_items} 件 "
        f"(批量更小时为全批); {grow}。"
    )


def _sampling(terms: Terms) -> Iterator[str]:
    sampling, gold = terms.acceptance.sampling, terms.acceptance.gold
    if terms.acceptance.rule == "aql" and sampling.draw == "commit_reveal":
        yield (
            "每种类型按抽样方案所定件数抽取; 抽样密钥任何一方都不能单独决定: 双方在交付封存前公布各自随机数的 "
            "SHA-256, 封存后公开随机数。"
        )
    elif terms.acceptance.rule == "aql":
        yield "本批有金标的数据全部检验; 每种类型的件数不少于抽样方案所定。"
    elif sampling.draw == "commit_reveal":
        yield (
            f"每种类型至少抽取 {sampling.min_items} 件; 抽样密钥任何一方都不能单独决定: 双方在交付封存前公布各自随机数的 "
            "SHA-256, 封存后公开随机数。"
        )
    else:
        yield f"本批有金标的数据全部检验; 每种类型至少 {sampling.min_items} 件。"
    yield from strata_in_chinese(terms)
    yield (
        f"金标中 {gold.blind_share:.4g} 为盲标 (不看预标注), {gold.double_label_share:.4g} 由两人分别标注。"
        f"乙方可在 {gold.dispute_workdays} 个工作日内对金标提出异议; 仲裁方: {gold.arbiter}。"
    )


def _rework(terms: Terms) -> Iterator[str]:
    rework = terms.acceptance.rework
    sample = "重新抽样" if rework.fresh_sample else "沿用原样本"
    severity = {"same": "严格度不变", "tightened": "加严检验"}[rework.severity_after_reject]
    if rework.severity_after_reject == "tightened":
        severity += f" ({_tightened(terms)})"
    yield f"拒收后最多返工 {rework.max_rounds} 轮, 每轮 {rework.workdays} 个工作日; 复验{sample}, {severity}。"
    days = terms.acceptance.deemed_acceptance_workdays
    yield f"交付后甲方 {days} 个工作日内未答复的, 视为验收合格。" if days else "甲方未答复不视为验收合格。"


def _tightened(terms: Terms) -> str:
    acceptance = terms.acceptance
    if acceptance.rule == "aql":
        return "采用加严检验的抽样方案"
    if acceptance.rule == "point":
        return "改以所定置信水平的置信下限达到门限为接收, 置信上限低于门限为拒收"
    told = ", ".join(
        f"{_UNITS[kind]} {tightened_confidence(profile.bound.confidence):.6g}"
        for kind, profile in acceptance.profiles.items()
    )
    return f"甲方风险减半, 置信水平: {told}"


def _identity(terms: Terms) -> Iterator[str]:
    yield f"标注规范 {terms.guideline.version}, SHA-256 {terms.guideline.sha256}。"
    yield f"合同条款, SHA-256 {terms.sha256}。"
