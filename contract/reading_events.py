"""The reading of the rules of events in both languages: every number that decides is in it."""

from collections.abc import Sequence
from typing import Final

from contract.guideline import (
    CoOccurrenceEvent,
    CountEvent,
    EventRule,
    FlashEvent,
    LooksLikeEvent,
    ObjectEvent,
    Region,
    RegionEvent,
    SilenceEvent,
)

_ANCHORS: Final = {
    "center": ("检测框中心", "the centre of its box"),
    "bottom_center": ("检测框底边中点", "the middle of its box's lower edge"),
}
_OBJECT_EN: Final = {"present": "is in view", "appears": "comes into view", "disappears": "leaves the view"}
_OBJECT_ZH: Final = {"present": "在画面中", "appears": "进入画面", "disappears": "离开画面"}


def event_in_english(event: EventRule) -> str:
    """Return the rule of `event` as a sentence."""
    if isinstance(event, ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent):
        return (
            f"{_objects_in_english(event)}; it must {_seen(event)} for {event.min_seconds:g} s, gaps of up to "
            f"{event.max_gap_seconds:g} s are closed, and drafts take detections of score {event.min_score:g} or more."
        )
    if isinstance(event, FlashEvent):
        return (
            f"the picture is brighter, by {event.min_rise:g} or more of 255 levels on the average, than before and after "
            f"within {event.max_seconds:g} s."
        )
    if isinstance(event, SilenceEvent):
        return (
            f"the sound stays under {event.below_dbfs:g} dB of full scale (RMS) for {event.min_seconds:g} s or more; "
            "a video without sound has no such event."
        )
    if isinstance(event, LooksLikeEvent):
        return (
            f"to a vision-language model the picture looks like {_quoted(event.prompts)}, and not like "
            f"{_quoted(event.against)}, for {event.min_seconds:g} s or more of a shot; drafts take probabilities of "
            f"{event.min_score:g} or more."
        )
    what = {"black": "the picture is black", "freeze": "the picture stands still"}[event.rule]
    return f"{what} for {event.min_seconds:g} s or more."


def _seen(event: ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent) -> str:
    if isinstance(event, ObjectEvent):
        return "be seen"
    return "stay there" if isinstance(event, RegionEvent) else "hold"


def _objects_in_english(event: ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent) -> str:
    if isinstance(event, ObjectEvent):
        return f"a {event.label} {_OBJECT_EN[event.rule]}"
    if isinstance(event, CoOccurrenceEvent):
        return f"a {event.labels[0]} and a {event.labels[1]} are in view at once"
    where = _region_in_english(event.region, event.anchor)
    if isinstance(event, CountEvent):
        more = "more" if event.rule == "count_over" else "fewer"
        return f"{more} than {event.count} of class {event.label} are {where or 'in view'} at once"
    if event.rule == "enters":
        return f"a {event.label} that was seen outside is then {where}"
    if event.rule == "leaves":
        return f"a {event.label} that was {where} is then seen outside"
    return f"one and the same {event.label} stays {where}"


def _region_in_english(region: Region | None, anchor: str | None) -> str:
    if region is None or anchor is None:
        return ""
    return f"in the region {_corners(region)} (shares of width and height, by {_ANCHORS[anchor][1]})"


def _quoted(prompts: Sequence[str]) -> str:
    return " / ".join(f'"{prompt}"' for prompt in prompts)


def _corners(region: Region) -> str:
    return " ".join(f"({x:g}, {y:g})" for x, y in region)


def event_in_chinese(event: EventRule) -> str:
    """Return the rule of `event` as a sentence."""
    if isinstance(event, ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent):
        holds = "须出现" if isinstance(event, ObjectEvent) else "须持续"
        return (
            f"{_objects_in_chinese(event)}; {holds} {event.min_seconds:g} 秒以上, {event.max_gap_seconds:g} 秒以内的中断"
            f"视为连续, 预标注采用得分不低于 {event.min_score:g} 的检测结果。"
        )
    if isinstance(event, FlashEvent):
        return f"闪光: 画面平均亮度 (0 至 255) 比前后 {event.max_seconds:g} 秒以内均高出 {event.min_rise:g} 以上。"
    if isinstance(event, SilenceEvent):
        return f"静音: 声音电平 (RMS) 低于 {event.below_dbfs:g} dBFS 达 {event.min_seconds:g} 秒以上; 没有音轨的视频不计。"
    if isinstance(event, LooksLikeEvent):
        return (
            f"图文模型判断同一镜头内画面符合 {_quoted(event.prompts)}, 而非 {_quoted(event.against)}, "
            f"持续 {event.min_seconds:g} 秒以上; 预标注采用概率不低于 {event.min_score:g} 的结果。"
        )
    what = {"black": "黑屏", "freeze": "画面静止"}[event.rule]
    return f"{what} {event.min_seconds:g} 秒以上。"


def _objects_in_chinese(event: ObjectEvent | CountEvent | CoOccurrenceEvent | RegionEvent) -> str:
    if isinstance(event, ObjectEvent):
        return f"{event.label} {_OBJECT_ZH[event.rule]}"
    if isinstance(event, CoOccurrenceEvent):
        return f"{event.labels[0]} 与 {event.labels[1]} 同时在画面中"
    where = _region_in_chinese(event.region, event.anchor)
    if isinstance(event, CountEvent):
        more = "多于" if event.rule == "count_over" else "少于"
        return f"{where or '画面'}中同时有{more} {event.count} 个 {event.label}"
    what = {"enters": "由外进入", "leaves": "由内离开", "dwell": "停留于"}[event.rule]
    return f"同一个 {event.label} {what}{where}"


def _region_in_chinese(region: Region | None, anchor: str | None) -> str:
    if region is None or anchor is None:
        return ""
    return f"区域 {_corners(region)} (宽高的比例, 以{_ANCHORS[anchor][0]}为准)"
