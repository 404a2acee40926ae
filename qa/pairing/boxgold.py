"""Gold boxes made ready once, for as many submissions as are to be scored against them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from contract.labelset import LabelSet
from contract.tables import Task
from qa.columns import Encoded, encoded, numbers
from qa.coverage import GoldItems, Scored, cover, gold_items
from qa.pairing.boxes import BoxColumns, box_columns, ordered_by_content
from qa.pairing.matching import Indices


@dataclass(frozen=True)
class BoxGold:
    """A gold that `qa.score.score_boxes` takes in place of its label set.

    `label` of the boxes is the index into `names`; `columns` are in the table's order.
    """

    items: GoldItems
    names: tuple[str, ...]
    columns: BoxColumns

    @cached_property
    def ordered(self) -> BoxColumns:
        """The boxes in the order of content."""
        return ordered_by_content(self.columns)


@dataclass(frozen=True)
class BoxSides:
    """Gold and submission in the same codes of items and classes, each in its table's order."""

    scored: Scored
    names: tuple[str, ...]  # of the classes of both sides, sorted
    labels: BoxColumns
    prepared: BoxGold
    place: Indices  # of the gold's names among `names`

    @cached_property
    def gold(self) -> BoxColumns:
        """The gold."""
        return self._renamed(self.prepared.columns)

    @cached_property
    def gold_ordered(self) -> BoxColumns:
        """The gold in the order of content: names among more names keep their order."""
        return self._renamed(self.prepared.ordered)

    @cached_property
    def labels_ordered(self) -> BoxColumns:
        """The submission in the order of content."""
        return ordered_by_content(self.labels)

    def _renamed(self, columns: BoxColumns) -> BoxColumns:
        return columns if self.names == self.prepared.names else replace(columns, label=self.place[columns.label])


def prepare_gold(gold: LabelSet) -> BoxGold:
    """Return `gold` with its items known and its boxes as arrays.

    Raises:
        LabelsError: the gold holds no boxes table, or names an item twice.
    """
    items, table = gold_items(Task.BOXES, gold), gold.table(Task.BOXES)
    classes = encoded(table["label"])
    names = tuple(sorted(classes.values.to_pylist()))
    return BoxGold(items, names, _columns(table, encoded(table["item"]), classes, items=items, names=names))


def compare(labels: LabelSet, gold: BoxGold) -> BoxSides:
    """Return a submission beside the gold.

    Raises:
        LabelsError: the submission names an item twice.
    """
    table = labels.table(Task.BOXES)
    items, classes = encoded(table["item"]), encoded(table["label"])
    names = tuple(sorted({*classes.values.to_pylist(), *gold.names}))
    place = pc.index_in(pa.array(gold.names, pa.string()), value_set=pa.array(names, pa.string()))
    return BoxSides(
        scored=cover(labels, gold.items, labelled=items.values),
        names=names,
        labels=_columns(table, items, classes, items=gold.items, names=names),
        prepared=gold,
        place=numbers(place),
    )


def _columns(table: pa.Table, item: Encoded, label: Encoded, *, items: GoldItems, names: Sequence[str]) -> BoxColumns:
    return box_columns(table, image=item.among(items.ordered), label=label.among(pa.array(names, pa.string())))
