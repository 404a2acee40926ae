"""A label set: the states of items and their label tables, in a folder or in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from contract.errors import LabelsError
from contract.files import first_line, read_parquet, write_parquet
from contract.tables import SCHEMAS, STATES, Task, conform, empty, text_columns

_STATES_FILE: Final = "items.parquet"


@dataclass(frozen=True)
class LabelSet:
    """Labels of a lot or a part of it.

    `states` has one row for every item that somebody looked at (columns of `tables.STATES`);
    `tables` holds a table for every task that was labelled, which may have no rows.
    """

    states: pa.Table
    tables: Mapping[Task, pa.Table] = field(default_factory=dict)

    def table(self, task: Task) -> pa.Table:
        """Return the table of `task`, with no rows where the set has none."""
        return self.tables.get(task, empty(task))


def merge(parts: Sequence[LabelSet]) -> LabelSet:
    """Return the labels of all `parts` together; an item that two of them name stands twice, for validation to find."""
    tables: dict[Task, list[pa.Table]] = {}
    for part in parts:
        for task, table in part.tables.items():
            tables.setdefault(task, []).append(conform(table, SCHEMAS[task]))
    states = pa.concat_tables([STATES.empty_table(), *(conform(part.states, STATES) for part in parts)])
    return LabelSet(states, {task: pa.concat_tables(some) for task, some in tables.items()})


def write_labels(folder: Path, labels: LabelSet) -> dict[str, str]:
    """Write `labels` as Parquet files into `folder` and return file name -> SHA-256."""
    digests = {_STATES_FILE: write_parquet(folder / _STATES_FILE, labels.states)}
    for task, table in sorted(labels.tables.items()):
        name = f"{task.value}.parquet"
        digests[name] = write_parquet(folder / name, table)
    return digests


def read_labels(folder: Path, *, coded: bool = False) -> LabelSet:
    """Read the labels that `write_labels` put into `folder`; with `coded`, texts of the tables are dictionary-encoded.

    Raises:
        LabelsError: a file is absent, unreadable, or lacks a column.
    """
    states = _read(folder / _STATES_FILE, STATES)
    paths = {task: folder / f"{task.value}.parquet" for task in Task}
    tables = {task: _read(path, SCHEMAS[task], coded=coded) for task, path in paths.items() if path.exists()}
    return LabelSet(states, tables)


def _read(path: Path, schema: pa.Schema, *, coded: bool = False) -> pa.Table:
    try:
        return conform(read_parquet(path, coded=text_columns(schema) if coded else ()), schema, coded=coded)
    except KeyError as error:
        raise LabelsError(f"{path}: column {error.args[0]!r} is absent") from error
    except pa.ArrowException as error:
        raise LabelsError(f"{path}: {first_line(error)}") from error
