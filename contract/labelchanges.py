"""Parts and changes of label sets: some items only, items put in the place of older ones, and which items differ."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.labelset import LabelSet, merge
from contract.tables import SCHEMAS, STATES, State, Task, conform
from contract.textcodes import codes_of

_NOT_CONTENT = frozenset({"item", "score", "probabilities", "area", "source"})  # who made a label, and how sure
_STEPS_PER_UNIT = 1e6  # numbers that agree to a millionth of a pixel or second are the same


def only_items(labels: LabelSet, items: Iterable[str]) -> LabelSet:
    """Return the states and labels of `items`, in the order that they have in `labels`."""
    wanted = pa.array(sorted(set(items)), pa.string())

    def part(table: pa.Table) -> pa.Table:
        return table.filter(pc.is_in(table["item"], value_set=wanted))

    return LabelSet(part(labels.states), {task: part(table) for task, table in labels.tables.items()})


def in_order_of(labels: LabelSet, items: Sequence[str]) -> LabelSet:
    """Return `labels` with their items in the order of `items`, which names each once; labels of an item keep theirs."""
    names = pa.array(items, pa.string())

    def ordered(table: pa.Table) -> pa.Table:
        return table.take(pa.array(np.argsort(codes_of(table["item"], names), kind="stable")))

    return LabelSet(ordered(labels.states), {task: ordered(table) for task, table in labels.tables.items()})


def without_items(labels: LabelSet, items: Iterable[str]) -> LabelSet:
    """Return the states and labels of all but `items`."""
    return only_items(labels, set(labels.states["item"].to_pylist()) - set(items))


def replace_items(base: LabelSet, new: LabelSet) -> LabelSet:
    """Return `base` with the items of `new` in the place of their older selves.

    A task that `new` has no table of keeps its older labels, so that a file of keyframes leaves the events alone.
    """
    names = new.states["item"].to_pylist()
    kept = {
        task: table for task, table in only_items(base, names).tables.items() if task not in new.tables and table.num_rows
    }
    with_older = {item for table in kept.values() for item in table["item"].to_pylist()}
    states = new.states.to_pylist()
    for row in states:
        if row["item"] in with_older and row["state"] == State.EMPTY.value:
            row["state"] = State.LABELLED.value
    older = LabelSet(STATES.empty_table(), kept)
    return merge([without_items(base, names), older, LabelSet(pa.Table.from_pylist(states, schema=STATES), new.tables)])


def changed_items(before: LabelSet, after: LabelSet) -> frozenset[str]:
    """Return the items whose state or labels differ.

    Who made a label and its score do not count, nor does the order of labels; an item that only one side has differs.
    """
    ours = dict(zip(*(before.states[name].to_pylist() for name in ("item", "state")), strict=True))
    theirs = dict(zip(*(after.states[name].to_pylist() for name in ("item", "state")), strict=True))
    changed = {item for item in ours.keys() | theirs.keys() if ours.get(item) != theirs.get(item)}
    for task in before.tables.keys() | after.tables.keys():
        changed |= _changed(task, before.table(task), after.table(task))
    return frozenset(changed)


def _changed(task: Task, before: pa.Table, after: pa.Table) -> set[str]:
    both = pa.concat_tables([conform(before, SCHEMAS[task]), conform(after, SCHEMAS[task])])
    if not both.num_rows:
        return set()
    items = both["item"].combine_chunks().dictionary_encode()
    columns = [_codes(both[name]) for name in both.column_names if name not in _NOT_CONTENT]
    rows = np.column_stack([np.asarray(items.indices), *columns])
    sign = np.where(np.arange(both.num_rows) < before.num_rows, 1, -1)
    distinct, where = np.unique(rows, axis=0, return_inverse=True)
    net = np.bincount(where.reshape(-1), weights=sign, minlength=len(distinct))
    names = items.dictionary.to_pylist()
    return {names[code] for code in np.unique(distinct[net != 0, 0])}


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return whole numbers that are equal where the values are; null is one of them, and counts as false where it can."""
    if pa.types.is_floating(column.type):
        values = np.asarray(pc.fill_null(column, -1.0).to_numpy(), dtype=np.float64)
        return np.rint(values * _STEPS_PER_UNIT).astype(np.int64)
    if pa.types.is_boolean(column.type):
        return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=np.int64)
    if pa.types.is_integer(column.type):
        return np.asarray(pc.fill_null(column, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.asarray(column.combine_chunks().dictionary_encode().indices.fill_null(-1), dtype=np.int64)
