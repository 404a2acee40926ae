"""Which items are scored: those of which the gold says what is there. Only the gold's side may excuse an item."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.errors import LabelsError
from contract.labelset import LabelSet
from contract.scores import Coverage
from contract.tables import KIND_OF_TASK, State, Task

_SPEAKS = frozenset({State.LABELLED.value, State.EMPTY.value})


@dataclass(frozen=True)
class Scored:
    """The items to score and what is said of the others."""

    items: tuple[str, ...]  # in the order of the gold's states
    coverage: Coverage

    def codes(self, table: pa.Table) -> NDArray[np.int64]:
        """Return the index into the sorted items for every row of `table`, -1 where it is not scored."""
        index = pc.index_in(table["item"].combine_chunks(), value_set=pa.array(sorted(self.items), pa.string()))
        return np.asarray(pc.fill_null(index, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def scored_items(task: Task, labels: LabelSet, gold: LabelSet) -> Scored:
    """Return which items of `task` are scored.

    Scored is what the gold calls labelled or empty. An item that the submission has neither a state
    (labelled, empty) nor a label for is incomplete: it stays in, and all its gold is missed. So is one
    that the submission excuses and the gold does not: whoever is judged cannot shrink the denominator.

    Raises:
        LabelsError: the gold does not hold this task, or one side names an item twice.
    """
    if task not in gold.tables:
        raise LabelsError(f"the gold holds no {task.value}; give it a table of them, if only one without rows")
    ours, theirs = _states(task, labels, "submission"), _states(task, gold, "gold")
    speaking = [item for item, state in theirs.items() if state in _SPEAKS]
    excused = {item for item, state in theirs.items() if state == State.EXCUSED.value}
    items = tuple(speaking)
    with_rows = set(labels.table(task)["item"].to_pylist())
    incomplete = [item for item in items if _is_incomplete(ours.get(item), labelled=item in with_rows)]
    coverage = Coverage(
        items=len(items),
        incomplete=tuple(sorted(incomplete)),
        excused=tuple(sorted(excused)),
        without_gold=len((set(ours) | with_rows) - set(items) - excused),
    )
    return Scored(items, coverage)


def _is_incomplete(state: str | None, *, labelled: bool) -> bool:
    return state == State.EXCUSED.value or (state not in _SPEAKS and not labelled)


def _states(task: Task, of: LabelSet, side: str) -> dict[str, str]:
    rows = of.states.filter(pc.equal(of.states["kind"], KIND_OF_TASK[task].value))
    names, states = rows["item"].to_pylist(), rows["state"].to_pylist()
    result = dict(zip(names, states, strict=True))
    if len(result) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise LabelsError(f"the states of the {side} name item {twice!r} twice; keep one of them")
    return result
