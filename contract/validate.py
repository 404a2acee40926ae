"""Labels checked against themselves, the lot and the guideline; nothing is ever clipped or dropped.

Checks run on whole columns, so that a lot of 100,000 items takes seconds; words are made for the first few defects only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.errors import LabelsError
from contract.guideline import Guideline
from contract.labelset import LabelSet
from contract.tables import KIND_OF_TASK, SCHEMAS, TASKS_OF_KIND, Kind, State, Task, follows
from contract.textcodes import codes_of
from contract.words import cut_short, did_you_mean

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

OUTSIDE_PX: Final = 1.0  # how far a box may stick out of its image (the contract's clause 3.1)
_SHOWN: Final = 5
_NUMBERS: Final = {
    Task.BOXES: ("x", "y", "w", "h"),
    Task.SENTIMENTS: (),
    Task.SHOTS: ("start_s", "end_s"),
    Task.KEYFRAMES: ("time_s",),
    Task.EVENTS: ("start_s", "end_s"),
}
TRANSITIONS: Final = ("start", "cut", "dissolve", "fade", "wipe")


@dataclass
class _Defects:
    """The first few defects in words, and how many there are."""

    words: list[str] = field(default_factory=list)
    total: int = 0

    def add(self, mask: Mask, tell: Callable[[int], str]) -> None:
        """Count the rows where `mask` is true; `tell` puts a row into words."""
        rows = np.flatnonzero(mask)
        self.total += len(rows)
        for row in rows[: max(0, _SHOWN - len(self.words))]:
            self.words.append(tell(int(row)))

    def raise_any(self, what: str) -> None:
        if self.total:
            count = "1 defect" if self.total == 1 else f"{self.total} defects"
            raise LabelsError(f"{what}: {count}: {cut_short(self.words, total=self.total, shown=_SHOWN)}")


def validate_labels(labels: LabelSet, *, items: pa.Table, guideline: Guideline, origin: str = "labels") -> None:
    """Check `labels` against the lot's `items` (columns of `tables.ITEMS`) and the `guideline`.

    A box may stick out of its image by 1 px, a time out of its video by one frame; nothing is clipped.

    Raises:
        LabelsError: names the first few items with their defects, and how many more there are.
    """
    defects = _Defects()
    _check_states(labels.states, defects)
    _check_membership(labels.states, items, defects)
    for task, table in labels.tables.items():
        _check_rows(task, table, labels.states, defects)
        _check_names(task, table, guideline, defects)
        _check_limits(task, table, items, defects)
    _check_labelled_have_labels(labels, defects)
    defects.raise_any(origin)


def validate_names(labels: LabelSet, *, guideline: Guideline, origin: str = "labels") -> None:
    """Check that every class, sentiment and event of `labels` is one of the `guideline`'s.

    Raises:
        LabelsError: names the first few items with their foreign labels, and how many more there are.
    """
    defects = _Defects()
    for task, table in labels.tables.items():
        _check_names(task, table, guideline, defects)
    defects.raise_any(origin)


def validate_tables(labels: LabelSet, *, origin: str = "labels") -> None:
    """Check `labels` for what can be seen without a lot: finite numbers, sizes, order, states, one answer a text.

    A box of no width or height passes here, since public gold has some; a negative one does not.

    Raises:
        LabelsError: names the first few items with their defects, and how many more there are.
    """
    defects = _Defects()
    _check_states(labels.states, defects)
    for task, table in labels.tables.items():
        _check_rows(task, table, labels.states, defects)
        if task is Task.BOXES:
            _check_sizes(table, defects)
    defects.raise_any(origin)


def _check_states(states: pa.Table, defects: _Defects) -> None:
    items = states["item"].to_pylist()
    if len(set(items)) < len(items):
        defects.add(_repeats(states["item"]), lambda row: f"item {items[row]!r} stands twice in the states")
    for column, known in (("state", [state.value for state in State]), ("kind", [kind.value for kind in Kind])):
        values = states[column]
        defects.add(
            _not(pc.is_in(values, pa.array(known))),
            lambda row, values=values, column=column, known=known: (  # type: ignore[misc]
                f"item {items[row]!r}: {column} {values[row].as_py()!r} is unknown{did_you_mean(values[row].as_py(), known)}"
            ),
        )


def _check_membership(states: pa.Table, items: pa.Table, defects: _Defects) -> None:
    names = states["item"]
    at = pc.index_in(names, items["item"].combine_chunks())
    unknown = _mask(pc.is_null(at))
    known = items["item"].to_pylist() if unknown.any() and items.num_rows <= 10_000 else []
    defects.add(
        unknown,
        lambda row: f"item {names[row].as_py()!r} is not in the lot{did_you_mean(names[row].as_py(), known)}",
    )
    wanted = items["kind"].take(at)
    defects.add(
        _mask(pc.fill_null(pc.not_equal(wanted, states["kind"]), False)),
        lambda row: f"item {names[row].as_py()!r} is {wanted[row].as_py()}, not {states['kind'][row].as_py()}",
    )


def _check_rows(task: Task, table: pa.Table, states: pa.Table, defects: _Defects) -> None:
    """Check what a table of labels says by itself and against the states."""
    if not follows(table, SCHEMAS[task]):
        raise LabelsError(f"table {task.value} does not have the columns of {task.value}")
    at = codes_of(table["item"], states["item"].combine_chunks())
    defects.add(at < 0, _teller(table, lambda _: f"has {task.value} but no state"))
    state, kind = states["state"], states["kind"]
    defects.add(
        _differs(kind, KIND_OF_TASK[task].value)[at],
        _teller(table, lambda row: f"is {kind[int(at[row])].as_py()}, which has no {task.value}"),
    )
    defects.add(
        _differs(state, State.LABELLED.value)[at],
        _teller(table, lambda row: f"has {task.value} but is marked {state[int(at[row])].as_py()}"),
    )
    for name in _numbers_of(task, table):
        if pc.all(pc.is_finite(table[name]), min_count=0).as_py():
            continue
        values = _floats(table, name)
        present = ~_mask(pc.is_null(table[name]))
        defects.add(present & ~np.isfinite(values), _teller(table, _not_finite(name, values)))
    if task is Task.SENTIMENTS:
        defects.add(_repeats(table["item"]), _teller(table, lambda _: "has two sentiments"))
    if "start_frame" in table.column_names:
        _check_intervals(table, defects)
    for name in {"frame", "start_frame", "time_s", "start_s"} & set(table.column_names):
        values = _floats(table, name)
        defects.add(values < 0, _teller(table, _negative(name, values)))


def _differs(values: pa.ChunkedArray, wanted: str) -> Mask:
    """Return which of `values` are not `wanted`, and a last False for the index -1."""
    return np.append(_mask(pc.not_equal(values, wanted)), np.False_)


def _check_sizes(table: pa.Table, defects: _Defects) -> None:
    if not any(pc.any(pc.less(table[side], 0.0), min_count=0).as_py() for side in "wh"):
        return
    w, h = _floats(table, "w"), _floats(table, "h")
    defects.add((w < 0) | (h < 0), _teller(table, lambda row: f"box has a negative size, w {w[row]:g}, h {h[row]:g}"))


def _check_intervals(table: pa.Table, defects: _Defects) -> None:
    for start, end in (("start_frame", "end_frame"), ("start_s", "end_s")):
        begins, ends = _floats(table, start), _floats(table, end)
        defects.add(begins >= ends, _teller(table, _backwards(start, end, begins, ends)))


def _check_names(task: Task, table: pa.Table, guideline: Guideline, defects: _Defects) -> None:
    if task is Task.KEYFRAMES:
        return
    column, word, known = {
        Task.BOXES: ("label", "class", guideline.class_names),
        Task.SENTIMENTS: ("label", "sentiment", guideline.sentiment_names),
        Task.EVENTS: ("label", "event", guideline.event_names),
        Task.SHOTS: ("transition", "transition", TRANSITIONS),
    }[task]
    values = table[column]
    place = "goldgate" if task is Task.SHOTS else f"guideline {guideline.version}"
    defects.add(
        codes_of(values, pa.array(known, pa.string())) < 0,
        _teller(
            table, lambda row: f"{word} {values[row].as_py()!r} is not in {place}{did_you_mean(values[row].as_py(), known)}"
        ),
    )
    if "score" in table.column_names:
        scores = _floats(table, "score")
        defects.add((scores < 0) | (scores > 1), _teller(table, lambda row: f"score {scores[row]:g} is not within 0 and 1"))


def _check_limits(task: Task, table: pa.Table, items: pa.Table, defects: _Defects) -> None:
    at = pc.index_in(table["item"], items["item"].combine_chunks())
    if task is Task.BOXES:
        _check_boxes(table, _taken(items, "width", at), _taken(items, "height", at), defects)
    elif task is not Task.SENTIMENTS:
        _check_video(table, items, at, defects)


def _check_boxes(table: pa.Table, width: Floats, height: Floats, defects: _Defects) -> None:
    x, y, w, h = (_floats(table, name) for name in ("x", "y", "w", "h"))

    def told(row: int) -> str:
        return f"box x {x[row]:g}, y {y[row]:g}, w {w[row]:g}, h {h[row]:g}"

    defects.add((w <= 0) | (h <= 0), _teller(table, lambda row: f"{told(row)} has no area"))
    outside = (x < -OUTSIDE_PX) | (y < -OUTSIDE_PX) | (x + w > width + OUTSIDE_PX) | (y + h > height + OUTSIDE_PX)
    defects.add(
        outside,
        _teller(table, lambda row: f"{told(row)} is outside its image of {width[row]:g} x {height[row]:g} px"),
    )


def _check_video(table: pa.Table, items: pa.Table, at: pa.ChunkedArray, defects: _Defects) -> None:
    frames, duration, fps = (_taken(items, name, at) for name in ("frames", "duration_s", "fps"))
    with np.errstate(divide="ignore"):
        tolerance = np.where(fps > 0, 1.0 / fps, 0.0) + 1e-6
    last_frame, last_time = ("frame", "time_s") if "frame" in table.column_names else ("end_frame", "end_s")
    frame, time = _floats(table, last_frame), _floats(table, last_time)
    beyond = frame > frames - 1 if last_frame == "frame" else frame > frames
    defects.add(
        beyond,
        _teller(table, lambda row: f"{last_frame} {frame[row]:g} is beyond its video of {frames[row]:g} frames"),
    )
    defects.add(
        time > duration + tolerance,
        _teller(table, lambda row: f"{last_time} {time[row]:g} is beyond its video of {duration[row]:g} s"),
    )


def _check_labelled_have_labels(labels: LabelSet, defects: _Defects) -> None:
    """An item marked labelled has a label, where every task of its kind was handed in."""
    states = labels.states
    for kind, tasks in TASKS_OF_KIND.items():
        if not all(task in labels.tables for task in tasks):
            continue
        with_labels = pa.chunked_array([chunk for task in tasks for chunk in labels.table(task)["item"].chunks], pa.string())
        marked = pc.and_(pc.equal(states["kind"], kind.value), pc.equal(states["state"], State.LABELLED.value))
        bare = pc.and_(marked, pc.invert(pc.is_in(states["item"], with_labels.combine_chunks())))
        defects.add(_mask(bare), _teller(states, lambda _: "is marked labelled but has no label"))


def _teller(table: pa.Table, say: Callable[[int], str]) -> Callable[[int], str]:
    return lambda row: f"item {table['item'][row].as_py()!r}: {say(row)}"


def _not_finite(name: str, values: Floats) -> Callable[[int], str]:
    return lambda row: f"{name} is {values[row]:g}"


def _negative(name: str, values: Floats) -> Callable[[int], str]:
    return lambda row: f"{name} {values[row]:g} is negative"


def _backwards(start: str, end: str, begins: Floats, ends: Floats) -> Callable[[int], str]:
    return lambda row: f"{start} {begins[row]:g} is not before {end} {ends[row]:g}"


def _numbers_of(task: Task, table: pa.Table) -> Sequence[str]:
    return [*_NUMBERS[task], *(name for name in ("score", "area") if name in table.column_names)]


def _mask(values: pa.ChunkedArray | pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _not(values: pa.ChunkedArray | pa.Array) -> Mask:
    return ~_mask(values)


def _floats(table: pa.Table, name: str) -> Floats:
    """Return a column as float64; null is NaN, which no comparison finds wrong."""
    # Unsafe: frames beyond 2 ** 53 are rounded, which is near enough to find them beyond any video's end.
    return np.asarray(pc.cast(table[name], pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _taken(items: pa.Table, name: str, at: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.cast(items[name].take(at), pa.float64()).to_numpy(), dtype=np.float64)


def _repeats(column: pa.ChunkedArray) -> Mask:
    """Return which entries stand earlier in `column` already."""
    codes = pc.dictionary_encode(column.combine_chunks()).indices.to_numpy(zero_copy_only=False) if len(column) else []
    first = np.unique(codes, return_index=True)[1]
    repeats = np.ones(len(codes), dtype=np.bool_)
    repeats[first] = False
    return repeats
