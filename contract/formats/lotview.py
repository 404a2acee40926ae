"""What an exchange format may know of a lot, and how an outside file's names are joined to it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from contract.errors import FormatError
from contract.guideline import Guideline
from contract.tables import SCHEMAS, Task
from contract.textcodes import codes_of
from contract.words import did_you_mean


@dataclass(frozen=True)
class LotView:
    """A lot as exchange formats see it.

    Args:
        items: the lot's manifest (columns of `tables.ITEMS`).
        guideline: classes, sentiments and events by name.
        texts: item -> content, for text items.
        model_version: what made the labels, where their own `source` does not say.
        ranks: item -> its place from 1 in the queue of its kind; empty where people are told none.
        by_sample: items that may be accepted by sample only.
    """

    items: pa.Table
    guideline: Guideline
    texts: Mapping[str, str] = field(default_factory=dict)
    model_version: str | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)
    by_sample: frozenset[str] = frozenset()

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Item -> its row of the manifest."""
        return {row["item"]: row for row in self.items.to_pylist()}

    @cached_property
    def _by_sha256(self) -> dict[str, str]:
        return {row["sha256"]: item for item, row in self.rows.items()}

    @cached_property
    def _by_base_name(self) -> dict[str, str]:
        counts = Counter(PurePosixPath(item).name for item in self.rows)
        return {PurePosixPath(item).name: item for item in self.rows if counts[PurePosixPath(item).name] == 1}

    def join(self, name: str | None, sha256: str | None, *, where: str) -> str:
        """Return the lot's item that an outside file calls `name` or knows by `sha256`.

        The item's own id comes first, then the hash, then the file's base name where it is the only one.

        Args:
            name: the file name or item id in the outside file.
            sha256: the content's hash in the outside file.
            where: file and place, for the message.

        Raises:
            FormatError: the lot has no such item, or it has other content.
        """
        item = name if name in self.rows else None
        if item is None and sha256 is not None:
            item = self._by_sha256.get(sha256)
        if item is None and name is not None:
            item = self._by_base_name.get(PurePosixPath(name.replace("\\", "/")).name)
        if item is None:
            near = did_you_mean(name or "", self.rows) if len(self.rows) <= 10_000 else ""
            raise FormatError(f"{where}: item {name or sha256!r} is not in the lot{near}")
        if sha256 is not None and sha256 != self.rows[item]["sha256"]:
            raise FormatError(f"{where}: item {item!r} has other content than in the lot (its SHA-256 differs)")
        return item


def require_name(name: Any, known: tuple[str, ...], *, word: str, where: str) -> str:
    """Return `name` if it is one of `known`.

    Raises:
        FormatError: it is not; the nearest known name is offered.
    """
    if name not in known:
        raise FormatError(f"{where}: {word} {name!r} is not in the guideline{did_you_mean(str(name), known)}")
    return str(name)


def join_table(table: pa.Table, task: Task, items: Mapping[str, str], lot: LotView, *, where: str) -> pa.Table:
    """Return `table` with the lot's items in place of an outside file's names, and its labels checked.

    Args:
        table: of `task`; each of its items is a key of `items`.
        task: which labels.
        items: the file's name of an item -> the lot's item.
        lot: the guideline.
        where: the file, for the message.

    Raises:
        FormatError: a class, sentiment or event is not the guideline's.
    """
    at = codes_of(table["item"], pa.array(items.keys(), pa.string()))
    item = pa.array(items.values(), pa.string()).take(pa.array(at))
    word, known = {
        Task.BOXES: ("class", lot.guideline.class_names),
        Task.SENTIMENTS: ("sentiment", lot.guideline.sentiment_names),
        Task.EVENTS: ("event", lot.guideline.event_names),
    }.get(task, ("", ()))
    if word:
        for row in np.flatnonzero(codes_of(table["label"], pa.array(known, pa.string())) < 0)[:1].tolist():
            require_name(table["label"][row].as_py(), known, word=word, where=f"{where}: item {item[row].as_py()!r}")
    return table.set_column(table.column_names.index("item"), SCHEMAS[task].field("item"), item)
