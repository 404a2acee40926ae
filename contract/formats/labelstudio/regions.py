"""One label as one Label Studio region, and back."""

from collections.abc import Iterator, Mapping
from typing import Any

from contract.errors import FormatError
from contract.formats.jsonfile import entries, field, number, number_or_none, whole
from contract.formats.labelstudio.config import CONTROLS, KEYFRAME, TRANSITIONS
from contract.formats.lotview import require_name
from contract.guideline import Guideline
from contract.tables import Kind, Task

_TASK_OF_CONTROL = {name: task for task, name in CONTROLS.items()}


def region(task: Task, row: Mapping[str, Any], facts: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Return `row` of the table of `task` as a region.

    Args:
        task: which table.
        row: the label.
        facts: the item's row of the manifest.
        name: the region's id, unique within its task.

    Raises:
        FormatError: an image has no size.
    """
    made: dict[str, Any] = {
        "id": name,
        "from_name": CONTROLS[task],
        "to_name": facts["kind"],
        "meta": {"source": row["source"]},
    }
    if row.get("score") is not None:
        made["score"] = row["score"]
    if task is Task.BOXES:
        width, height = _size(facts)
        value = _percent(row, width, height) | {"rotation": 0, "rectanglelabels": [row["label"]]}
        made |= {"type": "rectanglelabels", "original_width": width, "original_height": height, "image_rotation": 0}
        made["meta"]["px"] = [row["x"], row["y"], row["w"], row["h"]]
        made["meta"] |= {key: row[key] for key in ("crowd", "area") if row[key] is not None}
    elif task is Task.SENTIMENTS:
        value = {"choices": [row["label"]]}
        made["type"] = "choices"
        if row["probabilities"] is not None:
            made["meta"] |= {"choice": row["label"], "probabilities": dict(row["probabilities"])}
    else:
        value = {"ranges": [_range(task, row)], "timelinelabels": [_timeline_label(task, row)]}
        made["type"] = "timelinelabels"
        times = ("time_s",) if task is Task.KEYFRAMES else ("start_s", "end_s")
        made["meta"] |= {"range": _range(task, row), "seconds": [row[time] for time in times]}
    return made | {"value": value}


def _size(facts: Mapping[str, Any]) -> tuple[int, int]:
    if not facts["width"] or not facts["height"]:
        raise FormatError(f"item {facts['item']!r} has no width and height in the manifest, so percent cannot be told")
    return facts["width"], facts["height"]


def _percent(row: Mapping[str, Any], width: int, height: int) -> dict[str, float]:
    """Return the box in percent, cut at 0 and 100, which Label Studio's import demands."""
    left, top = (_clamp(row[name] / size * 100) for name, size in (("x", width), ("y", height)))
    right, bottom = (_clamp((row[a] + row[b]) / size * 100) for a, b, size in (("x", "w", width), ("y", "h", height)))
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _clamp(value: float) -> float:
    return min(100.0, max(0.0, value))


def _range(task: Task, row: Mapping[str, Any]) -> dict[str, int]:
    if task is Task.KEYFRAMES:
        return {"start": row["frame"] + 1, "end": row["frame"] + 1}
    return {"start": row["start_frame"] + 1, "end": row["end_frame"]}


def _timeline_label(task: Task, row: Mapping[str, Any]) -> str:
    name = {Task.SHOTS: "transition", Task.EVENTS: "label"}.get(task)
    return str(row[name]) if name else KEYFRAME


def read_region(
    entry: Any, facts: Mapping[str, Any], guideline: Guideline, *, where: str
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Yield the labels of one region, with the item and every column of their table.

    Raises:
        FormatError: the region is broken, of another type, or names what the guideline has not.
    """
    kind, value = field(entry, "type", where=where), field(entry, "value", where=where)
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    expected = {Kind.IMAGE: "rectanglelabels", Kind.TEXT: "choices", Kind.VIDEO: "timelinelabels"}[Kind(facts["kind"])]
    if kind != expected:
        raise FormatError(f"{where}: type {kind!r} has no place on {facts['kind']} items; use {expected}")
    score = number_or_none(entry.get("score"), name="score", where=where)
    source = meta.get("source")
    common = {"item": facts["item"], "score": score, "source": source if isinstance(source, str) else None}
    name = _single(field(value, kind, where=where), kind, where)
    if kind == "rectanglelabels":
        require_name(name, guideline.class_names, word="class", where=where)
        yield Task.BOXES, common | {"label": name, **_box(value, facts, meta, where)}
    elif kind == "choices":
        require_name(name, guideline.sentiment_names, word="sentiment", where=where)
        shares = meta.get("probabilities")
        kept = _shares(shares, where) if isinstance(shares, dict) and meta.get("choice") == name else None
        yield (
            Task.SENTIMENTS,
            common | {"label": name, "probabilities": kept},
        )
    else:
        task = _TASK_OF_CONTROL.get(str(entry.get("from_name")), Task.EVENTS)
        known = {Task.SHOTS: TRANSITIONS, Task.KEYFRAMES: (KEYFRAME,), Task.EVENTS: guideline.event_names}[task]
        require_name(name, known, word={Task.SHOTS: "transition", Task.EVENTS: "event"}.get(task, "label"), where=where)
        for span in entries(field(value, "ranges", where=where), name="ranges", where=where):
            yield task, _timed(task, name, common, _span(span, facts, meta, where))


def _shares(shares: Mapping[str, Any], where: str) -> list[tuple[str, float]]:
    return [(name, number(share, name=f"meta.probabilities.{name}", where=where)) for name, share in shares.items()]


def _single(names: Any, kind: str, where: str) -> str:
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise FormatError(f"{where}: {kind} must hold one name, but holds {names!r}")
    return names[0]


def _box(value: Any, facts: Mapping[str, Any], meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    if number_or_none(value.get("rotation"), name="rotation", where=where):
        raise FormatError(f"{where}: the box is rotated by {value['rotation']} degrees; only upright boxes are ordered")
    width, height = _size(facts)
    x, y, w, h = (number(field(value, name, where=where), name=name, where=where) for name in ("x", "y", "width", "height"))
    box: dict[str, Any] = {"x": x * width / 100, "y": y * height / 100, "w": w * width / 100, "h": h * height / 100}
    drawn = meta.get("px")
    if isinstance(drawn, list) and len(drawn) == 4:
        exact = {name: number(each, name=f"meta.px.{name}", where=where) for name, each in zip("xywh", drawn, strict=True)}
        if _percent(exact, width, height) == {"x": x, "y": y, "width": w, "height": h}:
            crowd = meta.get("crowd")
            area = number_or_none(meta.get("area"), name="meta.area", where=where)
            return box | exact | {"crowd": crowd if isinstance(crowd, bool) else None, "area": area}
    return box | {"crowd": None, "area": None}


def _span(span: Any, facts: Mapping[str, Any], meta: Mapping[str, Any], where: str) -> tuple[int, int, list[float]]:
    """Return a range as frames from 0 with an exclusive end, and the seconds at which it starts and ends."""
    start, end = (whole(field(span, name, where=where), name=name, where=where) for name in ("start", "end"))
    if start < 1 or end < start:
        raise FormatError(f"{where}: range {start} to {end} is no range of frames, which count from 1")
    seconds = meta.get("seconds")
    if meta.get("range") == {"start": start, "end": end} and isinstance(seconds, list) and seconds:
        return start - 1, end, [number(each, name="meta.seconds", where=where) for each in seconds]
    if not facts["fps"]:
        raise FormatError(f"{where}: the manifest has no frame rate for item {facts['item']!r}, so seconds cannot be told")
    return start - 1, end, [(start - 1) / facts["fps"], end / facts["fps"]]


def _timed(task: Task, name: str, common: Mapping[str, Any], span: tuple[int, int, list[float]]) -> dict[str, Any]:
    start, end, seconds = span
    if task is Task.KEYFRAMES:
        return {**common, "frame": start, "time_s": seconds[0]}
    row = {**common, "start_frame": start, "end_frame": end, "start_s": seconds[0], "end_s": seconds[-1]}
    if task is Task.SHOTS:
        return {key: value for key, value in row.items() if key != "score"} | {"transition": name}
    return row | {"label": name}
