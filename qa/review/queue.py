"""The order in which people see drafts: each item's place within its kind, and what it was placed by.

Items without a draft come first, since a person must label them whole; then by descending priority, ties by item id.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.errors import InputError
from contract.labelset import LabelSet
from contract.tables import Kind, State, Task
from contract.words import did_you_mean

Floats = NDArray[np.float64]
ORDERS: Final = ("uncertainty", "disagreement", "rare", "novelty")
CLASSED: Final = {Kind.IMAGE: Task.BOXES, Kind.TEXT: Task.SENTIMENTS, Kind.VIDEO: Task.EVENTS}
_DRAFTED: Final = pa.array([State.LABELLED.value, State.EMPTY.value], pa.string())

QUEUE: Final = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),  # from 1 within the kind
        pa.field("review", pa.string(), nullable=False),  # full, or sample where a sample of such items is enough
        pa.field("priority", pa.float64()),  # null where there is no draft
        *(pa.field(name, pa.float64()) for name in ORDERS),
    ]
)


@dataclass(frozen=True)
class Mix:
    """By what items are ordered: name -> weight, over 0; empty for no order."""

    weights: Mapping[str, float]

    def __str__(self) -> str:
        return ",".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in self.weights.items())


def mix_of(text: str) -> Mix:
    """Return what --order asks for: none, one name, or several with weights such as uncertainty=2,rare=1.

    Raises:
        InputError: a name is unknown or stands twice, or a weight is not over 0.
    """
    if text.strip() == "none":
        return Mix({})
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        if name not in ORDERS:
            raise InputError(f"--order {name!r}: write none, {', '.join(ORDERS)}, or a mix{did_you_mean(name, ORDERS)}")
        if name in weights:
            raise InputError(f"--order {text!r}: {name} stands twice")
        try:
            weights[name] = float(amount or 1)
        except ValueError as error:
            raise InputError(f"--order {part.strip()!r}: the weight is not a number") from error
        if not 0 < weights[name] < math.inf:
            raise InputError(f"--order {part.strip()!r}: a weight must be over 0")
    return Mix(weights)


def rarity(kind: Kind, labels: LabelSet, items: pa.Array) -> Floats:
    """Return how rare the rarest class of each item is: -log2 of the share of items that have it; 0 without a class.

    Inverse document frequency (Sparck Jones 1972) of classes of boxes, of sentiments or of events.
    """
    table = labels.table(CLASSED[kind])
    by_item: dict[str, set[str]] = {item: set() for item in items.to_pylist()}
    for item, label in zip(table["item"].to_pylist(), table["label"].to_pylist(), strict=True):
        if item in by_item:
            by_item[item].add(label)
    counts = Counter(label for found in by_item.values() for label in found)
    size = max(len(by_item), 1)
    rarest = (max((-math.log2(counts[label] / size) for label in found), default=0.0) for found in by_item.values())
    return np.fromiter(rarest, np.float64, len(by_item))


def drafted_items(labels: LabelSet, kind: Kind) -> pa.Array:
    """Return the items of `kind` that have a draft, empty ones too, sorted by id."""
    states = labels.states.filter(pc.equal(labels.states["kind"], kind.value))
    items = states.filter(pc.is_in(states["state"], value_set=_DRAFTED))["item"].combine_chunks()
    return items.take(pc.sort_indices(items)).cast(pa.string())


def combined(parts: Mapping[str, Floats], mix: Mix) -> Floats:
    """Return the priority of each item: the part itself, or the weighted mean of its places in several parts.

    A place is the share of other items that stand lower, those that stand equal counting half (Borda counts), so that no
    part's own scale outweighs another's.
    """
    if len(mix.weights) == 1:
        return parts[next(iter(mix.weights))]
    total = sum(mix.weights.values())
    places = [weight / total * _places(parts[name]) for name, weight in mix.weights.items()]
    return np.asarray(np.sum(places, axis=0), np.float64)


def _places(values: Floats) -> Floats:
    if values.size < 2:
        return np.zeros(values.size)
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + (upto - below - 1) / 2) / (values.size - 1)


def queue_of(kind: Kind, labels: LabelSet, parts: Mapping[str, Floats], mix: Mix, spared: Iterable[str] = ()) -> pa.Table:
    """Return the queue of the items of `kind` (columns of `QUEUE`), by rank.

    Args:
        kind: of the items.
        labels: the drafts.
        parts: name -> value of each item of `drafted_items`, the higher the earlier.
        mix: by which of them items are ordered; without any they keep the order of the states.
        spared: items that may be accepted by sample only, which come last.
    """
    states = labels.states.filter(pc.equal(labels.states["kind"], kind.value))
    items = states["item"].to_pylist()
    place = {item: row for row, item in enumerate(drafted_items(labels, kind).to_pylist())}
    priority = combined(parts, mix) if mix.weights else np.zeros(len(place))
    by_sample = frozenset(spared)

    def key(item: str) -> tuple[int, float, str]:
        if item not in place:
            return 0, 0.0, item
        return (2 if item in by_sample else 1), -float(priority[place[item]]), item

    ordered = sorted(items, key=key) if mix.weights else items
    rows = [place.get(item) for item in ordered]
    columns = {name: [None if row is None else float(values[row]) for row in rows] for name, values in parts.items()}
    missing: list[float | None] = [None] * len(rows)
    return pa.table(
        {
            "item": ordered,
            "kind": [kind.value] * len(ordered),
            "rank": range(1, len(ordered) + 1),
            "review": ["sample" if item in by_sample else "full" for item in ordered],
            "priority": [None if row is None or not mix.weights else float(priority[row]) for row in rows],
            **{name: columns.get(name, missing) for name in ORDERS},
        },
        schema=QUEUE,
    )
