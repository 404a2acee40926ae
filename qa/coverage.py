"""Which items are scored: those of which the gold says what is there. Only the gold's side may excuse an item."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.scores import Coverage
from contract.tables import KIND_OF_TASK, State, Task
from qa.columns import encoded, in_order, numbers

_SPEAKS: Final = pa.array([State.LABELLED.value, State.EMPTY.value])


@dataclass(frozen=True)
class GoldItems:
    """What the gold says of items: those that it speaks of, in the order of its states, and those that it excuses."""

    task: Task
    speaking: pa.Array
    excused: pa.Array

    @cached_property
    def ordered(self) -> pa.Array:
        """The items spoken of, sorted."""
        return in_order(self.speaking)


@dataclass(frozen=True)
class Scored:
    """The items to score and what is said of the others."""

    gold: GoldItems
    coverage: Coverage

    @cached_property
    def items(self) -> tuple[str, ...]:
        """The items in the order of the gold's states."""
        return tuple(self.gold.speaking.to_pylist())

    @property
    def ordered(self) -> pa.Array:
        """The items sorted."""
        return self.gold.ordered

    @cached_property
    def incomplete(self) -> NDArray[np.bool_]:
        """Of each of the sorted items, whether it is incomplete."""
        named = pa.array(self.coverage.incomplete, pa.string())
        return np.asarray(pc.is_in(self.ordered, value_set=named).to_numpy(zero_copy_only=False), dtype=np.bool_)

    @property
    def place_in_states(self) -> NDArray[np.int64]:
        """Of each of the sorted items, its place among `items`."""
        return numbers(pc.index_in(self.ordered, value_set=self.gold.speaking))

    def codes(self, table: pa.Table) -> NDArray[np.int64]:
        """Return the index into the sorted items for every row of `table`, -1 where it is not scored."""
        return encoded(table["item"]).among(self.ordered)


def gold_items(task: Task, gold: LabelSet) -> GoldItems:
    """Return which items the gold speaks of: those that it calls labelled or empty.

    Raises:
        LabelsError: the gold does not hold this task, or names an item twice.
    """
    if task not in gold.tables:
        raise LabelsError(f"the gold holds no {task.value}; give it a table of them, if only one without rows")
    items, states = _states(task, gold, "gold")
    excused = pc.equal(states, State.EXCUSED.value)
    return GoldItems(task, items.filter(pc.is_in(states, value_set=_SPEAKS)), items.filter(excused))


def scored_items(task: Task, labels: LabelSet, gold: LabelSet) -> Scored:
    """Return which items of `task` are scored.

    Raises:
        LabelsError: the gold does not hold this task, or one side names an item twice.
    """
    return cover(labels, gold_items(task, gold), labelled=encoded(labels.table(task)["item"]).values)


def cover(labels: LabelSet, gold: GoldItems, *, labelled: pa.Array) -> Scored:
    """Return what a submission covers of the items that the gold speaks of; `labelled` are those with rows.

    An item that the submission has neither a state (labelled, empty) nor a label for is incomplete: it stays
    in, and all its gold is missed. So is one that the submission excuses and the gold does not: whoever is
    judged cannot shrink the denominator.

    Raises:
        LabelsError: the submission names an item twice.
    """
    named, states = _states(gold.task, labels, "submission")
    own = states.take(pc.index_in(gold.ordered, value_set=named))  # null where the submission names no state
    excuses = pc.fill_null(pc.equal(own, State.EXCUSED.value), False)
    speaks = pc.or_(pc.is_in(own, value_set=_SPEAKS), pc.is_in(gold.ordered, value_set=labelled))
    known = pa.concat_arrays([gold.speaking, gold.excused])
    theirs = pc.unique(pa.concat_arrays([named, labelled]))
    coverage = Coverage(
        items=len(gold.speaking),
        incomplete=tuple(gold.ordered.filter(pc.or_(excuses, pc.invert(speaks))).to_pylist()),
        excused=tuple(in_order(gold.excused).to_pylist()),
        without_gold=int(pc.sum(pc.invert(pc.is_in(theirs, value_set=known)), min_count=0).as_py()),
    )
    return Scored(gold, coverage)


def _states(task: Task, of: LabelSet, side: str) -> tuple[pa.Array, pa.Array]:
    """Return items and their states."""
    rows = of.states.filter(pc.equal(of.states["kind"], KIND_OF_TASK[task].value))
    items, states = rows["item"].combine_chunks(), rows["state"].combine_chunks()
    if pc.count_distinct(items).as_py() < len(items):
        names = items.to_pylist()
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise LabelsError(f"the states of the {side} name item {twice!r} twice; keep one of them")
    return items, states
