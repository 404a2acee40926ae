"""Labels as CVAT XML 1.1; `contract.formats.cvat.files` says what means what."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import FormatError
from contract.formats.cvat.labels import KEYFRAME, NOT_LABELLED, SHOT, labels_xml
from contract.formats.lotview import LotView, require_name
from contract.formats.xmlstream import escaped
from contract.labelset import LabelSet
from contract.tables import Kind, Task
from contract.textcodes import codes_of

_ROWS_AT_ONCE: Final = 1 << 15
_END: Final = b"</annotations>\n"
_DECIMALS: Final = 2  # that CVAT keeps of a coordinate


def _head(task: str, *, source: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"  <meta>\n    <task>\n{task}    </task>\n{source}  </meta>\n"
    ).encode()


def _task(name: str, size: int, mode: str) -> str:
    return (
        f"      <name>{name}</name>\n      <size>{size}</size>\n      <mode>{mode}</mode>\n      <overlap>0</overlap>\n"
        f"      <start_frame>0</start_frame>\n      <stop_frame>{max(size - 1, 0)}</stop_frame>\n"
    )


def _attributes(values: Iterable[tuple[str, str | None]]) -> str:
    return "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in values if value is not None)


def _item(item: str) -> str:
    return escaped(item, what="item")


def image_pieces(states: Sequence[Mapping[str, Any]], boxes: pa.Table, lot: LotView) -> Iterator[bytes]:
    """Yield a file of images, in the order of `states`.

    Args:
        states: of the images.
        boxes: theirs.
        lot: the manifest and guideline.

    Raises:
        FormatError: an item is not in the lot, a class not in the guideline, a number not finite, a text not for XML.
    """
    items = [state["item"] for state in states]
    at = codes_of(boxes["item"], pa.array(items, pa.string()))
    _check(boxes, at, lot)
    counts = np.bincount(at, minlength=len(items)).tolist()
    lines = _box_lines(boxes.take(pa.array(np.argsort(at, kind="stable"))))
    yield _head(_task("goldgate", len(items), "annotation") + labels_xml(Kind.IMAGE, lot.guideline))
    for number, (state, count) in enumerate(zip(states, counts, strict=True)):
        size = "".join(f' {side}="{lot.rows[state["item"]][side]}"' for side in _sides(state["item"], lot))
        image = [f'  <image id="{number}" name="{_item(state["item"])}"{size}>\n']
        image += [next(lines) for _ in range(count)]
        if state["state"] in NOT_LABELLED:
            image.append(f'    <tag label="{NOT_LABELLED[state["state"]]}" source="manual"></tag>\n')
        yield "".join([*image, "  </image>\n"]).encode()
    yield _END


def _sides(item: str, lot: LotView) -> tuple[str, ...]:
    """Return the sides of an image that the manifest knows, which it does not where the image cannot be read."""
    if item not in lot.rows:
        raise FormatError(f"item {item!r} is not in the lot, so it cannot be written for CVAT")
    return tuple(side for side in ("width", "height") if lot.rows[item][side])


def _check(boxes: pa.Table, at: np.ndarray[Any, Any], lot: LotView) -> None:
    wrong = (at < 0) | (codes_of(boxes["label"], pa.array(lot.guideline.class_names, pa.string())) < 0)
    for name in ("x", "y", "w", "h", "score", "area"):
        wrong |= ~np.asarray(pc.fill_null(pc.is_finite(boxes[name]), True).to_numpy(), np.bool_)
    if wrong.any():
        row = int(wrong.argmax())
        where = f"item {boxes['item'][row].as_py()!r}"
        if at[row] < 0:
            raise FormatError(f"{where} has boxes but no state, so it cannot be written for CVAT")
        require_name(boxes["label"][row].as_py(), lot.guideline.class_names, word="class", where=where)
        raise FormatError(f"{where} has a box with a number that is not finite, so it cannot be written for CVAT")


def _box_lines(boxes: pa.Table) -> Iterator[str]:
    """Yield the boxes as lines, from columns: a lot has hundreds of thousands."""
    known: dict[str | None, str] = {None: ""}
    for batch in boxes.to_batches(_ROWS_AT_ONCE):
        x, y, w, h = (np.asarray(batch[side]) for side in "xywh")
        right, bottom = x + w, y + h
        kept = (right - x == w) & (bottom - y == h)
        for corner in (x, y, right, bottom):
            kept &= np.round(corner, _DECIMALS) == corner
        columns = [each.tolist() for each in (x, y, right, bottom, w, h, kept)]
        columns += [batch[name].to_pylist() for name in ("label", "score", "source", "crowd", "area")]
        for row in zip(*columns, strict=True):
            yield _box_line(row, known)


def _box_line(row: Sequence[Any], known: dict[str | None, str]) -> str:
    x, y, right, bottom, w, h, kept, label, score, source, crowd, area = row
    for text in (label, source):
        if text not in known:
            known[text] = escaped(text, what="text")
    attributes = "" if score is None else f'<attribute name="score">{score!r}</attribute>'
    if source is not None:
        attributes += f'<attribute name="source">{known[source]}</attribute>'
    if not kept:
        attributes += f'<attribute name="exact">{x!r} {y!r} {w!r} {h!r}</attribute>'
    if crowd:
        attributes += '<attribute name="crowd">true</attribute>'
    if area is not None:
        attributes += f'<attribute name="area">{area!r}</attribute>'
    by = "manual" if score is None and source is None else "auto"
    return (
        f'    <box label="{known[label]}" source="{by}" occluded="0" xtl="{x!r}" ytl="{y!r}" xbr="{right!r}" '
        f'ybr="{bottom!r}" z_order="0">{attributes}</box>\n'
    )


def rows_by_video(labels: LabelSet) -> dict[str, list[tuple[Task, dict[str, Any]]]]:
    """Return item -> its shots, keyframes and events, in the order of their tables."""
    rows: dict[str, list[tuple[Task, dict[str, Any]]]] = {}
    for task in (Task.SHOTS, Task.KEYFRAMES, Task.EVENTS):
        for row in labels.table(task).to_pylist():
            rows.setdefault(row["item"], []).append((task, row))
    return rows


def video_pieces(state: Mapping[str, Any], rows: Sequence[tuple[Task, dict[str, Any]]], lot: LotView) -> Iterator[bytes]:
    """Yield the file of one video: a track for each of its labels, over the whole picture.

    Raises:
        FormatError: an event is not in the guideline, a text not for XML.
    """
    facts = lot.rows[state["item"]]
    width, height = facts["width"] or 1, facts["height"] or 1
    size = f"      <original_size><width>{width}</width><height>{height}</height></original_size>\n"
    name = _item(state["item"])
    task = _task(name, facts["frames"] or 0, "interpolation") + labels_xml(Kind.VIDEO, lot.guideline) + size
    yield _head(task, source=f"    <source>{PurePosixPath(name).name}</source>\n")
    corners = f'xtl="0" ytl="0" xbr="{width}" ybr="{height}"'
    number = 0
    if state["state"] in NOT_LABELLED:
        yield _track(0, NOT_LABELLED[state["state"]], (0, facts["frames"]), [], corners=corners, frames=facts["frames"])
        number = 1
    for task_of, row in rows:
        where = f"item {state['item']!r}"
        label, span, values = _of_row(task_of, row, facts, lot, where=where)
        yield _track(number, label, span, values, corners=corners, frames=facts["frames"])
        number += 1
    yield _END


def _of_row(
    task: Task, row: Mapping[str, Any], facts: Mapping[str, Any], lot: LotView, *, where: str
) -> tuple[str, tuple[int, int], list[tuple[str, str | None]]]:
    """Return the label of a row, its frames with an exclusive end, and its attributes."""
    if task is Task.KEYFRAMES:
        label, frames, seconds, span = KEYFRAME, [row["frame"]], [row["time_s"]], (row["frame"], row["frame"] + 1)
    else:
        span = (row["start_frame"], row["end_frame"])
        frames, seconds = list(span), [row["start_s"], row["end_s"]]
        label = (
            SHOT if task is Task.SHOTS else require_name(row["label"], lot.guideline.event_names, word="event", where=where)
        )
    if not np.isfinite([*seconds, row.get("score") or 0.0]).all():
        raise FormatError(f"{where} has {task.value} with a number that is not finite, so they cannot be written for CVAT")
    told = facts["fps"] and [frame / facts["fps"] for frame in frames] == seconds
    score = row.get("score")
    texts = [(name, row.get(name)) for name in ("transition", "source")]
    values = [
        *((name, None if text is None else escaped(text, what=name)) for name, text in texts),
        ("score", None if score is None else repr(score)),
        ("exact", None if told else " ".join(map(repr, [*frames, *seconds]))),
    ]
    return label, span, values


def _track(
    number: int,
    label: str,
    span: tuple[int, int | None],
    values: Sequence[tuple[str, str | None]],
    *,
    corners: str,
    frames: int | None,
) -> bytes:
    """Return a track that is seen from the first frame of `span` on and gone at its end, unless the video ends there."""
    by = "auto" if any(name in ("score", "source") and value is not None for name, value in values) else "manual"
    attributes = _attributes(values)
    seen = [(span[0], 0)] if span[1] == frames else [(span[0], 0), (span[1], 1)]
    boxes = [
        f'    <box frame="{frame}" keyframe="1" outside="{gone}" occluded="0" {corners} z_order="0">{attributes}</box>\n'
        for frame, gone in seen
    ]
    lines = [f'  <track id="{number}" label="{escaped(label, what="label")}" source="{by}">\n', *boxes, "  </track>\n"]
    return "".join(lines).encode()
