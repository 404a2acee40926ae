"""X-AnyLabeling's video files: shots, keyframes and events as segments of time.

    {"type": "video_classification", "video", "fps", "duration_ms", "width", "height", "labels", "segments": [
        {"id", "label", "start_ms", "end_ms", "start_frame", "end_frame", "description"}]}

Frames count from 0, and the end is the first frame after the segment, as X-AnyLabeling itself makes it from the time. An
event has its own name, a shot goldgate:shot: with its transition, a keyframe is goldgate:keyframe for one frame. Score,
origin and the exact frames and seconds stand in the description, which X-AnyLabeling keeps; frames and seconds count only
while the segment stands where it stood. Source: X-AnyLabeling, video classifier (version 4).
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from contract.errors import FormatError
from contract.formats.jsonfile import entries, field, number, number_or_none, parse_json, whole
from contract.formats.lotview import require_name
from contract.guideline import Guideline
from contract.tables import Task
from contract.validate import TRANSITIONS

TYPE: Final = "video_classification"
KEYFRAME: Final = "goldgate:keyframe"
_SHOT: Final = "goldgate:shot:"
_NOTE: Final = "goldgate "
_TIMES: Final = ("start_ms", "end_ms")
_FRAMES: Final = ("start_frame", "end_frame")


def label_names(guideline: Guideline) -> list[str]:
    """Return the labels that a segment may have.

    Raises:
        FormatError: an event of the guideline is called as ours are.
    """
    for name in guideline.event_names:
        if name == KEYFRAME or name.startswith(_SHOT):
            raise FormatError(f"event {name!r} cannot be told from a shot or keyframe in X-AnyLabeling; use another format")
    return [*guideline.event_names, *(f"{_SHOT}{name}" for name in TRANSITIONS), KEYFRAME]


def video_document(
    facts: Mapping[str, Any], rows: Iterable[tuple[Task, Mapping[str, Any]]], guideline: Guideline
) -> dict[str, Any]:
    """Return the file of one video.

    Args:
        facts: the item's row of the manifest.
        rows: its labels with the tasks of their tables.
        guideline: the names of events.

    Raises:
        FormatError: an event is not in the guideline, or a number not finite.
    """
    return {
        "version": "1.0.0",
        "type": TYPE,
        "video": PurePosixPath(facts["item"]).name,
        "fps": facts["fps"] or 0.0,
        "duration_ms": round((facts["duration_s"] or 0.0) * 1000),
        "width": facts["width"] or 0,
        "height": facts["height"] or 0,
        "labels": label_names(guideline),
        "label_colors": {},
        "segments": [_segment(number, task, row, facts, guideline) for number, (task, row) in enumerate(rows, 1)],
    }


def _segment(
    number: int, task: Task, row: Mapping[str, Any], facts: Mapping[str, Any], guideline: Guideline
) -> dict[str, Any]:
    where = f"item {facts['item']!r}"
    if not all(math.isfinite(value) for value in row.values() if isinstance(value, float)):
        raise FormatError(f"{where} has a number that is not finite, so it cannot be written as X-AnyLabeling")
    if task is Task.KEYFRAMES:
        label, frames = KEYFRAME, (row["frame"], row["frame"] + 1)
        seconds = row["time_s"], row["time_s"] + (1 / facts["fps"] if facts["fps"] else 0.0)
    else:
        if task is Task.SHOTS:
            label = _SHOT + require_name(row["transition"], TRANSITIONS, word="transition", where=where)
        else:
            label = require_name(row["label"], guideline.event_names, word="event", where=where)
        frames, seconds = (row["start_frame"], row["end_frame"]), (row["start_s"], row["end_s"])
    milliseconds = [round(each * 1000) for each in seconds]
    note = {name: row[name] for name in ("score", "source") if row.get(name) is not None}
    note |= {"ms": milliseconds, "frames": frames, "seconds": seconds}
    return {
        "id": f"s{number:010d}",
        "label": label,
        **dict(zip(_TIMES, milliseconds, strict=True)),
        **dict(zip(_FRAMES, frames, strict=True)),
        "description": _NOTE + json.dumps(note, ensure_ascii=False, allow_nan=False),
    }


def read_segments(
    document: Mapping[str, Any], facts: Mapping[str, Any], guideline: Guideline, *, where: str
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Yield the labels of a video's file, with the item and every column of their table.

    Raises:
        FormatError: a segment is broken, or names what the guideline has not.
    """
    rate = number_or_none(document.get("fps"), name="fps", where=where)
    for index, segment in enumerate(entries(field(document, "segments", where=where), name="segments", where=where), 1):
        at = f"{where}: segment {index}"
        label = field(segment, "label", where=at)
        note = _note(segment.get("description"), at)
        frames, seconds = _span(segment, note, facts, rate, at)
        source = note.get("source")
        row = {"item": facts["item"], "source": source if isinstance(source, str) else None}
        score = number_or_none(note.get("score"), name="score", where=at)
        if label == KEYFRAME:
            yield Task.KEYFRAMES, row | {"frame": frames[0], "time_s": seconds[0], "score": score}
            continue
        row |= dict(zip((*_FRAMES, "start_s", "end_s"), (*frames, *seconds), strict=True))
        if isinstance(label, str) and label.startswith(_SHOT):
            transition = require_name(label.removeprefix(_SHOT), TRANSITIONS, word="transition", where=at)
            yield Task.SHOTS, row | {"transition": transition}
        else:
            require_name(label, guideline.event_names, word="event", where=at)
            yield Task.EVENTS, row | {"label": label, "score": score}


def _note(text: Any, where: str) -> dict[str, Any]:
    if not isinstance(text, str) or not text.startswith(f"{_NOTE}{{"):
        return {}
    note: dict[str, Any] = parse_json(text.removeprefix(_NOTE), where=f"{where}: description")
    return note


def _span(
    segment: Mapping[str, Any], note: Mapping[str, Any], facts: Mapping[str, Any], rate: float | None, where: str
) -> tuple[list[int], list[float]]:
    """Return first frame and the frame after the last, and the seconds at which they begin."""
    times = [whole(field(segment, name, where=where), name=name, where=where) for name in _TIMES]
    if note.get("ms") == times:
        frames, seconds = (_pair(note.get(name), f"{where}: description: {name}") for name in ("frames", "seconds"))
        return [whole(each, name="frames", where=where) for each in frames], seconds
    if times[1] < times[0]:
        raise FormatError(f"{where}: ends at {times[1]} ms, before it begins at {times[0]} ms")
    seconds = [each / 1000 for each in times]
    if rate:  # without one, X-AnyLabeling could tell no frames and wrote 0
        return [whole(field(segment, name, where=where), name=name, where=where) for name in _FRAMES], seconds
    if not facts["fps"]:
        raise FormatError(f"{where}: neither the file nor the manifest has a frame rate, so frames cannot be told")
    return [round(each * facts["fps"]) for each in seconds], seconds


def _pair(values: Any, where: str) -> list[float]:
    if not isinstance(values, list) or len(values) != 2:
        raise FormatError(f"{where}: must hold two numbers")
    return [number(each, name="it", where=where) for each in values]
