"""The words of the report's part on kinds of transition."""

from collections.abc import Mapping
from typing import Final

from qa.words.wording import Words

SHOT_WORDS: Final[Mapping[str, Words]] = {
    "shot_note_start": Words(
        "提交的镜头起点须落在金标起点的容差之内。",
        "A start of a shot must lie within the tolerance of one of the gold's.",
    ),
    "shot_note_transition": Words(
        "提交的镜头起点须落在金标转场（自首个变化帧至新镜头首帧）之内，或其端点的容差之内。",
        "A start of a shot must lie in one of the gold's changes of shot, from its first changed frame to the first frame "
        "of the new shot, or within the tolerance of an end of it.",
    ),
    "shot_note": Words(
        "一对一配对：先求配对数最多，再求偏差之和最小；自第 0 帧开始的镜头不计。"
        "转场种类不影响配对：上表中命中与漏标按金标种类计，多标按提交种类计。",
        "They are paired one to one: most pairs first, then the least sum of offsets; a shot that starts at frame 0 is not "
        "counted. Kinds do not decide who is paired: above, hits and misses go by the gold's kind, false positives by the "
        "submission's.",
    ),
    "transition_kinds": Words("转场种类", "Kinds of transition"),
    "transition_kind": Words("种类", "Kind"),
    "kinds_right": Words("已配对转场中种类正确的比例", "Share of matched transitions whose kind is named right"),
    "false_per_10_min": Words("每 10 分钟多标的切换", "False cuts in 10 minutes"),
    "per_kind_note": Words(
        "此表要求种类一致：配对而种类不同的，计为金标种类的漏标与提交种类的多标。",
        "Here the kind counts: a pair of two kinds is a miss of the gold's kind and a false positive of the submission's.",
    ),
    "kind_cut": Words("硬切 cut", "cut"),
    "kind_dissolve": Words("叠化 dissolve", "dissolve"),
    "kind_fade": Words("淡入淡出 fade", "fade"),
    "kind_wipe": Words("划像 wipe", "wipe"),
}
