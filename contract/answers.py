"""Answers: what a predictor returns and what a shard holds, one row an item with its labels nested.

A row's state is labelled, empty or rejected, so that the books balance by counting rows.
Flattening gives the tables of `contract.tables`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import LabelsError
from contract.predictor import Source
from contract.tables import SCHEMAS, TASKS_OF_KIND, VALUE_FIELDS, Kind, State, Task, conform

SCHEMAS_OF_ANSWERS: Final = MappingProxyType(
    {
        kind: pa.schema(
            [
                pa.field("item", pa.string(), nullable=False),
                pa.field("state", pa.string(), nullable=False),
                pa.field("reason", pa.string()),
                *(pa.field(task.value, pa.list_(pa.struct(VALUE_FIELDS[task])), nullable=False) for task in tasks),
            ]
        )
        for kind, tasks in TASKS_OF_KIND.items()
    }
)


def labelled(
    item: str, kind: Kind, labels: Mapping[Task, Sequence[Mapping[str, Any]]], *, reason: str | None = None
) -> dict[str, Any]:
    """Return the row of an item that a model has seen; it is empty when no task has a label.

    `reason` says in one sentence what of the item was not seen, if anything.
    """
    nested = {task.value: list(labels.get(task, ())) for task in TASKS_OF_KIND[kind]}
    state = State.LABELLED if any(nested.values()) else State.EMPTY
    return {"item": item, "state": state.value, "reason": reason, **nested}


def rejected(item: str, kind: Kind, reason: str) -> dict[str, Any]:
    """Return the row of an item that could not be labelled, with one sentence of reason."""
    nested: dict[str, list[Any]] = {task.value: [] for task in TASKS_OF_KIND[kind]}
    return {"item": item, "state": State.REJECTED.value, "reason": reason, **nested}


def build_answer(kind: Kind, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows made by `labelled` and `rejected` as one table."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS_OF_ANSWERS[kind])


def check_answer(kind: Kind, sources: Sequence[Source], answer: pa.Table) -> pa.Table:
    """Return `answer` if it has the schema of `kind` and one row a source in order.

    Raises:
        LabelsError: the predictor broke its promise.
    """
    if not answer.schema.equals(SCHEMAS_OF_ANSWERS[kind]):
        raise LabelsError(f"the predictor's answer does not have the columns of {kind.value} answers")
    items = answer["item"].to_pylist()
    wanted = [source.item for source in sources]
    if items != wanted:
        raise LabelsError(f"the predictor answered {len(items)} items for {len(wanted)} sources, or in another order")
    return answer


def flatten(task: Task, answer: pa.Table, source: str) -> pa.Table:
    """Return the labels of `task` in `answer` as its flat table, with `source` on every row."""
    column = answer[task.value].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # a table of no rows has no chunks to combine
        column = pa.array([], type=column.type)
    parents = pc.list_parent_indices(column)
    values = pc.list_flatten(column)
    columns: dict[str, Any] = {"item": answer["item"].take(parents)}
    for index, field in enumerate(VALUE_FIELDS[task]):
        columns[field.name] = pc.struct_field(values, indices=[index])
    columns["source"] = pa.array([source] * len(values), pa.string())
    return conform(pa.table(columns), SCHEMAS[task])
