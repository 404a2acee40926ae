"""The review queue of a lot: which drafts people see first, and which may be accepted by sample only."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.errors import InputError, StageError
from contract.labelchanges import in_order_of
from contract.labelset import LabelSet
from contract.receipts import RunDocument
from contract.tables import Kind
from goldgate.draft_bias import blind_items
from goldgate.fingerprinting import vectors_of
from goldgate.quality import profiles_of
from goldgate.stages import Stage
from prelabel.handoff import Role, read_drafts, read_sealed, runs_of
from qa.review.disagreement import Readings, disagreements
from qa.review.doubt import MEASURES, Measure, item_doubts
from qa.review.novelty import farthest_first
from qa.review.queue import QUEUE, Mix, drafted_items, mix_of, queue_of, rarity
from qa.review.spared import Spared, spared_images, spared_texts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """What a command's options ask of the queue.

    Args:
        mix: by what items are ordered.
        measure: of doubt.
        against: the run whose drafts are compared with; the newest other finished run if None.
    """

    mix: Mix
    measure: Measure = "margin"
    against: str | None = None


def order_of(order: str, measure: str, against: str | None) -> Order:
    """Return what --order, --measure and --against ask for.

    Raises:
        InputError: a word is unknown, or --against goes with no disagreement.
    """
    mix = mix_of(order)
    known = next((each for each in MEASURES if each == measure), None)
    if known is None:
        raise InputError(f"--measure {measure!r}: write {', '.join(MEASURES)}")
    if against is not None and "disagreement" not in mix.weights:
        raise InputError("--against goes with --order disagreement, or a mix with it")
    return Order(mix, known, against)


@dataclass(frozen=True)
class Queue:
    """A queue: `table` has the columns of `QUEUE`; `spared` says of each kind what may be accepted by sample only."""

    run: str
    against: str | None
    order: Order
    table: pa.Table
    spared: Mapping[Kind, Spared]

    @property
    def ranks(self) -> dict[str, int]:
        """Item -> its rank within its kind, from 1."""
        return dict(zip(self.table["item"].to_pylist(), self.table["rank"].to_pylist(), strict=True))

    @property
    def by_sample(self) -> frozenset[str]:
        """The items that may be accepted by sample only."""
        return frozenset(self.table.filter(pc.equal(self.table["review"], "sample"))["item"].to_pylist())

    def among(self, labels: LabelSet) -> "Queue":
        """Return the queue of those items that `labels` hold, their ranks without gaps."""
        part = self.table.filter(pc.is_in(self.table["item"], value_set=labels.states["item"].combine_chunks()))
        counts: Counter[str] = Counter()
        ranks = []
        for kind in part["kind"].to_pylist():
            counts[kind] += 1
            ranks.append(counts[kind])
        place = QUEUE.get_field_index("rank")
        return replace(self, table=part.set_column(place, QUEUE.field("rank"), pa.array(ranks, pa.int64())))

    def sorted(self, labels: LabelSet) -> LabelSet:
        """Return `labels`, which hold items of the queue, in its order."""
        wanted = set(labels.states["item"].to_pylist())
        return in_order_of(labels, [item for item in self.table["item"].to_pylist() if item in wanted])

    def sentences(self) -> str:
        """Return what there is to say, for people: the order, and what may be accepted by sample only."""
        lines = [
            f"in the order of {str(self.order.mix) or 'the lot'}" + (f", against run {self.against}" if self.against else "")
        ]
        for kind, spared in self.spared.items():
            if spared.threshold is None:
                lines.append(f"  {kind.value}: none may be accepted by sample only, since {spared.reason}")
            else:
                lines.append(
                    f"  {kind.value}: {len(spared.items)} of confidence {spared.threshold:.4f} and more may be accepted by "
                    f"sample only: at least {spared.lower:.4f} against {spared.demanded:g}, on {spared.checked} blind items"
                )
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """Return what there is to say besides the table."""
        kinds = {
            kind.value: {
                "items": len(spared.items),
                "threshold": spared.threshold,
                "lower_bound": spared.lower,
                "demanded": spared.demanded,
                "checked": spared.checked,
                "reason": spared.reason,
            }
            for kind, spared in self.spared.items()
        }
        order = {"order": str(self.order.mix) or "none", "measure": self.order.measure}
        return {"run": self.run, "against": self.against, **order, "by_sample_only": kinds}


def queue_in_lot(stage: Stage, order: Order, *, run: str | None = None) -> Queue:
    """Return the queue of the drafts of `run`, or of the newest finished run.

    Raises:
        StageError: there are no drafts, or no second ones to compare with.
    """
    document, drafts = read_drafts(stage.lot, run)
    against = other = None
    if "disagreement" in order.mix.weights:
        against, other = _other_drafts(stage, document, order.against)
    spared = _spared(stage, drafts)
    tables = [QUEUE.empty_table()]
    for kind in (Kind(kind) for kind in pc.unique(drafts.states["kind"]).to_pylist()):
        parts = _parts(stage, kind, (drafts, other), order)
        by_sample = spared[kind].items if kind in spared else frozenset()
        tables.append(queue_of(kind, drafts, parts, order.mix, by_sample))
    return Queue(document.run, against, order, pa.concat_tables(tables), spared)


def _other_drafts(stage: Stage, document: RunDocument, against: str | None) -> tuple[str, LabelSet]:
    if against is None:
        others = [name for name in runs_of(stage.lot) if name != document.run]
        if not others:
            raise StageError(
                f"{stage.lot.drafts}: --order disagreement needs the drafts of two models, and there is one finished run; "
                "run 'goldgate prelabel' with another --model too"
            )
        against = others[0]
    other, labels = read_drafts(stage.lot, against)
    if other.run == document.run:
        raise InputError(f"--against {against}: is the run that is ordered; name another one")
    return other.run, labels


def _parts(stage: Stage, kind: Kind, drafts: tuple[LabelSet, LabelSet | None], order: Order) -> dict[str, Floats]:
    """Return name -> value of each drafted item of `kind`, for the names in the mix."""
    ours, theirs = drafts
    items = drafted_items(ours, kind)
    found: dict[str, Floats] = {}
    for name in order.mix.weights:
        if name == "uncertainty":
            found[name] = item_doubts(kind, ours, items, measure=order.measure)
        elif name == "rare":
            found[name] = rarity(kind, ours, items)
        elif name == "novelty":
            found[name] = _novelty(stage, kind, ours, items)
        elif theirs is not None:
            found[name] = _disagreement(stage, kind, ours, theirs, items)
    return found


def _disagreement(stage: Stage, kind: Kind, ours: LabelSet, theirs: LabelSet, items: pa.Array) -> Floats:
    profiles = profiles_of(stage.terms)
    apart = disagreements(kind, ours, theirs, items, readings=Readings(profiles.image, profiles.video))
    both = pc.is_in(items, value_set=drafted_items(theirs, kind)).to_numpy(zero_copy_only=False)
    # What only one of the models could label, they disagree on as far as one can.
    return np.where(both, apart, 2.0 if kind is Kind.TEXT else 1.0)


def _novelty(stage: Stage, kind: Kind, drafts: LabelSet, items: pa.Array) -> Floats:
    """Return places counted down from the number of items, so that the traversal's order is kept."""
    vectors = vectors_of(stage, kind, drafts, items.to_pylist())
    covered = pc.is_in(items, value_set=pa.array(sorted(_labelled_by_people(stage)), pa.string()))
    order, _ = farthest_first(vectors, covered=covered.to_numpy(zero_copy_only=False))
    places = np.empty(len(items))
    places[order] = np.arange(len(items), 0, -1)
    return places


def _labelled_by_people(stage: Stage) -> set[str]:
    found: set[str] = set()
    folders: tuple[tuple[Role, Path], ...] = (("submission", stage.lot.submissions), ("gold", stage.lot.gold))
    for role, folder in folders:
        if any(folder.glob("*/receipt.json")):
            found |= set(read_sealed(stage.lot, role).labels.states["item"].to_pylist())
    return found


def _spared(stage: Stage, drafts: LabelSet) -> dict[Kind, Spared]:
    kinds = [Kind(kind) for kind in pc.unique(drafts.states["kind"]).to_pylist()]
    if not any(stage.lot.gold.glob("*/receipt.json")):
        return {kind: Spared(reason="there is no gold") for kind in kinds}
    gold, blind = read_sealed(stage.lot, "gold").labels, blind_items(stage)
    profiles = profiles_of(stage.terms)
    found: dict[Kind, Spared] = {}
    for kind in kinds:
        if kind is Kind.TEXT:
            found[kind] = spared_texts(drafts, gold, profiles.text, blind=blind)
        elif kind is Kind.IMAGE:
            found[kind] = spared_images(drafts, gold, profiles.image, blind=blind)
        else:
            found[kind] = Spared(reason="drafts of videos have no confidence by which they could be told apart")
    return found
